//! Tests of how the client finds and asks the leader, and that neither logs a secret.

use std::process::Stdio;

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use super::command::{ACTOR, Operator, REASON};
use crate::{eventually::until, exchange::Exchange, replica::database};

#[tokio::test]
async fn a_wrong_token_is_refused() {
    let exchange = Exchange::start().await;
    let stranger = Operator { token: "guessed".to_owned(), ..Operator::of(&exchange) };
    let said = stranger.refused(&["asset", "create", "ETH"]).await;
    assert!(said.starts_with("exchange admin: refused: "), "{said}");
    assert!(said.contains("EXCHANGE_INTERNAL_TOKEN"), "{said}");
    assert!(exchange.app.engine.committed().read().state.asset_by_code("ETH").is_none());
}

#[tokio::test]
async fn without_a_leader_it_says_what_to_start() {
    let exchange = Exchange::start().await;
    let operator = Operator::of(&exchange);
    exchange.app.end().await;
    let said = operator.refused(&["market", "list"]).await;
    assert!(said.contains("no server leads: start `exchange serve`"), "{said}");

    let nowhere = Operator { database_url: "postgres://nobody@127.0.0.1:1/none".to_owned(), ..operator };
    let said = nowhere.refused(&["market", "list"]).await;
    assert!(said.contains("EXCHANGE_DATABASE_URL: the database did not answer"), "{said}");
}

#[tokio::test]
async fn no_secret_is_in_a_log_not_even_in_the_finest() {
    const TOKEN: &str = "token-that-nobody-may-see";
    const ENCRYPTION_KEY: &str = "5ec2e7000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c";
    let url = database().await;
    let any = "127.0.0.1:0";
    let mut server = Command::new(env!("CARGO_BIN_EXE_exchange"))
        .arg("serve")
        .env_clear()
        .envs([
            ("EXCHANGE_DATABASE_URL", url.as_str()),
            ("EXCHANGE_HTTP_LISTEN", any),
            ("EXCHANGE_ADMIN_LISTEN", any),
            ("EXCHANGE_INTERNAL_LISTEN", any),
            ("EXCHANGE_INTERNAL_TOKEN", TOKEN),
            ("EXCHANGE_KEY_ENCRYPTION_KEY", ENCRYPTION_KEY),
            ("LOG_LEVEL", "trace"),
            ("LOG_FORMAT", "json"),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let (mut log, mut api) = (String::new(), None);
    let reading = tokio::spawn({
        let (told, listening) = tokio::sync::oneshot::channel();
        let mut told = Some(told);
        api.replace(listening);
        async move {
            while let Some(line) = lines.next_line().await.unwrap() {
                let parsed: Value = serde_json::from_str(&line).expect("every line is JSON");
                if parsed["setting"] == "EXCHANGE_HTTP_LISTEN" {
                    told.take().unwrap().send(format!("http://{}", parsed["address"].as_str().unwrap())).unwrap();
                }
                log += &line;
                log.push('\n');
            }
            log
        }
    });
    let api = api.unwrap().await.unwrap();
    let operator = Operator { database_url: url.clone(), token: TOKEN.to_owned(), actor: ACTOR, reason: REASON };
    until("it leads", || async { operator.run(&["market", "list"]).await.status.success() }).await;
    operator.does(&["account", "create", "trader"]).await;
    let key = operator.does(&["api-key", "create", "trader"]).await;
    let [api_key, secret] = ["apiKey", "secretKey"].map(|name| key[name].as_str().unwrap().to_owned());
    let payload = format!("timestamp={}", crate::exchange::now());
    let signature = crate::exchange::hmac_hex(&secret, &payload);
    let request = reqwest::Client::new().get(format!("{api}/api/v3/account?{payload}&signature={signature}"));
    assert_eq!(request.header("X-MBX-APIKEY", &api_key).send().await.unwrap().status(), 200);
    operator.does(&["api-key", "revoke", &api_key]).await;

    let pid = server.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(server.wait().await.unwrap().success());
    let log = reading.await.unwrap();
    assert!(log.contains(r#""log.level":"trace""#), "{log}");
    let password =
        url.split_once("://").unwrap().1.split_once('@').and_then(|(user, _)| user.split_once(':')).map(|(_, word)| word);
    for hidden in [TOKEN, ENCRYPTION_KEY, &secret, &signature].into_iter().chain(password) {
        let line = log.lines().find(|line| line.contains(hidden));
        assert_eq!(line, None, "{hidden} is in the log");
    }
}

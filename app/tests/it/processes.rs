//! Tests of the built program as processes: one leads, the others are standbys; kills, pauses and hand-overs by signal.

use std::{
    process::Stdio,
    sync::{Arc, Mutex},
};

use futures::{StreamExt, stream};
use local_parts::{Postgres, SharedPostgres, StopMode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{
    eventually::{eventually, until},
    exchange::{hmac_hex, now},
    replica::{database, migrate, number},
};

pub struct Process {
    pub child: Child,
    admin: String,
    pub api: String,
    /// Its log lines.
    logged: Arc<Mutex<Vec<Value>>>,
}

impl Process {
    /// `exchange serve` on ports of the system's choice.
    async fn serve(url: &str) -> Self {
        Self::serve_with(url, &[]).await
    }

    pub async fn serve_with(url: &str, settings: &[(&str, &str)]) -> Self {
        let any = "127.0.0.1:0";
        let mut child = Command::new(env!("CARGO_BIN_EXE_exchange"))
            .arg("serve")
            .env_clear()
            .envs([
                ("EXCHANGE_DATABASE_URL", url),
                ("EXCHANGE_HTTP_LISTEN", any),
                ("EXCHANGE_ADMIN_LISTEN", any),
                ("EXCHANGE_INTERNAL_LISTEN", any),
                ("EXCHANGE_INTERNAL_TOKEN", TOKEN),
                ("EXCHANGE_KEY_ENCRYPTION_KEY", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"),
                ("LOG_FORMAT", "json"),
            ])
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let logged = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&logged);
        // Read to its end, or the process would block on a full pipe.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                kept.lock().unwrap().push(serde_json::from_str(&line).expect("a line of JSON"));
            }
        });
        let listening = async |setting: &str| {
            let line = eventually("it logs its listen address", || async { find(&logged, "setting", setting).pop() }).await;
            format!("http://{}", line["address"].as_str().unwrap())
        };
        let (admin, api) = (listening("EXCHANGE_ADMIN_LISTEN").await, listening("EXCHANGE_HTTP_LISTEN").await);
        Self { child, admin, api, logged }
    }

    /// `Ok` when it is ready and leads, else the reason or the remark of the latch `lead`.
    async fn readiness(&self) -> Option<Result<(), String>> {
        let reply = reqwest::get(format!("{}/readyz", self.admin)).await.ok()?;
        let ready = reply.status().is_success();
        let told: Value = reply.json().await.ok()?;
        let lead = told["latches"].as_array()?.iter().find(|latch| latch["name"] == "lead")?;
        let text = lead["reason"].as_str().or(lead["note"].as_str());
        Some(if ready && text.is_none() { Ok(()) } else { Err(text.unwrap_or_default().to_owned()) })
    }

    pub async fn leads(&self) {
        until("the process leads", || async { self.readiness().await == Some(Ok(())) }).await;
    }

    pub async fn stands_by(&self) -> String {
        eventually("the process is a standby", || async {
            self.readiness().await?.err().filter(|reason| reason.starts_with("standby: "))
        })
        .await
    }

    /// The leader that it follows, at present; `None` if it leads or does not answer.
    pub async fn stands_by_now(&self) -> Option<String> {
        self.readiness().await?.err().filter(|reason| reason.starts_with("standby: "))
    }

    /// Warnings and errors, for the report of a failed test.
    pub fn complaints(&self) -> Vec<String> {
        let logged = self.logged.lock().unwrap();
        let bad = logged.iter().filter(|line| line["log.level"] == "warn" || line["log.level"] == "error");
        bad.map(|line| line.to_string()).collect()
    }

    pub async fn is_ready(&self) -> bool {
        reqwest::get(format!("{}/readyz", self.admin)).await.is_ok_and(|reply| reply.status().is_success())
    }

    /// Status and text of a path of the admin listener; `None` if it does not answer.
    pub async fn get(&self, path: &str) -> Option<(u16, String)> {
        let reply = reqwest::get(format!("{}{path}", self.admin)).await.ok()?;
        Some((reply.status().as_u16(), reply.text().await.ok()?))
    }

    /// Log lines with `value` in the field `name`.
    pub fn lines(&self, name: &str, value: &str) -> Vec<Value> {
        find(&self.logged, name, value)
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        assert!(std::process::Command::new("kill").args([name, &pid]).status().unwrap().success());
    }
}

const TOKEN: &str = "of-the-processes";

/// `exchange admin` with `arguments`: its answer, or its text on stderr.
pub async fn try_admin(url: &str, arguments: &[&str]) -> Result<Value, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_exchange"))
        .args(["admin", "--actor", "ada", "--reason", "test"])
        .args(arguments)
        .env_clear()
        .envs([("EXCHANGE_DATABASE_URL", url), ("EXCHANGE_INTERNAL_TOKEN", TOKEN)])
        .output()
        .await
        .unwrap();
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// `exchange admin` with `arguments`, which must succeed.
pub async fn admin(url: &str, arguments: &[&str]) -> Value {
    try_admin(url, arguments).await.unwrap()
}

/// The lines with `value` in the field `name`.
fn find(logged: &Mutex<Vec<Value>>, name: &str, value: &str) -> Vec<Value> {
    logged.lock().unwrap().iter().filter(|line| line[name] == value).cloned().collect()
}

/// Batches of a past leader after one of a later leader. Must be zero.
const OUT_OF_ORDER: &str = "SELECT count(*) FROM (
    SELECT epoch < max(epoch) OVER (ORDER BY first_seq) AS late FROM journal) AS batches WHERE late";

#[tokio::test]
async fn killed_paused_and_asked_to_go() {
    let url = database().await;
    let mut killed = Process::serve(&url).await;
    killed.leads().await;
    let paused = Process::serve(&url).await;
    assert!(paused.stands_by().await.ends_with(" leads in epoch 1"));

    killed.signal("-KILL");
    killed.child.wait().await.unwrap();
    paused.leads().await;

    let mut asked = Process::serve(&url).await;
    asked.stands_by().await;
    paused.signal("-STOP");
    asked.leads().await;
    let sequence = number(&url, "SELECT last_seq FROM head").await;
    paused.signal("-CONT");
    assert!(paused.stands_by().await.ends_with(" leads in epoch 3"));
    until("the new leader writes on", || async { number(&url, "SELECT last_seq FROM head").await > sequence }).await;
    assert_eq!(number(&url, OUT_OF_ORDER).await, 0);

    asked.signal("-TERM");
    assert!(asked.child.wait().await.unwrap().success());
    assert_eq!(number(&url, "SELECT count(*) FROM head WHERE released OR epoch = 4").await, 1, "it was handed over");
    paused.leads().await;
    assert_eq!(number(&url, OUT_OF_ORDER).await, 0);
}

#[tokio::test]
async fn access_and_audit_have_streams_of_their_own() {
    let url = database().await;
    let quiet = Process::serve(&url).await;
    quiet.leads().await;
    let asked = |process: &Process| reqwest::get(format!("{}/api/v3/order?symbol=BTCUSDT&signature=not-for-logs", process.api));
    assert_eq!(asked(&quiet).await.unwrap().status(), 401);
    drop(quiet);

    let process = Process::serve_with(&url, &[("EXCHANGE_ACCESS_LOG", "true")]).await;
    process.leads().await;
    assert_eq!(asked(&process).await.unwrap().status(), 401);
    let lines = eventually("the request is logged", || async {
        Some(find(&process.logged, "event.dataset", "exchange.access")).filter(|lines| !lines.is_empty())
    })
    .await;
    let [line] = &lines[..] else { panic!("one line a request: {lines:?}") };
    assert_eq!(
        (&line["message"], &line["url.path"], &line["http.request.method"], &line["http.response.status_code"]),
        (&json!("GET /api/v3/order 401"), &json!("/api/v3/order"), &json!("GET"), &json!(401))
    );
    assert!(line["event.duration"].as_u64().is_some_and(|ns| ns > 0) && line["client.ip"] == "127.0.0.1", "{line}");
    assert!(!line.to_string().contains("not-for-logs"));

    for (code, succeeds) in [("EUR", true), ("no code", false)] {
        let output = Command::new(env!("CARGO_BIN_EXE_exchange"))
            .args(["admin", "--actor", "olga", "--reason", "ticket 17", "asset", "create", code])
            .env_clear()
            .envs([("EXCHANGE_DATABASE_URL", url.as_str()), ("EXCHANGE_INTERNAL_TOKEN", TOKEN)])
            .output()
            .await
            .unwrap();
        assert_eq!(output.status.success(), succeeds, "{}", String::from_utf8_lossy(&output.stderr));
    }
    let lines = eventually("both are logged", || async {
        Some(find(&process.logged, "event.dataset", "exchange.audit")).filter(|lines| lines.len() == 2)
    })
    .await;
    for (line, outcome, original) in [
        (&lines[0], "success", r#"{"create_asset":{"code":"EUR"}}"#),
        (&lines[1], "failure", r#"{"create_asset":{"code":"no code"}}"#),
    ] {
        assert_eq!(
            (&line["event.action"], &line["user.name"], &line["event.reason"], &line["event.outcome"], &line["event.original"]),
            (&json!("create_asset"), &json!("olga"), &json!("ticket 17"), &json!(outcome), &json!(original))
        );
        assert_eq!(line.get("error.message").is_some(), outcome == "failure", "{line}");
    }
}

/// An operator who has a client's `x-trace-id` finds the cause, and nothing else, in the log.
#[tokio::test]
async fn each_5xx_without_postgresql_has_one_line_with_its_cause() {
    const REQUESTS: usize = 200;
    /// History, which tables answer.
    const ORDER_LISTS: &str = "/api/v3/allOrderList";
    let mut postgres = Postgres::start(SharedPostgres::options()).await.unwrap();
    let url = postgres.create_database("causes").await.unwrap();
    migrate(&url).await;
    let process = Process::serve(&url).await;
    process.leads().await;
    admin(&url, &["account", "create", "trader"]).await;
    let key = admin(&url, &["api-key", "create", "trader"]).await;
    let (key, secret) = (key["apiKey"].as_str().unwrap(), key["secretKey"].as_str().unwrap());
    let client = reqwest::Client::new();
    let ask = |path: &'static str| {
        let payload = format!("timestamp={}", now());
        let url = format!("{}{path}?{payload}&signature={}", process.api, hmac_hex(secret, &payload));
        let request = client.get(url).header("X-MBX-APIKEY", key);
        async move {
            let reply = request.send().await.unwrap();
            let header = |name: &str| reply.headers()[name].to_str().unwrap().to_owned();
            match reply.status() {
                status if status.is_server_error() => Err((header("x-trace-id"), header("x-mbx-uuid"))),
                status => Ok(status),
            }
        }
    };
    until("the key is known", || async { ask(ORDER_LISTS).await.is_ok_and(|status| status.is_success()) }).await;
    postgres.stop(StopMode::Immediate).await.unwrap();

    let failed: Vec<_> = stream::iter(0..REQUESTS)
        .map(|_| ask(ORDER_LISTS))
        .buffer_unordered(16)
        .filter_map(async |reply| reply.err())
        .collect()
        .await;
    assert_eq!(failed.len(), REQUESTS, "each needs PostgreSQL");
    for (trace, request) in failed {
        let lines = eventually("the failure is logged", || async {
            let mut lines = find(&process.logged, "trace.id", &trace);
            // The driver's warnings have the trace as well.
            lines.retain(|line| line["log.level"] == "error");
            Some(lines).filter(|lines| !lines.is_empty())
        })
        .await;
        let [line] = &lines[..] else { panic!("{trace}: {lines:?}") };
        assert_eq!((&line["http.request.id"], &line["message"]), (&json!(request), &json!("request failed")), "{line}");
        assert!(line["cause"].as_str().is_some_and(|cause| !cause.starts_with("Internal error")), "{line}");
    }
}

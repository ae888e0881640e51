//! Tests of `exchange probe` as a process: with the API, without it, with a wrong key.

use std::{collections::BTreeMap, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{
    eventually::{eventually, until},
    processes::Process,
    replica::{database, number},
    rolling::{Key, market},
};

struct Probe {
    child: Child,
    admin: String,
}

impl Probe {
    async fn start(api: &str, key: &Key) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_exchange"))
            .arg("probe")
            .env_clear()
            .envs([
                ("EXCHANGE_PROBE_URL", api),
                ("EXCHANGE_PROBE_API_KEY", &key.api_key),
                ("EXCHANGE_PROBE_SECRET_KEY", &key.secret),
                ("EXCHANGE_PROBE_INTERVAL", "200ms"),
                ("EXCHANGE_ADMIN_LISTEN", "127.0.0.1:0"),
                ("LOG_FORMAT", "json"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let admin = loop {
            let line: serde_json::Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
            if line["setting"] == "EXCHANGE_ADMIN_LISTEN" {
                break format!("http://{}", line["address"].as_str().unwrap());
            }
        };
        let api_key = key.api_key.clone();
        let secret = key.secret.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                assert!(!line.contains(&secret) && !line.contains(&api_key), "a secret is in the log: {line}");
            }
        });
        Self { child, admin }
    }

    /// Rounds by result, without those that did not happen.
    async fn rounds(&self) -> BTreeMap<String, u64> {
        let text = reqwest::get(format!("{}/metrics", self.admin)).await.unwrap().text().await.unwrap();
        let rounds = text.lines().filter_map(|line| {
            let (result, count) = line.strip_prefix("exchange_probe_rounds_total{result=\"")?.split_once("\"} ")?;
            Some((result.to_owned(), count.parse().unwrap()))
        });
        rounds.filter(|(_, count)| *count > 0).collect()
    }

    async fn has(&self, result: &str, count: u64) -> BTreeMap<String, u64> {
        eventually("the probe's rounds", || async {
            let rounds = self.rounds().await;
            (rounds.get(result).copied().unwrap_or_default() >= count).then_some(rounds)
        })
        .await
    }
}

#[tokio::test]
async fn the_probe_measures_orders_and_an_outage() {
    let url = database().await;
    let mut server = Process::serve_with(&url, &[]).await;
    server.leads().await;
    let key = market(&url).await;
    let mut probe = Probe::start(&server.api, &key).await;
    probe.has("ok", 5).await;
    let metrics = reqwest::get(format!("{}/metrics", probe.admin)).await.unwrap().text().await.unwrap();
    for step in ["place", "read", "cancel"] {
        let count = format!("exchange_probe_step_seconds_count{{step=\"{step}\"}} ");
        let count: u64 = metrics.lines().find_map(|line| line.strip_prefix(&count)).unwrap().parse().unwrap();
        assert!(count >= 5, "{step}: {count}");
    }

    // SIGTERM ends a round first: no order remains.
    let pid = probe.child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(probe.child.wait().await.unwrap().success());
    let open = format!("{}/api/v3/openOrders?{}", server.api, key.sign("symbol=BTCUSDT"));
    let open = reqwest::Client::new().get(open).header("X-MBX-APIKEY", &key.api_key).send().await.unwrap().text().await.unwrap();
    assert_eq!(open, "[]");
    assert!(number(&url, "SELECT last_seq FROM head").await > 0);

    // With nothing listening every round fails.
    let last = server.api.clone();
    server.signal("-KILL");
    server.child.wait().await.unwrap();
    let probe = Probe::start(&last, &key).await;
    let rounds = probe.has("unreachable", 5).await;
    assert_eq!(rounds.keys().collect::<Vec<_>>(), ["unreachable"], "the error ratio is 100 %");
}

#[tokio::test]
async fn a_wrong_key_is_a_refusal() {
    let url = database().await;
    let server = Process::serve_with(&url, &[]).await;
    server.leads().await;
    let key = Key { api_key: "a".repeat(64), secret: "s".repeat(64) };
    let probe = Probe::start(&server.api, &key).await;
    let rounds = probe.has("refused", 3).await;
    assert!(!rounds.contains_key("ok"), "{rounds:?}");
    until("every round is refused", || async { probe.rounds().await.len() == 1 }).await;
}

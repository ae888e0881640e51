//! The built program as processes: one leads, the others stand by; kills, pauses and hand-overs by signal.

use std::process::Stdio;

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{
    eventually::{eventually, until},
    replica::{database, number},
};

struct Process {
    child: Child,
    admin: String,
}

impl Process {
    /// `exchange serve` on ports of the system's choice.
    async fn serve(url: &str) -> Self {
        let any = "127.0.0.1:0";
        let mut child = Command::new(env!("CARGO_BIN_EXE_exchange"))
            .arg("serve")
            .env_clear()
            .envs([
                ("EXCHANGE_DATABASE_URL", url),
                ("EXCHANGE_HTTP_LISTEN", any),
                ("EXCHANGE_ADMIN_LISTEN", any),
                ("EXCHANGE_INTERNAL_LISTEN", any),
                ("EXCHANGE_INTERNAL_TOKEN", "of-the-processes"),
                ("EXCHANGE_KEY_ENCRYPTION_KEY", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"),
                ("LOG_FORMAT", "json"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let admin = loop {
            let line = lines.next_line().await.unwrap().expect("it tells where it listens before it ends");
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["setting"] == "EXCHANGE_ADMIN_LISTEN" {
                break format!("http://{}", line["address"].as_str().unwrap());
            }
        };
        // Read on, or the process would wait for room in the pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, admin }
    }

    /// What readiness says: `Ok` when ready, the reason of the latch `lead` otherwise.
    async fn readiness(&self) -> Option<Result<(), String>> {
        let reply = reqwest::get(format!("{}/readyz", self.admin)).await.ok()?;
        let ready = reply.status().is_success();
        let told: Value = reply.json().await.ok()?;
        let lead = told["latches"].as_array()?.iter().find(|latch| latch["name"] == "lead")?;
        Some(if ready { Ok(()) } else { Err(lead["reason"].as_str().unwrap_or_default().to_owned()) })
    }

    async fn leads(&self) {
        until("the process leads", || async { self.readiness().await == Some(Ok(())) }).await;
    }

    async fn stands_by(&self) -> String {
        eventually("the process stands by", || async {
            self.readiness().await?.err().filter(|reason| reason.starts_with("standing by: "))
        })
        .await
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        assert!(std::process::Command::new("kill").args([name, &pid]).status().unwrap().success());
    }
}

/// Batches of a past leader that come after one of a later leader. Never any.
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

//! An alert that Alertmanager timed out fires again with the `startsAt` that it had before. The newest notification counts, and
//! an alert that is active in any Alertmanager is open here.

use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use local_parts::{Alertmanager, AlertmanagerOptions, free_ports};
use telegram_emulator::{Emulator, Seed};

use crate::{
    bot::{Bot, OPERATIONS, ROUTES, Settings, message_with, until},
    payloads::single,
    silences::{configuration, pair, posted},
};

const OPEN: &str = "alertbot_open_incidents{phase=\"firing\",severity=\"critical\"}";
const COMPARED: &str = "incidents:\n  reconcile_every: 1s\n  settle_after_restart: 0s\n";

fn in_seconds(seconds: i64) -> Timestamp {
    Timestamp::now().checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

#[tokio::test]
async fn an_alert_that_fires_again_with_its_old_start_reopens() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let bot = Bot::start(&Settings::new(&emulator, &folder)).await;
    let began = Timestamp::now();
    for status in ["firing", "resolved", "firing"] {
        assert_eq!(bot.post(&single("DiskFull", "critical", status, began)).await, 200);
    }
    until("the incident is open", async || bot.metric(OPEN).await == 1.0).await;
    message_with(&emulator, OPERATIONS, &["DiskFull", "firing"]).await;
    // A clock that was set back gives an earlier start.
    let earlier = began.checked_sub(SignedDuration::from_hours(1)).unwrap();
    assert_eq!(bot.post(&single("DiskFull", "critical", "resolved", earlier)).await, 200);
    until("the incident has ended", async || bot.metric(OPEN).await == 0.0).await;
    assert_eq!(bot.post(&single("DiskFull", "critical", "firing", earlier)).await, 200);
    until("the incident is open again", async || bot.metric(OPEN).await == 1.0).await;
}

#[tokio::test]
async fn an_alert_that_a_paused_alertmanager_timed_out_reopens() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let (bot, alertmanager) = pair(&emulator, &folder, "").await;
    let mut alerts = posted("DiskFull", "critical", Some(in_seconds(4)));
    alerts[0]["startsAt"] = Timestamp::now().to_string().into();
    alertmanager.post_alerts(&alerts).await.unwrap();
    message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    let pid = alertmanager.pid().unwrap().to_string();
    let signal = |signal: &str| assert!(Command::new("kill").args([signal, pid.as_str()]).status().unwrap().success());
    signal("-STOP");
    let expired = in_seconds(4);
    until("the alert expires", async || Timestamp::now() > expired).await;
    signal("-CONT");
    message_with(&emulator, OPERATIONS, &["DiskFull", "resolved"]).await;
    alerts[0]["endsAt"] = in_seconds(300).to_string().into();
    alertmanager.post_alerts(&alerts).await.unwrap();
    until("the incident is open", async || bot.metric(OPEN).await == 1.0).await;
    message_with(&emulator, OPERATIONS, &["fires again"]).await;
}

/// A pair that does not gossip, and the bot that reads both. `more`: further addresses. `rest`: more configuration.
async fn replicas(emulator: &Emulator, folder: &tempfile::TempDir, more: &str, rest: &str) -> (Bot, [Alertmanager; 2]) {
    let idle = || AlertmanagerOptions {
        configuration: "route: {receiver: none}\nreceivers: [{name: none}]".to_owned(),
        ..Default::default()
    };
    let replicas = [Alertmanager::start(idle()).await.unwrap(), Alertmanager::start(idle()).await.unwrap()];
    let mut settings = Settings::new(emulator, folder);
    settings.alertmanager = format!("    urls: [\"{}\", \"{}\"{more}]", replicas[0].url(), replicas[1].url());
    settings.rest = format!("{ROUTES}{rest}");
    let bot = Bot::start(&settings).await;
    for replica in &replicas {
        replica.reload(&configuration(&bot.url)).await.unwrap();
    }
    (bot, replicas)
}

async fn heard(bot: &Bot, status: &str) -> f64 {
    bot.metric(&format!("alertbot_alerts_received_total{{alertmanager=\"main\",status=\"{status}\"}}")).await
}

/// One replica of a pair is cut off from Prometheus, and its alert expires. The other one has it, and sends nothing new. A third
/// address does not answer at all. The card never says that the alert has ended.
#[tokio::test]
async fn an_alert_that_one_replica_of_a_pair_still_has_stays_open() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let [dead] = free_ports().unwrap();
    let (bot, replicas) = replicas(&emulator, &folder, &format!(", \"http://127.0.0.1:{dead}\""), COMPARED).await;
    let began = Timestamp::now().to_string();
    for (replica, seconds) in replicas.iter().zip([3600, 3]) {
        let mut alerts = posted("DiskFull", "critical", Some(in_seconds(seconds)));
        alerts[0]["startsAt"] = began.clone().into();
        replica.post_alerts(&alerts).await.unwrap();
    }
    until("the end is reported", async || heard(&bot, "resolved").await >= 1.0).await;
    let reads = async || bot.metric("alertbot_reconciliations_total{alertmanager=\"main\",outcome=\"failed\"}").await;
    let before = reads().await;
    // Longer than an end may wait: one interval and the timeout of a request.
    until("reads went by", async || reads().await >= before + 13.0).await;
    assert_eq!(bot.metric(OPEN).await, 1.0);
    for message in emulator.messages(OPERATIONS) {
        let texts: Vec<&String> = message.earlier.iter().chain([&message.text]).collect();
        assert!(!texts.iter().any(|text| text.contains("resolved") || text.contains("fires again")), "{texts:?}");
    }
}

/// The read that the report asks for decides, long before the next one of the interval.
#[tokio::test]
async fn an_end_that_no_replica_contradicts_counts_at_once() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let rest = "incidents:\n  reconcile_every: 10m\n  settle_after_restart: 0s\n";
    let (bot, replicas) = replicas(&emulator, &folder, "", rest).await;
    let mut alerts = posted("DiskFull", "critical", None);
    alerts[0]["startsAt"] = Timestamp::now().to_string().into();
    for replica in &replicas {
        replica.post_alerts(&alerts).await.unwrap();
    }
    message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    until("both have told it", async || heard(&bot, "firing").await >= 2.0).await;
    alerts[0]["endsAt"] = Timestamp::now().to_string().into();
    for replica in &replicas {
        replica.post_alerts(&alerts).await.unwrap();
    }
    message_with(&emulator, OPERATIONS, &["DiskFull", "resolved"]).await;
    until("the incident has ended", async || bot.metric(OPEN).await == 0.0).await;
}

/// A replica that does not answer holds up an end for a bounded time.
#[tokio::test]
async fn an_end_counts_although_a_replica_does_not_answer() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let [dead] = free_ports().unwrap();
    let (bot, replicas) = replicas(&emulator, &folder, &format!(", \"http://127.0.0.1:{dead}\""), COMPARED).await;
    replicas[0].post_alerts(&posted("DiskFull", "critical", None)).await.unwrap();
    message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    replicas[0].post_alerts(&posted("DiskFull", "critical", Some(Timestamp::now()))).await.unwrap();
    message_with(&emulator, OPERATIONS, &["DiskFull", "resolved"]).await;
    until("the incident has ended", async || bot.metric(OPEN).await == 0.0).await;
}

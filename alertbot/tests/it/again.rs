//! An alert that Alertmanager timed out fires again with the `startsAt` that it had before. The newest notification counts, and
//! an alert that is active in any Alertmanager is open here.

use std::{process::Command, time::Duration};

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

/// One replica of a pair is cut off from Prometheus, and its alert expires. The other one has it, and sends nothing new. A third
/// address does not answer at all.
#[tokio::test]
async fn an_alert_that_one_replica_of_a_pair_still_has_reopens() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let idle = || AlertmanagerOptions {
        configuration: "route: {receiver: none}\nreceivers: [{name: none}]".to_owned(),
        ..Default::default()
    };
    let replicas = [Alertmanager::start(idle()).await.unwrap(), Alertmanager::start(idle()).await.unwrap()];
    let [dead] = free_ports().unwrap();
    let mut settings = Settings::new(&emulator, &folder);
    settings.alertmanager =
        format!("    urls: [\"{}\", \"{}\", \"http://127.0.0.1:{dead}\"]", replicas[0].url(), replicas[1].url());
    settings.rest = format!("{ROUTES}{COMPARED}");
    let bot = Bot::start(&settings).await;
    for replica in &replicas {
        replica.reload(&configuration(&bot.url)).await.unwrap();
    }
    let began = Timestamp::now().to_string();
    let mut lasting = posted("DiskFull", "critical", Some(in_seconds(3600)));
    lasting[0]["startsAt"] = began.clone().into();
    replicas[0].post_alerts(&lasting).await.unwrap();
    message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    let mut expiring = posted("DiskFull", "critical", Some(in_seconds(3)));
    expiring[0]["startsAt"] = began.into();
    replicas[1].post_alerts(&expiring).await.unwrap();
    let reopened = emulator.until(Duration::from_secs(60), |world| {
        world.chats[&OPERATIONS].messages().find(|message| message.text.contains("fires again")).cloned()
    });
    assert!(reopened.await.is_ok(), "the replica that has the alert counts: {:?}", emulator.messages(OPERATIONS));
    until("the incident is open", async || bot.metric(OPEN).await == 1.0).await;
}

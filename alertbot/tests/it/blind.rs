//! Without its Watchdog, monitoring is blind: alerts that end then may only have expired.

use jiff::Timestamp;
use telegram_emulator::{Emulator, Seed};

use crate::{
    bot::{Bot, OPERATIONS, ROUTES, Settings, message_with, until},
    payloads::single,
};

const OPEN: &str = "alertbot_open_incidents{phase=\"firing\",severity=\"warning\"}";

async fn bot(emulator: &Emulator, folder: &tempfile::TempDir, within: &str, settle: &str) -> Bot {
    let mut settings = Settings::new(emulator, folder);
    settings.alertmanager = format!("    watchdog: {{alert: Watchdog, within: {within}}}");
    settings.rest = format!("{ROUTES}incidents:\n  settle_after_restart: {settle}\n");
    Bot::start(&settings).await
}

#[tokio::test]
async fn an_end_while_the_watchdog_is_missing_freezes_the_incident() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let bot = bot(&emulator, &folder, "2s", "2s").await;
    let began = Timestamp::now();
    assert_eq!(bot.post(&single("Watchdog", "none", "firing", began)).await, 200);
    assert_eq!(bot.post(&single("DiskFull", "warning", "firing", began)).await, 200);
    message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    message_with(&emulator, OPERATIONS, &["AlertmanagerSilent"]).await;
    message_with(&emulator, OPERATIONS, &["DiskFull", "blind since"]).await;
    assert_eq!(bot.post(&single("DiskFull", "warning", "resolved", began)).await, 200);
    assert_eq!(bot.metric("alertbot_webhooks_total{alertmanager=\"main\",outcome=\"repeated\"}").await, 1.0);
    until("the incident is open", async || bot.metric(OPEN).await == 1.0).await;
    message_with(&emulator, OPERATIONS, &["DiskFull", "blind since"]).await;
    // Back, and nothing says that the alert still fires.
    until("the incident ends after the settling time", async || {
        bot.post(&single("Watchdog", "none", "firing", began)).await == 200 && bot.metric(OPEN).await == 0.0
    })
    .await;
    message_with(&emulator, OPERATIONS, &["DiskFull", "resolved"]).await;
}

/// Prometheus stops: its alerts expire together, and the Watchdog is the last one that Alertmanager reports.
#[tokio::test]
async fn an_end_just_before_the_watchdog_ends_is_taken_back() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let bot = bot(&emulator, &folder, "5m", "5m").await;
    let began = Timestamp::now();
    assert_eq!(bot.post(&single("Watchdog", "none", "firing", began)).await, 200);
    assert_eq!(bot.post(&single("DiskFull", "warning", "firing", began)).await, 200);
    message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    assert_eq!(bot.post(&single("DiskFull", "warning", "resolved", began)).await, 200);
    message_with(&emulator, OPERATIONS, &["DiskFull", "resolved"]).await;
    assert_eq!(bot.post(&single("Watchdog", "none", "resolved", began)).await, 200);
    message_with(&emulator, OPERATIONS, &["DiskFull", "blind since"]).await;
    until("the incident is open", async || bot.metric(OPEN).await == 1.0).await;
    assert_eq!(emulator.messages(OPERATIONS).len(), 1, "no sound: {:?}", emulator.messages(OPERATIONS));
    // The alert fires again: it is the same incident, and nothing sounds.
    assert_eq!(bot.post(&single("Watchdog", "none", "firing", began)).await, 200);
    assert_eq!(bot.post(&single("DiskFull", "warning", "firing", began)).await, 200);
    until("the words of the blindness go", async || !emulator.messages(OPERATIONS)[0].text.contains("blind")).await;
    assert_eq!(emulator.messages(OPERATIONS).len(), 1);
}

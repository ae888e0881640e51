//! Silences and the comparison with a real Alertmanager.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use local_parts::{Alertmanager, AlertmanagerOptions};
use serde_json::{Value, json};
use telegram_emulator::{Emulator, Seed};

use crate::{
    bot::{ADA, Bot, OPERATIONS, ROUTES, Settings, WEBHOOK_TOKEN, message_with, until},
    people::button,
};

const PEOPLE: &str = "
people:
  - name: ada
    telegram: 11
    role: admin
incidents:
  reconcile_every: 1s
  settle_after_restart: 0s
";

/// Routes everything to the bot at once.
pub fn configuration(bot: &str) -> String {
    format!(
        "
route:
  receiver: alertbot
  group_by: [alertname]
  group_wait: 1ms
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: alertbot
    webhook_configs:
      - url: {bot}/webhook/main
        http_config:
          authorization:
            credentials: {WEBHOOK_TOKEN}
"
    )
}

/// An alert as Prometheus posts it.
pub fn posted(name: &str, severity: &str, ends_at: Option<Timestamp>) -> Value {
    let mut alert = json!([{
        "labels": {"alertname": name, "severity": severity, "instance": "a:1"},
        "annotations": {"summary": format!("{name} is wrong")},
    }]);
    if let Some(ends_at) = ends_at {
        alert[0]["endsAt"] = ends_at.to_string().into();
    }
    alert
}

/// A bot and an Alertmanager that know each other.
pub async fn pair(emulator: &Emulator, folder: &tempfile::TempDir, rest: &str) -> (Bot, Alertmanager) {
    // Each needs the other's address: Alertmanager is told when the bot has one.
    let idle = "route: {receiver: none}\nreceivers: [{name: none}]".to_owned();
    let alertmanager = Alertmanager::start(AlertmanagerOptions { configuration: idle, ..Default::default() }).await.unwrap();
    let mut settings = Settings::new(emulator, folder);
    settings.rest = format!("{ROUTES}{rest}");
    settings.alertmanager = format!("    urls: [\"{}\"]", alertmanager.url());
    let bot = Bot::start(&settings).await;
    alertmanager.reload(&configuration(&bot.url)).await.unwrap();
    (bot, alertmanager)
}

#[tokio::test]
async fn a_silence_shows_in_alertmanager_within_a_second_and_a_silenced_end_is_edited_in() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let (bot, alertmanager) = pair(&emulator, &folder, PEOPLE).await;
    alertmanager.post_alerts(&posted("DiskFull", "critical", None)).await.unwrap();
    let card = message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    let pressed = Instant::now();
    emulator.press(ADA, OPERATIONS, card.id, &button(&card, "sil:")).unwrap();
    let silences = async || {
        let reply = reqwest::get(format!("{}/api/v2/silences", alertmanager.url())).await.unwrap();
        reply.json::<Vec<Value>>().await.unwrap()
    };
    until("the silence is there", async || !silences().await.is_empty()).await;
    assert!(pressed.elapsed() < Duration::from_secs(1), "{:?}", pressed.elapsed());
    let silence = silences().await.remove(0);
    assert_eq!(silence["createdBy"], "ada");
    assert_eq!(silence["matchers"].as_array().unwrap().len(), 3, "the alert's full labels: {silence}");

    // Nothing comes by webhook from now on; the end is found by comparing.
    alertmanager.post_alerts(&posted("DiskFull", "critical", Some(Timestamp::now()))).await.unwrap();
    until("the incident has ended", async || {
        bot.metric("alertbot_open_incidents{phase=\"firing\",severity=\"critical\"}").await == 0.0
            && emulator.messages(OPERATIONS)[0].edited.is_some()
    })
    .await;
    until("the silence ended with it", async || silences().await[0]["status"]["state"] == "expired").await;
    assert_eq!(emulator.messages(OPERATIONS).len(), 1, "no sound: {:?}", emulator.messages(OPERATIONS));
}

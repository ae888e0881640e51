//! What an open incident depends on changes under it: its severity, its route, its policy.

use jiff::Timestamp;
use serde_json::{Value, json};
use telegram_emulator::{Emulator, Seed};

use crate::{
    bot::{ADA, BEHRANG, Bot, NIGHT, OPERATIONS, Settings, message_with, until},
    payloads::{alert, group, single},
    people::{answer_to, button},
};

const PEOPLE: &str = "
people:
  - {name: ada, telegram: 11, role: admin}
  - {name: behrang, telegram: 12}
escalations:
  - name: calls
    steps:
      - {people: [behrang], by: [telegram]}
";

fn route(name: &str) -> String {
    format!(
        "{PEOPLE}routes:\n  - name: {name}\n    chats: [operations]\n    escalation: calls\n    match: ['severity=\"critical\"']\n  - name: rest\n    chats: [operations]\n"
    )
}

fn disk(severity: &str) -> Value {
    alert("firing", json!({"alertname": "DiskFull", "severity": severity}), Timestamp::now())
}

#[tokio::test]
async fn an_acknowledged_warning_that_becomes_critical_calls_whoever_is_on_duty() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    for policy_of_all in [false, true] {
        let mut settings = Settings::new(&emulator, &folder);
        settings.store = folder.path().join(format!("{policy_of_all}.db"));
        settings.rest = route("criticals");
        if policy_of_all {
            // The same policy for both severities: its first step is far away while it is a warning.
            settings.rest = settings
                .rest
                .replace("  - name: rest\n    chats: [operations]\n", "")
                .replace("    match: ['severity=\"critical\"']\n", "");
        }
        let bot = Bot::start(&settings).await;
        let name = format!("Disk{policy_of_all}");
        let named = |severity: &str| alert("firing", json!({"alertname": name, "severity": severity}), Timestamp::now());
        let warning = named("warning");
        assert_eq!(bot.post(&group(&name, std::slice::from_ref(&warning))).await, 200);
        let card = message_with(&emulator, OPERATIONS, &[&name]).await;
        emulator.press(ADA, OPERATIONS, card.id, &button(&card, "ack:")).unwrap();
        until("ada has it", async || {
            bot.metric("alertbot_open_incidents{phase=\"acknowledged\",severity=\"warning\"}").await == 1.0
        })
        .await;
        let before = emulator.messages(BEHRANG).len();
        assert_eq!(bot.post(&group(&name, &[warning, named("critical")])).await, 200);
        until("behrang is called", async || emulator.messages(BEHRANG).len() > before).await;
        bot.stop().await;
    }
}

#[tokio::test]
async fn a_route_that_was_renamed_while_a_critical_is_open_still_calls() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    settings.rest = route("criticals").replace("by: [telegram]", "by: [telegram], after: 2s");
    let bot = Bot::start(&settings).await;
    assert_eq!(bot.post(&single("DiskFull", "critical", "firing", Timestamp::now())).await, 200);
    message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    bot.stop().await;
    settings.rest = settings
        .rest
        .replace("name: criticals", "name: pages")
        .replace("name: calls", "name: nights")
        .replace("escalation: calls", "escalation: nights");
    let bot = Bot::start(&settings).await;
    message_with(&emulator, BEHRANG, &["DiskFull"]).await;
    bot.stop().await;
    // The only route that matches has no escalation.
    settings.rest = format!(
        "{PEOPLE}routes:\n  - name: databases\n    chats: [operations]\n    match: ['team=\"databases\"']\n  - name: rest\n    chats: [night]\n"
    );
    let bot = Bot::start(&settings).await;
    until("it is counted", async || bot.metric("alertbot_escalation_lost_incidents").await == 1.0).await;
    message_with(&emulator, OPERATIONS, &["#1", "no longer has an escalation"]).await;
}

#[tokio::test]
async fn a_critical_that_joins_a_silenced_warning_calls() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let (bot, alertmanager) =
        crate::silences::pair(&emulator, &folder, "people:\n  - {name: ada, telegram: 11, role: admin}\n").await;
    drop(bot);
    let mut settings = Settings::new(&emulator, &folder);
    settings.store = folder.path().join("second.db");
    settings.alertmanager = format!("    urls: [\"{}\"]", alertmanager.url());
    settings.rest = route("criticals");
    let bot = Bot::start(&settings).await;
    let warning = disk("warning");
    assert_eq!(bot.post(&group("DiskFull", std::slice::from_ref(&warning))).await, 200);
    let card = message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    let pressed = emulator.press(ADA, OPERATIONS, card.id, &button(&card, "sil:1:1")).unwrap();
    assert!(answer_to(&emulator, &pressed).await.contains("Silenced until"));
    assert_eq!(bot.post(&group("DiskFull", &[warning, disk("critical")])).await, 200);
    message_with(&emulator, BEHRANG, &["DiskFull"]).await;
}

/// The same policy with a shorter wait, a severity label that means more, an owner who left, and a route to another chat.
#[tokio::test]
async fn what_the_configuration_says_now_applies_to_open_incidents() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    settings.rest = route("criticals").replace("by: [telegram]", "by: [telegram], after: 1h");
    let bot = Bot::start(&settings).await;
    for (name, severity) in [("DiskFull", "critical"), ("Mapped", "sev1"), ("Owned", "critical")] {
        assert_eq!(bot.post(&single(name, severity, "firing", Timestamp::now())).await, 200);
        message_with(&emulator, OPERATIONS, &[name]).await;
    }
    // Digits of a Persian keyboard.
    emulator.say(ADA, OPERATIONS, "/ack ۳").unwrap();
    let held = "alertbot_open_incidents{phase=\"acknowledged\",severity=\"critical\"}";
    until("ada has it", async || bot.metric(held).await == 1.0).await;
    bot.stop().await;

    settings.rest = settings.rest.replace("after: 1h", "after: 1s");
    let bot = Bot::start(&settings).await;
    message_with(&emulator, BEHRANG, &["DiskFull"]).await;
    bot.stop().await;

    settings.rest = format!("severities:\n  names: {{sev1: critical}}\n{}", settings.rest);
    let bot = Bot::start(&settings).await;
    message_with(&emulator, OPERATIONS, &["Mapped", "critical"]).await;
    message_with(&emulator, BEHRANG, &["Mapped"]).await;
    until("ada's incident is still hers", async || bot.metric(held).await == 1.0).await;
    bot.stop().await;

    settings.rest = settings.rest.replace("  - {name: ada, telegram: 11, role: admin}\n", "");
    let bot = Bot::start(&settings).await;
    message_with(&emulator, BEHRANG, &["Owned"]).await;
    until("no one holds it", async || bot.metric(held).await == 0.0).await;
    assert_eq!(emulator.messages(NIGHT).len(), 0);
    bot.stop().await;

    settings.rest = settings.rest.replace("chats: [operations]", "chats: [night]");
    let bot = Bot::start(&settings).await;
    for name in ["DiskFull", "Mapped", "Owned"] {
        message_with(&emulator, NIGHT, &[name]).await;
    }
    bot.stop().await;
    let count = emulator.messages(NIGHT).len();
    // A start without a change repeats nothing.
    let bot = Bot::start(&settings).await;
    assert_eq!(bot.post(&single("Last", "warning", "firing", Timestamp::now())).await, 200);
    message_with(&emulator, NIGHT, &["Last"]).await;
    assert_eq!(emulator.messages(NIGHT).len(), count + 1);
}

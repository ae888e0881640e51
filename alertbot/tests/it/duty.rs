//! Recipients of unacknowledged incidents, and quiet hours of chats.

use jiff::Timestamp;
use telegram_emulator::{Emulator, Seed};

use crate::{
    bot::{ADA, BEHRANG, Bot, NIGHT, OPERATIONS, Settings, message_with, until},
    payloads::single,
};

const CHIOMA: i64 = 13;

/// Behrang replaces Ada; the next person of the other schedule is Ada or Chioma.
fn escalating() -> String {
    format!(
        "people:
  - {{name: ada, telegram: {ADA}}}
  - {{name: behrang, telegram: {BEHRANG}}}
  - {{name: chioma, telegram: {CHIOMA}}}
schedules:
  - name: primary
    layers:
      - people: [ada]
        starts: 2026-01-05T09:00
    overrides:
      - {{person: behrang, from: 2026-01-06T09:00, to: 2096-01-06T09:00}}
  - name: second
    layers:
      - people: [ada, chioma]
        starts: 2026-01-05T09:00
        turn: 1d
escalations:
  - name: all
    steps:
      - on_call: [primary]
      - {{after: 1s, next_on_call: [second], chats: [night]}}
    rounds: 1
    then_everyone: false
routes:
  - {{name: all, chats: [operations], escalation: all}}
"
    )
}

#[tokio::test]
async fn whoever_is_on_duty_is_told_then_whoever_comes_next_until_somebody_acknowledges() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    settings.rest = escalating();
    let bot = Bot::start(&settings).await;
    assert_eq!(bot.post(&single("DiskFull", "critical", "firing", Timestamp::now())).await, 200);
    message_with(&emulator, BEHRANG, &["DiskFull"]).await;
    message_with(&emulator, NIGHT, &["DiskFull"]).await;
    let notice = message_with(&emulator, OPERATIONS, &["not acknowledged: escalated to", "night"]).await;
    let told = |chat: i64| emulator.messages(chat).iter().any(|message| message.text.contains("DiskFull"));
    until("the next person is notified", async || told(ADA) || told(CHIOMA)).await;
    let next = if told(ADA) { "ada" } else { "chioma" };
    assert!(notice.text.contains(next) && !notice.silent, "{}", notice.text);
}

#[tokio::test]
async fn quiet_hours_mute_or_hold_what_is_not_critical() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    let quiet = "quiet_hours: [{from: \"00:00\", to: \"00:00\", severities: [info, warning], manner:";
    settings.rest = format!(
        "  - {{name: muted, id: {ADA}, {quiet} mute}}]}}\n  - {{name: held, id: {BEHRANG}, {quiet} hold}}]}}\n\
         routes:\n  - {{name: all, chats: [muted, held]}}\n"
    );
    let bot = Bot::start(&settings).await;
    assert_eq!(bot.post(&single("Slow", "warning", "firing", Timestamp::now())).await, 200);
    assert!(message_with(&emulator, ADA, &["Slow"]).await.silent);
    assert_eq!(bot.post(&single("Down", "critical", "firing", Timestamp::now())).await, 200);
    assert!(!message_with(&emulator, ADA, &["Down"]).await.silent);
    assert!(!message_with(&emulator, BEHRANG, &["Down"]).await.silent);
    let waiting = "alertbot_queued_messages{channel=\"telegram\",urgency=\"ordinary\"}";
    until("it waits", async || bot.metric(waiting).await >= 1.0).await;
    until("a held message is not late", async || bot.metric("alertbot_oldest_queued_seconds").await == 0.0).await;
    assert!(emulator.messages(BEHRANG).iter().all(|message| !message.text.contains("Slow")), "a held message is not sent");
}

/// Only an administrator can assign Chioma's night to another person. The override survives a restart, and its end is a handover.
#[tokio::test]
async fn an_override_by_command_counts_until_it_ends() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    settings.rest = format!(
        "people:
  - {{name: ada, telegram: {ADA}, role: admin}}
  - {{name: behrang, telegram: {BEHRANG}}}
  - {{name: chioma, telegram: {CHIOMA}}}
schedules:
  - name: primary
    layers: [{{people: [ada], starts: 2026-01-05T09:00}}]
    handover_chats: [night]
escalations:
  - {{name: all, rounds: 1, then_everyone: false, steps: [{{on_call: [primary]}}]}}
routes:
  - {{name: all, chats: [operations], escalation: all}}
"
    );
    let bot = Bot::start(&settings).await;
    let say = async |user: i64, text: &str, parts: &[&str]| {
        emulator.say(user, OPERATIONS, text).unwrap();
        message_with(&emulator, OPERATIONS, parts).await;
    };
    say(BEHRANG, "/override primary chioma 8h", &["role"]).await;
    say(BEHRANG, "/override primary never", &["/override primary [behrang] 8h | 08:00 | 2026-12-24T08:00 | off"]).await;
    say(ADA, "/override primary behrang 8h", &["primary: behrang is on duty until"]).await;
    message_with(&emulator, NIGHT, &["primary: behrang is on duty now, after ada."]).await;
    bot.stop().await;

    let bot = Bot::start(&settings).await;
    say(ADA, "/oncall", &["primary", "behrang", "then ada"]).await;
    assert_eq!(bot.post(&single("DiskFull", "critical", "firing", Timestamp::now())).await, 200);
    message_with(&emulator, BEHRANG, &["DiskFull"]).await;
    emulator.say(CHIOMA, OPERATIONS, "/override primary off").unwrap();
    let refused = || emulator.messages(OPERATIONS).iter().filter(|message| message.text.contains("role does not allow")).count();
    until("the second one is refused too", async || refused() == 2).await;
    say(BEHRANG, "/override primary off", &["the override has ended"]).await;
    message_with(&emulator, NIGHT, &["primary: ada is on duty now, after behrang."]).await;
    say(ADA, "/override primary off", &["no override by command"]).await;
    assert!(!emulator.messages(ADA).iter().any(|message| message.text.contains("DiskFull")));
}

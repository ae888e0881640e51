//! Escalation of unacknowledged incidents in Telegram. `phone` tests phones.

use axum::{Router, http::StatusCode};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use telegram_emulator::{Emulator, Seed};
use tokio::net::TcpListener;

use crate::{
    bot::{ADA, BEHRANG, Bot, NIGHT, OPERATIONS, Settings, message_with, until},
    payloads::{alert, group, single},
    people::button,
    program::Program,
};

const PEOPLE: &str = "
people:
  - {name: ada, telegram: 11, role: admin}
  - {name: behrang, telegram: 12}
";

fn policy(second: &str) -> String {
    format!(
        "{PEOPLE}
escalations:
  - name: calls
    steps:
      - {{people: [ada], by: [telegram]}}
      - {{after: {second}, people: [behrang], by: [telegram]}}
routes:
  - name: everything
    chats: [operations]
    escalation: calls
"
    )
}

#[tokio::test]
async fn a_step_that_came_due_while_the_bot_was_dead_is_taken_once_after_its_start() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    settings.rest = policy("2s");
    let mut program = Program::start(&mut settings, &[]).await;
    let began = Timestamp::now();
    assert_eq!(program.post(&single("DiskFull", "critical", "firing", began)).await, Some(200));
    message_with(&emulator, ADA, &["DiskFull"]).await;
    program.kill().await;
    assert!(emulator.messages(BEHRANG).is_empty(), "his time had not come");
    until("his time comes", async || Timestamp::now().duration_since(began) > SignedDuration::from_secs(3)).await;
    program.begin(&settings, &[]).await;
    message_with(&emulator, BEHRANG, &["DiskFull"]).await;
    assert_eq!(emulator.messages(BEHRANG).len(), 1);
}

#[tokio::test]
async fn an_acknowledgement_stops_the_steps_and_an_alert_that_joins_sounds_anew() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    settings.rest = policy("3s");
    let bot = Bot::start(&settings).await;
    let began = Timestamp::now();
    let labels = |instance: &str| serde_json::json!({"alertname": "DiskFull", "severity": "critical", "instance": instance});
    let one = alert("firing", labels("a:1"), began);
    assert_eq!(bot.post(&group("DiskFull", std::slice::from_ref(&one))).await, 200);
    let card = message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    emulator.press(ADA, OPERATIONS, card.id, &button(&card, "ack:")).unwrap();
    until("it is taken", async || {
        bot.metric("alertbot_open_incidents{phase=\"acknowledged\",severity=\"critical\"}").await == 1.0
    })
    .await;
    let two = alert("firing", labels("b:1"), Timestamp::now());
    assert_eq!(bot.post(&group("DiskFull", &[one, two])).await, 200);
    until("the second alert sounds", async || emulator.messages(OPERATIONS).len() == 2).await;
    let notice = emulator.messages(OPERATIONS).pop().unwrap();
    assert!(!notice.silent && notice.reply_to == Some(card.id), "{notice:?}");
    until("the second step would be due", async || Timestamp::now().duration_since(began) > SignedDuration::from_secs(6)).await;
    assert!(emulator.messages(BEHRANG).is_empty(), "ada has it: {:?}", emulator.messages(BEHRANG));
}

#[tokio::test]
async fn a_critical_that_telegram_holds_up_goes_to_the_next_person_in_time() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    // Without this, no one is called for an hour.
    settings.rest = policy("1h").replace("{people: [ada], by: [telegram]}", "{after: 1h, people: [behrang], by: [telegram]}");
    settings.rest += "incidents:\n  critical_within: 2s\n";
    let bot = Bot::start(&settings).await;
    let stopped = telegram_emulator::FaultKind::TooManyRequests { retry_after: Some(600) };
    emulator.fault(telegram_emulator::InjectedFault::new(stopped).in_chat(OPERATIONS));
    assert_eq!(bot.post(&single("DiskFull", "critical", "firing", Timestamp::now())).await, 200);
    message_with(&emulator, BEHRANG, &["DiskFull"]).await;
    let held: Vec<_> = emulator.calls().into_iter().filter(|call| call.chat == Some(OPERATIONS)).collect();
    assert_eq!(held.len(), 1, "nothing is sent inside its window: {held:?}");
    assert_eq!(bot.metric("alertbot_overdue_total").await, 1.0);
}

#[tokio::test]
async fn a_first_sms_that_the_provider_refuses_is_followed_by_the_next_step_half_a_minute_later() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let provider = Router::new().fallback(async || StatusCode::BAD_REQUEST);
    tokio::spawn(async move { axum::serve(listener, provider).await });
    let mut settings = Settings::new(&emulator, &folder);
    settings.rest = policy("1h")
        .replace("people: [ada], by: [telegram]", "people: [ada], by: [sms]")
        .replace("{name: ada, telegram: 11,", "{name: ada, phone: \"+15550100001\", sms: own,");
    settings.rest += &format!("providers:\n  - {{name: own, kind: generic, url: \"http://{address}/send\"}}\n");
    let bot = Bot::start(&settings).await;
    assert_eq!(bot.post(&single("DiskFull", "critical", "firing", Timestamp::now())).await, 200);
    until("it is refused", async || bot.metric("alertbot_given_up_total{channel=\"sms\",reason=\"refused\"}").await == 1.0).await;
    message_with(&emulator, BEHRANG, &["DiskFull"]).await;
}

/// A group whose alerts have several severities has none in common: it takes the routes of its worst one, at its beginning and
/// when a worse one joins.
#[tokio::test]
async fn the_worst_alert_of_a_group_decides_its_routes_also_when_it_joins_later() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    let critical = "  - name: critical\n    match: ['severity=~\"critical|page\"']\n    chats: [night]\n    escalation: calls\n";
    settings.rest = policy("1h").replace("    escalation: calls\n", "");
    settings.rest = settings.rest.replace("routes:\n", &format!("routes:\n{critical}    continue: true\n"));
    let bot = Bot::start(&settings).await;
    let began = Timestamp::now();
    let of = |name: &str, severity: &str| {
        alert("firing", serde_json::json!({"alertname": name, "severity": severity, "instance": severity}), began)
    };
    let mixed = |name: &str| {
        let mut group = group(name, &[of(name, "warning"), of(name, "critical")]);
        group["commonLabels"] = serde_json::json!({"alertname": name});
        group
    };
    assert_eq!(bot.post(&group("Grows", &[of("Grows", "warning")])).await, 200);
    message_with(&emulator, OPERATIONS, &["Grows"]).await;
    assert_eq!(bot.post(&mixed("Mixed")).await, 200);
    message_with(&emulator, NIGHT, &["Mixed"]).await;
    message_with(&emulator, ADA, &["Mixed"]).await;
    for chat in [NIGHT, ADA] {
        assert!(emulator.messages(chat).iter().all(|message| !message.text.contains("Grows")), "it is a warning");
    }
    assert_eq!(bot.post(&mixed("Grows")).await, 200);
    message_with(&emulator, NIGHT, &["Grows"]).await;
    message_with(&emulator, ADA, &["Grows"]).await;
    message_with(&emulator, OPERATIONS, &["Grows", "from warning"]).await;
}

#[tokio::test]
async fn a_handover_is_said_to_the_chat_and_to_both_people_also_when_the_bot_was_down() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    // An override starts while the bot is down.
    let at = TimeZone::UTC.to_datetime(Timestamp::now());
    let local =
        |seconds: i64| at.checked_add(SignedDuration::from_secs(seconds)).unwrap().strftime("%Y-%m-%dT%H:%M:%S").to_string();
    settings.rest = format!(
        "{PEOPLE}
schedules:
  - name: primary
    time_zone: UTC
    layers:
      - {{people: [ada], starts: 2026-01-05T09:00, turn: 1w}}
    overrides:
      - {{person: behrang, from: {}, to: {}}}
    handover_chats: [operations]
routes:
  - {{name: everything, chats: [operations]}}
",
        local(4),
        local(4000)
    );
    let bot = Bot::start(&settings).await;
    assert_eq!(bot.metric("alertbot_on_duty{schedule=\"primary\"}").await, 1.0);
    bot.stop().await;
    let from = TimeZone::UTC.to_timestamp(at).unwrap();
    until("behrang's time comes", async || Timestamp::now().duration_since(from) > SignedDuration::from_secs(5)).await;
    let _bot = Bot::start(&settings).await;
    message_with(&emulator, OPERATIONS, &["primary", "behrang", "ada"]).await;
    message_with(&emulator, ADA, &["primary", "behrang"]).await;
    message_with(&emulator, BEHRANG, &["primary"]).await;
}

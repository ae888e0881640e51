//! What people read: languages, templates, long texts, handovers; and what `check` and `test-send` say.

use std::process::{Command, Output};

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use serde_json::json;
use telegram_emulator::{Emulator, Seed};

use crate::{
    bot::{ADA, Bot, NIGHT, OPERATIONS, Settings, message_with, until},
    payloads::{alert, group, single},
};

#[tokio::test]
async fn one_incident_is_told_in_the_language_of_each_chat_by_the_template_of_the_configuration() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    settings.rest = format!(
        "  - name: persian\n    id: {ADA}\n    language: fa\nroutes:\n  - name: all\n    chats: [operations, persian]\n\
         templates:\n  telegram: |\n    <b>{{{{ title }}}}</b> {{{{ words.since }}}} {{{{ labels.instance }}}}\n"
    );
    let bot = Bot::start(&settings).await;
    assert_eq!(bot.post(&single("Disk<Full>", "critical", "firing", Timestamp::now())).await, 200);
    message_with(&emulator, OPERATIONS, &["Disk<Full> Since a:1"]).await;
    let persian = message_with(&emulator, ADA, &["\u{2068}Disk<Full>\u{2069} از \u{2068}a:1\u{2069}"]).await;
    assert!(persian.text.starts_with('\u{200f}'), "{:?}", persian.text);
    let buttons = serde_json::to_string(&json!(persian.keyboard)).unwrap();
    assert!(buttons.contains("می‌پذیرم"), "{buttons}");
}

/// Telegram takes 4096 units: what does not fit follows without a sound, as replies, and nothing of it is lost.
#[tokio::test]
async fn a_text_longer_than_a_message_follows_in_parts() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    settings.rest += "templates:\n  telegram: |\n    <b>{{ title }}</b>\n    {% for alert in alerts %}<i>{{ alert.status }} {{ alert.summary }}</i>\n    {% endfor %}\n";
    let bot = Bot::start(&settings).await;
    let alerts: Vec<_> = (0..10)
        .map(|one| {
            let mut alert = alert("firing", json!({"alertname": "Long", "i": one.to_string()}), Timestamp::now());
            alert["annotations"]["summary"] = json!(format!("begin{one} {} end{one}", "<word> ".repeat(200)));
            alert
        })
        .collect();
    assert_eq!(bot.post(&group("Long", &alerts)).await, 200);
    message_with(&emulator, OPERATIONS, &["end9"]).await;
    let messages = emulator.messages(OPERATIONS);
    assert!(messages.len() > 3 && !messages[0].silent, "{}", messages.len());
    for part in &messages[1..] {
        assert!(part.silent && part.reply_to == Some(messages[0].id), "{part:?}");
    }
    let all: String = messages.iter().map(|message| message.text.as_str()).collect();
    assert!((0..10).all(|one| all.contains(&format!("begin{one} ")) && all.contains(&format!("end{one}"))));
}

/// A card of two messages: the second one would say for ever that an ended alert fires.
#[tokio::test]
async fn what_follows_a_long_card_is_edited_when_it_ends() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    settings.rest +=
        "templates:\n  telegram: |\n    {% for alert in alerts %}{{ alert.status }} {{ alert.summary }}\n    {% endfor %}\n";
    let bot = Bot::start(&settings).await;
    let alerts: Vec<_> = (0..4)
        .map(|one| {
            let mut alert = alert("firing", json!({"alertname": "Long", "i": one.to_string()}), Timestamp::now());
            alert["annotations"]["summary"] = json!(format!("{} end{one}", "<word> ".repeat(200)));
            alert
        })
        .collect();
    assert_eq!(bot.post(&group("Long", &alerts)).await, 200);
    message_with(&emulator, OPERATIONS, &["end3"]).await;
    let messages = emulator.messages(OPERATIONS);
    // Its end is edited into all of them; a shorter card leaves nothing behind that still fires.
    let ended = |summary: Option<&str>| {
        let ended = alerts.iter().cloned().map(|mut alert| {
            alert["status"] = json!("resolved");
            alert["endsAt"] = json!(Timestamp::now().to_string());
            if let Some(summary) = summary {
                alert["annotations"]["summary"] = json!(summary);
            }
            alert
        });
        group("Long", &ended.collect::<Vec<_>>())
    };
    let parts = messages.len();
    assert_eq!(bot.post(&ended(None)).await, 200);
    until("every part says so", async || {
        let messages = emulator.messages(OPERATIONS);
        messages.len() == parts && messages.iter().all(|message| !message.text.contains("firing"))
    })
    .await;
    assert_eq!(bot.post(&group("Long", &alerts)).await, 200);
    until("every part fires again", async || {
        emulator.messages(OPERATIONS)[..parts].iter().all(|message| message.text.contains("firing"))
    })
    .await;
    assert_eq!(bot.post(&ended(Some("short"))).await, 200);
    until("the rest is empty", async || {
        let messages = emulator.messages(OPERATIONS);
        !messages[0].text.contains("word") && messages[1..parts].iter().all(|message| message.text == "🟢 #1")
    })
    .await;
}

#[tokio::test]
async fn a_handover_is_said_once_to_those_who_come_and_go() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    let local = |seconds: i64| (TimeZone::UTC.to_datetime(Timestamp::now()) + seconds.seconds()).strftime("%Y-%m-%dT%H:%M:%S");
    settings.rest += &format!(
        "people:\n  - name: ada\n    telegram: {ADA}\n  - name: behrang\n    telegram: 12\n    language: fa\n\
         schedules:\n  - name: primary\n    layers:\n      - people: [ada]\n        starts: 2026-01-05T09:00\n\
         \x20   overrides:\n      - person: behrang\n        from: {}\n        to: {}\n    handover_chats: [night]\n",
        local(3),
        local(7200)
    );
    let bot = Bot::start(&settings).await;
    message_with(&emulator, NIGHT, &["primary: behrang is on duty now, after ada."]).await;
    message_with(&emulator, 12, &["کشیک شما آغاز شد", "primary"]).await;
    message_with(&emulator, ADA, &["Your duty has ended: primary. On duty now: behrang."]).await;
    bot.stop().await;
    let _bot = Bot::start(&settings).await;
    until("it is said once", async || emulator.messages(NIGHT).len() == 1).await;
}

fn alertbot(settings: &Settings, folder: &tempfile::TempDir, words: &[&str]) -> Output {
    let file = folder.path().join("alertbot.yaml");
    std::fs::write(&file, settings.yaml()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_alertbot"));
    command.args(words).arg("--config").arg(&file).env_clear().envs(settings.variables());
    command.output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_every_fault_and_what_would_be_sent() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    let right = alertbot(&settings, &folder, &["check"]);
    let said = String::from_utf8_lossy(&right.stdout).into_owned();
    assert!(right.status.success() && said.contains("🔴 /var of db-1 is 97 % full") && said.contains("no faults"), "{said}");
    settings.rest =
        "people:\n  - name: ada\n    phone: \"12\"\nroutes:\n  - name: all\n    chats: [nowhere]\n    unknown: 1\n".into();
    let wrong = alertbot(&settings, &folder, &["check"]);
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert_eq!(wrong.status.code(), Some(64), "{said}");
    for part in ["4 faults:", "people[0].phone", "routes[0].chats", "routes[0].unknown", "alertbot.yaml:"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let help = alertbot(&settings, &folder, &["check", "--templates"]);
    assert!(String::from_utf8_lossy(&help.stdout).contains("## templates.telegram"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_message_goes_by_the_real_way_and_says_what_came_of_it() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    settings.rest = format!("  - name: gone\n    id: -1009\n{}", settings.rest);
    let sent = alertbot(&settings, &folder, &["test-send", "--chat", "operations"]);
    assert!(sent.status.success(), "{sent:?}");
    message_with(&emulator, OPERATIONS, &["Test message"]).await;
    let all = alertbot(&settings, &folder, &["test-send"]);
    let said = String::from_utf8_lossy(&all.stdout).into_owned();
    assert!(
        !all.status.success() && said.contains("chat operations: delivered") && said.contains("chat gone: refused"),
        "{said}"
    );
    let nobody = alertbot(&settings, &folder, &["test-send", "--person", "nobody"]);
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("the configuration has no person named nobody"));
    assert!(!folder.path().join("alertbot.db").exists(), "a test leaves no trace in the store");
}

//! Silences and the comparison with a real Alertmanager.

use jiff::Timestamp;
use local_parts::{Alertmanager, AlertmanagerOptions, StopSignal, free_ports};
use serde_json::{Value, json};
use telegram_emulator::{Emulator, Seed};

use crate::{
    bot::{ADA, BEHRANG, Bot, OPERATIONS, ROUTES, Settings, WEBHOOK_TOKEN, message_with, until},
    people::{answer_to, button},
};

const PEOPLE: &str = "
people:
  - name: ada
    telegram: 11
    role: admin
  - name: behrang
    telegram: 12
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

pub async fn silences(alertmanager: &Alertmanager) -> Vec<Value> {
    let reply = reqwest::get(format!("{}/api/v2/silences", alertmanager.url())).await.unwrap();
    reply.json().await.unwrap()
}

#[tokio::test]
async fn a_silence_is_in_alertmanager_once_the_press_is_answered_and_a_silenced_end_is_edited_in() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let (bot, alertmanager) = pair(&emulator, &folder, PEOPLE).await;
    alertmanager.post_alerts(&posted("DiskFull", "critical", None)).await.unwrap();
    let card = message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    let pressed = emulator.press(ADA, OPERATIONS, card.id, &button(&card, "sil:")).unwrap();
    answer_to(&emulator, &pressed).await;
    let silence = silences(&alertmanager).await.remove(0);
    assert_eq!(silence["createdBy"], "ada");
    assert_eq!(silence["matchers"].as_array().unwrap().len(), 3, "the alert's full labels: {silence}");

    // Nothing comes by webhook from now on; the end is found by comparing.
    alertmanager.post_alerts(&posted("DiskFull", "critical", Some(Timestamp::now()))).await.unwrap();
    until("the incident has ended", async || {
        bot.metric("alertbot_open_incidents{phase=\"firing\",severity=\"critical\"}").await == 0.0
            && emulator.messages(OPERATIONS)[0].edited.is_some()
    })
    .await;
    until("the silence ended with it", async || silences(&alertmanager).await[0]["status"]["state"] == "expired").await;
    assert_eq!(emulator.messages(OPERATIONS).len(), 1, "no sound: {:?}", emulator.messages(OPERATIONS));
}

#[tokio::test]
async fn the_button_ends_the_silence_in_alertmanager_and_the_old_buttons_come_back() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let (bot, alertmanager) = pair(&emulator, &folder, PEOPLE).await;
    alertmanager.post_alerts(&posted("DiskFull", "critical", None)).await.unwrap();
    let card = message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    emulator.press(ADA, OPERATIONS, card.id, &button(&card, "sil:")).unwrap();
    let shown = || emulator.messages(OPERATIONS).remove(0);
    let offers = |data: &str| shown().buttons().iter().any(|(_, known)| known.starts_with(data));
    until("the card offers its end", async || offers("uns:")).await;
    assert!(shown().text.contains("Silenced by ada until") && !offers("sil:"), "{:?}", shown());
    assert_eq!(silences(&alertmanager).await[0]["status"]["state"], "active");

    let pressed = emulator.press(BEHRANG, OPERATIONS, card.id, &button(&shown(), "uns:")).unwrap();
    assert!(answer_to(&emulator, &pressed).await.contains("role does not allow"), "another's silence ends by an administrator");
    assert_eq!(silences(&alertmanager).await[0]["status"]["state"], "active");
    let pressed = emulator.press(ADA, OPERATIONS, card.id, &button(&shown(), "uns:")).unwrap();
    assert!(answer_to(&emulator, &pressed).await.contains("The silence has ended"));
    until("it has ended there", async || silences(&alertmanager).await[0]["status"]["state"] == "expired").await;
    until("the card offers silences again", async || offers("sil:") && !offers("uns:")).await;
    assert!(!shown().text.contains("Silenced by"), "{}", shown().text);
    assert_eq!(bot.metric("alertbot_actions_total{action=\"unsilence\",outcome=\"done\"}").await, 1.0);
    until("it still fires", async || bot.metric("alertbot_open_incidents{phase=\"firing\",severity=\"critical\"}").await == 1.0)
        .await;
    assert_eq!(emulator.messages(OPERATIONS).len(), 1, "no sound: {:?}", emulator.messages(OPERATIONS));
}

/// With `max_alerts` a webhook names one alert and counts the others, and its status speaks of that one only.
#[tokio::test]
async fn a_group_whose_list_was_cut_is_read_whole_and_its_end_is_found() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let (bot, alertmanager) = pair(&emulator, &folder, PEOPLE).await;
    let cut = configuration(&bot.url).replacen("- url:", "- max_alerts: 1\n        url:", 1);
    assert!(cut.contains("max_alerts"));
    alertmanager.reload(&cut).await.unwrap();
    let all = |ends_at: Option<Timestamp>| -> Value {
        let alerts = (0..3).map(|number| {
            let mut alert = posted("NodeDown", "critical", ends_at)[0].clone();
            alert["labels"]["instance"] = format!("node-{number}:1").into();
            alert
        });
        alerts.collect()
    };
    alertmanager.post_alerts(&all(None)).await.unwrap();
    message_with(&emulator, OPERATIONS, &["NodeDown"]).await;
    let card = || emulator.messages(OPERATIONS).remove(0);
    until("all are named", async || (0..3).all(|number| card().text.contains(&format!("node-{number}:1")))).await;
    let open = "alertbot_open_incidents{phase=\"firing\",severity=\"critical\"}";
    until("it is open", async || bot.metric(open).await == 1.0).await;

    alertmanager.post_alerts(&all(Some(Timestamp::now()))).await.unwrap();
    until("its end is edited in", async || card().text.contains("resolved")).await;
    until("it has ended", async || bot.metric(open).await == 0.0).await;
}

/// An Alertmanager that was just started knows little: nothing that it does not know has ended, nor while it does not answer.
#[tokio::test]
async fn what_a_restarted_alertmanager_has_not_is_not_taken_for_ended() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let [port] = free_ports().unwrap();
    let start = async |configuration: String| {
        Alertmanager::start(AlertmanagerOptions { configuration, port: Some(port), ..Default::default() }).await.unwrap()
    };
    let mut settings = Settings::new(&emulator, &folder);
    settings.rest = format!("{ROUTES}incidents:\n  reconcile_every: 1s\n");
    settings.alertmanager = format!("    urls: [\"http://127.0.0.1:{port}\"]");
    let bot = Bot::start(&settings).await;
    let compared = async |outcome: &str| {
        bot.metric(&format!("alertbot_reconciliations_total{{alertmanager=\"main\",outcome=\"{outcome}\"}}")).await
    };
    let last = "alertbot_reconciled_timestamp_seconds{alertmanager=\"main\"}";
    until("the first comparison fails", async || compared("failed").await >= 1.0).await;
    assert!(bot.metric(last).await > 0.0, "the age of the last comparison counts from the start");

    let mut alertmanager = start(configuration(&bot.url)).await;
    alertmanager.post_alerts(&posted("DiskFull", "critical", None)).await.unwrap();
    message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    alertmanager.stop(StopSignal::Kill).await.unwrap();
    let failed = compared("failed").await;
    until("it does not answer", async || compared("failed").await >= failed + 2.0).await;
    // Its memory is gone with its folder.
    let _empty = start(configuration(&bot.url)).await;
    let resting = compared("resting").await;
    until("it has been read again and again", async || compared("resting").await >= resting + 4.0).await;
    assert_eq!(emulator.messages(OPERATIONS)[0].edited, None);
    assert_eq!(bot.metric("alertbot_open_incidents{phase=\"firing\",severity=\"critical\"}").await, 1.0);
}

/// One more than what a silence may cover without a question.
const MANY: usize = 21;

#[tokio::test]
async fn a_silence_over_more_than_twenty_alerts_is_set_when_somebody_confirms_it() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let (bot, alertmanager) = pair(&emulator, &folder, PEOPLE).await;
    let alert = |number: usize| {
        let labels = json!({"alertname": "NodeDown", "severity": "critical", "instance": format!("node-{number:02}:1")});
        json!({"labels": labels, "annotations": {"summary": "is gone"}})
    };
    alertmanager.post_alerts(&(0..MANY).map(alert).collect()).await.unwrap();
    // The card may have begun with fewer of them: the silence is over what they share.
    until("the bot knows all of them", async || {
        bot.metric("alertbot_alerts_received_total{alertmanager=\"main\",status=\"firing\"}").await >= MANY as f64
    })
    .await;
    let card = message_with(&emulator, OPERATIONS, &["NodeDown"]).await;
    let pressed = emulator.press(ADA, OPERATIONS, card.id, "sil:1:4").unwrap();
    let asked = answer_to(&emulator, &pressed).await;
    assert!(asked.contains("would cover 21 firing alerts for 4 h"), "{asked}");
    let question = message_with(&emulator, OPERATIONS, &["would cover 21 firing alerts"]).await;
    assert!(question.silent && question.reply_to == Some(card.id), "{question:?}");
    assert_eq!(silences(&alertmanager).await, Vec::<Value>::new(), "nothing is set before somebody confirms");

    let (words, data) = question.buttons().remove(0);
    assert_eq!((words.as_str(), data.as_str()), ("Silence 4h (21)", "yes:1:4"));
    let pressed = emulator.press(ADA, OPERATIONS, question.id, &data).unwrap();
    let done = answer_to(&emulator, &pressed).await;
    assert!(done.contains("21 firing alerts match"), "{done}");
    let set = silences(&alertmanager).await;
    assert_eq!((set.len(), set[0]["createdBy"].as_str()), (1, Some("ada")));
    let names = |silence: &Value| -> Vec<String> {
        silence["matchers"].as_array().unwrap().iter().map(|matcher| matcher["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&set[0]), ["alertname", "severity"], "what they share, and no single one");
    // As many as the setting says need no question.
    alertmanager.post_alerts(&posted("DiskFull", "critical", None)).await.unwrap();
    let other = message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    let pressed = emulator.press(ADA, OPERATIONS, other.id, &button(&other, "sil:")).unwrap();
    assert!(answer_to(&emulator, &pressed).await.contains("1 firing alerts match"));
}

/// The symptom came first. Once Alertmanager inhibits it, its card names the cause before its own summary, and no one is called
/// for it.
#[tokio::test]
async fn the_card_of_an_inhibited_alert_names_the_cause_first() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let (bot, alertmanager) = pair(&emulator, &folder, PEOPLE).await;
    let inhibition = "inhibit_rules:
  - source_matchers: ['alertname=\"PostgresDown\"']
    target_matchers: ['alertname=\"NoLeader\"']
";
    alertmanager.reload(&format!("{}{inhibition}", configuration(&bot.url))).await.unwrap();
    alertmanager.post_alerts(&posted("NoLeader", "critical", None)).await.unwrap();
    let symptom = message_with(&emulator, OPERATIONS, &["NoLeader"]).await;
    alertmanager.post_alerts(&posted("PostgresDown", "critical", None)).await.unwrap();
    message_with(&emulator, OPERATIONS, &["PostgresDown is wrong"]).await;
    let first_line = || {
        let message = emulator.messages(OPERATIONS).into_iter().find(|message| message.id == symptom.id).unwrap();
        message.text.lines().next().unwrap_or_default().to_owned()
    };
    let named = "Caused by PostgresDown #2 · NoLeader is wrong";
    until("the card names the cause", async || first_line().ends_with(named)).await;
    emulator.say(ADA, OPERATIONS, "/alerts").unwrap();
    let list = message_with(&emulator, OPERATIONS, &["2 open:"]).await.text;
    assert!(list.find("PostgresDown").unwrap() < list.find("NoLeader").unwrap(), "{list}");
    alertmanager.post_alerts(&posted("PostgresDown", "critical", Some(Timestamp::now()))).await.unwrap();
    until("the cause has ended", async || !first_line().contains("Caused by")).await;
}

//! The route tree of Alertmanager is edited: alerts come in groups of another name. An alert is known by its fingerprint.

use jiff::Timestamp;
use serde_json::{Value, json};
use telegram_emulator::{ChatMessage, Emulator, Seed};

use crate::{
    bot::{ADA, BEHRANG, Bot, OPERATIONS, Settings, message_with, until},
    payloads::{alert, group},
    people::button,
};

const POLICY: &str = "
people:
  - {name: ada, telegram: 11, role: admin}
  - {name: behrang, telegram: 12}
escalations:
  - name: calls
    steps:
      - {people: [behrang], by: [telegram], after: 1s}
routes:
  - name: everything
    chats: [operations]
    escalation: calls
";
const ACKNOWLEDGED: &str = "alertbot_open_incidents{phase=\"acknowledged\",severity=\"critical\"}";
const OPENED: &str = "alertbot_webhooks_total{alertmanager=\"main\",outcome=\"opened\"}";

fn disk(instance: &str, status: &str, began: Timestamp) -> Value {
    alert(status, json!({"alertname": "DiskFull", "severity": "critical", "instance": instance}), began)
}

async fn acknowledged(emulator: &Emulator, bot: &Bot, alerts: &[Value]) -> ChatMessage {
    assert_eq!(bot.post(&group("DiskFull", alerts)).await, 200);
    let card = message_with(emulator, OPERATIONS, &["DiskFull"]).await;
    emulator.press(ADA, OPERATIONS, card.id, &button(&card, "ack:")).unwrap();
    until("ada has it", async || bot.metric(ACKNOWLEDGED).await == 1.0).await;
    card
}

#[tokio::test]
async fn an_acknowledged_alert_in_a_new_group_stays_acknowledged() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    settings.rest = POLICY.replace("after: 1s", "after: 3s");
    let bot = Bot::start(&settings).await;
    let began = Timestamp::now();
    let alerts = [disk("a:1", "firing", began), disk("b:1", "firing", began)];
    acknowledged(&emulator, &bot, &alerts).await;
    // Grouped by instance, then by nothing, then under a receiver of another name.
    let by_instance = |index: usize| {
        let mut payload = group("DiskFull", &alerts[index..=index]);
        payload["groupKey"] = json!(format!("{{}}/{{}}:{{instance=\"{index}\"}}"));
        payload["groupLabels"] = json!({"instance": alerts[index]["labels"]["instance"]});
        payload
    };
    let mut all = group("everything", &alerts);
    all["groupLabels"] = json!({});
    let mut renamed = all.clone();
    renamed["receiver"] = json!("telegram");
    for payload in [by_instance(0), by_instance(1), all, renamed.clone()] {
        assert_eq!(bot.post(&payload).await, 200);
    }
    assert_eq!(bot.metric(OPENED).await, 1.0, "one incident");
    // Its end is reported in the newest group.
    renamed["status"] = json!("resolved");
    renamed["alerts"] = json!([disk("a:1", "resolved", began), disk("b:1", "resolved", began)]);
    assert_eq!(bot.post(&renamed).await, 200);
    until("the incident has ended", async || bot.metric(ACKNOWLEDGED).await == 0.0).await;
    assert_eq!(emulator.messages(OPERATIONS).len(), 1, "{:?}", emulator.messages(OPERATIONS));
    assert_eq!(emulator.messages(BEHRANG), []);
}

#[tokio::test]
async fn alerts_of_two_incidents_that_become_one_group_stay_with_their_incidents() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let bot = Bot::start(&Settings::new(&emulator, &folder)).await;
    let began = Timestamp::now();
    let (first, second) = (disk("a:1", "firing", began), disk("b:1", "firing", began));
    for (key, one) in [("first", &first), ("second", &second)] {
        assert_eq!(bot.post(&group(key, std::slice::from_ref(one))).await, 200);
    }
    assert_eq!(bot.post(&group("both", &[first.clone(), second.clone()])).await, 200);
    assert_eq!(bot.metric(OPENED).await, 2.0);
    assert_eq!(bot.post(&group("both", &[disk("a:1", "resolved", began), second])).await, 200);
    let open = "alertbot_open_incidents{phase=\"firing\",severity=\"critical\"}";
    until("the first one has ended", async || bot.metric(open).await == 1.0).await;
    message_with(&emulator, OPERATIONS, &["#1", "resolved"]).await;
}

/// Alertmanager is reached at another address now: the links of an open incident lead there.
#[tokio::test]
async fn links_follow_the_address_of_alertmanager() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let bot = Bot::start(&Settings::new(&emulator, &folder)).await;
    let began = Timestamp::now();
    let linked = |address: &str, alerts: &[Value]| {
        let mut payload = group("DiskFull", alerts);
        payload["externalURL"] = address.into();
        payload
    };
    let links = |message: &ChatMessage| serde_json::to_string(&message.entities).unwrap();
    assert_eq!(bot.post(&linked("https://old.example.com", &[disk("a:1", "firing", began)])).await, 200);
    let card = message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    assert!(links(&card).contains("https://old.example.com/#/silences/new"), "{}", links(&card));
    // A repetition brings no news, but the next change has the new links.
    assert_eq!(bot.post(&linked("https://new.example.com", &[disk("a:1", "firing", began)])).await, 200);
    let both = [disk("a:1", "firing", began), disk("b:1", "firing", began)];
    assert_eq!(bot.post(&linked("https://new.example.com", &both)).await, 200);
    until("the card has the new link", async || {
        emulator
            .messages(OPERATIONS)
            .iter()
            .any(|message| message.id == card.id && links(message).contains("https://new.example.com/"))
    })
    .await;
}

//! What people press and write, and what they may not.

use jiff::Timestamp;
use telegram_emulator::{ANONYMOUS_ADMIN, Emulator, FaultKind, InjectedFault, Seed};

use crate::{
    bot::{ADA, BEHRANG, Bot, DEADLINE, OPERATIONS, ROUTES, Settings, message_with, until},
    payloads::{alert, group, single},
};

const PEOPLE: &str = "
people:
  - name: ada
    telegram: 11
    role: admin
  - name: behrang
    telegram: 12
    role: viewer
";

async fn bot_with_people(emulator: &Emulator, folder: &tempfile::TempDir) -> Bot {
    let mut settings = Settings::new(emulator, folder);
    settings.rest = format!("{ROUTES}{PEOPLE}");
    Bot::start(&settings).await
}

/// The data of the button whose data begins so.
pub fn button(message: &telegram_emulator::ChatMessage, data: &str) -> String {
    let buttons = message.buttons();
    let found = buttons.iter().find(|(_, known)| known.starts_with(data));
    found.unwrap_or_else(|| panic!("no button {data} among {buttons:?}")).1.clone()
}

/// The answer to a press.
pub async fn answer_to(emulator: &Emulator, press: &str) -> String {
    let answered = emulator.until(DEADLINE, |world| {
        world.callbacks.iter().find(|callback| callback.id == press)?.answer.as_ref().map(|answer| format!("{answer:?}"))
    });
    answered.await.unwrap()
}

#[tokio::test]
async fn a_press_is_answered_and_edits_the_message_and_only_those_who_may_can() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let bot = bot_with_people(&emulator, &folder).await;
    assert_eq!(bot.post(&single("DiskFull", "critical", "firing", Timestamp::now())).await, 200);
    let card = message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    let acknowledge = button(&card, "ack:");

    let refused = emulator.press(BEHRANG, OPERATIONS, card.id, &acknowledge).unwrap();
    assert!(answer_to(&emulator, &refused).await.contains("does not allow"));
    let stranger = emulator.press(13, OPERATIONS, card.id, &acknowledge).unwrap();
    assert!(answer_to(&emulator, &stranger).await.contains("not authorized"));
    assert!(emulator.messages(OPERATIONS)[0].edited.is_none(), "nothing was done");

    let pressed = emulator.press(ADA, OPERATIONS, card.id, &acknowledge).unwrap();
    assert!(answer_to(&emulator, &pressed).await.contains("You acknowledged #1"));
    until("who took it is edited in", async || emulator.messages(OPERATIONS)[0].text.contains("ada")).await;
    let twice = emulator.press(ADA, OPERATIONS, card.id, &acknowledge);
    if let Ok(twice) = twice {
        assert!(answer_to(&emulator, &twice).await.contains("already acknowledged"));
    }
    assert_eq!(bot.metric("alertbot_actions_total{action=\"acknowledge\",outcome=\"done\"}").await, 1.0);
    assert_eq!(bot.metric("alertbot_actions_total{action=\"acknowledge\",outcome=\"refused\"}").await, 2.0);
}

#[tokio::test]
async fn commands_are_answered_where_they_were_written() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let bot = bot_with_people(&emulator, &folder).await;
    emulator.say(ADA, ADA, "/alerts").unwrap();
    message_with(&emulator, ADA, &["No open incidents"]).await;
    assert_eq!(bot.post(&single("Disk<Full>", "critical", "firing", Timestamp::now())).await, 200);
    message_with(&emulator, OPERATIONS, &["Disk<Full>"]).await;
    emulator.say(ADA, ADA, "/alerts").unwrap();
    message_with(&emulator, ADA, &["1 open", "#1", "Disk<Full>"]).await;
    emulator.say(ADA, ADA, "/ack 99").unwrap();
    message_with(&emulator, ADA, &["no open incident 99"]).await;
    emulator.say(ADA, OPERATIONS, "/ack 1").unwrap();
    message_with(&emulator, OPERATIONS, &["You acknowledged #1"]).await;
    until("it counts as the button does", async || {
        bot.metric("alertbot_actions_total{action=\"acknowledge\",outcome=\"done\"}").await == 1.0
    })
    .await;
    emulator.say(ADA, ADA, "/oncall").unwrap();
    message_with(&emulator, ADA, &["no schedules"]).await;
    emulator.say(BEHRANG, BEHRANG, "/alerts").unwrap();
    message_with(&emulator, BEHRANG, &["1 open"]).await;
    emulator.say(BEHRANG, BEHRANG, "/graph up").unwrap();
    message_with(&emulator, BEHRANG, &["role does not allow"]).await;
    emulator.say(13, OPERATIONS, "/alerts").unwrap();
    message_with(&emulator, OPERATIONS, &["not authorized", "13"]).await;
    emulator.say(ANONYMOUS_ADMIN, OPERATIONS, "/ack 1").unwrap();
    message_with(&emulator, OPERATIONS, &["sender is unknown"]).await;
}

const CHIOMA: i64 = 13;

/// One that nobody here knows, and that has no expression's page to read: whatever the buttons need of it fails at once.
const UNREACHABLE: &str = "    urls: [\"http://127.0.0.1:1\"]\n    prometheus: http://127.0.0.1:1\n";

#[tokio::test]
async fn graph_escalate_and_give_back_do_what_they_say_while_it_is_open() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    let calls = "escalations:\n  - {name: calls, steps: [{after: 1h, people: [chioma], by: [telegram]}]}\n";
    settings.rest = format!("{ROUTES}    escalation: calls\n{PEOPLE}  - name: chioma\n    telegram: {CHIOMA}\n{calls}");
    settings.alertmanager = UNREACHABLE.into();
    let bot = Bot::start(&settings).await;
    let began = Timestamp::now();
    assert_eq!(bot.post(&single("DiskFull", "critical", "firing", began)).await, 200);
    let card = message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    let shown = || emulator.messages(OPERATIONS).remove(0);
    let press = async |user: i64, data: &str| {
        let pressed = emulator.press(user, OPERATIONS, card.id, &button(&shown(), data)).unwrap();
        answer_to(&emulator, &pressed).await
    };

    assert!(press(BEHRANG, "gra:").await.contains("The chart follows"), "who only asks may look");
    let failed = message_with(&emulator, OPERATIONS, &["No chart."]).await;
    assert!(failed.silent && failed.reply_to == Some(card.id), "{failed:?}");

    assert!(press(BEHRANG, "esc:").await.contains("does not allow"));
    assert!(press(ADA, "esc:").await.contains("Notifying the next step"));
    message_with(&emulator, CHIOMA, &["DiskFull"]).await;
    message_with(&emulator, OPERATIONS, &["ada escalated to chioma"]).await;

    assert!(press(ADA, "ack:").await.contains("You acknowledged #1"));
    until("it can be given back", async || shown().buttons().iter().any(|(_, data)| data.starts_with("rel:"))).await;
    assert!(press(ADA, "rel:").await.contains("Unassigned"));
    let notice = message_with(&emulator, OPERATIONS, &["unassigned: the acknowledgement by ada ended"]).await;
    assert!(!notice.silent && notice.reply_to == Some(card.id), "{notice:?}");
    until("it can be taken again", async || shown().buttons().iter().any(|(_, data)| data.starts_with("ack:"))).await;

    // A card that was not edited yet still offers to release an incident that has ended.
    assert!(press(ADA, "ack:").await.contains("You acknowledged #1"));
    until("the card offers it", async || shown().buttons().iter().any(|(_, data)| data.starts_with("rel:"))).await;
    emulator.fault(InjectedFault::new(FaultKind::ServerError { code: 500 }).on("editMessageText"));
    assert_eq!(bot.post(&single("DiskFull", "critical", "resolved", began)).await, 200);
    assert!(press(ADA, "rel:").await.contains("The incident is closed"));
    assert_eq!(bot.metric("alertbot_actions_total{action=\"release\",outcome=\"nothing\"}").await, 1.0);
    until("nothing is open", async || {
        bot.metric("alertbot_open_incidents{phase=\"firing\",severity=\"critical\"}").await == 0.0
            && bot.metric("alertbot_open_incidents{phase=\"acknowledged\",severity=\"critical\"}").await == 0.0
    })
    .await;
}

#[tokio::test]
async fn one_button_acknowledges_all_that_a_digest_names() {
    const WARNINGS: usize = 20;
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let bot = bot_with_people(&emulator, &folder).await;
    emulator.fault(InjectedFault::new(FaultKind::TooManyRequests { retry_after: Some(4) }).in_chat(OPERATIONS).times(1));
    for number in 0..WARNINGS {
        assert_eq!(bot.post(&single(&format!("Many{number}x"), "warning", "firing", Timestamp::now())).await, 200);
    }
    let digest = message_with(&emulator, OPERATIONS, &["20 alerts at once", "Many0x", "Many19x"]).await;
    let pressed = emulator.press(ADA, OPERATIONS, digest.id, &button(&digest, "all:")).unwrap();
    assert!(answer_to(&emulator, &pressed).await.contains("20 acknowledged"));
    until("all are taken", async || {
        bot.metric("alertbot_open_incidents{phase=\"acknowledged\",severity=\"warning\"}").await == WARNINGS as f64
    })
    .await;
}

/// The answers of a digest are lost twice: its incidents are sent again, marked as possible repetitions.
#[tokio::test]
async fn what_a_digest_without_an_answer_named_is_marked_when_sent_again() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let bot = bot_with_people(&emulator, &folder).await;
    emulator.fault(InjectedFault::new(FaultKind::TooManyRequests { retry_after: Some(4) }).in_chat(OPERATIONS).times(1));
    emulator.fault(InjectedFault::new(FaultKind::AnswerLost).in_chat(OPERATIONS).on("sendMessage").times(2));
    for number in 0..20 {
        assert_eq!(bot.post(&single(&format!("Many{number}x"), "warning", "firing", Timestamp::now())).await, 200);
    }
    let naming =
        || emulator.messages(OPERATIONS).into_iter().filter(|message| message.text.contains("Many7x")).collect::<Vec<_>>();
    until("it is sent a third time", async || naming().len() >= 3).await;
    let marked: Vec<bool> = naming().iter().map(|message| message.text.contains("Possible duplicate")).collect();
    assert_eq!(marked[..3], [false, true, true], "{:?}", naming());
}

#[tokio::test]
async fn another_chat_is_no_place_to_ask_and_a_silence_over_everything_is_not_set() {
    const OTHER: i64 = -1_001_000_000_003;
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    settings.rest = format!("{ROUTES}{PEOPLE}");
    settings.alertmanager = UNREACHABLE.into();
    let bot = Bot::start(&settings).await;
    emulator.say(ADA, OTHER, "/alerts").unwrap();
    message_with(&emulator, OTHER, &["This chat is not in the configuration"]).await;

    let labels = |number: u8| serde_json::json!({ format!("label{number}"): "x" });
    let alerts = [1, 2].map(|number| alert("firing", labels(number), Timestamp::now()));
    let mut nothing_shared = group("Odd", &alerts);
    nothing_shared["commonLabels"] = serde_json::json!({});
    assert_eq!(bot.post(&nothing_shared).await, 200);
    let card = message_with(&emulator, OPERATIONS, &["#1"]).await;
    let pressed = emulator.press(ADA, OPERATIONS, card.id, &button(&card, "sil:")).unwrap();
    assert!(answer_to(&emulator, &pressed).await.contains("The alerts share no label"));
    assert_eq!(bot.metric("alertbot_actions_total{action=\"silence\",outcome=\"refused\"}").await, 1.0);
}

#[tokio::test]
async fn an_administrator_hands_an_incident_over_and_who_has_it_now_is_called_by_name() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    settings.rest = format!("{ROUTES}{PEOPLE}  - name: chioma\n    telegram: {CHIOMA}\n");
    let bot = Bot::start(&settings).await;
    assert_eq!(bot.post(&single("DiskFull", "critical", "firing", Timestamp::now())).await, 200);
    let card = message_with(&emulator, OPERATIONS, &["DiskFull"]).await;

    emulator.say(CHIOMA, OPERATIONS, "/assign 1 chioma").unwrap();
    message_with(&emulator, OPERATIONS, &["role does not allow"]).await;
    emulator.say(ADA, OPERATIONS, "/assign 1 nobody").unwrap();
    message_with(&emulator, OPERATIONS, &["Usage: /assign 12 name"]).await;
    assert!(emulator.messages(OPERATIONS)[0].edited.is_none(), "nothing was done");

    emulator.say(ADA, OPERATIONS, "/assign 1 chioma").unwrap();
    message_with(&emulator, OPERATIONS, &["Assigned to chioma"]).await;
    let notice = message_with(&emulator, OPERATIONS, &["ada assigned it to chioma"]).await;
    assert!(!notice.silent && notice.reply_to == Some(card.id), "{notice:?}");
    let mention = format!("{:?}", notice.entities);
    assert!(mention.contains(&CHIOMA.to_string()), "a mention rings where the chat is muted: {mention}");
    until("who has it is edited in", async || emulator.messages(OPERATIONS)[0].text.contains("Acknowledged by chioma")).await;
    until("it counts as taken", async || {
        bot.metric("alertbot_open_incidents{phase=\"acknowledged\",severity=\"critical\"}").await == 1.0
    })
    .await;

    // A reply to the card names it as well.
    emulator.change(|world| world.say(ADA, OPERATIONS, "/assign ada", None, Some(card.id))).unwrap();
    until("who has it now is edited in", async || emulator.messages(OPERATIONS)[0].text.contains("Acknowledged by ada")).await;
    assert_eq!(bot.metric("alertbot_actions_total{action=\"assign\",outcome=\"done\"}").await, 2.0);
    assert_eq!(bot.metric("alertbot_actions_total{action=\"assign\",outcome=\"refused\"}").await, 1.0);
}

/// Of an old message Telegram says only where it is.
#[tokio::test]
async fn buttons_of_an_old_message_work() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let bot = bot_with_people(&emulator, &folder).await;
    assert_eq!(bot.post(&single("DiskFull", "critical", "firing", Timestamp::now())).await, 200);
    let card = message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    emulator.age(OPERATIONS, card.id).unwrap();
    for (who, said) in [(BEHRANG, "does not allow"), (ADA, "You acknowledged #1")] {
        let pressed = emulator.press(who, OPERATIONS, card.id, &button(&card, "ack:")).unwrap();
        assert!(answer_to(&emulator, &pressed).await.contains(said));
    }
    until("who took it is edited in", async || emulator.messages(OPERATIONS)[0].text.contains("ada")).await;
    assert_eq!(bot.metric("alertbot_actions_total{action=\"acknowledge\",outcome=\"refused\"}").await, 1.0);
}

/// The Bot API may leave out the message of a press. The person is known, and the button names the incident.
#[tokio::test]
async fn buttons_work_without_their_message() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let bot = bot_with_people(&emulator, &folder).await;
    assert_eq!(bot.post(&single("DiskFull", "critical", "firing", Timestamp::now())).await, 200);
    let card = message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    emulator.unname(OPERATIONS, card.id).unwrap();
    let stranger = 13;
    for (who, said) in [(stranger, "not authorized"), (BEHRANG, "does not allow"), (ADA, "You acknowledged #1")] {
        let pressed = emulator.press(who, OPERATIONS, card.id, &button(&card, "ack:")).unwrap();
        let answer = answer_to(&emulator, &pressed).await;
        assert!(answer.contains(said), "{who}: {answer}");
    }
    until("who took it is edited in", async || emulator.messages(OPERATIONS)[0].text.contains("ada")).await;
}

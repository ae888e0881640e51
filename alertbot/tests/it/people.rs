//! What people press and write, and what they may not.

use jiff::Timestamp;
use telegram_emulator::{ANONYMOUS_ADMIN, Emulator, Seed};

use crate::{
    bot::{ADA, BEHRANG, Bot, DEADLINE, OPERATIONS, ROUTES, Settings, message_with, until},
    payloads::single,
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
pub fn button(message: &telegram_emulator::Message, data: &str) -> String {
    let buttons = message.buttons();
    let found = buttons.iter().find(|(_, known)| known.starts_with(data));
    found.unwrap_or_else(|| panic!("no button {data} among {buttons:?}")).1.clone()
}

/// What a press was answered with.
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
    assert!(answer_to(&emulator, &stranger).await.contains("not among my people"));
    assert!(emulator.messages(OPERATIONS)[0].edited.is_none(), "nothing was done");

    let pressed = emulator.press(ADA, OPERATIONS, card.id, &acknowledge).unwrap();
    assert!(answer_to(&emulator, &pressed).await.contains("You have #1"));
    until("who took it is edited in", async || emulator.messages(OPERATIONS)[0].text.contains("ada")).await;
    let twice = emulator.press(ADA, OPERATIONS, card.id, &acknowledge);
    if let Ok(twice) = twice {
        assert!(answer_to(&emulator, &twice).await.contains("yours already"));
    }
    assert_eq!(bot.metric("alertbot_actions_total{action=\"acknowledge\",outcome=\"done\"}").await, 1.0);
    assert_eq!(bot.metric("alertbot_actions_total{action=\"acknowledge\",outcome=\"refused\"}").await, 2.0);
}

#[tokio::test]
async fn commands_are_answered_where_they_were_written() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let bot = bot_with_people(&emulator, &folder).await;
    emulator.say(ADA, ADA, "/alerts").unwrap();
    message_with(&emulator, ADA, &["Nothing is open"]).await;
    assert_eq!(bot.post(&single("Disk<Full>", "critical", "firing", Timestamp::now())).await, 200);
    message_with(&emulator, OPERATIONS, &["Disk<Full>"]).await;
    emulator.say(ADA, ADA, "/alerts").unwrap();
    message_with(&emulator, ADA, &["1 open", "#1", "Disk<Full>"]).await;
    emulator.say(ADA, ADA, "/ack 99").unwrap();
    message_with(&emulator, ADA, &["no open incident 99"]).await;
    emulator.say(ADA, OPERATIONS, "/ack 1").unwrap();
    message_with(&emulator, OPERATIONS, &["You have #1"]).await;
    emulator.say(ADA, ADA, "/oncall").unwrap();
    message_with(&emulator, ADA, &["no schedules"]).await;
    emulator.say(BEHRANG, BEHRANG, "/alerts").unwrap();
    message_with(&emulator, BEHRANG, &["1 open"]).await;
    emulator.say(BEHRANG, BEHRANG, "/graph up").unwrap();
    message_with(&emulator, BEHRANG, &["role does not allow"]).await;
    emulator.say(13, OPERATIONS, "/alerts").unwrap();
    message_with(&emulator, OPERATIONS, &["not among my people", "13"]).await;
    emulator.say(ANONYMOUS_ADMIN, OPERATIONS, "/ack 1").unwrap();
    message_with(&emulator, OPERATIONS, &["cannot know who you are"]).await;
}

#[tokio::test]
async fn an_administrator_hands_an_incident_over_and_who_has_it_now_is_called_by_name() {
    const CHIOMA: i64 = 13;
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    settings.rest = format!("{ROUTES}{PEOPLE}  - name: chioma\n    telegram: {CHIOMA}\n");
    let bot = Bot::start(&settings).await;
    assert_eq!(bot.post(&single("DiskFull", "critical", "firing", Timestamp::now())).await, 200);
    let card = message_with(&emulator, OPERATIONS, &["DiskFull"]).await;

    emulator.say(CHIOMA, OPERATIONS, "/assign 1 chioma").unwrap();
    message_with(&emulator, OPERATIONS, &["role does not allow"]).await;
    emulator.say(ADA, OPERATIONS, "/assign 1 nobody").unwrap();
    message_with(&emulator, OPERATIONS, &["Write it as /assign 12 name"]).await;
    assert!(emulator.messages(OPERATIONS)[0].edited.is_none(), "nothing was done");

    emulator.say(ADA, OPERATIONS, "/assign 1 chioma").unwrap();
    message_with(&emulator, OPERATIONS, &["chioma has it now"]).await;
    let notice = message_with(&emulator, OPERATIONS, &["ada gave it to chioma"]).await;
    assert!(!notice.silent && notice.reply_to == Some(card.id), "{notice:?}");
    let mention = format!("{:?}", notice.entities);
    assert!(mention.contains(&CHIOMA.to_string()), "a mention rings where the chat is muted: {mention}");
    until("who has it is edited in", async || emulator.messages(OPERATIONS)[0].text.contains("Taken by chioma")).await;
    until("it counts as taken", async || {
        bot.metric("alertbot_open_incidents{phase=\"acknowledged\",severity=\"critical\"}").await == 1.0
    })
    .await;

    // A reply to the card names it as well.
    emulator.change(|world| world.say(ADA, OPERATIONS, "/assign ada", None, Some(card.id))).unwrap();
    until("who has it now is edited in", async || emulator.messages(OPERATIONS)[0].text.contains("Taken by ada")).await;
    assert_eq!(bot.metric("alertbot_actions_total{action=\"assign\",outcome=\"done\"}").await, 2.0);
    assert_eq!(bot.metric("alertbot_actions_total{action=\"assign\",outcome=\"refused\"}").await, 1.0);
}

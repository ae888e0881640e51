//! What befalls chats: they move, lose a topic, throw the bot out, refuse the markup.

use jiff::Timestamp;
use telegram_emulator::{ChatState, Emulator, FaultKind, InjectedFault, Seed};

use crate::{
    bot::{ADA, Bot, NIGHT, OPERATIONS, Settings, message_with, until},
    payloads::single,
};

/// The demonstration's forum, and one of its topics.
const FORUM: i64 = -1_001_000_000_002;
const MOVED_TO: i64 = -1_001_000_009_999;

const REST: &str = "
people:
  - name: ada
    telegram: 11
    role: admin
escalations:
  - name: calls
    steps:
      - after: 1h
        people: [ada]
        by: [telegram]
routes:
  - name: everything
    chats: [night]
    escalation: calls
";

async fn bot(emulator: &Emulator, folder: &tempfile::TempDir) -> (Bot, Settings) {
    let mut settings = Settings::new(emulator, folder);
    settings.rest = REST.into();
    (Bot::start(&settings).await, settings)
}

#[tokio::test]
async fn a_group_that_became_a_supergroup_is_followed_there_also_after_a_restart() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let (running, settings) = bot(&emulator, &folder).await;
    let began = Timestamp::now();
    assert_eq!(running.post(&single("Before", "critical", "firing", began)).await, 200);
    message_with(&emulator, NIGHT, &["Before"]).await;
    emulator.change(|world| world.migrate(NIGHT, MOVED_TO)).unwrap();
    assert_eq!(running.post(&single("Later", "critical", "firing", began)).await, 200);
    message_with(&emulator, MOVED_TO, &["Later"]).await;
    running.stop().await;
    let running = Bot::start(&settings).await;
    assert_eq!(running.post(&single("AfterIt", "critical", "firing", began)).await, 200);
    message_with(&emulator, MOVED_TO, &["AfterIt"]).await;
    let to_the_old = |call: &telegram_emulator::RecordedCall| call.chat == Some(NIGHT) && call.code != 200;
    assert_eq!(emulator.calls().iter().filter(|call| to_the_old(call)).count(), 1, "the old id is tried once");
}

#[tokio::test]
async fn thrown_out_of_its_chat_it_takes_the_next_step_at_once() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let (running, _) = bot(&emulator, &folder).await;
    emulator.change(|world| world.chat_mut(NIGHT).map(|chat| chat.state = ChatState::Kicked)).unwrap();
    assert_eq!(running.post(&single("DiskFull", "critical", "firing", Timestamp::now())).await, 200);
    message_with(&emulator, ADA, &["DiskFull"]).await;
    assert_eq!(running.metric("alertbot_given_up_total{channel=\"telegram\",reason=\"dead\"}").await, 1.0);
}

#[tokio::test]
async fn a_topic_that_is_gone_gives_way_to_the_general_one() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    settings.more_chats = vec![("database".into(), FORUM)];
    // The topic belongs to the entry that was written last.
    settings.rest = "    topic: 2\nroutes:\n  - name: everything\n    chats: [database]\n".into();
    let running = Bot::start(&settings).await;
    assert_eq!(running.post(&single("InTopic", "warning", "firing", Timestamp::now())).await, 200);
    assert_eq!(message_with(&emulator, FORUM, &["InTopic"]).await.topic, Some(2));
    emulator.change(|world| world.chat_mut(FORUM).map(|chat| chat.topics.remove(&2))).unwrap();
    assert_eq!(running.post(&single("InGeneral", "warning", "firing", Timestamp::now())).await, 200);
    assert_eq!(message_with(&emulator, FORUM, &["InGeneral"]).await.topic, None);
}

#[tokio::test]
async fn markup_that_telegram_cannot_read_is_sent_as_plain_text() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let running = Bot::start(&Settings::new(&emulator, &folder)).await;
    emulator.fault(InjectedFault::new(FaultKind::Unparsable).on("sendMessage").times(1));
    assert_eq!(running.post(&single("DiskFull", "critical", "firing", Timestamp::now())).await, 200);
    let card = message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    assert!(card.entities.is_empty() && !card.silent, "{card:?}");
}

#[tokio::test]
async fn a_lost_answer_is_repeated_once_marked_and_after_a_probe() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let running = Bot::start(&Settings::new(&emulator, &folder)).await;
    emulator.fault(InjectedFault::new(FaultKind::AnswerLost).on("sendMessage").times(1));
    assert_eq!(running.post(&single("DiskFull", "critical", "firing", Timestamp::now())).await, 200);
    until("it is repeated", async || emulator.messages(OPERATIONS).len() == 2).await;
    let texts: Vec<String> = emulator.messages(OPERATIONS).into_iter().map(|message| message.text).collect();
    assert_ne!(texts[0], texts[1], "the second one says that it may be a repetition");
    let methods: Vec<String> = emulator
        .calls()
        .into_iter()
        .map(|call| call.method)
        .filter(|method| method == "getme" || method == "sendmessage")
        .collect();
    let first = methods.iter().position(|method| method == "sendmessage").unwrap();
    assert_eq!(methods[first..first + 3], ["sendmessage", "getme", "sendmessage"], "{methods:?}");
}

//! The main path: from the webhook to the chat and back.

use jiff::Timestamp;
use telegram_emulator::{Emulator, Seed};

use crate::{
    bot::{Bot, OPERATIONS, Settings, message_with, until},
    payloads::single,
};

#[tokio::test]
async fn an_alert_arrives_with_sound_and_its_end_edits_it_in_place() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let bot = Bot::start(&Settings::new(&emulator, &folder)).await;
    let began = Timestamp::now();
    assert_eq!(bot.post(&single("DiskFull", "critical", "firing", began)).await, 200);
    let card = message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    assert!(!card.silent);
    let offered: Vec<String> = card.buttons().into_iter().map(|(words, _)| words).collect();
    assert_eq!(offered, ["Acknowledge", "Graph"], "no silences without an API, no next step without an escalation");
    assert_eq!(bot.post(&single("DiskFull", "critical", "firing", began)).await, 200, "a repeat");
    assert_eq!(bot.post(&single("DiskFull", "critical", "resolved", began)).await, 200);
    until("the end is edited in", async || emulator.messages(OPERATIONS)[0].edited.is_some()).await;
    assert_eq!(emulator.messages(OPERATIONS).len(), 1, "an end makes no sound");
    bot.stop().await;
}

#[tokio::test]
async fn what_was_accepted_before_an_end_is_told_after_the_next_start() {
    let (mut emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let settings = Settings::new(&emulator, &folder);
    emulator.refuse_connections().await;
    let bot = Bot::start(&settings).await;
    assert_eq!(bot.post(&single("DiskFull", "warning", "firing", Timestamp::now())).await, 200);
    bot.stop().await;
    emulator.listen().await.unwrap();
    let _bot = Bot::start(&settings).await;
    message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
}

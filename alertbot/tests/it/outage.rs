//! Telegram answers 5xx or its answers are lost for some time: few calls fail, and every message is sent afterwards.

use std::time::Duration;

use jiff::Timestamp;
use telegram_emulator::{ChatKind, ChatSeed, Emulator, FaultKind, InjectedFault, RecordedCall, Seed, World};

use crate::{
    bot::{Bot, OPERATIONS, Settings, until},
    payloads::single,
};

const GROUPS: usize = 10;
/// Each group has its own chat, so that no chat's budget delays it.
const FIRST_CHAT: i64 = -1_001_000_001_000;

fn chat(number: usize) -> i64 {
    FIRST_CHAT - i64::try_from(number).unwrap()
}

fn name(number: usize) -> String {
    format!("Outage{number:02}x")
}

async fn world(folder: &tempfile::TempDir) -> (Emulator, Bot) {
    let mut seed = Seed::demo();
    seed.chats.extend((0..GROUPS).map(|number| ChatSeed::new(chat(number), ChatKind::Supergroup, &name(number))));
    let emulator = Emulator::start(seed).await.unwrap();
    let mut settings = Settings::new(&emulator, folder);
    settings.more_chats = (0..GROUPS).map(|number| (name(number), chat(number))).collect();
    let route = |name: String| format!("  - {{name: {name}, match: ['alertname=\"{name}\"'], chats: [{name}]}}\n");
    let routes: String = (0..GROUPS).map(name).map(route).collect();
    settings.rest = format!("routes:\n{routes}  - {{name: everything, chats: [operations]}}\n");
    let bot = Bot::start(&settings).await;
    (emulator, bot)
}

fn sends(calls: &[RecordedCall]) -> impl Iterator<Item = &RecordedCall> {
    calls.iter().filter(|call| call.method == "sendmessage")
}

async fn server_errors(outage: Duration) {
    let folder = tempfile::tempdir().unwrap();
    let (emulator, bot) = world(&folder).await;
    emulator.fault(InjectedFault::new(FaultKind::ServerError { code: 502 }).lasting(outage));
    let began = Timestamp::now();
    for number in 0..GROUPS {
        assert_eq!(bot.post(&single(&name(number), "critical", "firing", began)).await, 200);
    }
    for number in (0..GROUPS).step_by(2) {
        assert_eq!(bot.post(&single(&name(number), "critical", "resolved", began)).await, 200);
    }
    until("the trouble is seen", async || bot.metric("alertbot_carrier_trouble{carrier=\"main\"}").await == 1.0).await;
    let end = outage + Duration::from_secs(60);
    let all = |world: &World| (0..GROUPS).all(|number| world.chats[&chat(number)].messages().next().is_some()).then_some(());
    emulator.until(end, all).await.expect("every group is sent when Telegram answers again");
    for number in 0..GROUPS {
        let messages = emulator.messages(chat(number));
        assert_eq!(messages.len(), 1, "{} is sent once: {messages:?}", name(number));
        // Half of them ended in between: one message says all of it.
        assert_eq!(messages[0].text.contains("resolved"), number % 2 == 0, "{}", messages[0].text);
    }
    let calls = emulator.calls();
    let vain = sends(&calls).filter(|call| call.code == 502).count();
    // One of each chat may be on its way when the first one fails; then only probes ask.
    assert!(vain <= GROUPS, "{vain} messages were sent in vain");
    let probes = calls.iter().filter(|call| call.method == "getme").count();
    assert!(probes as u64 <= 4 + outage.as_secs(), "{probes} probes in {} s", outage.as_secs());
    println!("{} s of 502: {vain} messages in vain, {probes} probes", outage.as_secs());
}

#[tokio::test(flavor = "multi_thread")]
async fn server_errors_lose_nothing_and_are_not_called_into() {
    server_errors(Duration::from_secs(8)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the long form: make soak"]
async fn a_minute_of_server_errors_loses_nothing_and_is_not_called_into() {
    server_errors(Duration::from_secs(60)).await;
}

/// What arrived and was not answered is sent once more, says so, and is not sent a third time.
#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_are_repeated_at_most_once_each() {
    let folder = tempfile::tempdir().unwrap();
    let (emulator, bot) = world(&folder).await;
    emulator.fault(InjectedFault::new(FaultKind::AnswerLost).on("sendMessage").times(u32::try_from(GROUPS).unwrap()));
    for number in 0..GROUPS {
        assert_eq!(bot.post(&single(&name(number), "critical", "firing", Timestamp::now())).await, 200);
    }
    // Either an answer came, or the repetition's was lost as well.
    let settled = async || {
        bot.metric("alertbot_sent_total{channel=\"telegram\",kind=\"card\",outcome=\"delivered\"}").await
            + bot.metric("alertbot_given_up_total{channel=\"telegram\",reason=\"unknown\"}").await
    };
    until("every message is settled", async || settled().await == GROUPS as f64).await;
    for number in 0..GROUPS {
        let messages = emulator.messages(chat(number));
        assert!((1..=2).contains(&messages.len()), "{} was sent {} times", name(number), messages.len());
        let marked = messages.iter().filter(|message| message.text.contains("Possible duplicate")).count();
        assert_eq!(marked, messages.len() - 1, "the repetition says that it is one: {messages:?}");
    }
    assert!((0..GROUPS).any(|number| emulator.messages(chat(number)).len() == 2), "no answer was lost");
    assert!(emulator.messages(OPERATIONS).is_empty());
}

/// A card in doubt: Telegram has two messages of it, and the bot has neither answer.
async fn card_in_doubt(emulator: &Emulator, bot: &Bot) -> Timestamp {
    emulator.fault(InjectedFault::new(FaultKind::AnswerLost).on("sendMessage").times(2));
    let began = Timestamp::now();
    assert_eq!(bot.post(&single(&name(0), "warning", "firing", began)).await, 200);
    let given_up = "alertbot_given_up_total{channel=\"telegram\",reason=\"unknown\"}";
    until("the second answer is lost as well", async || bot.metric(given_up).await == 1.0).await;
    assert_eq!(emulator.messages(chat(0)).len(), 2);
    began
}

/// A first message in doubt cannot be edited: the end is sent as a separate message without a sound.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_told_where_both_answers_were_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (emulator, bot) = world(&folder).await;
    let began = card_in_doubt(&emulator, &bot).await;
    assert_eq!(bot.post(&single(&name(0), "warning", "resolved", began)).await, 200);
    // An edit without a message to edit is a message of its own.
    let delivered = "alertbot_sent_total{channel=\"telegram\",kind=\"edit\",outcome=\"delivered\"}";
    until("its end is sent, and the bot has the answer", async || bot.metric(delivered).await == 1.0).await;
    let messages = emulator.messages(chat(0));
    assert_eq!(messages.len(), 3);
    let end = &messages[2];
    assert!(end.text.contains("resolved") && end.silent && end.buttons().is_empty(), "{end:?}");
    // From here on there is a message that can be edited.
    assert_eq!(bot.post(&single(&name(0), "warning", "firing", Timestamp::now())).await, 200);
    until("it is edited", async || emulator.messages(chat(0))[2].edited.is_some()).await;
}

/// The alert fires again before the bot has the answer to the message of its end.
#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_fires_again_while_its_end_is_sent_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (emulator, bot) = world(&folder).await;
    let began = card_in_doubt(&emulator, &bot).await;
    emulator.fault(InjectedFault::new(FaultKind::SlowAnswer { milliseconds: 1000 }).on("sendMessage").times(1));
    assert_eq!(bot.post(&single(&name(0), "warning", "resolved", began)).await, 200);
    until("its end is sent", async || emulator.messages(chat(0)).len() == 3).await;
    assert_eq!(bot.post(&single(&name(0), "warning", "firing", Timestamp::now())).await, 200);
    until("the last message shows that it fires", async || {
        emulator.messages(chat(0)).last().is_some_and(|message| !message.text.contains("resolved"))
    })
    .await;
}

//! Killed at random under load: every acknowledged webhook is sent, firing and resolved, and no message arrives more than twice.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};
use telegram_emulator::{ChatKind, ChatMessage, ChatSeed, Emulator, FaultKind, InjectedFault, Seed, TelegramLimits};

use crate::{
    bot::{OPERATIONS, Settings, message_with, until},
    payloads::{alert, group, single},
    program::{Program, post},
};

/// Spread over so many chats, since each takes one message a second.
const CHATS: usize = 24;
/// Of 600 groups every chat gets about forty calls, at most twenty a minute; the bot respects this limit too.
const TOLD_WITHIN: Duration = Duration::from_secs(240);
/// Concurrent senders of webhooks.
const SENDERS: usize = 4;

fn chat(number: usize) -> i64 {
    -1_001_000_001_000 - i64::try_from(number).unwrap()
}

fn world() -> Seed {
    let mut seed = Seed::demo();
    seed.limits = TelegramLimits { off: true, ..TelegramLimits::default() };
    seed.chats.extend((0..CHATS).map(|number| ChatSeed::new(chat(number), ChatKind::Supergroup, &format!("c{number}"))));
    seed
}

fn settings(emulator: &Emulator, folder: &tempfile::TempDir) -> Settings {
    let mut settings = Settings::new(emulator, folder);
    settings.more_chats = (0..CHATS).map(|number| (format!("c{number}"), chat(number))).collect();
    let route = |number| format!("  - {{name: c{number}, match: ['chat=\"c{number}\"'], chats: [c{number}]}}\n");
    let routes: String = (0..CHATS).map(route).collect();
    settings.rest = format!("routes:\n{routes}  - name: everything\n    chats: [operations]\n");
    settings
}

/// A group of one Alertmanager, sent until it is accepted.
async fn tell(client: &reqwest::Client, url: &str, number: usize, status: &str, began: Timestamp) {
    let labels = json!({"alertname": name(number), "severity": "critical", "chat": format!("c{}", number % CHATS)});
    let payload = group(&name(number), &[alert(status, labels, began)]);
    while post(client, url, &payload).await != Some(200) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn name(number: usize) -> String {
    format!("Group{number:05}x")
}

async fn kill_at_random(kills: usize, groups: usize, seed: u64) {
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (emulator, folder) = (Emulator::start(world()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = settings(&emulator, &folder);
    let mut program = Program::start(&mut settings, &[]).await;
    let over = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (client, url, over) = (program.client.clone(), program.url.clone(), Arc::clone(&over));
            let pause = Duration::from_millis(u64::try_from(kills * 600 * SENDERS / groups).unwrap());
            tokio::spawn(async move {
                for number in (sender..groups).step_by(SENDERS) {
                    let began = Timestamp::now();
                    tell(&client, &url, number, "firing", began).await;
                    if number % 2 == 0 {
                        tell(&client, &url, number, "resolved", began).await;
                    }
                    // The load is spread over the kills; when those are over it comes at once.
                    if !over.load(Ordering::Relaxed) {
                        tokio::time::sleep(pause).await;
                    }
                }
            })
        })
        .collect();
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_millis(random.random_range(0..700))).await;
        program.kill().await;
        program.begin(&settings, &[]).await;
    }
    over.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.await.unwrap();
    }

    let missing = || (0..groups).filter(|number| !is_told(&emulator, *number)).map(name).collect::<Vec<_>>();
    let end = Instant::now() + TOLD_WITHIN;
    while !missing().is_empty() {
        assert!(
            Instant::now() < end,
            "seed {seed}: not in their final state within {} s: {:?}",
            TOLD_WITHIN.as_secs(),
            missing()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    until("half of them are open", async || {
        let open = program.metric("alertbot_open_incidents{phase=\"firing\",severity=\"critical\"}").await;
        open as usize <= groups.div_ceil(2) + groups % 2
    })
    .await;
    for (number, cards) in arrivals(&emulator, groups) {
        // A card whose two answers were both lost cannot be edited: its end is a separate message.
        let most = if number % 2 == 0 { 3 } else { 2 };
        assert!((1..=most).contains(&cards), "seed {seed}: {} arrived {cards} times", name(number));
    }
}

/// A card without an acknowledge button has ended.
fn is_told(emulator: &Emulator, number: usize) -> bool {
    let name = name(number);
    let messages = emulator.messages(chat(number % CHATS));
    let last = messages.iter().rev().find(|message| message.text.contains(&name));
    last.is_some_and(|card| {
        let open = card.buttons().iter().any(|(_, data)| data.starts_with("ack:"));
        open == (number % 2 == 1)
    })
}

fn arrivals(emulator: &Emulator, groups: usize) -> BTreeMap<usize, usize> {
    let count = |number: usize| {
        let name = name(number);
        emulator.messages(chat(number % CHATS)).iter().filter(|message| message.text.contains(&name)).count()
    };
    (0..groups).map(|number| (number, count(number))).collect()
}

/// Both of its attempts may have arrived: it is not sent a third time, and that it was given up is counted.
#[tokio::test]
async fn killed_in_its_second_attempt_a_message_is_given_up_and_counted() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    let mut program = Program::start(&mut settings, &[]).await;
    emulator.fault(InjectedFault::new(FaultKind::AnswerLost).on("sendMessage").times(1));
    emulator.fault(InjectedFault::new(FaultKind::SlowAnswer { milliseconds: 60_000 }).on("sendMessage"));
    let payload =
        group("Doubtful", &[alert("firing", json!({"alertname": "Doubtful", "severity": "critical"}), Timestamp::now())]);
    assert_eq!(program.post(&payload).await, Some(200));
    until("the second attempt is under way", async || emulator.messages(OPERATIONS).len() == 2).await;
    program.kill().await;
    program.begin(&settings, &[]).await;
    assert_eq!(program.metric("alertbot_given_up_total{channel=\"telegram\",reason=\"unknown\"}").await, 1.0);
    assert_eq!(emulator.messages(OPERATIONS).len(), 2);
}

/// Rows of this kind whose call is in flight, read from the store of the running program.
async fn in_flight(settings: &Settings, kind: &str) -> i64 {
    let mut store = SqliteConnectOptions::new().filename(&settings.store).read_only(true).connect().await.unwrap();
    let query = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE kind = ? AND state = 1").bind(kind);
    query.fetch_one(&mut store).await.unwrap()
}

/// Waits a bounded time for a call that a correct program does not make.
async fn in_flight_within(settings: &Settings, kind: &str, time: Duration) -> bool {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if in_flight(settings, kind).await > 0 {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

/// Each start is killed before its attempt reaches Telegram. A repeated edit leads to the same message, so none is given up.
#[tokio::test]
async fn an_edit_that_two_kills_interrupted_is_made_at_the_next_start() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    let mut program = Program::start(&mut settings, &[]).await;
    let began = Timestamp::now();
    assert_eq!(program.post(&single("Interrupted", "critical", "firing", began)).await, Some(200));
    message_with(&emulator, OPERATIONS, &["Interrupted"]).await;
    emulator.fault(InjectedFault::new(FaultKind::Slow { milliseconds: 60_000 }).on("editMessageText"));
    assert_eq!(program.post(&single("Interrupted", "critical", "resolved", began)).await, Some(200));
    for _ in 0..2 {
        until("the edit is under way", async || in_flight(&settings, "edit").await == 1).await;
        program.kill().await;
        program.begin(&settings, &[]).await;
    }
    until("the edit is under way", async || in_flight(&settings, "edit").await == 1).await;
    program.kill().await;
    emulator.clear_faults();
    program.begin(&settings, &[]).await;
    let closed = |message: &ChatMessage| !message.buttons().iter().any(|(_, data)| data.starts_with("ack:"));
    until("the card is resolved", async || emulator.messages(OPERATIONS).last().is_some_and(closed)).await;
    assert_eq!(emulator.messages(OPERATIONS).len(), 1);
}

/// The network breaks three times before the request arrives.
#[tokio::test]
async fn an_edit_without_an_answer_is_repeated_until_it_has_one() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    let program = Program::start(&mut settings, &[]).await;
    let began = Timestamp::now();
    assert_eq!(program.post(&single("Broken", "critical", "firing", began)).await, Some(200));
    message_with(&emulator, OPERATIONS, &["Broken"]).await;
    emulator.fault(InjectedFault::new(FaultKind::Broken).on("editMessageText").times(3));
    assert_eq!(program.post(&single("Broken", "critical", "resolved", began)).await, Some(200));
    let closed = |message: &ChatMessage| !message.buttons().iter().any(|(_, data)| data.starts_with("ack:"));
    until("the card is resolved", async || emulator.messages(OPERATIONS).last().is_some_and(closed)).await;
    assert_eq!(program.metric("alertbot_given_up_total{channel=\"telegram\",reason=\"unknown\"}").await, 0.0);
}

/// A program that is killed at once after each start has not used its second attempt.
#[tokio::test]
async fn kills_in_quick_succession_leave_the_second_attempt() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    let mut program = Program::start(&mut settings, &[]).await;
    emulator.fault(InjectedFault::new(FaultKind::Slow { milliseconds: 60_000 }).on("sendMessage"));
    assert_eq!(program.post(&single("Quick", "critical", "firing", Timestamp::now())).await, Some(200));
    until("the message is under way", async || in_flight(&settings, "card").await == 1).await;
    for _ in 0..3 {
        program.kill().await;
        program.begin(&settings, &[]).await;
        let used = in_flight_within(&settings, "card", Duration::from_secs(1)).await;
        assert!(!used, "the second attempt is made right after a start");
    }
    program.kill().await;
    emulator.clear_faults();
    program.begin(&settings, &[]).await;
    message_with(&emulator, OPERATIONS, &["Quick"]).await;
    assert_eq!(emulator.messages(OPERATIONS).len(), 1);
}

/// Neither attempt reached Telegram. The next repetition by Alertmanager sends the card, but its own quick retries do not.
#[tokio::test]
async fn a_repetition_restores_a_card_that_never_arrived() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    let mut program = Program::start(&mut settings, &[]).await;
    emulator.fault(InjectedFault::new(FaultKind::Broken).on("sendMessage").times(2));
    let payload = single("Lost", "critical", "firing", Timestamp::now());
    assert_eq!(program.post(&payload).await, Some(200));
    let given_up = "alertbot_given_up_total{channel=\"telegram\",reason=\"unknown\"}";
    until("both attempts were made", async || program.metric(given_up).await == 1.0).await;
    assert_eq!(program.post(&payload).await, Some(200));
    program.kill().await;
    {
        let mut store = SqliteConnectOptions::new().filename(&settings.store).connect().await.unwrap();
        let queued: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE state < 2").fetch_one(&mut store).await.unwrap();
        assert_eq!(queued, 0, "a quick retry by Alertmanager is not a repetition");
        sqlx::query("UPDATE outbox SET called_at = called_at - 120000").execute(&mut store).await.unwrap();
    }
    program.begin(&settings, &[]).await;
    assert_eq!(program.post(&payload).await, Some(200));
    message_with(&emulator, OPERATIONS, &["Lost"]).await;
    assert_eq!(program.post(&payload).await, Some(200));
    assert_eq!(emulator.messages(OPERATIONS).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_it_loses_nothing_that_was_acknowledged() {
    kill_at_random(6, 96, rand::random()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the long form: make soak"]
async fn killed_at_random_fifty_times_it_loses_nothing_that_was_acknowledged() {
    kill_at_random(50, 600, rand::random()).await;
}

//! Storms against a strict Telegram, in real time: every group is sent, no limit is broken, and a critical goes first.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use telegram_emulator::{ChatKind, ChatSeed, Emulator, FaultKind, InjectedFault, RecordedCall, Seed};

use crate::{
    bot::{Bot, OPERATIONS, Settings},
    payloads::{alert, group, single},
};

const GROUPS: usize = 200;
const OTHERS: usize = 25;

fn chat(number: usize) -> i64 {
    -1_001_000_001_000 - i64::try_from(number).unwrap()
}

fn name(number: usize) -> String {
    format!("Storm{number:03}x")
}

fn stormy(number: usize, status: &str, began: Timestamp) -> serde_json::Value {
    group(&name(number), &[alert(status, json!({"alertname": name(number), "severity": "warning"}), began)])
}

/// Whether the latest that a chat shows of a group is its end. Its own message says so in its second line, a digest in the line
/// with its name.
fn has_ended(shown: &[&str], name: &str) -> Option<bool> {
    let latest = shown.iter().rev().find(|text| text.contains(name))?;
    let line = latest.lines().find(|line| line.contains(name))?;
    let is_card = latest.lines().next() == Some(line);
    Some(if is_card { latest.lines().nth(1)?.contains("resolved") } else { line.contains("resolved") })
}

/// Telegram limits the chat, in windows of `window` seconds, until it has refused the critical: on a busy machine the storm takes
/// longer than any fixed time, and a digest that was claimed before the critical may rightly be first.
async fn storm(window: u64, criticals: usize, apart: Duration) {
    let mut seed = Seed::demo();
    seed.chats.extend((0..OTHERS).map(|number| ChatSeed::new(chat(number), ChatKind::Supergroup, &format!("c{number}"))));
    let (emulator, folder) = (Emulator::start(seed).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    settings.more_chats = (0..OTHERS).map(|number| (format!("c{number}"), chat(number))).collect();
    let route = |number| format!("  - {{name: c{number}, match: ['chat=\"c{number}\"'], chats: [c{number}]}}\n");
    let routes: String = (0..OTHERS).map(route).collect();
    settings.rest = format!("routes:\n{routes}  - name: everything\n    chats: [operations]\n");
    let bot = Bot::start(&settings).await;

    emulator.fault(InjectedFault::new(FaultKind::TooManyRequests { retry_after: Some(window) }).in_chat(OPERATIONS));
    let began = Timestamp::now();
    for number in 0..GROUPS {
        assert_eq!(bot.post(&stormy(number, "firing", began)).await, 200);
    }
    for number in (0..GROUPS).step_by(2) {
        assert_eq!(bot.post(&stormy(number, "resolved", began)).await, 200);
    }
    assert_eq!(bot.post(&single("StormedCritical", "critical", "firing", began)).await, 200);
    let mut accepted = Vec::new();
    for number in 0..criticals {
        accepted.push(emulator.look(|world| world.now()));
        let name = format!("Critical{number:03}x");
        let labels = json!({"alertname": name, "severity": "critical", "chat": format!("c{}", number % OTHERS)});
        assert_eq!(bot.post(&group(&name, &[alert("firing", labels, Timestamp::now())])).await, 200);
        tokio::time::sleep(apart).await;
    }

    // While the chat is limited, the critical is the one message that is tried.
    let tried = emulator.until(Duration::from_secs(120), |world| {
        let names = |call: &&RecordedCall| call.parameters["text"].as_str().is_some_and(|text| text.contains("StormedCritical"));
        world.calls().find(names).map(|call| (call.code, call.acted))
    });
    assert_eq!(tried.await.expect("the critical is tried"), (429, false));
    emulator.clear_faults();

    let texts = |calls: &[RecordedCall]| -> Vec<String> {
        let to_chat = calls.iter().filter(|call| call.chat == Some(OPERATIONS) && call.acted);
        to_chat.filter_map(|call| call.parameters["text"].as_str().map(str::to_owned)).collect()
    };
    let told = emulator.until(Duration::from_secs(300), |world| {
        let calls: Vec<RecordedCall> = world.calls().cloned().collect();
        let texts = texts(&calls);
        (0..GROUPS).all(|number| texts.iter().any(|text| text.contains(&name(number)))).then_some(())
    });
    told.await.expect("every group is sent");
    // Final content of the chat: for each group, by name, whether it has ended.
    let known = emulator.until(Duration::from_secs(300), |world| {
        let shown: Vec<&str> = world.chats[&OPERATIONS].messages().map(|message| message.text.as_str()).collect();
        (0..GROUPS).all(|number| has_ended(&shown, &name(number)) == Some(number % 2 == 0)).then_some(())
    });
    if known.await.is_err() {
        let shown: Vec<String> = emulator.messages(OPERATIONS).into_iter().map(|message| message.text).collect();
        panic!("the chat does not say of every group whether it has ended: {shown:#?}");
    }
    let calls = emulator.calls();
    let first = texts(&calls).into_iter().next().unwrap();
    assert!(first.contains("StormedCritical"), "the critical goes next: {first}");
    assert_eq!(calls.iter().filter(|call| call.inside_window.is_some()).count(), 0, "calls inside a retry_after window");
    let limited = calls.iter().filter(|call| call.code == 429 && call.fault.is_none()).count();
    assert_eq!(limited, 0, "calls above a limit");
    let mut waits: Vec<u64> = accepted
        .iter()
        .enumerate()
        .map(|(number, at)| {
            let name = format!("Critical{number:03}x");
            let says = |call: &&RecordedCall| call.parameters["text"].as_str().is_some_and(|text| text.contains(&name));
            let call = calls.iter().find(says).unwrap_or_else(|| panic!("{name} was not sent"));
            call.at_milliseconds.saturating_sub(u64::try_from(at.as_millis()).unwrap())
        })
        .collect();
    waits.sort_unstable();
    let p99 = waits[waits.len() * 99 / 100];
    println!("{criticals} criticals to other chats: p50 {} ms, p99 {p99} ms", waits[waits.len() / 2]);
    assert!(p99 < 1000, "a critical for another chat waited {p99} ms");
}

#[tokio::test]
async fn two_hundred_groups_at_once_hold_up_no_critical_and_break_no_limit() {
    storm(5, 50, Duration::from_millis(200)).await;
}

#[tokio::test]
#[ignore = "the long form: make soak"]
async fn a_storm_of_a_minute_and_five_hundred_criticals() {
    storm(30, 500, Duration::from_millis(200)).await;
}

//! The 2xx follows the fsync; a store that takes nothing acknowledges nothing.

use std::{ffi::OsString, path::Path};

use jiff::Timestamp;
use local_parts::find_program;
use serde_json::json;
use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};
use telegram_emulator::{Emulator, Seed};

use crate::{
    bot::{Bot, OPERATIONS, Settings, message_with, until},
    payloads::{alert, group, single},
    program::Program,
};

/// Runs the program under a trace of what touches files and sockets.
fn strace(log: &Path, more: &[&str]) -> Vec<OsString> {
    let strace = find_program("strace").expect("strace is installed: make install");
    let mut words: Vec<OsString> = vec![strace.into(), "-f".into(), "-y".into(), "-s".into(), "8192".into()];
    words.extend(["-o".into(), log.into()]);
    words.extend(more.iter().map(Into::into));
    // What strace runs would live on when strace is killed.
    words.extend(["setpriv", "--pdeathsig", "KILL"].map(Into::into));
    words
}

/// Where a line of the trace has the end of a successful sync of the log: the beginning may be a line of its own.
fn synced(lines: &[&str], from: usize) -> Option<usize> {
    let begins = |line: &str| (line.contains("fdatasync(") || line.contains("fsync(")) && line.contains(".db-wal");
    let first = (from..lines.len()).find(|at| begins(lines[*at]))?;
    if lines[first].ends_with("= 0") {
        return Some(first);
    }
    let thread = lines[first].split_whitespace().next()?;
    (first..lines.len()).find(|at| {
        let line = lines[*at];
        line.split_whitespace().next() == Some(thread) && line.contains("sync resumed>") && line.ends_with("= 0")
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_leaves_only_after_the_sync_of_what_it_acknowledges() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let log = folder.path().join("trace");
    let calls = "trace=pwrite64,write,writev,sendto,fsync,fdatasync";
    let mut settings = Settings::new(&emulator, &folder);
    let mut program = Program::start(&mut settings, &strace(&log, &["-e", calls])).await;
    let groups = 12;
    for number in 0..groups {
        let payload = single(&format!("Traced{number:02}"), "info", "firing", Timestamp::now());
        assert_eq!(program.post(&payload).await, Some(200));
    }
    program.kill().await;
    let text = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    for number in 0..groups {
        let name = format!("Traced{number:02}");
        let is_written = |line: &str| line.contains("pwrite64(") && line.contains(".db-wal") && line.contains(&name);
        let written = lines.iter().position(|line| is_written(line)).unwrap_or_else(|| panic!("{name} was not written"));
        let synced = synced(&lines, written).unwrap_or_else(|| panic!("{name} was not synced"));
        let answers = |line: &&&str| line.contains("HTTP/1.1 200 OK") && line.contains("opened");
        let answer = lines.iter().enumerate().filter(|(_, line)| answers(line)).nth(number).expect("an answer").0;
        assert!(written < synced && synced < answer, "{name}: written {written}, synced {synced}, answered {answer}");
    }
}

/// The kernel's own words for a full and for a broken disk, from the moment that the database is open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_or_broken_disk_is_503_and_nothing_is_acknowledged() {
    for (fault, reason) in [("pwrite64:error=ENOSPC:when=40+", "full"), ("fsync,fdatasync:error=EIO:when=6+", "broken")] {
        let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
        let mut settings = Settings::new(&emulator, &folder);
        let inject = format!("inject={fault}");
        let calls = ["-e", "trace=pwrite64,fsync,fdatasync", "-e", inject.as_str()];
        let log = folder.path().join("trace");
        // The database is made on a sound disk.
        let mut program = Program::start(&mut settings, &[]).await;
        program.kill().await;
        program.begin(&settings, &strace(&log, &calls)).await;
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        for number in 0..60 {
            let name = format!("Group{number:02}x");
            match program.post(&single(&name, "warning", "firing", Timestamp::now())).await {
                Some(200) => taken.push(name),
                Some(503) => refused.push(name),
                other => panic!("{reason}: {other:?}"),
            }
        }
        assert!(!refused.is_empty(), "{reason}: the disk was never {reason}");
        until("it is not ready", async || {
            let reply = program.client.get(format!("{}/readyz", program.admin)).send().await;
            reply.is_ok_and(|reply| reply.status().as_u16() == 503)
        })
        .await;
        program.kill().await;
        program.begin(&settings, &[]).await;
        for name in &taken {
            message_with(&emulator, OPERATIONS, &[name]).await;
        }
        let name = &refused[0];
        assert_eq!(program.post(&single(name, "warning", "firing", Timestamp::now())).await, Some(200), "{reason}");
        message_with(&emulator, OPERATIONS, &[name]).await;
    }
}

#[tokio::test]
async fn above_the_configured_size_it_is_503_and_what_was_taken_is_told() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    settings.store_bytes = "1MiB";
    let bot = Bot::start(&settings).await;
    let large = |number: usize| {
        let alerts: Vec<_> = (0..100)
            .map(|one| {
                alert("firing", json!({"alertname": format!("Large{number}"), "i": format!("{one:0>900}")}), Timestamp::now())
            })
            .collect();
        group(&format!("Large{number}"), &alerts)
    };
    let mut taken = 0;
    while bot.post(&large(taken)).await == 200 {
        taken += 1;
        assert!(taken < 100, "the limit holds nothing back");
    }
    assert!(taken > 0);
    assert_eq!(bot.post(&large(taken)).await, 503);
    bot.stop().await;
    settings.store_bytes = "1GiB";
    let bot = Bot::start(&settings).await;
    assert_eq!(bot.post(&large(taken)).await, 200, "there is room again");
    until("all that was taken is open", async || {
        bot.metric("alertbot_open_incidents{phase=\"firing\",severity=\"warning\"}").await as usize == taken + 1
    })
    .await;
}

/// As an operator copies it: by SQLite itself, beside the running program and its load.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_made_while_it_runs_holds_all_that_was_acknowledged_before() {
    let (mut emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    emulator.refuse_connections().await;
    let bot = Bot::start(&settings).await;
    let name = |number: usize| format!("Copied{number:02}x");
    let group = |number: usize| single(&name(number), "critical", "firing", Timestamp::now());
    for number in 0..5 {
        assert_eq!(bot.post(&group(number)).await, 200);
    }
    let copy = folder.path().join("copy.db");
    let backup = async {
        let mut database = SqliteConnectOptions::new().filename(&settings.store).connect().await.unwrap();
        sqlx::query("VACUUM INTO ?").bind(copy.to_str()).execute(&mut database).await.unwrap();
    };
    let load = async {
        for number in 5..30 {
            assert_eq!(bot.post(&group(number)).await, 200, "the copy holds nobody up");
        }
    };
    tokio::join!(backup, load);
    bot.stop().await;
    emulator.listen().await.unwrap();
    settings.store = copy;
    let _bot = Bot::start(&settings).await;
    for number in 0..5 {
        message_with(&emulator, OPERATIONS, &[&name(number)]).await;
    }
}

#[tokio::test]
async fn a_second_bot_on_the_same_database_is_refused() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let settings = Settings::new(&emulator, &folder);
    let first = Bot::start(&settings).await;
    let refused = alertbot::store::Store::open(&settings.store, 1 << 30).await.unwrap_err();
    assert!(refused.to_string().contains("another alertbot writes"), "{refused:#}");
    first.stop().await;
    alertbot::store::Store::open(&settings.store, 1 << 30).await.unwrap();
}

//! The configuration is replaced while the bot runs.

use std::{
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use jiff::Timestamp;
use telegram_emulator::{Emulator, Seed};

use crate::{
    bot::{DEADLINE, NIGHT, OPERATIONS, Settings, message_with, until},
    payloads::single,
    program::Program,
};

const LAST: &str = "alertbot_config_last_reload_successful";

#[tokio::test]
async fn a_valid_configuration_replaces_the_running_one_and_a_faulty_one_does_not() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    let program = Program::start(&mut settings, &[]).await;
    let pid = program.pid().to_string();
    let hang_up = || assert!(Command::new("kill").args(["-HUP", pid.as_str()]).status().unwrap().success());
    let fire = async |name: &str| {
        let payload = single(name, "warning", "firing", Timestamp::now());
        assert_eq!(program.post(&payload).await, Some(200), "{name}");
    };
    fire("Before").await;
    message_with(&emulator, OPERATIONS, &["Before"]).await;

    program.configure(&settings.yaml().replace("chats: [operations]", "chats: [nowhere]"));
    hang_up();
    until("the faulty one is refused", async || program.metric(LAST).await == 0.0).await;
    fire("Kept").await;
    message_with(&emulator, OPERATIONS, &["Kept"]).await;

    program.configure(&settings.yaml().replace("chats: [operations]", "chats: [night]"));
    hang_up();
    until("the other one counts", async || program.metric(LAST).await == 1.0).await;
    fire("After").await;
    message_with(&emulator, NIGHT, &["After"]).await;

    // Without a signal: the content of the file counts.
    program.configure(&settings.yaml());
    let mut number = 0;
    until("the first one counts again", async || {
        number += 1;
        fire(&format!("Watched{number}")).await;
        emulator.messages(OPERATIONS).iter().any(|message| message.text.contains("Watched"))
    })
    .await;
    // An open incident is told in the chat of its present route too.
    message_with(&emulator, OPERATIONS, &["After"]).await;
}

/// Webhooks, callbacks and scrapes use connections again that were open before: none may be closed or refused.
#[tokio::test]
async fn no_request_is_refused_while_the_configuration_is_replaced() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    let program = Program::start(&mut settings, &[]).await;
    let pid = program.pid().to_string();
    let replaced = AtomicUsize::new(0);
    let enough = || replaced.load(Ordering::Relaxed) == REPLACEMENTS;
    let replacing = async {
        for number in 0..REPLACEMENTS {
            let target = if number % 2 == 0 { "night" } else { "operations" };
            program.configure(&settings.yaml().replace("chats: [operations]", &format!("chats: [{target}]")));
            assert!(Command::new("kill").args(["-HUP", pid.as_str()]).status().unwrap().success());
            // Each firing is of a new incident: it goes where the configuration of its moment sends it.
            let chat = if number % 2 == 0 { NIGHT } else { OPERATIONS };
            let before = emulator.messages(chat).len();
            emulator.until(DEADLINE, |world| (world.chats[&chat].messages().count() > before).then_some(())).await.unwrap();
            replaced.fetch_add(1, Ordering::Relaxed);
        }
    };
    let posting = async {
        let mut number = 0;
        while !enough() {
            number += 1;
            let payload = single(&format!("Alert{number}"), "critical", "firing", Timestamp::now());
            assert_eq!(program.post(&payload).await, Some(200), "webhook {number}");
        }
    };
    let scraping = async {
        while !enough() {
            program.metric(LAST).await;
        }
    };
    tokio::join!(replacing, posting, scraping);
}

const REPLACEMENTS: usize = 6;

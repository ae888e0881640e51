//! The configuration is replaced while the bot runs.

use std::process::Command;

use jiff::Timestamp;
use telegram_emulator::{Emulator, Seed};

use crate::{
    bot::{NIGHT, OPERATIONS, Settings, message_with, until},
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
        until("the webhook is accepted", async || program.post(&payload).await == Some(200)).await;
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
    assert!(!emulator.messages(OPERATIONS).iter().any(|message| message.text.contains("After")));
}

//! The README and the program's help agree, and variables of others do not stop the program.

use std::process::Command;

use architecture::help::{self, ProgramHelp};
use telegram_emulator::{Emulator, Seed};

use crate::bot::Settings;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alertbot"));
    command.env_clear();
    command
}

#[test]
fn readme_and_help_agree() {
    let compared = ProgramHelp {
        name: "alertbot",
        prefix: "ALERTBOT_",
        readme: include_str!("../../README.md"),
        help: &help::printed_by(env!("CARGO_BIN_EXE_alertbot")),
        // Secrets that the README's configuration files name.
        of_others: &OF_OTHERS,
    };
    assert_eq!(compared.contradictions(), Vec::<String>::new());
}

const OF_OTHERS: [&str; 4] =
    ["ALERTBOT_TELEGRAM_TOKEN", "ALERTBOT_WEBHOOK_TOKEN", "ALERTBOT_SOME_NAME", "ALERTBOT_SOME_NAME_FILE"];

/// A Kubernetes Service named `alertbot` sets these in every container of its namespace.
#[tokio::test(flavor = "multi_thread")]
async fn variables_of_a_service_are_a_warning() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    // The server starts its telemetry, then ends since its port is in use.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    settings.ports[0] = taken.local_addr().unwrap().port();
    let file = folder.path().join("alertbot.yaml");
    std::fs::write(&file, settings.yaml()).unwrap();
    let run = |port: &str| {
        let mut command = program();
        command.args(["serve", "--config"]).arg(&file).envs(settings.variables());
        command.env("ALERTBOT_PORT", port).env("ALERTBOT_SERVICE_HOST", "10.0.0.11").output().unwrap()
    };
    let linked = run("tcp://10.0.0.11:9095");
    let said = String::from_utf8_lossy(&linked.stdout).into_owned() + &String::from_utf8_lossy(&linked.stderr);
    assert_eq!(linked.status.code(), Some(1), "the port is in use: {said}");
    assert!(said.contains("ALERTBOT_PORT, ALERTBOT_SERVICE_HOST"), "{said}");
    assert_eq!(run("9095").status.code(), Some(64), "a misspelt setting");
}

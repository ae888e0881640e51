//! The README and the program's help agree, and variables of others do not stop the program.

use std::process::Command;

use architecture::help::{self, ProgramHelp};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exchange"));
    command.env_clear();
    command
}

#[test]
fn readme_and_help_agree() {
    let compared = ProgramHelp {
        name: "exchange",
        prefix: "EXCHANGE_",
        readme: include_str!("../../README.md"),
        help: &help::printed_by(env!("CARGO_BIN_EXE_exchange")),
        of_others: &["--lib", "--test", "--help"],
    };
    assert_eq!(compared.contradictions(), Vec::<String>::new());
}

/// A Kubernetes Service named `exchange` sets these in every container of its namespace.
#[test]
fn variables_of_a_service_are_a_warning() {
    let run = |port: &str| {
        program()
            .arg("migrate")
            .env("EXCHANGE_DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")
            .env("EXCHANGE_PORT", port)
            .env("EXCHANGE_SERVICE_HOST", "10.0.0.11")
            .output()
            .unwrap()
    };
    let linked = run("tcp://10.0.0.11:8080");
    let said = String::from_utf8_lossy(&linked.stdout).into_owned() + &String::from_utf8_lossy(&linked.stderr);
    assert_eq!(linked.status.code(), Some(1), "there is no database: {said}");
    assert!(said.contains("EXCHANGE_PORT, EXCHANGE_SERVICE_HOST"), "{said}");
    assert_eq!(run("8080").status.code(), Some(64), "a misspelt setting");
}

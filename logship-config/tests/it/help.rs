//! This module compares `--help` with the README: exit statuses and settings.

use std::{collections::BTreeSet, process::Command};

use regex::Regex;

const COMMANDS: [&str; 7] = ["check", "watch", "explain", "forecast", "relay", "plan", "apply"];

fn help(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_logship")).args(arguments).arg("--help").env_clear().output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap()
}

/// Returns the settings that a text names. `_` at the end is a prefix, such as `LOGSHIP_*`.
fn settings(text: &str) -> BTreeSet<String> {
    let name = Regex::new(r"LOGSHIP_[A-Z_]+").unwrap();
    name.find_iter(text).map(|found| found.as_str().to_owned()).filter(|name| !name.ends_with('_')).collect()
}

/// Returns the lines of exit statuses: the number and the meaning.
fn statuses(text: &str, line: &str) -> BTreeSet<(String, String)> {
    let line = Regex::new(line).unwrap();
    text.lines().filter_map(|text| line.captures(text)).map(|found| (found[1].to_owned(), found[2].to_owned())).collect()
}

const IN_HELP: &str = r"^ +(\d+)  (.+)$";
const IN_README: &str = r"^\| (\d+) \| (.+) \|$";

#[test]
fn readme_and_help_list_the_same_exit_statuses() {
    let readme = readme();
    let (_, table) = readme.split_once("Exit status:").unwrap();
    let all = statuses(table.split("\n\n").nth(1).unwrap(), IN_README);
    assert_eq!(all.len(), 10, "{table}");
    assert_eq!(statuses(&help(&[]), IN_HELP), all);
    for command in COMMANDS {
        let own = statuses(&help(&[command]), IN_HELP);
        assert!(own.len() >= 3, "{command}: {own:?}");
        for status in own.iter().filter(|(number, _)| number != "0") {
            assert!(all.contains(status), "{command}: {status:?}");
        }
    }
    let of = |command| statuses(&help(&[command]), IN_HELP).into_iter().map(|(number, _)| number).collect::<Vec<_>>();
    assert_eq!(of("check"), ["0", "64", "65"]);
    assert!(of("plan").contains(&"2".to_owned()) && !of("apply").contains(&"2".to_owned()));
}

#[test]
fn each_command_lists_its_own_settings() {
    let all = settings(&help(&[]));
    let mut used = BTreeSet::new();
    for command in COMMANDS {
        let own = settings(&help(&[command]));
        assert!(own.is_subset(&all), "{command}: {own:?}");
        assert_eq!(own.iter().any(|name| name.starts_with("LOGSHIP_RELAY_")), command == "relay", "{command}");
        assert_eq!(own.contains("LOGSHIP_ELASTICSEARCH_URL"), command != "check", "{command}");
        used.extend(own);
    }
    assert_eq!(used, all, "a command lists each setting");
    // A secret has a second name, which the table shows in brackets.
    let known = |name: &String| all.contains(name) || all.contains(name.trim_end_matches("_FILE"));
    let unknown: Vec<String> = settings(&readme()).into_iter().filter(|name| !known(name)).collect();
    assert_eq!(unknown, Vec::<String>::new(), "the README names settings that do not exist");
}

/// A Kubernetes Service named `logship` sets these in every container of its namespace.
#[test]
fn variables_of_a_service_are_a_warning() {
    // The relay starts its telemetry, then ends since its port is in use.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let run = |port: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logship"));
        command.arg("relay").env_clear().env("LOGSHIP_ELASTICSEARCH_URL", "http://127.0.0.1:1");
        command.env("LOGSHIP_RELAY_STREAMS", "logs-exchange.app-default").env("LOGSHIP_ADMIN_LISTEN", "127.0.0.1:0");
        command.env("LOGSHIP_RELAY_LISTEN", taken.local_addr().unwrap().to_string());
        command.env("LOGSHIP_PORT", port).env("LOGSHIP_SERVICE_HOST", "10.0.0.11").output().unwrap()
    };
    let linked = run("tcp://10.0.0.11:9651");
    let said = String::from_utf8_lossy(&linked.stdout).into_owned() + &String::from_utf8_lossy(&linked.stderr);
    assert_eq!(linked.status.code(), Some(1), "the port is in use: {said}");
    assert!(said.contains("LOGSHIP_PORT, LOGSHIP_SERVICE_HOST"), "{said}");
    assert_eq!(run("9651").status.code(), Some(64), "a misspelt setting");
}

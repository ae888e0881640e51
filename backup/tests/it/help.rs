//! The README and the program's help state the same commands, settings, flags and exit statuses.

use std::{collections::BTreeSet, process::Command};

const README: &str = include_str!("../../README.md");
const SCRIPT: &str = include_str!("../../restore-with-stock-tools");
/// Variables of hooks, and flags of other programs in the README.
const NOT_SETTINGS: [&str; 3] = ["BACKUP_ID", "BACKUP_OUTCOME", "BACKUP_REASON"];
const FLAGS_OF_OTHERS: [&str; 5] = ["--dbname", "--exit-on-error", "--endpoint-url", "--release", "--package"];

fn help(subcommand: Option<&str>) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backup"));
    let output = command.env_clear().args(subcommand).arg("--help").output().unwrap();
    assert!(output.status.success(), "{subcommand:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Words that begin with `start` and contain only such characters after it.
fn words<'a>(text: &'a str, start: &str, is_part: fn(char) -> bool) -> BTreeSet<&'a str> {
    let begins = text.match_indices(start).map(|(at, _)| at);
    let begins = begins.filter(|at| !text[..*at].chars().next_back().is_some_and(|before| is_part(before) || before == '-'));
    begins
        .map(|at| text[at..].split(|character| !is_part(character)).next().unwrap())
        .filter(|word| word.chars().any(char::is_alphabetic))
        .collect()
}

fn settings(text: &str) -> BTreeSet<&str> {
    words(text, "BACKUP_", |character| character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_')
}

fn flags(text: &str) -> BTreeSet<&str> {
    words(text, "--", |character| character.is_ascii_lowercase() || character == '-')
}

fn subcommands(help: &str) -> Vec<&str> {
    let listed = help.split_once("Commands:\n").unwrap().1.split("\n\n").next().unwrap();
    listed
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !matches!(*name, "" | "help"))
        .collect()
}

#[test]
fn every_subcommands_help_has_settings_and_statuses() {
    let whole = help(None);
    let known = settings(&whole);
    assert!(known.len() > 50, "{known:?}");
    for subcommand in subcommands(&whole) {
        let text = help(Some(subcommand));
        let missing: Vec<_> = known.difference(&settings(&text)).copied().collect();
        assert!(missing.is_empty(), "{subcommand} --help lacks {missing:?}");
        assert!(text.contains("Exit status: 0 success") && text.contains("74 partly done"), "{subcommand}: {text}");
    }
}

#[test]
fn readme_and_help_agree() {
    let whole = help(None);
    let subcommands = subcommands(&whole);
    for subcommand in &subcommands {
        assert!(
            README.contains(&format!("backup {subcommand}")) || README.contains(&format!("| {subcommand} ")),
            "the README lacks `backup {subcommand}`"
        );
    }
    let texts: String = subcommands.iter().map(|subcommand| help(Some(*subcommand))).chain([whole.clone()]).collect();
    let known = settings(&whole);
    let is_known = |name: &&&str| {
        known.contains(**name)
            || name.strip_suffix("_FILE").is_some_and(|secret| whole.contains(&format!("{secret}[_FILE]")))
            || NOT_SETTINGS.contains(*name)
            || name.ends_with('_')
    };
    for (document, text) in [("README.md", README), ("restore-with-stock-tools", SCRIPT)] {
        let used = settings(text);
        let unknown: Vec<_> = used.iter().filter(|name| !is_known(name)).collect();
        assert!(unknown.is_empty(), "{document} names {unknown:?}, which --help does not list");
    }
    let listed = flags(&texts);
    let used = flags(README);
    let unknown: Vec<_> = used.iter().filter(|flag| !listed.contains(**flag) && !FLAGS_OF_OTHERS.contains(*flag)).collect();
    assert!(unknown.is_empty(), "the README names {unknown:?}, which no --help lists");
    let statuses = whole.split_once("Exit status: ").unwrap().1.lines().next().unwrap();
    for words in ["exits with ", "exit status is ", "status "] {
        for (at, _) in README.match_indices(words) {
            let status: String = README[at + words.len()..].chars().take_while(char::is_ascii_digit).collect();
            assert!(
                status.is_empty() || statuses.contains(&format!("{status} ")),
                "the README names the status {status}: {statuses}"
            );
        }
    }
}

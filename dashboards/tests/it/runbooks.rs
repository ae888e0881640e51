//! One runbook per alert, each with the same sections.

use std::{collections::BTreeSet, fs, path::Path};

use dashboards::{
    declared::program_of,
    path, read, rules,
    runbook::{self, SECTIONS, WITHOUT_ALERT},
};

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let alerts: BTreeSet<_> = rules::alerts().into_iter().map(|alert| alert.alert).collect();
    let mut expected = alerts.clone();
    expected.extend(WITHOUT_ALERT.iter().map(|name| (*name).to_owned()));
    assert_eq!(expected.len(), alerts.len() + WITHOUT_ALERT.len(), "WITHOUT_ALERT names an alert");
    let runbooks: BTreeSet<_> = runbook::runbooks().into_iter().map(|runbook| runbook.alert).collect();
    assert_eq!(expected, runbooks);
}

/// Nobody is called to a page that no alert leads to: each names the runbooks that lead there, and those do.
#[test]
fn a_runbook_without_an_alert_is_reached_from_those_of_alerts() {
    let runbooks = runbook::runbooks();
    for name in WITHOUT_ALERT {
        let page = runbooks.iter().find(|runbook| runbook.alert == *name).unwrap();
        let (_, meaning) = page.text.split_once("## Meaning").unwrap();
        let (meaning, _) = meaning.split_once("## Impact").unwrap();
        let words: BTreeSet<_> = meaning.split(|character: char| !character.is_ascii_alphanumeric()).collect();
        let named: Vec<_> = runbooks.iter().filter(|runbook| words.contains(runbook.alert.as_str())).collect();
        assert!(!named.is_empty(), "{name} names no alert");
        let away: Vec<_> = named.iter().filter(|runbook| !runbook.text.contains(name)).map(|runbook| &runbook.alert).collect();
        assert!(away.is_empty(), "{away:?} do not lead to {name}");
    }
}

#[test]
fn every_runbook_has_its_sections_and_three_checks_with_commands() {
    for runbook in runbook::runbooks() {
        assert!(runbook.text.starts_with(&format!("# {}\n", runbook.alert)), "{}", runbook.alert);
        assert_eq!(runbook.sections(), SECTIONS, "{}", runbook.alert);
        let checks = runbook.text.lines().filter(|line| ["1. ", "2. ", "3. "].iter().any(|number| line.starts_with(number)));
        assert_eq!(checks.count(), 3, "{}: three checks", runbook.alert);
        assert!(runbook.commands().len() >= 3, "{}: a command for each check", runbook.alert);
    }
}

/// The string literals of a package, a line each.
fn literals(folder: &Path) -> String {
    let mut found = String::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.push_str(&literals(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            for line in read(&path).lines().filter(|line| !line.trim_start().starts_with("//")) {
                found.extend(line.split_once('"').map(|(_, literal)| format!("{literal}\n")));
            }
        }
    }
    found
}

/// Words in the log of another program than the alert's, each with whose they are.
const OF_OTHERS: &[(&str, &str)] = &[("_ilm/stop", "Elasticsearch's audit log")];

#[test]
fn what_a_runbook_looks_for_in_the_log_is_what_its_program_says() {
    let mut seen = 0;
    for runbook in runbook::runbooks() {
        let Some(program) = program_of(&runbook.alert) else { continue };
        let said = |word: &&str| literals(&path("..").join(program.folder).join("src")).contains(*word);
        let of_others = |word: &&str| OF_OTHERS.iter().any(|(other, _)| other == word);
        for word in runbook.words_of_the_log().into_iter().filter(|word| !of_others(word)) {
            seen += 1;
            assert!(said(&word), "{}: its program logs no {word:?}", runbook.alert);
        }
    }
    assert!(seen > 0, "runbooks look into the log");
}

#[test]
fn every_psql_command_has_its_statement_read() {
    for runbook in runbook::runbooks() {
        let calls = runbook.commands().iter().filter(|command| command.contains("psql ")).count();
        assert_eq!(runbook.statements().len(), calls, "{}", runbook.alert);
    }
}

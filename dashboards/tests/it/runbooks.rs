//! One runbook per alert, each with the same sections.

use std::collections::BTreeSet;

use dashboards::{
    rules,
    runbook::{self, SECTIONS},
};

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let alerts: BTreeSet<_> = rules::alerts().into_iter().map(|alert| alert.alert).collect();
    let runbooks: BTreeSet<_> = runbook::runbooks().into_iter().map(|runbook| runbook.alert).collect();
    assert_eq!(alerts, runbooks);
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

#[test]
fn every_psql_command_has_its_statement_read() {
    for runbook in runbook::runbooks() {
        let calls = runbook.commands().iter().filter(|command| command.contains("psql ")).count();
        assert_eq!(runbook.statements().len(), calls, "{}", runbook.alert);
    }
}

//! Series that are gone: each alert says what happens then.

use std::collections::{BTreeMap, BTreeSet};

use dashboards::{absence::absence, rules};

fn severity(of: &str) -> u8 {
    ["none", "warning", "critical"].iter().position(|name| *name == of).map_or(0, |rank| u8::try_from(rank).unwrap())
}

#[test]
fn every_alert_says_what_happens_when_its_series_are_gone() {
    let list = absence();
    let alerts: BTreeMap<_, _> = rules::alerts().into_iter().map(|alert| (alert.alert.clone(), alert)).collect();
    let listed: BTreeSet<_> = list.itself.iter().chain(list.covered.keys()).cloned().collect();
    assert_eq!(listed.len(), list.itself.len() + list.covered.len(), "an alert is in both parts of absence.yml, or twice");
    assert_eq!(listed, alerts.keys().cloned().collect(), "absence.yml lists each alert");
    for name in &list.itself {
        assert!(alerts[name].expr.contains("expected_targets"), "{name} does not compare with the declared targets");
    }
    for (name, cover) in &list.covered {
        assert!(list.itself.contains(cover), "{name}: {cover} does not fire by itself when series are gone");
        let (own, other) = (&alerts[name].labels["severity"], &alerts[cover].labels["severity"]);
        assert!(severity(other) >= severity(own), "{name} is {own}, and {cover}, which covers it, only {other}");
    }
}

/// An alert that fires by itself has a unit test in which a declared target has no series.
#[test]
fn every_such_alert_is_tested_with_a_declared_target() {
    let asked: BTreeSet<_> = rules::tests()
        .into_iter()
        .filter(|test| test.input_series.iter().any(|series| series.series.starts_with("expected_targets")))
        .flat_map(|test| test.alert_rule_test)
        .filter(|asked| !asked.exp_alerts.is_empty())
        .map(|asked| asked.alertname)
        .collect();
    let without: Vec<_> = absence().itself.into_iter().filter(|name| !asked.contains(name)).collect();
    assert!(without.is_empty(), "{without:?} have no test with a declared target whose series are gone");
}

//! Series that are gone: each alert says what happens then.

use std::collections::{BTreeMap, BTreeSet};

use dashboards::{
    absence::{ZeroDivisor, absence},
    rules,
};

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

/// An expression without texts, in which a slash is a division.
fn divides(expr: &str) -> bool {
    let quoted =
        |quote| move |(number, part): (usize, &str)| (number % 2 == 0).then(|| part.split(quote).step_by(2).collect::<String>());
    expr.split('"').enumerate().filter_map(quoted('\'')).any(|part| part.contains('/'))
}

/// Alternatives of an expression, none of which is inside parentheses.
fn alternatives(expr: &str) -> Vec<String> {
    let (mut depth, mut parts) = (0_i32, vec![String::new()]);
    for word in expr.split_inclusive([' ', '\n', '(', ')']) {
        if depth == 0 && word.trim() == "or" {
            parts.push(String::new());
            continue;
        }
        depth += match word.chars().last() {
            Some('(') => 1,
            Some(')') => -1,
            _ => 0,
        };
        parts.last_mut().unwrap().push_str(word);
    }
    parts
}

/// 0/0 is NaN, and NaN is neither above nor below a threshold: an alert on a ratio is silent exactly when everything stands still.
#[test]
fn every_alert_on_a_ratio_says_what_happens_at_zero() {
    let (list, recorded) = (absence(), rules::recordings());
    let ratios: BTreeSet<_> = recorded.iter().filter(|rule| divides(&rule.expr)).map(|rule| rule.record.clone()).collect();
    let alerts: BTreeMap<_, _> = rules::alerts().into_iter().map(|alert| (alert.alert.clone(), alert)).collect();
    let on_ratio = |expr: &str| divides(expr) || ratios.iter().any(|record| expr.contains(record.as_str()));
    let found: BTreeSet<_> = alerts.values().filter(|alert| on_ratio(&alert.expr)).map(|alert| alert.alert.clone()).collect();
    assert!(found.len() > 10, "only {found:?} divide");
    assert_eq!(list.ratios.keys().cloned().collect::<BTreeSet<_>>(), found, "absence.yml says of each ratio what 0/0 does");
    for (name, answer) in &list.ratios {
        match answer {
            ZeroDivisor::Fires(cover) => {
                let cover = alerts.get(cover).unwrap_or_else(|| panic!("{name}: {cover} is not an alert"));
                let plain =
                    alternatives(&cover.expr).into_iter().any(|part| !on_ratio(&part) && !part.contains("expected_targets"));
                assert!(plain, "{name}: {} has only ratios and absence", cover.alert);
            }
            ZeroDivisor::Healthy(reason) | ZeroDivisor::Never(reason) => assert!(reason.len() > 10, "{name}: {reason:?}"),
        }
    }
}

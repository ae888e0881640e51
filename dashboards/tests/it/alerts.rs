//! What every alert has: its annotations, its panel, a unit test that fires it and one that does not.

use std::collections::{BTreeMap, BTreeSet};

use dashboards::{board::Board, rules};

/// `none` is for nobody to act on: the Watchdog.
const SEVERITIES: &[&str] = &["critical", "warning", "none"];

#[test]
fn every_alert_says_how_bad_what_and_where_to_look() {
    let boards: BTreeMap<_, _> = Board::all().map(|board| (board.uid.clone(), board)).collect();
    let mut names = BTreeSet::new();
    for alert in rules::alerts() {
        let name = &alert.alert;
        assert!(names.insert(name.clone()), "{name} is there twice");
        assert_eq!(alert.labels.keys().collect::<Vec<_>>(), ["severity"], "{name}");
        assert!(SEVERITIES.contains(&alert.labels["severity"].as_str()), "{name}: {:?}", alert.labels);

        let annotation = |key: &str| alert.annotations.get(key).unwrap_or_else(|| panic!("{name} has no {key}"));
        assert!(annotation("summary").contains("$value"), "{name}: the summary has the value");
        assert!(annotation("description").len() > annotation("summary").len() / 2, "{name}: the description explains");
        assert_eq!(*annotation("runbook_url"), format!("/runbooks/{name}.md"), "{name}: the packaging adds the address");

        let link = annotation("dashboard_url");
        let place = link.strip_prefix("/d/").and_then(|place| place.split_once("?viewPanel="));
        let (uid, id) = place.unwrap_or_else(|| panic!("{name}: {link} does not lead to a panel"));
        let board = boards.get(uid).unwrap_or_else(|| panic!("{name}: there is no board {uid}"));
        let panel = board.shown().find(|shown| shown.id.to_string() == id);
        let panel = panel.unwrap_or_else(|| panic!("{name}: the board {uid} has no panel {id}"));
        assert!(
            panel.links.iter().any(|link| link.title == format!("Runbook: {name}")),
            "panel {} \"{}\", where {name} leads, has no link to its runbook",
            panel.id,
            panel.title
        );
    }
}

#[test]
fn every_alert_has_a_test_that_fires_it_and_one_that_does_not() {
    let asked = rules::asked();
    let alerts: BTreeSet<_> = rules::alerts().into_iter().map(|alert| alert.alert).collect();
    for alert in &alerts {
        let about = || asked.iter().filter(|asked| asked.alertname == *alert);
        assert!(about().any(|asked| !asked.exp_alerts.is_empty()), "{alert} has no unit test that fires it");
        assert!(about().any(|asked| asked.exp_alerts.is_empty()), "{alert} has no unit test in which it stays silent");
    }
    for asked in asked {
        assert!(alerts.contains(&asked.alertname), "a unit test asks for {}, which does not exist", asked.alertname);
    }
}

//! The boards' shape: that Grafana imports each as it is, and that every panel can be read.

use std::collections::BTreeSet;

use dashboards::{
    board::{Board, Panel},
    rules,
};
use serde_json::{Value, json};

const COLUMNS: u32 = 24;

fn variable() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

#[test]
fn the_data_source_is_a_variable_everywhere() {
    for board in Board::all() {
        assert!(board.templating.list.iter().any(|variable| variable.name == "datasource" && variable.kind == "datasource"));
        let expected = Some(variable());
        for panel in board.shown() {
            assert_eq!(panel.datasource, expected, "panel {}", panel.id);
            for target in &panel.targets {
                assert_eq!(target.datasource, expected, "panel {} {}", panel.id, target.ref_id);
            }
        }
        for variable in board.templating.list.iter().filter(|variable| variable.kind == "query") {
            assert_eq!(variable.datasource, expected, "variable {}", variable.name);
        }
        for annotation in &board.annotations.list {
            assert_eq!(annotation.datasource, expected, "annotation {}", annotation.name);
        }
    }
}

#[test]
fn there_are_variables_for_what_is_looked_at() {
    for board in Board::all() {
        let names: Vec<_> = board.templating.list.iter().map(|variable| variable.name.as_str()).collect();
        let [first @ .., last] = &names[..] else { panic!("{} has no variables", board.uid) };
        assert!(first.starts_with(&["datasource", "cluster", "namespace"]) && *last == "runbooks", "{}: {names:?}", board.uid);
        // A dollar that is left over is a variable that nobody sets, or one that does not stand alone in its quotes.
        for (place, query) in board.queries("5m") {
            // `$1` is the group of a `label_replace`.
            assert!(!query.replace("\"$1\"", "").contains('$'), "{place}: {query}");
        }
    }
}

#[test]
fn every_panel_says_what_it_shows() {
    for board in Board::all() {
        let mut ids = BTreeSet::new();
        let mut titles = BTreeSet::new();
        for panel in &board.panels {
            assert!(ids.insert(panel.id), "panel {} is there twice", panel.id);
            assert!(!panel.title.is_empty() && titles.insert(&panel.title), "panel {}: a title of its own", panel.id);
        }
        for panel in board.shown() {
            let told = format!("panel {} \"{}\"", panel.id, panel.title);
            assert!(panel.description.len() > panel.title.len(), "{told} has no description");
            assert!(panel.field_config["defaults"]["unit"].as_str().is_some_and(|unit| !unit.is_empty()), "{told} has no unit");
            assert!(!panel.targets.is_empty(), "{told} asks nothing");
            let references: BTreeSet<_> = panel.targets.iter().map(|target| &target.ref_id).collect();
            assert_eq!(references.len(), panel.targets.len(), "{told}: queries share a letter");
        }
    }
}

#[test]
fn panels_lie_in_the_grid_without_overlaps() {
    for board in Board::all() {
        let overlap = |a: &Panel, b: &Panel| {
            let (a, b) = (a.grid_pos, b.grid_pos);
            a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h
        };
        for (index, panel) in board.panels.iter().enumerate() {
            let place = panel.grid_pos;
            assert!(place.w > 0 && place.h > 0 && place.x + place.w <= COLUMNS, "panel {}: {place:?}", panel.id);
            for other in &board.panels[index + 1..] {
                assert!(!overlap(panel, other), "panels {} and {} overlap", panel.id, other.id);
            }
        }
    }
}

#[test]
fn the_links_of_panels_lead_to_runbooks_of_alerts() {
    for board in Board::all() {
        let alerts: BTreeSet<_> = rules::alerts().into_iter().map(|alert| alert.alert).collect();
        for panel in board.shown() {
            for link in &panel.links {
                let alert = link.title.strip_prefix("Runbook: ").unwrap_or_else(|| panic!("panel {}: {}", panel.id, link.title));
                assert!(alerts.contains(alert), "panel {}: there is no alert {alert}", panel.id);
                assert_eq!(link.url, format!("${{runbooks}}/{alert}.md"), "panel {}", panel.id);
            }
        }
    }
}

/// `.*` alone selects nothing that Prometheus accepts, and also series without the label. A cluster's name is often only an external
/// label of Prometheus, which its own series lack.
#[test]
fn everything_selected_asks_for_series_with_the_label() {
    for board in Board::all() {
        for variable in board.templating.list.iter().filter(|variable| variable.kind == "query") {
            let expected = if variable.name == "cluster" { ".*" } else { ".+" };
            assert_eq!(variable.all_value.as_deref(), Some(expected), "{} variable {}", board.uid, variable.name);
        }
    }
}

#[test]
fn every_board_leads_to_every_other() {
    let all: BTreeSet<_> = Board::all().map(|board| format!("/d/{}", board.uid)).collect();
    for board in Board::all() {
        let mut reached: BTreeSet<_> = board.links.iter().map(|link| link.url.clone()).collect();
        reached.insert(format!("/d/{}", board.uid));
        assert_eq!(reached, all, "{}", board.uid);
        assert!(board.links.iter().all(|link| !link.title.is_empty()), "{}: a link has no title", board.uid);
    }
}

/// `All` of the variable `job` is `.+`: a metric that every program has needs the board's own jobs.
#[test]
fn a_metric_of_every_program_is_limited_to_the_boards_jobs() {
    let mut broad = Vec::new();
    for board in Board::all() {
        for (panel, target) in board.panels.iter().flat_map(|panel| panel.targets.iter().map(move |target| (panel, target))) {
            let selectors = target.expr.split_inclusive('}').filter_map(|part| part.rsplit_once('{'));
            for (before, matchers) in selectors {
                let metric = before.rsplit(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap_or_default();
                let is_common = metric == "up" || metric.starts_with("process_");
                if is_common && matchers.contains("job=~\"$job\"") && matchers.matches("job").count() < 3 {
                    broad.push(format!("{} panel {} \"{}\": {metric}", board.uid, panel.id, panel.title));
                }
            }
        }
    }
    assert!(broad.is_empty(), "these show every program of the namespace: {broad:#?}");
}

//! Metrics in code against the queries of rules and board, both ways.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use dashboards::{
    board::Board,
    declared::{self, PROGRAMS, TARGET_LABELS, made_elsewhere},
    expression::{NamedParts, named},
    replay::duration,
    rules, runbook,
};
use regex::Regex;

/// Metrics that neither board nor rules show, each with the reason.
const UNWATCHED: &[(&str, &str)] = &[];

/// Every query with the place it stands in.
fn queries() -> Vec<(String, NamedParts)> {
    let mut queries = Vec::new();
    for board in Board::all() {
        queries.extend(board.queries("5m"));
        queries.extend(board.variable_series());
    }
    // The declared targets are constants.
    let recordings = rules::recordings().into_iter().filter(|rule| rule.record != "expected_targets");
    queries.extend(recordings.map(|rule| (rule.record, rule.expr)));
    queries.extend(rules::alerts().into_iter().map(|rule| (rule.alert, rule.expr)));
    queries.into_iter().map(|(place, query)| (place, named(&query))).collect()
}

fn recorded() -> BTreeSet<String> {
    rules::recordings().into_iter().map(|rule| rule.record).collect()
}

#[test]
fn every_series_and_label_that_a_query_names_exists() {
    let (series, recorded) = (declared::series(), recorded());
    let mut wrong = Vec::new();
    for (place, query) in queries() {
        assert!(!query.selectors.is_empty(), "{place} asks for no series");
        let of_others = made_elsewhere().flat_map(|(_, labels)| *labels);
        let labels_seen: BTreeSet<_> = series.values().flat_map(|metric| metric.labels).chain(of_others).copied().collect();
        for label in &query.grouping {
            if !labels_seen.contains(label.as_str()) && !TARGET_LABELS.contains(&label.as_str()) && label != "le" {
                wrong.push(format!("{place}: no metric has the label {label}"));
            }
        }
        for selector in &query.selectors {
            let name = selector.name.as_str();
            let made = made_elsewhere().find(|(made, _)| *made == name).map(|(_, labels)| *labels);
            let of_target = |label: &str| TARGET_LABELS.contains(&label);
            for (label, _) in &selector.matchers {
                let known = match (series.get(name), made) {
                    (Some(metric), _) => declared::carries(metric, name, label),
                    (None, Some(labels)) => labels.contains(&label.as_str()) || of_target(label),
                    (None, None) => recorded.contains(name) && ["namespace", "job"].contains(&label.as_str()),
                };
                if !known {
                    wrong.push(format!("{place}: {name} has no label {label}"));
                }
            }
            if !series.contains_key(name) && made.is_none() && !recorded.contains(name) {
                wrong.push(format!("{place}: no program declares {name:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_declared_metric_is_on_the_board_or_in_a_rule() {
    let asked: BTreeSet<_> = queries().into_iter().flat_map(|(_, query)| query.selectors).map(|selector| selector.name).collect();
    let unwatched: BTreeMap<_, _> = UNWATCHED.iter().copied().collect();
    let watched = |name: &str| {
        let metric = declared::metrics().find(|metric| metric.name == name);
        metric.is_some_and(|metric| metric.series().iter().any(|series| asked.contains(series)))
    };
    for metric in declared::metrics() {
        assert!(
            watched(metric.name) || unwatched.contains_key(metric.name),
            "{} ({}) is on no board and in no rule: show it, or say in UNWATCHED why not",
            metric.name,
            metric.help()
        );
    }
    for (name, reason) in unwatched {
        assert!(declared::metrics().any(|metric| metric.name == name), "UNWATCHED names {name}, which no program declares");
        assert!(!watched(name) && !reason.is_empty(), "UNWATCHED names {name}, which is watched, or has no reason");
    }
}

#[test]
fn a_program_names_its_metrics_after_itself() {
    for program in PROGRAMS {
        for metric in program.declared.iter().copied().flatten() {
            assert!(program.owns(metric.name), "{} is declared by {}", metric.name, program.name);
        }
    }
}

#[test]
fn every_recording_is_used() {
    let asked: BTreeSet<_> = queries().into_iter().flat_map(|(_, query)| query.selectors).map(|selector| selector.name).collect();
    let unused: Vec<_> = recorded().into_iter().filter(|name| !asked.contains(name)).collect();
    assert!(unused.is_empty(), "nothing uses {unused:?}");
}

/// A share "within 0.1 s" is counted by a bucket of exactly that bound. Prometheus 3 stores an integer bound as `60.0`, earlier releases
/// as `60`: a matcher takes both spellings or neither. Summaries' `quantile` is normalised in the same way.
#[test]
fn every_bucket_that_a_query_counts_exists_in_both_spellings() {
    let series = declared::series();
    let mut counted = 0;
    for (place, query) in queries() {
        for selector in query.selectors {
            for (_, bound) in selector.matchers.iter().filter(|(label, _)| ["le", "quantile"].contains(&label.as_str())) {
                let metric = series[&selector.name];
                counted += 1;
                let taken = |spelling: &str| Regex::new(&format!("^(?:{bound})$")).unwrap().is_match(spelling);
                let mut found = bound == "+Inf";
                for bucket in metric.buckets.iter().map(ToString::to_string).filter(|_| bound != "+Inf") {
                    found |= taken(&bucket);
                    let other = if bucket.contains('.') { bucket.clone() } else { format!("{bucket}.0") };
                    assert_eq!(
                        taken(&bucket),
                        taken(&other),
                        "{place}: {{le=\"{bound}\"}} takes one of {bucket} and {other}: write le=~\"{bucket}([.]0)?\""
                    );
                }
                assert!(found, "{place}: {} has no bucket {bound}", metric.name);
            }
        }
    }
    assert!(counted > 0, "the acknowledgement's objective counts a bucket");
}

/// Prometheus 3 excludes the sample at the left end of a range. A rule must still find two samples at a scrape each minute, of which
/// one may fail.
#[test]
fn ranges_in_rules_span_four_scrapes_of_a_minute() {
    let range = Regex::new(r"\[(\d+[smhd])[\]:]").unwrap();
    let rules = rules::recordings().into_iter().map(|rule| (rule.record, rule.expr));
    let mut seen = 0;
    for (name, expr) in rules.chain(rules::alerts().into_iter().map(|alert| (alert.alert, alert.expr))) {
        for found in range.captures_iter(&expr) {
            seen += 1;
            assert!(duration(&found[1]) >= Duration::from_secs(240), "{name}: the range [{}] is shorter than 4m", &found[1]);
        }
    }
    assert!(seen > 20, "only {seen} ranges were read");
}

/// What Prometheus 3 removed, renamed or reads otherwise (its migration guide), and what only a feature flag allows.
const CHANGED_IN_3: &[(&str, &str)] = &[
    ("holt_winters", "Prometheus 3 renamed it to double_exponential_smoothing, behind a feature flag"),
    ("double_exponential_smoothing", "it needs a feature flag, and Prometheus 2 does not know it"),
    ("sort_by_label", "it needs a feature flag"),
    ("limitk", "it needs a feature flag"),
    ("limit_ratio", "it needs a feature flag"),
    ("histogram_avg", "it reads native histograms, which nothing scrapes"),
    ("histogram_count", "it reads native histograms, which nothing scrapes"),
    ("histogram_fraction", "it reads native histograms, which nothing scrapes"),
    ("histogram_sum", "it reads native histograms, which nothing scrapes"),
    ("_created", "Prometheus 3 stores it only with a feature flag"),
    ("{\"", "a quoted name of a metric or label is a syntax error in Prometheus 2"),
    ("prometheus_remote_storage_highest_timestamp_in_seconds", "it was moved"),
];

/// Rules and panels have one meaning in Prometheus 2 and 3.
#[test]
fn no_query_depends_on_the_major_version_of_prometheus() {
    let mut all: Vec<(String, String)> = Board::all().flat_map(|board| board.queries("5m")).collect();
    all.extend(rules::recordings().into_iter().map(|rule| (rule.record, rule.expr)));
    all.extend(rules::alerts().into_iter().map(|alert| (alert.alert, alert.expr)));
    assert!(all.len() > 200, "only {} queries were read", all.len());
    // A bound of a summary or bucket is stored as a float: `1` becomes `1.0`.
    let integer = Regex::new(r#"\b(le|quantile)\s*(!?=)\s*"\d+""#).unwrap();
    // A dot matches a line break since 3: a pattern that ends before it must not depend on it.
    let line_break = Regex::new(r#"[=!]~"[^"]*\\n"#).unwrap();
    for (place, query) in all {
        for (word, why) in CHANGED_IN_3 {
            assert!(!query.contains(word), "{place} uses {word}: {why}");
        }
        assert!(!integer.is_match(&query), "{place} compares an integer bound, which Prometheus 3 stores as a float: {query}");
        assert!(!line_break.is_match(&query), "{place} matches a line break: {query}");
    }
}

#[test]
fn labels_leave_those_of_the_target_alone() {
    for metric in declared::metrics() {
        let taken: Vec<_> = metric.labels.iter().filter(|label| TARGET_LABELS.contains(label)).collect();
        assert!(taken.is_empty(), "{}: Prometheus would rename the labels {taken:?}", metric.name);
    }
}

#[test]
fn the_metrics_in_runbooks_are_declared() {
    let names: Vec<_> = declared::metrics().map(|metric| metric.name).collect();
    let mut seen = 0;
    for runbook in runbook::runbooks() {
        for command in runbook.commands() {
            // What a grep looks for may be the beginning of several names.
            for word in command.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_')) {
                if PROGRAMS.iter().any(|program| program.owns(word)) {
                    seen += 1;
                    let found = names.iter().any(|name| name.starts_with(word.trim_end_matches('_')));
                    assert!(found, "{}: no metric begins with {word}", runbook.alert);
                }
            }
        }
    }
    assert!(seen > 0, "runbooks look at metrics");
}

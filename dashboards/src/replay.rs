//! This module rewrites promtool test files: another scrape interval, another spelling of bucket bounds.
//!
//! - A shorter interval holds each sample; a longer one takes every n-th sample. Samples between scrapes are lost, as in Prometheus.
//! - Annotations are removed from rules and expectations: their values depend on extrapolation, which depends on the interval. The
//!   unchanged tests compare annotations.

use std::time::Duration;

use serde_yaml_ng::{Mapping, Value};

/// Samples of a series in a rewritten test. Scenarios of days stay at their own interval: promtool would need minutes for each.
const SAMPLES_MAX: u64 = 5_000;

/// How a test is rewritten.
#[derive(Debug, Clone, Copy)]
pub struct Variant {
    /// Time between two scrapes.
    pub interval: Duration,
    /// Whether integer bounds of buckets are spelled `60.0`, as Prometheus 3 stores them, or `60`.
    pub decimal_bounds: bool,
}

/// Rewrites a test file; its rule files are named by `rules` instead.
///
/// # Panics
/// Panics if the text is not a promtool test file.
pub fn rewrite(text: &str, rules: &[String], variant: Variant) -> String {
    let mut file: Value = serde_yaml_ng::from_str(text).expect("a test file is YAML");
    file["rule_files"] = rules.iter().cloned().map(Value::from).collect::<Vec<_>>().into();
    for test in file["tests"].as_sequence_mut().expect("a test file has tests") {
        let from = duration(test["interval"].as_str().unwrap_or("1m"));
        let length = longest(test) * from.as_secs();
        let interval = match length / variant.interval.as_secs() {
            0..=SAMPLES_MAX => variant.interval,
            _ => from,
        };
        // A scenario that is coarser than the scrapes keeps its samples alive: each is held until the next.
        for series in test["input_series"].as_sequence_mut().into_iter().flatten() {
            let values = samples(series["values"].as_str().expect("values are text"));
            series["values"] = resampled(&values, from, interval).join(" ").into();
            if variant.decimal_bounds {
                series["series"] = with_decimal_bounds(series["series"].as_str().expect("a series is text")).into();
            }
        }
        test["interval"] = format!("{}s", interval.as_secs()).into();
        for question in test["alert_rule_test"].as_sequence_mut().into_iter().flatten() {
            for expected in question["exp_alerts"].as_sequence_mut().into_iter().flatten() {
                expected.as_mapping_mut().map(|expected| expected.remove("exp_annotations"));
            }
        }
    }
    serde_yaml_ng::to_string(&file).expect("YAML is written")
}

/// Samples of the longest series of a test.
fn longest(test: &Value) -> u64 {
    let series = test["input_series"].as_sequence().into_iter().flatten();
    let lengths = series.map(|series| samples(series["values"].as_str().expect("values are text")).len() as u64);
    lengths.max().unwrap_or_default()
}

/// Rules without annotations.
///
/// # Panics
/// Panics if the text is not a rule file.
pub fn without_annotations(text: &str) -> String {
    let mut file: Value = serde_yaml_ng::from_str(text).expect("a rule file is YAML");
    for group in file["groups"].as_sequence_mut().expect("a rule file has groups") {
        for rule in group["rules"].as_sequence_mut().expect("a group has rules") {
            rule.as_mapping_mut().map(|rule: &mut Mapping| rule.remove("annotations"));
        }
    }
    serde_yaml_ng::to_string(&file).expect("YAML is written")
}

/// Expands promtool's notation: `a`, `axN`, `a+bxN`, `a-bxN`, `_`, `_xN`, `stale`.
///
/// # Panics
/// Panics if a word has none of these forms.
pub fn samples(values: &str) -> Vec<String> {
    let mut found = Vec::new();
    for word in values.split_whitespace() {
        let Some((start, count)) = word.split_once('x') else {
            found.push(word.to_owned());
            continue;
        };
        let count: u32 = count.parse().unwrap_or_else(|_| panic!("{word}: a count follows x"));
        if start == "_" {
            found.extend((0..count).map(|_| "_".to_owned()));
            continue;
        }
        let sign = start.char_indices().skip(1).find(|&(at, sign)| "+-".contains(sign) && !start[..at].ends_with('e'));
        let (start, step) = sign.map_or((start, "0"), |(at, _)| start.split_at(at));
        let (start, step): (f64, f64) = (
            start.parse().unwrap_or_else(|_| panic!("{word}: a number comes first")),
            step.parse().unwrap_or_else(|_| panic!("{word}: a number follows the sign")),
        );
        found.extend((0..=count).map(|n| (start + step * f64::from(n)).to_string()));
    }
    found
}

fn resampled(values: &[String], from: Duration, to: Duration) -> Vec<String> {
    let (from, to) = (from.as_secs(), to.as_secs());
    let end = values.len() as u64 * from;
    (0..end.div_ceil(to)).map(|scrape| values[usize::try_from(scrape * to / from).expect("few samples")].clone()).collect()
}

fn with_decimal_bounds(series: &str) -> String {
    let Some((before, rest)) = series.split_once("le=\"") else { return series.to_owned() };
    let Some((bound, after)) = rest.split_once('"') else { return series.to_owned() };
    let bound = if bound.bytes().all(|byte| byte.is_ascii_digit()) { format!("{bound}.0") } else { bound.to_owned() };
    format!("{before}le=\"{bound}\"{after}")
}

/// Reads `5s`, `1m`, `2h`, `1d`.
///
/// # Panics
/// Panics if the text is not a number with one of these units.
pub fn duration(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.len() - 1);
    let number: u64 = number.parse().unwrap_or_else(|_| panic!("{text}: a number comes first"));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => panic!("{text}: the unit is s, m, h or d"),
    };
    Duration::from_secs(number * seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promtool_notation_is_expanded() {
        assert_eq!(samples("1 0x2 1+2x2 5-1x1 _x2 stale").join(" "), "1 0 0 0 1 3 5 5 4 _ _ stale");
    }

    #[test]
    fn samples_are_held_and_thinned() {
        let values: Vec<String> = samples("0 1 2 3");
        let minute = Duration::from_secs(60);
        assert_eq!(resampled(&values, minute, Duration::from_secs(30)).join(" "), "0 0 1 1 2 2 3 3");
        assert_eq!(resampled(&values, Duration::from_secs(30), minute).join(" "), "0 2");
    }

    #[test]
    fn integer_bounds_get_a_decimal() {
        assert_eq!(with_decimal_bounds(r#"a{le="60",b="1"}"#), r#"a{le="60.0",b="1"}"#);
        assert_eq!(with_decimal_bounds(r#"a{le="0.1"}"#), r#"a{le="0.1"}"#);
        assert_eq!(with_decimal_bounds(r#"a{le="+Inf"}"#), r#"a{le="+Inf"}"#);
    }
}

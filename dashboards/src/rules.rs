//! The rule files and their unit tests.

use std::collections::BTreeMap;

use serde::{Deserialize, de::DeserializeOwned};

use crate::{files, read};

#[derive(Debug, Clone, Deserialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Debug, Clone, Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Rule {
    Recording(Recording),
    Alert(AlertRule),
}

/// A series that a query makes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    pub record: String,
    pub expr: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertRule {
    pub alert: String,
    pub expr: String,
    #[serde(default, rename = "for")]
    pub wait: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

/// One question of a unit test: which alerts of a name fire at a time.
#[derive(Debug, Clone, Deserialize)]
pub struct AlertQuestion {
    pub alertname: String,
    pub exp_alerts: Vec<serde_yaml_ng::Value>,
}

#[derive(Debug, Clone, Deserialize)]
struct TestFile {
    tests: Vec<Test>,
}

/// One scenario.
#[derive(Debug, Clone, Deserialize)]
pub struct Test {
    #[serde(default)]
    pub input_series: Vec<InputSeries>,
    #[serde(default)]
    pub alert_rule_test: Vec<AlertQuestion>,
}

/// A series that a unit test feeds.
#[derive(Debug, Clone, Deserialize)]
pub struct InputSeries {
    /// With its labels.
    pub series: String,
}

fn parse<File: DeserializeOwned>(folder: &str) -> Vec<File> {
    let parsed = files(folder, "yml")
        .into_iter()
        .map(|file| serde_yaml_ng::from_str(&read(&file)).unwrap_or_else(|error| panic!("{}: {error}", file.display())));
    parsed.collect()
}

fn rules(folder: &str) -> impl Iterator<Item = Rule> {
    parse::<RuleFile>(folder).into_iter().flat_map(|file| file.groups).flat_map(|group| group.rules)
}

/// Every recording rule.
///
/// # Panics
/// When a file is malformed or holds something else.
pub fn recordings() -> Vec<Recording> {
    let only = |rule| match rule {
        Rule::Recording(recording) => recording,
        Rule::Alert(alert) => panic!("{} is an alert among the recording rules", alert.alert),
    };
    rules("prometheus/recording").map(only).collect()
}

/// Every alert.
///
/// # Panics
/// When a file is malformed or holds something else.
pub fn alerts() -> Vec<AlertRule> {
    let only = |rule| match rule {
        Rule::Alert(alert) => alert,
        Rule::Recording(recording) => panic!("{} is a recording rule among the alerts", recording.record),
    };
    rules("prometheus/alerts").map(only).collect()
}

/// Every unit test.
pub fn tests() -> Vec<Test> {
    parse::<TestFile>("prometheus/tests").into_iter().flat_map(|file| file.tests).collect()
}

/// Every question of every unit test.
pub fn asked() -> Vec<AlertQuestion> {
    tests().into_iter().flat_map(|test| test.alert_rule_test).collect()
}

//! This module reduces rule files and unit tests to what one rule needs, so that promtool answers in a moment.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml_ng::{Mapping, Value};

use super::Mutant;
use crate::{expression::named, files, path, read};

/// Every rule file and every file of unit tests.
#[derive(Debug)]
pub struct Suite {
    /// Path inside `prometheus/` to its groups.
    rules: BTreeMap<String, Value>,
    tests: Vec<LoadedTestFile>,
}

#[derive(Debug)]
struct LoadedTestFile {
    content: Value,
    /// Rule files that it loads.
    loads: Vec<String>,
}

impl Suite {
    /// Reads every file.
    ///
    /// # Panics
    /// Panics if a file is malformed.
    pub fn read() -> Self {
        let parsed = |file: &std::path::Path| -> Value {
            serde_yaml_ng::from_str(&read(file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        };
        let mut rules = BTreeMap::new();
        for kind in ["recording", "alerts"] {
            for file in files(&format!("prometheus/{kind}"), "yml") {
                let name = file.strip_prefix(path("prometheus")).expect("a file of this folder").display().to_string();
                rules.insert(name, parsed(&file));
            }
        }
        let test = |file: &std::path::PathBuf| {
            let content = parsed(file);
            let patterns = content["rule_files"].as_sequence().into_iter().flatten().filter_map(Value::as_str);
            let loads = patterns.flat_map(|pattern| matching(pattern.trim_start_matches("../"), &rules)).collect();
            LoadedTestFile { content, loads }
        };
        let tests = files("prometheus/tests", "yml").iter().map(test).collect();
        Self { rules, tests }
    }

    /// Pairs of a rule file and a file of unit tests that loads it as `name`; none if no unit test asks about the rule.
    pub fn reduced(&self, mutant: &Mutant, name: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for file in &self.tests {
            let loaded: Vec<&Value> = file.loads.iter().map(|load| &self.rules[load]).collect();
            let asked = dependents(&loaded, &mutant.rule);
            let tests = asking(&file.content, &asked);
            if tests.is_empty() {
                continue;
            }
            let needed = needs(&loaded, &asked);
            let groups: Vec<Value> = loaded.iter().flat_map(|rules| groups(rules, &needed, mutant)).collect();
            let rules = mapping([("groups", groups.into())]);
            let content = mapping([
                ("rule_files", vec![Value::from(format!("{name}.yml"))].into()),
                ("evaluation_interval", file.content["evaluation_interval"].clone()),
                ("group_eval_order", file.content["group_eval_order"].clone()),
                ("tests", tests.into()),
            ]);
            let text = |value: &Value| serde_yaml_ng::to_string(value).expect("YAML is written");
            found.push((text(&rules), text(&content)));
        }
        found
    }
}

fn mapping<const N: usize>(entries: [(&str, Value); N]) -> Value {
    entries.into_iter().map(|(key, value)| (Value::from(key), value)).collect::<Mapping>().into()
}

/// Rule files that a path with one asterisk names.
fn matching(pattern: &str, rules: &BTreeMap<String, Value>) -> Vec<String> {
    let (start, end) = pattern.split_once('*').unwrap_or((pattern, ""));
    rules.keys().filter(|name| name.starts_with(start) && name.ends_with(end)).cloned().collect()
}

fn rules_of(file: &Value) -> impl Iterator<Item = &Value> {
    let groups = file["groups"].as_sequence().into_iter().flatten();
    groups.flat_map(|group| group["rules"].as_sequence().into_iter().flatten())
}

fn name_of(rule: &Value) -> &str {
    rule["alert"].as_str().or_else(|| rule["record"].as_str()).unwrap_or_default()
}

/// Whether a rule reads the series of another, or the alerts that fire.
fn reads(rule: &Value, other: &str) -> bool {
    named(rule["expr"].as_str().unwrap_or_default()).selectors.iter().any(|selector| selector.name == other)
}

/// The rule, and every rule that reads it, directly or not.
fn dependents(files: &[&Value], rule: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::from([rule.to_owned()]);
    loop {
        let more: Vec<_> = files
            .iter()
            .flat_map(|file| rules_of(file))
            .filter(|candidate| !found.contains(name_of(candidate)) && found.iter().any(|name| reads(candidate, name)))
            .map(|rule| name_of(rule).to_owned())
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// The rules, and every rule that they read, directly or not.
fn needs(files: &[&Value], rules: &BTreeSet<String>) -> BTreeSet<String> {
    let mut found = rules.clone();
    loop {
        let needed = |candidate: &&Value| {
            let name = name_of(candidate);
            let alert = candidate["alert"].is_string();
            let readers = || files.iter().flat_map(|file| rules_of(file)).filter(|reader| found.contains(name_of(reader)));
            !found.contains(name) && readers().any(|reader| reads(reader, name) || (alert && reads(reader, "ALERTS")))
        };
        let more: Vec<_> =
            files.iter().flat_map(|file| rules_of(file)).filter(needed).map(|rule| name_of(rule).to_owned()).collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// Unit tests that ask about one of the rules, without their other questions.
fn asking(file: &Value, rules: &BTreeSet<String>) -> Vec<Value> {
    let about_alert = |question: &Value| question["alertname"].as_str().is_some_and(|name| rules.contains(name));
    let about_query = |question: &Value| {
        let expr = question["expr"].as_str().unwrap_or_default();
        rules.iter().any(|rule| expr.contains(&format!("\"{rule}\"")))
            || named(expr).selectors.iter().any(|selector| rules.contains(&selector.name))
    };
    let only = |test: &Value, key: &str, about: &dyn Fn(&Value) -> bool| -> Vec<Value> {
        test[key].as_sequence().into_iter().flatten().filter(|question| about(question)).cloned().collect()
    };
    let mut found = Vec::new();
    for test in file["tests"].as_sequence().into_iter().flatten() {
        let (alerts, queries) = (only(test, "alert_rule_test", &about_alert), only(test, "promql_expr_test", &about_query));
        if !alerts.is_empty() || !queries.is_empty() {
            let mut test = test.clone();
            test["alert_rule_test"] = alerts.into();
            test["promql_expr_test"] = queries.into();
            found.push(test);
        }
    }
    found
}

/// The groups of a file with only the needed rules, one of them changed.
fn groups(file: &Value, needed: &BTreeSet<String>, mutant: &Mutant) -> Vec<Value> {
    let mut found = Vec::new();
    for group in file["groups"].as_sequence().into_iter().flatten() {
        let rules = group["rules"].as_sequence().into_iter().flatten();
        let rules: Vec<Value> =
            rules.filter(|rule| needed.contains(name_of(rule))).map(|rule| changed(rule.clone(), mutant)).collect();
        if !rules.is_empty() {
            let mut group = group.clone();
            group["rules"] = rules.into();
            found.push(group);
        }
    }
    found
}

fn changed(mut rule: Value, mutant: &Mutant) -> Value {
    if name_of(&rule) == mutant.rule {
        rule["expr"] = mutant.expr.clone().into();
        if !mutant.wait.is_empty() {
            rule["for"] = mutant.wait.clone().into();
        }
    }
    rule
}

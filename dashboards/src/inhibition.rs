//! This module reads which alerts suppress which others, from Alertmanager's example configuration.

use serde::Deserialize;

use crate::{path, read, replay::duration, rules::AlertRule};

/// The part of the configuration that tests compare.
#[derive(Debug, Deserialize)]
pub struct Configuration {
    pub route: FirstRoute,
    pub inhibit_rules: Vec<Inhibition>,
}

/// The first route.
#[derive(Debug, Deserialize)]
pub struct FirstRoute {
    pub group_wait: String,
}

/// One rule of inhibition.
#[derive(Debug, Deserialize)]
pub struct Inhibition {
    pub source_matchers: Vec<String>,
    pub target_matchers: Vec<String>,
    #[serde(default)]
    pub equal: Vec<String>,
}

/// A cause and an alert that it suppresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InhibitedPair {
    pub cause: String,
    pub symptom: String,
    /// Labels that must be equal on both.
    pub equal: Vec<String>,
    /// Labels of the symptom that the rule asks for, with a value that matches.
    pub asked: Vec<(String, String)>,
}

/// The configuration, with its text.
///
/// # Panics
/// Panics if the file is missing or malformed.
pub fn configuration() -> (String, Configuration) {
    let file = path("../alertbot/alertmanager.example.yml");
    let text = read(&file);
    let parsed = serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    (text, parsed)
}

impl Inhibition {
    /// Every pair of alerts; none for a rule that names no alert.
    pub fn pairs(&self) -> Vec<InhibitedPair> {
        let names = |matchers: &[String]| matchers.iter().find_map(|matcher| value(matcher, "alertname")).map(alternatives);
        let (Some(causes), Some(symptoms)) = (names(&self.source_matchers), names(&self.target_matchers)) else {
            return Vec::new();
        };
        let asked = self.target_matchers.iter().filter(|matcher| !matcher.starts_with("alertname")).filter_map(|matcher| {
            let (label, _) = matcher.split_once(|character: char| "=!~".contains(character))?;
            let value = value(matcher, label)?.replace(".*", "");
            Some((label.to_owned(), if value.is_empty() { "any".to_owned() } else { value }))
        });
        let asked: Vec<_> = asked.collect();
        let pair = |cause: &String, symptom: &String| InhibitedPair {
            cause: cause.clone(),
            symptom: symptom.clone(),
            equal: self.equal.clone(),
            asked: asked.clone(),
        };
        causes.iter().flat_map(|cause| symptoms.iter().map(move |symptom| pair(cause, symptom))).collect()
    }
}

/// The quoted value of a matcher of this label.
fn value<'a>(matcher: &'a str, label: &str) -> Option<&'a str> {
    let rest = matcher.strip_prefix(label)?.trim_start_matches(['=', '~', '!']);
    rest.strip_prefix('"')?.strip_suffix('"')
}

/// Expands `A|B(x|y)|C` into `A`, `Bx`, `By`, `C`.
fn alternatives(pattern: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut depth, mut start) = (0_u32, 0);
    for (at, character) in pattern.char_indices().chain([(pattern.len(), '|')]) {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            '|' if depth == 0 => {
                let part = &pattern[start..at];
                start = at + 1;
                match part.split_once('(') {
                    Some((before, rest)) => {
                        let inside = rest.strip_suffix(')').expect("a group ends its alternative");
                        found.extend(inside.split('|').map(|end| format!("{before}{end}")));
                    }
                    None => found.push(part.to_owned()),
                }
            }
            _ => {}
        }
    }
    found
}

/// Seconds that an alert waits after its condition is true.
pub fn wait(alert: &AlertRule) -> u64 {
    if alert.wait.is_empty() { 0 } else { duration(&alert.wait).as_secs() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_are_expanded() {
        assert_eq!(alternatives("A|B(Fast|Slow)|C"), ["A", "BFast", "BSlow", "C"]);
    }

    #[test]
    fn a_rule_without_names_has_no_pairs() {
        let text = r#"{source_matchers: ['severity="critical"'], target_matchers: ['severity="warning"'], equal: [alertname]}"#;
        let rule: Inhibition = serde_yaml_ng::from_str(text).unwrap();
        assert_eq!(rule.pairs(), []);
        let text = r#"{source_matchers: ['alertname="A"'], target_matchers: ['alertname=~"B|C"', 'job=~"x.*"', 'node!=""']}"#;
        let rule: Inhibition = serde_yaml_ng::from_str(text).unwrap();
        let asked = vec![("job".to_owned(), "x".to_owned()), ("node".to_owned(), "any".to_owned())];
        let pair =
            |symptom: &str| InhibitedPair { cause: "A".into(), symptom: symptom.into(), equal: vec![], asked: asked.clone() };
        assert_eq!(rule.pairs(), [pair("B"), pair("C")]);
    }
}

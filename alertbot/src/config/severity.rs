//! This module reads which label states the severity of an alert, and its values.

use std::collections::BTreeMap;

use alertbot_core::alert::Severity;

use super::document::{Section, Value};

impl Value for Severity {
    const SHAPE: &'static str = "critical, warning or info";

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.name() == text)
    }

    fn stand_in() -> Self {
        Self::default()
    }
}

/// The label of the severity, and the mapping of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Severities {
    pub label: String,
    /// Values in addition to those of [`Severity::of_label`], in lower case: `sev1: critical`.
    pub names: BTreeMap<String, Severity>,
}

impl Severities {
    pub(super) fn read(root: &Section) -> Self {
        let section = root.section_or_empty("severities");
        let mut names = BTreeMap::new();
        if let Some(listed) = section.section("names") {
            listed.any_key();
            for (name, _) in listed.keys() {
                if let Some(severity) = listed.data(name) {
                    names.insert(name.to_lowercase(), severity);
                }
            }
        }
        Self { label: section.or("label", "severity".to_owned()), names }
    }

    /// Severity of one alert, by the value of its label. Case does not matter.
    pub fn of(&self, value: Option<&str>) -> Severity {
        let known = value.and_then(|value| self.names.get(&value.to_lowercase()));
        known.copied().unwrap_or_else(|| Severity::of_label(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_words_come_before_the_known_ones() {
        let names = [("sev1".to_owned(), Severity::Critical), ("info".to_owned(), Severity::Warning)].into();
        let severities = Severities { label: "severity".into(), names };
        assert_eq!(severities.of(Some("SEV1")), Severity::Critical);
        assert_eq!((severities.of(Some("info")), severities.of(Some("notice"))), (Severity::Warning, Severity::Info));
        assert_eq!(severities.of(None), Severity::Warning);
    }
}

//! This module defines the severities.

use serde::{Deserialize, Serialize};

/// Ordered from lowest to highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    #[default]
    Warning,
    Critical,
}

impl Severity {
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// Reads the value of an alert's `severity` label. An unknown value or a missing label is a warning: it is not lost among
    /// infos and wakes no one.
    pub fn of_label(label: Option<&str>) -> Self {
        match label.unwrap_or_default().to_ascii_lowercase().as_str() {
            "critical" | "page" | "emergency" | "fatal" | "disaster" => Self::Critical,
            "info" | "information" | "informational" | "notice" | "none" | "debug" | "ok" => Self::Info,
            _ => Self::Warning,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Severity;

    #[test]
    fn an_unknown_word_is_a_warning_and_critical_is_the_worst() {
        for (label, severity) in [
            (None, Severity::Warning),
            (Some("CRITICAL"), Severity::Critical),
            (Some("page"), Severity::Critical),
            (Some("odd"), Severity::Warning),
            (Some("none"), Severity::Info),
        ] {
            assert_eq!(Severity::of_label(label), severity, "{label:?}");
        }
        assert!(Severity::Critical > Severity::Warning && Severity::Warning > Severity::Info);
    }
}

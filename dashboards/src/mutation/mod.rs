//! This module changes the rules in small ways, to measure whether their unit tests notice: a test that no change breaks pins nothing.
//!
//! - A mutant is one rule with one change: its `for`, a threshold, a window, a matcher or a label of a grouping.
//! - Each mutant comes with the unit tests that ask about it, and with only the rules that these need.
//! - This module must not run a program: the test runs promtool.

mod change;
mod reduce;

pub use change::{changes, waits};
pub use reduce::Suite;

use crate::rules::{AlertRule, Recording};

/// One rule with one change.
#[derive(Debug, Clone)]
pub struct Mutant {
    /// Name of the alert or recording.
    pub rule: String,
    /// The difference, as `> 60 becomes > 120`.
    pub change: String,
    /// The changed expression.
    pub expr: String,
    /// The changed `for`; empty for none.
    pub wait: String,
}

impl Mutant {
    /// The key of `survivors.yml`.
    pub fn name(&self) -> String {
        format!("{}: {}", self.rule, self.change)
    }
}

/// Every mutant of every rule, in the order of the files. `expected_targets` are constants, which each operator replaces.
pub fn mutants(recordings: &[Recording], alerts: &[AlertRule]) -> Vec<Mutant> {
    let mut found = Vec::new();
    for recording in recordings.iter().filter(|recording| recording.record != "expected_targets") {
        add(&mut found, &recording.record, &recording.expr, "");
    }
    for alert in alerts {
        for wait in waits(&alert.wait) {
            let change = format!("for {} becomes {wait}", alert.wait);
            found.push(Mutant { rule: alert.alert.clone(), change, expr: alert.expr.clone(), wait });
        }
        add(&mut found, &alert.alert, &alert.expr, &alert.wait);
    }
    found
}

fn add(found: &mut Vec<Mutant>, rule: &str, expr: &str, wait: &str) {
    for (change, expr) in changes(expr) {
        found.push(Mutant { rule: rule.to_owned(), change, expr, wait: wait.to_owned() });
    }
}

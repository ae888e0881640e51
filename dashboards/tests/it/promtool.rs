//! The rules as Prometheus's own tool sees them.

use std::{path::PathBuf, process::Command};

use dashboards::files;

/// # Panics
/// With what the tool printed when it found a fault, and with the remedy when it is not installed.
fn promtool(arguments: &[&str], files: Vec<PathBuf>) {
    let tool = local_parts::find_program("promtool").unwrap_or_else(|missing| panic!("{missing}"));
    let output = Command::new(tool).args(arguments).args(files).output().expect("promtool starts");
    assert!(
        output.status.success(),
        "promtool {}:\n{}{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn rules_are_well_formed() {
    let mut rules = files("prometheus/recording", "yml");
    rules.extend(files("prometheus/alerts", "yml"));
    promtool(&["check", "rules"], rules);
}

#[test]
fn alerts_fire_when_they_should_and_only_then() {
    promtool(&["test", "rules"], files("prometheus/tests", "yml"));
}

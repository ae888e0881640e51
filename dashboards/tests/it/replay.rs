//! Every test of the rules at the scrape intervals that operators use, with both spellings of bucket bounds.

use std::{fs, process::Command, time::Duration};

use dashboards::{
    files, read,
    replay::{self, Variant},
    stem,
};

/// Seconds between scrapes, and whether bounds of buckets are spelled as Prometheus 3 does. A rule that needs scrapes more often than each
/// minute stays silent for most users.
const VARIANTS: [(u64, bool); 5] = [(5, true), (15, false), (30, true), (60, false), (60, true)];

#[test]
fn rules_hold_at_every_scrape_interval_and_bucket_spelling() {
    let tool = local_parts::find_program("promtool").unwrap_or_else(|missing| panic!("{missing}"));
    let folder = tempfile::tempdir().unwrap();
    for kind in ["recording", "alerts"] {
        fs::create_dir(folder.path().join(kind)).unwrap();
        for file in files(&format!("prometheus/{kind}"), "yml") {
            let name = format!("{kind}/{}.yml", stem(&file));
            fs::write(folder.path().join(name), replay::without_annotations(&read(&file))).unwrap();
        }
    }
    let mut failed = Vec::new();
    for (seconds, decimal_bounds) in VARIANTS {
        let variant = Variant { interval: Duration::from_secs(seconds), decimal_bounds };
        let mut tests = Vec::new();
        // Pins hold to the minute, at the interval that they are written for.
        for file in files("prometheus/tests", "yml").into_iter().filter(|file| !stem(file).starts_with("pins_")) {
            let text = read(&file);
            let rules: Vec<String> = text
                .lines()
                .filter_map(|line| line.trim().strip_prefix("- ../"))
                .map(|rule| format!("{}/{rule}", folder.path().display()))
                .collect();
            assert!(!rules.is_empty(), "{} names no rules", file.display());
            let test = folder.path().join(format!("{}-{}-{decimal_bounds}.yml", stem(&file), seconds));
            fs::write(&test, replay::rewrite(&text, &rules, variant)).unwrap();
            tests.push(test);
        }
        let output = Command::new(&tool).args(["test", "rules"]).args(&tests).output().expect("promtool starts");
        if !output.status.success() {
            failed.push(format!(
                "{variant:?}:\n{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

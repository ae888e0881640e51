//! What every log line of every program has, read from the files of a run.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

/// The log of each part, the program and its role.
const PARTS: &[(&str, &str, &str)] = &[
    ("serve", "exchange", "serve"),
    ("serve-2", "exchange", "serve"),
    ("worker", "exchange", "worker"),
    ("probe", "exchange", "probe"),
    ("migrate", "exchange", "migrate"),
    ("backup", "backup", "serve"),
    ("alertbot", "alertbot", "serve"),
    ("relay", "logship", "relay"),
    ("watch", "logship", "watch"),
    ("shipper", "development-shipper", "ship"),
    ("simulator", "exchange-simulator", "simulate"),
];
const ECS_VERSION: &str = "8.17.0";

/// Each line is JSON and names the program, its release, its role and the release of ECS.
pub fn faults_of_every_line(logs: &Path) -> Vec<String> {
    PARTS.iter().flat_map(|part| faults_of(logs, part)).collect()
}

fn faults_of(logs: &Path, (part, program, role): &(&str, &str, &str)) -> BTreeSet<String> {
    let file = logs.join(format!("{part}.log"));
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) => return [format!("{}: {error}", file.display())].into(),
    };
    let mut faults = BTreeSet::new();
    // The last line may be half written.
    let lines: Vec<_> = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).collect();
    if lines.is_empty() {
        faults.insert(format!("{part} logged nothing"));
    }
    for line in lines {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            faults.insert(format!("{part} wrote a line that is not JSON: {}", line.trim()));
            continue;
        };
        for (name, expected) in [("service.name", program), ("service.node.name", role), ("ecs.version", &ECS_VERSION)] {
            if line[name] != **expected {
                faults.insert(format!("{part}: {name} is {} instead of {expected:?}", line[name]));
            }
        }
        for name in ["@timestamp", "log.level", "message", "service.version"] {
            if !line[name].is_string() {
                faults.insert(format!("{part}: a line has no {name}: {line}"));
            }
        }
    }
    faults
}

//! The metrics of one-shot runs, in a file for the node exporter's textfile collector.
//!
//! A process that lives for a minute counts from zero. What the file said before is carried on: counters are added up, and
//! what this process did not learn (the last success, when the store is out of reach) stays as it was. Whole or not at all:
//! the exporter may read at any moment.

use std::{collections::BTreeMap, fs, io, path::Path};

use service_kit::metrics::Metrics;

use crate::metrics::DECLARED;

/// # Errors
/// When the file cannot be written, or the one before not read.
pub fn write(path: &Path, metrics: &Metrics) -> io::Result<()> {
    let before = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let beside = path.with_extension("tmp");
    fs::write(&beside, carried_on(&before, &metrics.encode()))?;
    fs::rename(beside, path)
}

/// `name{labels} value` -> `name{labels}` and the value.
fn sample(line: &str) -> Option<(&str, f64)> {
    let (series, value) = line.rsplit_once(' ')?;
    Some((series, value.parse().ok()?))
}

fn name(series: &str) -> &str {
    series.split('{').next().unwrap_or(series)
}

/// The new text, with what the old one knew of our own metrics.
fn carried_on(before: &str, now: &str) -> String {
    let ours = |series: &str| DECLARED.iter().flat_map(|group| group.iter()).any(|descriptor| descriptor.name == name(series));
    let samples = before.lines().filter(|line| !line.starts_with('#')).filter_map(sample);
    let mut left: BTreeMap<&str, f64> = samples.filter(|(series, _)| ours(series)).collect();
    let mut text = String::new();
    for line in now.lines() {
        match sample(line).filter(|_| !line.starts_with('#')) {
            Some((series, value)) => match left.remove(series) {
                Some(earlier) if name(series).ends_with("_total") => text += &format!("{series} {}\n", earlier + value),
                // Nothing was learned: these gauges are times and sizes, which no real one of is zero.
                Some(earlier) if value == 0.0 && name(series).ends_with("_timestamp_seconds") => {
                    text += &format!("{series} {earlier}\n");
                }
                _ => text += &format!("{line}\n"),
            },
            None => text += &format!("{line}\n"),
        }
    }
    let mut families = BTreeMap::<&str, Vec<(&str, f64)>>::new();
    for (series, value) in left {
        families.entry(name(series)).or_default().push((series, value));
    }
    for (family, samples) in families {
        // A family's samples stand together: beside those that this process has, or with a head of their own.
        let added: String = samples.iter().map(|(series, value)| format!("{series} {value}\n")).collect();
        let head = before.lines().filter(|line| {
            let mut words = line.split(' ');
            words.next() == Some("#") && words.nth(1) == Some(family)
        });
        match text.find(&format!("# TYPE {family} ")).and_then(|at| Some(at + text[at..].find('\n')? + 1)) {
            Some(at) => text.insert_str(at, &added),
            None => text += &(head.map(|line| format!("{line}\n")).collect::<String>() + &added),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_add_up_and_what_was_not_learned_stays() {
        let before = "# HELP backup_runs_total a\n# TYPE backup_runs_total counter\nbackup_runs_total{backup=\"a\",outcome=\"failed\"} 2\n\
                      backup_runs_total{backup=\"a\",outcome=\"committed\"} 5\n\
                      # HELP backup_last_success_timestamp_seconds a\n# TYPE backup_last_success_timestamp_seconds gauge\n\
                      backup_last_success_timestamp_seconds{backup=\"a\"} 1000.5\nprocess_open_fds 9\n";
        let now = "# HELP backup_runs_total a\n# TYPE backup_runs_total counter\nbackup_runs_total{backup=\"a\",outcome=\"failed\"} 1\n\
                   process_open_fds 7\n";
        let text = carried_on(before, now);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[2..4],
            ["backup_runs_total{backup=\"a\",outcome=\"committed\"} 5", "backup_runs_total{backup=\"a\",outcome=\"failed\"} 3"]
        );
        assert!(lines.contains(&"backup_last_success_timestamp_seconds{backup=\"a\"} 1000.5"), "{text}");
        assert!(lines.contains(&"process_open_fds 7") && !text.contains("process_open_fds 9"), "{text}");
        assert_eq!(text.matches("# TYPE").count(), 2, "{text}");
        let learned =
            "# TYPE backup_last_success_timestamp_seconds gauge\nbackup_last_success_timestamp_seconds{backup=\"a\"} 2000\n";
        assert!(carried_on(before, learned).contains("} 2000\n"));
    }
}

//! This module writes the metrics of one-shot runs to a file for the node exporter's textfile collector.
//!
//! A short process counts from zero, so the previous values of the file are carried on. Counters are added up. Values that this
//! process did not determine (the last success, if the store is unreachable) remain. The file is replaced atomically, since the
//! exporter can read it at any time.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use service_kit::metrics::Metrics;

use crate::metrics::DECLARED;

/// Identifies the program that wrote the file.
const BUILD: &str = "build_info";

/// The file as one process writes it, once or repeatedly.
#[derive(Debug)]
pub struct Textfile {
    path: PathBuf,
    /// Values of this process's counters when they were last added to the file.
    counted: BTreeMap<String, f64>,
}

impl Textfile {
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), counted: BTreeMap::new() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// # Errors
    /// Returns an error if the file cannot be written, or the previous one cannot be read.
    pub fn write(&mut self, metrics: &Metrics) -> io::Result<()> {
        let before = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let (now, beside) = (metrics.encode(), self.path.with_extension(format!("{}.tmp", std::process::id())));
        fs::write(&beside, carried_on(&before, &now, &self.counted))?;
        fs::rename(beside, &self.path)?;
        self.counted = samples(&now).filter(|(series, _)| is_counter(series)).map(|(series, at)| (series.into(), at)).collect();
        Ok(())
    }
}

/// `name{labels} value` -> `name{labels}` and the value.
fn sample(line: &str) -> Option<(&str, f64)> {
    let (series, value) = line.rsplit_once(' ')?;
    Some((series, value.parse().ok()?))
}

fn samples(text: &str) -> impl Iterator<Item = (&str, f64)> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(sample)
}

fn name(series: &str) -> &str {
    series.split('{').next().unwrap_or(series)
}

fn is_counter(series: &str) -> bool {
    name(series).ends_with("_total")
}

/// The metric of a line: `# TYPE name kind`, `name{labels} value`.
fn metric(line: &str) -> &str {
    match line.strip_prefix("# ") {
        Some(head) => head.split(' ').nth(1).unwrap_or_default(),
        None => name(line).split(' ').next().unwrap_or_default(),
    }
}

fn is_ours(name: &str) -> bool {
    DECLARED.iter().flat_map(|group| group.iter()).any(|descriptor| descriptor.name == name)
}

/// The new text, with the previous values of our own metrics. `counted`: the part that the previous text already includes.
fn carried_on(before: &str, now: &str, counted: &BTreeMap<String, f64>) -> String {
    let mut left: BTreeMap<&str, f64> = samples(before).filter(|(series, _)| is_ours(name(series))).collect();
    let mut text = String::new();
    // The resources of an ended process are useless, and the node exporter has metrics of the same names.
    for line in now.lines().filter(|line| is_ours(metric(line)) || metric(line) == BUILD) {
        match sample(line).filter(|_| !line.starts_with('#')) {
            Some((series, value)) => match left.remove(series) {
                Some(earlier) if is_counter(series) => {
                    text += &format!("{series} {}\n", earlier + value - counted.get(series).unwrap_or(&0.0));
                }
                // The process did not determine this value. A gauge without labels always exists, and zero is not a valid time. A
                // job's own gauge exists only after it was set, and its zero means that there is no backup.
                Some(earlier) if value == 0.0 && series.ends_with("_timestamp_seconds") => {
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
        // The samples of a family must be contiguous: append them to those of this process, or add a header.
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
    fn counters_add_up_and_undetermined_values_remain() {
        let before = "# HELP backup_runs_total a\n# TYPE backup_runs_total counter\nbackup_runs_total{backup=\"a\",outcome=\"failed\"} 2\n\
                      backup_runs_total{backup=\"a\",outcome=\"committed\"} 5\n\
                      # HELP backup_last_success_timestamp_seconds a\n# TYPE backup_last_success_timestamp_seconds gauge\n\
                      backup_last_success_timestamp_seconds{backup=\"a\"} 1000.5\nprocess_open_fds 9\n";
        let now = "# HELP backup_runs_total a\n# TYPE backup_runs_total counter\nbackup_runs_total{backup=\"a\",outcome=\"failed\"} 1\n\
                   # HELP process_open_fds a\n# TYPE process_open_fds gauge\nprocess_open_fds 7\nbuild_info{program=\"backup\"} 1\n";
        let text = carried_on(before, now, &BTreeMap::new());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[2..4],
            ["backup_runs_total{backup=\"a\",outcome=\"committed\"} 5", "backup_runs_total{backup=\"a\",outcome=\"failed\"} 3"]
        );
        assert!(lines.contains(&"backup_last_success_timestamp_seconds{backup=\"a\"} 1000.5"), "{text}");
        assert!(!text.contains("process_open_fds"), "the node exporter has its own: {text}");
        assert!(lines.contains(&"build_info{program=\"backup\"} 1"), "{text}");
        assert_eq!(text.matches("# TYPE").count(), 2, "{text}");
        let learned =
            "# TYPE backup_last_success_timestamp_seconds gauge\nbackup_last_success_timestamp_seconds{backup=\"a\"} 2000\n";
        assert!(carried_on(before, learned, &BTreeMap::new()).contains("} 2000\n"));
        let none = "# TYPE backup_last_success_timestamp_seconds gauge\nbackup_last_success_timestamp_seconds{backup=\"a\"} 0\n";
        assert!(carried_on(before, none, &BTreeMap::new()).contains("} 0\n"), "the process determined that there is no backup");
        let read = "# TYPE backup_catalogue_read_timestamp_seconds gauge\nbackup_catalogue_read_timestamp_seconds ";
        let unread = carried_on(&format!("{read}7\n"), &format!("{read}0\n"), &BTreeMap::new());
        assert!(unread.contains("seconds 7\n"), "the catalogue was not read: {unread}");
    }

    /// A process that writes twice counts an event once, and a series exists before its first event.
    #[test]
    fn a_counter_of_one_process_is_added_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup.prom");
        let process = || {
            let metrics = Metrics::new("backup", "0", None);
            (crate::metrics::AgentMetrics::register(&metrics).unwrap(), metrics, Textfile::new(&path))
        };
        let said = || fs::read_to_string(&path).unwrap();
        let failed = |count: u32| format!("backup_runs_total{{backup=\"a\",outcome=\"failed\"}} {count}\n");
        let (agent, metrics, mut file) = process();
        agent.start_at_zero("a");
        file.write(&metrics).unwrap();
        assert!(said().contains(&failed(0)), "{}", said());
        agent.runs.with_label_values(&["a", "failed"]).inc();
        file.write(&metrics).unwrap();
        file.write(&metrics).unwrap();
        assert!(said().contains(&failed(1)), "{}", said());
        let (agent, metrics, mut file) = process();
        agent.start_at_zero("a");
        agent.runs.with_label_values(&["a", "failed"]).inc();
        file.write(&metrics).unwrap();
        file.write(&metrics).unwrap();
        assert!(said().contains(&failed(2)), "{}", said());
    }
}

//! What the programs declare, under the names that Prometheus keeps it by.

use std::collections::BTreeMap;

use service_kit::metrics::{Descriptor, MetricKind, STANDARD};

use crate::exported::EXPORTED;

/// Labels that a scrape adds to every series.
pub const TARGET_LABELS: &[&str] = &["job", "instance", "namespace", "cluster", "node"];

/// Series that Prometheus itself makes, with their labels beyond the target's.
pub const PROMETHEUS: &[(&str, &[&str])] = &[("up", &[]), ("ALERTS", &["alertname", "alertstate", "severity"])];

/// Series of Fluent Bit on each node, with their labels beyond the target's: `name` is the output's alias
/// (<https://docs.fluentbit.io/manual/administration/monitoring>).
pub const FLUENT_BIT: &[(&str, &[&str])] = &[
    ("fluentbit_output_proc_records_total", &["name"]),
    ("fluentbit_output_retries_total", &["name"]),
    ("fluentbit_output_retries_failed_total", &["name"]),
    ("fluentbit_output_dropped_records_total", &["name"]),
    ("fluentbit_process_start_time_seconds", &[]),
];

/// Series that no program of this repository makes.
pub fn made_elsewhere() -> impl Iterator<Item = &'static (&'static str, &'static [&'static str])> {
    PROMETHEUS.iter().chain(FLUENT_BIT).chain(EXPORTED.iter().copied().flatten())
}

/// A program of this repository: what it exports, and where that is shown.
#[derive(Debug)]
pub struct Program {
    /// Its metrics begin with it, and so do the scrape jobs of its processes.
    pub name: &'static str,
    /// The folder of its package.
    pub folder: &'static str,
    /// Its board is `grafana/<board>.json`, with it as `uid`.
    pub board: &'static str,
    /// What the names of its alerts begin with: its own name, and alerts of other names that are about it.
    pub alerts: &'static [&'static str],
    /// Beside what every program exports.
    pub declared: &'static [&'static [Descriptor]],
}

/// Every program. A new one is a row here, a board, alerts with tests, and runbooks.
pub const PROGRAMS: &[Program] = &[
    Program { name: "exchange", folder: "app", board: "exchange", alerts: &["Exchange"], declared: exchange::metrics::DECLARED },
    Program { name: "backup", folder: "backup", board: "backup", alerts: &["Backup"], declared: backup::metrics::DECLARED },
    Program {
        name: "alertbot",
        folder: "alertbot",
        board: "alertbot",
        alerts: &["Alertbot", "CriticalWithoutAlertbot", "Watchdog"],
        declared: alertbot::metrics::DECLARED,
    },
    Program {
        name: "logship",
        folder: "logship-config",
        board: "logging",
        alerts: &["Logship", "FluentBit"],
        declared: logship::metrics::DECLARED,
    },
];

impl Program {
    /// Every metric of this program.
    pub fn metrics(&self) -> impl Iterator<Item = &'static Descriptor> + use<> {
        STANDARD.iter().chain(self.declared.iter().copied().flatten())
    }

    /// Whether an alert is about this program.
    pub fn alarms(&self, alert: &str) -> bool {
        self.alerts.iter().any(|beginning| alert.starts_with(beginning))
    }

    /// Whether a series, recorded ones too, is this program's.
    pub fn owns(&self, series: &str) -> bool {
        let series = series.split_once(':').map_or(series, |(_, recorded)| recorded);
        series.strip_prefix(self.name).is_some_and(|rest| rest.starts_with('_'))
    }
}

/// The program that an alert is about; `None` for an alert about a part that is not of this repository.
pub fn program_of(alert: &str) -> Option<&'static Program> {
    PROGRAMS.iter().find(|program| program.alarms(alert))
}

/// Every metric of every program, those that all share once.
pub fn metrics() -> impl Iterator<Item = &'static Descriptor> {
    STANDARD.iter().chain(PROGRAMS.iter().flat_map(|program| program.declared.iter().copied().flatten()))
}

/// Every series that a query may name, with its metric.
pub fn series() -> BTreeMap<String, &'static Descriptor> {
    metrics().flat_map(|metric| metric.series().into_iter().map(move |name| (name, metric))).collect()
}

/// Whether a series of `metric` carries `label`.
pub fn carries(metric: &Descriptor, series: &str, label: &str) -> bool {
    metric.labels.contains(&label)
        || TARGET_LABELS.contains(&label)
        || (label == "le" && metric.kind == MetricKind::Histogram && series.ends_with("_bucket"))
}

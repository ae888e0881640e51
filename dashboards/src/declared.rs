//! What the programs declare, under the names that Prometheus keeps it by.

use std::collections::BTreeMap;

use service_kit::metrics::{Descriptor, Kind, STANDARD};

/// Labels that a scrape adds to every series.
pub const TARGET_LABELS: &[&str] = &["job", "instance", "namespace"];

/// Series that Prometheus itself makes, with their labels beyond the target's.
pub const PROMETHEUS: &[(&str, &[&str])] = &[("up", &[]), ("ALERTS", &["alertname", "alertstate", "severity"])];

/// Every metric of every program.
pub fn metrics() -> impl Iterator<Item = &'static Descriptor> {
    STANDARD.iter().chain(exchange::metrics::DECLARED.iter().copied().flatten())
}

/// Every series that a query may name, with its metric.
pub fn series() -> BTreeMap<String, &'static Descriptor> {
    metrics().flat_map(|metric| metric.series().into_iter().map(move |name| (name, metric))).collect()
}

/// Whether a series of `metric` carries `label`.
pub fn carries(metric: &Descriptor, series: &str, label: &str) -> bool {
    metric.labels.contains(&label)
        || TARGET_LABELS.contains(&label)
        || (label == "le" && metric.kind == Kind::Histogram && series.ends_with("_bucket"))
}

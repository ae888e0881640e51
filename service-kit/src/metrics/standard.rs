//! This module exports the metrics of every program: its build, and the operating system's figures of the process.

use prometheus::{IntGaugeVec, Registry, process_collector::ProcessCollector};

use super::{Descriptor, Instrument, MetricKind};

const BUILD_INFO: Descriptor = Descriptor {
    name: "build_info",
    kind: MetricKind::Gauge,
    doc: "1, with the program, its version and the commit it was built from.",
    labels: &["program", "version", "commit"],
    buckets: &[],
};

const fn process(name: &'static str, kind: MetricKind, doc: &'static str) -> Descriptor {
    Descriptor { name, kind, doc, labels: &[], buckets: &[] }
}

/// The metrics that [`super::Metrics::new`] registers.
pub const STANDARD: &[Descriptor] = &[
    BUILD_INFO,
    process("process_cpu_seconds_total", MetricKind::Counter, "Total user and system CPU time spent in seconds."),
    process("process_open_fds", MetricKind::Gauge, "Number of open file descriptors."),
    process("process_max_fds", MetricKind::Gauge, "Maximum number of open file descriptors."),
    process("process_virtual_memory_bytes", MetricKind::Gauge, "Virtual memory size in bytes."),
    process("process_resident_memory_bytes", MetricKind::Gauge, "Resident memory size in bytes."),
    process("process_start_time_seconds", MetricKind::Gauge, "Start time of the process since unix epoch in seconds."),
    process("process_threads", MetricKind::Gauge, "Number of OS threads in the process."),
];

/// # Panics
/// Never: the registry is new and the names are well formed.
pub(super) fn register(registry: &Registry, program: &str, version: &str, commit: Option<&str>) {
    let build_info = IntGaugeVec::register(&BUILD_INFO, registry).expect("build_info is free in a new registry");
    build_info.with_label_values(&[program, version, commit.unwrap_or("unknown")]).set(1);
    registry.register(Box::new(ProcessCollector::for_self())).expect("process metrics are free in a new registry");
}

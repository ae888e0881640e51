//! This module declares and exports the metrics of a program. One struct declares each metric once: name, help, labels
//! and buckets.
//!
//! ```
//! use service_kit::metrics::{IntCounterVec, Histogram, Metrics};
//!
//! service_kit::metrics! {
//!     /// What the shop measures.
//!     pub struct ShopMetrics {
//!         /// Customers served, by till.
//!         pub served: IntCounterVec = "shop_customers_served_total", ["till"];
//!         /// Time from the queue to the door.
//!         pub visit_seconds: Histogram = "shop_visit_seconds", buckets: &[1.0, 10.0, 60.0];
//!     }
//! }
//!
//! let metrics = Metrics::new("shop", "1.2.3", None);
//! let shop = ShopMetrics::register(&metrics).unwrap();
//! shop.served.with_label_values(&["1"]).inc();
//! assert!(metrics.encode().contains("shop_customers_served_total{till=\"1\"} 1"));
//! assert_eq!(ShopMetrics::DESCRIPTORS[1].name, "shop_visit_seconds"); // known without running the shop
//! ```
//!
//! Names are `<program>_<subject>_<unit>`: base units, `_total` on counters, `_seconds`, `_bytes`. Labels are bounded:
//! never an account, an order or a person. Names, labels and meanings are interfaces: boards and alerts read them.

mod declare;
mod standard;

use prometheus::{Registry, TextEncoder};

pub use declare::{Descriptor, Instrument, MetricKind};
pub use prometheus::{
    Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramTimer, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec,
};
pub use standard::STANDARD;

/// Buckets for latency that a client sees: dense between a tenth of a millisecond and 100 ms, up to 10 s.
pub const LATENCY_SECONDS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// The metrics of one running program. Clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// With `build_info` and the process's own metrics in it ([`STANDARD`]). `commit` is the source revision that
    /// the program was built from, when known.
    pub fn new(program: &str, version: &str, commit: Option<&str>) -> Self {
        let registry = Registry::new();
        standard::register(&registry, program, version, commit);
        Self { registry }
    }

    /// For collectors that no declaration covers, such as one that reads its values at the time of a scrape.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Everything in Prometheus's text format.
    pub fn encode(&self) -> String {
        // Fails only on a family without samples, and the registry leaves those out.
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

//! Every metric of `logship`, one list. Names, labels and meanings are interfaces: boards and alerts read them.
//!
//! Labels are names of declared streams and objects, or words of a fixed list; never an index, a document or an address.

use service_kit::metrics::{Descriptor, Histogram, IntCounterVec, LATENCY_SECONDS};

/// Everything that `logship` exports, beside what every program does (`service_kit::metrics::STANDARD`).
pub const DECLARED: &[&[Descriptor]] = &[ClientMetrics::DESCRIPTORS];

service_kit::metrics! {
    /// Requests to Elasticsearch.
    pub struct ClientMetrics {
        /// Requests sent, by outcome (done, refused, overloaded, unauthorised, unreachable).
        pub requests: IntCounterVec = "logship_elasticsearch_requests_total", ["outcome"];
        /// From sending a request to the end of its answer.
        pub duration: Histogram = "logship_elasticsearch_request_seconds", buckets: LATENCY_SECONDS;
        /// Times that mounted credentials or certificates were read again because they had changed.
        pub reloads: IntCounterVec = "logship_mounted_file_reloads_total", ["outcome"];
    }
}

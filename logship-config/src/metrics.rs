//! Every metric of `logship`, one list. Names, labels and meanings are interfaces: boards and alerts read them.
//!
//! Labels are names of declared streams and objects, or words of a fixed list; never an index, a document or an address.

use service_kit::metrics::{Descriptor, Histogram, IntCounter, IntCounterVec, IntGauge, LATENCY_SECONDS};

/// Everything that `logship` exports, beside what every program does (`service_kit::metrics::STANDARD`).
pub const DECLARED: &[&[Descriptor]] = &[ClientMetrics::DESCRIPTORS, RelayMetrics::DESCRIPTORS];

/// From a chunk's head to its answer: up to the longest deadline that makes sense.
const CHUNK_SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];

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

service_kit::metrics! {
    /// The relay before `_bulk`. A chunk is what a shipper sends at once.
    pub struct RelayMetrics {
        /// Chunks answered, by outcome (stored, refused, too_large, busy, not_ready, unauthorised, broken, unstored): unstored ones
        /// are answered 503 and come again.
        pub chunks: IntCounterVec = "logship_relay_chunks_total", ["outcome"];
        /// Chunks refused for what the shipper sends, by reason (malformed, not_create, unknown_stream, no_id, encoding, parameters).
        pub refused: IntCounterVec = "logship_relay_refused_chunks_total", ["reason"];
        /// Documents that are settled, by outcome (stored, already_there, failure_store, dead_letter, dead_letter_already_there).
        pub documents: IntCounterVec = "logship_relay_documents_total", ["outcome"];
        /// Documents put off to be sent again, by cause (busy, unavailable, blocked, dead_letter_refused).
        pub put_off: IntCounterVec = "logship_relay_put_off_documents_total", ["cause"];
        /// Documents sent again to Elasticsearch by the relay itself.
        pub resent: IntCounter = "logship_relay_resent_documents_total";
        /// Documents of requests that got no whole answer: when the write index rolled over in between, a re-send of those that had
        /// been stored stores them again.
        pub unanswered: IntCounter = "logship_relay_unanswered_documents_total";
        /// Dead letters that hold the beginning of their document only, since no request can carry it.
        pub cut: IntCounter = "logship_relay_cut_documents_total";
        /// Requests that were too large for Elasticsearch and went in parts.
        pub splits: IntCounter = "logship_relay_split_requests_total";
        /// Bytes of bodies as they arrived.
        pub received_bytes: IntCounter = "logship_relay_received_bytes_total";
        /// The same bytes after they were inflated.
        pub inflated_bytes: IntCounter = "logship_relay_inflated_bytes_total";
        /// Chunks in work.
        pub in_work: IntGauge = "logship_relay_chunks_in_work";
        /// How many may be.
        pub places: IntGauge = "logship_relay_chunk_places";
        /// 1 while every stream has its own template and chunks are taken.
        pub ready: IntGauge = "logship_relay_ready";
        /// From a chunk's head to its answer.
        pub duration: Histogram = "logship_relay_chunk_seconds", buckets: CHUNK_SECONDS;
    }
}

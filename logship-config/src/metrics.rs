//! This module lists every metric of `logship`. Names, labels and meanings are interfaces: boards and alerts read them.
//!
//! Labels are names of declared streams and objects, or values of a fixed list. They must not be an index, a document or an
//! address.

use service_kit::metrics::{
    Descriptor, Gauge, GaugeVec, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, LATENCY_SECONDS,
};

/// All metrics of `logship`, in addition to the metrics of every program (`service_kit::metrics::STANDARD`).
pub const DECLARED: &[&[Descriptor]] = &[ClientMetrics::DESCRIPTORS, WatchMetrics::DESCRIPTORS, RelayMetrics::DESCRIPTORS];

/// From a chunk's head to its answer: up to the longest reasonable deadline.
const CHUNK_SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];

service_kit::metrics! {
    /// Requests to Elasticsearch.
    pub struct ClientMetrics {
        /// Requests sent, by outcome (done, refused, overloaded, unauthorised, unreachable).
        pub requests: IntCounterVec = "logship_elasticsearch_requests_total", ["outcome"];
        /// Time from sending a request to the end of its answer.
        pub duration: Histogram = "logship_elasticsearch_request_seconds", buckets: LATENCY_SECONDS;
        /// Times that mounted credentials or certificates were read again after a change.
        pub reloads: IntCounterVec = "logship_mounted_file_reloads_total", ["outcome"];
    }
}

service_kit::metrics! {
    /// Findings and actions of `watch`.
    pub struct WatchMetrics {
        /// Checks of the cluster, by outcome (done, failed).
        pub rounds: IntCounterVec = "logship_watch_rounds_total", ["outcome"];
        /// Duration of one check of the cluster.
        pub round_seconds: Histogram = "logship_watch_round_seconds", buckets: LATENCY_SECONDS;
        /// Time of the last successful check, in seconds since 1970.
        pub last_success: Gauge = "logship_watch_last_success_timestamp_seconds";
        /// 1 while the declared files are valid; while it is 0, their last valid version applies.
        pub declared_valid: IntGauge = "logship_declared_valid";
        /// Steps of the current plan, by kind of object and action (create, update, delete).
        pub drift: IntGaugeVec = "logship_drift_steps", ["kind", "action"];
        /// Steps that a guard would refuse.
        pub refused: IntGauge = "logship_drift_refused_steps";
        /// Objects that differ and are not changed, since others manage them.
        pub left_alone: IntGauge = "logship_drift_left_alone";
        /// Indices that are stuck in their lifecycle, by class (policy_missing, not_write_index, failed, fails_again,
        /// allocation, snapshot, rollover_overdue, over_age).
        pub stuck: IntGaugeVec = "logship_stuck_indices", ["class"];
        /// Repairs of stuck steps, by repair (retry, move) and outcome (done, failed).
        pub repairs: IntCounterVec = "logship_repairs_total", ["repair", "outcome"];
        /// 1 while index lifecycle management runs.
        pub lifecycle_running: IntGauge = "logship_lifecycle_running";
        /// Bytes of a stream with a budget, by state (allowed, used), all copies.
        pub budget_bytes: GaugeVec = "logship_budget_bytes", ["stream", "state"];
        /// Indices that a budget deletes, or would delete if it were switched on.
        pub budget_due: IntGaugeVec = "logship_budget_due_indices", ["stream"];
        /// Bytes above a budget that its floor protects.
        pub budget_excess: GaugeVec = "logship_budget_excess_bytes", ["stream"];
        /// Indices deleted by budgets, by stream and outcome (done, failed).
        pub budget_deleted: IntCounterVec = "logship_budget_deleted_indices_total", ["stream", "outcome"];
        /// Days until the disks reach a watermark (low, high, flood); 3650 when not within ten years, absent while no growth is
        /// known.
        pub days: GaugeVec = "logship_days_to_watermark", ["watermark"];
        /// Days until the low watermark if only this stream continued to grow; 3650 when not within ten years, absent while its
        /// growth is unknown.
        pub stream_days: GaugeVec = "logship_stream_days_to_watermark", ["stream"];
        /// Bytes of a stream, all copies.
        pub stream_bytes: GaugeVec = "logship_stream_bytes", ["stream"];
        /// Growth of a stream over the last week.
        pub stream_growth: GaugeVec = "logship_stream_growth_bytes_per_second", ["stream"];
        /// Bytes of the data disks, by state (total, used).
        pub disk: GaugeVec = "logship_disk_bytes", ["state"];
        /// Items of sizing advice, by topic (small_shards, large_shards, many_documents, many_shards); the log contains the
        /// text.
        pub advice: IntGaugeVec = "logship_sizing_advice", ["topic"];
        /// 1 for the features that the cluster's licence allows (basic, enterprise).
        pub capability: IntGaugeVec = "logship_capability", ["capability"];
        /// 1 for the cluster's health (green, yellow, red).
        pub health: IntGaugeVec = "logship_cluster_health", ["status"];
        /// 1 while the cluster is read-only.
        pub read_only: IntGauge = "logship_cluster_read_only";
    }
}

service_kit::metrics! {
    /// The relay in front of `_bulk`. A chunk is one request of a shipper.
    pub struct RelayMetrics {
        /// Chunks by outcome (stored, refused, too_large, busy, not_ready, unauthorised, broken, unstored, abandoned):
        /// unstored ones are answered 503 and sent again; abandoned ones have no answer, since the shipper closed the
        /// connection first.
        pub chunks: IntCounterVec = "logship_relay_chunks_total", ["outcome"];
        /// Chunks refused because of their content, by reason (malformed, not_create, unknown_stream, no_id, encoding,
        /// parameters).
        pub refused: IntCounterVec = "logship_relay_refused_chunks_total", ["reason"];
        /// Documents that are finished, by outcome (stored, already_there, failure_store, dead_letter,
        /// dead_letter_already_there).
        pub documents: IntCounterVec = "logship_relay_documents_total", ["outcome"];
        /// Documents postponed for another attempt, by cause (busy, unavailable, blocked, dead_letter_refused).
        pub put_off: IntCounterVec = "logship_relay_put_off_documents_total", ["cause"];
        /// Documents that the relay sent to Elasticsearch again.
        pub resent: IntCounter = "logship_relay_resent_documents_total";
        /// Documents of requests without a complete answer. If the write index rolled over in between, resending stores
        /// documents twice.
        pub unanswered: IntCounter = "logship_relay_unanswered_documents_total";
        /// Dead letters that contain only the beginning of their document, since no request can carry all of it.
        pub cut: IntCounter = "logship_relay_cut_documents_total";
        /// Requests that were too large for Elasticsearch and were split.
        pub splits: IntCounter = "logship_relay_split_requests_total";
        /// Bytes of bodies as received.
        pub received_bytes: IntCounter = "logship_relay_received_bytes_total";
        /// The same bytes after decompression.
        pub inflated_bytes: IntCounter = "logship_relay_inflated_bytes_total";
        /// Chunks in progress.
        pub in_work: IntGauge = "logship_relay_chunks_in_work";
        /// Largest number of chunks in progress.
        pub places: IntGauge = "logship_relay_chunk_places";
        /// Open connections of shippers.
        pub connections: IntGauge = "logship_relay_connections";
        /// Connections that the relay closed without an answer, by reason: their address had too many (too_many), no complete
        /// head arrived in time (no_request), the answer was not read (not_read), a failed TLS handshake (handshake), input that
        /// is not HTTP (malformed).
        pub closed_connections: IntCounterVec = "logship_relay_closed_connections_total", ["reason"];
        /// Memory charged for chunks, by part: bodies as they arrive, and their plain forms (arriving, plain).
        pub memory: IntGaugeVec = "logship_relay_memory_bytes", ["part"];
        /// The limit of that memory, both parts together (LOGSHIP_RELAY_MEMORY).
        pub memory_limit: IntGauge = "logship_relay_memory_limit_bytes";
        /// 1 while every stream has its own template and the relay accepts chunks.
        pub ready: IntGauge = "logship_relay_ready";
        /// Time from a chunk's head to its answer.
        pub duration: Histogram = "logship_relay_chunk_seconds", buckets: CHUNK_SECONDS;
    }
}

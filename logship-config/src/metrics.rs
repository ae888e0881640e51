//! Every metric of `logship`, one list. Names, labels and meanings are interfaces: boards and alerts read them.
//!
//! Labels are names of declared streams and objects, or words of a fixed list; never an index, a document or an address.

use service_kit::metrics::{
    Descriptor, Gauge, GaugeVec, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, LATENCY_SECONDS,
};

/// Everything that `logship` exports, beside what every program does (`service_kit::metrics::STANDARD`).
pub const DECLARED: &[&[Descriptor]] = &[ClientMetrics::DESCRIPTORS, WatchMetrics::DESCRIPTORS, RelayMetrics::DESCRIPTORS];

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
    /// What `watch` finds and does.
    pub struct WatchMetrics {
        /// Looks at the cluster, by outcome (done, failed).
        pub rounds: IntCounterVec = "logship_watch_rounds_total", ["outcome"];
        /// Duration of one look.
        pub round_seconds: Histogram = "logship_watch_round_seconds", buckets: LATENCY_SECONDS;
        /// When the last look succeeded, in seconds since 1970.
        pub last_success: Gauge = "logship_watch_last_success_timestamp_seconds";
        /// 1 while the declared files are right; while it is 0, what they said before is in force.
        pub declared_valid: IntGauge = "logship_declared_valid";
        /// Steps that a plan has, by kind of object and action (create, update, delete).
        pub drift: IntGaugeVec = "logship_drift_steps", ["kind", "action"];
        /// Steps that a guard would refuse.
        pub refused: IntGauge = "logship_drift_refused_steps";
        /// Objects that differ and are left alone, since others manage them.
        pub left_alone: IntGauge = "logship_drift_left_alone";
        /// Indices that do not get on in their lifecycle, by class (policy_missing, not_write_index, failed, fails_again, allocation,
        /// snapshot, rollover_overdue, over_age).
        pub stuck: IntGaugeVec = "logship_stuck_indices", ["class"];
        /// Repairs of stuck steps, by repair (retry, move) and outcome (done, failed).
        pub repairs: IntCounterVec = "logship_repairs_total", ["repair", "outcome"];
        /// 1 while index lifecycle management runs.
        pub lifecycle_running: IntGauge = "logship_lifecycle_running";
        /// Bytes of a stream with a budget, by state (allowed, used), all copies.
        pub budget_bytes: GaugeVec = "logship_budget_bytes", ["stream", "state"];
        /// Indices that a budget deletes, or would.
        pub budget_due: IntGaugeVec = "logship_budget_due_indices", ["stream"];
        /// Bytes beyond a budget that its floor keeps.
        pub budget_excess: GaugeVec = "logship_budget_excess_bytes", ["stream"];
        /// Indices deleted by budgets, by stream and outcome (done, failed).
        pub budget_deleted: IntCounterVec = "logship_budget_deleted_indices_total", ["stream", "outcome"];
        /// Days until the disks reach a watermark (low, high, flood); 3650 when not within ten years.
        pub days: GaugeVec = "logship_days_to_watermark", ["watermark"];
        /// Days until the low watermark if this stream alone went on growing; 3650 when not within ten years.
        pub stream_days: GaugeVec = "logship_stream_days_to_watermark", ["stream"];
        /// Bytes of a stream, all copies.
        pub stream_bytes: GaugeVec = "logship_stream_bytes", ["stream"];
        /// What a stream grew by over the last week.
        pub stream_growth: GaugeVec = "logship_stream_growth_bytes_per_second", ["stream"];
        /// Bytes of the data disks, by state (total, used).
        pub disk: GaugeVec = "logship_disk_bytes", ["state"];
        /// Pieces of sizing advice, by topic (small_shards, large_shards, many_documents, many_shards); the log has the words.
        pub advice: IntGaugeVec = "logship_sizing_advice", ["topic"];
        /// 1 for what the cluster's licence allows (basic, enterprise).
        pub capability: IntGaugeVec = "logship_capability", ["capability"];
        /// 1 for the cluster's health (green, yellow, red).
        pub health: IntGaugeVec = "logship_cluster_health", ["status"];
        /// 1 while the cluster is read-only.
        pub read_only: IntGauge = "logship_cluster_read_only";
    }
}

service_kit::metrics! {
    /// The relay before `_bulk`. A chunk is what a shipper sends at once.
    pub struct RelayMetrics {
        /// Chunks by outcome (stored, refused, too_large, busy, not_ready, unauthorised, broken, unstored, abandoned): unstored ones
        /// are answered 503 and come again, abandoned ones have no answer since the shipper hung up first.
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

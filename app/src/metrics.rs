//! Every metric of the exchange, one list. Names, labels and meanings are interfaces: boards and alerts read them.
//!
//! Labels are bounded: a market's symbol, a command's name, an outcome; never an account or an order. None is called `job` or
//! `instance`: Prometheus keeps those for the target that it scraped.

mod zero;

use service_kit::metrics::{
    Descriptor, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, LATENCY_SECONDS,
};

/// Everything that the exchange's programs export, beside what every program does (`service_kit::metrics::STANDARD`).
pub const DECLARED: &[&[Descriptor]] =
    &[EngineMetrics::DESCRIPTORS, HttpMetrics::DESCRIPTORS, ObjectStorageMetrics::DESCRIPTORS, WorkerMetrics::DESCRIPTORS];

/// Events or commands in one batch: powers of four up to the largest batch.
const BATCH: &[f64] = &[1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0];
/// A decision is about a microsecond.
const DECIDE_SECONDS: &[f64] = &[0.000_001, 0.000_002_5, 0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.001, 0.01, 0.1];

service_kit::metrics! {
    /// The engine: decisions, the journal, leadership.
    pub struct EngineMetrics {
        /// Commands decided or turned away, by kind and outcome (accepted, refused, busy, expired, unavailable, unknown).
        pub commands: IntCounterVec = "exchange_engine_commands_total", ["command", "outcome"];
        /// Time of one drain of the queue, divided by its commands: what a decision costs.
        pub decide: Histogram = "exchange_engine_decide_seconds", buckets: DECIDE_SECONDS;
        /// From sending a batch to PostgreSQL's word that it is durable.
        pub commit: Histogram = "exchange_engine_commit_seconds", buckets: LATENCY_SECONDS;
        /// From a command's arrival in the queue to its answer, durable.
        pub acknowledge: Histogram = "exchange_engine_acknowledge_seconds", buckets: LATENCY_SECONDS;
        /// Commands answered by one commit.
        pub batch_commands: Histogram = "exchange_engine_batch_commands", buckets: BATCH;
        /// Events made durable by one commit.
        pub batch_events: Histogram = "exchange_engine_batch_events", buckets: BATCH;
        /// Bytes made durable since the start.
        pub journal_bytes: IntCounter = "exchange_engine_journal_bytes_total";
        /// Commands waiting to be decided.
        pub queue_depth: IntGauge = "exchange_engine_queue_depth";
        /// Steps of queued work that the leader ran: a triggered order, or a chunk of an operator's cancels.
        pub queued_steps: IntCounter = "exchange_engine_queued_steps_total";
        /// Triggered orders that wait for their turn, by market.
        pub queued_orders: IntGaugeVec = "exchange_engine_queued_orders", ["symbol"];
        /// 1 while a market's circuit breaker pauses it, by market.
        pub market_paused: IntGaugeVec = "exchange_engine_market_paused", ["symbol"];
        /// Sequence of the last event that this replica has applied.
        pub sequence: IntGauge = "exchange_engine_journal_sequence";
        /// Epoch of the leader that this replica last saw.
        pub epoch: IntGauge = "exchange_engine_epoch";
        /// 1 while this replica leads.
        pub leader: IntGauge = "exchange_engine_leader";
        /// How often this replica has taken the lead.
        pub takeovers: IntCounter = "exchange_engine_takeovers_total";
        /// Commits whose outcome had to be looked up, by what was found (committed, lost, unknown).
        pub unknown_commits: IntCounterVec = "exchange_engine_unknown_commits_total", ["found"];
        /// Duration of the last recovery.
        pub recovery_seconds: GaugeVec = "exchange_engine_recovery_seconds", ["source"];
        /// Events replayed by the last recovery.
        pub recovery_events: IntGauge = "exchange_engine_recovery_events";
        /// Wall clock minus journal time, when this replica last looked.
        pub journal_age: Gauge = "exchange_engine_journal_age_seconds";
        /// 1: the bucket holds nothing that this database lacks; 0: it could not be asked since the start.
        pub history_checked: IntGauge = "exchange_engine_history_checked";
        /// 1 while commits wait for a synchronous standby (synchronous_standby_names is not empty).
        pub synchronous_standbys: IntGauge = "exchange_engine_synchronous_standbys";
        /// This machine's clock less the database's, when this replica last looked.
        pub clock_offset: Gauge = "exchange_engine_clock_offset_seconds";
        /// 1 while the clock differs from the database's by more than the bound: this replica does not lead.
        pub clock_deviates: IntGauge = "exchange_engine_clock_deviates";
        /// 1 while this replica refuses the database: it lacks confirmed events.
        pub refused: IntGauge = "exchange_engine_database_refused";
        /// Unix time of the last declared loss of history that this replica journalled.
        pub loss_declared: IntGauge = "exchange_engine_loss_declared_timestamp_seconds";
        /// 1 while every latch of readiness is open.
        pub ready: IntGauge = "exchange_ready";
        /// Trades, by market.
        pub trades: IntCounterVec = "exchange_market_trades_total", ["symbol"];
        /// Base asset traded, by market, in units of the asset.
        pub volume: service_kit::metrics::CounterVec = "exchange_market_volume_base_total", ["symbol"];
        /// Price levels in the book (counted up to 1000), by market and side.
        pub book_levels: IntGaugeVec = "exchange_market_book_levels", ["symbol", "side"];
        /// Best ask minus best bid over their middle, by market; absent while a side is empty.
        pub spread: GaugeVec = "exchange_market_spread_ratio", ["symbol"];
    }
}

service_kit::metrics! {
    /// The REST API: rate, errors, duration, and what it turned away.
    pub struct HttpMetrics {
        /// Requests answered, by route group and HTTP status.
        pub requests: IntCounterVec = "exchange_http_requests_total", ["group", "code"];
        /// From a request's head to its reply, by route group.
        pub duration: HistogramVec = "exchange_http_request_duration_seconds", ["group"], buckets: LATENCY_SECONDS;
        /// Requests being worked on.
        pub in_flight: IntGauge = "exchange_http_requests_in_flight";
        /// Open connections.
        pub connections: IntGauge = "exchange_http_connections";
        /// Request weight charged.
        pub weight: IntCounter = "exchange_http_request_weight_total";
        /// Requests over a limit: of weight, by HTTP status (429, 418); of unfilled orders (orders); of an address (connections).
        pub rate_limited: IntCounterVec = "exchange_http_rate_limited_total", ["code"];
        /// Signed requests that were not accepted as such, by error code.
        pub auth_failures: IntCounterVec = "exchange_http_auth_failures_total", ["code"];
    }
}

/// A chunk of the projector or a job: from a millisecond to an hour.
const WORK_SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0];

service_kit::metrics! {
    /// The object store, as every role that uses it sees it.
    pub struct ObjectStorageMetrics {
        /// Requests to the object store that failed, by operation and kind (unavailable, refused).
        pub errors: IntCounterVec = "exchange_object_storage_errors_total", ["operation", "kind"];
        /// Objects in the bucket that belong to another history, by kind (snapshot, archive), when this program last looked.
        pub foreign_objects: IntGaugeVec = "exchange_object_storage_foreign_objects", ["kind"];
    }
}

service_kit::metrics! {
    /// The worker: projection, jobs, snapshots, archives, and the ledger's checks.
    pub struct WorkerMetrics {
        /// 1 while this process projects; a second worker stands by with 0.
        pub projecting: IntGauge = "exchange_worker_projecting";
        /// Sequence of the last event that the tables hold.
        pub projected_sequence: IntGauge = "exchange_worker_projected_sequence";
        /// Events in the journal that the tables do not hold yet.
        pub projection_lag_events: IntGauge = "exchange_worker_projection_lag_events";
        /// Age of the last projected event while there are later ones; 0 when there are none.
        pub projection_lag_seconds: service_kit::metrics::Gauge = "exchange_worker_projection_lag_seconds";
        /// Events written to the tables by this process.
        pub projected_events: IntCounter = "exchange_worker_projected_events_total";
        /// Time to write one chunk of events, commit included.
        pub chunk: Histogram = "exchange_worker_projection_chunk_seconds", buckets: WORK_SECONDS;
        /// Events in one chunk.
        pub chunk_events: Histogram = "exchange_worker_projection_chunk_events", buckets: BATCH;
        /// Jobs in the queue, by kind and state (ready, scheduled, running, retrying, dead).
        pub jobs: IntGaugeVec = "exchange_worker_jobs", ["kind", "state"];
        /// How long the oldest job that could run has been waiting.
        pub oldest_job_age: service_kit::metrics::Gauge = "exchange_worker_oldest_job_age_seconds";
        /// Runs of jobs, by kind and outcome (completed, retried, dead).
        pub job_runs: IntCounterVec = "exchange_worker_job_runs_total", ["kind", "outcome"];
        /// Duration of completed runs, by kind.
        pub job_seconds: service_kit::metrics::HistogramVec = "exchange_worker_job_seconds", ["kind"], buckets: WORK_SECONDS;
        /// Jobs that failed for good and wait for an operator, by kind.
        pub dead_letters: IntGaugeVec = "exchange_worker_dead_letters", ["kind"];
        /// Times at which a scheduled job should have been queued and was not, by kind.
        pub schedule_misses: IntCounterVec = "exchange_worker_schedule_misses_total", ["kind"];
        /// Sequence of the newest verified snapshot.
        pub snapshot_sequence: IntGauge = "exchange_worker_snapshot_sequence";
        /// When the newest snapshot was verified, Unix time.
        pub snapshot_time: service_kit::metrics::Gauge = "exchange_worker_snapshot_timestamp_seconds";
        /// Journal objects archived and verified by this process.
        pub archived_objects: IntCounter = "exchange_worker_archived_objects_total";
        /// Journal partitions dropped by this process after they were archived.
        pub dropped_partitions: IntCounter = "exchange_worker_dropped_partitions_total";
        /// Sequence of the last archived event.
        pub archived_sequence: IntGauge = "exchange_worker_archived_sequence";
        /// Sum of all balances of an asset, custody included, in units of the asset: 0, or the ledger is wrong. By asset.
        pub trial_balance: GaugeVec = "exchange_ledger_trial_balance", ["asset"];
        /// What differs from the fold of the journal, by comparison: balances of the tables (balances, transfers), servers whose state
        /// or history is another at the same sequence (served), the journal itself (journal). 0, or something is wrong.
        pub disagreements: IntGaugeVec = "exchange_ledger_disagreements", ["comparison"];
        /// When a server's state was last compared with the fold of the journal, Unix time.
        pub served_time: service_kit::metrics::Gauge = "exchange_ledger_served_comparison_timestamp_seconds";
        /// When the trial balance was last taken, Unix time.
        pub trial_balance_time: service_kit::metrics::Gauge = "exchange_ledger_trial_balance_timestamp_seconds";
    }
}

//! This module lists every metric of the exchange. Names, labels and meanings are interfaces: boards and alerts read them.
//!
//! - Labels must be bounded: a market's symbol, a command's name, an outcome. They must not contain an account or an order.
//! - A label must not be `job` or `instance`: Prometheus reserves those for the scraped target.

mod zero;

use service_kit::metrics::{
    Descriptor, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, LATENCY_SECONDS,
};

/// All metrics of the exchange's programs, in addition to those of every program (`service_kit::metrics::STANDARD`).
pub const DECLARED: &[&[Descriptor]] = &[
    EngineMetrics::DESCRIPTORS,
    FollowerMetrics::DESCRIPTORS,
    HttpMetrics::DESCRIPTORS,
    StreamMetrics::DESCRIPTORS,
    ObjectStorageMetrics::DESCRIPTORS,
    ProbeMetrics::DESCRIPTORS,
    WorkerMetrics::DESCRIPTORS,
    ShipMetrics::DESCRIPTORS,
];

/// Events or commands in one batch: powers of four up to the largest batch.
const BATCH: &[f64] = &[1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0];
/// A decision takes about a microsecond.
const DECIDE_SECONDS: &[f64] = &[0.000_001, 0.000_002_5, 0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.001, 0.01, 0.1];

service_kit::metrics! {
    /// The probe: an order as a user sees it.
    pub struct ProbeMetrics {
        /// Rounds of the probe by result (ok, unreachable, timeout, refused, wrong): place, read back, cancel.
        pub rounds: IntCounterVec = "exchange_probe_rounds_total", ["result"];
        /// From sending a request to its complete answer, by step (place, read, cancel); without failed requests.
        pub step: HistogramVec = "exchange_probe_step_seconds", ["step"], buckets: LATENCY_SECONDS;
        /// Unix time of the last round without a failure; 0: none since the start.
        pub last_success: IntGauge = "exchange_probe_last_success_timestamp_seconds";
    }
}

service_kit::metrics! {
    /// The engine: decisions, the journal, leadership.
    pub struct EngineMetrics {
        /// Commands decided or turned away, by kind and outcome (accepted, refused, busy, expired, unavailable, unknown).
        pub commands: IntCounterVec = "exchange_engine_commands_total", ["command", "outcome"];
        /// Time of one drain of the queue, divided by its commands: the cost of a decision.
        pub decide: Histogram = "exchange_engine_decide_seconds", buckets: DECIDE_SECONDS;
        /// From sending a batch to PostgreSQL's confirmation that it is durable.
        pub commit: Histogram = "exchange_engine_commit_seconds", buckets: LATENCY_SECONDS;
        /// From a command's arrival in the queue to its durable answer.
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
        /// Number of times that this replica has taken the lead.
        pub takeovers: IntCounter = "exchange_engine_takeovers_total";
        /// Failed connections and statements of the journal's session, by cause (disk_full, connections, resources, read_only, access,
        /// unreachable, timeout, other).
        pub database_failures: IntCounterVec = "exchange_engine_database_failures_total", ["cause"];
        /// Commits in doubt that were looked up, by outcome (committed, lost, unknown).
        pub unknown_commits: IntCounterVec = "exchange_engine_unknown_commits_total", ["found"];
        /// Duration of the last recovery.
        pub recovery_seconds: GaugeVec = "exchange_engine_recovery_seconds", ["source"];
        /// Events replayed by the last recovery.
        pub recovery_events: IntGauge = "exchange_engine_recovery_events";
        /// Wall clock minus journal time, at this replica's last measurement.
        pub journal_age: Gauge = "exchange_engine_journal_age_seconds";
        /// 1: the bucket contains no event that this database lacks; 0: the bucket has not answered since the start.
        pub history_checked: IntGauge = "exchange_engine_history_checked";
        /// 1 while commits wait for a synchronous standby (synchronous_standby_names is not empty).
        pub synchronous_standbys: IntGauge = "exchange_engine_synchronous_standbys";
        /// This machine's clock minus the database's, at this replica's last measurement.
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
        /// Last price over the market's reference price, minus 1, by market; absent before the first trade.
        pub price_deviation: GaugeVec = "exchange_market_price_deviation_ratio", ["symbol"];
    }
}

/// A read on a follower waits for one answer of the leader.
const READ_SECONDS: &[f64] = &[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

service_kit::metrics! {
    /// A replica that follows: its lag, its connection to the leader, and the commands that it forwards.
    pub struct FollowerMetrics {
        /// Confirmed events that this replica has not applied yet; 0 while it leads.
        pub lag_events: IntGauge = "exchange_follower_lag_events";
        /// Age of the oldest confirmed event that this replica has not applied, or time without news from PostgreSQL and the leader.
        pub lag_seconds: Gauge = "exchange_follower_lag_seconds";
        /// 1 while this replica is connected to the leader.
        pub linked: IntGauge = "exchange_follower_linked";
        /// Replicas that are connected to this leader.
        pub followers: IntGauge = "exchange_follower_connections";
        /// Commands that waited for another replica's decision, by outcome (accepted, refused, busy, expired, unavailable, unknown).
        pub forwarded: IntCounterVec = "exchange_follower_forwarded_commands_total", ["outcome"];
        /// Commands sent again after the connection to a leader broke before their decision.
        pub resent: IntCounter = "exchange_follower_resent_commands_total";
        /// Batches applied as the leader pushed them; polling reads the rest.
        pub pushed: IntCounter = "exchange_follower_pushed_batches_total";
        /// Pushed batches that this replica dropped because it was behind.
        pub gaps: IntCounter = "exchange_follower_dropped_batches_total";
        /// Hashes of the state that this replica compared with the leader's at the same sequence.
        pub compared_states: IntCounter = "exchange_follower_compared_states_total";
        /// Differences from the leader's state, by the wrong replica according to the journal (self, leader, unknown).
        pub differences: IntCounterVec = "exchange_follower_differing_states_total", ["wrong"];
        /// Request weights of client addresses that other replicas reported.
        pub weights: IntCounter = "exchange_follower_received_weights_total";
        /// Wait of a signed read for the leader's committed sequence.
        pub read_wait: Histogram = "exchange_follower_read_wait_seconds", buckets: READ_SECONDS;
    }
}

service_kit::metrics! {
    /// The REST API: rate, errors, duration and refused requests.
    pub struct HttpMetrics {
        /// Requests answered, by route group and HTTP status.
        pub requests: IntCounterVec = "exchange_http_requests_total", ["group", "code"];
        /// From a request's head to its reply, by route group.
        pub duration: HistogramVec = "exchange_http_request_duration_seconds", ["group"], buckets: LATENCY_SECONDS;
        /// Requests in progress.
        pub in_flight: IntGauge = "exchange_http_requests_in_flight";
        /// Open connections.
        pub connections: IntGauge = "exchange_http_connections";
        /// Request weight charged.
        pub weight: IntCounter = "exchange_http_request_weight_total";
        /// Requests over a limit: of weight, by HTTP status (429, 418); of unfilled orders (orders); of an address (connections).
        pub rate_limited: IntCounterVec = "exchange_http_rate_limited_total", ["code"];
        /// Signed requests that failed authentication, by error code.
        pub auth_failures: IntCounterVec = "exchange_http_auth_failures_total", ["code"];
    }
}

service_kit::metrics! {
    /// The WebSocket side: market streams, account streams, the WebSocket API.
    pub struct StreamMetrics {
        /// Open WebSocket connections, by kind (market, api).
        pub connections: IntGaugeVec = "exchange_stream_connections", ["kind"];
        /// Active subscriptions, by kind (market, account).
        pub subscriptions: IntGaugeVec = "exchange_stream_subscriptions", ["kind"];
        /// Events published to at least one subscriber, by kind (market, account).
        pub events: IntCounterVec = "exchange_stream_events_total", ["kind"];
        /// Messages handed to the queues of connections, by kind (market, account).
        pub messages: IntCounterVec = "exchange_stream_messages_total", ["kind"];
        /// Connections that the server ended, by reason (slow, lost, silent, rate, protocol, age).
        pub ended: IntCounterVec = "exchange_stream_ended_total", ["reason"];
        /// From a command's journal time to the publication of its trade or account event.
        pub lag: Histogram = "exchange_stream_lag_seconds", buckets: LATENCY_SECONDS;
        /// Requests of the WebSocket API, by method and status.
        pub requests: IntCounterVec = "exchange_stream_api_requests_total", ["method", "status"];
        /// From a request of the WebSocket API to its reply.
        pub duration: Histogram = "exchange_stream_api_request_duration_seconds", buckets: LATENCY_SECONDS;
    }
}

/// A chunk of the projector or a job: from a millisecond to an hour.
const WORK_SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0];

service_kit::metrics! {
    /// The object store, for every role that uses it.
    pub struct ObjectStorageMetrics {
        /// Requests to the object store that failed, by operation and kind (unavailable, refused).
        pub errors: IntCounterVec = "exchange_object_storage_errors_total", ["operation", "kind"];
        /// Objects in the bucket that belong to another history, by kind (snapshot, archive, shipped), at this program's last listing.
        pub foreign_objects: IntGaugeVec = "exchange_object_storage_foreign_objects", ["kind"];
    }
}

service_kit::metrics! {
    /// The worker: projection, jobs, snapshots, archives, and the ledger's checks.
    pub struct WorkerMetrics {
        /// 1 while this process projects; 0 on a standby.
        pub projecting: IntGauge = "exchange_worker_projecting";
        /// Sequence of the last event in the tables.
        pub projected_sequence: IntGauge = "exchange_worker_projected_sequence";
        /// Events in the journal that are not in the tables yet.
        pub projection_lag_events: IntGauge = "exchange_worker_projection_lag_events";
        /// Age of the last projected event while later ones exist; 0 if the tables are up to date.
        pub projection_lag_seconds: service_kit::metrics::Gauge = "exchange_worker_projection_lag_seconds";
        /// Events written to the tables by this process.
        pub projected_events: IntCounter = "exchange_worker_projected_events_total";
        /// Time to write one chunk of events, commit included.
        pub chunk: Histogram = "exchange_worker_projection_chunk_seconds", buckets: WORK_SECONDS;
        /// Events in one chunk.
        pub chunk_events: Histogram = "exchange_worker_projection_chunk_events", buckets: BATCH;
        /// Jobs in the queue, by kind and state (ready, scheduled, running, retrying, dead).
        pub jobs: IntGaugeVec = "exchange_worker_jobs", ["kind", "state"];
        /// Time for which the oldest runnable job has been waiting.
        pub oldest_job_age: service_kit::metrics::Gauge = "exchange_worker_oldest_job_age_seconds";
        /// Runs of jobs, by kind and outcome (completed, retried, dead).
        pub job_runs: IntCounterVec = "exchange_worker_job_runs_total", ["kind", "outcome"];
        /// Duration of completed runs, by kind.
        pub job_seconds: service_kit::metrics::HistogramVec = "exchange_worker_job_seconds", ["kind"], buckets: WORK_SECONDS;
        /// Jobs that failed permanently and wait for an operator, by kind.
        pub dead_letters: IntGaugeVec = "exchange_worker_dead_letters", ["kind"];
        /// Runs of a scheduled job that were not queued in time, by kind.
        pub schedule_misses: IntCounterVec = "exchange_worker_schedule_misses_total", ["kind"];
        /// Sequence of the newest verified snapshot.
        pub snapshot_sequence: IntGauge = "exchange_worker_snapshot_sequence";
        /// When the newest snapshot was verified, Unix time.
        pub snapshot_time: service_kit::metrics::Gauge = "exchange_worker_snapshot_timestamp_seconds";
        /// Journal objects archived and verified by this process.
        pub archived_objects: IntCounter = "exchange_worker_archived_objects_total";
        /// Shipped objects that this process merged into larger ones or deleted because an archive contains them.
        pub merged_objects: IntCounter = "exchange_worker_merged_objects_total";
        /// Journal partitions dropped by this process after they were archived.
        pub dropped_partitions: IntCounter = "exchange_worker_dropped_partitions_total";
        /// Sequence of the last archived event.
        pub archived_sequence: IntGauge = "exchange_worker_archived_sequence";
        /// Sum of all balances of an asset, custody included, in units of the asset: 0, or the ledger is wrong. By asset.
        pub trial_balance: GaugeVec = "exchange_ledger_trial_balance", ["asset"];
        /// Differences from the fold of the journal, by comparison: balances of the tables (balances, transfers), servers with
        /// another state or history at the same sequence (served), the journal itself (journal). Anything but 0 is an error.
        pub disagreements: IntGaugeVec = "exchange_ledger_disagreements", ["comparison"];
        /// When a server's state was last compared with the fold of the journal, Unix time.
        pub served_time: service_kit::metrics::Gauge = "exchange_ledger_served_comparison_timestamp_seconds";
        /// When the trial balance was last taken, Unix time.
        pub trial_balance_time: service_kit::metrics::Gauge = "exchange_ledger_trial_balance_timestamp_seconds";
    }
}

service_kit::metrics! {
    /// The journal's way to object storage. The leader ships; 0 on other replicas, and without object storage.
    pub struct ShipMetrics {
        /// Sequence of the last event that this leader shipped.
        pub sequence: IntGauge = "exchange_ship_sequence";
        /// Confirmed events that are not shipped, ticks of an idle exchange excluded.
        pub lag_events: IntGauge = "exchange_ship_lag_events";
        /// Time for which the oldest of them has been waiting.
        pub lag_seconds: Gauge = "exchange_ship_lag_seconds";
        /// Revision of the last change of an API key that this leader shipped.
        pub key_revision: IntGauge = "exchange_ship_key_revision";
        /// Time for which changes of API keys could not be shipped.
        pub key_lag: Gauge = "exchange_ship_key_lag_seconds";
        /// Attempts to ship that failed; each is repeated.
        pub failures: IntCounter = "exchange_ship_failures_total";
        /// Objects shipped.
        pub objects: IntCounter = "exchange_ship_objects_total";
        /// Bytes shipped, compressed.
        pub bytes: IntCounter = "exchange_ship_bytes_total";
        /// Time to store one object.
        pub put: Histogram = "exchange_ship_put_seconds", buckets: LATENCY_SECONDS;
    }
}

/// Counts a connection while it is open, on every way out.
pub struct Connected(IntGauge);

impl Connected {
    pub fn enter(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

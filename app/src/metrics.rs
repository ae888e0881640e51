//! Every metric of the exchange, one list. Names, labels and meanings are interfaces: boards and alerts read them.
//!
//! Labels are bounded: a market's symbol, a command's name, an outcome; never an account or an order.

use service_kit::metrics::{
    Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, LATENCY_SECONDS,
};

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
        /// Requests over the rate limit, by HTTP status (429, 418).
        pub rate_limited: IntCounterVec = "exchange_http_rate_limited_total", ["code"];
        /// Signed requests that were not accepted as such, by error code.
        pub auth_failures: IntCounterVec = "exchange_http_auth_failures_total", ["code"];
    }
}

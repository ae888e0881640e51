//! What has no data on one machine, and which alerts may fire there, each with the reason.

/// Queries that find nothing on a healthy exchange, each with the reason.
pub const NOTHING: &[(&str, &str)] = &[
    ("overview annotation \"Alerts\"", "no alert fires but the Watchdog"),
    ("markets annotation \"Alerts\"", "no alert fires"),
    ("database annotation \"Alerts\"", "no alert fires"),
    ("nodes annotation \"Alerts\"", "no alert fires"),
    ("objectstore annotation \"Alerts\"", "no alert fires"),
    ("ingress annotation \"Alerts\"", "no alert fires"),
    ("elasticsearch annotation \"Alerts\"", "no alert fires"),
    ("slo annotation \"Alerts\"", "no alert fires"),
    ("exchange annotation \"Alerts\"", "no alert fires"),
    ("api annotation \"Alerts\"", "no alert fires"),
    ("engine annotation \"Alerts\"", "no alert fires"),
    ("followers annotation \"Alerts\"", "no alert fires"),
    ("worker annotation \"Alerts\"", "no alert fires"),
    ("probe annotation \"Alerts\"", "no alert about the probe fires"),
    ("exchange annotation \"Changes of leader\"", "the lead is taken once, before Prometheus begins to scrape"),
    ("engine annotation \"Changes of leader\"", "the lead is taken once, before Prometheus begins to scrape"),
    ("backup annotation \"Alerts\"", "no alert fires"),
    ("alertbot annotation \"Alerts\"", "no alert about the bot fires"),
    ("logging annotation \"Alerts\"", "no alert about logs fires"),
    ("logging panel 303 \"Growth of streams\" A", "growth is measured once a stream is an hour old"),
    ("engine panel 702 \"Refused database and unchecked history\" C", "no loss has been declared"),
    ("alertbot panel 205 \"Callbacks of providers\" A", "a run has no provider of SMS"),
    ("logging panel 104 \"Days to the low watermark\" A", "growth is measured once a stream is an hour old"),
    ("logging panel 301 \"Days to watermarks\" A", "growth is measured once a stream is an hour old"),
    ("logging panel 304 \"Days to the low watermark, by stream\" A", "growth is measured once a stream is an hour old"),
    ("LogshipWatermarkNear", "growth is measured once a stream is an hour old"),
    ("LogshipWatermarkReached", "growth is measured once a stream is an hour old"),
    ("ElasticsearchDiskLow", "one machine has no exporter of Elasticsearch"),
    ("ElasticsearchHeapHigh", "one machine has no exporter of Elasticsearch"),
];

/// Parts that do not run on one machine, by what a query about them contains, each with the reason.
pub const ABSENT: &[(&str, &str)] = &[
    ("elasticsearch.*", "a fake takes the place of Elasticsearch"),
    ("fluentbit_", "the development shipper takes the place of Fluent Bit"),
    ("fluent-bit", "the development shipper takes the place of Fluent Bit"),
    ("minio_", "SeaweedFS is the object store"),
    ("pg_replication_lag", "no standby runs"),
    ("node_network_", "a network namespace may have no interface but loopback"),
    ("SeaweedFS_volumeServer_storage_io_error_total", "no disk failed"),
];

/// Alerts that may fire here, each with the reason.
pub const MAY_FIRE: &[(&str, &str)] = &[
    ("ExchangeAcknowledgementBudgetBurnFast", "a build without optimisation on a busy disk"),
    ("ExchangeAcknowledgementBudgetBurnSlow", "a build without optimisation on a busy disk"),
    ("ExchangeProbeSlow", "a build without optimisation on a busy disk"),
    ("Watchdog", "it always fires: its absence is the alarm"),
];

/// Metrics that a run does not serve, each with the reason.
pub const NOT_SERVED: &[(&str, &str)] = &[
    ("alertbot_callbacks_total", "a run has no provider of SMS"),
    ("logship_stream_growth_bytes_per_second", "growth is measured once a stream is an hour old"),
    ("logship_days_to_watermark", "growth is measured once a stream is an hour old"),
    ("logship_stream_days_to_watermark", "growth is measured once a stream is an hour old"),
];

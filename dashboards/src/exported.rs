//! This module lists the series of other programs that rules and boards read, with their labels beyond the target's.
//!
//! - The names are those of the releases that Debian 12 ships, read from running exporters. Later names are alternatives in the rules.
//! - A scrape job of each begins with the name in its comment.

/// A series and its labels.
type Series = (&'static str, &'static [&'static str]);

/// Every list.
pub const EXPORTED: &[&[Series]] = &[POSTGRES, NODE, OBJECT_STORE, HAPROXY, NGINX, ELASTICSEARCH, ALERTMANAGER, PROMETHEUS];

/// `postgres`: prometheus-postgres-exporter.
const POSTGRES: &[Series] = &[
    ("pg_up", &[]),
    ("pg_replication_lag", &["server"]),
    ("pg_replication_lag_seconds", &["server"]),
    ("pg_settings_max_connections", &["server"]),
    ("pg_database_size_bytes", &["datname", "server"]),
    ("pg_locks_count", &["datname", "mode", "server"]),
    ("pg_stat_activity_count", &["datname", "state", "server"]),
    ("pg_stat_activity_max_tx_duration", &["datname", "state", "server"]),
    ("pg_stat_bgwriter_buffers_checkpoint_total", &["server"]),
    ("pg_stat_bgwriter_checkpoints_req_total", &["server"]),
    ("pg_stat_bgwriter_checkpoints_timed_total", &["server"]),
    ("pg_stat_database_blks_hit", &["datid", "datname", "server"]),
    ("pg_stat_database_blks_read", &["datid", "datname", "server"]),
    ("pg_stat_database_checksum_failures", &["datid", "datname", "server"]),
    ("pg_stat_database_deadlocks", &["datid", "datname", "server"]),
    ("pg_stat_database_temp_bytes", &["datid", "datname", "server"]),
    ("pg_stat_database_tup_inserted", &["datid", "datname", "server"]),
    ("pg_stat_database_xact_commit", &["datid", "datname", "server"]),
    ("pg_stat_database_xact_rollback", &["datid", "datname", "server"]),
];

/// `node`: prometheus-node-exporter.
const NODE: &[Series] = &[
    ("node_cpu_seconds_total", &["cpu", "mode"]),
    ("node_disk_io_time_seconds_total", &["device"]),
    ("node_filesystem_avail_bytes", &["device", "fstype", "mountpoint"]),
    ("node_filesystem_size_bytes", &["device", "fstype", "mountpoint"]),
    ("node_load1", &[]),
    ("node_memory_MemAvailable_bytes", &[]),
    ("node_memory_MemTotal_bytes", &[]),
    ("node_network_receive_bytes_total", &["device"]),
    ("node_network_transmit_bytes_total", &["device"]),
    ("node_timex_offset_seconds", &[]),
    ("node_vmstat_oom_kill", &[]),
];

/// `object-store`: SeaweedFS of `make run`, or a cluster that speaks MinIO's metrics.
const OBJECT_STORE: &[Series] = &[
    ("SeaweedFS_s3_request_total", &["type", "code", "bucket"]),
    ("SeaweedFS_s3_in_flight_requests", &["type"]),
    ("SeaweedFS_volumeServer_resource", &["name", "type"]),
    ("SeaweedFS_volumeServer_storage_io_error_total", &["type"]),
    ("minio_cluster_capacity_usable_free_bytes", &["server"]),
    ("minio_cluster_capacity_usable_total_bytes", &["server"]),
];

/// `haproxy`: its own exporter.
const HAPROXY: &[Series] = &[
    ("haproxy_backend_active_servers", &["proxy"]),
    ("haproxy_backend_connection_errors_total", &["proxy"]),
    ("haproxy_backend_current_queue", &["proxy"]),
    ("haproxy_frontend_current_sessions", &["proxy"]),
    ("haproxy_frontend_limit_sessions", &["proxy"]),
    ("haproxy_frontend_http_responses_total", &["proxy", "code"]),
];

/// `nginx`: prometheus-nginx-exporter.
const NGINX: &[Series] = &[
    ("nginx_up", &[]),
    ("nginx_connections_accepted", &[]),
    ("nginx_connections_active", &[]),
    ("nginx_connections_handled", &[]),
    ("nginx_http_requests_total", &[]),
];

/// `elasticsearch`: prometheus-elasticsearch-exporter.
const ELASTICSEARCH: &[Series] = &[
    ("elasticsearch_filesystem_data_available_bytes", &["name", "cluster", "host", "mount", "path"]),
    ("elasticsearch_filesystem_data_size_bytes", &["name", "cluster", "host", "mount", "path"]),
    ("elasticsearch_jvm_memory_max_bytes", &["name", "cluster", "host", "area"]),
    ("elasticsearch_jvm_memory_used_bytes", &["name", "cluster", "host", "area"]),
    ("elasticsearch_thread_pool_rejected_count", &["name", "cluster", "host", "type"]),
];

/// `alertmanager`: itself.
const ALERTMANAGER: &[Series] = &[
    ("alertmanager_alerts", &["state"]),
    ("alertmanager_config_last_reload_successful", &[]),
    ("alertmanager_notifications_failed_total", &["integration"]),
    ("alertmanager_notifications_total", &["integration"]),
    ("alertmanager_silences", &["state"]),
];

/// `prometheus`: itself.
const PROMETHEUS: &[Series] = &[
    ("prometheus_config_last_reload_successful", &[]),
    ("prometheus_notifications_alertmanagers_discovered", &[]),
    ("prometheus_notifications_dropped_total", &[]),
    ("prometheus_rule_evaluation_failures_total", &["rule_group"]),
    ("prometheus_rule_group_last_duration_seconds", &["rule_group"]),
    ("prometheus_tsdb_head_samples_appended_total", &["type"]),
    ("prometheus_tsdb_head_series", &[]),
];

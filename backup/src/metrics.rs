//! This module declares every metric of the backup agent. Names, labels and meanings are interfaces of boards and alerts.
//!
//! Labels are bounded: a job's name from the configuration, a stage, a class of retention. A label must not be called `job` or
//! `instance`: Prometheus reserves those for the scraped target.

use crate::stage::Stage;
use service_kit::metrics::{Descriptor, Gauge, GaugeVec, IntCounter, IntCounterVec, IntGaugeVec};

/// All exported metrics, in addition to those of every program (`service_kit::metrics::STANDARD`).
pub const DECLARED: &[&[Descriptor]] = &[AgentMetrics::DESCRIPTORS, ObjectStoreMetrics::DESCRIPTORS];

service_kit::metrics! {
    /// Backups, drills and retention, by backup job (`backup`).
    pub struct AgentMetrics {
        /// Attempts to take a backup, by outcome (committed, partial, failed).
        pub runs: IntCounterVec = "backup_runs_total", ["backup", "outcome"];
        /// Attempts, drills, restores, exports and removals that failed, by stage.
        pub failures: IntCounterVec = "backup_failures_total", ["backup", "stage"];
        /// 1 while an attempt runs.
        pub running: IntGaugeVec = "backup_running", ["backup"];
        /// Databases that the newest backup lacks because they could not be read.
        pub failed_databases: IntGaugeVec = "backup_failed_databases", ["backup"];
        /// Objects and databases left out of the newest backup; `backup show` lists them.
        pub left_out: IntGaugeVec = "backup_left_out", ["backup"];
        /// When the newest backup of every database was committed, Unix time.
        pub last_success: GaugeVec = "backup_last_success_timestamp_seconds", ["backup"];
        /// Snapshot of the newest backup, Unix time: a restore loses all later changes.
        pub recovery_point: GaugeVec = "backup_recovery_point_timestamp_seconds", ["backup"];
        /// Snapshot of the newest verified backup, Unix time.
        pub verified_point: GaugeVec = "backup_verified_point_timestamp_seconds", ["backup"];
        /// Time of the last drill that passed, Unix time.
        pub last_verified: GaugeVec = "backup_last_verified_timestamp_seconds", ["backup"];
        /// Drills, by outcome (passed, failed, not_done). A drill that could not be done says nothing about the backup.
        pub verifications: IntCounterVec = "backup_verifications_total", ["backup", "outcome"];
        /// Duration of the last drill.
        pub verification_seconds: GaugeVec = "backup_verification_duration_seconds", ["backup"];
        /// Duration of the last restore in a drill.
        pub restore_seconds: GaugeVec = "backup_restore_duration_seconds", ["backup"];
        /// Duration of the newest backup.
        pub duration_seconds: GaugeVec = "backup_duration_seconds", ["backup"];
        /// Bytes of the newest backup before compression.
        pub raw_bytes: GaugeVec = "backup_raw_bytes", ["backup"];
        /// Stored bytes of the newest backup.
        pub stored_bytes: GaugeVec = "backup_stored_bytes", ["backup"];
        /// Rows of the newest backup.
        pub rows: GaugeVec = "backup_rows", ["backup"];
        /// Bytes read from the database by running attempts, before compression.
        pub read_bytes: IntCounterVec = "backup_read_bytes_total", ["backup"];
        /// Seconds since a running attempt last moved a byte; 0 if no attempt runs.
        pub stalled_seconds: GaugeVec = "backup_stalled_seconds", ["backup"];
        /// Age of a running attempt's snapshot, which holds vacuum back; 0 if no attempt runs.
        pub snapshot_age_seconds: GaugeVec = "backup_snapshot_age_seconds", ["backup"];
        /// Retained backups, by retention rule (last, hourly, daily, weekly, monthly, yearly, age, floor, newest_verified,
        /// locked).
        pub kept: IntGaugeVec = "backup_kept", ["backup", "class"];
        /// Backups in the catalogue.
        pub backups: IntGaugeVec = "backup_backups", ["backup"];
        /// Backups removed by retention.
        pub removed: IntCounterVec = "backup_removed_total", ["backup"];
        /// Retention runs that refused to remove anything, by reason (newest_failed, doubtful, clock, lease).
        pub retention_refused: IntCounterVec = "backup_retention_refused_total", ["backup", "reason"];
        /// Scheduled attempts skipped because another one was still running.
        pub schedule_misses: IntCounterVec = "backup_schedule_misses_total", ["backup"];
        /// Time at which this process last read the catalogue, Unix time.
        pub catalogue_read: Gauge = "backup_catalogue_read_timestamp_seconds";
    }
}

service_kit::metrics! {
    /// Metrics of the object store, measured by the agent.
    pub struct ObjectStoreMetrics {
        /// Requests to the object store that failed after every attempt, by operation and kind.
        pub errors: IntCounterVec = "backup_store_errors_total", ["operation", "kind"];
        /// Bytes sent to the object store.
        pub sent: IntCounter = "backup_store_sent_bytes_total";
        /// Bytes received from the object store.
        pub received: IntCounter = "backup_store_received_bytes_total";
    }
}

impl AgentMetrics {
    /// Exports every counter of a job with 0 from the start, since a rate needs a first value.
    pub fn start_at_zero(&self, name: &str) {
        for outcome in ["committed", "partial", "failed"] {
            self.runs.with_label_values(&[name, outcome]);
        }
        for outcome in ["passed", "failed", "not_done"] {
            self.verifications.with_label_values(&[name, outcome]);
        }
        for stage in Stage::ALL {
            self.failures.with_label_values(&[name, stage.name()]);
        }
        for reason in ["newest_failed", "doubtful", "clock", "lease"] {
            self.retention_refused.with_label_values(&[name, reason]);
        }
        self.running.with_label_values(&[name]);
        self.read_bytes.with_label_values(&[name]);
        self.removed.with_label_values(&[name]);
        self.schedule_misses.with_label_values(&[name]);
    }
}

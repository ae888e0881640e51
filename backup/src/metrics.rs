//! Every metric of the backup agent, one list. Names, labels and meanings are interfaces: boards and alerts read them.
//!
//! Labels are bounded: a job's name from the configuration, a stage, a class of retention. None is called `job` or
//! `instance`: Prometheus keeps those for the target that it scraped.

use crate::{
    failure::Stage,
    store::{self, StoreError},
};
use service_kit::metrics::{Descriptor, Gauge, GaugeVec, IntCounter, IntCounterVec, IntGaugeVec};

/// Everything that the agent exports, beside what every program does (`service_kit::metrics::STANDARD`).
pub const DECLARED: &[&[Descriptor]] = &[AgentMetrics::DESCRIPTORS, StoreMetrics::DESCRIPTORS];

service_kit::metrics! {
    /// Backups, drills and retention, by backup job (`backup`).
    pub struct AgentMetrics {
        /// Attempts to take a backup, by outcome (committed, partial, failed).
        pub runs: IntCounterVec = "backup_runs_total", ["backup", "outcome"];
        /// Attempts, drills, restores, exports and removals that failed, by the stage at which they did.
        pub failures: IntCounterVec = "backup_failures_total", ["backup", "stage"];
        /// 1 while an attempt runs.
        pub running: IntGaugeVec = "backup_running", ["backup"];
        /// Databases that the newest backup should hold and does not, since they could not be read.
        pub failed_databases: IntGaugeVec = "backup_failed_databases", ["backup"];
        /// Objects and databases that the newest backup leaves out: `backup show` lists them.
        pub left_out: IntGaugeVec = "backup_left_out", ["backup"];
        /// When the newest backup of every database was committed, Unix time.
        pub last_success: GaugeVec = "backup_last_success_timestamp_seconds", ["backup"];
        /// The snapshot that the newest backup brings back, Unix time: what would be lost is what came after it.
        pub recovery_point: GaugeVec = "backup_recovery_point_timestamp_seconds", ["backup"];
        /// The snapshot of the newest backup that a drill has restored and found right, Unix time.
        pub verified_point: GaugeVec = "backup_verified_point_timestamp_seconds", ["backup"];
        /// When a drill last found a backup right, Unix time.
        pub last_verified: GaugeVec = "backup_last_verified_timestamp_seconds", ["backup"];
        /// Drills, by outcome (passed, failed).
        pub verifications: IntCounterVec = "backup_verifications_total", ["backup", "outcome"];
        /// How long the last drill took.
        pub verification_seconds: GaugeVec = "backup_verification_duration_seconds", ["backup"];
        /// How long the last restore inside a drill took.
        pub restore_seconds: GaugeVec = "backup_restore_duration_seconds", ["backup"];
        /// How long the newest backup took.
        pub duration_seconds: GaugeVec = "backup_duration_seconds", ["backup"];
        /// Bytes of the newest backup before compression.
        pub raw_bytes: GaugeVec = "backup_raw_bytes", ["backup"];
        /// Bytes of the newest backup as stored.
        pub stored_bytes: GaugeVec = "backup_stored_bytes", ["backup"];
        /// Rows of the newest backup.
        pub rows: GaugeVec = "backup_rows", ["backup"];
        /// Bytes read from the database by running attempts, before compression.
        pub read_bytes: IntCounterVec = "backup_read_bytes_total", ["backup"];
        /// Seconds since a running attempt last moved a byte; 0 when none runs.
        pub stalled_seconds: GaugeVec = "backup_stalled_seconds", ["backup"];
        /// Age of the snapshot that a running attempt holds, and with it vacuum back; 0 when none runs.
        pub snapshot_age_seconds: GaugeVec = "backup_snapshot_age_seconds", ["backup"];
        /// Backups kept, by the rule that keeps them (last, hourly, daily, weekly, monthly, yearly, age, floor, newest_verified, locked).
        pub kept: IntGaugeVec = "backup_kept", ["backup", "class"];
        /// Backups in the catalogue.
        pub backups: IntGaugeVec = "backup_backups", ["backup"];
        /// Backups removed by retention.
        pub removed: IntCounterVec = "backup_removed_total", ["backup"];
        /// Times that retention refused to remove anything, by reason (newest_failed, doubtful, clock, lease).
        pub retention_refused: IntCounterVec = "backup_retention_refused_total", ["backup", "reason"];
        /// Times at which the schedule should have begun an attempt and one was still running.
        pub schedule_misses: IntCounterVec = "backup_schedule_misses_total", ["backup"];
        /// When this process last looked at the catalogue, Unix time.
        pub catalogue_read: Gauge = "backup_catalogue_read_timestamp_seconds";
    }
}

service_kit::metrics! {
    /// The object store, as the agent sees it.
    pub struct StoreMetrics {
        /// Requests to the object store that failed after every attempt, by operation and kind.
        pub errors: IntCounterVec = "backup_store_errors_total", ["operation", "kind"];
        /// Bytes sent to the object store.
        pub sent: IntCounter = "backup_store_sent_bytes_total";
        /// Bytes received from the object store.
        pub received: IntCounter = "backup_store_received_bytes_total";
    }
}

impl AgentMetrics {
    /// Makes every counter of a job visible before it counts: a rate needs a first value.
    pub fn start_at_zero(&self, name: &str) {
        for outcome in ["committed", "partial", "failed"] {
            self.runs.with_label_values(&[name, outcome]);
        }
        for outcome in ["passed", "failed"] {
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

impl StoreMetrics {
    /// Makes every counter visible before it counts.
    pub fn start_at_zero(&self) {
        for operation in store::OPERATIONS {
            for kind in StoreError::KINDS {
                self.errors.with_label_values(&[operation, kind]);
            }
        }
    }
}

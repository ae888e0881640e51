//! This module lists the label sets that are exported as 0 from the start. It must not define a metric.
//!
//! A counter that first appears with its first error shows no increase to Prometheus: alerts would miss that error.

use super::{EngineMetrics, FollowerMetrics, HttpMetrics, ObjectStorageMetrics, ProbeMetrics, StreamMetrics, WorkerMetrics};
use crate::database_cause::DatabaseCause;

/// Commands of clients and operators: `Command::name`, without the leader's own ticks.
const COMMANDS: &[&str] =
    &["place", "cancel", "cancel_all", "cancel_replace", "place_oco", "place_oto", "cancel_list", "amend", "admin"];
const OUTCOMES: &[&str] = &["accepted", "refused", "busy", "expired", "unavailable", "unknown"];
/// The replica whose state differs from the journal.
const WRONG: &[&str] = &["self", "leader", "unknown"];
const FOUND: &[&str] = &["committed", "lost", "unknown"];
/// Success, and the server's own faults.
const STATUSES: &[&str] = &["200", "500", "503", "504"];
const RATE_LIMITED: &[&str] = &["418", "429", "connections", "orders"];
/// Timestamp, signature, window, key's format, key.
const AUTH_FAILURES: &[&str] = &["-1021", "-1022", "-1131", "-2014", "-2015"];
/// Why the server ends a WebSocket connection.
const STREAM_ENDS: &[&str] = &["slow", "lost", "silent", "rate", "protocol", "age"];
const STORAGE_OPERATIONS: &[&str] = &["create_bucket", "delete", "get", "head", "head_bucket", "list", "put"];
const JOB_OUTCOMES: &[&str] = &["completed", "retried", "dead"];
const STORAGE_FAILURES: &[&str] = &["refused", "unavailable"];

impl EngineMetrics {
    pub fn start_at_zero(&self) {
        for command in COMMANDS {
            for outcome in OUTCOMES {
                self.commands.with_label_values(&[command, outcome]);
            }
        }
        for cause in DatabaseCause::ALL {
            self.database_failures.with_label_values(&[cause.name()]);
        }
        for found in FOUND {
            self.unknown_commits.with_label_values(&[found]);
        }
    }
}

impl FollowerMetrics {
    pub fn start_at_zero(&self) {
        for outcome in OUTCOMES {
            self.forwarded.with_label_values(&[outcome]);
        }
        for wrong in WRONG {
            self.differences.with_label_values(&[wrong]);
        }
    }
}

impl HttpMetrics {
    /// `groups`: the existing route groups, duplicates allowed.
    pub fn start_at_zero(&self, groups: impl Iterator<Item = &'static str>) {
        for group in groups {
            self.duration.with_label_values(&[group]);
            for status in STATUSES {
                self.requests.with_label_values(&[group, status]);
            }
        }
        for status in RATE_LIMITED {
            self.rate_limited.with_label_values(&[status]);
        }
        for code in AUTH_FAILURES {
            self.auth_failures.with_label_values(&[code]);
        }
    }
}

impl StreamMetrics {
    pub fn start_at_zero(&self) {
        for kind in ["market", "api"] {
            self.connections.with_label_values(&[kind]);
        }
        for kind in ["market", "account"] {
            self.subscriptions.with_label_values(&[kind]);
            self.events.with_label_values(&[kind]);
            self.messages.with_label_values(&[kind]);
        }
        for reason in STREAM_ENDS {
            self.ended.with_label_values(&[reason]);
        }
    }
}

impl ObjectStorageMetrics {
    pub fn start_at_zero(&self) {
        for kind in crate::foreign::ForeignKind::ALL {
            self.foreign_objects.with_label_values(&[kind.name()]);
        }
        for operation in STORAGE_OPERATIONS {
            for failure in STORAGE_FAILURES {
                self.errors.with_label_values(&[operation, failure]);
            }
        }
    }
}

impl ProbeMetrics {
    pub fn start_at_zero(&self, steps: &[&str], results: &[&str]) {
        for step in steps {
            self.step.with_label_values(&[step]);
        }
        for result in results {
            self.rounds.with_label_values(&[result]);
        }
    }
}

impl WorkerMetrics {
    /// `kinds`: the existing jobs.
    pub fn start_at_zero(&self, kinds: impl Iterator<Item = &'static str>) {
        for kind in kinds {
            self.job_seconds.with_label_values(&[kind]);
            for outcome in JOB_OUTCOMES {
                self.job_runs.with_label_values(&[kind, outcome]);
            }
        }
    }
}

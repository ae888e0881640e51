//! This module implements `backup list` and `backup show`. They need only the trusted public keys.

use serde::Serialize;

use super::{Leaves, Output, each, reading::passed_over};
use crate::{catalogue::Attempt, config::Job, failure::Exit, layout::BackupId, manifest};

#[derive(Serialize)]
struct Line<'a> {
    job: &'a str,
    id: &'a BackupId,
    state: &'a str,
    verified_at: Option<jiff::Timestamp>,
    rows: u64,
    stored_bytes: u64,
}

fn state(attempt: &Attempt) -> &'static str {
    match (&attempt.outcome, attempt.verified(), attempt.verifications.is_empty()) {
        (None, ..) => "open",
        (Some(manifest::AttemptEnd::Abandoned(_)), ..) => "failed",
        (Some(manifest::AttemptEnd::Committed(manifest)), ..) if !manifest.is_complete() => "partial",
        (Some(_), Some(_), _) => "verified",
        (Some(_), None, false) => "drill failed",
        (Some(_), None, true) => "committed",
    }
}

/// # Errors
/// Returns an error if a catalogue cannot be read or contains records that are not trusted.
pub async fn list(jobs: Vec<Job>, output: Output) -> Result<(), Exit> {
    each(jobs, output, Leaves::Nothing, async |agent| {
        let catalogue = agent.catalogue().await?;
        for (id, attempt) in catalogue.in_order() {
            let totals = attempt.manifest().map(|manifest| manifest.totals.clone()).unwrap_or_default();
            let line = Line {
                job: &agent.job.name,
                id,
                state: state(attempt),
                verified_at: attempt.verified().map(|verification| verification.finished_at),
                rows: totals.rows,
                stored_bytes: totals.stored_bytes,
            };
            output.say(format!("{id}  {:12}  {:>14} rows  {:>16} bytes", line.state, line.rows, line.stored_bytes), &line);
        }
        match catalogue.doubtful.first() {
            None => Ok(()),
            Some(doubtful) => Err(crate::catalogue::not_believed(doubtful)),
        }
    })
    .await
}

/// # Errors
/// Returns an error if the backup does not exist or its record is not trusted.
pub async fn show(jobs: Vec<Job>, id: Option<BackupId>, output: Output) -> Result<(), Exit> {
    each(jobs, output, Leaves::Nothing, async |agent| {
        let catalogue = agent.catalogue().await?;
        let (manifest, attempt) = catalogue.find(id.as_ref())?;
        let passed_over = if id.is_none() { passed_over(&catalogue, manifest, false) } else { None };
        let mut text = format!(
            "{}  {}\n  server    {} ({})\n  took      {:.1} s\n  stored    {} bytes of {} read, {} rows\n  encrypted {}",
            manifest.id,
            state(attempt),
            manifest.server.version,
            if manifest.server.standby { "standby" } else { "primary" },
            manifest.totals.duration_seconds,
            manifest.totals.stored_bytes,
            manifest.totals.raw_bytes,
            manifest.totals.rows,
            manifest.encryption.as_ref().map_or_else(|| "no".into(), |encryption| encryption.recipients.join(", ")),
        );
        for database in &manifest.databases {
            text += &format!(
                "\n  database  {:?} as of {}: {} tables, {} rows, {} large objects",
                database.name, database.snapshot_at, database.tables, database.rows, database.large_objects
            );
        }
        for verification in &attempt.verifications {
            let outcome = if verification.passed { "passed" } else { "failed" };
            text += &format!(
                "\n  drill     {outcome} at {}{}",
                verification.finished_at,
                verification.faults.iter().map(|fault| format!("\n            {fault}")).collect::<String>()
            );
        }
        for line in manifest.not_in_it() {
            text += &format!("\n  left out  {line}");
        }
        for warning in &manifest.warnings {
            text += &format!("\n  warning   {warning}");
        }
        output.say(
            text,
            &serde_json::json!({"manifest": manifest, "verifications": attempt.verifications, "passed_over": passed_over}),
        );
        Ok(())
    })
    .await
}

//! This module stores incidents, one row each: the state machine's document and the columns for queries.

use alertbot_core::{
    alert::{Labels, Severity},
    incident::{Incident, IncidentId, Phase},
};
use jiff::Timestamp;
use sqlx::{Row, SqliteConnection, SqliteExecutor, sqlite::SqliteRow};

use super::{from_json, milliseconds, to_json};

const RESOLVED: i64 = 2;

fn phase(phase: Phase) -> i64 {
    match phase {
        Phase::Firing => 0,
        Phase::Acknowledged => 1,
        Phase::Resolved => RESOLVED,
    }
}

pub fn severity(severity: Severity) -> i64 {
    match severity {
        Severity::Info => 0,
        Severity::Warning => 1,
        Severity::Critical => 2,
    }
}

fn read(row: &SqliteRow) -> sqlx::Result<Incident> {
    let mut incident: Incident = from_json(row.try_get::<&str, _>("document")?)?;
    // The document was written before the row had a number.
    incident.id = IncidentId(row.try_get("id")?);
    Ok(incident)
}

/// Inserts the incident and sets its number.
pub async fn create(connection: &mut SqliteConnection, incident: &mut Incident) -> sqlx::Result<()> {
    let row = sqlx::query(
        "INSERT INTO incidents (source, receiver, group_key, code, phase, severity, opened_at, ended_at, due_at, document)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
    )
    .bind(&incident.source)
    .bind(&incident.receiver)
    .bind(&incident.group_key)
    .bind(i64::from(incident.code))
    .bind(phase(incident.phase))
    .bind(severity(incident.severity))
    .bind(milliseconds(incident.opened_at))
    .bind(incident.ended_at.map(milliseconds))
    .bind(incident.next_due().map(milliseconds))
    .bind(to_json(incident)?)
    .fetch_one(connection)
    .await?;
    incident.id = IncidentId(row.try_get("id")?);
    Ok(())
}

pub async fn update(connection: &mut SqliteConnection, incident: &Incident) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE incidents SET receiver = ?, group_key = ?, phase = ?, severity = ?, ended_at = ?, due_at = ?, document = ? WHERE id = ?",
    )
    .bind(&incident.receiver)
    .bind(&incident.group_key)
    .bind(phase(incident.phase))
    .bind(severity(incident.severity))
    .bind(incident.ended_at.map(milliseconds))
    .bind(incident.next_due().map(milliseconds))
    .bind(to_json(incident)?)
    .bind(incident.id.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// The newest incident of a group, open or ended.
pub async fn latest_of_group(
    connection: &mut SqliteConnection,
    source: &str,
    receiver: &str,
    group_key: &str,
) -> sqlx::Result<Option<Incident>> {
    let row = sqlx::query(
        "SELECT id, document FROM incidents WHERE source = ? AND receiver = ? AND group_key = ? ORDER BY id DESC LIMIT 1",
    )
    .bind(source)
    .bind(receiver)
    .bind(group_key)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(read).transpose()
}

pub async fn by_id(executor: impl SqliteExecutor<'_>, id: IncidentId) -> sqlx::Result<Option<Incident>> {
    let row = sqlx::query("SELECT id, document FROM incidents WHERE id = ?").bind(id.0).fetch_optional(executor).await?;
    row.as_ref().map(read).transpose()
}

/// The open incident with this SMS code.
pub async fn by_code(executor: impl SqliteExecutor<'_>, code: u32) -> sqlx::Result<Option<Incident>> {
    let query = "SELECT id, document FROM incidents WHERE code = ? AND phase < 2 ORDER BY id DESC LIMIT 1";
    let row = sqlx::query(query).bind(i64::from(code)).fetch_optional(executor).await?;
    row.as_ref().map(read).transpose()
}

pub async fn code_is_taken(connection: &mut SqliteConnection, code: u32) -> sqlx::Result<bool> {
    let row = sqlx::query("SELECT 1 FROM incidents WHERE code = ? AND phase < 2 LIMIT 1").bind(i64::from(code));
    Ok(row.fetch_optional(connection).await?.is_some())
}

/// Open incidents, highest severity first, then oldest first. `limit` bounds the memory used.
pub async fn open(executor: impl SqliteExecutor<'_>, limit: usize) -> sqlx::Result<Vec<Incident>> {
    let query = "SELECT id, document FROM incidents WHERE phase < 2 ORDER BY severity DESC, id LIMIT ?";
    let rows = sqlx::query(query).bind(bound(limit)).fetch_all(executor).await?;
    rows.iter().map(read).collect()
}

/// Open incidents of one Alertmanager after an id, ordered by id.
pub async fn open_of_source(
    executor: impl SqliteExecutor<'_>,
    source: &str,
    after: IncidentId,
    limit: usize,
) -> sqlx::Result<Vec<Incident>> {
    let query = "SELECT id, document FROM incidents WHERE source = ? AND phase < 2 AND id > ? ORDER BY id LIMIT ?";
    let rows = sqlx::query(query).bind(source).bind(after.0).bind(bound(limit)).fetch_all(executor).await?;
    rows.iter().map(read).collect()
}

/// Incidents of one Alertmanager that ended at this time or later, after an id, ordered by id.
pub async fn ended_since(
    executor: impl SqliteExecutor<'_>,
    source: &str,
    since: Timestamp,
    after: IncidentId,
    limit: usize,
) -> sqlx::Result<Vec<Incident>> {
    let query = "SELECT id, document FROM incidents
                 WHERE phase = 2 AND ended_at >= ? AND source = ? AND id > ? ORDER BY id LIMIT ?";
    let query = sqlx::query(query).bind(milliseconds(since)).bind(source).bind(after.0).bind(bound(limit));
    query.fetch_all(executor).await?.iter().map(read).collect()
}

/// Open incidents after an id, ordered by id.
pub async fn open_after(executor: impl SqliteExecutor<'_>, after: IncidentId, limit: usize) -> sqlx::Result<Vec<Incident>> {
    let query = "SELECT id, document FROM incidents WHERE phase < 2 AND id > ? ORDER BY id LIMIT ?";
    let rows = sqlx::query(query).bind(after.0).bind(bound(limit)).fetch_all(executor).await?;
    rows.iter().map(read).collect()
}

/// Number of open incidents, by phase and severity.
pub async fn count_open(executor: impl SqliteExecutor<'_>) -> sqlx::Result<Vec<(i64, i64, i64)>> {
    let query = "SELECT phase, severity, count(*) AS n FROM incidents WHERE phase < 2 GROUP BY phase, severity";
    let rows = sqlx::query(query).fetch_all(executor).await?;
    rows.iter().map(|row| Ok((row.try_get("phase")?, row.try_get("severity")?, row.try_get("n")?))).collect()
}

/// Number of open incidents that had an escalation and have none in the present configuration.
pub async fn count_escalation_lost(executor: impl SqliteExecutor<'_>) -> sqlx::Result<i64> {
    // Must equal the condition of the index `incidents_escalation_lost`.
    let query = "SELECT count(*) AS n FROM incidents
                 WHERE phase < 2 AND iif(json_valid(document), json_extract(document, '$.escalation.lost'), 0) = 1";
    sqlx::query(query).fetch_one(executor).await?.try_get("n")
}

/// Incidents whose state machine has work to do, longest overdue first.
pub async fn due(connection: &mut SqliteConnection, now: Timestamp, limit: usize) -> sqlx::Result<Vec<Incident>> {
    let query = "SELECT id, document FROM incidents WHERE due_at <= ? ORDER BY due_at LIMIT ?";
    let rows = sqlx::query(query).bind(milliseconds(now)).bind(bound(limit)).fetch_all(connection).await?;
    rows.iter().map(read).collect()
}

/// When the first of them is due.
pub async fn next_due(executor: impl SqliteExecutor<'_>) -> sqlx::Result<Option<i64>> {
    sqlx::query("SELECT min(due_at) AS at FROM incidents WHERE due_at IS NOT NULL").fetch_one(executor).await?.try_get("at")
}

fn bound(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The known receivers of an Alertmanager.
pub async fn receivers(executor: impl SqliteExecutor<'_>, source: &str) -> sqlx::Result<Vec<String>> {
    let query = sqlx::query("SELECT DISTINCT receiver FROM incidents WHERE source = ?").bind(source);
    query.fetch_all(executor).await?.iter().map(|row| row.try_get("receiver")).collect()
}

/// The open incident of a group for which only labels are known.
pub async fn open_with_labels(
    connection: &mut SqliteConnection,
    source: &str,
    receiver: &str,
    labels: &Labels,
) -> sqlx::Result<Option<Incident>> {
    let query = "SELECT id, document FROM incidents
                 WHERE source = ? AND receiver = ? AND phase < 2 AND document ->> '$.group_labels' = ? ORDER BY id DESC LIMIT 1";
    let query = sqlx::query(query).bind(source).bind(receiver).bind(to_json(labels)?);
    let row = query.fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()
}

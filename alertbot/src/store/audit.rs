//! This module stores the audit trail. It must not contain texts of messages, phone numbers or secrets.

use alertbot_core::incident::IncidentId;
use jiff::Timestamp;
use sqlx::{Row, SqliteConnection, SqliteExecutor};

use super::{milliseconds, timestamp};

/// One entry of the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    pub at: Timestamp,
    /// A person's name, an Alertmanager's, or `alertbot`.
    pub actor: String,
    /// One word: `fired`, `acknowledged`, `silenced`, `delivered`, `refused`.
    pub action: String,
    pub incident: Option<IncidentId>,
    pub detail: String,
}

/// Actor of the bot's own actions.
pub const SELF: &str = "alertbot";

pub async fn append(connection: &mut SqliteConnection, entry: &AuditEntry) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO audit (at, actor, action, incident, detail) VALUES (?, ?, ?, ?, ?)")
        .bind(milliseconds(entry.at))
        .bind(&entry.actor)
        .bind(&entry.action)
        .bind(entry.incident.map(|incident| incident.0))
        .bind(&entry.detail)
        .execute(connection)
        .await?;
    Ok(())
}

/// The number of the last entry after `line`, and the latest time of any of them.
pub async fn newest_after(connection: &mut SqliteConnection, line: i64) -> sqlx::Result<Option<(i64, Timestamp)>> {
    let query = sqlx::query("SELECT max(id) AS line, max(at) AS at FROM audit WHERE id > ?").bind(line);
    let row = query.fetch_one(connection).await?;
    let (line, at) = (row.try_get::<Option<i64>, _>("line")?, row.try_get::<Option<i64>, _>("at")?);
    Ok(line.zip(at.map(timestamp)))
}

/// The trail of one incident, oldest first.
pub async fn of_incident(executor: impl SqliteExecutor<'_>, incident: IncidentId, limit: i64) -> sqlx::Result<Vec<AuditEntry>> {
    let query = sqlx::query("SELECT at, actor, action, incident, detail FROM audit WHERE incident = ? ORDER BY id LIMIT ?");
    let rows = query.bind(incident.0).bind(limit).fetch_all(executor).await?;
    rows.iter()
        .map(|row| {
            Ok(AuditEntry {
                at: timestamp(row.try_get("at")?),
                actor: row.try_get("actor")?,
                action: row.try_get("action")?,
                incident: row.try_get::<Option<i64>, _>("incident")?.map(IncidentId),
                detail: row.try_get("detail")?,
            })
        })
        .collect()
}

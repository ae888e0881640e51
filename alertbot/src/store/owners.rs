//! This module stores which incident an alert belongs to: its newest one, for each receiver.

use alertbot_core::incident::IncidentId;
use sqlx::{Row, SqliteConnection, SqliteExecutor};

use super::to_json;

/// An alert and its newest incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub fingerprint: Box<str>,
    pub receiver: String,
    pub incident: IncidentId,
    pub is_open: bool,
}

/// The owners of these alerts, the oldest incident first.
///
/// `CROSS JOIN` fixes the order of the loops: one search of the index for each alert.
pub async fn owners_of(executor: impl SqliteExecutor<'_>, source: &str, fingerprints: &[&str]) -> sqlx::Result<Vec<Owner>> {
    let query = "SELECT o.fingerprint, o.receiver, o.incident, i.phase < 2 AS is_open
                 FROM json_each(?2) AS named
                 CROSS JOIN alert_owners AS o ON o.source = ?1 AND o.fingerprint = named.value
                 CROSS JOIN incidents AS i ON i.id = o.incident ORDER BY o.incident";
    let rows = sqlx::query(query).bind(source).bind(to_json(&fingerprints)?).fetch_all(executor).await?;
    let read = |row: &sqlx::sqlite::SqliteRow| {
        Ok(Owner {
            fingerprint: row.try_get::<String, _>("fingerprint")?.into(),
            receiver: row.try_get("receiver")?,
            incident: IncidentId(row.try_get("incident")?),
            is_open: row.try_get("is_open")?,
        })
    };
    rows.iter().map(read).collect()
}

/// Assigns these alerts to this incident.
pub async fn assign(
    connection: &mut SqliteConnection,
    source: &str,
    receiver: &str,
    incident: IncidentId,
    fingerprints: &[&str],
) -> sqlx::Result<()> {
    let query = "INSERT OR REPLACE INTO alert_owners (source, fingerprint, receiver, incident)
                 SELECT ?1, named.value, ?2, ?3 FROM json_each(?4) AS named";
    let query = sqlx::query(query).bind(source).bind(receiver).bind(incident.0).bind(to_json(&fingerprints)?);
    query.execute(connection).await?;
    Ok(())
}

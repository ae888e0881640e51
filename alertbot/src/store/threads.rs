//! This module stores the first message of an incident in each chat.

use alertbot_core::{delivery::Address, incident::IncidentId};
use sqlx::{Row, SqliteConnection, SqliteExecutor};

use super::{from_json, to_json};

pub async fn record_card(
    connection: &mut SqliteConnection,
    incident: IncidentId,
    address: &Address,
    message: i32,
) -> sqlx::Result<()> {
    let query = "INSERT INTO threads (incident, address, message) VALUES (?, ?, ?)
                 ON CONFLICT (incident, address) DO UPDATE SET message = excluded.message";
    sqlx::query(query).bind(incident.0).bind(to_json(address)?).bind(message).execute(connection).await?;
    Ok(())
}

pub async fn message_of(executor: impl SqliteExecutor<'_>, incident: IncidentId, address: &Address) -> sqlx::Result<Option<i32>> {
    let query = sqlx::query("SELECT message FROM threads WHERE incident = ? AND address = ?");
    let row = query.bind(incident.0).bind(to_json(address)?).fetch_optional(executor).await?;
    row.map(|row| row.try_get("message")).transpose()
}

/// The message was deleted.
pub async fn delete(connection: &mut SqliteConnection, incident: IncidentId, address: &Address) -> sqlx::Result<()> {
    let query = sqlx::query("DELETE FROM threads WHERE incident = ? AND address = ?");
    query.bind(incident.0).bind(to_json(address)?).execute(connection).await?;
    Ok(())
}

/// The first message of an incident in each chat.
pub async fn messages_of(executor: impl SqliteExecutor<'_>, incident: IncidentId) -> sqlx::Result<Vec<(Address, i32)>> {
    let query = sqlx::query("SELECT address, message FROM threads WHERE incident = ?").bind(incident.0);
    let rows = query.fetch_all(executor).await?;
    rows.iter().map(|row| Ok((from_json(row.try_get::<&str, _>("address")?)?, row.try_get("message")?))).collect()
}

/// Every chat that was notified of an incident.
pub async fn addresses(connection: &mut SqliteConnection, incident: IncidentId) -> sqlx::Result<Vec<Address>> {
    let rows = sqlx::query("SELECT address FROM threads WHERE incident = ?").bind(incident.0).fetch_all(connection).await?;
    rows.iter().map(|row| from_json(row.try_get::<&str, _>("address")?)).collect()
}

/// The incident of a message to which a person replied.
pub async fn incident_of(executor: impl SqliteExecutor<'_>, address: &Address, message: i32) -> sqlx::Result<Option<IncidentId>> {
    let query = sqlx::query("SELECT incident FROM threads WHERE address = ? AND message = ? ORDER BY incident DESC LIMIT 1");
    let row = query.bind(to_json(address)?).bind(message).fetch_optional(executor).await?;
    row.map(|row| row.try_get("incident").map(IncidentId)).transpose()
}

/// Message ids of a group are not valid in the supergroup that replaced it, so its threads start again.
pub async fn delete_all(connection: &mut SqliteConnection, address: &Address) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM threads WHERE address = ?").bind(to_json(address)?).execute(connection).await?;
    Ok(())
}

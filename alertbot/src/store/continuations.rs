//! This module stores the parts of a card after its first message, for each chat: their present text and message id.

use alertbot_core::{delivery::Address, incident::IncidentId};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use super::to_json;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continuation {
    /// Counted from 0.
    pub part: u32,
    /// Telegram's HTML.
    pub text: String,
    /// `None` until it is sent.
    pub message: Option<i32>,
}

fn read(row: &SqliteRow) -> sqlx::Result<Continuation> {
    Ok(Continuation { part: row.try_get("part")?, text: row.try_get("text")?, message: row.try_get("message")? })
}

/// The parts in order.
pub async fn parts_of(
    connection: &mut SqliteConnection,
    incident: IncidentId,
    address: &Address,
) -> sqlx::Result<Vec<Continuation>> {
    let query = sqlx::query("SELECT part, text, message FROM continuations WHERE incident = ? AND address = ? ORDER BY part");
    let rows = query.bind(incident.0).bind(to_json(address)?).fetch_all(connection).await?;
    rows.iter().map(read).collect()
}

/// Sets the text of a part.
pub async fn set_text(
    connection: &mut SqliteConnection,
    incident: IncidentId,
    address: &Address,
    part: u32,
    text: &str,
) -> sqlx::Result<()> {
    let query = "INSERT INTO continuations (incident, address, part, text) VALUES (?, ?, ?, ?)
                 ON CONFLICT (incident, address, part) DO UPDATE SET text = excluded.text";
    sqlx::query(query).bind(incident.0).bind(to_json(address)?).bind(part).bind(text).execute(connection).await?;
    Ok(())
}

/// Sets the message id of a part; `None` if that message was deleted.
pub async fn sent(
    connection: &mut SqliteConnection,
    incident: IncidentId,
    address: &Address,
    part: u32,
    message: Option<i32>,
) -> sqlx::Result<()> {
    let query = sqlx::query("UPDATE continuations SET message = ? WHERE incident = ? AND address = ? AND part = ?");
    query.bind(message).bind(incident.0).bind(to_json(address)?).bind(part).execute(connection).await?;
    Ok(())
}

/// Deletes an unneeded part that was never sent.
pub async fn remove_part(
    connection: &mut SqliteConnection,
    incident: IncidentId,
    address: &Address,
    part: u32,
) -> sqlx::Result<()> {
    let query = sqlx::query("DELETE FROM continuations WHERE incident = ? AND address = ? AND part = ?");
    query.bind(incident.0).bind(to_json(address)?).bind(part).execute(connection).await?;
    Ok(())
}

/// The first message was replaced, so its parts are sent again after it.
pub async fn forget(connection: &mut SqliteConnection, incident: IncidentId, address: &Address) -> sqlx::Result<()> {
    let query = sqlx::query("DELETE FROM continuations WHERE incident = ? AND address = ?");
    query.bind(incident.0).bind(to_json(address)?).execute(connection).await?;
    Ok(())
}

/// Message ids of a group are not valid in the supergroup that replaced it.
pub async fn forget_all(connection: &mut SqliteConnection, address: &Address) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM continuations WHERE address = ?").bind(to_json(address)?).execute(connection).await?;
    Ok(())
}

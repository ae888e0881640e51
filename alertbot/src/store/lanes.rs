//! This module stores facts about chats beyond the configuration: stopped by a 429, migrated to another id, without a topic.

use alertbot_core::delivery::Address;
use jiff::Timestamp;
use sqlx::{Row, SqliteConnection, SqliteExecutor};

use super::{from_json, milliseconds, timestamp, to_json};

pub async fn block(connection: &mut SqliteConnection, lane: &Address, since: Timestamp, until: Timestamp) -> sqlx::Result<()> {
    let query = "INSERT INTO blocked (address, since, until) VALUES (?, ?, ?)
                 ON CONFLICT (address) DO UPDATE SET since = excluded.since, until = max(until, excluded.until)";
    let query = sqlx::query(query).bind(to_json(lane)?).bind(milliseconds(since)).bind(milliseconds(until));
    query.execute(connection).await?;
    Ok(())
}

/// The chats that are still stopped. A clock that was set back does not lengthen a wait.
pub async fn blocked(executor: impl SqliteExecutor<'_>, now: Timestamp) -> sqlx::Result<Vec<(Address, Timestamp)>> {
    let rows = sqlx::query("SELECT address, since, until FROM blocked").fetch_all(executor).await?;
    let mut blocked = Vec::new();
    for row in &rows {
        let (since, until) = (timestamp(row.try_get("since")?), timestamp(row.try_get("until")?));
        let longest = now.checked_add(until.duration_since(since)).unwrap_or(until);
        if until > now {
            blocked.push((from_json(row.try_get::<&str, _>("address")?)?, until.min(longest)));
        }
    }
    Ok(blocked)
}

pub async fn set_chat_migration(connection: &mut SqliteConnection, bot: &str, from: i64, to: i64) -> sqlx::Result<()> {
    let query = "INSERT INTO moved (bot, from_id, to_id) VALUES (?, ?, ?) ON CONFLICT (bot, from_id) DO UPDATE SET to_id = excluded.to_id";
    sqlx::query(query).bind(bot).bind(from).bind(to).execute(connection).await?;
    Ok(())
}

pub async fn set_topic_lost(
    connection: &mut SqliteConnection,
    bot: &str,
    chat: i64,
    topic: i32,
    at: Timestamp,
) -> sqlx::Result<()> {
    let query = sqlx::query("INSERT OR REPLACE INTO lost_topics (bot, chat, topic, since) VALUES (?, ?, ?, ?)");
    query.bind(bot).bind(chat).bind(topic).bind(milliseconds(at)).execute(connection).await?;
    Ok(())
}

/// Every chat migration: bot, old id, new id.
pub async fn chat_migrations(executor: impl SqliteExecutor<'_>) -> sqlx::Result<Vec<(String, i64, i64)>> {
    let rows = sqlx::query("SELECT bot, from_id, to_id FROM moved").fetch_all(executor).await?;
    rows.iter().map(|row| Ok((row.try_get("bot")?, row.try_get("from_id")?, row.try_get("to_id")?))).collect()
}

/// A topic, and when it was last found closed or deleted: bot, chat, topic.
pub type LostTopic = ((String, i64, i32), Timestamp);

/// Every topic that was closed or deleted at the last attempt.
pub async fn lost_topics(executor: impl SqliteExecutor<'_>) -> sqlx::Result<Vec<LostTopic>> {
    let rows = sqlx::query("SELECT bot, chat, topic, since FROM lost_topics").fetch_all(executor).await?;
    let read = |row: &sqlx::sqlite::SqliteRow| {
        Ok(((row.try_get("bot")?, row.try_get("chat")?, row.try_get("topic")?), timestamp(row.try_get("since")?)))
    };
    rows.iter().map(read).collect()
}

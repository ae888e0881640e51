//! This module stores small facts that survive a restart.

use sqlx::{Row, SqliteConnection, SqliteExecutor};

pub async fn get(executor: impl SqliteExecutor<'_>, name: &str) -> sqlx::Result<Option<String>> {
    let row = sqlx::query("SELECT value FROM facts WHERE name = ?").bind(name).fetch_optional(executor).await?;
    row.map(|row| row.try_get("value")).transpose()
}

pub async fn set(connection: &mut SqliteConnection, name: &str, value: &str) -> sqlx::Result<()> {
    let query = "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    sqlx::query(query).bind(name).bind(value).execute(connection).await?;
    Ok(())
}

pub async fn remove(connection: &mut SqliteConnection, name: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM facts WHERE name = ?").bind(name).execute(connection).await?;
    Ok(())
}

/// Every fact whose name has this prefix.
pub async fn beginning_with(executor: impl SqliteExecutor<'_>, prefix: &str) -> sqlx::Result<Vec<(String, String)>> {
    let query = sqlx::query("SELECT name, value FROM facts WHERE substr(name, 1, length(?1)) = ?1 ORDER BY name").bind(prefix);
    let rows = query.fetch_all(executor).await?;
    rows.iter().map(|row| Ok((row.try_get("name")?, row.try_get("value")?))).collect()
}

//! Small facts that outlive a restart.

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

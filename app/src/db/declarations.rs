//! This module reads and writes `declarations`: decisions of an operator while no server could lead. It must not apply them.

use sqlx::{Connection, FromRow, PgConnection};

/// Accept a database that lost history.
pub const LOSS: &str = "loss";
/// Set journal time back after it ran ahead.
pub const TIME: &str = "time";

#[derive(Debug, Clone, FromRow)]
pub struct Declaration {
    pub id: i64,
    pub kind: String,
    pub actor: String,
    pub reason: String,
    /// Last sequence of the journal at the time of the declaration.
    pub ends_at: i64,
    /// For a loss: the last lost sequence.
    pub through: i64,
}

/// Records a declaration. Returns the journal's last sequence at that moment.
pub async fn insert_declaration(
    connection: &mut PgConnection,
    kind: &str,
    actor: &str,
    reason: &str,
    through: i64,
) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "INSERT INTO declarations (kind, actor, reason, ends_at, through) SELECT $1, $2, $3, last_seq, $4 FROM head RETURNING ends_at",
    )
    .bind(kind)
    .bind(actor)
    .bind(reason)
    .bind(through)
    .fetch_one(connection)
    .await
}

/// As [`insert_declaration`] for a loss. The generation of this database rises above `generation`, that of the newest lost history.
pub async fn insert_loss(
    connection: &mut PgConnection,
    actor: &str,
    reason: &str,
    through: i64,
    generation: i64,
) -> sqlx::Result<i64> {
    let mut transaction = connection.begin().await?;
    // The declaration itself counts as one generation: see `shipping::generation`.
    let raise = "UPDATE head SET generation = greatest(generation, $1 - (SELECT count(*) FROM declarations WHERE kind = 'loss'))";
    sqlx::query(raise).bind(generation).execute(&mut *transaction).await?;
    let ends_at = insert_declaration(&mut transaction, LOSS, actor, reason, through).await?;
    transaction.commit().await?;
    Ok(ends_at)
}

/// Declarations that no leader has journalled yet, oldest first.
pub async fn pending_declarations(connection: &mut PgConnection) -> sqlx::Result<Vec<Declaration>> {
    sqlx::query_as("SELECT id, kind, actor, reason, ends_at, through FROM declarations WHERE journalled_seq IS NULL ORDER BY id")
        .fetch_all(connection)
        .await
}

pub async fn journalled(connection: &mut PgConnection, id: i64, sequence: i64) -> sqlx::Result<()> {
    sqlx::query("UPDATE declarations SET journalled_seq = $2 WHERE id = $1").bind(id).bind(sequence).execute(connection).await?;
    Ok(())
}

/// Last sequence of a history that was declared lost; 0: no declaration.
pub async fn lost_through(connection: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT coalesce(max(through), 0) FROM declarations WHERE kind = 'loss'").fetch_one(connection).await
}

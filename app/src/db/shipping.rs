//! This module reads what the head row states about shipping: the generation of this database's history, and whether the database
//! was built from the bucket. It must not list the bucket.

use sqlx::PgConnection;

/// Losses of history up to now, those before this database was built included. Shipped objects carry it.
pub async fn generation(connection: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT generation + (SELECT count(*) FROM declarations WHERE kind = 'loss') FROM head")
        .fetch_one(connection)
        .await
}

/// The fork at which this generation began: the last sequence of the journal when its newest loss was declared. `None`: no loss.
pub async fn fork(connection: &mut PgConnection) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar("SELECT ends_at FROM declarations WHERE kind = 'loss' ORDER BY id DESC LIMIT 1")
        .fetch_optional(connection)
        .await
}

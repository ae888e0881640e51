//! This module has the tables of the arms that store orders as rows, and the accounts' funds. It must not have more indexes than
//! a typical service.

use crate::workload::{ACCOUNTS, FUNDS, MARKETS};
use exchange_core::money::SCALE;
use sqlx::{Executor, PgPool};

const TABLES: &str = "
    CREATE TABLE balances (
        account integer NOT NULL, asset smallint NOT NULL, free bigint NOT NULL, locked bigint NOT NULL,
        PRIMARY KEY (account, asset), CHECK (free >= 0 AND locked >= 0)
    ) WITH (fillfactor = 50);
    CREATE TABLE orders (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        account integer NOT NULL, symbol text NOT NULL, side smallint NOT NULL, price bigint NOT NULL, quantity bigint NOT NULL,
        status smallint NOT NULL DEFAULT 0, client_id text NOT NULL, created timestamptz NOT NULL DEFAULT now()
    );
    CREATE UNIQUE INDEX orders_client_id ON orders (account, client_id);
    CREATE TABLE ledger (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        order_id bigint NOT NULL, account integer NOT NULL, asset smallint NOT NULL, bucket smallint NOT NULL, amount bigint NOT NULL
    );
    CREATE INDEX ledger_account ON ledger (account, id);";

/// Creates the tables and funds every account.
pub(super) async fn create(pool: &PgPool) -> sqlx::Result<()> {
    pool.execute(TABLES).await?;
    let assets = MARKETS.len() as i32;
    sqlx::query(
        "INSERT INTO balances SELECT account, asset, $3, 0 FROM generate_series(0, $1) account, generate_series(0, $2) asset",
    )
    .bind(ACCOUNTS as i32 - 1)
    .bind(assets)
    .bind(FUNDS * SCALE)
    .execute(pool)
    .await?;
    Ok(())
}

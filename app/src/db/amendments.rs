//! This module writes the projection's `order_amendments`. Only the projector calls it. It must not read history.

use exchange_core::AmendmentRecord;
use sqlx::PgConnection;

/// The amendments of one chunk in journal order, and the last client id of each amended order. Rows that exist are not changed.
pub async fn insert_amendments(connection: &mut PgConnection, amendments: &[AmendmentRecord]) -> sqlx::Result<()> {
    if amendments.is_empty() {
        return Ok(());
    }
    let orders: Vec<i64> = amendments.iter().map(|amendment| amendment.order as i64).collect();
    let executions: Vec<i64> = amendments.iter().map(|amendment| amendment.execution as i64).collect();
    let accounts: Vec<i32> = amendments.iter().map(|amendment| amendment.account as i32).collect();
    let markets: Vec<i16> = amendments.iter().map(|amendment| amendment.market as i16).collect();
    let client_ids: Vec<&str> = amendments.iter().map(|amendment| amendment.client_id.as_str()).collect();
    sqlx::query(
        "INSERT INTO order_amendments (order_id, execution, account, market, client_id, original_client_id, original_quantity,
                quantity, time)
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::int[], $4::smallint[], $5::text[], $6::text[], $7::bigint[],
                $8::bigint[], $9::bigint[])
         ON CONFLICT (order_id, execution) DO NOTHING",
    )
    .bind(&orders)
    .bind(&executions)
    .bind(&accounts)
    .bind(&markets)
    .bind(&client_ids)
    .bind(amendments.iter().map(|amendment| amendment.original_client_id.as_str()).collect::<Vec<_>>())
    .bind(amendments.iter().map(|amendment| amendment.original_quantity).collect::<Vec<_>>())
    .bind(amendments.iter().map(|amendment| amendment.quantity).collect::<Vec<_>>())
    .bind(amendments.iter().map(|amendment| amendment.time).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "UPDATE orders AS o SET client_id = u.client_id
         FROM (SELECT DISTINCT ON (id) id, account, market, client_id
               FROM unnest($1::bigint[], $2::bigint[], $3::int[], $4::smallint[], $5::text[])
                    AS amended (id, execution, account, market, client_id)
               ORDER BY id, execution DESC) AS u
         WHERE o.account = u.account AND o.market = u.market AND o.id = u.id AND o.client_id <> u.client_id",
    )
    .bind(&orders)
    .bind(&executions)
    .bind(&accounts)
    .bind(&markets)
    .bind(&client_ids)
    .execute(connection)
    .await?;
    Ok(())
}

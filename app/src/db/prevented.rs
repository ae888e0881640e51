//! This module writes the projection's `prevented_matches`. Only the projector calls it. It must not read history.

use exchange_core::PreventedRecord;
use sqlx::PgConnection;

/// The prevented matches of one chunk. Rows that exist are not changed.
pub async fn insert_prevented(connection: &mut PgConnection, matches: &[PreventedRecord]) -> sqlx::Result<()> {
    if matches.is_empty() {
        return Ok(());
    }
    let column = |value: fn(&PreventedRecord) -> i64| matches.iter().map(value).collect::<Vec<i64>>();
    sqlx::query(
        "INSERT INTO prevented_matches (id, taker_order, maker_order, price, taker_quantity, maker_quantity, time, sequence, account,
                market, stp)
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                $8::bigint[], $9::int[], $10::smallint[], $11::smallint[])
         ON CONFLICT (market, id) DO NOTHING",
    )
    .bind(column(|row| row.prevented_match as i64))
    .bind(column(|row| row.taker as i64))
    .bind(column(|row| row.maker as i64))
    .bind(column(|row| row.price))
    .bind(column(|row| row.taker_quantity))
    .bind(column(|row| row.maker_quantity))
    .bind(column(|row| row.time))
    .bind(column(|row| row.sequence as i64))
    .bind(matches.iter().map(|row| row.account as i32).collect::<Vec<_>>())
    .bind(matches.iter().map(|row| row.market as i16).collect::<Vec<_>>())
    .bind(matches.iter().map(|row| i16::from(row.stp as u8)).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

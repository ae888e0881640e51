//! This module writes the projection's order tables: `orders`, `order_lists`, `order_minutes`. Only the projector calls it. It
//! must not read history.

use crate::db::{copy::CopyRows, numeric::Numeric};
use exchange_core::{
    OrderList,
    money::Time,
    order::{Order, OrderId},
};
use sqlx::PgConnection;

const MICROSECONDS_PER_MINUTE: Time = 60_000_000;
/// `order_id_floor` in the migration uses the same divisor.
pub const fn minute_of_row(time: Time) -> i64 {
    time.div_euclid(MICROSECONDS_PER_MINUTE)
}

const COPY: &str =
    "COPY orders (id, price, stop_price, quantity, executed, created, updated, working_since, account, market, side, kind,
    time_in_force, stp, status, expiry_reason, working, executed_quote, hold, client_id, quote_order_quantity, list, prevented,
    prevented_match, iceberg_quantity, trailing_delta, tracking_since) FROM STDIN WITH (FORMAT binary)";
const COLUMNS: i16 = 27;

/// Orders that are not in the table yet.
pub async fn insert_orders<'a>(connection: &mut PgConnection, orders: impl Iterator<Item = &'a Order>) -> sqlx::Result<()> {
    let mut rows = CopyRows::default();
    for order in orders {
        push(&mut rows, order);
    }
    rows.send(connection, COPY).await
}

fn push(rows: &mut CopyRows, order: &Order) {
    rows.row(COLUMNS);
    rows.id(order.id);
    for value in
        [order.price, order.stop_price, order.quantity, order.executed, order.created, order.updated, order.working_since]
    {
        rows.i64(value);
    }
    rows.i32(order.account as i32);
    rows.i16(order.market as i16);
    for code in [
        order.side as u8,
        order.kind as u8,
        order.time_in_force as u8,
        order.stp as u8,
        order.status as u8,
        order.expiry_reason as u8,
    ] {
        rows.i16(code.into());
    }
    rows.bool(order.working);
    rows.numeric(order.executed_quote);
    rows.numeric(order.hold);
    rows.text(order.client_id.as_str());
    match order.quote_order_quantity {
        0 => rows.null(),
        quantity => rows.numeric(quantity),
    }
    match order.list {
        0 => rows.null(),
        list => rows.id(list),
    }
    match prevented(order) {
        None => {
            rows.null();
            rows.null();
        }
        Some((quantity, prevented_match)) => {
            rows.i64(quantity);
            rows.i64(prevented_match);
        }
    }
    match order.iceberg {
        0 => rows.null(),
        quantity => rows.i64(quantity),
    }
    match order.trailing_delta {
        0 => rows.null(),
        delta => rows.i32(delta as i32),
    }
    match order.tracking_since {
        0 => rows.null(),
        since => rows.i64(since),
    }
}

fn prevented(order: &Order) -> Option<(i64, i64)> {
    (order.prevented > 0).then_some((order.prevented, order.prevented_match as i64))
}

/// The columns that change during an order's life; none of them is indexed.
#[derive(Default)]
struct ChangedColumns {
    id: Vec<i64>,
    account: Vec<i32>,
    market: Vec<i16>,
    quantity: Vec<i64>,
    executed: Vec<i64>,
    updated: Vec<i64>,
    working_since: Vec<i64>,
    status: Vec<i16>,
    expiry_reason: Vec<i16>,
    working: Vec<bool>,
    executed_quote: Vec<Numeric>,
    hold: Vec<Numeric>,
    prevented: Vec<Option<i64>>,
    prevented_match: Vec<Option<i64>>,
    tracking_since: Vec<Option<i64>>,
}

/// Updates orders that are in the table to their current state.
pub async fn update<'a>(connection: &mut PgConnection, orders: impl Iterator<Item = &'a Order>) -> sqlx::Result<()> {
    let mut changes = ChangedColumns::default();
    for order in orders {
        changes.id.push(order.id as i64);
        changes.account.push(order.account as i32);
        changes.market.push(order.market as i16);
        changes.quantity.push(order.quantity);
        changes.executed.push(order.executed);
        changes.updated.push(order.updated);
        changes.working_since.push(order.working_since);
        changes.status.push(i16::from(order.status as u8));
        changes.expiry_reason.push(i16::from(order.expiry_reason as u8));
        changes.working.push(order.working);
        changes.executed_quote.push(Numeric(order.executed_quote));
        changes.hold.push(Numeric(order.hold));
        changes.prevented.push(prevented(order).map(|(quantity, _)| quantity));
        changes.prevented_match.push(prevented(order).map(|(_, prevented_match)| prevented_match));
        changes.tracking_since.push((order.tracking_since != 0).then_some(order.tracking_since));
    }
    if changes.id.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE orders AS o SET quantity = u.quantity, executed = u.executed, updated = u.updated, working_since = u.working_since,
                status = u.status, expiry_reason = u.expiry_reason, working = u.working, executed_quote = u.executed_quote,
                hold = u.hold, prevented = u.prevented, prevented_match = u.prevented_match, tracking_since = u.tracking_since
         FROM unnest($1::bigint[], $2::int[], $3::smallint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::smallint[],
                $9::smallint[], $10::boolean[], $11::numeric[], $12::numeric[], $13::bigint[], $14::bigint[], $15::bigint[])
              AS u (id, account, market, quantity, executed, updated, working_since, status, expiry_reason, working, executed_quote,
                hold, prevented, prevented_match, tracking_since)
         WHERE o.account = u.account AND o.market = u.market AND o.id = u.id",
    )
    .bind(changes.id)
    .bind(changes.account)
    .bind(changes.market)
    .bind(changes.quantity)
    .bind(changes.executed)
    .bind(changes.updated)
    .bind(changes.working_since)
    .bind(changes.status)
    .bind(changes.expiry_reason)
    .bind(changes.working)
    .bind(changes.executed_quote)
    .bind(changes.hold)
    .bind(changes.prevented)
    .bind(changes.prevented_match)
    .bind(changes.tracking_since)
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes the current state of order lists. They are few: one statement each.
pub async fn upsert_lists<'a>(connection: &mut PgConnection, lists: impl Iterator<Item = &'a OrderList>) -> sqlx::Result<()> {
    for list in lists {
        let orders: Vec<i64> = list.orders.iter().map(|id| *id as i64).collect();
        sqlx::query(
            "INSERT INTO order_lists (id, created, updated, account, market, done, client_id, orders, contingency)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (id) DO UPDATE SET updated = excluded.updated, done = excluded.done, orders = excluded.orders",
        )
        .bind(list.id as i64)
        .bind(list.created)
        .bind(list.updated)
        .bind(list.account as i32)
        .bind(list.market as i16)
        .bind(list.done)
        .bind(list.client_id.as_str())
        .bind(orders)
        .bind(i16::from(list.contingency as u8))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// The first order of a minute of journal time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstOrder {
    pub minute: i64,
    pub order: OrderId,
    /// Sequence of the event that placed it.
    pub sequence: u64,
}

/// The first order of each minute; an existing minute is not changed.
pub async fn insert_minutes(connection: &mut PgConnection, minutes: &[FirstOrder]) -> sqlx::Result<()> {
    for first in minutes {
        sqlx::query(
            "INSERT INTO order_minutes (minute, first_order, first_sequence) VALUES ($1, $2, $3) ON CONFLICT (minute) DO NOTHING",
        )
        .bind(first.minute)
        .bind(first.order as i64)
        .bind(first.sequence as i64)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

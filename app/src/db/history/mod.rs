//! This module reads the projected tables: orders, order lists, trades and candles at `projection.projected_seq`.
//!
//! - It must not write: only the projector writes these tables.
//! - It must not return anything newer than that sequence: the caller adds it from memory.
//! - Each read is one statement that also reads the sequence, so rows and sequence come from one snapshot.

mod amendments;
mod candles;
mod load;
mod order_lists;
mod orders;
mod prevented;
mod trades;

pub use amendments::{AmendmentQuery, amendments};
pub use candles::{candle_sums, candles};
pub use load::load_market_data;
pub use order_lists::{ListQuery, client_ids, list_by_client_id, list_by_id, lists, lists_of};
pub use orders::{OrderQuery, order_by_client_id, order_by_id, orders};
pub use prevented::{PreventedQuery, Wanted, prevented};
pub use trades::{AccountTradeQuery, TradeQuery, account_trades, aggregates, trades};

use exchange_core::money::Amount;
use sqlx::{PgPool, Row, error::BoxDynError, postgres::PgRow};

/// Rows of the tables, complete up to the event of the position.
#[derive(Debug, Clone)]
pub struct Projected<T> {
    pub rows: Vec<T>,
    pub at: HistoryPosition,
}

/// The projector's position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryPosition {
    /// Events up to it are in the tables.
    pub sequence: u64,
    /// Journal time of that event, microseconds.
    pub time: i64,
}

/// The projector's current position.
pub async fn history_position(pool: &PgPool) -> sqlx::Result<HistoryPosition> {
    let row = sqlx::query("SELECT projected_seq, journal_time FROM projection").fetch_one(pool).await?;
    HistoryPosition::read(&row)
}

impl HistoryPosition {
    /// Parses the first two columns of a row.
    fn read(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self { sequence: unsigned(row, 0)?, time: row.try_get(1)? })
    }
}

/// A range of items ordered by id and time.
///
/// With `from` or `start` the answer contains the oldest matches, else the newest; always in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HistoryPart {
    /// Smallest id.
    pub from: Option<u64>,
    /// Earliest time, inclusive, microseconds.
    pub start: Option<i64>,
    /// Latest time, inclusive, microseconds.
    pub end: Option<i64>,
    pub limit: usize,
}

impl HistoryPart {
    /// Whether the newest matches are requested.
    pub const fn is_newest(&self) -> bool {
        self.from.is_none() && self.start.is_none()
    }

    /// Whether an item with this id and time matches.
    pub fn holds(&self, id: u64, time: i64) -> bool {
        self.from.is_none_or(|from| id >= from)
            && self.start.is_none_or(|start| time >= start)
            && self.end.is_none_or(|end| time <= end)
    }

    fn bind_from(&self) -> i64 {
        self.from.map_or(0, |from| i64::try_from(from).unwrap_or(i64::MAX))
    }

    fn bind_limit(&self) -> i64 {
        i64::try_from(self.limit).unwrap_or(i64::MAX)
    }
}

/// A statement's rows: the position, and a `T` for every row that has one. An outer join without a match returns one row without
/// a `T`.
fn projected<T>(rows: &[PgRow], read: impl Fn(&PgRow) -> sqlx::Result<T>) -> sqlx::Result<Projected<T>> {
    let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let at = HistoryPosition::read(first)?;
    let mut values = Vec::with_capacity(rows.len());
    for row in rows {
        if row.try_get::<Option<i64>, _>(FIRST)?.is_some() {
            values.push(read(row)?);
        }
    }
    Ok(Projected { rows: values, at })
}

/// Index of the first column after the position; it is a bigint and never null in a real row.
const FIRST: usize = 2;

fn unsigned(row: &PgRow, index: usize) -> sqlx::Result<u64> {
    let value: i64 = row.try_get(index)?;
    u64::try_from(value).map_err(|error| broken(index, error))
}

/// A `numeric` that was cast to text.
fn amount(row: &PgRow, index: usize) -> sqlx::Result<Amount> {
    let text: &str = row.try_get(index)?;
    text.parse().map_err(|error| broken(index, error))
}

fn optional_amount(row: &PgRow, index: usize) -> sqlx::Result<Amount> {
    let text: Option<&str> = row.try_get(index)?;
    text.map_or(Ok(0), |text| text.parse().map_err(|error| broken(index, error)))
}

/// A smallint with the code of a closed set.
fn code<T>(row: &PgRow, index: usize, from_code: impl Fn(u8) -> Option<T>) -> sqlx::Result<T> {
    let value: i16 = row.try_get(index)?;
    u8::try_from(value).ok().and_then(from_code).ok_or_else(|| broken(index, format!("{value} is not a code of this column")))
}

/// A number in a narrower type.
fn narrow<Wide, T>(row: &PgRow, index: usize) -> sqlx::Result<T>
where
    Wide: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    T: TryFrom<Wide, Error: Into<BoxDynError>>,
{
    T::try_from(row.try_get::<Wide, _>(index)?).map_err(|error| broken(index, error))
}

fn broken(index: usize, error: impl Into<BoxDynError>) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: index.to_string(), source: error.into() }
}

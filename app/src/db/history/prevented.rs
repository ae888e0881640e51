//! This module reads trades of one account that self-trade prevention prevented.

use exchange_core::{
    PreventedRecord,
    order::{AccountId, MarketId, OrderId, StpMode},
};
use sqlx::{PgPool, Row, postgres::PgRow};

use super::orders::{account_bind, market_bind};
use super::{FIRST, HistoryPart, Projected, code, narrow, projected, unsigned};

/// The account and market, and one match or the matches of one order by id.
#[derive(Debug, Clone, Copy)]
pub struct PreventedQuery {
    pub account: AccountId,
    pub market: MarketId,
    pub wanted: Wanted,
}

#[derive(Debug, Clone, Copy)]
pub enum Wanted {
    Match(u64),
    Of(OrderId, HistoryPart),
}

impl PreventedQuery {
    /// Whether this match is an answer.
    pub fn holds(&self, found: &PreventedRecord) -> bool {
        found.account == self.account
            && found.market == self.market
            && match &self.wanted {
                Wanted::Match(id) => found.prevented_match == *id,
                Wanted::Of(order, part) => {
                    [found.taker, found.maker].contains(order) && part.holds(found.prevented_match, found.time)
                }
            }
    }

    pub const fn limit(&self) -> usize {
        match &self.wanted {
            Wanted::Match(_) => 1,
            Wanted::Of(_, part) => part.limit,
        }
    }
}

macro_rules! columns {
    () => {
        "id, taker_order, maker_order, price, taker_quantity, maker_quantity, time, sequence, account, market, stp"
    };
}

/// The requested matches by rising id.
pub async fn prevented(pool: &PgPool, query: &PreventedQuery) -> sqlx::Result<Projected<PreventedRecord>> {
    let bind = |id: u64| i64::try_from(id).unwrap_or(i64::MAX);
    let rows = match &query.wanted {
        Wanted::Match(id) => {
            sqlx::query(concat!(
                "SELECT p.projected_seq, p.journal_time, m.* FROM projection p LEFT JOIN LATERAL (SELECT ",
                columns!(),
                " FROM prevented_matches WHERE market = $2 AND id = $3 AND account = $1) m ON true"
            ))
            .bind(account_bind(query.account))
            .bind(market_bind(query.market))
            .bind(bind(*id))
            .fetch_all(pool)
            .await?
        }
        Wanted::Of(order, part) => sqlx::query(concat!(
            "SELECT p.projected_seq, p.journal_time, m.* FROM projection p LEFT JOIN LATERAL (SELECT * FROM ((SELECT ",
            columns!(),
            " FROM prevented_matches WHERE taker_order = $3 AND market = $2 AND account = $1 AND id >= $4 ORDER BY id LIMIT $5) \
                 UNION ALL (SELECT ",
            columns!(),
            " FROM prevented_matches WHERE maker_order = $3 AND market = $2 AND account = $1 AND id >= $4 ORDER BY id LIMIT $5)) \
                 AS both_sides ORDER BY id LIMIT $5) m ON true ORDER BY m.id"
        ))
        .bind(account_bind(query.account))
        .bind(market_bind(query.market))
        .bind(bind(*order))
        .bind(part.bind_from())
        .bind(part.bind_limit())
        .fetch_all(pool)
        .await?,
    };
    projected(&rows, read)
}

fn read(row: &PgRow) -> sqlx::Result<PreventedRecord> {
    let at = |column: usize| FIRST + column;
    Ok(PreventedRecord {
        prevented_match: unsigned(row, at(0))?,
        taker: unsigned(row, at(1))?,
        maker: unsigned(row, at(2))?,
        price: row.try_get(at(3))?,
        taker_quantity: row.try_get(at(4))?,
        maker_quantity: row.try_get(at(5))?,
        time: row.try_get(at(6))?,
        sequence: unsigned(row, at(7))?,
        account: narrow::<i32, _>(row, at(8))?,
        market: narrow::<i16, _>(row, at(9))?,
        stp: code(row, at(10), StpMode::from_code)?,
    })
}

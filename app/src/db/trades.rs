//! This module writes the projection's `trades`. Only the projector calls it. It must not read history.

use crate::db::copy::CopyRows;
use exchange_core::TradeRecord;
use sqlx::PgConnection;

const COPY: &str =
    "COPY trades (id, aggregate, price, quantity, time, buyer_order, seller_order, buyer, seller, market, buyer_is_maker,
    quote, buyer_commission, seller_commission) FROM STDIN WITH (FORMAT binary)";
const COLUMNS: i16 = 14;

/// Trades of one chunk, encoded in order.
#[derive(Debug, Default)]
pub struct TradeRows(CopyRows);

impl TradeRows {
    pub fn push(&mut self, trade: &TradeRecord) {
        let rows = &mut self.0;
        rows.row(COLUMNS);
        rows.id(trade.trade);
        rows.id(trade.aggregate);
        rows.i64(trade.price);
        rows.i64(trade.quantity);
        rows.i64(trade.time);
        rows.id(trade.buyer_order);
        rows.id(trade.seller_order);
        rows.i32(trade.buyer as i32);
        rows.i32(trade.seller as i32);
        rows.i16(trade.market as i16);
        rows.bool(trade.buyer_is_maker);
        rows.numeric(trade.quote);
        rows.numeric(trade.buyer_commission);
        rows.numeric(trade.seller_commission);
    }

    pub async fn send(self, connection: &mut PgConnection) -> sqlx::Result<()> {
        self.0.send(connection, COPY).await
    }
}

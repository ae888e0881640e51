//! This module compares the derived tables with a plain fold of the journal.

use std::collections::BTreeMap;

use exchange::db::numeric::Numeric;
use exchange_core::{
    AmendmentRecord, Effects, OrderList, PreventedRecord, State, TradeRecord, Transfer,
    event::Event,
    market_data::Interval,
    money::{Amount, Time},
    order::Order,
};
use sqlx::{AssertSqlSafe, Connection, FromRow, PgConnection};

const DERIVED: [&str; 14] = [
    "assets",
    "markets",
    "accounts",
    "orders",
    "order_minutes",
    "order_lists",
    "order_amendments",
    "prevented_matches",
    "trades",
    "candles",
    "ledger_transfers",
    "balances",
    "credits",
    "operator_actions",
];

/// Every derived table as text, to compare one database with another.
pub async fn dump(url: &str) -> BTreeMap<&'static str, String> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let mut tables = BTreeMap::new();
    for table in DERIVED {
        let sql = format!("SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE \"C\"), '') FROM {table} AS t");
        let rows = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap();
        tables.insert(table, rows);
    }
    tables
}

pub async fn projected(url: &str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar("SELECT projected_seq FROM projection").fetch_one(&mut connection).await.unwrap()
}

/// The slow and simple fold.
#[derive(Default)]
struct Fold {
    orders: BTreeMap<u64, Order>,
    lists: BTreeMap<u64, OrderList>,
    amendments: Vec<AmendmentRecord>,
    prevented: Vec<PreventedRecord>,
    trades: Vec<TradeRecord>,
    /// Those of the candles: without trades that were ahead of a time that was set back.
    candle_trades: Vec<TradeRecord>,
    transfers: Vec<Transfer>,
}

impl Effects for Fold {
    fn transfer(&mut self, transfer: Transfer) {
        self.transfers.push(transfer);
    }
    fn order_changed(&mut self, order: &Order) {
        self.orders.insert(order.id, *order);
    }
    fn list_changed(&mut self, list: &OrderList) {
        self.lists.insert(list.id, list.clone());
    }
    fn amended(&mut self, amendment: &AmendmentRecord) {
        self.amendments.push(amendment.clone());
    }
    fn prevented(&mut self, prevented: &PreventedRecord) {
        self.prevented.push(prevented.clone());
    }
    fn traded(&mut self, trade: &TradeRecord) {
        self.trades.push(trade.clone());
        self.candle_trades.push(trade.clone());
    }
}

#[derive(Debug, PartialEq, FromRow)]
struct OrderRow {
    id: i64,
    price: i64,
    stop_price: i64,
    quantity: i64,
    executed: i64,
    created: i64,
    updated: i64,
    working_since: i64,
    account: i32,
    market: i16,
    side: i16,
    kind: i16,
    time_in_force: i16,
    stp: i16,
    status: i16,
    expiry_reason: i16,
    working: bool,
    executed_quote: Numeric,
    hold: Numeric,
    client_id: String,
    quote_order_quantity: Option<Numeric>,
    list: Option<i64>,
    prevented: Option<i64>,
    prevented_match: Option<i64>,
    iceberg_quantity: Option<i64>,
    trailing_delta: Option<i32>,
    tracking_since: Option<i64>,
}

impl From<&Order> for OrderRow {
    fn from(order: &Order) -> Self {
        let code = |code: u8| i16::from(code);
        Self {
            id: order.id as i64,
            price: order.price,
            stop_price: order.stop_price,
            quantity: order.quantity,
            executed: order.executed,
            created: order.created,
            updated: order.updated,
            working_since: order.working_since,
            account: order.account as i32,
            market: order.market as i16,
            side: code(order.side as u8),
            kind: code(order.kind as u8),
            time_in_force: code(order.time_in_force as u8),
            stp: code(order.stp as u8),
            status: code(order.status as u8),
            expiry_reason: code(order.expiry_reason as u8),
            working: order.working,
            executed_quote: Numeric(order.executed_quote),
            hold: Numeric(order.hold),
            client_id: order.client_id.as_str().into(),
            quote_order_quantity: (order.quote_order_quantity != 0).then_some(Numeric(order.quote_order_quantity)),
            list: (order.list != 0).then_some(order.list as i64),
            prevented: (order.prevented > 0).then_some(order.prevented),
            prevented_match: (order.prevented > 0).then_some(order.prevented_match as i64),
            iceberg_quantity: (order.iceberg > 0).then_some(order.iceberg),
            trailing_delta: (order.trailing_delta > 0).then_some(order.trailing_delta as i32),
            tracking_since: (order.tracking_since > 0).then_some(order.tracking_since),
        }
    }
}

/// open, high, low, close, volume, trades
type CandleSums = (i64, i64, i64, i64, Amount, i64);

/// market, interval, open time, then as [`CandleSums`]
type CandleRow = (i16, i16, i64, i64, i64, i64, i64, Numeric, i64);
/// market, id, price, quantity, time, buyer's and seller's order, quote amount, both commissions, whether the buyer was the maker
type TradeRow = (i16, i64, i64, i64, i64, i64, i64, Numeric, Numeric, Numeric, bool);

/// execution, order, account, market, client id before and after, quantity before and after, time
type AmendmentRow = (i64, i64, i32, i16, String, String, i64, i64, i64);

/// sequence, match, account, market, taker, maker, mode, price, quantities of taker and maker, time
type PreventedRow = (i64, i64, i32, i16, i64, i64, i16, i64, i64, i64, i64);

/// Compares the tables with a fold of the events, table by table.
pub async fn assert_agree(url: &str, events: &[Event]) {
    let (mut state, mut fold) = (State::new(), Fold::default());
    for event in events {
        if let Event::TimeSetBack(time) = event {
            fold.candle_trades.retain(|trade| trade.time <= *time);
        }
        state.evolve_with(event, &mut fold);
    }
    let mut connection = PgConnection::connect(url).await.unwrap();
    let connection = &mut connection;

    let orders: Vec<OrderRow> = sqlx::query_as("SELECT * FROM orders ORDER BY id").fetch_all(&mut *connection).await.unwrap();
    assert_eq!(orders, fold.orders.values().map(OrderRow::from).collect::<Vec<_>>());

    let lists: Vec<(i64, bool, Vec<i64>, i64, i16)> =
        sqlx::query_as("SELECT id, done, orders, updated, contingency FROM order_lists ORDER BY id")
            .fetch_all(&mut *connection)
            .await
            .unwrap();
    let expected = fold.lists.values().map(|list| {
        let orders: Vec<i64> = list.orders.iter().map(|id| *id as i64).collect();
        (list.id as i64, list.done, orders, list.updated, i16::from(list.contingency as u8))
    });
    assert_eq!(lists, expected.collect::<Vec<_>>());

    let amendments: Vec<AmendmentRow> = sqlx::query_as(
        "SELECT execution, order_id, account, market, original_client_id, client_id, original_quantity, quantity, time
         FROM order_amendments ORDER BY execution",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let expected = fold.amendments.iter().map(|a| {
        let [before, after] = [a.original_client_id, a.client_id].map(|id| id.as_str().to_owned());
        let ids = (a.execution as i64, a.order as i64, a.account as i32, a.market as i16);
        (ids.0, ids.1, ids.2, ids.3, before, after, a.original_quantity, a.quantity, a.time)
    });
    assert_eq!(amendments, expected.collect::<Vec<_>>());

    let prevented: Vec<PreventedRow> = sqlx::query_as(
        "SELECT sequence, id, account, market, taker_order, maker_order, stp, price, taker_quantity, maker_quantity, time
         FROM prevented_matches ORDER BY sequence",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let expected = fold.prevented.iter().map(|p| {
        let [sequence, id, taker, maker] = [p.sequence, p.prevented_match, p.taker, p.maker].map(|id| id as i64);
        let (account, market, stp) = (p.account as i32, p.market as i16, i16::from(p.stp as u8));
        (sequence, id, account, market, taker, maker, stp, p.price, p.taker_quantity, p.maker_quantity, p.time)
    });
    assert_eq!(prevented, expected.collect::<Vec<_>>());

    let trades: Vec<TradeRow> = sqlx::query_as(
        "SELECT market, id, price, quantity, time, buyer_order, seller_order, quote, buyer_commission, seller_commission, buyer_is_maker
         FROM trades ORDER BY time, market, id",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let mut expected: Vec<_> = fold.trades.iter().collect();
    expected.sort_by_key(|trade| (trade.time, trade.market, trade.trade));
    let expected = expected.into_iter().map(|t| {
        let [quote, buyer, seller] = [t.quote, t.buyer_commission, t.seller_commission].map(Numeric);
        let ids = [t.trade, t.buyer_order, t.seller_order].map(|id| id as i64);
        (t.market as i16, ids[0], t.price, t.quantity, t.time, ids[1], ids[2], quote, buyer, seller, t.buyer_is_maker)
    });
    assert_eq!(trades, expected.collect::<Vec<_>>());

    let transfers: Vec<(i16, Numeric, i32, i16, i32, i16)> = sqlx::query_as(
        "SELECT asset, amount, debit_account, debit_bucket, credit_account, credit_bucket FROM ledger_transfers ORDER BY sequence, line",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let expected = fold.transfers.iter().map(|t| {
        let ((debit, debit_bucket), (credit, credit_bucket)) = (t.debit, t.credit);
        (t.asset as i16, Numeric(t.amount), debit as i32, debit_bucket as i16, credit as i32, credit_bucket as i16)
    });
    assert_eq!(transfers, expected.collect::<Vec<_>>());

    let balances: Vec<(i32, i16, Numeric, Numeric)> =
        sqlx::query_as("SELECT account, asset, free, locked FROM balances ORDER BY 1, 2")
            .fetch_all(&mut *connection)
            .await
            .unwrap();
    let expected = state.accounts().flat_map(|account| {
        state.balances(account.id).map(|(asset, b)| (account.id as i32, asset as i16, Numeric(b.free), Numeric(b.locked)))
    });
    assert_eq!(balances, expected.collect::<Vec<_>>());

    let mut candles: BTreeMap<(i16, i16, Time), CandleSums> = BTreeMap::new();
    for trade in &fold.candle_trades {
        for interval in Interval::ALL {
            let sums = candles.entry((trade.market as i16, i16::from(*interval as u8), interval.open(trade.time))).or_insert((
                trade.price,
                trade.price,
                trade.price,
                0,
                0,
                0,
            ));
            sums.1 = sums.1.max(trade.price);
            sums.2 = sums.2.min(trade.price);
            sums.3 = trade.price;
            sums.4 += Amount::from(trade.quantity);
            sums.5 += 1;
        }
    }
    let rows: Vec<CandleRow> = sqlx::query_as(
        "SELECT market, interval, open_time, open, high, low, close, volume, trades FROM candles ORDER BY 1, 2, 3",
    )
    .fetch_all(connection)
    .await
    .unwrap();
    let rows = rows.into_iter().map(|(market, interval, time, open, high, low, close, volume, trades)| {
        ((market, interval, time), (open, high, low, close, volume.0, trades))
    });
    assert_eq!(rows.collect::<BTreeMap<_, _>>(), candles);
}

//! All that ever happened, read: the tables up to the projected sequence, and memory above it. Never: SQL, a change.
//!
//! Memory is asked first. When it does not reach back far enough the tables are read, and then memory is laid over what they said:
//! the state's open orders over the tail's closed ones over the tables' rows. Tables that do not reach up to the tail's floor are
//! waited for, within a bound.

use std::{collections::BTreeMap, future::Future, time::Duration};

use exchange_core::{
    OrderList, TradeRecord,
    market_data::{AggregateTrade, Candle, CandleRange, Grid, Interval, PublicTrade},
    order::{AccountId, ClientId, MarketId, Order, OrderId, OrderListId},
};
use sqlx::PgPool;
use tokio::time::{Instant, sleep, timeout_at};

use super::committed::{Committed, Shared, public};
use crate::db::history::{self as tables, AccountTradeQuery, ListQuery, OrderQuery, Part, Projected, TradeQuery};

/// How long a read may wait for the database and for the projector.
const DEADLINE: Duration = Duration::from_secs(3);
/// Between two looks at tables or memory that are behind.
const POLL: Duration = Duration::from_millis(10);

/// Why history cannot be told now.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("the tables are behind what memory holds: see the projector's lag")]
    Behind,
    #[error("the database did not answer within {} s", DEADLINE.as_secs())]
    Timeout,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// An order list and the client ids of its orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListDetails {
    pub list: OrderList,
    /// In order of placing.
    pub orders: Vec<(OrderId, ClientId)>,
}

/// The handle: cheap to clone.
#[derive(Debug, Clone)]
pub struct History {
    primary: PgPool,
    /// Tried first: used when it has caught up.
    replica: Option<PgPool>,
    committed: Shared,
}

/// What laying memory over the tables' rows says.
enum Laid<R> {
    Done(R),
    /// The tables do not reach up to what memory holds.
    Behind,
}

impl History {
    pub const fn new(primary: PgPool, replica: Option<PgPool>, committed: Shared) -> Self {
        Self { primary, replica, committed }
    }

    /// An order, open or closed.
    ///
    /// # Errors
    /// The tables are needed and cannot be read, or are behind.
    pub async fn order(&self, account: AccountId, market: MarketId, id: OrderId) -> Result<Option<Order>, HistoryError> {
        let in_memory = |committed: &Committed| {
            let open = committed.state.order(id).filter(|order| order.account == account && order.market == market);
            open.or_else(|| committed.tail.order(account, market, id)).cloned()
        };
        if let Some(order) = in_memory(&self.committed.read()) {
            return Ok(Some(order));
        }
        let read = |pool| async move { tables::order_by_id(&pool, account, market, id).await };
        self.laid_over(read, |committed, mut rows| Laid::Done(in_memory(committed).or_else(|| rows.rows.pop()))).await
    }

    /// The last order of a client id, open or closed.
    ///
    /// # Errors
    /// As [`Self::order`].
    pub async fn order_by_client_id(
        &self,
        account: AccountId,
        market: MarketId,
        client_id: ClientId,
    ) -> Result<Option<Order>, HistoryError> {
        let in_memory = |committed: &Committed| {
            let open = committed.state.order_by_client_id(account, market, &client_id);
            open.or_else(|| committed.tail.order_by_client_id(account, market, &client_id)).cloned()
        };
        if let Some(order) = in_memory(&self.committed.read()) {
            return Ok(Some(order));
        }
        let read = |pool| async move { tables::order_by_client_id(&pool, account, market, &client_id).await };
        self.laid_over(read, |committed, mut rows| Laid::Done(in_memory(committed).or_else(|| rows.rows.pop()))).await
    }

    /// The account's orders on a market, open and closed, by rising id. Times are those of creation.
    ///
    /// # Errors
    /// As [`Self::order`].
    pub async fn orders(&self, account: AccountId, market: MarketId, part: Part) -> Result<Vec<Order>, HistoryError> {
        let query = OrderQuery { account, market, part };
        let read = |pool| async move { tables::orders(&pool, &query).await };
        self.laid_over(read, |committed, rows| {
            let mut orders: BTreeMap<OrderId, Order> = rows.rows.into_iter().map(|order| (order.id, order)).collect();
            let closed = committed.tail.orders(account, market, rows.at.sequence);
            let open = committed.state.open_orders(account, Some(market));
            for order in closed.chain(open).filter(|order| part.holds(order.id, order.created)) {
                orders.insert(order.id, order.clone());
            }
            Laid::Done(cut(orders.into_values().collect(), &part))
        })
        .await
    }

    /// The account's trades on a market, all or of one order, by rising id.
    ///
    /// # Errors
    /// As [`Self::order`].
    pub async fn account_trades(&self, query: AccountTradeQuery) -> Result<Vec<TradeRecord>, HistoryError> {
        let of_order = |id: OrderId| move |trade: &&TradeRecord| trade.buyer_order == id || trade.seller_order == id;
        let read = |pool| async move { tables::account_trades(&pool, &query).await };
        self.laid_over(read, |committed, rows| {
            let mut trades = rows.rows;
            let newer = committed.tail.trades(query.market, rows.at.sequence);
            let own = newer.filter(|trade| trade.buyer == query.account || trade.seller == query.account);
            let asked = own.filter(|trade| query.order.is_none_or(|id| of_order(id)(trade)));
            trades.extend(asked.filter(|trade| query.part.holds(trade.trade, trade.time)).cloned());
            Laid::Done(cut(trades, &query.part))
        })
        .await
    }

    /// The order lists that orders of one market are part of; an order that is part of none is left out.
    ///
    /// # Errors
    /// As [`Self::order`].
    pub async fn lists_of(
        &self,
        account: AccountId,
        market: MarketId,
        orders: &[OrderId],
    ) -> Result<BTreeMap<OrderId, OrderListId>, HistoryError> {
        let mut lists = BTreeMap::new();
        let mut missing = Vec::new();
        {
            let committed = self.committed.read();
            for id in orders {
                match committed.state.order(*id).or_else(|| committed.tail.order(account, market, *id)) {
                    Some(order) if order.list != 0 => drop(lists.insert(*id, order.list)),
                    Some(_) => {}
                    None => missing.push(*id),
                }
            }
        }
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            let read = tables::lists_of(&self.primary, account, market, &missing);
            lists.extend(timeout_at(Instant::now() + DEADLINE, read).await.map_err(|_| HistoryError::Timeout)??);
        }
        Ok(lists)
    }

    /// A market's trades by rising id.
    ///
    /// # Errors
    /// As [`Self::order`].
    pub async fn trades(&self, market: MarketId, part: Part) -> Result<Vec<PublicTrade>, HistoryError> {
        if let Some(trades) = recent_trades(&self.committed.read(), market, &part) {
            return Ok(trades);
        }
        let query = TradeQuery { market, part };
        let read = |pool| async move { tables::trades(&pool, &query).await };
        self.laid_over(read, |committed, rows| {
            let mut trades: Vec<PublicTrade> = rows.rows.iter().map(public).collect();
            let newer = committed.tail.trades(market, rows.at.sequence).map(public);
            trades.extend(newer.filter(|trade| part.holds(trade.trade, trade.time)));
            Laid::Done(cut(trades, &part))
        })
        .await
    }

    /// A market's aggregate trades by rising id.
    ///
    /// # Errors
    /// As [`Self::order`].
    pub async fn aggregates(&self, market: MarketId, part: Part) -> Result<Vec<AggregateTrade>, HistoryError> {
        if let Some(aggregates) = recent_aggregates(&self.committed.read(), market, &part) {
            return Ok(aggregates);
        }
        let query = TradeQuery { market, part };
        let read = |pool| async move { tables::aggregates(&pool, &query).await };
        self.laid_over(read, |committed, rows| {
            let mut aggregates = rows.rows;
            let newer = committed.tail.trades(market, rows.at.sequence).map(public);
            for trade in newer.filter(|trade| part.holds(trade.aggregate, trade.time)) {
                if !aggregates.last_mut().is_some_and(|last| last.append(&trade)) {
                    aggregates.push(AggregateTrade::of(&trade));
                }
            }
            Laid::Done(cut(aggregates, &part))
        })
        .await
    }

    /// A market's candles, those without trades included.
    ///
    /// # Errors
    /// As [`Self::order`].
    pub async fn candles(&self, market: MarketId, interval: Interval, range: CandleRange) -> Result<Vec<Candle>, HistoryError> {
        let grid = {
            let committed = self.committed.read();
            if let Some(candles) = committed.market_data.candles(market, interval, &range) {
                return Ok(candles);
            }
            Grid::new(interval, &range, committed.market_data.now())
        };
        let read = |pool| async move { tables::candles(&pool, market, interval, (grid.from, grid.to), range.limit).await };
        self.laid_over(read, |committed, rows| {
            let held = committed.market_data.stored_candles(market, interval);
            let oldest = held.first().map_or(i64::MAX, |candle| candle.open_time);
            if rows.at.time < oldest && !held.is_empty() {
                return Laid::Behind;
            }
            let mut candles = rows.rows;
            candles.retain(|candle| candle.open_time < oldest);
            // When the rows were cut at the limit there is a hole before what follows, and the answer is full before it.
            candles.extend(held);
            Laid::Done(grid.fill(&candles))
        })
        .await
    }

    /// An order list, open or ended.
    ///
    /// # Errors
    /// As [`Self::order`].
    pub async fn list(&self, account: AccountId, id: OrderListId) -> Result<Option<ListDetails>, HistoryError> {
        let in_memory = |committed: &Committed| {
            let open = committed.state.list(id).filter(|list| list.account == account);
            open.or_else(|| committed.tail.lists(account, 0).find(|list| list.id == id)).cloned()
        };
        let held = in_memory(&self.committed.read());
        let list = match held {
            Some(list) => Some(list),
            None => {
                let read = |pool| async move { tables::list_by_id(&pool, account, id).await };
                self.laid_over(read, |committed, mut rows| Laid::Done(in_memory(committed).or_else(|| rows.rows.pop()))).await?
            }
        };
        Ok(self.detailed(account, list.into_iter().collect()).await?.pop())
    }

    /// The last order list of a client id, open or ended.
    ///
    /// # Errors
    /// As [`Self::order`].
    pub async fn list_by_client_id(&self, account: AccountId, client_id: ClientId) -> Result<Option<ListDetails>, HistoryError> {
        let in_memory = |committed: &Committed| {
            let open = committed.state.open_lists(account).into_iter();
            let ended = committed.tail.lists(account, 0);
            open.chain(ended).filter(|list| list.client_id == client_id).max_by_key(|list| list.id).cloned()
        };
        let held = in_memory(&self.committed.read());
        let list = match held {
            Some(list) => Some(list),
            None => {
                let read = |pool| async move { tables::list_by_client_id(&pool, account, &client_id).await };
                self.laid_over(read, |committed, mut rows| Laid::Done(in_memory(committed).or_else(|| rows.rows.pop()))).await?
            }
        };
        Ok(self.detailed(account, list.into_iter().collect()).await?.pop())
    }

    /// The account's order lists on all markets, open and ended, by rising id. Times are those of creation.
    ///
    /// # Errors
    /// As [`Self::order`].
    pub async fn lists(&self, account: AccountId, part: Part) -> Result<Vec<ListDetails>, HistoryError> {
        let query = ListQuery { account, part };
        let read = |pool| async move { tables::lists(&pool, &query).await };
        let lists = self
            .laid_over(read, |committed, rows| {
                let mut lists: BTreeMap<OrderListId, OrderList> = rows.rows.into_iter().map(|list| (list.id, list)).collect();
                let ended = committed.tail.lists(account, rows.at.sequence);
                for list in ended.chain(committed.state.open_lists(account)).filter(|list| part.holds(list.id, list.created)) {
                    lists.insert(list.id, list.clone());
                }
                Laid::Done(cut(lists.into_values().collect(), &part))
            })
            .await?;
        self.detailed(account, lists).await
    }

    /// Adds the client ids of the lists' orders; those that memory does not hold any more come from the tables.
    async fn detailed(&self, account: AccountId, lists: Vec<OrderList>) -> Result<Vec<ListDetails>, HistoryError> {
        let mut known: BTreeMap<OrderId, ClientId> = BTreeMap::new();
        let mut missing = Vec::new();
        {
            let committed = self.committed.read();
            for (list, id) in lists.iter().flat_map(|list| list.orders.iter().map(move |id| (list, *id))) {
                let order = committed.state.order(id).or_else(|| committed.tail.order(account, list.market, id));
                match order {
                    Some(order) => drop(known.insert(id, order.client_id)),
                    None => missing.push((list.market, id)),
                }
            }
        }
        if !missing.is_empty() {
            let read = tables::client_ids(&self.primary, account, &missing);
            known.extend(timeout_at(Instant::now() + DEADLINE, read).await.map_err(|_| HistoryError::Timeout)??);
        }
        let details = lists.into_iter().map(|list| {
            let orders = list.orders.iter().filter_map(|id| Some((*id, *known.get(id)?))).collect();
            ListDetails { list, orders }
        });
        Ok(details.collect())
    }

    /// Reads the tables, then lays memory over them, until both speak of the same history or the deadline passes.
    async fn laid_over<T, R, Reading>(
        &self,
        read: impl Fn(PgPool) -> Reading,
        lay: impl Fn(&Committed, Projected<T>) -> Laid<R>,
    ) -> Result<R, HistoryError>
    where
        Reading: Future<Output = sqlx::Result<Projected<T>>>,
    {
        let deadline = Instant::now() + DEADLINE;
        let mut pool = self.replica.as_ref();
        loop {
            let rows = match timeout_at(deadline, read(pool.unwrap_or(&self.primary).clone())).await {
                Ok(Ok(rows)) => Some(rows),
                // A replica that is away is one that has not caught up.
                Ok(Err(_)) if pool.is_some() => None,
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => return Err(HistoryError::Timeout),
            };
            if let Some(rows) = rows {
                let at = rows.at.sequence;
                let committed = self.committed.read();
                if at >= committed.tail.floor()
                    && at <= committed.state.sequence()
                    && let Laid::Done(answer) = lay(&committed, rows)
                {
                    return Ok(answer);
                }
            }
            if pool.take().is_none() {
                if Instant::now() + POLL >= deadline {
                    return Err(HistoryError::Behind);
                }
                sleep(POLL).await;
            }
        }
    }
}

/// Keeps what `part` asks for of things in rising order.
fn cut<T>(mut things: Vec<T>, part: &Part) -> Vec<T> {
    if part.is_newest() {
        things.drain(..things.len().saturating_sub(part.limit));
    } else {
        things.truncate(part.limit);
    }
    things
}

/// The asked trades when memory holds all of them.
pub fn recent_trades(committed: &Committed, market: MarketId, part: &Part) -> Option<Vec<PublicTrade>> {
    let Some(history) = committed.market_data.market(market) else { return Some(Vec::new()) };
    let key = |trade: &PublicTrade| (trade.trade, trade.time);
    held(history.trades().iter(), history.has_older_trades(), part, key)
}

/// The asked aggregate trades when memory holds all of them.
pub fn recent_aggregates(committed: &Committed, market: MarketId, part: &Part) -> Option<Vec<AggregateTrade>> {
    let Some(history) = committed.market_data.market(market) else { return Some(Vec::new()) };
    let key = |trade: &AggregateTrade| (trade.aggregate, trade.time);
    held(history.aggregates().iter(), history.has_older_aggregates(), part, key)
}

fn held<'a, T: Copy + 'a>(
    things: impl DoubleEndedIterator<Item = &'a T> + ExactSizeIterator + Clone,
    older: bool,
    part: &Part,
    key: impl Fn(&T) -> (u64, i64),
) -> Option<Vec<T>> {
    let fits = |thing: &&T| {
        let (id, time) = key(thing);
        part.holds(id, time)
    };
    if part.is_newest() {
        let mut newest: Vec<T> = things.rev().filter(fits).take(part.limit).copied().collect();
        newest.reverse();
        return (!older || newest.len() == part.limit).then_some(newest);
    }
    let reaches_back = match things.clone().next().map(&key) {
        Some((id, time)) => part.from.is_some_and(|from| from >= id) || part.start.is_some_and(|start| start > time),
        None => true,
    };
    (!older || reaches_back).then(|| things.filter(fits).take(part.limit).copied().collect())
}

//! This module reads the history of one account: orders, trades, order lists. It must not check whether the caller may read the
//! account.

use std::collections::BTreeMap;

use exchange_core::{
    AmendmentRecord, OrderList, PreventedRecord, TradeRecord,
    order::{AccountId, ClientId, MarketId, Order, OrderId, OrderListId},
};
use tokio::time::{Instant, timeout_at};

use super::{DEADLINE, History, HistoryError, Laid, cut};
use crate::db::history::{self as tables, AccountTradeQuery, AmendmentQuery, HistoryPart, ListQuery, OrderQuery, PreventedQuery};
use crate::engine::committed::Committed;

/// An order list and the client ids of its orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListDetails {
    pub list: OrderList,
    /// In order of placement.
    pub orders: Vec<(OrderId, ClientId)>,
}

impl History {
    /// An order, open or closed.
    ///
    /// # Errors
    ///
    /// Returns an error if the tables are needed but unreachable or behind.
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

    /// Matches that self-trade prevention prevented, by rising id.
    ///
    /// # Errors
    /// As [`Self::order`].
    pub async fn prevented(&self, query: PreventedQuery) -> Result<Vec<PreventedRecord>, HistoryError> {
        let read = |pool| async move { tables::prevented(&pool, &query).await };
        self.laid_over(read, |committed, rows| {
            let mut found = rows.rows;
            let newer = committed.tail.prevented(query.account, rows.at.sequence);
            found.extend(newer.filter(|record| query.holds(record)).cloned());
            found.truncate(query.limit());
            Laid::Done(found)
        })
        .await
    }

    /// The amendments of an order, oldest first.
    ///
    /// # Errors
    /// As [`Self::order`].
    pub async fn amendments(&self, query: AmendmentQuery) -> Result<Vec<AmendmentRecord>, HistoryError> {
        let read = |pool| async move { tables::amendments(&pool, &query).await };
        self.laid_over(read, |committed, rows| {
            let mut amendments = rows.rows;
            let newer = committed.tail.amendments(query.account, query.order, rows.at.sequence);
            let of_market = newer.filter(|amendment| amendment.market == query.market);
            amendments.extend(of_market.filter(|amendment| query.part.holds(amendment.execution, amendment.time)).cloned());
            amendments.truncate(query.part.limit);
            Laid::Done(amendments)
        })
        .await
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
        self.laid_over(read, |committed, mut rows| {
            // An amendment above the tables may have given their order another client id.
            let renamed = |order: &Order| {
                let known = committed.state.order(order.id).or_else(|| committed.tail.order(account, market, order.id));
                known.is_some_and(|known| known.client_id != client_id)
            };
            Laid::Done(in_memory(committed).or_else(|| rows.rows.pop().filter(|order| !renamed(order))))
        })
        .await
    }

    /// The account's orders on a market, open and closed, by rising id. Time bounds refer to creation.
    ///
    /// # Errors
    ///
    /// As [`Self::order`].
    pub async fn orders(&self, account: AccountId, market: MarketId, part: HistoryPart) -> Result<Vec<Order>, HistoryError> {
        let query = OrderQuery { account, market, part };
        let read = |pool| async move { tables::orders(&pool, &query).await };
        self.laid_over(read, |committed, rows| {
            let mut orders: BTreeMap<OrderId, Order> = rows.rows.into_iter().map(|order| (order.id, order)).collect();
            let closed = committed.tail.orders(account, market, rows.at.sequence);
            let open = committed.state.open_orders(account, Some(market));
            for order in closed.chain(open).filter(|order| part.holds(order.id, order.created)) {
                orders.insert(order.id, *order);
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

    /// The order lists that contain orders of one market; orders without a list are omitted.
    ///
    /// # Errors
    ///
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

    /// The account's order lists on all markets, open and ended, by rising id. Time bounds refer to creation.
    ///
    /// # Errors
    ///
    /// As [`Self::order`].
    pub async fn lists(&self, account: AccountId, part: HistoryPart) -> Result<Vec<ListDetails>, HistoryError> {
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

    /// Adds the client ids of the lists' orders; ids that memory no longer has come from the tables.
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
}

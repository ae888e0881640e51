//! This module reads the journal and folds it with the core. Checks compare every record with it. It must not use the API or the
//! tables.

use super::record::Record;
use super::reports::Reports;
use crate::foundation::FIRST_ACCOUNT;
use anyhow::{Context, Result, bail, ensure};
use exchange::db::journal;
use exchange_core::money::Time;
use exchange_core::order::{AccountId, MarketId, Order, OrderId, OrderStatus, TradeId};
use exchange_core::{Effects, State, TradeRecord, batch};
use futures::StreamExt;
use sqlx::{Connection, PgConnection};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Largest distance of journal time from the database's clock, µs: twice the bound within which a server leads.
const AHEAD: Time = 1_000_000;

/// The state and history of the journal, up to the last read.
#[derive(Default)]
pub struct Fold {
    pub state: State,
    epoch: i64,
    /// Last sequence and journal time of the batches since the last check of times.
    times: Vec<(i64, Time)>,
    pub orders: BTreeMap<OrderId, Order>,
    pub trades: BTreeMap<(MarketId, TradeId), TradeRecord>,
    by_client_id: BTreeMap<(AccountId, String), OrderId>,
    reports: Reports,
}

/// The gathered effects of one event.
#[derive(Default)]
struct Gathered {
    orders: Vec<Order>,
    trades: Vec<TradeRecord>,
}

impl Effects for Gathered {
    fn order_changed(&mut self, order: &Order) {
        self.orders.push(*order);
    }

    fn traded(&mut self, trade: &TradeRecord) {
        self.trades.push(trade.clone());
    }
}

impl Fold {
    pub fn sequence(&self) -> u64 {
        self.state.sequence()
    }

    /// Reads the events written since the last read.
    pub async fn read(&mut self, database: &str) -> Result<()> {
        let mut connection = PgConnection::connect(database).await?;
        let mut stream = journal::stream(&mut connection, self.sequence() as i64, i64::MAX);
        while let Some(stored) = stream.next().await {
            let stored = stored?;
            let next = self.sequence() as i64 + 1;
            ensure!(stored.first_sequence == next, "the journal continues at {}, expected {next}", stored.first_sequence);
            ensure!(stored.epoch >= self.epoch, "epoch {} wrote after epoch {}", stored.epoch, self.epoch);
            self.epoch = stored.epoch;
            let payload = stored.payload()?;
            ensure!(i64::from(batch::checksum(payload)) == stored.checksum, "batch {next} has another checksum");
            for event in batch::decode(payload)? {
                let mut gathered = Gathered::default();
                self.state.evolve_with(&event, &mut gathered);
                let sequence = self.sequence();
                gathered.orders.iter().for_each(|order| self.reports.changed(sequence, &event, order));
                self.take(gathered)?;
            }
            ensure!(self.sequence() as i64 == stored.last_sequence, "batch {next} does not match its header");
            self.times.push((stored.last_sequence, self.state.now()));
        }
        drop(stream);
        self.is_not_ahead(&mut connection).await
    }

    /// Journal time was never ahead of the database's clock at the time of writing.
    async fn is_not_ahead(&mut self, connection: &mut PgConnection) -> Result<()> {
        let written = "SELECT last_seq, (extract(epoch FROM written_at) * 1000000)::bigint FROM journal WHERE last_seq = ANY($1)";
        let sequences: Vec<i64> = self.times.iter().map(|(sequence, _)| *sequence).collect();
        let written: BTreeMap<i64, Time> =
            sqlx::query_as(written).bind(sequences).fetch_all(connection).await?.into_iter().collect();
        for (sequence, time) in self.times.drain(..) {
            let written = written.get(&sequence).with_context(|| format!("batch {sequence} is no longer in the journal"))?;
            let ahead = time - written;
            ensure!(ahead < AHEAD, "journal time was {ahead} µs ahead of the database's clock at sequence {sequence}");
        }
        Ok(())
    }

    fn take(&mut self, gathered: Gathered) -> Result<()> {
        for order in gathered.orders {
            match self.by_client_id.entry((order.account, order.client_id.as_str().to_owned())) {
                Entry::Vacant(entry) => drop(entry.insert(order.id)),
                Entry::Occupied(entry) if *entry.get() == order.id => {}
                Entry::Occupied(entry) => {
                    bail!("{} was executed twice: as order {} and as order {}", order.client_id.as_str(), entry.get(), order.id)
                }
            }
            self.orders.insert(order.id, order);
        }
        for trade in gathered.trades {
            let number = (trade.market, trade.trade);
            ensure!(self.trades.insert(number, trade).is_none(), "trade {number:?} happened twice");
        }
        Ok(())
    }

    /// One record against the journal.
    pub fn confirm(&mut self, record: &Record) -> Result<()> {
        match record {
            Record::Placed { account, market, order, client_id, price, quantity, fills } => {
                let found = self.orders.get(order).with_context(|| format!("order {order} was acknowledged but is lost"))?;
                let same = found.account == FIRST_ACCOUNT + account
                    && usize::from(found.market) == *market
                    && found.client_id.as_str() == client_id
                    && found.price == *price
                    && found.quantity == *quantity;
                ensure!(same, "order {order} was acknowledged as {record:?} but is {found:?}");
                for fill in fills {
                    let trade = self.trades.get(&(found.market, fill.trade));
                    let trade = trade.with_context(|| format!("{fill:?} of order {order} was acknowledged but is lost"))?;
                    let of_order = trade.buyer_order == *order || trade.seller_order == *order;
                    let same = of_order && trade.price == fill.price && trade.quantity == fill.quantity;
                    ensure!(same, "{fill:?} of order {order} was acknowledged but is {trade:?}");
                }
            }
            Record::Canceled { order, .. } => {
                let status = self.orders.get(order).map(|order| order.status);
                ensure!(status == Some(OrderStatus::Canceled), "order {order} was acknowledged as cancelled but is {status:?}");
            }
            Record::Refused { account, client_id } => {
                let found = self.by_client_id.get(&(FIRST_ACCOUNT + account, client_id.clone()));
                ensure!(found.is_none(), "{client_id} was refused but executed as order {found:?}");
            }
            // The fold has already checked for double execution.
            Record::Unknown { .. } => {}
            Record::Exists { account, client_id } | Record::Listed { account, client_id } => {
                let found = self.by_client_id.contains_key(&(FIRST_ACCOUNT + account, client_id.clone()));
                ensure!(found, "{client_id} was executed according to an answer, and the journal does not have it");
            }
            Record::Traded { market, trade, price, quantity } => {
                let found = self.trades.get(&(u16::try_from(*market)?, *trade));
                let found = found.with_context(|| format!("{record:?} was published but is lost"))?;
                ensure!(found.price == *price && found.quantity == *quantity, "{record:?} was published but is {found:?}");
            }
            Record::Reported { subscription, sequence, order } => self.reports.confirm(*subscription, *sequence, *order)?,
            Record::Violation(text) => bail!("{text}"),
        }
        Ok(())
    }

    /// Every asset sums to zero, and only the custody account has a negative balance.
    pub fn balanced(&self) -> Result<()> {
        for (asset, sum) in self.state.trial_balance() {
            ensure!(sum == 0, "asset {asset} sums to {sum}, not to zero");
        }
        for account in self.state.accounts().filter(|account| account.id != exchange_core::CUSTODY) {
            for (asset, balance) in self.state.balances(account.id) {
                ensure!(balance.free >= 0 && balance.locked >= 0, "account {} owes asset {asset}: {balance:?}", account.id);
            }
        }
        Ok(())
    }
}

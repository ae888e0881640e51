//! This module is one chunk of the journal as rows: the effects of many events, each row once. It must not contain SQL or a
//! decision.

use std::collections::{BTreeMap, BTreeSet};

use exchange_core::{
    AmendmentRecord, Effects, OrderList, PreventedRecord, State, TradeRecord, Transfer,
    event::Event,
    market_data::{Candle, Interval, PublicTrade},
    money::Time,
    order::{AccountId, AssetId, MarketId, Order, OrderId, OrderListId},
};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::db::{
    candles::CandleRow,
    ledger::{BalanceRow, LedgerSpan, TransferRows},
    orders::{self, FirstOrder},
    reference::{Credit, OperatorAction},
    trades::TradeRows,
};

/// The rows of a chunk. Orders, lists and balances are gathered, so that each is written once, however often it changed.
#[derive(Debug, Default)]
pub struct EventChunk {
    /// Events folded in.
    pub events: usize,
    pub orders: FxHashMap<OrderId, TouchedOrder>,
    pub lists: BTreeMap<OrderListId, OrderList>,
    pub amendments: Vec<AmendmentRecord>,
    pub prevented: Vec<PreventedRecord>,
    pub minutes: Vec<FirstOrder>,
    pub trades: TradeRows,
    pub transfers: TransferRows,
    pub credits: Vec<Credit>,
    pub actions: Vec<OperatorAction>,
    pub assets: BTreeSet<AssetId>,
    pub markets: BTreeSet<MarketId>,
    pub accounts: BTreeSet<AccountId>,
    /// The last event set journal time back to this.
    pub time_set_back: Option<Time>,
    /// By minute.
    candles: BTreeMap<(MarketId, Time), Candle>,
    seconds: BTreeMap<(MarketId, Time), Candle>,
    balances: FxHashSet<(AccountId, AssetId)>,
    /// Sequences of each account's first and last transfer.
    spans: FxHashMap<AccountId, (u64, u64)>,
    /// Sequence of the event that is being folded in.
    sequence: u64,
    time: Time,
    line: i16,
    placed: Option<OrderId>,
}

/// An order's current state, and whether its row must still be inserted.
#[derive(Debug)]
pub struct TouchedOrder {
    pub order: Order,
    pub new: bool,
}

impl EventChunk {
    /// Applies `event` to `state` and gathers its effects.
    pub fn fold(&mut self, state: &mut State, event: &Event) {
        if state.sequence() == 0 {
            // The two house accounts exist before the first event.
            self.accounts.extend(state.accounts().map(|account| account.id));
        }
        self.sequence = state.sequence() + 1;
        self.time = match event {
            Event::Clock(time) => *time,
            _ => state.now(),
        };
        self.line = 0;
        self.placed = event.placed().map(|placed| placed.order);
        state.evolve_with(event, self);
        self.events += 1;
        self.note(event);
    }

    /// Events with content beyond their effects.
    fn note(&mut self, event: &Event) {
        if let Some(placed) = event.placed() {
            let minute = orders::minute_of_row(self.time);
            if self.minutes.last().is_none_or(|last| last.minute < minute) {
                self.minutes.push(FirstOrder { minute, order: placed.order, sequence: self.sequence });
            }
        }
        match event {
            Event::TimeSetBack(time) => self.time_set_back = Some(*time),
            Event::AssetCreated { asset, .. } => _ = self.assets.insert(*asset),
            Event::MarketCreated { market, .. } | Event::MarketStatusSet { market, .. } | Event::MarketPaused { market, .. } => {
                self.markets.insert(*market);
            }
            Event::AccountCreated { account, .. } | Event::AccountRightsSet { account, .. } => _ = self.accounts.insert(*account),
            Event::Credited { account, asset, amount, reference } => self.credits.push(Credit {
                sequence: self.sequence,
                time: self.time,
                account: *account,
                asset: *asset,
                amount: *amount,
                reference: reference.clone(),
            }),
            Event::OperatorActed { actor, reason, action } => self.actions.push(OperatorAction {
                sequence: self.sequence,
                time: self.time,
                actor: actor.clone(),
                reason: reason.clone(),
                action: action.clone(),
            }),
            _ => {}
        }
    }

    /// Every candle of every interval that contains the chunk's trades, each with this chunk's contribution.
    pub fn candles(&self) -> impl Iterator<Item = CandleRow> {
        let mut longer: BTreeMap<(MarketId, Interval, Time), Candle> = BTreeMap::new();
        for ((market, minute), candle) in &self.candles {
            for interval in Interval::ALL.iter().filter(|interval| **interval != Interval::Seconds1) {
                let open_time = interval.open(*minute);
                longer
                    .entry((*market, *interval, open_time))
                    .and_modify(|sum| sum.append(candle))
                    .or_insert(Candle { open_time, ..*candle });
            }
        }
        let seconds = self.seconds.iter().map(|((market, _), candle)| (*market, Interval::Seconds1, *candle));
        longer.into_iter().map(|((market, interval, _), candle)| (market, interval, candle)).chain(seconds)
    }

    /// The position of each account's transfers of this chunk in the ledger, by account.
    pub fn spans(&self) -> Vec<LedgerSpan> {
        let mut spans: Vec<_> = self.spans.iter().map(|(account, (first, last))| (*account, *first, *last)).collect();
        spans.sort_unstable();
        spans
    }

    /// The touched balances, from `state`.
    pub fn balances(&self, state: &State) -> Vec<BalanceRow> {
        let mut touched: Vec<_> = self.balances.iter().copied().collect();
        // In key order: neighbours share pages, and two writers cannot lock in opposite order.
        touched.sort_unstable();
        touched.into_iter().map(|(account, asset)| (account, asset, state.balance(account, asset))).collect()
    }
}

impl Effects for EventChunk {
    fn transfer(&mut self, transfer: Transfer) {
        self.transfers.push(self.sequence, self.line, self.time, &transfer);
        self.line += 1;
        for account in [transfer.debit.0, transfer.credit.0] {
            self.balances.insert((account, transfer.asset));
            self.spans.entry(account).or_insert((self.sequence, self.sequence)).1 = self.sequence;
        }
    }

    fn order_changed(&mut self, order: &Order) {
        let placed = self.placed == Some(order.id);
        self.orders
            .entry(order.id)
            .and_modify(|touched| touched.order.clone_from(order))
            .or_insert_with(|| TouchedOrder { order: *order, new: placed });
    }

    fn prevented(&mut self, prevented: &PreventedRecord) {
        self.prevented.push(prevented.clone());
    }

    fn amended(&mut self, amendment: &AmendmentRecord) {
        self.amendments.push(amendment.clone());
    }

    fn list_changed(&mut self, list: &OrderList) {
        self.lists.insert(list.id, list.clone());
    }

    fn traded(&mut self, trade: &TradeRecord) {
        self.trades.push(trade);
        for (interval, candles) in [(Interval::Minutes1, &mut self.candles), (Interval::Seconds1, &mut self.seconds)] {
            let candle = Candle::of(interval, &public(trade));
            candles.entry((trade.market, candle.open_time)).and_modify(|sum| sum.append(&candle)).or_insert(candle);
        }
    }
}

fn public(trade: &TradeRecord) -> PublicTrade {
    PublicTrade {
        trade: trade.trade,
        aggregate: trade.aggregate,
        price: trade.price,
        quantity: trade.quantity,
        quote: trade.quote,
        time: trade.time,
        buyer_is_maker: trade.buyer_is_maker,
    }
}

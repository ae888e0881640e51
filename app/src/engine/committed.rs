//! This module is the source of every read: the fold of committed events.
//!
//! - It must not contain an event that is not durable. The leader folds its own batches here after their commit.
//! - It must not make a decision or use SQL.
//! - The effects of an event are visible only in this fold, so every notification of a change starts here (see `feed`).

use std::sync::Arc;

use exchange_core::rebuild::Rebuild;
use exchange_core::{
    AmendmentRecord, Effects, OrderList, PreventedRecord, State, TradeRecord, Transfer,
    event::Event,
    market_data::{MINUTE, MarketData},
    money::{Quantity, Time},
    order::{AccountId, Order, OrderId},
};
use parking_lot::RwLock;
use tokio::sync::watch;

pub use super::feed::public;
use super::{
    feed::{Feed, Recorder},
    fingerprint::{self, Fingerprints, Window},
    forward::{Completing, Forward},
    order_limits::OrderLimits,
    tail::HistoryTail,
};
use crate::chain::Chain;

/// The committed read model, shared by readers and the one task that folds.
pub type SharedState = Arc<RwLock<Committed>>;

/// Receives the first fill of each order during the fold.
pub trait FirstFills: std::fmt::Debug + Send + Sync {
    fn first_fill(&self, account: AccountId, as_maker: bool);
}

/// State, market data and the history that is not in the tables yet, all at one sequence.
#[derive(Debug)]
pub struct Committed {
    pub state: State,
    pub market_data: MarketData,
    pub tail: HistoryTail,
    /// Market data already contains events up to here: it was loaded from tables.
    loaded_through: u64,
    /// Market data lacks the trades between the tables and its initial state.
    gap: bool,
    first_fills: Option<Arc<dyn FirstFills>>,
    /// The changes that streams publish.
    feed: Arc<Feed>,
    /// Commands of this replica that wait for their events.
    forward: Option<Arc<Forward>>,
    /// Sequence of the state, after each batch.
    progress: watch::Sender<u64>,
    /// `None`: the state came from a snapshot of unknown history.
    history: Option<HistoryView>,
    /// Captures the state at each turn of a minute; off during a recovery, which replays many.
    comparing: bool,
    checkpoint: Option<(State, Option<HistoryView>)>,
    /// Hash of the current window, for the comparison with other replicas.
    window: Window,
    fingerprints: Arc<Fingerprints>,
}

/// The identity of the history at the committed state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryView {
    /// The chain after the last batch.
    pub chain: Chain,
    /// First sequence of the last batch, and the chain before it; `None`: no batch has been folded yet.
    pub last: Option<(i64, Chain)>,
}

impl HistoryView {
    /// Before the first batch that is folded.
    pub const fn at(chain: Chain) -> Self {
        Self { chain, last: None }
    }

    /// After the next batch.
    #[must_use]
    pub fn next(&self, first_sequence: i64, last_sequence: i64, epoch: i64, payload: &[u8]) -> Self {
        let chain = self.chain.next(first_sequence, last_sequence, epoch, payload);
        Self { chain, last: Some((first_sequence, self.chain)) }
    }
}

impl Committed {
    /// Starts from a state (of a snapshot, or empty) and market data as of event `projected_seq` of the tables.
    ///
    /// The next events to fold are those after `state.sequence()`. A state ahead of the tables (during a rebuild) leaves a gap in
    /// market data until [`Self::reload_market_data`].
    pub fn new(state: State, market_data: MarketData, projected_seq: u64) -> Self {
        let gap = state.sequence() > projected_seq;
        let tail = HistoryTail::from(projected_seq.max(state.sequence()));
        let progress = watch::Sender::new(state.sequence());
        Self {
            state,
            market_data,
            tail,
            loaded_through: projected_seq,
            gap,
            first_fills: None,
            feed: Arc::default(),
            forward: None,
            progress,
            history: None,
            comparing: false,
            checkpoint: None,
            window: Window::default(),
            fingerprints: Arc::default(),
        }
    }

    /// As [`Self::new`], replacing the current content; watchers remain subscribed.
    pub fn restart(&mut self, state: State, market_data: MarketData, projected_seq: u64) {
        let (first_fills, feed, forward) = (self.first_fills.take(), Arc::clone(&self.feed), self.forward.take());
        // Before the first recovery there was no market, so no subscription has missed an event.
        let had_events = self.state.sequence() > 0;
        forward.iter().for_each(|forward| forward.restart());
        let progress = std::mem::take(&mut self.progress);
        progress.send_replace(state.sequence());
        let fingerprints = Arc::clone(&self.fingerprints);
        fingerprints.resolved();
        *self = Self { first_fills, feed, forward, progress, fingerprints, ..Self::new(state, market_data, projected_seq) };
        if had_events {
            self.feed.lose();
        }
    }

    /// Replaces the content by one that was rebuilt from the journal, at the same or a later sequence; watchers remain subscribed.
    pub(super) fn adopt(&mut self, rebuilt: Self) {
        let (first_fills, feed, forward) = (self.first_fills.take(), Arc::clone(&self.feed), self.forward.take());
        forward.iter().for_each(|forward| forward.restart());
        let (progress, fingerprints) = (std::mem::take(&mut self.progress), Arc::clone(&self.fingerprints));
        fingerprints.resolved();
        *self = Self { first_fills, feed, forward, progress, fingerprints, comparing: self.comparing, ..rebuilt };
        self.progress.send_replace(self.state.sequence());
        self.feed.lose();
    }

    /// The comparison of this state with that of the other replicas.
    pub(super) const fn fingerprints(&self) -> &Arc<Fingerprints> {
        &self.fingerprints
    }

    /// History of the journal up to the state's sequence.
    pub const fn history(&self) -> Option<HistoryView> {
        self.history
    }

    /// Sets the history before anything is applied.
    pub const fn begin_history(&mut self, history: Option<HistoryView>) {
        self.history = history;
    }

    /// Applies one committed batch and records `history` as the journal's identity after it. Captures the state at each turn of a
    /// minute. Every process captures at the same sequence, so the comparison needs no coordination.
    pub fn apply_batch(&mut self, events: &[Event], history: Option<HistoryView>) {
        let (before, window) = (minute(self.state.now()), fingerprint::window(self.state.now()));
        self.apply(events);
        self.history = history;
        self.progress.send_replace(self.state.sequence());
        if self.comparing && minute(self.state.now()) != before {
            self.checkpoint = Some((self.state.clone(), history));
        }
        if self.comparing
            && fingerprint::window(self.state.now()) != window
            && let Some(fingerprint) = self.window.turn(&self.state)
        {
            self.fingerprints.ours(fingerprint);
        }
    }

    /// Starts capturing states for the comparison.
    pub fn begin_comparing(&mut self) {
        self.comparing = true;
        self.window.skip();
    }

    /// The changes that streams publish.
    pub const fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// Whether the state has reached the journal's end since its last start.
    pub const fn is_current(&self) -> bool {
        self.comparing
    }

    /// Takes the last captured state.
    pub const fn take_checkpoint(&mut self) -> Option<(State, Option<HistoryView>)> {
        self.checkpoint.take()
    }

    /// Sends every later first fill to `watcher`.
    pub fn watch_first_fills(&mut self, watcher: Arc<dyn FirstFills>) {
        self.first_fills = Some(watcher);
    }

    /// Completes this replica's forwarded commands from the folded events.
    pub(super) fn complete_forwarded(&mut self, forward: Arc<Forward>) {
        self.forward = Some(forward);
    }

    /// The sequence after each batch, for readers that wait for one.
    pub fn progress(&self) -> watch::Receiver<u64> {
        self.progress.subscribe()
    }

    /// Folds one committed batch.
    pub fn apply(&mut self, events: &[Event]) {
        let feed = Arc::clone(&self.feed);
        let mut recorder = feed.record(&self.state);
        match self.forward.as_ref().and_then(|forward| forward.completing(events)) {
            Some(completing) => self.fold_completing(events, completing, recorder.as_mut()),
            None => events.iter().for_each(|event| self.fold(event, None, recorder.as_mut())),
        }
        self.market_data.advance(self.state.now());
        if let Some(recorder) = recorder {
            recorder.end(&self.state);
        }
    }

    fn fold(&mut self, event: &Event, mut rebuild: Option<&mut Rebuild<'_>>, mut recorder: Option<&mut Recorder<'_>>) {
        if let Some(rebuild) = &mut rebuild {
            rebuild.before(&self.state, event);
        }
        let sequence = self.state.sequence() + 1;
        if sequence <= self.loaded_through {
            self.window.skip();
            match rebuild {
                Some(rebuild) => self.state.evolve_with(event, rebuild),
                None => self.state.evolve(event),
            }
            return;
        }
        if let Event::TimeSetBack(time) = event {
            self.market_data.set_back(*time);
        }
        if let Some(recorder) = &mut recorder {
            recorder.before(&self.state, event);
        }
        let first_fills = self.first_fills.as_deref();
        let (market_data, tail) = (&mut self.market_data, &mut self.tail);
        let window = self.comparing.then_some(&mut self.window);
        let recorded = recorder.as_deref_mut();
        let mut fold = Fold { sequence, market_data, tail, first_fills, rebuild, window, trade: None, recorder: recorded };
        self.state.evolve_with(event, &mut fold);
        if let Some(recorder) = recorder {
            recorder.after(&self.state, event);
        }
    }

    /// As [`Self::fold`] for a batch with commands of this replica.
    #[cold]
    fn fold_completing(&mut self, events: &[Event], mut completing: Completing<'_>, mut recorder: Option<&mut Recorder<'_>>) {
        let mut index = 0;
        while index < events.len() {
            let Some(span) = completing.next_at(index) else {
                self.fold(&events[index], None, recorder.as_deref_mut());
                index += 1;
                continue;
            };
            let unfilled = OrderLimits::counted(&self.state, &span.command, self.state.now());
            let mut rebuild = Rebuild::new(&span.command);
            for event in &events[index..span.marker] {
                self.fold(event, Some(&mut rebuild), recorder.as_deref_mut());
            }
            let outcome = rebuild.finish(&self.state, span.executed);
            self.fold(&events[span.marker], None, recorder.as_deref_mut());
            index = span.marker + 1;
            span.complete(outcome, unfilled, &self.state);
        }
    }

    /// Whether market data lacks trades; see [`Self::new`].
    pub const fn has_market_data_gap(&self) -> bool {
        self.gap
    }

    /// Replaces market data that has a gap by data loaded at event `projected_seq`, and folds the tail's later trades. Returns
    /// false and changes nothing if the tail does not reach back to it.
    pub fn reload_market_data(&mut self, market_data: MarketData, projected_seq: u64) -> bool {
        if projected_seq < self.tail.floor() {
            return false;
        }
        self.market_data = market_data;
        self.loaded_through = projected_seq;
        self.gap = false;
        for market in 0..self.state.markets().len() {
            let Ok(market) = market.try_into() else { continue };
            for trade in self.tail.trades(market, projected_seq) {
                self.market_data.record(market, &public(trade));
            }
        }
        self.market_data.advance(self.state.now());
        true
    }
}

/// The minute of journal time at whose turn states are compared.
pub const fn minute(time: Time) -> Time {
    time.div_euclid(MINUTE)
}

/// Receives the effects of one event.
struct Fold<'a, 'f, 'c> {
    sequence: u64,
    market_data: &'a mut MarketData,
    tail: &'a mut HistoryTail,
    first_fills: Option<&'a dyn FirstFills>,
    rebuild: Option<&'a mut Rebuild<'c>>,
    window: Option<&'a mut Window>,
    /// The event's trade: its quantity, and its maker.
    trade: Option<(Quantity, OrderId)>,
    recorder: Option<&'a mut Recorder<'f>>,
}

impl Effects for Fold<'_, '_, '_> {
    fn transfer(&mut self, transfer: Transfer) {
        if let Some(window) = &mut self.window {
            window.transfer(&transfer);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.transfer(&transfer);
        }
    }

    fn order_changed(&mut self, order: &Order) {
        if let Some(window) = &mut self.window {
            window.order_changed(order);
        }
        if let Some(rebuild) = &mut self.rebuild {
            rebuild.order_changed(order);
        }
        // Reported after the trade: an order whose only execution is this trade had its first fill.
        if let (Some((quantity, maker)), Some(watcher)) = (self.trade, self.first_fills)
            && order.executed == quantity
        {
            watcher.first_fill(order.account, order.id == maker);
        }
        if !order.status.is_open() {
            self.tail.push_order(self.sequence, order);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.order_changed(order);
        }
    }

    fn prevented(&mut self, prevented: &PreventedRecord) {
        if let Some(rebuild) = &mut self.rebuild {
            rebuild.prevented(prevented);
        }
        self.tail.push_prevented(prevented);
    }

    fn amended(&mut self, amendment: &AmendmentRecord) {
        if let Some(rebuild) = &mut self.rebuild {
            rebuild.amended(amendment);
        }
        self.tail.push_amendment(amendment);
        if let Some(recorder) = &mut self.recorder {
            recorder.amended(amendment);
        }
    }

    fn list_changed(&mut self, list: &OrderList) {
        if let Some(window) = &mut self.window {
            window.list_changed(list);
        }
        if list.done {
            self.tail.push_list(self.sequence, list);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.list_changed(list);
        }
    }

    fn traded(&mut self, trade: &TradeRecord) {
        if let Some(window) = &mut self.window {
            window.traded(trade);
        }
        if let Some(rebuild) = &mut self.rebuild {
            rebuild.traded(trade);
        }
        let maker = if trade.buyer_is_maker { trade.buyer_order } else { trade.seller_order };
        self.trade = Some((trade.quantity, maker));
        self.market_data.record(trade.market, &public(trade));
        self.tail.push_trade(self.sequence, trade);
        if let Some(recorder) = &mut self.recorder {
            recorder.traded(trade);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use exchange_core::command::{AdminAction, Command, NewOrder, Operator};
    use exchange_core::market::{Commission, Filters};
    use exchange_core::market_data::{CandleRange, Interval};
    use exchange_core::money::SCALE;
    use exchange_core::order::{ClientId, OrderType, Side, StpMode, TimeInForce};

    /// A market on which account 2 sells to account 3, `trades` times, 20 seconds apart.
    fn journal(trades: i64) -> Vec<Event> {
        let (mut state, mut events, mut now) = (State::new(), Vec::new(), 1_700_000_000_000_000);
        let mut decide = |command: Command| {
            now += MINUTE / 6;
            state.decide(&command, now, &mut events).unwrap();
        };
        let operator = Operator { actor: "test".into(), reason: "test".into() };
        let admin = |action| Command::Admin { operator: operator.clone(), action };
        for code in ["BTC", "USDT"] {
            decide(admin(AdminAction::CreateAsset { code: code.into() }));
        }
        let (filters, commission) = (Filters::default(), Commission { maker: 100_000, taker: 200_000 });
        decide(admin(AdminAction::CreateMarket { symbol: "BTCUSDT".into(), base: 0, quote: 1, filters, commission }));
        for (account, asset) in [(2, 0), (3, 1)] {
            decide(admin(AdminAction::CreateAccount { reference: account.to_string().into() }));
            let amount = 1_000_000 * i128::from(SCALE);
            decide(admin(AdminAction::Credit { account, asset, amount, reference: format!("to {account}").into() }));
        }
        for number in 0..trades {
            for (account, side) in [(2, Side::Sell), (3, Side::Buy)] {
                decide(Command::Place(NewOrder {
                    account,
                    market: 0,
                    side,
                    kind: OrderType::Limit,
                    time_in_force: TimeInForce::Gtc,
                    stp: StpMode::None,
                    price: (100 + number % 7) * SCALE,
                    stop_price: 0,
                    quantity: SCALE,
                    quote_order_quantity: 0,
                    iceberg: 0,
                    trailing_delta: 0,
                    client_id: ClientId::new(&format!("{side}{number}")).unwrap(),
                }));
            }
        }
        events
    }

    fn after(events: &[Event]) -> State {
        let mut state = State::new();
        events.iter().for_each(|event| state.evolve(event));
        state
    }

    fn folded(events: &[Event]) -> Committed {
        let mut committed = Committed::new(State::new(), MarketData::new(), 0);
        committed.apply(events);
        committed
    }

    fn assert_same(one: &Committed, other: &Committed) {
        assert_eq!(one.state.hash(), other.state.hash());
        assert_eq!(one.market_data.statistics(0), other.market_data.statistics(0));
        let range = CandleRange { start: None, end: None, limit: 1000 };
        assert_eq!(
            one.market_data.candles(0, Interval::Minutes1, &range),
            other.market_data.candles(0, Interval::Minutes1, &range)
        );
        let trades = |committed: &Committed| committed.market_data.market(0).map(|market| market.trades().clone());
        assert_eq!(trades(one), trades(other));
    }

    #[test]
    fn what_the_tables_hold_is_folded_once() {
        let events = journal(40);
        let whole = folded(&events);
        assert_eq!(whole.tail.trades(0, 0).count(), 40);
        assert_eq!(whole.tail.orders(2, 0, 0).count(), 40);
        // A snapshot at 30, tables at 90: events up to 90 change only the state.
        let loaded = folded(&events[..90]).market_data;
        let mut committed = Committed::new(after(&events[..30]), loaded, 90);
        committed.apply(&events[30..70]);
        committed.apply(&events[70..]);
        assert!(!committed.has_market_data_gap());
        assert_same(&committed, &whole);
        assert_eq!(committed.tail.floor(), 90);
        assert!(committed.tail.trades(0, 0).eq(whole.tail.trades(0, 90)));
        assert!(committed.tail.orders(2, 0, 0).eq(whole.tail.orders(2, 0, 90)));
    }

    #[test]
    fn a_state_ahead_of_the_tables_is_mended_when_they_have_caught_up() {
        let events = journal(40);
        let whole = folded(&events);
        let mut committed = Committed::new(after(&events[..100]), folded(&events[..60]).market_data, 60);
        committed.apply(&events[100..]);
        assert!(committed.has_market_data_gap());
        assert!(!committed.reload_market_data(folded(&events[..90]).market_data, 90), "the tail starts at 100");
        assert!(committed.has_market_data_gap());
        assert!(committed.reload_market_data(folded(&events[..120]).market_data, 120));
        assert!(!committed.has_market_data_gap());
        assert_same(&committed, &whole);
    }
}

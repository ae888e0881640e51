//! This module is the one task that publishes: it reads committed changes, serializes each event once, and hands it to the queues of
//! its subscribers. It must not wait for a subscriber.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use exchange_core::{
    market_data::{AggregateTrade, Candle, CandleRange, PublicTrade, Statistics, ZonedInterval},
    money::{Amount, Price, Time},
    order::{MarketId, Side},
};
use futures::FutureExt;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use tokio::time::MissedTickBehavior;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{
    AccountForm, Hub, Inner, Stream, account, combined,
    market::{self, DepthUpdate, PriceLevel},
    name::{Class, Topic},
    outlet::OutletEnd,
    schedule, text,
};
use crate::{
    engine::{
        committed::Committed,
        feed::{AccountEvent, Changes, LevelKey, Speed},
    },
    json::{Json, TimeUnit},
};

/// Candles that may close between two events. More close only after a jump of journal time.
const CLOSED_MAX: usize = 100;
/// Events of one kind at one moment.
const EVENT_SIZE: usize = 320;

/// What the last event of a stream had.
#[derive(Debug, Default)]
pub enum LastEvent {
    #[default]
    Nothing,
    /// The last update id.
    Sequence(u64),
    Best([PriceLevel; 2]),
    Candle(Candle),
    /// By market: statistics and best prices, without the window's times.
    Tickers(Vec<Option<Ticker>>),
}

/// The content of a 24-hour ticker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticker {
    statistics: Statistics,
    best: [PriceLevel; 2],
}

impl Ticker {
    fn of(committed: &Committed, market: MarketId) -> Self {
        Self { statistics: committed.market_data.statistics(market), best: best(committed, market) }
    }

    /// Whether an event would be the same apart from its times. Mini tickers have no best prices.
    fn equals(&self, other: &Self, mini: bool) -> bool {
        let (open_time, close_time) = (self.statistics.open_time, self.statistics.close_time);
        let timed = Statistics { open_time, close_time, ..other.statistics };
        self.statistics == timed && (mini || self.best == other.best)
    }
}

/// A stream without subscribers yet. Called under the committed state's read lock.
pub(super) fn begin(topic: Topic, committed: &Committed) -> Stream {
    let memory = match topic {
        // The first event starts after everything that is committed now.
        Topic::Depth(market, _) => LastEvent::Sequence(committed.state.market_sequence(market)),
        _ => LastEvent::Nothing,
    };
    Stream { memory, ..Stream::default() }
}

/// Publishes without end. A panic ends every subscription, since its events are lost.
pub async fn publish_streams(hub: Hub) {
    loop {
        // The panic hook has logged it.
        let _ = AssertUnwindSafe(run(&hub)).catch_unwind().await;
        hub.end_all(OutletEnd::Lost);
    }
}

async fn run(hub: &Hub) {
    let feed = Arc::clone(hub.shared.committed.read().feed());
    let mut publisher = Publisher { hub, symbols: Vec::new(), assets: Vec::new(), levels: Vec::new() };
    let mut ticks = tokio::time::interval(Duration::from_millis(1000 / schedule::TICKS_PER_SECOND));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tick = 0;
    loop {
        let is_tick = tokio::select! {
            () = feed.changed() => false,
            _ = ticks.tick() => true,
        };
        let changes = feed.take();
        if changes.lost {
            hub.end_all(OutletEnd::Lost);
            continue;
        }
        publisher.live(&changes);
        if is_tick {
            tick += 1;
            schedule::due(tick).for_each(|class| publisher.periodic(class));
        }
    }
}

/// The content of one event.
enum Payload {
    Trade(PublicTrade),
    Aggregate(AggregateTrade),
    Best { sequence: u64, best: [PriceLevel; 2] },
    Depth { first: u64, last: u64, bids: Vec<PriceLevel>, asks: Vec<PriceLevel> },
    Partial { sequence: u64, bids: Vec<PriceLevel>, asks: Vec<PriceLevel> },
    Candle { candle: Candle, closed: bool },
    Mini(Ticker),
    Full(Ticker),
    Minis(Vec<(MarketId, Ticker)>),
    Fulls(Vec<(MarketId, Ticker)>),
    Average { minutes: u32, price: Price, time: Time },
}

type Payloads = SmallVec<[Payload; 1]>;

struct Publisher<'h> {
    hub: &'h Hub,
    /// By market and by asset: a name never changes.
    symbols: Vec<Box<str>>,
    assets: Vec<Box<str>>,
    levels: Vec<LevelKey>,
}

impl account::MarketNames for Publisher<'_> {
    fn asset(&self, asset: u16) -> &str {
        self.assets.get(usize::from(asset)).map_or("", |code| code)
    }

    fn symbol(&self, market: MarketId) -> &str {
        self.symbols.get(usize::from(market)).map_or("", |symbol| symbol)
    }
}

impl Publisher<'_> {
    /// Publishes the trades, best prices and account changes of committed batches.
    fn live(&mut self, changes: &Changes) {
        let hub = self.hub;
        let mut inner = hub.shared.inner.lock();
        if inner.streams[Class::Live as usize].is_empty() && changes.accounts.is_empty() {
            return;
        }
        let (now, best) = {
            let committed = hub.shared.committed.read();
            self.learn_names(&committed);
            (committed.state.now(), changed_best(&mut inner, &committed))
        };
        let streams = &inner.streams[Class::Live as usize];
        for (market, trade) in &changes.trades {
            if let Some(stream) = streams.get(&Topic::Trade(*market)) {
                self.observe_lag(trade.time);
                self.send(stream, Topic::Trade(*market), now, &Payload::Trade(*trade));
            }
        }
        for (market, aggregate) in aggregates(&changes.trades) {
            if let Some(stream) = streams.get(&Topic::AggregateTrade(market)) {
                self.send(stream, Topic::AggregateTrade(market), now, &Payload::Aggregate(aggregate));
            }
        }
        for (topic, payload) in &best {
            if let Some(stream) = streams.get(topic) {
                self.send(stream, *topic, now, payload);
            }
        }
        for event in &changes.accounts {
            self.send_account(&inner, event);
        }
    }

    /// Publishes the streams of one period.
    fn periodic(&mut self, class: Class) {
        let hub = self.hub;
        let mut inner = hub.shared.inner.lock();
        let streams = &mut inner.streams[class as usize];
        if streams.is_empty() {
            return;
        }
        let (now, payloads) = {
            let committed = hub.shared.committed.read();
            self.learn_names(&committed);
            let mut payloads: Vec<(Topic, Payloads)> = Vec::new();
            for (topic, stream) in streams.iter_mut() {
                let found = self.read(*topic, stream, &committed);
                if !found.is_empty() {
                    payloads.push((*topic, found));
                }
                stream.joined = false;
            }
            (committed.state.now(), payloads)
        };
        for (topic, payloads) in &payloads {
            if let Some(stream) = inner.streams[class as usize].get(topic) {
                payloads.iter().for_each(|payload| self.send(stream, *topic, now, payload));
            }
        }
    }

    fn learn_names(&mut self, committed: &Committed) {
        let state = &committed.state;
        self.symbols.extend(state.markets().skip(self.symbols.len()).map(|market| market.symbol.clone()));
        self.assets.extend(state.assets().iter().skip(self.assets.len()).map(|asset| asset.code.clone()));
    }

    /// The events of a periodic stream since the last time.
    fn read(&mut self, topic: Topic, stream: &mut Stream, committed: &Committed) -> Payloads {
        match topic {
            Topic::Depth(market, speed) => self.depth(market, speed, stream, committed).into_iter().collect(),
            Topic::PartialDepth(market, levels, _) => {
                let sequence = committed.state.market_sequence(market);
                if !stream.joined && matches!(stream.memory, LastEvent::Sequence(last) if last == sequence) {
                    return Payloads::new();
                }
                stream.memory = LastEvent::Sequence(sequence);
                let depth = committed.state.depth(market, levels.into());
                [Payload::Partial { sequence, bids: depth.bids, asks: depth.asks }].into_iter().collect()
            }
            Topic::Candle(market, interval) => candles(market, interval, stream, committed),
            Topic::MiniTicker(market) => {
                tickers(&[market], true, stream, committed).into_iter().map(|(_, ticker)| Payload::Mini(ticker)).collect()
            }
            Topic::Ticker(market) => {
                tickers(&[market], false, stream, committed).into_iter().map(|(_, ticker)| Payload::Full(ticker)).collect()
            }
            Topic::MiniTickers | Topic::Tickers => {
                let mini = topic == Topic::MiniTickers;
                let markets: Vec<MarketId> = committed.state.markets().map(|market| market.id).collect();
                let changed = tickers(&markets, mini, stream, committed);
                if changed.is_empty() {
                    return Payloads::new();
                }
                [if mini { Payload::Minis(changed) } else { Payload::Fulls(changed) }].into_iter().collect()
            }
            Topic::AveragePrice(market) => average(market, stream, committed).into_iter().collect(),
            Topic::Trade(_) | Topic::AggregateTrade(_) | Topic::BookTicker(_) => Payloads::new(),
        }
    }

    fn depth(&mut self, market: MarketId, speed: Speed, stream: &mut Stream, committed: &Committed) -> Option<Payload> {
        let LastEvent::Sequence(before) = stream.memory else { return None };
        committed.feed().take_levels(market, speed, &mut self.levels);
        if self.levels.is_empty() {
            return None;
        }
        let last = committed.state.market_sequence(market);
        stream.memory = LastEvent::Sequence(last);
        self.levels.sort_unstable();
        let of = |side: Side| {
            let levels = self.levels.iter().filter(move |(of, _)| *of == side);
            levels.map(|(side, price)| (*price, committed.state.level(market, *side, *price)))
        };
        // Best first, as in a snapshot.
        Some(Payload::Depth { first: before + 1, last, bids: of(Side::Buy).rev().collect(), asks: of(Side::Sell).collect() })
    }

    fn observe_lag(&self, time: Time) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_micros();
        let lag = now.saturating_sub(u128::try_from(time).unwrap_or_default());
        self.hub.shared.metrics.lag.observe(lag as f64 / 1e6);
    }

    /// Serializes an event once per form and hands it to every subscriber.
    fn send(&self, stream: &Stream, topic: Topic, now: Time, payload: &Payload) {
        let mut plain: [Option<Utf8Bytes>; 2] = [None, None];
        let mut wrapped: SmallVec<[(Arc<str>, TimeUnit, Utf8Bytes); 2]> = SmallVec::new();
        let pushed = Instant::now();
        for subscriber in &stream.subscribers {
            let unit = subscriber.outlet.unit;
            let data = plain[unit as usize].get_or_insert_with(|| {
                let mut json = Json::with_capacity(EVENT_SIZE);
                self.write(&mut json, unit, topic, now, payload);
                text(json.into_bytes())
            });
            let message = if subscriber.outlet.is_combined() {
                let known = wrapped.iter().find(|(name, of, _)| *of == unit && *name == subscriber.name);
                match known {
                    Some((.., message)) => message.clone(),
                    None => {
                        let message = combined(&subscriber.name, data.as_bytes());
                        wrapped.push((Arc::clone(&subscriber.name), unit, message.clone()));
                        message
                    }
                }
            } else {
                data.clone()
            };
            subscriber.outlet.push(message, pushed);
        }
        let metrics = &self.hub.shared.metrics;
        metrics.events.with_label_values(&["market"]).inc();
        metrics.messages.with_label_values(&["market"]).inc_by(stream.subscribers.len() as u64);
    }

    fn send_account(&self, inner: &Inner, event: &AccountEvent) {
        let Some(subscribers) = inner.accounts.get(&event.account) else { return };
        self.observe_lag(event.time);
        let mut plain: [Option<Utf8Bytes>; 2] = [None, None];
        let pushed = Instant::now();
        let mut sent = 0;
        for subscriber in subscribers.iter().filter(|subscriber| event.sequence > subscriber.from) {
            let unit = subscriber.outlet.unit;
            let data = plain[unit as usize].get_or_insert_with(|| {
                let mut json = Json::with_capacity(2 * EVENT_SIZE);
                account::event(&mut json, unit, self, event);
                text(json.into_bytes())
            });
            let message = match &subscriber.form {
                AccountForm::Subscription(id) => text(account::for_subscription(*id, data.as_bytes())),
                AccountForm::ListenKey(key) if subscriber.outlet.is_combined() => combined(key, data.as_bytes()),
                AccountForm::ListenKey(_) => data.clone(),
            };
            subscriber.outlet.push(message, pushed);
            sent += 1;
        }
        let metrics = &self.hub.shared.metrics;
        metrics.events.with_label_values(&["account"]).inc();
        metrics.messages.with_label_values(&["account"]).inc_by(sent);
    }

    fn write(&self, json: &mut Json, unit: TimeUnit, topic: Topic, now: Time, payload: &Payload) {
        use account::MarketNames;
        let symbol = topic.market().map_or("", |market| self.symbol(market));
        match payload {
            Payload::Trade(trade) => market::trade(json, unit, now, symbol, trade),
            Payload::Aggregate(aggregate) => market::aggregate_trade(json, unit, now, symbol, aggregate),
            Payload::Best { sequence, best: [bid, ask] } => market::book_ticker(json, symbol, *sequence, *bid, *ask),
            Payload::Depth { first, last, bids, asks } => {
                market::depth_update(json, unit, &DepthUpdate { symbol, now, first: *first, last: *last, bids, asks });
            }
            Payload::Partial { sequence, bids, asks } => market::partial_depth(json, *sequence, bids, asks),
            Payload::Candle { candle, closed } => {
                if let Topic::Candle(_, interval) = topic {
                    market::candle(json, unit, now, symbol, interval, candle, *closed);
                }
            }
            Payload::Mini(ticker) => market::mini_ticker(json, unit, now, symbol, &ticker.statistics),
            Payload::Full(ticker) => full(json, unit, now, symbol, ticker),
            Payload::Minis(tickers) => json.array(tickers, |json, (market, ticker)| {
                market::mini_ticker(json, unit, now, self.symbol(*market), &ticker.statistics);
            }),
            Payload::Fulls(tickers) => {
                json.array(tickers, |json, (market, ticker)| full(json, unit, now, self.symbol(*market), ticker));
            }
            Payload::Average { minutes, price, time } => {
                market::average_price(json, unit, now, symbol, *minutes, *price, *time);
            }
        }
    }
}

fn full(json: &mut Json, unit: TimeUnit, now: Time, symbol: &str, ticker: &Ticker) {
    market::ticker(json, unit, now, symbol, &ticker.statistics, ticker.best[0], ticker.best[1]);
}

fn best(committed: &Committed, market: MarketId) -> [PriceLevel; 2] {
    let of = |side| committed.state.best(market, side).unwrap_or_default();
    [of(Side::Buy), of(Side::Sell)]
}

/// Book tickers whose best prices differ from the last event.
fn changed_best(inner: &mut Inner, committed: &Committed) -> Vec<(Topic, Payload)> {
    let mut changed = Vec::new();
    for (topic, stream) in &mut inner.streams[Class::Live as usize] {
        let Topic::BookTicker(market) = *topic else { continue };
        let best = best(committed, market);
        if !stream.joined && matches!(stream.memory, LastEvent::Best(last) if last == best) {
            continue;
        }
        stream.joined = false;
        stream.memory = LastEvent::Best(best);
        changed.push((*topic, Payload::Best { sequence: committed.state.market_sequence(market), best }));
    }
    changed
}

/// Consecutive trades of one taker order at one price, as one trade.
fn aggregates(trades: &[(MarketId, PublicTrade)]) -> Vec<(MarketId, AggregateTrade)> {
    let mut found: Vec<(MarketId, AggregateTrade)> = Vec::new();
    let mut last: FxHashMap<MarketId, usize> = FxHashMap::default();
    for (market, trade) in trades {
        if let Some(index) = last.get(market)
            && found[*index].1.append(trade)
        {
            continue;
        }
        last.insert(*market, found.len());
        found.push((*market, AggregateTrade::of(trade)));
    }
    found
}

/// The current candle if it changed, after those that closed since the last event.
fn candles(market: MarketId, interval: ZonedInterval, stream: &mut Stream, committed: &Committed) -> Payloads {
    let read = |start: Option<Time>, end, limit| {
        committed.market_data.zoned_candles(market, interval, &CandleRange { start, end, limit })
    };
    let mut payloads = Payloads::new();
    let Some(current) = read(None, None, 1).and_then(|rows| rows.last().copied()) else { return payloads };
    let before = if let LastEvent::Candle(before) = &stream.memory { Some(*before) } else { None };
    let mut changed = stream.joined || before.is_none();
    if let Some(before) = before {
        if before.open_time < current.open_time {
            let closed = read(Some(before.open_time), Some(current.open_time - 1), CLOSED_MAX);
            let closed = closed.filter(|rows| !rows.is_empty()).unwrap_or_else(|| vec![before]);
            payloads.extend(closed.into_iter().map(|candle| Payload::Candle { candle, closed: true }));
            changed |= current.trades > 0;
        } else {
            changed |= before != current;
        }
    }
    if changed {
        payloads.push(Payload::Candle { candle: current, closed: false });
    }
    stream.memory = LastEvent::Candle(current);
    payloads
}

/// The tickers that changed since the last event; all of them for somebody who joined.
fn tickers(markets: &[MarketId], mini: bool, stream: &mut Stream, committed: &Committed) -> Vec<(MarketId, Ticker)> {
    let mut last = match std::mem::take(&mut stream.memory) {
        LastEvent::Tickers(last) => last,
        _ => Vec::new(),
    };
    last.resize(markets.len().max(last.len()), None);
    let mut changed = Vec::new();
    for (index, market) in markets.iter().enumerate() {
        let ticker = Ticker::of(committed, *market);
        if stream.joined || last[index].as_ref().is_none_or(|last| !ticker.equals(last, mini)) {
            last[index] = Some(ticker.clone());
            changed.push((*market, ticker));
        }
    }
    stream.memory = LastEvent::Tickers(last);
    changed
}

fn average(market: MarketId, stream: &mut Stream, committed: &Committed) -> Option<Payload> {
    let last = committed.market_data.market(market).and_then(|history| history.trades().back())?;
    let price = committed.state.average_price(market)?;
    let sample = [(price, Amount::from(last.time)), (0, 0)];
    if !stream.joined && matches!(stream.memory, LastEvent::Best(before) if before == sample) {
        return None;
    }
    stream.memory = LastEvent::Best(sample);
    let minutes = committed.state.market(market).map_or(0, |market| market.filters.average_minutes.into());
    Some(Payload::Average { minutes, price, time: last.time })
}

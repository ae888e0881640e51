//! This module is the hub of streams: who subscribes to what, and one task that publishes the committed changes to them.
//!
//! - Each event is serialized once per time unit, and wrapped once per name and form, for all its subscribers.
//! - It must not wait for a client: a connection has a bounded queue ([`outlet`]).
//! - It publishes committed changes only, so streams work on every server that follows the journal.
//! - Locks are taken in this order: hub, committed state (briefly: the fold waits for it), feed, outlet.

pub mod account;
pub mod market;
pub mod name;
pub mod outlet;
mod publisher;
mod schedule;

use std::{sync::Arc, time::Instant};

use exchange_core::order::AccountId;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::{engine::committed::SharedState, json::Json, metrics::StreamMetrics};
use name::{CLASSES, Class, NotAStream, Topic};
use outlet::{Outlet, OutletEnd};
use publisher::LastEvent;

pub use publisher::publish_streams;

/// One subscription of a connection to a market stream.
#[derive(Debug, Clone)]
struct Subscriber {
    outlet: Arc<Outlet>,
    /// As the client wrote it.
    name: Arc<str>,
}

/// A stream with at least one subscriber.
#[derive(Debug, Default)]
struct Stream {
    /// By outlet and name: a client may use two names of one stream.
    subscribers: Vec<Subscriber>,
    /// What the last event had.
    memory: LastEvent,
    /// Somebody joined since the last event: streams of a state repeat it then.
    joined: bool,
}

/// A subscription to an account.
#[derive(Debug, Clone)]
struct AccountSubscriber {
    outlet: Arc<Outlet>,
    form: AccountForm,
    /// Committed sequence at the start: only later events are sent.
    from: u64,
}

/// How the events of an account are wrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountForm {
    /// Of the WebSocket API.
    Subscription(u16),
    /// Of the market streams' connections, by its listen key.
    ListenKey(Arc<str>),
}

#[derive(Debug, Default)]
struct Inner {
    /// By [`Class`].
    streams: [FxHashMap<Topic, Stream>; CLASSES],
    accounts: FxHashMap<AccountId, Vec<AccountSubscriber>>,
    /// Every connection with a subscription, to end them all.
    outlets: FxHashMap<u64, (Arc<Outlet>, usize)>,
}

/// The hub of one server. Clones share it.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Parts>,
}

struct Parts {
    inner: Mutex<Inner>,
    committed: SharedState,
    metrics: StreamMetrics,
}

impl Hub {
    pub fn new(committed: SharedState, metrics: StreamMetrics) -> Self {
        metrics.start_at_zero();
        Self { shared: Arc::new(Parts { inner: Mutex::default(), committed, metrics }) }
    }

    pub fn metrics(&self) -> &StreamMetrics {
        &self.shared.metrics
    }

    /// Whether the state is current, so that streams can start.
    pub fn is_current(&self) -> bool {
        self.shared.committed.read().is_current()
    }

    /// The streams of these names.
    ///
    /// # Errors
    ///
    /// Returns the first name that is not a stream.
    pub fn parse<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Result<Vec<Topic>, (&'n str, NotAStream)> {
        let committed = self.shared.committed.read();
        names.into_iter().map(|name| Topic::parse(name, &committed.state).map_err(|fault| (name, fault))).collect()
    }

    /// Starts one subscription. The caller ensures that the connection does not have it.
    pub fn subscribe(&self, outlet: &Arc<Outlet>, topic: Topic, name: Arc<str>) {
        let mut inner = self.shared.inner.lock();
        let committed = self.shared.committed.read();
        let streams = &mut inner.streams[topic.class() as usize];
        let stream = streams.entry(topic).or_insert_with(|| publisher::begin(topic, &committed));
        stream.joined = true;
        stream.subscribers.push(Subscriber { outlet: Arc::clone(outlet), name });
        inner.enter(outlet);
        inner.watch(&committed, topic);
        self.shared.metrics.subscriptions.with_label_values(&["market"]).inc();
    }

    /// Ends one subscription.
    pub fn unsubscribe(&self, outlet: &Outlet, topic: Topic, name: &str) {
        let mut inner = self.shared.inner.lock();
        let committed = self.shared.committed.read();
        let Some(stream) = inner.streams[topic.class() as usize].get_mut(&topic) else { return };
        let is_it = |subscriber: &Subscriber| subscriber.outlet.id == outlet.id && &*subscriber.name == name;
        let Some(index) = stream.subscribers.iter().position(is_it) else { return };
        stream.subscribers.swap_remove(index);
        if stream.subscribers.is_empty() {
            inner.streams[topic.class() as usize].remove(&topic);
        }
        inner.leave(outlet);
        inner.watch(&committed, topic);
        self.shared.metrics.subscriptions.with_label_values(&["market"]).dec();
    }

    /// Starts a subscription to an account, and sends `first` before its first event.
    pub fn subscribe_account(&self, outlet: &Arc<Outlet>, account: AccountId, form: AccountForm, first: Option<Utf8Bytes>) {
        let mut inner = self.shared.inner.lock();
        let committed = self.shared.committed.read();
        if let Some(first) = first {
            outlet.push(first, Instant::now());
        }
        let from = committed.state.sequence();
        inner.accounts.entry(account).or_default().push(AccountSubscriber { outlet: Arc::clone(outlet), form, from });
        inner.enter(outlet);
        committed.feed().watch_account(account, true);
        self.shared.metrics.subscriptions.with_label_values(&["account"]).inc();
    }

    /// Ends a subscription to an account, and sends `last` after its last event.
    pub fn unsubscribe_account(&self, outlet: &Outlet, account: AccountId, form: &AccountForm, last: Option<Utf8Bytes>) {
        let mut inner = self.shared.inner.lock();
        let committed = self.shared.committed.read();
        let Some(subscribers) = inner.accounts.get_mut(&account) else { return };
        let is_it = |subscriber: &AccountSubscriber| subscriber.outlet.id == outlet.id && subscriber.form == *form;
        let Some(index) = subscribers.iter().position(is_it) else { return };
        subscribers.swap_remove(index);
        if subscribers.is_empty() {
            inner.accounts.remove(&account);
            committed.feed().watch_account(account, false);
        }
        inner.leave(outlet);
        if let Some(last) = last {
            outlet.push(last, Instant::now());
        }
        self.shared.metrics.subscriptions.with_label_values(&["account"]).dec();
    }

    /// Ends every connection that has a subscription.
    fn end_all(&self, end: OutletEnd) {
        let outlets: Vec<Arc<Outlet>> = self.shared.inner.lock().outlets.values().map(|(outlet, _)| Arc::clone(outlet)).collect();
        outlets.iter().for_each(|outlet| outlet.end(end));
    }
}

impl Inner {
    fn enter(&mut self, outlet: &Arc<Outlet>) {
        self.outlets.entry(outlet.id).or_insert_with(|| (Arc::clone(outlet), 0)).1 += 1;
    }

    fn leave(&mut self, outlet: &Outlet) {
        if let Some((_, count)) = self.outlets.get_mut(&outlet.id) {
            *count -= 1;
            if *count == 0 {
                self.outlets.remove(&outlet.id);
            }
        }
    }

    fn has(&self, topic: Topic) -> bool {
        self.streams[topic.class() as usize].contains_key(&topic)
    }

    /// Tells the fold what to record after the topic's subscribers changed.
    fn watch(&self, committed: &crate::engine::committed::Committed, topic: Topic) {
        let feed = committed.feed();
        match topic {
            Topic::Trade(market) | Topic::AggregateTrade(market) => {
                feed.watch_trades(market, self.has(Topic::Trade(market)) || self.has(Topic::AggregateTrade(market)));
            }
            Topic::Depth(market, speed) => feed.watch_levels(market, speed, self.has(topic)),
            Topic::BookTicker(_) => {
                let live = &self.streams[Class::Live as usize];
                feed.wake_on_every_batch(live.keys().any(|topic| matches!(topic, Topic::BookTicker(_))));
            }
            _ => {}
        }
    }
}

/// A text frame's content from JSON.
pub fn text(json: Vec<u8>) -> Utf8Bytes {
    // The writer produces UTF-8 only; a lossy conversion would change nothing.
    String::from_utf8(json).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()).into()
}

/// An event in the form of one combined stream.
fn combined(name: &str, data: &[u8]) -> Utf8Bytes {
    let mut json = Json::with_capacity(data.len() + name.len() + 32);
    json.object(|json| {
        json.key("stream").text(name);
        json.key("data").raw(data);
    });
    text(json.into_bytes())
}

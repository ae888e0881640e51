//! This module is the queue of one connection: what the publisher hands over and the connection's task writes. It must not wait.
//!
//! A reader that is too slow is cut off: the queue is bounded by messages, bytes and age. Messages are shared, so a full queue
//! holds no copy of them.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::json::TimeUnit;

/// Queued messages: more than one batch of the leader can produce for one stream.
pub const MESSAGES_MAX: usize = 32_768;
/// Queued bytes.
pub const BYTES_MAX: usize = 8 << 20;
/// Time that a message may wait for its reader.
pub const AGE_MAX: Duration = Duration::from_secs(10);

/// Why the server ends a connection's subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutletEnd {
    /// The client reads more slowly than events arrive.
    Slow,
    /// Events were lost, for example by a rebuild of this replica's state: a gap would follow.
    Lost,
}

#[derive(Debug, Default)]
struct OutletQueue {
    messages: VecDeque<(Instant, Utf8Bytes)>,
    bytes: usize,
    end: Option<OutletEnd>,
}

/// The publisher's end of one connection.
#[derive(Debug)]
pub struct Outlet {
    /// Unique within the process.
    pub id: u64,
    pub unit: TimeUnit,
    combined: AtomicBool,
    queue: Mutex<OutletQueue>,
    wake: Notify,
}

impl Outlet {
    pub fn new(unit: TimeUnit, combined: bool) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { id, unit, combined: AtomicBool::new(combined), queue: Mutex::default(), wake: Notify::new() }
    }

    /// Whether events are wrapped as `{"stream":…,"data":…}`.
    pub fn is_combined(&self) -> bool {
        self.combined.load(Ordering::Relaxed)
    }

    pub fn set_combined(&self, combined: bool) {
        self.combined.store(combined, Ordering::Relaxed);
    }

    /// Appends a message, or ends the connection if its reader is too slow.
    pub fn push(&self, message: Utf8Bytes, now: Instant) {
        let mut queue = self.queue.lock();
        if queue.end.is_some() {
            return;
        }
        let is_old = queue.messages.front().is_some_and(|(since, _)| now.saturating_duration_since(*since) > AGE_MAX);
        if is_old || queue.messages.len() >= MESSAGES_MAX || queue.bytes + message.len() > BYTES_MAX {
            queue.finish(OutletEnd::Slow);
        } else {
            queue.bytes += message.len();
            queue.messages.push_back((now, message));
        }
        drop(queue);
        self.wake.notify_one();
    }

    /// Ends the connection; drops what is queued.
    pub fn end(&self, end: OutletEnd) {
        self.queue.lock().finish(end);
        self.wake.notify_one();
    }

    /// Moves at most `limit` queued messages to `into`. Returns why the connection ends, once.
    pub fn take(&self, limit: usize, into: &mut Vec<Utf8Bytes>) -> Option<OutletEnd> {
        let mut queue = self.queue.lock();
        let count = limit.min(queue.messages.len());
        into.extend(queue.messages.drain(..count).map(|(_, message)| message));
        queue.bytes -= into.iter().map(|message| message.len()).sum::<usize>();
        if queue.messages.is_empty() && queue.messages.capacity() > 1024 {
            queue.messages = VecDeque::new();
        }
        queue.end
    }

    pub fn bytes(&self) -> usize {
        self.queue.lock().bytes
    }

    /// Whether the connection must end.
    pub fn is_ended(&self) -> bool {
        self.queue.lock().end.is_some()
    }

    /// Waits for a message or the end.
    pub async fn ready(&self) {
        self.wake.notified().await;
    }
}

impl OutletQueue {
    fn finish(&mut self, end: OutletEnd) {
        self.end.get_or_insert(end);
        self.messages = VecDeque::new();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(outlet: &Outlet) -> (Vec<Utf8Bytes>, Option<OutletEnd>) {
        let mut messages = Vec::new();
        let end = outlet.take(usize::MAX, &mut messages);
        (messages, end)
    }

    #[test]
    fn messages_leave_in_order_and_their_bytes_with_them() {
        let (outlet, now) = (Outlet::new(TimeUnit::Millisecond, false), Instant::now());
        for text in ["a", "bc", "def"] {
            outlet.push(text.into(), now);
        }
        let mut some = Vec::new();
        assert_eq!((outlet.take(2, &mut some), some.len(), outlet.bytes()), (None, 2, 3));
        assert_eq!(taken(&outlet), (vec!["def".into()], None));
        assert_eq!(outlet.bytes(), 0);
    }

    #[test]
    fn a_reader_that_is_too_slow_is_cut_off() {
        let (now, text) = (Instant::now(), Utf8Bytes::from("x".repeat(BYTES_MAX / 4)));
        let by_bytes = Outlet::new(TimeUnit::Millisecond, false);
        (0..4).for_each(|_| by_bytes.push(text.clone(), now));
        assert!(!by_bytes.is_ended());
        by_bytes.push(text, now);
        assert_eq!(taken(&by_bytes), (Vec::new(), Some(OutletEnd::Slow)), "what is queued is dropped: the connection has a gap");

        let by_count = Outlet::new(TimeUnit::Millisecond, false);
        (0..=MESSAGES_MAX).for_each(|_| by_count.push("x".into(), now));
        assert!(by_count.is_ended());

        let by_age = Outlet::new(TimeUnit::Millisecond, false);
        by_age.push("x".into(), now);
        by_age.push("x".into(), now + AGE_MAX);
        assert!(!by_age.is_ended());
        by_age.push("x".into(), now + AGE_MAX + Duration::from_millis(1));
        assert!(by_age.is_ended());
    }
}

//! This module counts the messages that a client sends within a second. It must not close a connection.

use std::time::Duration;
use tokio::time::Instant;

/// Messages, pings and pongs of a market stream's client (web-socket-streams.md, "WebSocket Limits").
pub const MESSAGES_PER_SECOND: u32 = 5;

const WINDOW: Duration = Duration::from_secs(1);

/// The messages of the current second.
#[derive(Debug)]
pub struct MessageRate {
    since: Instant,
    count: u32,
}

impl MessageRate {
    pub const fn new(now: Instant) -> Self {
        Self { since: now, count: 0 }
    }

    /// Counts a message; false if it is one too many.
    pub fn allows(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= WINDOW {
            (self.since, self.count) = (now, 0);
        }
        self.count += 1;
        self.count <= MESSAGES_PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sixth_message_within_a_second_is_too_many() {
        let begun = Instant::now();
        let mut rate = MessageRate::new(begun);
        assert!((0..5).all(|_| rate.allows(begun)));
        assert!(!rate.allows(begun + WINDOW - Duration::from_millis(1)));
        assert!((0..5).all(|_| rate.allows(begun + WINDOW)));
        assert!(!rate.allows(begun + WINDOW));
    }
}

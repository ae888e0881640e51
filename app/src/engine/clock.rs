//! The wall clock. Never: journal time, which only the core moves.

use std::time::{SystemTime, UNIX_EPOCH};

use exchange_core::money::Time;

/// Microseconds since the Unix epoch, UTC.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::try_from(since.as_micros()).unwrap_or(Time::MAX)
}

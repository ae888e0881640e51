//! This module reads the wall clock in the journal's unit. Its time must not influence a decision.

use std::time::{SystemTime, UNIX_EPOCH};

use exchange_core::money::Time;

/// Microseconds since the Unix epoch.
pub fn now() -> Time {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as Time)
}

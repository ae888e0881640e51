//! This module defines the time of the planner, and its conversion from and to timestamps.

use std::time::Duration;

use jiff::Timestamp;

/// Time since an origin that the caller chooses; [`moment`] counts from 1970.
pub type Moment = Duration;

/// Milliseconds since 1970. Earlier times become zero.
pub fn moment(at: Timestamp) -> Moment {
    Duration::from_millis(u64::try_from(at.as_millisecond()).unwrap_or(0))
}

pub fn timestamp(moment: Moment) -> Timestamp {
    let milliseconds = i64::try_from(moment.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX)
}

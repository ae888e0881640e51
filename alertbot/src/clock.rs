//! The only clock: the wall's time at the start, carried on by the monotonic clock. So a clock that is set forward or back
//! while the program runs neither takes a step early nor holds one up; after a restart the new time counts.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::schedule::Moment;

#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began_at: Timestamp,
    began: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self { began_at: Timestamp::now(), began: Instant::now() }
    }
}

impl Clock {
    pub fn now(&self) -> Timestamp {
        self.began_at.checked_add(self.began.elapsed()).unwrap_or(self.began_at)
    }

    pub fn moment(&self) -> Moment {
        moment(self.now())
    }

    /// How far the wall's clock was set since the start: forward is positive. For the log and for people's times.
    pub fn stepped_seconds(&self) -> f64 {
        Timestamp::now().duration_since(self.now()).as_secs_f64()
    }

    /// When a moment of this clock comes.
    pub fn instant(&self, moment: Moment) -> Instant {
        self.began + moment.saturating_sub(self::moment(self.began_at))
    }
}

/// The planner's time: milliseconds since 1970.
pub fn moment(at: Timestamp) -> Moment {
    Duration::from_millis(u64::try_from(at.as_millisecond()).unwrap_or(0))
}

pub fn timestamp(moment: Moment) -> Timestamp {
    let milliseconds = i64::try_from(moment.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX)
}

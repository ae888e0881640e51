//! This module is the only clock, and no other module reads one: the wall time at the start, advanced by the monotonic clock. A change of the wall clock while
//! the program runs does not move a step. After a restart the new time applies.

use std::time::Instant;

use alertbot_core::moment::{self, Moment};
use jiff::Timestamp;

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
        moment::moment(self.now())
    }

    /// The wall clock with its steps. Only to compare with a time that another program states.
    pub fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    /// How far the wall clock moved since the start; forward is positive. Used for the log and for times shown to people.
    pub fn stepped_seconds(&self) -> f64 {
        self.wall().duration_since(self.now()).as_secs_f64()
    }

    /// Completes at a moment of this clock.
    pub fn instant(&self, moment: Moment) -> Instant {
        self.began + moment.saturating_sub(moment::moment(self.began_at))
    }
}

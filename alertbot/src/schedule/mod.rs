//! Which message goes next: a pure planner. It knows each chat's and each carrier's budget, whom a 429 has stopped, which
//! carrier must answer a probe first, and what is urgent; it knows neither text nor network nor clock. Every attempt counts
//! against the budgets: edits, pictures and refused ones too.
//!
//! Guarantees, held by the tests beside it on a simulated clock:
//! - no call to a chat inside its `retry_after`, and only that chat waits;
//! - never more calls to a group than its budget in any minute, nor to a carrier in any second;
//! - a critical goes first in its chat, and budget is kept back for it;
//! - a message whose answer was lost is sent once more, marked, after a probe was answered, and never a third time;
//! - one call at a time to a chat, so that messages arrive in order;
//! - nothing is dropped: what a chat's budget cannot carry is named in a digest and follows when budget frees.

pub mod carrier;
pub mod item;
pub mod lane;
pub mod limits;
mod planner;
pub mod window;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use item::{Item, Kind, Urgency};
pub use limits::{CarrierLimits, Limits};
pub use planner::{Action, Planner, Restored, Step};

/// A point in time on a clock that only goes forward; from an origin that is the caller's.
pub type Moment = Duration;

/// What becomes of a message after an attempt. The store keeps it, the planner acts on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Done. `reference` finds the message again.
    Done { reference: String },
    /// Again, not before that moment.
    Again {
        not_before: Moment,
        attempts: u32,
        /// The attempt may have arrived; the next one is marked as a possible repetition.
        maybe_sent: bool,
    },
    /// Never again. `dead`: nothing sent to this address will ever arrive.
    GivenUp { reason: String, dead: bool },
}

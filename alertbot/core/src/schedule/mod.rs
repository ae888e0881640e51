//! This module is a pure planner that selects the next message to send. It knows the budget of each chat and carrier, chats
//! stopped by a 429, carriers that must answer a probe first, and urgencies. It must not know texts, the network or a clock.
//! Every attempt counts against the budgets, including edits, charts and rejected ones.
//!
//! The tests in this folder verify these guarantees on a simulated clock:
//! - No call goes to a chat inside its `retry_after`, and only that chat waits.
//! - Calls never exceed a group's budget in any minute, or a carrier's in any second.
//! - A critical message goes first in its chat, and a part of the budget is reserved for it.
//! - A message whose answer was lost is sent once more, marked, after a probe was answered. It is never sent a third time.
//! - A chat has one call at a time, so that messages arrive in order.
//! - No message is dropped: messages beyond a chat's budget are listed in a digest and follow when budget is available.

pub mod carrier;
pub mod item;
pub mod lane;
pub mod limits;
mod planner;
pub mod sliding_window;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use crate::moment::Moment;

pub use item::{Item, MessageKind, Urgency};
pub use limits::{CarrierLimits, Limits};
pub use planner::{Action, Planner, Restored, Step};

/// The result of an attempt for a message. The store records it and the planner acts on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Delivered. `reference` identifies the message.
    Done { reference: String },
    /// Retry, not before this moment.
    Again {
        not_before: Moment,
        attempts: u32,
        /// The attempt may have arrived, so the next one is marked as a possible duplicate.
        maybe_sent: bool,
    },
    /// Do not retry. `dead`: no message to this address will ever arrive.
    GivenUp { reason: String, dead: bool },
}

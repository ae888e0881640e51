//! This module computes who is on duty from the layers, the calendar and the overrides of a schedule. It is pure: the moment is an argument.
//!
//! Turns are counted in local time, so a handover at nine stays at nine when clocks change. A turn across the change is an hour
//! longer or shorter. At every moment exactly one turn of a layer runs.

pub mod handover;
pub mod roster;
pub mod schedule;

#[cfg(test)]
mod tests;

pub use handover::{Handover, handovers, next_change_of_person};
pub use roster::{Shift, next_after, on_duty, shifts};
pub use schedule::{CalendarShift, Layer, Override, Schedule};

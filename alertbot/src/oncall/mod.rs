//! Who is on duty: worked out from the layers and overrides of a schedule. Pure: the moment is an argument.
//!
//! Turns are counted in local time, so that a handover at nine stays at nine when clocks change; what is between two
//! handovers is then an hour longer or shorter, and at every moment exactly one turn of a layer runs.

pub mod handover;
pub mod roster;

#[cfg(test)]
mod tests;

pub use handover::{Handover, handovers, next_change_of_person};
pub use roster::{Shift, next_after, on_duty, shifts};

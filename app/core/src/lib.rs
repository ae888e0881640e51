//! The exchange's pure core: `decide(command, time) -> events`, `evolve(event)`.
//!
//! Everything here is a function of its arguments: no clock, randomness, I/O, async or float. Prices, quantities and amounts are
//! integers of 10⁻⁸ ([`money`]). A command either is refused and changes nothing, or gives events ([`event`]); every change of
//! state goes through [`State::evolve`], so that replaying the journal gives the live state.

pub mod batch;
mod codec;
pub mod command;
pub mod event;
pub mod market;
pub mod money;
pub mod order;
pub mod refusal;

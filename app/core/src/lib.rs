//! The exchange's pure core: `decide(command, time) -> events`, `evolve(event)`.
//!
//! Everything here is a function of its arguments: no clock, randomness, I/O, async or float. Prices, quantities and amounts are
//! integers of 10⁻⁸ ([`money`]). A command either is refused and changes nothing, or gives events ([`event`]); every change of
//! state goes through [`State::evolve`], so that replaying the journal gives the live state.

pub mod batch;
mod book;
mod codec;
pub mod command;
mod decide;
mod effects;
pub mod event;
mod evolve;
mod fields;
mod ledger;
pub mod market;
pub mod market_data;
pub mod money;
pub mod order;
mod orders;
pub mod protection;
pub mod refusal;
mod snapshot;
mod state;

pub use book::Depth;
pub use codec::DecodeError;
pub use decide::TEXT_MAX;
pub use effects::{Effects, TradeRecord};
pub use ledger::{Balance, Bucket, CUSTODY, FEES, Transfer};
pub use snapshot::SNAPSHOT_FORMAT;
pub use state::{Account, OrderList, State};

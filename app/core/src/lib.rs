//! This crate is the exchange's pure core: `decide(command, time) -> events`, `evolve(event)`.
//!
//! - Everything here is a function of its arguments. It must not use a clock, randomness, I/O, async or floats.
//! - Prices, quantities and amounts are integers of 10⁻⁸ ([`money`]).
//! - A command is either refused and changes nothing, or produces events ([`event`]).
//! - Every change of state goes through [`State::evolve`], so that replaying the journal produces the live state.

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
pub mod limits;
pub mod market;
pub mod market_data;
pub mod money;
pub mod order;
pub mod order_count;
mod orders;
pub mod protection;
pub mod rebuild;
pub mod refusal;
mod snapshot;
mod state;
mod trailing;
mod visits;
mod waiting;
mod wire;

pub use book::Depth;
pub use codec::{ByteDecoder, ByteEncoder, DecodeError};
pub use decide::TEXT_MAX;
pub use effects::{AmendmentRecord, Effects, PreventedRecord, TradeRecord};
pub use ledger::{Balance, Bucket, CUSTODY, FEES, Transfer};
pub use snapshot::SNAPSHOT_FORMAT;
pub use state::{Account, OrderList, State};
pub use visits::visited;

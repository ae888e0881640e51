//! Real programs on a real database, started for a run and ended with it. Never: a measurement.

mod child;
mod program;
mod seed;

pub use child::Child;
pub use program::{Exchange, Server, exchange_binary, metric};
pub use seed::seed;

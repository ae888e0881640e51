//! This module starts real programs on a real database for a run, and stops them at its end. It must not measure.

mod child;
mod program;
mod proxy;
mod seed;

pub use child::Child;
pub use program::{StagedExchange, StagedServer, exchange_binary, metric, scrape};
pub use proxy::Proxy;
pub use seed::{seed, seed_with};

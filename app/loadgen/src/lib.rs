//! Load on the exchange: the benchmark, the market simulator and the crash test, all through the public interfaces.
//!
//! Never: a rule of the exchange, or a number that is not measured.

pub mod client;
pub mod core_bench;
pub mod measure;
pub mod random;
pub mod simulate;

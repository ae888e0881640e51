//! This crate puts load on the exchange through its public interfaces: the benchmark, the market simulator and the crash test.
//!
//! It must not contain a rule of the exchange, or a number that was not measured.

pub mod arms;
pub mod bench;
pub mod client;
pub mod core_bench;
pub mod foundation;
pub mod load;
pub mod measure;
pub mod random;
pub mod simulate;
pub mod soak;
pub mod stage;
pub mod workload;

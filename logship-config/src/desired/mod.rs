//! What a cluster shall hold, as files say it: parsed with lines kept, validated offline. Pure apart from reading the files.

mod fault;
pub mod yaml;

pub use fault::{Fault, Faults};

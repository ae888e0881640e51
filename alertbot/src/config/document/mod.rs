//! This module reads the YAML file: a tree with lines ([`node`]), sections that record every fault instead of stopping at the
//! first ([`section`]), and single values ([`value`]). It must not know the meaning of a section.

pub mod fault;
pub mod node;
pub mod section;
pub mod value;

pub use fault::Fault;
pub use section::{Reading, Section};
pub use value::{Address, Bytes, Value};

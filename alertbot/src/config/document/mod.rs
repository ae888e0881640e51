//! This module reads the values of the YAML file: sections that record every fault instead of stopping at the first ([`section`]), and
//! single values ([`value`]). `service_kit` parses the file. This module must not know the meaning of a section.

pub mod section;
pub mod value;

pub use section::{Reading, Section};
pub use value::{Bytes, HttpAddress, Value};

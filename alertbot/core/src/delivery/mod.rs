//! This module defines where a message goes, what it carries, and what came of it. It must not send anything.

pub mod address;
pub mod outcome;
pub mod words;

pub use address::{Address, ChatPlace, Medium};
pub use outcome::{DeliveryOutcome, DeliveryReport};
pub use words::{Button, ButtonAction, Words};

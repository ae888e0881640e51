//! All SQL, a file per table group. Never: an HTTP type, a decision.

pub mod api_keys;
pub mod head;
pub mod history;
pub mod journal;
pub mod migrate;
pub mod notices;
pub mod session;

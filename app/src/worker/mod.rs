//! The worker.

pub mod chunk;
mod clock;
pub mod projector;
pub mod question;
pub mod source;

//! Receivers: each sends once and reports an outcome. Never sleeps, retries, or decides where a message goes.

pub mod address;
pub mod outcome;
pub mod phone;
pub mod sms;
pub mod telegram;

pub use address::Address;
pub use outcome::Outcome;
pub use phone::{Call, Callback, CallbackFault, CallbackRequest, Medium, Phone, Report};

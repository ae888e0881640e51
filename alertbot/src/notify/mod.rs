//! This module contains the receivers. Each makes one attempt and reports an outcome. A receiver must not sleep, retry or route.

pub mod address;
pub mod outcome;
pub mod phone;
pub mod sms;
pub mod telegram;

pub use address::Address;
pub use outcome::Outcome;
pub use phone::{Call, Callback, CallbackFault, CallbackRequest, Medium, Phone, Report};

//! This module contains the receivers. Each makes one attempt and reports an outcome. A receiver must not sleep, retry or route.

pub mod phone;
pub mod receivers;
pub mod sms;
pub mod telegram;

pub use phone::{Callback, CallbackFault, CallbackRequest, Phone, PhoneMessage};
pub use receivers::Receivers;

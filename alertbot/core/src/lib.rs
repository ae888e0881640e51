//! This crate is the pure half of the alert bot: what an alert, an incident and a message are, and the rules for them.
//!
//! - [`alert`]: the body of a webhook, labels, severities.
//! - [`delivery`]: addresses, ready texts with buttons, and outcomes of attempts.
//! - [`incident`]: the state machine of one group of alerts.
//! - [`oncall`]: who is on duty.
//! - [`schedule`]: which message is sent next, within the budgets of chats and providers.
//! - [`message`]: an incident and a reader in, text out.
//!
//! Time is an argument everywhere. This crate must not read a clock or a setting, use randomness, do I/O or be async. `clippy.toml`
//! and the list of dependencies enforce it.

pub mod alert;
pub mod delivery;
pub mod incident;
pub mod local_window;
pub mod message;
pub mod moment;
pub mod oncall;
pub mod schedule;

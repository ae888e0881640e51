//! The alert bot: Alertmanager calls its webhook, and the phone of the on-call engineer rings once, with the facts to act on.
//!
//! ```text
//! http/webhook ─► writer ─► store (durable) ─► 2xx
//!                   │
//!             incident (pure) ─► outbox ─► schedule (pure) ─► sender ─► notify/{telegram, sms}
//!                   ▲                                            │ outcome
//! chatops, reconcile, watchdog, timers ◄─────────────────────────┘
//! ```
//!
//! - The pure half is the crate `alertbot_core`: alerts, incidents, messages, schedules, duty.
//! - Imports point down. `floors.txt` of the architecture tests lists the floors, from `serve` to `config`.
//! - Only the writer changes the database.
//! - A receiver in `notify` makes one attempt and reports an outcome. It must not sleep, retry or route.

pub mod alertmanager;
pub mod calendar;
pub mod chatops;
pub mod check;
pub mod clock;
pub mod config;
pub mod http;
pub mod metrics;
pub mod notify;
pub mod picture;
pub mod reconcile;
pub mod reload;
pub mod routing;
pub mod sender;
pub mod serve;
pub mod store;
pub mod test_send;
pub mod watchdog;
pub mod writer;

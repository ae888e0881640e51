//! The alert bot: Alertmanager calls its webhook, an on-call engineer's phone rings, once, with what is needed to act.
//!
//! ```text
//! webhook ─► store (durable) ─► 2xx
//!              │
//!        incident (pure) ─► outbox ─► schedule (pure) ─► notify/{telegram, sms}
//!              ▲                                            │ outcome
//!        bot, alertmanager, timers ◄────────────────────────┘
//! ```
//!
//! Arrows point down only: `serve -> webhook, bot, alertmanager, writer -> store -> incident, schedule, message, oncall -> config`.
//! A receiver in `notify` sends once and reports an outcome; it never sleeps, retries or routes. `incident`, `schedule`,
//! `message` and `oncall` are pure: time and randomness come in as arguments.

pub mod alertmanager;
pub mod chatops;
pub mod check;
pub mod clock;
pub mod config;
pub mod door;
pub mod incident;
pub mod message;
pub mod metrics;
pub mod notify;
pub mod oncall;
pub mod picture;
pub mod reload;
pub mod schedule;
pub mod sender;
pub mod serve;
pub mod store;
pub mod test_send;
pub mod watchdog;
pub mod webhook;
pub mod writer;

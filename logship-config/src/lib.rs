//! Elasticsearch's index lifecycle as declared in files, and a way to it that loses nothing.
//!
//! ```text
//! files ─► desired (parse, validate) ─► canonical ─┐
//!                                                  ├─► plan (pure) ─► apply, watch
//! cluster ─► client ─► actual ───────► canonical ──┘
//! ```
//!
//! Directions, down only: `main -> check, … -> client, desired -> config, exit`.
//! Never: an environment variable outside `config`, a policy in Rust (policies are files), a clock or I/O in `desired`'s rules.

pub mod actual;
pub mod advice;
pub mod apply;
pub mod budget;
pub mod canonical;
pub mod check;
pub mod client;
pub mod config;
pub mod daemon;
pub mod desired;
pub mod exit;
pub mod explain;
pub mod forecast;
pub mod metrics;
pub mod observe;
pub mod plan;
pub mod relay;
pub mod stuck;
pub mod units;
pub mod watch;

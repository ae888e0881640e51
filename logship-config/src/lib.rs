//! This crate manages Elasticsearch's index lifecycle from declared files, and ships logs to Elasticsearch without loss.
//!
//! ```text
//! files ─► desired (parse, validate) ─► canonical ─┐
//!                                                  ├─► plan (pure) ─► apply, watch
//! cluster ─► client ─► actual ───────► canonical ──┘
//! ```
//!
//! - Imports point down: `main -> check, … -> client, desired -> config, exit`.
//! - Only `config` may read environment variables.
//! - Policies must be in files, not in Rust.
//! - The rules of `desired` must not use a clock or I/O.

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

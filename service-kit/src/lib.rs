//! This crate holds the parts that every program of this repository needs: configuration, telemetry, metrics, health,
//! shutdown, the admin listener and the reader of YAML files.
//!
//! A program starts in this order:
//!
//! 1. [`config::load`]; on faults it exits with [`EXIT_CONFIG`] before it binds a port.
//! 2. [`telemetry::init`].
//! 3. [`health::Health`] with its latches, and [`shutdown::Shutdown`].
//! 4. [`admin::serve`], then its own work.
//!
//! Must not hold:
//!
//! - a domain word or the name of a program;
//! - a database or an object store;
//! - code that only some programs use.

pub mod admin;
pub mod config;
pub mod health;
pub mod metrics;
pub mod shutdown;
pub mod telemetry;
pub mod trace;
pub mod yaml;

/// Exit status for a faulty configuration (`EX_USAGE` of `sysexits.h`).
pub const EXIT_CONFIG: u8 = 64;

/// Exit status if parts did not stop before the shutdown deadline (`EX_SOFTWARE` of `sysexits.h`).
pub const EXIT_UNCLEAN: u8 = 70;

#[doc(hidden)]
pub use prometheus as prometheus_for_macros;

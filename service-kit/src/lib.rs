//! What every program of this repository needs and none should write twice: configuration, telemetry, health,
//! shutdown and the admin listener.
//!
//! Never a domain word, a database, an object store, or a drawer for odds and ends: a thing belongs here only when
//! every program does it the same way.
//!
//! A program's life, in order: [`config::load`] (exit [`EXIT_CONFIG`] on faults, before a port is bound),
//! [`telemetry::init`], [`health::Health`] latches, [`shutdown::Shutdown`], [`admin::serve`], then its own work.

pub mod admin;
pub mod config;
pub mod health;
pub mod metrics;
pub mod shutdown;
pub mod telemetry;
pub mod trace;

/// Exit status for a faulty configuration (`EX_USAGE` of `sysexits.h`).
pub const EXIT_CONFIG: u8 = 64;

/// Exit status when the deadline of a shutdown passed and something still ran (`EX_SOFTWARE` of `sysexits.h`).
pub const EXIT_UNCLEAN: u8 = 70;

#[doc(hidden)]
pub use prometheus as prometheus_for_macros;

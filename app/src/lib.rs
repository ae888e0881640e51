//! This crate is the exchange: one binary whose subcommands are the roles.
//!
//! - Dependencies point down only: `serve` -> `http`, `worker` -> `engine` -> `db` -> `exchange_core`; `http`, `worker` ->
//!   `media`.
//! - Matching rules must be in `exchange_core`, SQL in `db`, and reads of environment variables in `config`.

pub mod address_key;
pub mod api_key;
pub mod assets;
pub mod chain;
pub mod config;
pub mod database_cause;
pub mod db;
pub mod engine;
pub mod foreign;
pub mod http;
pub mod journal_archive;
pub mod json;
pub mod key_objects;
pub mod key_shipping;
pub mod media;
pub mod metrics;
pub mod operator;
pub mod probe;
pub mod recover;
pub mod runtime;
pub mod serve;
pub mod shipped;
pub mod snapshot;
pub mod streams;
pub mod survey;
pub mod worker;

//! The exchange: one binary, its roles as subcommands.
//!
//! Directions, down only: `serve` -> `http`, `worker` -> `engine` -> `db` -> `exchange_core`; `http`, `worker` -> `media`.
//! Never: a matching rule (those live in `exchange_core`), SQL outside `db`, an environment variable outside `config`.

pub mod api_key;
pub mod chain;
pub mod config;
pub mod db;
pub mod engine;
pub mod foreign;
pub mod http;
pub mod journal_archive;
pub mod media;
pub mod metrics;
pub mod operator;
pub mod runtime;
pub mod serve;
pub mod snapshot;
pub mod survey;
pub mod worker;

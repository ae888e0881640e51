//! PostgreSQL to object storage: streamed, signed, verified by a real restore.
//!
//! Directions, down only: `main` -> `command` -> `run`, `verify` -> `restore` -> `dump`, `reading`, `catalogue` -> `wire`, `store`,
//! `manifest`, `layout`, `archive`.
//! Never: an environment variable outside `config`, a request to the store outside `store`, a file on the local disk
//! (the drill's scratch server apart), a deletion outside `prune` and `doctor`.

pub mod archive;
pub mod bandwidth;
pub mod catalogue;
pub mod checksum;
pub mod command;
pub mod config;
pub mod dump;
pub mod export;
pub mod failure;
pub mod lane;
pub mod layout;
pub mod lease;
pub mod manifest;
pub mod metrics;
pub mod parts;
pub mod progress;
pub mod prune;
pub mod reading;
pub mod restore;
pub mod retention;
pub mod run;
pub mod schedule;
pub mod seal;
pub mod session;
pub mod stop;
pub mod store;
pub mod textfile;
pub mod verify;
pub mod wire;

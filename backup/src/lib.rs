//! This crate backs up PostgreSQL to object storage: streamed, signed, and verified by restores.
//!
//! Modules depend downwards only: `main` -> `command` -> `run`, `verify`, `export` -> `dump`, `restore` -> `reading`,
//! `catalogue` -> `store`, `wire`, `manifest`, `layout`, `archive`. `deploy/architecture/floors.txt` lists all floors.
//!
//! - Only `config` may read environment variables. With `BACKUP_STORE_CREDENTIALS=aws`, the AWS library also reads its own.
//! - Only `store` may send requests to the store.
//! - No module may write to the local disk, except the drill's scratch server.
//! - Only `prune` and `doctor` may delete backups and records.

pub mod abort;
pub mod archive;
pub mod bandwidth;
pub mod catalogue;
pub mod checksum;
pub mod command;
pub mod config;
pub mod dump;
pub mod encode;
pub mod export;
pub mod failure;
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
pub mod session;
pub mod shell;
pub mod sql;
pub mod stage;
pub mod store;
pub mod textfile;
pub mod upload;
pub mod verify;
pub mod wire;

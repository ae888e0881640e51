//! This package compares the code with the structure that ARCHITECTURE.md declares. It has no other use: its tests run in `make check`.
//!
//! - [`source`] reads a crate's modules and the paths that each of them names.
//! - [`graph`] turns those paths into arrows between modules and finds cycles.
//! - [`floors`] reads `floors.txt`: for each crate its modules, from the top floor to the bottom floor.
//! - [`names`] finds type names with two meanings, and bare verbs that a crate uses for two functions.
//! - [`interfaces`] lists the names that users depend on: metrics, settings, flags, paths, log fields.
//!
//! Limits: the reader works on source text. It does not see a path that a macro assembles, and it leaves out `#[cfg(test)]` modules.

pub mod floors;
pub mod graph;
pub mod interfaces;
pub mod names;
pub mod source;

//! This module is the operators' side: the client `exchange admin` and the leader's internal listener.
//!
//! - It must not move money except by a command.
//! - It must not act without an actor and a reason.

pub mod arguments;
pub mod client;
mod declare;
mod failure;
mod journal;
mod perform;
pub mod request;
mod routes;
mod show;

pub use routes::routes;

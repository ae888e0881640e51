//! What operators do: `exchange admin` on one side, the leader's internal listener on the other. Never: money moved other than by
//! a command, an action without who and why.

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

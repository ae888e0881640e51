//! What Alertmanager's webhook says, and the endpoint that takes it. Never a decision about an incident.

pub mod authentication;
pub mod grafana;
pub mod labels;
pub mod payload;
pub mod server;

#[cfg(test)]
mod fuzz;

pub use labels::Labels;
pub use payload::{Alert, Payload, Status};

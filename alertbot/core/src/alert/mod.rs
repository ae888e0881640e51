//! This module defines alerts as Alertmanager and Grafana send them. It must not decide anything about an incident.

pub mod body;
pub mod grafana;
pub mod labels;
pub mod payload;
pub mod severity;

#[cfg(test)]
mod fuzz;

pub use body::{BodyError, read_body};
pub use labels::Labels;
pub use payload::{Alert, Payload, Status};
pub use severity::Severity;

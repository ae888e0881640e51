//! What Alertmanager's webhook says, and the endpoint that takes it. Never a decision about an incident.

pub mod labels;
pub mod payload;

pub use labels::Labels;
pub use payload::{Alert, Payload, Status};

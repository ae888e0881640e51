//! The whole exchange on one machine: its parts, their order, and where everything is told.
//!
//! A supervisor keeps the processes; what lives here is what it cannot know: settings, the order of start, when a part
//! is ready, and the first markets and accounts.

mod accounts;
mod alert;
mod alerting;
mod backup;
mod beside;
mod bootstrap;
mod down;
mod endpoints;
mod exchange;
mod layout;
mod logging;
mod parts;
mod readiness;
mod supervisor;
mod up;

pub use alert::alert;
pub use beside::beside;
pub use down::down;
pub use layout::{DEFAULT_PORT_BASE, Layout};
pub use up::{run, up};

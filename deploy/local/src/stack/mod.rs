//! This module runs the whole exchange on one machine: its parts, their order, and the list of addresses.
//!
//! A supervisor runs the processes. This module adds settings, the order of start, the readiness of each part, and the
//! first markets and accounts.

mod accounts;
mod alert;
mod alerting;
mod backup;
mod beside;
mod bootstrap;
mod down;
mod endpoints;
mod exchange;
mod exporters;
mod haproxy;
mod layout;
mod logging;
mod parts;
mod probe;
mod proxy;
mod readiness;
mod supervisor;
mod traces;
mod up;
mod viewer;

pub use alert::alert;
pub use beside::beside;
pub use down::down;
pub use layout::{DEFAULT_PORT_BASE, StackLayout};
pub use up::{run, up};

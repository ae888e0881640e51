//! This module renders messages: an incident and a reader in, text out. It is pure: the moment is an argument.
//!
//! - It must not decide where a message goes, when it goes, or whether it sounds.
//! - The text is rendered at the time of sending.
//! - [`render`] alone handles values from outside (labels, annotations, names of groups). It removes control characters,
//!   shortens, isolates where directions mix, and escapes.

pub mod age;
pub mod bidi;
pub mod catalogue;
pub mod context;
pub mod links;
pub mod locale;
pub mod markup;
pub mod notice;
pub mod place;
pub mod press;
pub mod reader;
pub mod render;
pub mod samples;
pub mod sms;
pub mod split;
pub mod telephone;
pub mod template;
pub mod units;
pub mod validate;

#[cfg(test)]
mod tests;

pub use links::LinkAddresses;
pub use locale::{Calendar, Language};
pub use reader::Reader;
pub use render::{Messages, Rendered};
pub use template::{Template, TemplateFault, Templates};

use crate::{
    alert::Severity,
    incident::{Incident, Phase},
};

/// A colour that shows the severity before the text is read.
pub fn mark(incident: &Incident) -> &'static str {
    match (incident.phase, incident.severity) {
        (Phase::Resolved, _) => "🟢",
        (_, Severity::Critical) => "🔴",
        (_, Severity::Warning) => "🟠",
        (_, Severity::Info) => "🔵",
    }
}

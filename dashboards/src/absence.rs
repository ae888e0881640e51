//! This module reads `prometheus/absence.yml`: what happens when the series of an alert are gone.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{path, read};

/// The whole list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Absence {
    /// Alerts that fire when their own series are gone.
    pub itself: Vec<String>,
    /// Alert to the alert that fires instead.
    pub covered: BTreeMap<String, String>,
}

/// The list as it is in the repository.
///
/// # Panics
/// Panics if the file is missing or malformed.
pub fn absence() -> Absence {
    let file = path("prometheus/absence.yml");
    serde_yaml_ng::from_str(&read(&file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

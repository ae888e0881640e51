//! This module reads `prometheus/absence.yml`: what happens when the series of an alert are gone.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{path, read};

/// What happens when an alert divides by 0: 0/0 is NaN, which no comparison matches.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ZeroDivisor {
    /// This alert fires, by a comparison that does not divide.
    Fires(String),
    /// No alert is right, for this reason.
    Healthy(String),
    /// It is never 0, for this reason.
    Never(String),
}

/// The whole list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Absence {
    /// Alerts that fire when their own series are gone.
    pub itself: Vec<String>,
    /// Alert to the alert that fires instead.
    pub covered: BTreeMap<String, String>,
    /// Alert with a division, own or recorded, to the answer when what it divides by is 0.
    pub ratios: BTreeMap<String, ZeroDivisor>,
}

/// The list as it is in the repository.
///
/// # Panics
/// Panics if the file is missing or malformed.
pub fn absence() -> Absence {
    let file = path("prometheus/absence.yml");
    serde_yaml_ng::from_str(&read(&file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

//! This module describes the problems that would stop a restore, each with its remedy.

use std::{collections::BTreeSet, fmt};

/// One problem and its remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreflightError {
    pub wrong: String,
    pub remedy: String,
    /// Whether our role lacks a right.
    pub right: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PreflightErrors(pub Vec<PreflightError>);

impl fmt::Display for PreflightErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|error| write!(formatter, "\n  {}; {}", error.wrong, error.remedy))
    }
}

impl PreflightErrors {
    pub(super) fn add(&mut self, wrong: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(PreflightError { wrong: wrong.into(), remedy: remedy.into(), right: false });
    }

    /// Whether one of the problems is a missing right.
    pub fn is_about_rights(&self) -> bool {
        self.0.iter().any(|error| error.right)
    }

    /// Merges the problems of several databases. A problem of all databases appears once, any other with the database's name.
    pub fn of_all(each: &[(String, Self)]) -> Self {
        let mut all: Vec<PreflightError> = Vec::new();
        for (database, errors) in each {
            for error in &errors.0 {
                let common = each.iter().all(|(_, others)| others.0.contains(error));
                let wrong = if common { error.wrong.clone() } else { format!("{database:?}: {}", error.wrong) };
                let error = PreflightError { wrong, ..error.clone() };
                if !all.contains(&error) {
                    all.push(error);
                }
            }
        }
        Self(all)
    }

    /// Names that the backup refers to and that the server does not have.
    pub(super) fn missing(&mut self, what: &str, wanted: BTreeSet<String>, there: &[String], remedy: &str) {
        let missing: Vec<_> = wanted.into_iter().filter(|name| !there.contains(name)).collect();
        if !missing.is_empty() {
            self.add(format!("the server has no {what} {}", missing.join(", ")), remedy);
        }
    }
}

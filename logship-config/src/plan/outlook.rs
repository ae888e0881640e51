//! This module compares the index templates and policies before and after a plan. A stream's next index is created from
//! them, including templates and policies that are not declared. Pure.

use std::collections::BTreeMap;

use super::{Allowed, foreign};
use crate::{
    actual::{Actual, Held},
    desired::{Desired, ObjectKey, ObjectKind, resolve},
};

const KINDS: [ObjectKind; 3] = [ObjectKind::LifecyclePolicy, ObjectKind::ComponentTemplate, ObjectKind::IndexTemplate];

/// Both sides as if they were declared, without streams.
#[derive(Debug, Default)]
pub struct Outlook {
    pub before: Desired,
    pub after: Desired,
}

impl Outlook {
    pub fn new(desired: &Desired, actual: &Actual, allowed: &Allowed) -> Self {
        let mut outlook = Self::default();
        // Without streams nothing reads it.
        if actual.streams.is_empty() {
            return outlook;
        }
        let of_kind = |(kind, _): &ObjectKey| KINDS.contains(kind);
        let others =
            |(kind, name): &ObjectKey, held: &Held| foreign::foreign(desired, actual, allowed, *kind, name, held).is_some();
        for (key, held) in actual.objects.iter().filter(|(key, _)| of_kind(key)) {
            outlook.before.objects.insert(key.clone(), held.body.clone());
            // Removes owned objects that are declared no longer.
            if !foreign::owned(desired, allowed, held) || others(key, held) {
                outlook.after.objects.insert(key.clone(), held.body.clone());
            }
        }
        for (key, body) in desired.objects.iter().filter(|(key, _)| of_kind(key)) {
            // Objects that others manage stay unchanged.
            if !actual.objects.get(key).is_some_and(|held| others(key, held)) {
                outlook.after.objects.insert(key.clone(), body.clone());
            }
        }
        outlook
    }

    /// Returns the settings of a stream's next index on one of the sides.
    pub fn settings(&self, side: &Desired, stream: &str) -> BTreeMap<String, String> {
        resolve::template_for(side, stream).map(|template| resolve::settings(side, template)).unwrap_or_default()
    }
}

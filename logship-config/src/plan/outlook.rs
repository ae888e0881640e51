//! What index templates and policies say before a plan is applied, and what they will say then: a stream's next index is made by
//! them, those included that nobody declares. Pure.

use std::collections::BTreeMap;

use super::foreign;
use crate::{
    actual::{Actual, Held},
    desired::{Desired, Key, Kind, resolve},
};

const KINDS: [Kind; 3] = [Kind::LifecyclePolicy, Kind::ComponentTemplate, Kind::IndexTemplate];

/// Both sides as if they were declared, without streams.
#[derive(Debug, Default)]
pub struct Outlook {
    pub before: Desired,
    pub after: Desired,
}

impl Outlook {
    pub fn new(desired: &Desired, actual: &Actual) -> Self {
        let mut outlook = Self::default();
        // Without streams nothing is asked of it.
        if actual.streams.is_empty() {
            return outlook;
        }
        let of_kind = |(kind, _): &Key| KINDS.contains(kind);
        let others = |(kind, name): &Key, held: &Held| foreign::foreign(actual, *kind, name, held).is_some();
        for (key, held) in actual.objects.iter().filter(|(key, _)| of_kind(key)) {
            outlook.before.objects.insert(key.clone(), held.body.clone());
            // What is ours and declared no longer goes.
            if !held.owned || others(key, held) {
                outlook.after.objects.insert(key.clone(), held.body.clone());
            }
        }
        for (key, body) in desired.objects.iter().filter(|(key, _)| of_kind(key)) {
            // What others manage is left as it is.
            if !actual.objects.get(key).is_some_and(|held| others(key, held)) {
                outlook.after.objects.insert(key.clone(), body.clone());
            }
        }
        outlook
    }

    /// The settings that the next index of a stream gets on one of the sides.
    pub fn settings(&self, side: &Desired, stream: &str) -> BTreeMap<String, String> {
        resolve::template_for(side, stream).map(|template| resolve::settings(side, template)).unwrap_or_default()
    }
}

//! This module refuses changes of objects that others manage. Pure.

use super::Refusal;
use crate::{
    actual::{Actual, Held},
    desired::Kind,
};

/// Returns the reason why an object must not change: the operator or Elasticsearch manages it.
pub fn foreign(actual: &Actual, kind: Kind, name: &str, held: &Held) -> Option<Refusal> {
    let why = if actual.reserved.contains(&(kind, name.to_owned())) {
        "the operator manages it in files (reserved state), and Elasticsearch accepts changes only there; change it there"
            .to_owned()
    } else if held.managed {
        "Elasticsearch manages it itself (_meta.managed); declare an object with another name".to_owned()
    } else {
        return None;
    };
    Some(Refusal { kind: kind.name(), name: name.to_owned(), why, flag: None })
}

//! This module refuses to change what others manage. Pure.

use super::Refusal;
use crate::{
    actual::{Actual, Held},
    desired::Kind,
};

/// Why an object must stay as it is: the operator or Elasticsearch manages it.
pub fn foreign(actual: &Actual, kind: Kind, name: &str, held: &Held) -> Option<Refusal> {
    let why = if actual.reserved.contains(&(kind, name.to_owned())) {
        "the operator manages it in files (reserved state), and Elasticsearch takes no other change; change it there".to_owned()
    } else if held.managed {
        "Elasticsearch manages it itself (_meta.managed); declare one of another name".to_owned()
    } else {
        return None;
    };
    Some(Refusal { kind: kind.name(), name: name.to_owned(), why, flag: None })
}

//! This module refuses changes of objects that others manage. Pure.

use super::{Allowed, PlanRefusal};
use crate::{
    actual::{Actual, Held},
    desired::{Desired, ObjectKind, ObjectOwner},
};

/// The flag that treats the objects of another owner as this folder's.
pub const TAKE_OVER: &str = "--take-over";

/// Returns the reason why an object must not change: the operator, Elasticsearch or another owner manages it.
pub fn foreign(
    desired: &Desired,
    actual: &Actual,
    allowed: &Allowed,
    kind: ObjectKind,
    name: &str,
    held: &Held,
) -> Option<PlanRefusal> {
    let (why, flag) = if actual.reserved.contains(&(kind, name.to_owned())) {
        let why =
            "the operator manages it in files (reserved state), and Elasticsearch accepts changes only there; change it there";
        (why.to_owned(), None)
    } else if held.managed {
        ("Elasticsearch manages it itself (_meta.managed); declare an object with another name".to_owned(), None)
    } else if let Some(ObjectOwner::Named(other)) = &held.owner
        && !is_own(desired, allowed, other)
    {
        let why = format!("it belongs to the owner {other}; declare it in one folder only, or under another name");
        (why, Some(format!("{TAKE_OVER} {other}")))
    } else {
        return None;
    };
    Some(PlanRefusal { kind: kind.name(), name: name.to_owned(), why, flag })
}

/// Whether this program created an object for these declarations, and may delete it.
pub fn owned(desired: &Desired, allowed: &Allowed, held: &Held) -> bool {
    matches!(&held.owner, Some(ObjectOwner::Named(owner)) if is_own(desired, allowed, owner))
}

/// Returns the reason why an object that is declared no longer stays, although this program created it: nobody knows for
/// which folder.
pub fn unnamed(desired: &Desired, kind: ObjectKind, name: &str, held: &Held) -> Option<PlanRefusal> {
    let why = match (&held.owner, &desired.owner) {
        (Some(ObjectOwner::Unnamed), None) => {
            "these declarations name no owner, so nothing is deleted; add owner.yaml, then apply"
        }
        (Some(ObjectOwner::Unnamed), Some(_)) => {
            "its mark names no owner; delete it by hand, or declare it again, apply, and then remove the declaration"
        }
        _ => return None,
    };
    Some(PlanRefusal { kind: kind.name(), name: name.to_owned(), why: why.to_owned(), flag: None })
}

fn is_own(desired: &Desired, allowed: &Allowed, owner: &str) -> bool {
    desired.owner.as_deref() == Some(owner) || desired.owner.is_some() && allowed.take_over.contains(owner)
}

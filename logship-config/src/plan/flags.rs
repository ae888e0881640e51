//! This module checks the names that a command line allows: a misspelt name would allow nothing. Pure.

use super::{Allowed, foreign::TAKE_OVER, guard::SHORTER_RETENTION};
use crate::{
    actual::Actual,
    desired::{Desired, ObjectKind, ObjectOwner},
};

/// # Errors
/// Returns the fault of a flag whose name is neither declared nor in the cluster.
pub fn check_allowed(desired: &Desired, actual: &Actual, allowed: &Allowed) -> Result<(), String> {
    let guarded = [ObjectKind::LifecyclePolicy, ObjectKind::SnapshotPolicy];
    for name in &allowed.shorter_retention {
        let object = |kind: ObjectKind| desired.body(kind, name).is_some() || actual.objects.contains_key(&(kind, name.clone()));
        let stream = desired.streams.contains_key(name) || actual.streams.contains_key(name);
        if !stream && !guarded.into_iter().any(object) {
            return Err(format!(
                "{SHORTER_RETENTION} {name}: no lifecycle policy, snapshot policy or data stream has this name; write the name \
                 that plan prints"
            ));
        }
    }
    for owner in &allowed.take_over {
        let Some(own) = &desired.owner else {
            return Err(format!("{TAKE_OVER} {owner}: the declarations name no owner; add owner.yaml"));
        };
        let known = actual.objects.values().any(|held| held.owner == Some(ObjectOwner::Named(owner.clone())));
        if !known && own != owner {
            return Err(format!(
                "{TAKE_OVER} {owner}: no object of the cluster belongs to this owner; write the name that plan prints"
            ));
        }
    }
    Ok(())
}

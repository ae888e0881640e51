//! This module checks names of objects. Sources: LifecyclePolicy.validatePolicyName,
//! MetadataCreateIndexService.validateIndexOrAliasName, "Create data stream API", "Snapshot repository".

use super::Checked;
use crate::desired::ObjectKind;

const LONGEST_BYTES: usize = 255;
/// Characters that no index, template or stream name may contain.
const FORBIDDEN: [char; 11] = ['\\', '/', '*', '?', '"', '<', '>', '|', ' ', ',', '#'];

/// SnapshotLifecyclePolicy.validate.
const NOT_IN_SNAPSHOT_POLICIES: [char; 8] = ['\\', '/', '*', '?', '"', '<', '>', '|'];

pub fn check_name(kind: ObjectKind, name: &str, checked: &mut Checked) {
    if let Some((wrong, remedy)) = wrong(kind, name) {
        checked.fault(&[], format!("is named {name:?}, which {wrong}"), remedy);
    }
}

/// Returns the fault of a name and the remedy.
pub fn wrong(kind: ObjectKind, name: &str) -> Option<(String, &'static str)> {
    let rename = "choose another name";
    if name.len() > LONGEST_BYTES {
        return Some((format!("has {} bytes", name.len()), "choose a name of at most 255"));
    }
    if name.is_empty() || name.contains([',', ' ']) {
        return Some(("is empty or contains a comma or space".into(), rename));
    }
    match kind {
        ObjectKind::SnapshotPolicy if name.contains(NOT_IN_SNAPSHOT_POLICIES) => {
            Some(("contains one of \\ / * ? \" < > |".into(), rename))
        }
        ObjectKind::LifecyclePolicy | ObjectKind::SnapshotPolicy if name.starts_with('_') => {
            Some(("begins with an underscore".into(), rename))
        }
        ObjectKind::ComponentTemplate | ObjectKind::IndexTemplate | ObjectKind::Repository
            if name.starts_with('_') || name.contains(FORBIDDEN) =>
        {
            Some(("begins with an underscore or contains one of \\ / * ? \" < > | #".into(), rename))
        }
        ObjectKind::ComponentTemplate | ObjectKind::IndexTemplate if name != name.to_lowercase() => {
            Some(("contains capital letters".into(), "write it in lower case"))
        }
        ObjectKind::DataStream => stream(name).map(|wrong| (wrong, rename)),
        _ => None,
    }
}

fn stream(name: &str) -> Option<String> {
    if name != name.to_lowercase() {
        return Some("contains capital letters".into());
    }
    if name.contains(FORBIDDEN) || name.contains(':') {
        return Some("contains one of \\ / * ? \" < > | # :".into());
    }
    if name.starts_with(['-', '_', '+', '.']) {
        return Some("begins with one of - _ + .".into());
    }
    None
}

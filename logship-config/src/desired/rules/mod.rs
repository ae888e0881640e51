//! This module checks the rules of Elasticsearch 9 that need no cluster. Each fault names file, line, place, rule and
//! remedy.

mod analysis;
mod built_in;
mod checked;
mod cron;
mod date_math;
mod index;
mod lifecycle;
mod names;
mod owner;
mod pipeline;
mod references;
mod setting_table;
mod setting_values;
mod settings;
mod snapshot;
mod streams;
mod template;

use serde_json::Value;

use super::ObjectKind;

pub use built_in::is_built_in;
pub use checked::Checked;
pub use owner::owner;
pub use references::references;
pub use streams::streams;

/// Elasticsearch marks its own objects so, and `plan` does not change them. A declared object with the mark would be created
/// once and then never changed.
fn not_managed(kind: ObjectKind, checked: &mut Checked) {
    let meta: checked::At = match kind {
        ObjectKind::SnapshotPolicy => &["config", "metadata", "managed"],
        _ => &["_meta", "managed"],
    };
    if checked.value(meta) == Some(&Value::Bool(true)) {
        checked.fault(meta, "marks an object as Elasticsearch's own, and this program does not change such objects", "remove it");
    }
}

/// Checks every rule of one object.
pub fn object(kind: ObjectKind, name: &str, checked: &mut Checked) {
    names::check_name(kind, name, checked);
    not_managed(kind, checked);
    match kind {
        ObjectKind::LifecyclePolicy => lifecycle::check_lifecycle_policy(checked),
        ObjectKind::ComponentTemplate => template::component(checked),
        ObjectKind::IndexTemplate => template::index(checked),
        ObjectKind::Pipeline => pipeline::pipeline(checked),
        ObjectKind::Repository => snapshot::check_repository(checked),
        ObjectKind::SnapshotPolicy => snapshot::check_snapshot_policy(checked),
        ObjectKind::DataStream => {}
    }
}

//! The rules of Elasticsearch 9 that can be asked without a cluster. Each fault names file, line, place, rule and remedy.

mod checked;
mod index;
mod lifecycle;
mod names;
mod pipeline;
mod references;
mod snapshot;
mod streams;
mod template;

use super::Kind;

pub use checked::Checked;
pub use references::references;
pub use streams::streams;

/// Asks every rule about one object.
pub fn object(kind: Kind, name: &str, checked: &mut Checked) {
    names::check(kind, name, checked);
    match kind {
        Kind::LifecyclePolicy => lifecycle::policy(checked),
        Kind::ComponentTemplate => template::component(checked),
        Kind::IndexTemplate => template::index(checked),
        Kind::Pipeline => pipeline::pipeline(checked),
        Kind::Repository => snapshot::repository(checked),
        Kind::SnapshotPolicy => snapshot::policy(checked),
        Kind::DataStream => {}
    }
}

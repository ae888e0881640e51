//! This module holds the declared content of a cluster. It parses the files with line numbers and validates them offline.
//! Pure apart from reading the files.
//!
//! ```text
//! policies/<name>.yaml               index lifecycle policy: phases
//! templates/components/<name>.yaml   component template
//! templates/index/<name>.yaml        index template
//! pipelines/<name>.yaml              ingest pipeline
//! snapshots/repositories/<name>.yaml snapshot repository
//! snapshots/policies/<name>.yaml     snapshot lifecycle policy
//! streams.yaml                       data streams, each with its lifecycle, failure store, protection and budget
//! owner.yaml                         name of the owner of these declarations
//! ```
//!
//! A file's name is the object's name, its content the body of Elasticsearch's API.

mod fault;
mod load;
pub mod resolve;
mod rules;
pub mod stream;

use std::{collections::BTreeMap, fmt};

use serde_json::Value;

pub use fault::{DeclaredFault, DeclaredFaults};
pub use load::{load_desired, read_files};
pub use rules::is_built_in;
pub use stream::{DiskBudget, Stream};

/// Marks an object as created by this program for an owner, so that this program may remove it after that owner's declaration
/// is removed: `logship/exchange`. Without an owner's name the mark is `logship`.
pub const OWNER_KEY: &str = "managed_by";
const PROGRAM: &str = "logship";

/// The owner that an object's mark names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectOwner {
    /// Marked without a name: by an earlier release, or from a folder without `owner.yaml`.
    Unnamed,
    Named(String),
}

impl ObjectOwner {
    /// `None` if this program did not set the mark.
    pub fn of_mark(mark: &str) -> Option<Self> {
        match mark.strip_prefix(PROGRAM)?.split_once('/') {
            None => (mark == PROGRAM).then_some(Self::Unnamed),
            Some(("", name)) => Some(Self::Named(name.to_owned())),
            Some(_) => None,
        }
    }
}

/// Kinds of declared objects, in the order of application: a referenced kind comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    Pipeline,
    Repository,
    SnapshotPolicy,
    LifecyclePolicy,
    ComponentTemplate,
    IndexTemplate,
    DataStream,
}

impl ObjectKind {
    pub const ALL: [Self; 7] = [
        Self::Pipeline,
        Self::Repository,
        Self::SnapshotPolicy,
        Self::LifecyclePolicy,
        Self::ComponentTemplate,
        Self::IndexTemplate,
        Self::DataStream,
    ];

    /// The name in the command line and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pipeline => "pipeline",
            Self::Repository => "repository",
            Self::SnapshotPolicy => "snapshot_policy",
            Self::LifecyclePolicy => "lifecycle_policy",
            Self::ComponentTemplate => "component_template",
            Self::IndexTemplate => "index_template",
            Self::DataStream => "data_stream",
        }
    }

    /// The folder of its files; `None` for data streams, which share a file.
    pub const fn folder(self) -> Option<&'static str> {
        match self {
            Self::Pipeline => Some("pipelines"),
            Self::Repository => Some("snapshots/repositories"),
            Self::SnapshotPolicy => Some("snapshots/policies"),
            Self::LifecyclePolicy => Some("policies"),
            Self::ComponentTemplate => Some("templates/components"),
            Self::IndexTemplate => Some("templates/index"),
            Self::DataStream => None,
        }
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// An object by kind and name. Sorts in the order of application.
pub type ObjectKey = (ObjectKind, String);

/// All valid declarations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Desired {
    /// Bodies as they are sent, with the ownership mark. Without data streams.
    pub objects: BTreeMap<ObjectKey, Value>,
    pub streams: BTreeMap<String, Stream>,
    /// `None`: the folder names no owner, and no object is deleted.
    pub owner: Option<String>,
}

impl Desired {
    /// The value of [`OWNER_KEY`] in the objects of these declarations.
    pub fn mark(owner: Option<&str>) -> String {
        owner.map_or_else(|| PROGRAM.to_owned(), |owner| format!("{PROGRAM}/{owner}"))
    }

    pub fn body(&self, kind: ObjectKind, name: &str) -> Option<&Value> {
        self.objects.get(&(kind, name.to_owned()))
    }

    /// Returns the objects of a kind by name.
    pub fn of(&self, kind: ObjectKind) -> impl Iterator<Item = (&str, &Value)> {
        self.objects.iter().filter(move |((of, _), _)| *of == kind).map(|((_, name), body)| (name.as_str(), body))
    }
}

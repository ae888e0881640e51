//! This module names objects of the bucket that belong to another history. It must not load or delete one.

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    pub key: String,
    /// Last sequence of the object.
    pub sequence: i64,
    pub kind: ForeignKind,
    /// An operator declared the object's history lost.
    pub declared: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignKind {
    Snapshot,
    Archive,
    Shipped,
}

impl ForeignKind {
    pub const ALL: [Self; 3] = [Self::Snapshot, Self::Archive, Self::Shipped];

    /// Value of the metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Archive => "archive",
            Self::Shipped => "shipped",
        }
    }
}

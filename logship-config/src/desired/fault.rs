//! This module describes the faults of the declared files.

use std::fmt;

use service_kit::yaml::FileFault;

/// One fault of a declared file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeclaredFault {
    /// The file, relative to the declared folder.
    pub file: String,
    pub fault: FileFault,
}

impl DeclaredFault {
    /// A fault of the whole file.
    pub(super) fn whole(file: &str, wrong: &str, remedy: &str) -> Self {
        Self { file: file.to_owned(), fault: FileFault::new(0, "", wrong, remedy) }
    }
}

impl fmt::Display for DeclaredFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.in_file(&self.file).fmt(formatter)
    }
}

/// All faults of the declared files.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
pub struct DeclaredFaults(pub Vec<DeclaredFault>);

impl fmt::Display for DeclaredFaults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "" } else { "s" };
        write!(formatter, "the declared files have {} fault{plural}:", self.0.len())?;
        self.0.iter().try_for_each(|fault| write!(formatter, "\n  {fault}"))
    }
}

//! This module describes a fault in a file: the place and the remedy.

use std::fmt;

/// One fault at one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The file, relative to the declared folder.
    pub file: String,
    /// The first line is 1; 0 if the fault has no line.
    pub line: usize,
    /// The place, such as `phases.hot.actions`; empty for the whole document.
    pub path: String,
    /// The fault, as the end of a sentence that begins with the place.
    pub wrong: String,
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}: ", self.file)?,
            line => write!(formatter, "{}:{line}: ", self.file)?,
        }
        if !self.path.is_empty() {
            write!(formatter, "{} ", self.path)?;
        }
        write!(formatter, "{}; {}", self.wrong, self.remedy)
    }
}

/// All faults of the declared files.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "" } else { "s" };
        write!(formatter, "the declared files have {} fault{plural}:", self.0.len())?;
        self.0.iter().try_for_each(|fault| write!(formatter, "\n  {fault}"))
    }
}

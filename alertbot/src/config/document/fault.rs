//! This module formats faults of the file with their place and fix.

use std::fmt;

/// One fault at one place. Must not contain the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1; 0 if the fault has no line (a whole section is missing).
    pub line: usize,
    /// Place, as `routes[2].chats`; empty for the document.
    pub path: String,
    /// The fault, as the end of a sentence that begins with the place.
    pub wrong: String,
    pub remedy: String,
}

impl Fault {
    pub fn new(line: usize, path: &str, wrong: &str, remedy: &str) -> Self {
        Self { line, path: path.to_owned(), wrong: wrong.to_owned(), remedy: remedy.to_owned() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => formatter.write_str("the file: ")?,
            line => write!(formatter, "line {line}: ")?,
        }
        if !self.path.is_empty() {
            write!(formatter, "{} ", self.path)?;
        }
        write!(formatter, "{}; {}", self.wrong, self.remedy)
    }
}

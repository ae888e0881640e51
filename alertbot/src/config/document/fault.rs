//! What is wrong with the file, told so that the reader knows where to look and what to write.

use std::fmt;

/// One thing wrong at one place. Never holds the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The first line is 1; 0 when the fault is in no line (a whole section is missing).
    pub line: usize,
    /// The place, as `routes[2].chats`; empty for the document.
    pub path: String,
    /// What is wrong, as the end of a sentence that begins with the place.
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

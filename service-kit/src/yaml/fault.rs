//! This module states a fault of a file: place, problem, remedy.

use std::fmt;

/// One fault at one place. Must not contain the value of a secret.
///
/// Sorts in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileFault {
    /// Counted from 1; 0 if the fault has no line (a whole section is missing).
    pub line: usize,
    /// The key, as `routes[2].chats`; empty for the document.
    pub path: String,
    /// The problem, as the end of a sentence that begins with the key.
    pub wrong: String,
    pub remedy: String,
}

impl FileFault {
    pub fn new(line: usize, path: &str, wrong: &str, remedy: &str) -> Self {
        Self { line, path: path.to_owned(), wrong: wrong.to_owned(), remedy: remedy.to_owned() }
    }

    /// The fault with the name of its file: `file:line: key: problem; remedy`.
    pub fn in_file<'a>(&'a self, file: &'a str) -> impl fmt::Display + 'a {
        fmt::from_fn(move |formatter| match self.line {
            0 => write!(formatter, "{file}: {self}"),
            line => write!(formatter, "{file}:{line}: {self}"),
        })
    }
}

/// `key: problem; remedy`.
impl fmt::Display for FileFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path)?;
        }
        write!(formatter, "{}; {}", self.wrong, self.remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_file_line_key_problem_and_remedy() {
        let fault = FileFault::new(9, "workers", "is 0, outside 1 to 64", "choose a value within the bounds");
        let stated = fault.in_file("shop.yaml").to_string();
        assert_eq!(stated, "shop.yaml:9: workers: is 0, outside 1 to 64; choose a value within the bounds");
        let whole = FileFault::new(0, "", "cannot be read", "correct the path");
        assert_eq!(whole.in_file("shop.yaml").to_string(), "shop.yaml: cannot be read; correct the path");
    }
}

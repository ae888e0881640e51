//! This module describes the faults of settings. Each fault names the variable and how to correct it.

use std::fmt;

/// One fault of one variable. It must never hold the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The variable.
    pub name: String,
    /// The fault as the end of a sentence that begins with the name.
    pub wrong: String,
    /// The correction, as an imperative.
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}; {}", self.name, self.wrong, self.remedy)
    }
}

/// Every fault of a configuration. A program prints its `Display` before it exits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFaults(Vec<Fault>);

impl ConfigFaults {
    pub(super) fn new(faults: Vec<Fault>) -> Self {
        Self(faults)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }

    #[expect(clippy::len_without_is_empty, reason = "it holds at least one fault")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for ConfigFaults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "" } else { "s" };
        write!(formatter, "the configuration has {} fault{plural}:", self.0.len())?;
        self.0.iter().try_for_each(|fault| write!(formatter, "\n  {fault}"))
    }
}

impl std::error::Error for ConfigFaults {}

/// Largest edit distance, exclusive, at which a name counts as a misspelling of another.
const MISSPELLING_DISTANCE: usize = 4;

/// The known name that `name` is most likely a misspelling of.
pub fn nearest(name: &str, known: impl IntoIterator<Item = String>) -> Option<String> {
    let nearest = known.into_iter().map(|known| (distance(name, &known), known)).min();
    nearest.filter(|(near, _)| *near < MISSPELLING_DISTANCE).map(|(_, known)| known)
}

pub(super) fn unknown(name: &str, known: impl Iterator<Item = String>) -> Fault {
    let remedy = match nearest(name, known) {
        Some(known) => format!("did you mean {known}? Otherwise remove it"),
        None => "remove it, or find the right name in the settings that --help lists".to_owned(),
    };
    Fault { name: name.to_owned(), wrong: "is not a setting of this program".into(), remedy }
}

/// Levenshtein's edit distance, in one row.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, from) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, to) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn distance_counts_single_edits() {
        for (left, right, edits) in [("", "", 0), ("a", "", 1), ("", "ab", 2), ("listn", "listen", 1), ("kitten", "sitting", 3)] {
            assert_eq!(distance(left, right), edits, "{left} {right}");
        }
    }
}

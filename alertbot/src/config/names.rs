//! This module checks names that parts of the file define and others refer to. A reference to an undefined name is a fault at its
//! line.

use service_kit::config::nearest;

use super::document::Section;

/// The defined names of one kind.
#[derive(Debug, Clone)]
pub struct Names {
    /// The kind, as in "no person has this name".
    what: &'static str,
    /// The section that defines them: `people`.
    key: &'static str,
    names: Vec<String>,
}

impl Names {
    /// The names in a list of sections. A duplicate is a fault.
    pub(super) fn of(what: &'static str, key: &'static str, sections: &[Section]) -> Self {
        let mut names: Vec<String> = Vec::new();
        for section in sections {
            let name: String = section.required("name", &format!("a short name of the {what}, for references in the file"));
            let well_formed = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
            if !name.is_empty() && (!well_formed || name.len() > NAME_BYTES) {
                let remedy = format!("use at most {NAME_BYTES} of a-z, A-Z, 0-9, -, _ and .");
                section.fault("name", "is not a valid name", &remedy);
            } else if !name.is_empty() && names.contains(&name) {
                section.fault("name", &format!("is {name}, the name of another {what}"), "choose another name");
            }
            names.push(name);
        }
        Self { what, key, names }
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The name of the section at this index.
    pub(super) fn at(&self, index: usize) -> String {
        self.names[index].clone()
    }

    pub(super) fn first(&self) -> Option<&str> {
        self.names.first().map(String::as_str)
    }

    pub(super) fn check(&self, section: &Section, key: &str, name: &str, line: usize) {
        if name.is_empty() || self.names.iter().any(|known| known == name) {
            return;
        }
        let remedy = match (nearest(name, self.names.iter().cloned()), self.names.is_empty()) {
            (Some(known), _) => format!("did you mean {known}?"),
            (None, true) => format!("add it to `{}`, which is empty or missing", self.key),
            (None, false) => format!("add it to `{}`, or use one of: {}", self.key, self.names.join(", ")),
        };
        section.fault_at(line, key, &format!("is {name:?}, but no {} has this name", self.what), &remedy);
    }

    /// An optional reference.
    pub(super) fn optional(&self, section: &Section, key: &'static str) -> Option<String> {
        let name: String = section.optional(key)?;
        self.check(section, key, &name, section.line_of(key));
        Some(name)
    }

    /// A list of references without duplicates.
    pub(super) fn list(&self, section: &Section, key: &'static str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (name, line) in self.references(section, key) {
            if names.contains(&name) {
                section.fault_at(line, key, &format!("names {name} twice"), "remove the duplicate");
            }
            names.push(name);
        }
        names
    }

    /// A list of references that may repeat, such as a person with two turns in a round.
    pub(super) fn list_with_repeats(&self, section: &Section, key: &'static str) -> Vec<String> {
        self.references(section, key).into_iter().map(|(name, _)| name).collect()
    }

    fn references(&self, section: &Section, key: &'static str) -> Vec<(String, usize)> {
        let references = section.list::<String>(key);
        references.iter().for_each(|(name, line)| self.check(section, key, name, *line));
        references
    }
}

/// Names are used in button data, paths and metric labels.
const NAME_BYTES: usize = 32;

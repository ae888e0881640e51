//! This module provides the getters: one key in, one value or one fault out. Like [`service_kit::config::SettingsReader`], a getter that
//! finds a fault returns a placeholder, so that reading continues and all faults are reported at once.
//!
//! A key that no getter asked for is a fault too. A section reports it when it is dropped.

use std::{
    cell::{Cell, RefCell},
    ops::RangeInclusive,
};

use service_kit::{
    config::{Secret, SettingsReader, nearest},
    yaml::{Content, FileFault, Node, YamlEntry},
};

use super::value::Value;

/// State shared by all sections of one file.
pub struct Reading<'a> {
    faults: RefCell<Vec<FileFault>>,
    environment: RefCell<&'a mut SettingsReader>,
    /// Required prefix of secret names.
    prefix: &'a str,
}

impl<'a> Reading<'a> {
    pub fn new(environment: &'a mut SettingsReader, prefix: &'a str) -> Self {
        Self { faults: RefCell::default(), environment: RefCell::new(environment), prefix }
    }

    pub fn push(&self, line: usize, path: &str, wrong: &str, remedy: &str) {
        self.faults.borrow_mut().push(FileFault::new(line, path, wrong, remedy));
    }

    /// In the order of the file.
    pub fn take_faults(&self) -> Vec<FileFault> {
        let mut faults = self.faults.take();
        faults.sort_by_key(|fault| fault.line);
        faults
    }

    /// `${NAME}`: a secret from the environment variable `NAME`, or from the file named by `NAME_FILE`.
    fn secret(&self, node: &Node, path: &str, help: &str) -> Option<Secret> {
        let Content::Scalar(text) = &node.content else {
            self.push(node.line, path, &format!("is {}", node.content.kind()), &self.secret_remedy());
            return None;
        };
        let name = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        let well_formed = |name: &&str| {
            let rest = name.strip_prefix(self.prefix).and_then(|rest| rest.strip_prefix('_')).unwrap_or("");
            !rest.is_empty() && rest.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        };
        match name.filter(well_formed) {
            Some(name) => {
                let help = format!("{help} ({path}, line {})", node.line);
                Some(self.environment.borrow_mut().secret(name, &help))
            }
            None => {
                self.push(node.line, path, "is not a reference to a secret", &self.secret_remedy());
                None
            }
        }
    }

    fn secret_remedy(&self) -> String {
        format!(
            "do not write secrets into this file: write ${{{0}_SOME_NAME}} and set that variable, or {0}_SOME_NAME_FILE to a path",
            self.prefix
        )
    }
}

/// One mapping of the file.
pub struct Section<'a> {
    reading: &'a Reading<'a>,
    path: String,
    line: usize,
    entries: &'a [YamlEntry],
    asked: RefCell<Vec<&'static str>>,
    /// The section's kind is unknown, so its valid keys are unknown too, and unknown keys are not reported.
    kind_unknown: Cell<bool>,
}

impl<'a> Section<'a> {
    /// `None`, and a fault, if the node is not a mapping. An empty node has no keys.
    pub fn of(reading: &'a Reading<'a>, node: &'a Node, path: &str) -> Option<Self> {
        let entries: &[YamlEntry] = match &node.content {
            Content::Mapping(entries) => entries,
            Content::Null => &[],
            other => {
                reading.push(node.line, path, &format!("is {}", other.kind()), "write `name: value` lines, indented below it");
                return None;
            }
        };
        for (index, entry) in entries.iter().enumerate() {
            if let Some(first) = entries[..index].iter().find(|earlier| earlier.key == entry.key) {
                let wrong = format!("is set twice (first in line {})", first.line);
                reading.push(entry.line, &join(path, &entry.key), &wrong, "remove one of them");
            }
        }
        Some(Self {
            reading,
            path: path.to_owned(),
            line: node.line,
            entries,
            asked: RefCell::default(),
            kind_unknown: Cell::new(false),
        })
    }

    pub fn line(&self) -> usize {
        self.line
    }

    /// The line of a key, or of the section if the key is missing.
    pub fn line_of(&self, key: &str) -> usize {
        self.entries.iter().find(|entry| entry.key == key).map_or(self.line, |entry| entry.line)
    }

    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    pub fn keys(&self) -> impl Iterator<Item = (&'a str, usize)> {
        self.entries.iter().map(|entry| (entry.key.as_str(), entry.line))
    }

    /// Accepts a key whose name is data (the name of a severity or a template). The caller then checks unknown keys.
    pub fn any_key(&self) {
        self.kind_unknown.set(true);
    }

    /// A violated rule that only the reader of the section knows.
    pub fn fault(&self, key: &str, wrong: &str, remedy: &str) {
        self.reading.push(self.line_of(key), &self.path_of(key), wrong, remedy);
    }

    pub fn fault_at(&self, line: usize, key: &str, wrong: &str, remedy: &str) {
        self.reading.push(line, &self.path_of(key), wrong, remedy);
    }

    pub fn required<T: Value>(&self, key: &'static str, help: &str) -> T {
        match self.node(key) {
            Some(node) => self.scalar(node, key).unwrap_or_else(T::stand_in),
            None => {
                self.missing(key, help);
                T::stand_in()
            }
        }
    }

    pub fn or<T: Value>(&self, key: &'static str, default: T) -> T {
        match self.node(key) {
            Some(node) => self.scalar(node, key).unwrap_or(default),
            None => default,
        }
    }

    pub fn or_within<T: Value + PartialOrd + std::fmt::Debug>(
        &self,
        key: &'static str,
        default: T,
        bounds: RangeInclusive<T>,
    ) -> T {
        let Some(node) = self.node(key) else { return default };
        match self.scalar(node, key) {
            Some(value) if bounds.contains(&value) => value,
            Some(value) => {
                let wrong = format!("is {value:?}, outside {:?} to {:?}", bounds.start(), bounds.end());
                self.fault(key, &wrong, "choose a value within the bounds");
                default
            }
            None => default,
        }
    }

    pub fn optional<T: Value>(&self, key: &'static str) -> Option<T> {
        self.node(key).and_then(|node| self.scalar(node, key))
    }

    /// A list of single values, each with its line. A single value counts as a list of one.
    pub fn list<T: Value>(&self, key: &'static str) -> Vec<(T, usize)> {
        self.items(key).into_iter().filter_map(|(node, path)| Some((self.value(node, &path)?, node.line))).collect()
    }

    pub fn section(&self, key: &'static str) -> Option<Section<'a>> {
        let node = self.node(key)?;
        Section::of(self.reading, node, &self.path_of(key))
    }

    /// A section that is present, empty or not. Missing keys have their defaults.
    pub fn section_or_empty(&self, key: &'static str) -> Section<'a> {
        self.section(key).unwrap_or_else(|| Section {
            reading: self.reading,
            path: self.path_of(key),
            line: self.line_of(key),
            entries: &[],
            asked: RefCell::default(),
            kind_unknown: Cell::new(false),
        })
    }

    /// A list of sections.
    pub fn sections(&self, key: &'static str) -> Vec<Section<'a>> {
        let items = self.items(key);
        items.into_iter().filter_map(|(node, path)| Section::of(self.reading, node, &path)).collect()
    }

    pub fn required_sections(&self, key: &'static str, help: &str) -> Vec<Section<'a>> {
        self.at_least_one(key, help);
        self.sections(key)
    }

    pub fn secret(&self, key: &'static str, help: &str) -> Secret {
        match self.node(key) {
            Some(node) => self.reading.secret(node, &self.path_of(key), help).unwrap_or_default(),
            None => {
                self.missing(key, &format!("{help}, as ${{{}_SOME_NAME}}", self.reading.prefix));
                Secret::default()
            }
        }
    }

    pub fn optional_secret(&self, key: &'static str, help: &str) -> Option<Secret> {
        self.node(key).and_then(|node| self.reading.secret(node, &self.path_of(key), help))
    }

    pub fn secrets(&self, key: &'static str, help: &str) -> Vec<Secret> {
        self.items(key).into_iter().filter_map(|(node, path)| self.reading.secret(node, &path, help)).collect()
    }

    /// A key's value under a name that is data. See [`Section::any_key`].
    pub fn data<T: Value>(&self, key: &str) -> Option<T> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        self.value(&entry.value, &self.path_of(key))
    }

    /// A secret under a name that is data.
    pub fn data_secret(&self, key: &str, help: &str) -> Option<Secret> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        self.reading.secret(&entry.value, &self.path_of(key), help)
    }

    /// A section under a name that is data.
    pub fn data_section(&self, key: &str) -> Option<Section<'a>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Section::of(self.reading, &entry.value, &self.path_of(key))
    }

    fn node(&self, key: &'static str) -> Option<&'a Node> {
        self.asked.borrow_mut().push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        if entry.value.content == Content::Null {
            self.fault(key, "is empty", "set a value, or remove the key");
            return None;
        }
        Some(&entry.value)
    }

    fn items(&self, key: &'static str) -> Vec<(&'a Node, String)> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let path = self.path_of(key);
        match &node.content {
            Content::Sequence(items) => {
                items.iter().enumerate().map(|(index, item)| (item, format!("{path}[{index}]"))).collect()
            }
            _ => vec![(node, path)],
        }
    }

    /// A list that must not be empty.
    pub fn at_least_one(&self, key: &'static str, help: &str) {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        match entry.map(|entry| &entry.value.content) {
            None => self.missing(key, help),
            Some(Content::Sequence(items)) if items.is_empty() => {
                self.fault(key, "is an empty list", &format!("add at least one: {help}"));
            }
            _ => {}
        }
    }

    fn missing(&self, key: &str, help: &str) {
        if self.entries.iter().all(|entry| entry.key != key) {
            self.reading.push(self.line, &self.path_of(key), "is missing", &format!("set it: {help}"));
        }
    }

    fn scalar<T: Value>(&self, node: &Node, key: &str) -> Option<T> {
        self.value(node, &self.path_of(key))
    }

    fn value<T: Value>(&self, node: &Node, path: &str) -> Option<T> {
        let Content::Scalar(text) = &node.content else {
            let wrong = format!("is {}, not a single value", node.content.kind());
            self.reading.push(node.line, path, &wrong, &format!("write it as {}", T::SHAPE));
            return None;
        };
        let value = T::parse(text);
        if value.is_none() {
            let wrong = if T::SHOWN { format!("is {}, which is invalid", shown(text)) } else { "is invalid".to_owned() };
            self.reading.push(node.line, path, &wrong, &format!("write it as {}", T::SHAPE));
        }
        value
    }

    fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        if self.kind_unknown.get() {
            return;
        }
        let asked = self.asked.borrow();
        for entry in self.entries.iter().filter(|entry| !asked.contains(&entry.key.as_str())) {
            let remedy = match nearest(&entry.key, asked.iter().map(|key| (*key).to_owned())) {
                Some(known) => format!("did you mean {known}? Otherwise remove it"),
                None => format!("remove it; valid keys: {}", known_keys(&asked)),
            };
            self.reading.push(entry.line, &join(&self.path, &entry.key), "is not a setting", &remedy);
        }
    }
}

fn known_keys(asked: &[&str]) -> String {
    let mut keys: Vec<_> = asked.to_vec();
    keys.sort_unstable();
    keys.dedup();
    keys.join(", ")
}

fn join(path: &str, key: &str) -> String {
    match (path.is_empty(), key.is_empty()) {
        (true, _) => key.to_owned(),
        (_, true) => path.to_owned(),
        _ => format!("{path}.{key}"),
    }
}

/// Longer values are cut in a fault. The line number identifies the place.
const SHOWN_CHARACTERS: usize = 60;

fn shown(text: &str) -> String {
    let mut cut: String = text.chars().take(SHOWN_CHARACTERS).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    format!("{cut:?}")
}

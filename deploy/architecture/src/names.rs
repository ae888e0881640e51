//! This module finds names with two meanings, and judges them by `names.txt`.
//!
//! - A type that other modules can name has one definition in the workspace.
//! - A type that only its module can name shares its name with no other type of its crate.
//! - A free function of one word (`read`, `check`) that other modules can name has one definition in its crate.
//! - `names.txt` lists the exceptions: the name, every module that defines it, and the meaning that these definitions share.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};

use crate::source::Crate;

/// A name and the scope in which it must be unique.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameScope {
    Type(String),
    /// Crate and type, if a definition is private.
    Private(String, String),
    /// Crate and function.
    Function(String, String),
}

impl std::fmt::Display for NameScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Type(name) => write!(f, "type {name}"),
            Self::Private(of, name) => write!(f, "private type {name} of {of}"),
            Self::Function(of, name) => write!(f, "function {name} of {of}"),
        }
    }
}

/// The exceptions of `names.txt`.
#[derive(Debug, Default)]
pub struct Exceptions {
    shared: BTreeMap<NameScope, BTreeSet<String>>,
    /// Modules whose types are not compared.
    apart: Vec<String>,
}

impl Exceptions {
    /// Reads `type <name> | <modules> | <meaning>`, `private <crate> <name> | …`, `function <crate> <name> | <modules> | <reason>`
    /// and `apart <module> | <reason>`, one a line.
    ///
    /// # Errors
    /// Returns an error that names the line if it has another form, no reason, or fewer than two modules.
    pub fn parse(text: &str) -> Result<Self> {
        let mut read = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            read.line(line).with_context(|| format!("names.txt:{}: {line}", index + 1))?;
        }
        Ok(read)
    }

    fn line(&mut self, line: &str) -> Result<()> {
        let parts: Vec<_> = line.split('|').map(str::trim).collect();
        let words: Vec<_> = parts[0].split_whitespace().collect();
        if parts.last().is_none_or(|reason| reason.is_empty()) || parts.len() < 2 {
            bail!("expected a reason after `|`");
        }
        let (scope, modules) = match (&words[..], &parts[1..]) {
            (["apart", module], [_]) => {
                self.apart.push((*module).to_owned());
                return Ok(());
            }
            (["type", name], [modules, _]) => (NameScope::Type((*name).to_owned()), modules),
            (["private", of, name], [modules, _]) => (NameScope::Private((*of).to_owned(), (*name).to_owned()), modules),
            (["function", of, name], [modules, _]) => (NameScope::Function((*of).to_owned(), (*name).to_owned()), modules),
            _ => bail!(
                "expected `type <name> | <modules> | <meaning>`, `private <crate> <name> | …`, \
                        `function <crate> <name> | …` or `apart <module> | …`"
            ),
        };
        let modules: BTreeSet<_> = modules.split_whitespace().map(str::to_owned).collect();
        if modules.len() < 2 {
            bail!("expected at least two modules");
        }
        if self.shared.insert(scope, modules).is_some() {
            bail!("the name is listed twice");
        }
        Ok(())
    }

    /// Every name with more definitions than the exceptions allow, and every exception without its definitions; a sentence each.
    pub fn contradictions(&self, crates: &[Crate]) -> Vec<String> {
        let mut defined: BTreeMap<NameScope, Vec<String>> = BTreeMap::new();
        for of in crates {
            let private: BTreeSet<_> = of.modules.values().flat_map(|module| &module.private_types).collect();
            for (path, module) in &of.modules {
                let place = [std::slice::from_ref(&of.name), path].concat().join("::");
                let apart = self
                    .apart
                    .iter()
                    .any(|apart| place.strip_prefix(apart).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")));
                let types = module.public.iter().filter(|item| item.is_type && !apart).map(|item| &item.name);
                for name in types.chain(&module.private_types).filter(|name| private.contains(name)) {
                    defined.entry(NameScope::Private(of.name.clone(), name.clone())).or_default().push(place.clone());
                }
                for item in &module.public {
                    if item.is_type && !apart {
                        defined.entry(NameScope::Type(item.name.clone())).or_default().push(place.clone());
                    } else if !item.is_type && !item.name.contains('_') {
                        defined.entry(NameScope::Function(of.name.clone(), item.name.clone())).or_default().push(place.clone());
                    }
                }
            }
        }
        let mut found = Vec::new();
        for (scope, places) in &defined {
            let distinct: BTreeSet<_> = places.iter().cloned().collect();
            let allowed = self.shared.get(scope).is_some_and(|allowed| distinct.is_subset(allowed));
            if places.len() > 1 && !allowed {
                found.push(format!("{scope} has {} definitions: {}", places.len(), places.join(" ")));
            }
        }
        for (scope, allowed) in &self.shared {
            for place in allowed {
                if !defined.get(scope).is_some_and(|places| places.contains(place)) {
                    found.push(format!("names.txt lists {scope} in {place}, which does not define it"));
                }
            }
        }
        found
    }
}

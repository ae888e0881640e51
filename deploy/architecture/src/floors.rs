//! This module reads `floors.txt` and judges arrows by it.
//!
//! A section per crate, `[package folder]`; a line per floor, the top floor first; on a line the modules of that floor. A module may
//! import modules of lower floors only, not its neighbours.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use crate::graph::Arrow;

/// The floors of one crate.
#[derive(Debug)]
pub struct Floors {
    pub package: String,
    /// The crate's folder, from the root of the repository.
    pub folder: String,
    /// Module to floor; 0 is the top.
    floor_of: BTreeMap<String, usize>,
}

impl Floors {
    /// Reads every section of `text`.
    ///
    /// # Errors
    /// Returns an error that names the line if a section has no folder, or if a module appears twice in a section.
    pub fn parse(text: &str) -> Result<Vec<Self>> {
        let mut all: Vec<Self> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            let number = index + 1;
            if let Some(head) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                let (package, folder) =
                    head.split_once(' ').with_context(|| format!("line {number}: expected [package folder], got [{head}]"))?;
                all.push(Self { package: package.to_owned(), folder: folder.to_owned(), floor_of: BTreeMap::new() });
            } else if !line.is_empty() {
                let section =
                    all.last_mut().with_context(|| format!("line {number}: modules before the first [package folder]"))?;
                for module in line.split_whitespace() {
                    if section.floor_of.insert(module.to_owned(), index).is_some() {
                        bail!("line {number}: {module} appears twice in [{} …]", section.package);
                    }
                }
            }
        }
        Ok(all)
    }

    /// Every way in which the crate's modules and arrows contradict this section, a sentence each.
    pub fn contradictions<'a>(&self, modules: impl Iterator<Item = &'a String>, arrows: &[Arrow]) -> Vec<String> {
        let modules: Vec<_> = modules.collect();
        let mut found = Vec::new();
        for module in &modules {
            if !self.floor_of.contains_key(*module) {
                found.push(format!(
                    "{}: module {module} has no floor; add it to a line of its crate in deploy/architecture/floors.txt",
                    self.package
                ));
            }
        }
        for module in self.floor_of.keys() {
            if !modules.contains(&module) {
                found.push(format!("{}: floors.txt names module {module}, which does not exist", self.package));
            }
        }
        for arrow in arrows {
            let (Some(from), Some(to)) = (arrow.from.first(), arrow.to.first()) else { continue };
            if from == to {
                continue;
            }
            if let (Some(above), Some(below)) = (self.floor_of.get(from), self.floor_of.get(to))
                && above >= below
            {
                let how = if above == below { "across" } else { "up" };
                found.push(format!("{}: an import runs {how}: {arrow}", self.package));
            }
        }
        found
    }
}

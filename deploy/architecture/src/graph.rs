//! This module turns the paths of a [`Crate`] into arrows between its modules, and finds cycles among siblings.
//!
//! - An arrow runs from the module that names an item to the module that defines it. Re-exports are followed.
//! - A module and its descendants are one room for everybody outside: arrows between them do not count.
//! - Siblings must not form a cycle, at any depth.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::source::{Crate, Module, ModulePath};

/// Re-exports that a resolution follows before it stops; a longer chain would be a cycle of `pub use`.
const RE_EXPORTS: usize = 8;

/// One module names an item of another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    pub from: ModulePath,
    pub to: ModulePath,
    /// The path as written.
    pub written: String,
    pub place: String,
}

impl fmt::Display for Arrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} names `{}` of {}", self.place, self.from.join("::"), self.written, self.to.join("::"))
    }
}

/// Every arrow of a crate between modules of which neither contains the other.
pub fn arrows(of: &Crate) -> Vec<Arrow> {
    let mut arrows = BTreeSet::new();
    for (path, module) in &of.modules {
        for named in &module.named {
            let Some(to) = resolve(of, path, module, &named.segments, 0) else { continue };
            if path.starts_with(&to) || to.starts_with(path) {
                continue;
            }
            let place = format!("{}:{}", module.file.display(), named.line);
            arrows.insert(Arrow { from: path.clone(), to, written: named.segments.join("::"), place });
        }
    }
    arrows.into_iter().collect()
}

/// The module that defines what `segments` names when `at` writes it; `None` for another crate's path or a local name.
fn resolve(of: &Crate, at: &ModulePath, module: &Module, segments: &[String], depth: usize) -> Option<ModulePath> {
    let (first, rest) = segments.split_first()?;
    if first == "crate" || *first == of.name {
        return descend(of, Vec::new(), rest, depth);
    }
    if first == "self" {
        return descend(of, at.clone(), rest, depth);
    }
    if first == "super" {
        let mut place = at.clone();
        let mut rest = segments;
        while rest.first().is_some_and(|segment| segment == "super") {
            place.pop()?;
            rest = &rest[1..];
        }
        return descend(of, place, rest, depth);
    }
    let child: ModulePath = at.iter().cloned().chain([first.clone()]).collect();
    if of.modules.contains_key(&child) {
        return descend(of, child, rest, depth);
    }
    let imported = module.imported.get(first)?;
    if depth >= RE_EXPORTS || imported.first() == Some(first) && imported.len() == 1 {
        return None;
    }
    let whole: Vec<String> = imported.iter().chain(rest).cloned().collect();
    resolve(of, at, module, &whole, depth + 1)
}

/// Follows `segments` from module `at`: through child modules, then through a re-export of the first item.
fn descend(of: &Crate, mut at: ModulePath, mut segments: &[String], depth: usize) -> Option<ModulePath> {
    while let Some((first, rest)) = segments.split_first() {
        let child: ModulePath = at.iter().cloned().chain([first.clone()]).collect();
        if !of.modules.contains_key(&child) {
            break;
        }
        at = child;
        segments = rest;
    }
    let module = of.modules.get(&at)?;
    let Some(item) = segments.first() else { return Some(at) };
    if module.defined.contains(item) || depth >= RE_EXPORTS {
        return Some(at);
    }
    if let Some(imported) = module.imported.get(item) {
        return resolve(of, &at, module, imported, depth + 1).or(Some(at));
    }
    for glob in &module.globs {
        let Some(inside) = resolve(of, &at, module, glob, depth + 1) else { continue };
        if of.modules.get(&inside).is_some_and(|module| module.defined.contains(item)) {
            return Some(inside);
        }
    }
    Some(at)
}

/// Arrows between siblings: for each parent, from child to child, with one arrow as the example.
pub fn siblings(arrows: &[Arrow]) -> BTreeMap<ModulePath, BTreeMap<(String, String), &Arrow>> {
    let mut by_parent: BTreeMap<ModulePath, BTreeMap<(String, String), &Arrow>> = BTreeMap::new();
    for arrow in arrows {
        let common = arrow.from.iter().zip(&arrow.to).take_while(|(from, to)| from == to).count();
        if let (Some(from), Some(to)) = (arrow.from.get(common), arrow.to.get(common)) {
            let edge = (from.clone(), to.clone());
            by_parent.entry(arrow.from[..common].to_vec()).or_default().entry(edge).or_insert(arrow);
        }
    }
    by_parent
}

/// The arrows that lie on a cycle of siblings. Linear in modules and arrows of each parent, per pass; at most one pass a module.
pub fn cycles(arrows: &[Arrow]) -> Vec<Arrow> {
    let mut found = Vec::new();
    for edges in siblings(arrows).values() {
        let mut left: BTreeMap<_, _> = edges.clone();
        // A module without an arrow in or without an arrow out lies on no cycle; removing it may free others.
        loop {
            let sources: BTreeSet<String> = left.keys().map(|(from, _)| from.clone()).collect();
            let targets: BTreeSet<String> = left.keys().map(|(_, to)| to.clone()).collect();
            let before = left.len();
            left.retain(|(from, to), _| targets.contains(from) && sources.contains(to));
            if left.len() == before {
                break;
            }
        }
        found.extend(left.into_values().cloned());
    }
    found
}

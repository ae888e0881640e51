//! Every import of every crate against `floors.txt`.

use std::path::{Path, PathBuf};
use std::{collections::BTreeSet, fs};

use architecture::{floors::Floors, graph, source::Crate};

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub fn floors() -> Vec<Floors> {
    Floors::parse(include_str!("../../floors.txt")).unwrap()
}

#[test]
fn every_crate_has_floors() {
    let manifest = fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = [")).unwrap();
    let members: BTreeSet<String> =
        members.trim_end_matches(']').split(',').map(|member| member.trim().trim_matches('"').to_owned()).collect();
    let declared: BTreeSet<String> = floors().into_iter().map(|section| section.folder).collect();
    assert_eq!(declared, members, "floors.txt has a section for each member of the workspace");
}

#[test]
fn imports_run_down_and_form_no_cycle() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for section in floors() {
        let read = Crate::read(&section.package, &repository().join(&section.folder)).unwrap();
        let arrows = graph::arrows(&read);
        seen += arrows.len();
        let rooms = read.modules.keys().filter(|path| path.len() == 1).map(|path| &path[0]);
        wrong.extend(section.contradictions(rooms, &arrows));
        wrong.extend(graph::cycles(&arrows).into_iter().map(|arrow| format!("{}: on a cycle: {arrow}", section.package)));
    }
    assert!(seen > 500, "read {seen} imports only: the reader misses most of the code");
    assert!(wrong.is_empty(), "{} contradictions:\n{}", wrong.len(), wrong.join("\n"));
}

/// A crate of three modules, of which `top` may import `middle` and `bottom`.
fn small(files: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = folder.path().join("src").join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let section = &Floors::parse("[small .]\ntop\nmiddle\nbottom").unwrap()[0];
    let read = Crate::read("small", folder.path()).unwrap();
    let arrows = graph::arrows(&read);
    let mut found = section.contradictions(read.modules.keys().filter(|path| path.len() == 1).map(|path| &path[0]), &arrows);
    found.extend(graph::cycles(&arrows).into_iter().map(|arrow| format!("on a cycle: {arrow}")));
    found
}

const ROOT: (&str, &str) = ("lib.rs", "mod top; mod middle; mod bottom;");

#[test]
fn an_import_that_runs_down_is_accepted() {
    let found = small(&[
        ROOT,
        ("top.rs", "use crate::middle::A; fn f(_: crate::bottom::B) {}"),
        ("middle.rs", "pub struct A;"),
        ("bottom.rs", "pub struct B;"),
    ]);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn an_import_that_runs_up_is_refused() {
    for text in [
        "use crate::top::T;",
        "use super::top;",
        "fn f() { crate::top::run() }",
        "fn f() { assert!(crate::top::run()) }",
        "use super::{top::{self, T}};",
        "fn f() { use crate::top::T; }",
        "mod inner { use super::super::top::T; }",
    ] {
        let found =
            small(&[ROOT, ("top.rs", "pub struct T; pub fn run() -> bool { true }"), ("middle.rs", ""), ("bottom.rs", text)]);
        assert!(found.iter().any(|line| line.contains("an import runs up") && line.contains("bottom.rs:1")), "{text}: {found:?}");
    }
}

#[test]
fn a_re_export_does_not_hide_an_import() {
    let found = small(&[
        ("lib.rs", "mod top; mod middle; mod bottom; pub use top::T;"),
        ("top.rs", "pub struct T;"),
        ("middle.rs", ""),
        ("bottom.rs", "use crate::T;"),
    ]);
    assert!(found.iter().any(|line| line.contains("an import runs up")), "{found:?}");
}

#[test]
fn a_cycle_between_nested_modules_is_refused() {
    let found = small(&[
        ROOT,
        ("top.rs", "mod a; mod b;"),
        ("top/a.rs", "pub struct A; use super::b::B;"),
        ("top/b.rs", "pub struct B; use super::a::A;"),
        ("middle.rs", ""),
        ("bottom.rs", ""),
    ]);
    assert_eq!(found.iter().filter(|line| line.starts_with("on a cycle")).count(), 2, "{found:?}");
}

#[test]
fn tests_may_import_anything() {
    let found = small(&[
        ROOT,
        ("top.rs", "pub struct T;"),
        ("middle.rs", ""),
        ("bottom.rs", "#[cfg(test)] mod tests { use crate::top::T; }"),
    ]);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_module_without_a_floor_is_refused() {
    let found = small(&[("lib.rs", "mod top; mod middle; mod other;"), ("top.rs", ""), ("middle.rs", ""), ("other.rs", "")]);
    assert!(found.iter().any(|line| line.contains("module other has no floor")), "{found:?}");
    assert!(found.iter().any(|line| line.contains("module bottom, which does not exist")), "{found:?}");
}

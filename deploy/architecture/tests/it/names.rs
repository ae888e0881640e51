//! Public names of every crate against `names.txt`.

use std::fs;

use architecture::{names::Exceptions, source::Crate};

use crate::floors::{floors, repository};

#[test]
fn public_names_have_one_meaning() {
    let crates: Vec<_> =
        floors().iter().map(|section| Crate::read(&section.package, &repository().join(&section.folder)).unwrap()).collect();
    let seen: usize = crates.iter().flat_map(|read| read.modules.values()).map(|module| module.public.len()).sum();
    assert!(seen > 1000, "read {seen} public names only: the reader misses most of the code");
    let wrong = Exceptions::parse(include_str!("../../names.txt")).unwrap().contradictions(&crates);
    assert!(
        wrong.is_empty(),
        "{} names have two meanings:\n{}\nRename one, or list the shared meaning in deploy/architecture/names.txt",
        wrong.len(),
        wrong.join("\n")
    );
}

/// A crate per text, named `a`, `b` and so on.
fn found(exceptions: &str, texts: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let crates: Vec<_> = texts
        .iter()
        .zip(["a", "b", "c"])
        .map(|(text, name)| {
            let place = folder.path().join(name);
            fs::create_dir_all(place.join("src")).unwrap();
            fs::write(place.join("src/lib.rs"), text).unwrap();
            Crate::read(name, &place).unwrap()
        })
        .collect();
    Exceptions::parse(exceptions).unwrap().contradictions(&crates)
}

#[test]
fn a_type_name_in_two_crates_is_refused() {
    let wrong = found("", &["pub struct Fault;", "mod inner { pub(crate) enum Fault {} }"]);
    assert_eq!(wrong, ["type Fault has 2 definitions: a b::inner"]);
}

#[test]
fn a_bare_verb_twice_in_a_crate_is_refused() {
    let wrong = found("", &["mod x { pub fn take() {} } mod y { pub(super) async fn take() {} }", "pub fn take() {}"]);
    assert_eq!(wrong, ["function take of a has 2 definitions: a::x a::y"]);
}

#[test]
fn a_private_type_with_the_name_of_another_is_refused() {
    let text = "pub struct A; mod x { struct Own; struct Other; } mod y { enum Own {} } mod z { struct A; }";
    let wrong = found("", &[text, "struct Other;"]);
    assert_eq!(wrong, ["private type A of a has 2 definitions: a a::z", "private type Own of a has 2 definitions: a::x a::y"]);
    let listed = "private a A | a a::z | one meaning\nprivate a Own | a::x a::y | one meaning";
    assert_eq!(found(listed, &[text]), Vec::<String>::new());
}

#[test]
fn methods_and_tests_may_repeat_names() {
    let wrong = found(
        "",
        &[
            "pub struct A; impl A { pub fn take(&self) {} } mod x { pub struct B; impl B { pub fn take(&self) {} } struct Own; }",
            "struct Own; struct A; fn take() {} #[cfg(test)] mod tests { pub struct B; pub fn take() {} }",
        ],
    );
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_listed_meaning_is_accepted_in_its_modules_only() {
    let texts = ["pub struct Exit;", "pub struct Exit;", "pub struct Exit;"];
    assert_eq!(found("type Exit | a b c | exit statuses of a program", &texts), Vec::<String>::new());
    assert_eq!(found("type Exit | a b | exit statuses of a program", &texts), ["type Exit has 3 definitions: a b c"]);
    assert_eq!(
        found("type Exit | a b | exit statuses of a program", &["pub struct Exit;", ""]),
        ["names.txt lists type Exit in b, which does not define it"]
    );
    assert_eq!(found("apart b | names of a standard", &["pub struct Exit;", "pub struct Exit;"]), Vec::<String>::new());
}

#[test]
fn an_exception_without_a_reason_is_refused() {
    for text in ["type Exit | a b |", "type Exit | a b", "type Exit | a | one module", "function read | a b | no crate"] {
        assert!(Exceptions::parse(text).unwrap_err().to_string().contains("names.txt:1"), "{text}");
    }
}

//! The names that users depend on, against the lists in `interfaces/`.

use std::{env, fs, path::Path};

use architecture::interfaces;

use crate::floors::{floors, repository};

/// Set it to write the lists after an intended change.
const WRITE: &str = "WRITE_INTERFACES";

#[test]
#[expect(clippy::disallowed_methods, reason = "a switch for a person, as UPDATE_EXPECT is elsewhere")]
fn names_that_users_depend_on_are_as_listed() {
    let mut wrong = Vec::new();
    let mut names = 0;
    for section in floors() {
        let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("interfaces").join(format!("{}.txt", section.package));
        let found = interfaces::interfaces(&repository().join(&section.folder)).unwrap();
        names += found.len();
        let text: String = found.iter().map(|name| format!("{name}\n")).collect();
        if env::var_os(WRITE).is_some() {
            fs::write(&list, &text).unwrap();
            continue;
        }
        let listed = fs::read_to_string(&list).unwrap_or_default();
        wrong.extend(
            listed
                .lines()
                .filter(|line| !text.lines().any(|name| name == *line))
                .map(|line| format!("{}: removed: {line}", section.package)),
        );
        wrong.extend(
            text.lines()
                .filter(|line| !listed.lines().any(|name| name == *line))
                .map(|line| format!("{}: added: {line}", section.package)),
        );
    }
    assert!(names > 500, "found {names} names only: the reader misses most of them");
    assert!(
        wrong.is_empty(),
        "{}\nIf this is intended: say so in CHANGELOG.md and run {WRITE}=1 cargo test -p architecture interfaces",
        wrong.join("\n")
    );
}

/// Elasticsearch refuses a line whose field `a` is a text if another line has `a.b`: `a` is an object then.
#[test]
fn no_log_field_is_the_parent_of_another() {
    // The writer of lines renames it to `error.message`.
    const RENAMED: &str = "error";
    let mut fields = std::collections::BTreeSet::new();
    for section in floors() {
        for name in interfaces::interfaces(&repository().join(&section.folder)).unwrap() {
            fields.extend(name.to_string().strip_prefix("log-field ").map(str::to_owned));
        }
    }
    let parents: Vec<&String> = fields
        .iter()
        .filter(|field| *field != RENAMED && fields.iter().any(|other| other.starts_with(&format!("{field}."))))
        .collect();
    assert!(fields.len() > 100, "found {} fields only", fields.len());
    assert_eq!(parents, Vec::<&String>::new(), "rename them: they are objects in ECS");
}

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

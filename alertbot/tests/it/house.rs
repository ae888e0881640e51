//! Rules about the source that no compiler checks.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Every source file below a folder of this crate, with its text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                files.push((path, text));
            }
        }
    }
    assert!(files.len() > 30, "{folder} has {} files", files.len());
    files
}

/// A time from another clock than the handed one would not follow a test, and would jump with the wall clock.
#[test]
fn only_the_clock_reads_a_clock() {
    let reads = ["Timestamp::now(", "Zoned::now(", "Instant::now(", "SystemTime::now(", "Utc::now(", "Local::now("];
    for (file, text) in sources("src") {
        let found: Vec<&str> = text.lines().filter(|line| reads.iter().any(|read| line.contains(read))).collect();
        assert!(found.is_empty() || file.ends_with("src/clock.rs"), "{}: {found:?}", file.display());
    }
}

/// A type name has one meaning in the bot and its core.
#[test]
fn no_two_types_have_one_name() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, text) in sources("src").into_iter().chain(sources("core/src")) {
        if file.file_name().is_some_and(|name| name == "tests.rs") {
            continue;
        }
        // A type of a trait or of a function is indented.
        for line in text.lines() {
            let line = line.strip_prefix("pub(super) ").or(line.strip_prefix("pub(crate) ")).unwrap_or(line);
            let line = line.strip_prefix("pub ").unwrap_or(line);
            let named = ["struct ", "enum ", "trait ", "type "].iter().find_map(|kind| line.strip_prefix(kind));
            let name = named.and_then(|rest| rest.split(|letter: char| !letter.is_alphanumeric()).next());
            if let Some(name) = name.filter(|name| !name.is_empty()) {
                places.entry(name.to_owned()).or_default().push(file.display().to_string());
            }
        }
    }
    let twice: Vec<_> = places.into_iter().filter(|(_, files)| files.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:#?}");
}

//! The boards, the rules and the runbooks as data, so that tests can hold them against the programs' metrics and each other.
//! Never: a metric, a rule or a query of its own.

pub mod absence;
pub mod board;
pub mod declared;
pub mod exported;
pub mod expression;
pub mod inhibition;
pub mod mutation;
pub mod replay;
pub mod rules;
pub mod runbook;

use std::path::{Path, PathBuf};

/// A path inside this folder.
pub fn path(inside: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(inside)
}

/// Every file of a folder of this one that ends in `extension`, in the order of their names.
///
/// # Panics
/// When the folder cannot be read or holds no such file: nothing would be tested.
pub fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = path(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut found: Vec<_> = entries.map(|entry| entry.expect("a readable entry").path()).collect();
    found.retain(|file| file.extension().is_some_and(|end| end == extension));
    found.sort();
    assert!(!found.is_empty(), "{} holds no .{extension} file", folder.display());
    found
}

/// The text of a file.
///
/// # Panics
/// When it cannot be read.
pub fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The name of a file without its extension.
pub fn stem(file: &Path) -> &str {
    file.file_stem().and_then(|stem| stem.to_str()).expect("a name in UTF-8")
}

//! What READMEs and rooms state about themselves, against the code.

use std::{fs, path::Path};

use architecture::source::Crate;

use crate::floors::repository;

/// Crates whose README has a table of modules.
const TABLES: [(&str, &str); 2] = [("exchange-core", "app/core"), ("service-kit", "service-kit")];
const PROGRAMS: [&str; 6] = ["exchange", "alertbot", "backup", "logship", "telegram", "elasticsearch"];

#[test]
fn a_table_of_modules_lists_each_module() {
    for (package, folder) in TABLES {
        let readme = fs::read_to_string(repository().join(folder).join("README.md")).unwrap();
        let first_column: String = readme.lines().filter_map(|line| line.strip_prefix("| ")?.split('|').next()).collect();
        let read = Crate::read(package, &repository().join(folder)).unwrap();
        let missing: Vec<_> = read
            .modules
            .keys()
            .filter(|path| path.len() == 1 && !first_column.contains(&format!("`{}`", path[0])))
            .map(|path| &path[0])
            .collect();
        assert!(missing.is_empty(), "{folder}/README.md does not list the modules {missing:?}");
    }
}

fn sources(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn the_shared_crate_names_no_program() {
    let mut files = Vec::new();
    sources(&repository().join("service-kit/src"), &mut files);
    assert!(files.len() > 10, "{files:?}");
    let mut named = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap().to_lowercase();
        for (index, line) in text.lines().enumerate() {
            if line.split(|character: char| !character.is_ascii_alphanumeric()).any(|word| PROGRAMS.contains(&word)) {
                named.push(format!("{}:{}: {line}", file.display(), index + 1));
            }
        }
    }
    assert!(named.is_empty(), "service-kit names a program:\n{}", named.join("\n"));
}

//! What READMEs and rooms state about themselves, against the code.

use std::{fs, path::Path};

use architecture::source::Crate;

use crate::floors::{floors, repository};

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

fn text(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

/// Words between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// A path in a guide may leave out the folders that its section names.
#[test]
fn guides_name_files_that_exist() {
    let mut files = Vec::new();
    for section in floors() {
        sources(&repository().join(section.folder), &mut files);
    }
    for guide in ["ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = text(guide);
        let named: Vec<_> = quoted(&text).filter(|word| word.ends_with(".rs") && !word.contains(['<', ' '])).collect();
        assert!(named.len() > 5, "{guide}: {named:?}");
        let missing: Vec<_> = named.iter().filter(|name| !files.iter().any(|file| file.ends_with(name))).collect();
        assert!(missing.is_empty(), "{guide} names files that do not exist: {missing:?}");
    }
}

#[test]
fn decisions_that_the_guide_names_are_in_their_files() {
    let guide = text("ARCHITECTURE.md");
    let mut found = 0;
    for (name, rest) in guide.split("` in `").zip(guide.split("` in `").skip(1)) {
        let (Some(name), Some(path)) = (name.rsplit('`').next(), rest.split('`').next()) else { continue };
        if path.ends_with(".rs") && repository().join(path).exists() {
            let defined = ["fn", "struct", "const", "static"].iter().any(|kind| text(path).contains(&format!("{kind} {name}")));
            assert!(defined, "ARCHITECTURE.md: {path} does not define {name}");
            found += 1;
        }
    }
    assert!(found > 15, "{found}");
}

#[test]
fn each_decision_has_its_headings_and_a_row() {
    let index = text("docs/decisions/README.md");
    let files = fs::read_dir(repository().join("docs/decisions")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap()).filter(|name| name != "README.md");
    for name in names {
        assert!(index.contains(&format!("({name}) | 20")), "docs/decisions/README.md has no row with a date for {name}");
        let decision = text(&format!("docs/decisions/{name}"));
        for heading in ["Context", "Decision", "Given up", "Measurement"] {
            assert!(decision.contains(&format!("\n## {heading}\n")), "{name} has no heading {heading}");
        }
    }
}

#[test]
fn make_fuzz_runs_each_target() {
    let makefile = text("Makefile");
    let line = makefile.lines().find(|line| line.ends_with("-- fuzz::")).unwrap();
    for section in floors() {
        let mut files = Vec::new();
        sources(&repository().join(&section.folder).join("src"), &mut files);
        let has_target =
            files.iter().any(|file| fs::read_to_string(file).unwrap().lines().any(|line| line.starts_with("mod fuzz")));
        assert_eq!(
            has_target,
            line.contains(&format!(" -p {} ", section.package)),
            "{}: the line of `make fuzz`",
            section.package
        );
    }
}

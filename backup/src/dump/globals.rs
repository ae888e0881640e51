//! This module reads the objects of the whole server: roles, memberships, settings of roles, tablespaces. No snapshot covers
//! them. They are read before the first snapshot and after the last table of contents, and must be equal.

use std::collections::BTreeSet;

use super::tools::Tools;
use crate::{
    config::SourceSettings,
    failure::{Result, Stage},
    sql::{statements, words},
};

/// Returns the output of `pg_dumpall --globals-only`.
///
/// # Errors
/// Returns pg_dumpall's error message.
pub fn read_globals(tools: &Tools, source: &SourceSettings, passwords: bool) -> Result<Vec<u8>> {
    let mut arguments = vec!["--globals-only".to_owned(), "--no-password".to_owned(), format!("--database={}", source.database)];
    if !passwords {
        arguments.push("--no-role-passwords".into());
    }
    tools.run(Stage::Globals, "pg_dumpall", &arguments, source)
}

/// Names of the roles that a script creates.
pub fn roles(script: &[u8]) -> BTreeSet<String> {
    let script = String::from_utf8_lossy(script);
    let made = statements(&script).into_iter().filter_map(|statement| {
        let [create, role, name] = <[String; 3]>::try_from(words(&statement, 3)).ok()?;
        (create == "CREATE" && role == "ROLE").then_some(name)
    });
    made.collect()
}

/// Whether two scripts are equal, apart from comments and the random word that guards each dump.
pub fn same(one: &[u8], other: &[u8]) -> bool {
    fn told(script: &[u8]) -> impl Iterator<Item = &[u8]> {
        let noise = |line: &&[u8]| {
            line.is_empty() || [&b"--"[..], b"\\restrict ", b"\\unrestrict "].iter().any(|start| line.starts_with(start))
        };
        script.split(|byte| *byte == b'\n').filter(move |line| !noise(line))
    }
    told(one).eq(told(other))
}

#[cfg(test)]
mod tests {
    use super::{roles, same};

    #[test]
    fn roles_of_a_script_are_listed() {
        let script =
            b"CREATE ROLE a;\nALTER ROLE a WITH LOGIN;\nCREATE ROLE \"b \"\" c\";\nCREATE TABLESPACE t OWNER a LOCATION '/x';\n";
        assert_eq!(roles(script).into_iter().collect::<Vec<_>>(), ["a", "b \" c"]);
    }

    #[test]
    fn comments_and_guards_are_ignored() {
        let one = b"\\restrict abc\n-- Dumped at 1\nCREATE ROLE a;\n\n\\unrestrict abc\n";
        assert!(same(one, b"\\restrict xyz\nCREATE ROLE a;\n\\unrestrict xyz\n"));
        assert!(!same(one, b"CREATE ROLE b;\n") && !same(one, b""));
    }
}

//! Where the programs of the parts are on this machine.

use std::path::{Path, PathBuf};

/// Debian's folder of PostgreSQL servers, with a folder `<major>/bin` per release.
const DEBIAN_POSTGRESQL: &str = "/usr/lib/postgresql";
/// Names a folder of PostgreSQL's programs to use instead of Debian's, so that tests run with another release.
const POSTGRESQL_FOLDER: &str = "POSTGRESQL_FOLDER";
/// Debian's folders of Kannel's servers and its fakesmsc, outside the `PATH` of ordinary users.
const DEBIAN_KANNEL: [&str; 2] = ["/usr/sbin", "/usr/lib/kannel/test"];

/// A program that a part needs is not installed.
#[derive(Debug)]
pub struct MissingProgram(String);

impl std::fmt::Display for MissingProgram {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "the program `{}` is not installed; run `make install`", self.0)
    }
}

impl std::error::Error for MissingProgram {}

/// The workspace's own Python environment, where `make install` puts programs from PyPI.
pub fn python_environment() -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    repository.canonicalize().unwrap_or(repository).join(".venv")
}

/// Looks in the workspace's Python environment, then in the folder that `POSTGRESQL_FOLDER` names, then among Debian's PostgreSQL
/// servers (newest first), then in `PATH`, then among Kannel's programs.
pub fn find(program: &str) -> Result<PathBuf, MissingProgram> {
    #[expect(clippy::disallowed_methods, reason = "looks for programs as a shell does")]
    let (path, postgresql) = (std::env::var_os("PATH").unwrap_or_default(), std::env::var_os(POSTGRESQL_FOLDER));
    std::iter::once(python_environment().join("bin"))
        .chain(postgresql.map(PathBuf::from))
        .chain(postgresql_folders())
        .chain(std::env::split_paths(&path))
        .chain(DEBIAN_KANNEL.map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| MissingProgram(program.to_owned()))
}

fn postgresql_folders() -> Vec<PathBuf> {
    let releases = std::fs::read_dir(DEBIAN_POSTGRESQL).into_iter().flatten().flatten();
    let mut folders: Vec<(u32, PathBuf)> =
        releases.filter_map(|release| Some((release.file_name().to_str()?.parse().ok()?, release.path().join("bin")))).collect();
    folders.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    folders.into_iter().map(|(_, folder)| folder).collect()
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn a_missing_program_is_told_with_its_remedy() {
        assert!(find("sh").unwrap().ends_with("sh"));
        let missing = find("no-such-program-anywhere").unwrap_err().to_string();
        assert_eq!(missing, "the program `no-such-program-anywhere` is not installed; run `make install`");
    }
}

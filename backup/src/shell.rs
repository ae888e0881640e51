//! This module stands in for `/bin/sh` in an image without a shell. pg_dumpall asks pg_dump for its version through popen(3), which
//! runs `/bin/sh -c`. The image has a link from there to this program.
//!
//! - It runs `pg_dump -V` of a folder of client tools, and must not run anything else.

use std::{
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitCode},
};

/// A shell's status for a command that it cannot run.
const CANNOT_RUN: u8 = 126;

/// Runs the command of `sh -c` if this process was started under that name; `None` otherwise.
pub fn run(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let name = arguments.next()?;
    if Path::new(&name).file_name() != Some(OsStr::new("sh")) {
        return None;
    }
    let given: Vec<OsString> = arguments.collect();
    let Some(program) = version_of_pg_dump(&given) else {
        eprintln!("sh: this image has no shell; only `pg_dump -V` runs, for pg_dumpall");
        return Some(ExitCode::from(CANNOT_RUN));
    };
    let error = Command::new(program).arg("-V").exec();
    eprintln!("sh: {program}: {error}");
    Some(ExitCode::from(CANNOT_RUN))
}

/// The absolute path of pg_dump in `-c '"<path>" -V'`. glibc may put `--` before the command.
fn version_of_pg_dump(arguments: &[OsString]) -> Option<&str> {
    let (flag, rest) = arguments.split_first()?;
    let command = match rest {
        [command] => command,
        [dashes, command] if dashes == "--" => command,
        _ => return None,
    };
    let path = command.to_str()?.strip_suffix(" -V")?.strip_prefix('"')?.strip_suffix('"')?;
    let plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
    let names_pg_dump = Path::new(path).file_name() == Some(OsStr::new("pg_dump"));
    (flag == "-c" && path.starts_with('/') && plain && names_pg_dump).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(arguments: &[&str]) -> Option<String> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        version_of_pg_dump(&arguments).map(str::to_owned)
    }

    #[test]
    fn only_the_version_of_pg_dump_runs() {
        let path = "/usr/lib/postgresql/18/bin/pg_dump";
        let command = format!("\"{path}\" -V");
        assert_eq!(allowed(&["-c", &command]).as_deref(), Some(path));
        assert_eq!(allowed(&["-c", "--", &command]).as_deref(), Some(path));
        for refused in [
            "id",
            "/usr/lib/postgresql/18/bin/pg_dump -V",
            "\"pg_dump\" -V",
            "\"/usr/lib/postgresql/18/bin/pg_dump\" -V; id",
            "\"/usr/lib/postgresql/18/bin/pg_dump\" -f /tmp/x",
            "\"/usr/bin/backup\" -V",
            "\"/tmp/$(id)/pg_dump\" -V",
            "\"/tmp/\";id;\"/pg_dump\" -V",
        ] {
            assert_eq!(allowed(&["-c", refused]), None, "{refused}");
        }
        assert_eq!(allowed(&[]), None);
        assert_eq!(allowed(&["-c"]), None);
        assert_eq!(allowed(&["-i", &command]), None);
    }

    #[test]
    fn another_name_is_not_a_shell() {
        assert!(run(["/usr/bin/backup", "-c", "id"].map(OsString::from).into_iter()).is_none());
        assert!(run(["/bin/sh", "-c", "id"].map(OsString::from).into_iter()).is_some());
    }
}

//! This module finds and starts PostgreSQL's client tools, with the source in their environment.

use std::{
    fs,
    io::{self, Read},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    thread::JoinHandle,
};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::{
    abort::{Abort, ToolGroup},
    config::SourceSettings,
    failure::{Exit, Failure, Result, Stage},
};

/// Maximum length of a tool's standard error; the rest is dropped.
const LARGEST_COMPLAINT: u64 = 64 << 10;
/// Maximum length of a tool's output that is held in memory.
const LARGEST_OUTPUT: u64 = 256 << 20;

/// Folder of the tools, and the abort signal that kills running ones.
#[derive(Debug, Clone)]
pub struct Tools {
    folder: Option<PathBuf>,
    stop: Abort,
}

/// A running tool. Dropping it kills it.
pub struct Running {
    name: &'static str,
    child: Child,
    group: ToolGroup,
    complaints: Option<JoinHandle<String>>,
}

impl Tools {
    /// Creates tools that `stop` kills in any state.
    pub fn new(folder: Option<PathBuf>, stop: Abort) -> Self {
        Self { folder, stop }
    }

    /// Output of `pg_dump --version`, and the major version in it.
    pub fn version(&self, name: &'static str) -> Result<(String, u32)> {
        let mut running = self.spawn(name, |command| command.arg("--version"))?;
        let mut output = Vec::new();
        // Unreadable output contains no version.
        let _ = running.output().take(LARGEST_COMPLAINT).read_to_end(&mut output);
        let text = String::from_utf8_lossy(&output).trim().to_owned();
        // "pg_dump (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)", and "18beta1" before a release.
        let number = text.split_whitespace().nth(2).unwrap_or_default();
        let major: String = number.chars().take_while(char::is_ascii_digit).collect();
        match major.parse() {
            Ok(major) => Ok((text, major)),
            Err(_) => Err(Failure::told(
                Stage::Versions,
                Exit::Versions,
                format!(
                    "{name} --version prints {text:?}, which contains no version; install postgresql-client, or correct BACKUP_CLIENT_FOLDER"
                ),
            )),
        }
    }

    pub fn start(&self, name: &'static str, arguments: &[String], source: &SourceSettings) -> Result<Running> {
        self.spawn(name, |command| {
            source.prepare_tool(command);
            command.args(arguments)
        })
    }

    /// The same with a name for the server's list of sessions.
    pub fn start_as(&self, session: &str, name: &'static str, arguments: &[String], source: &SourceSettings) -> Result<Running> {
        self.spawn(name, |command| {
            source.prepare_tool(command);
            command.args(arguments).env("PGAPPNAME", session)
        })
    }

    fn spawn(&self, name: &'static str, with: impl FnOnce(&mut Command) -> &mut Command) -> Result<Running> {
        let program = self.folder.as_ref().map_or_else(|| PathBuf::from(name), |folder| folder.join(name));
        let mut command = Command::new(program);
        // In a separate process group: a tool can be a script, and its children must end with it.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = with(&mut command).spawn().map_err(|error| missing(name, &error))?;
        let group = ToolGroup::new(i32::try_from(child.id()).ok().and_then(Pid::from_raw));
        self.stop.guard_tool(group.clone());
        let complaints = child.stderr.take().map(|stderr| {
            std::thread::spawn(move || {
                let mut text = Vec::new();
                let mut limited = stderr.take(LARGEST_COMPLAINT);
                let _ = limited.read_to_end(&mut text);
                // Continues to read and drops the rest, so that the tool never blocks on a full pipe.
                let _ = io::copy(&mut limited.into_inner(), &mut io::sink());
                String::from_utf8_lossy(&text).trim().to_owned()
            })
        });
        Ok(Running { name, child, group, complaints })
    }

    /// A tool's whole output after its success.
    pub fn run(&self, stage: Stage, name: &'static str, arguments: &[String], source: &SourceSettings) -> Result<Vec<u8>> {
        let mut running = self.start(name, arguments, source)?;
        let mut output = Vec::new();
        let read = running.output().take(LARGEST_OUTPUT).read_to_end(&mut output);
        let status = running.wait().map_err(|error| Failure::new(stage, Exit::Failed, error))?;
        if read.is_err() || !status.success() || output.len() as u64 == LARGEST_OUTPUT {
            return Err(running.failed(stage));
        }
        Ok(output)
    }
}

impl Running {
    /// Standard output of the tool; can be taken once.
    pub fn output(&mut self) -> impl Read + use<> {
        struct Output(Option<ChildStdout>);
        impl Read for Output {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0.as_mut().map_or(Ok(0), |output| output.read(buffer))
            }
        }
        Output(self.child.stdout.take())
    }

    /// The memory of the tool, for another thread.
    pub fn memory(&self) -> ToolMemory {
        ToolMemory { process: self.child.id(), name: self.name }
    }

    fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait();
        self.group.over();
        status
    }

    /// Kills the tool, whose remaining output is not needed. Returns its warnings.
    pub fn end(mut self) -> Vec<String> {
        self.group.end();
        // The status reports the signal, which is expected.
        let _ = self.wait();
        let complaint = self.complaints.take().and_then(|complaints| complaints.join().ok()).unwrap_or_default();
        warnings(&complaint)
    }

    /// The failure with the tool's own message.
    pub fn failed(mut self, stage: Stage) -> Failure {
        let status = self.wait();
        let complaint = self.complaints.take().and_then(|complaints| complaints.join().ok()).unwrap_or_default();
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let exit = if complaint.contains("server version mismatch") {
            Exit::Versions
        } else if complaint.contains("permission denied") || complaint.contains("must be superuser") {
            Exit::Forbidden
        } else if complaint.contains("could not connect") || complaint.contains("connection to server") {
            Exit::Unavailable
        } else {
            Exit::Failed
        };
        let failure = Failure::told(stage, exit, format!("{} failed ({status}): {complaint}", self.name));
        let failure = Failure { standby: complaint.contains("conflict with recovery"), ..failure };
        if is_passing(&complaint) { failure.passing() } else { failure }
    }
}

/// The memory of a running tool.
#[derive(Debug, Clone, Copy)]
pub struct ToolMemory {
    process: u32,
    name: &'static str,
}

impl ToolMemory {
    /// Refuses the tool more than this many bytes beyond its present size. A script in the place of the tool has no limit, since the
    /// program that it runs is unknown.
    pub fn limit_growth(self, bytes: u64) -> io::Result<()> {
        let folder = PathBuf::from_iter(["/", "proc", &self.process.to_string()]);
        if !fs::read_link(folder.join("exe"))?.ends_with(self.name) {
            return Ok(());
        }
        // The first field is the size of the address space, in pages.
        let size = fs::read_to_string(folder.join("statm"))?;
        let pages = size.split(' ').next().and_then(|pages| pages.parse::<u64>().ok());
        let pages = pages.ok_or_else(|| io::Error::other("the size of the process is unreadable"))?;
        let present = pages.saturating_mul(rustix::param::page_size() as u64);
        let limit = Some(present.saturating_add(bytes));
        let process = i32::try_from(self.process).ok().and_then(Pid::from_raw);
        prlimit(process, Resource::As, Rlimit { current: limit, maximum: limit })?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.group.end();
        let _ = self.wait();
    }
}

/// Whether a retry of the tool may succeed.
fn is_passing(complaint: &str) -> bool {
    // Its lock timed out, or its snapshot ended with the exporting session.
    const LOST: [&str; 5] =
        ["canceling statement", "lock timeout", "terminating connection", "invalid snapshot", "server closed the connection"];
    // Another session dropped or changed an object of the snapshot. Views, functions, types and sequences are not locked, and the
    // server's functions that print definitions read the present catalog.
    const CHANGED: [&str; 12] = [
        "cache lookup failed",
        "could not open relation",
        "could not find",
        "does not exist",
        "is not a sequence",
        "is not a view",
        "tuple concurrently",
        "deadlock detected",
        "failed sanity check",
        "appears to be empty",
        "returned no data",
        "query returned ",
    ];
    LOST.iter().chain(&CHANGED).any(|text| complaint.contains(text))
}

/// Each warning on one line, with its details. Hints are for users of the tool and are omitted.
fn warnings(complaint: &str) -> Vec<String> {
    let mut warnings: Vec<String> = Vec::new();
    let mut open = false;
    for line in complaint.lines() {
        if let Some((_, warning)) = line.split_once(": warning: ") {
            warnings.push(warning.to_owned());
            open = true;
        } else if let (Some((_, detail)), true, Some(last)) = (line.split_once(": detail: "), open, warnings.last_mut()) {
            last.push(' ');
            last.push_str(detail.trim());
        } else {
            open = false;
        }
    }
    warnings
}

fn missing(name: &str, error: &io::Error) -> Failure {
    Failure::told(
        Stage::Versions,
        Exit::Versions,
        format!("failed to start {name}: {error}; install postgresql-client, or set BACKUP_CLIENT_FOLDER to its folder"),
    )
}

#[cfg(test)]
mod tests {
    use super::{is_passing, warnings};

    /// The texts are those of PostgreSQL 15 to 18.
    #[test]
    fn objects_that_changed_during_pg_dump_are_a_reason_to_retry() {
        for passing in [
            "pg_dump: error: query failed: ERROR:  cache lookup failed for function 16385",
            "pg_dump: error: query failed: ERROR:  could not open relation with OID 16390",
            "pg_dump: error: query failed: ERROR:  relation \"public.s\" does not exist",
            "pg_dump: error: definition of view \"v\" appears to be empty (length zero)",
            "pg_dump: error: query to obtain definition of view \"v\" returned no data",
            "pg_dump: error: query to get data of sequence \"s\" returned 0 rows (expected 1)\nquery returned 0 rows instead of one: SELECT",
            "pg_dump: error: failed sanity check, parent table with OID 1 of sequence with OID 2 not found",
            "pg_dump: error: query failed: ERROR:  canceling statement due to lock timeout",
        ] {
            assert!(is_passing(passing), "{passing}");
        }
        for lasting in ["pg_dump: error: query failed: ERROR:  permission denied for table a", "pg_dump: error: out of memory"] {
            assert!(!is_passing(lasting), "{lasting}");
        }
    }

    #[test]
    fn warnings_are_parsed_with_their_details() {
        let complaint = "pg_dump: warning: there are circular foreign-key constraints on this table:\npg_dump: detail: nodes\n\
            pg_dump: hint: Consider a full dump\npg_dump: warning: subscriptions not dumped because current user is not a superuser\n";
        let expected = [
            "there are circular foreign-key constraints on this table: nodes",
            "subscriptions not dumped because current user is not a superuser",
        ];
        assert_eq!(warnings(complaint), expected);
        assert!(warnings("pg_dump: error: no").is_empty());
    }
}

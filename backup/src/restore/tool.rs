//! This module runs stock pg_restore on an archive that exists only in memory. `pg_restore --jobs` rejects a pipe, since each of
//! its workers reads the file separately. A memfd is a file without a disk.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
};

use rustix::fs::{MemfdFlags, memfd_create};
use tokio::process::Command;

use crate::{
    archive::{Contents, Entry},
    config::SourceSettings,
};

/// Maximum length of the tool's messages. The first lines state the problem.
const MESSAGE_BYTES: usize = 4096;

/// Messages of the server for sessions that waited for each other.
const CROSSED_LOCKS: [&str; 3] = ["deadlock detected", "lock timeout", "could not obtain lock"];
/// Attempts of entries whose locks were in conflict.
const CROSSED_ATTEMPTS: u32 = 5;
/// Setting that appears in errors of extensions that the server must load at its start.
const PRELOAD: &str = "shared_preload_libraries";
const PRELOAD_REMEDY: &str = "; load the library at the server's start, in a drill with BACKUP_DRILL_PRELOAD_LIBRARIES";
/// Messages of a server that lacks what the original server has, or that failed itself. They do not concern the backup.
const CONDITIONS: [&str; 17] = [
    PRELOAD,
    "No space left on device",
    "Disk quota exceeded",
    "could not extend file",
    "could not write to file",
    "out of memory",
    "out of shared memory",
    "terminating connection",
    "server closed the connection",
    "the database system is",
    "remaining connection slots",
    // Of a foreign table that a materialized view reads.
    "could not connect to server \"",
    "could not load library",
    "could not access file \"$libdir",
    "could not open extension control file",
    "permission denied to",
    "must be superuser",
];
/// pg_restore's last line if it continued after errors.
const WENT_ON: &str = "errors ignored on restore";
/// Precedes the number of the entry whose error follows.
const FROM_ENTRY: &str = "from TOC entry ";
const ERROR: &str = "error: could not execute query: ";

/// Runs pg_restore on one database.
#[derive(Debug, Clone)]
pub struct PgRestore {
    program: PathBuf,
    target: SourceSettings,
    /// `--no-owner` and similar options.
    options: Vec<&'static str>,
    /// Settings of its sessions.
    settings: Vec<(&'static str, String)>,
    keep_going: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    #[error("failed to run pg_restore ({0}); install PostgreSQL's client tools, or set BACKUP_CLIENT_FOLDER to their folder")]
    NoProgram(String),
    #[error("failed to allocate memory for the table of contents ({0}); free memory and run again")]
    Memory(String),
    #[error("pg_restore failed ({status}): {message}{}", if message.contains(PRELOAD) { PRELOAD_REMEDY } else { "" })]
    Failed { status: String, message: String },
}

/// An object that the server refused, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NotCreated {
    /// Kind and name, as pg_restore prints them.
    pub object: String,
    pub reason: String,
}

/// Result of one run of pg_restore.
enum Ended {
    Well,
    /// Every other entry was created; the server refused these.
    Refused {
        entries: Vec<i32>,
        status: String,
        complaint: String,
    },
}

impl ToolError {
    /// Whether the server refused the backup's contents. Otherwise the tool, the connection or the server failed, or the server
    /// lacks a library or a right that the original server has.
    pub fn is_refusal_of_contents(&self) -> bool {
        let condition = |message: &str| CONDITIONS.iter().any(|condition| message.contains(condition));
        matches!(self, Self::Failed { message, .. } if message.contains("could not execute query") && !condition(message))
    }
}

impl PgRestore {
    /// `folder`: the client tools; `None`: they are on the path.
    pub fn new(folder: Option<&Path>, target: SourceSettings) -> Self {
        let program = folder.map_or_else(|| "pg_restore".into(), |folder| folder.join("pg_restore"));
        Self { program, target, options: Vec::new(), settings: Vec::new(), keep_going: false }
    }

    #[must_use]
    pub fn option(mut self, name: &'static str, when: bool) -> Self {
        self.options.extend(when.then_some(name));
        self
    }

    #[must_use]
    pub fn setting(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((name, value.into()));
        self
    }

    /// Returns refused objects instead of failing.
    #[must_use]
    pub fn keep_going(self, keep_going: bool) -> Self {
        Self { keep_going, ..self }
    }

    /// The major version of the tool.
    pub async fn major_version(&self) -> Result<u32, ToolError> {
        let output = Command::new(&self.program).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output().await;
        let output = output.map_err(|error| ToolError::NoProgram(error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.split_whitespace().find_map(|word| word.split('.').next()?.parse().ok());
        version.ok_or_else(|| ToolError::NoProgram(format!("its version is {:?}", text.trim())))
    }

    /// Creates every entry of `contents` in the target database, in `jobs` sessions. Returns the objects that the server refused,
    /// if [`Self::keep_going`] is set.
    ///
    /// One session retries refused entries after everything else exists. Entries with conflicting locks then succeed: pg_restore
    /// knows the tables that an entry names, but not the others that the server locks.
    ///
    /// # Errors
    /// Returns an error if an entry was refused again, or if the tool stopped early.
    pub async fn run(&self, contents: &Contents, jobs: usize) -> Result<Vec<NotCreated>, ToolError> {
        match self.until_refused_again(contents, jobs).await {
            Ok(()) => Ok(Vec::new()),
            Err((_, refused)) if self.keep_going && !refused.is_empty() => Ok(refused),
            Err((fault, _)) => Err(fault),
        }
    }

    async fn until_refused_again(&self, contents: &Contents, jobs: usize) -> Result<(), (ToolError, Vec<NotCreated>)> {
        let broken = |fault| (fault, Vec::new());
        let mut ended = self.once(contents, jobs).await.map_err(broken)?;
        for attempt in 1.. {
            let Ended::Refused { entries, status, complaint } = ended else { return Ok(()) };
            let crossed = CROSSED_LOCKS.iter().any(|words| complaint.contains(words));
            // The first refusal is final only if it came from a single session, since lock conflicts have other names in other
            // languages.
            if attempt > CROSSED_ATTEMPTS || attempt > 1 && !crossed {
                return Err((ToolError::Failed { status, message: message(&complaint) }, not_created(&complaint)));
            }
            tracing::warn!(objects = entries.len(), attempt, "pg_restore failed to create some objects; retrying only those");
            let again = contents.only(|entry| is_read_first(entry) || entries.contains(&entry.dump_id));
            ended = self.once(&again, 1).await.map_err(broken)?;
        }
        Ok(())
    }

    async fn once(&self, contents: &Contents, jobs: usize) -> Result<Ended, ToolError> {
        let archive = in_memory(&contents.to_bytes()).map_err(|error| ToolError::Memory(error.to_string()))?;
        let mut command = Command::new(&self.program);
        // Verbose output is needed for the names of refused entries.
        command.args(["--no-password", "--verbose"]).args(&self.options);
        if jobs > 1 {
            command.arg(format!("--jobs={jobs}"));
        }
        // A connection string, since pg_restore would parse a database name with `=` as one.
        command.arg(format!("--dbname=dbname={}", connection_value(&self.target.database)));
        command.arg("/proc/self/fd/0").stdin(Stdio::from(archive)).stdout(Stdio::null()).stderr(Stdio::piped());
        self.target.prepare_tool(command.as_std_mut());
        command.env("PGOPTIONS", self.session_options()).kill_on_drop(true);
        let output = command.output().await.map_err(|error| ToolError::NoProgram(error.to_string()))?;
        if output.status.success() {
            return Ok(Ended::Well);
        }
        let (status, complaint) = (output.status.to_string(), without_progress(&String::from_utf8_lossy(&output.stderr)));
        let entries = refused_entries(&complaint);
        // Without that line the tool stopped early, and it is unknown which entries it created.
        if entries.is_empty() || !complaint.contains(WENT_ON) {
            return Err(ToolError::Failed { status, message: message(&complaint) });
        }
        Ok(Ended::Refused { entries, status, complaint })
    }

    fn session_options(&self) -> String {
        let escaped = |value: &str| value.replace('\\', "\\\\").replace(' ', "\\ ");
        let startup = self.target.startup.iter().map(|(name, value)| (*name, *value));
        let settings = startup.chain(self.settings.iter().map(|(name, value)| (*name, value.as_str())));
        settings.map(|(name, value)| format!("-c {name}={} ", escaped(value))).collect()
    }
}

/// Entries that every run of pg_restore reads first.
pub(super) fn is_read_first(entry: &Entry) -> bool {
    entry.kind == "ENCODING" || entry.kind == "STDSTRINGS" || entry.kind == "SEARCHPATH"
}

fn message(complaint: &str) -> String {
    complaint.chars().take(MESSAGE_BYTES).collect::<String>().trim().to_owned()
}

/// Only the errors of pg_restore's verbose output.
fn without_progress(text: &str) -> String {
    let wrong = |line: &&str| {
        let Some((name, said)) = line.split_once(": ") else { return true };
        !name.ends_with("pg_restore")
            || said.starts_with(FROM_ENTRY)
            || ["error: ", "warning: ", "detail: ", "hint: "].iter().any(|level| said.starts_with(level))
    };
    text.lines().filter(wrong).flat_map(|line| [line, "\n"]).collect()
}

/// Entries that pg_restore lists as refused. The lines of concurrent sessions are interleaved, so errors cannot be assigned to
/// entries. A single session writes them in order.
fn refused_entries(complaint: &str) -> Vec<i32> {
    let named = complaint.lines().filter_map(|line| line.split_once(FROM_ENTRY)?.1.split_once(';')?.0.parse().ok());
    let mut entries: Vec<i32> = named.collect();
    entries.sort_unstable();
    entries.dedup();
    entries
}

/// Objects that a single session's pg_restore failed to create.
fn not_created(complaint: &str) -> Vec<NotCreated> {
    let mut refused: Vec<NotCreated> = Vec::new();
    let mut in_error = false;
    for line in complaint.lines() {
        if let Some((_, rest)) = line.split_once(FROM_ENTRY) {
            // `12; 1259 16400 TABLE accounts owner`
            let words = rest.split_once("; ").map_or(rest, |(_, words)| words);
            let object = words.splitn(3, ' ').nth(2).unwrap_or(words).to_owned();
            refused.push(NotCreated { object, reason: String::new() });
            in_error = false;
        } else if let (Some((_, error)), Some(last)) = (line.split_once(ERROR), refused.last_mut()) {
            in_error = last.reason.is_empty();
            if in_error {
                last.reason = error.trim().trim_start_matches("ERROR:").trim().to_owned();
            }
        } else if line.starts_with("Command was: ") || line.contains(WENT_ON) {
            in_error = false;
        } else if let (true, Some(last)) = (in_error, refused.last_mut()) {
            last.reason += "; ";
            last.reason += line.trim();
        }
    }
    refused
}

/// A file with these bytes that exists while it is open.
fn in_memory(bytes: &[u8]) -> std::io::Result<File> {
    let mut file = File::from(memfd_create("contents", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}

/// Quotes a value of libpq's connection strings.
fn connection_value(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_server_library_does_not_blame_the_backup() {
        let failed = |message: &str| ToolError::Failed { status: "1".into(), message: message.into() };
        let lacking = failed("error: could not execute query: ERROR: pg_cron can only be loaded via shared_preload_libraries");
        assert!(!lacking.is_refusal_of_contents() && lacking.to_string().contains("BACKUP_DRILL_PRELOAD_LIBRARIES"), "{lacking}");
        for condition in [
            "could not extend file \"base/5/16384\": No space left on device",
            "out of shared memory",
            "could not load library \"/usr/lib/postgis-3.so\": libgeos_c.so.1: cannot open shared object file",
            "permission denied to create event trigger \"audit\"",
        ] {
            assert!(
                !failed(&format!("error: could not execute query: ERROR:  {condition}")).is_refusal_of_contents(),
                "{condition}"
            );
        }
        for contents in ["no such type", "column \"out\" of relation \"of\" does not exist", "division by zero"] {
            assert!(
                failed(&format!("error: could not execute query: ERROR:  {contents}")).is_refusal_of_contents(),
                "{contents}"
            );
        }
    }

    #[test]
    fn refused_entries_and_their_reasons_are_parsed() {
        let complaint = "pg_restore: connecting to database for restore\npg_restore: while PROCESSING TOC:\n\
            pg_restore: from TOC entry 3210; 1259 16400 MATERIALIZED VIEW DATA totals owner\n\
            pg_restore: error: could not execute query: ERROR:  division by zero\n\
            CONTEXT:  SQL function \"rate\" statement 1\nCommand was: REFRESH MATERIALIZED VIEW public.totals;\n\n\n\
            pg_restore: from TOC entry 12; 2606 16405 FK CONSTRAINT orders orders_fkey owner\n\
            pg_restore: error: could not execute query: ERROR:  deadlock detected\nCommand was: ALTER TABLE ONLY public.orders\n    ADD x;\n\
            pg_restore: warning: errors ignored on restore: 2\n";
        let complaint = without_progress(complaint);
        assert!(!complaint.contains("connecting") && complaint.contains("Command was: REFRESH"), "{complaint}");
        let complaint = complaint.as_str();
        assert_eq!(refused_entries(complaint), [12, 3210]);
        let expected = [
            ("MATERIALIZED VIEW DATA totals owner", "division by zero; CONTEXT:  SQL function \"rate\" statement 1"),
            ("FK CONSTRAINT orders orders_fkey owner", "deadlock detected"),
        ];
        let expected = expected.map(|(object, reason)| NotCreated { object: object.into(), reason: reason.into() });
        assert_eq!(not_created(complaint), expected);
        assert!(refused_entries("pg_restore: error: connection to server failed").is_empty());
    }
}

//! Runs stock pg_restore on an archive that is in memory only. `pg_restore --jobs` refuses a pipe, since each of its
//! workers reads the file for itself; a memfd is a file without a disk.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
};

use rustix::fs::{MemfdFlags, memfd_create};
use tokio::process::Command;

use crate::{archive::Contents, config::Source};

/// What of the tool's messages is kept: the first lines say what went wrong.
const MESSAGE_BYTES: usize = 4096;

/// pg_restore on one database.
#[derive(Debug, Clone)]
pub struct PgRestore {
    program: PathBuf,
    target: Source,
    /// `--no-owner` and the like.
    options: Vec<&'static str>,
    /// Settings of its sessions.
    settings: Vec<(&'static str, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolFault {
    #[error("pg_restore cannot be run ({0}); install PostgreSQL's client tools, or set BACKUP_CLIENT_FOLDER to their folder")]
    NoProgram(String),
    #[error("no memory for the table of contents ({0})")]
    Memory(String),
    #[error("pg_restore failed ({status}): {message}")]
    Failed { status: String, message: String },
}

impl ToolFault {
    /// Whether the server refused what the backup holds; otherwise the tool itself, or the connection, failed.
    pub fn is_refusal_of_contents(&self) -> bool {
        matches!(self, Self::Failed { message, .. } if message.contains("could not execute query"))
    }
}

impl PgRestore {
    /// `folder` holds the client tools; `None`: they are on the path.
    pub fn new(folder: Option<&Path>, target: Source) -> Self {
        let program = folder.map_or_else(|| "pg_restore".into(), |folder| folder.join("pg_restore"));
        Self { program, target, options: Vec::new(), settings: Vec::new() }
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

    /// The major version of the tool.
    pub async fn major_version(&self) -> Result<u32, ToolFault> {
        let output = Command::new(&self.program).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output().await;
        let output = output.map_err(|error| ToolFault::NoProgram(error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.split_whitespace().find_map(|word| word.split('.').next()?.parse().ok());
        version.ok_or_else(|| ToolFault::NoProgram(format!("it calls itself {:?}", text.trim())))
    }

    /// Creates every entry of `contents` in the target database, in `jobs` sessions. Nothing to do is done at once.
    pub async fn run(&self, contents: &Contents, jobs: usize) -> Result<(), ToolFault> {
        let archive = in_memory(&contents.to_bytes()).map_err(|error| ToolFault::Memory(error.to_string()))?;
        let mut command = Command::new(&self.program);
        command.args(["--exit-on-error", "--no-password"]).args(&self.options);
        if jobs > 1 {
            command.arg(format!("--jobs={jobs}"));
        }
        // A connection string: a database whose name holds `=` would otherwise be taken for one.
        command.arg(format!("--dbname=dbname={}", connection_value(&self.target.database)));
        command.arg("/proc/self/fd/0").stdin(Stdio::from(archive)).stdout(Stdio::null()).stderr(Stdio::piped());
        command.envs(self.target.environment()).env("PGOPTIONS", self.session_options()).kill_on_drop(true);
        let output = command.output().await.map_err(|error| ToolFault::NoProgram(error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        let message = String::from_utf8_lossy(&output.stderr[..output.stderr.len().min(MESSAGE_BYTES)]).trim().to_owned();
        Err(ToolFault::Failed { status: output.status.to_string(), message })
    }

    fn session_options(&self) -> String {
        let escaped = |value: &str| value.replace('\\', "\\\\").replace(' ', "\\ ");
        self.settings.iter().map(|(name, value)| format!("-c {name}={} ", escaped(value))).collect()
    }
}

/// The bytes as a file that exists as long as it is open.
fn in_memory(bytes: &[u8]) -> std::io::Result<File> {
    let mut file = File::from(memfd_create("contents", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}

/// A value of libpq's connection strings.
fn connection_value(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

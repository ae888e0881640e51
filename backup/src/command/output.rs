//! This module prints results on standard output. A reader may close the pipe early (`backup list | head -1`). The remaining
//! output is then dropped, and the command still finishes its work. It must not write log lines.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use crate::failure::{Exit, Failure};

/// Whether a result was lost for another reason than a closed pipe, such as a full disk behind a redirection.
static LOST: AtomicBool = AtomicBool::new(false);

/// Format of results
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Output {
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Output {
    /// Prints a result on standard output, as text or JSON.
    pub fn say(self, text: impl Display, json: &impl serde::Serialize) {
        match self {
            Self::Text => answer(text),
            Self::Json => answer(serde_json::to_string(json).unwrap_or_default()),
        }
    }

    /// Prints a remark on standard error, for commands that write other data to standard output.
    pub fn remark(self, text: impl Display, json: &impl serde::Serialize) {
        match self {
            Self::Text => complain(text),
            Self::Json => complain(serde_json::to_string(json).unwrap_or_default()),
        }
    }

    /// Prints a failure: as text on standard error, as JSON on standard output.
    pub fn fail(self, job: &str, failure: &Failure) {
        match self {
            // The reader closed the pipe and needs no message.
            _ if failure.exit == Exit::Unread => {}
            Self::Text if job.is_empty() => complain(format_args!("backup: {failure}")),
            Self::Text => complain(format_args!("backup {job}: {failure}")),
            Self::Json => answer(
                serde_json::json!({"job": job, "failed": {"stage": failure.stage, "exit": failure.exit as u8, "error": format!("{:#}", failure.error)}}),
            ),
        }
    }
}

/// Prints a line on standard output.
fn answer(text: impl Display) {
    let line = format!("{text}\n");
    let mut stdout = io::stdout().lock();
    match stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        Err(error) => {
            complain(format_args!("failed to write to standard output: {error}"));
            LOST.store(true, Relaxed);
        }
    }
}

/// Prints a line on standard error. If that fails too, the message is lost.
pub fn complain(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether every result was written.
pub fn all_answered() -> bool {
    !LOST.load(Relaxed)
}

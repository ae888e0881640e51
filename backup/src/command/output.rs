//! What a command answers, on standard output. Whoever reads may have heard enough (`backup list | head -1`): what is left is
//! dropped without a word, and the command does to its end what it was asked to. Never: a log line.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use crate::failure::{Exit, Failure};

/// Whether an answer was lost other than by a reader that had heard enough: a full disk behind a redirection.
static LOST: AtomicBool = AtomicBool::new(false);

/// How a command answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Output {
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Output {
    /// A line of either kind on standard output.
    pub fn say(self, text: impl Display, json: &impl serde::Serialize) {
        match self {
            Self::Text => answer(text),
            Self::Json => answer(serde_json::to_string(json).unwrap_or_default()),
        }
    }

    /// A line of either kind on standard error, where standard output is something else than answers.
    pub fn remark(self, text: impl Display, json: &impl serde::Serialize) {
        match self {
            Self::Text => complain(text),
            Self::Json => complain(serde_json::to_string(json).unwrap_or_default()),
        }
    }

    /// A failure: for a person on standard error, for a program as a line like any other.
    pub fn fail(self, job: &str, failure: &Failure) {
        match self {
            // Who stopped reading knows.
            _ if failure.exit == Exit::Unread => {}
            Self::Text => complain(format_args!("backup {job}: {failure}")),
            Self::Json => answer(
                serde_json::json!({"job": job, "failed": {"stage": failure.stage, "exit": failure.exit as u8, "error": format!("{:#}", failure.error)}}),
            ),
        }
    }
}

/// A line on standard output.
fn answer(text: impl Display) {
    let line = format!("{text}\n");
    let mut stdout = io::stdout().lock();
    match stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        Err(error) => {
            complain(format_args!("standard output cannot be written: {error}"));
            LOST.store(true, Relaxed);
        }
    }
}

/// A line on standard error; when nobody reads that either, there is nobody left to tell.
pub fn complain(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether every answer went where it should.
pub fn all_answered() -> bool {
    !LOST.load(Relaxed)
}

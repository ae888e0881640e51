//! This module waits for a part, and reports the end of its log if it does not start.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use local_parts::log_tail;
use tokio::time::sleep;

use super::supervisor::is_running;

const POLL: Duration = Duration::from_millis(50);
/// A part that takes longer has failed, even on a slow machine.
const DEADLINE: Duration = Duration::from_secs(60);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Prints the progress of a start.
pub struct Steps {
    begun: Instant,
}

impl Steps {
    pub fn begin() -> Self {
        Self { begun: Instant::now() }
    }

    pub fn step(&self, what: &str) {
        println!("{:5.1} s  {what}", self.begun.elapsed().as_secs_f32());
    }
}

/// Waits until `ready` returns true.
///
/// # Errors
/// With the end of the part's log when the process ends first or the deadline passes.
pub async fn ready(part: &str, pid: u32, log: &Path, mut ready: impl AsyncFnMut() -> bool) -> Result<()> {
    let end = Instant::now() + DEADLINE;
    while !ready().await {
        let wrong = if !is_running(pid) {
            "ended at start".to_owned()
        } else if Instant::now() >= end {
            format!("was not ready after {} s", DEADLINE.as_secs())
        } else {
            sleep(POLL).await;
            continue;
        };
        bail!("{part} {wrong}. {}\nWhat to do: the lines above state the cause. Correct it and start again.", log_tail(log));
    }
    Ok(())
}

/// Whether a GET is answered with success, and with a body that `accept` takes.
pub async fn answers(url: &str, accept: impl FnOnce(&str) -> bool) -> bool {
    text_of(url).await.is_ok_and(|body| accept(&body))
}

/// The answer to a GET request.
pub async fn text_of(url: &str) -> reqwest::Result<String> {
    let reply = reqwest::Client::new().get(url).timeout(REQUEST_TIMEOUT).send().await?.error_for_status()?;
    reply.text().await
}

//! This module is a child process with its output in a log file; dropping it kills it. It must not touch a process of another
//! program.

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

/// Interval between checks of a condition.
const POLL: Duration = Duration::from_millis(10);
/// Maximum part of a log in an error.
const TAIL_LINES: usize = 20;

pub struct Child {
    name: String,
    process: tokio::process::Child,
    log: PathBuf,
}

impl Child {
    /// Starts `program` with these arguments. Its environment contains only `environment` and the search path.
    pub fn start(
        name: &str,
        program: &Path,
        arguments: &[&str],
        environment: &[(String, String)],
        folder: &Path,
    ) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let output =
            File::options().create(true).append(true).open(&log).with_context(|| format!("opening {}", log.display()))?;
        // setpriv becomes the program, and the kernel kills it when the thread that started it ends.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}: build it first, in the same profile", program.display()))?;
        Ok(Self { name: name.to_owned(), process, log })
    }

    /// The process id; `None` once the process has ended and was waited for.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Waits until `ready` returns true.
    ///
    /// # Errors
    ///
    /// Returns an error with the end of the log if the process ends first or the deadline passes.
    pub async fn ready(&mut self, deadline: Duration, mut ready: impl AsyncFnMut() -> bool) -> Result<()> {
        let end = Instant::now() + deadline;
        loop {
            if let Some(status) = self.process.try_wait()? {
                anyhow::bail!("{} ended ({status}). {}", self.name, self.tail());
            }
            if ready().await {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{} was not ready after {} s. {}", self.name, deadline.as_secs(), self.tail());
            sleep(POLL).await;
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid().and_then(|pid| Pid::from_raw(pid as i32)) {
            // The process may have ended already. The kernel does not reuse its id before the wait.
            let _ = kill_process(pid, signal);
        }
    }

    /// Kills the process with SIGKILL and waits for its end.
    pub async fn kill(mut self) -> Result<()> {
        self.process.kill().await.with_context(|| format!("killing {}", self.name))
    }

    /// Asks the process to stop and waits; it must exit with success before the deadline.
    pub async fn stop(mut self, deadline: Duration) -> Result<()> {
        self.signal(Signal::TERM);
        let waited = timeout(deadline, self.process.wait()).await;
        let status = waited.with_context(|| format!("{} did not end within {} s", self.name, deadline.as_secs()))??;
        ensure!(status.success(), "{} ended with {status}. {}", self.name, self.tail());
        Ok(())
    }

    /// Waits for the process to end without a signal; its status must be success.
    pub async fn finish(mut self) -> Result<()> {
        let status = self.process.wait().await?;
        ensure!(status.success(), "{} ended with {status}. {}", self.name, self.tail());
        Ok(())
    }

    /// The last lines of its log, with the path.
    pub fn tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        format!("The end of {}:\n{}", self.log.display(), lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n"))
    }
}

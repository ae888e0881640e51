//! One running part: started with its log in its folder, watched until ready, ended by its process id.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    launch::{Launch, StopSignal},
    spawner,
};

/// How long a part may take to end before it is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
/// How often a condition is looked at while waiting for it.
const POLL: Duration = Duration::from_millis(15);
/// Largest part of a log in an error.
const TAIL_LINES: usize = 25;

/// A running part. Dropping it ends it.
#[derive(Debug)]
pub struct ChildProcess {
    name: &'static str,
    child: Child,
    log: PathBuf,
    stop_signal: StopSignal,
}

impl ChildProcess {
    /// Starts the part. Its output goes into `<folder>/<name>.log`.
    pub fn start(launch: &Launch, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{}.log", launch.name));
        let output =
            File::options().create(true).append(true).open(&log).with_context(|| format!("opening {}", log.display()))?;
        let words = launch.command_line();
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .envs(launch.environment.iter().cloned())
            .current_dir(folder)
            .stdin(if launch.open_input { Stdio::piped() } else { Stdio::null() })
            .stdout(output.try_clone().context("sharing a log file")?)
            .stderr(output);
        let child = spawner::spawn(command).with_context(|| format!("starting {}", launch.name))?;
        Ok(Self { name: launch.name, child, log, stop_signal: launch.stop_signal })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `ready` says yes, the part ends, or the deadline passes.
    ///
    /// # Errors
    /// With the tail of the part's log when it ended or was not ready in time.
    pub async fn ready(&mut self, deadline: Duration, mut ready: impl AsyncFnMut() -> bool) -> Result<()> {
        let end = Instant::now() + deadline;
        loop {
            if let Some(status) = self.child.try_wait().context("checking a part")? {
                bail!("{} ended at start ({status}). {}", self.name, self.tail());
            }
            if ready().await {
                return Ok(());
            }
            if Instant::now() >= end {
                bail!("{} was not ready after {} s. {}", self.name, deadline.as_secs(), self.tail());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Sends `signal` and waits for the end; kills a part that does not end in time.
    pub async fn stop(&mut self, signal: StopSignal) -> Result<ExitStatus> {
        self.signal(signal);
        let end = Instant::now() + STOP_DEADLINE;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().context("waiting for a part to end")? {
                return Ok(status);
            }
            tokio::time::sleep(POLL).await;
        }
        self.kill().with_context(|| format!("{} did not end in time and was killed", self.name))
    }

    fn kill(&mut self) -> Result<ExitStatus> {
        self.child.kill()?;
        Ok(self.child.wait()?)
    }

    fn signal(&self, signal: StopSignal) {
        let signal = match signal {
            StopSignal::Interrupt => Signal::INT,
            StopSignal::Quit => Signal::QUIT,
            StopSignal::Terminate => Signal::TERM,
            StopSignal::Kill => Signal::KILL,
        };
        // Fails when it has ended already, and until it is waited for, its number is not given to another.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    fn tail(&self) -> String {
        log_tail(&self.log)
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        self.signal(self.stop_signal);
        let end = Instant::now() + STOP_DEADLINE;
        while Instant::now() < end {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(POLL);
        }
        let _ = self.kill();
    }
}

/// The last lines of a log, with its path.
pub fn log_tail(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    format!("The end of {}:\n{}", log.display(), tail.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{find_program, folder::Folder};

    fn shell(script: &str) -> Launch {
        Launch {
            name: "shell",
            program: find_program("sh").unwrap(),
            arguments: vec!["-c".into(), script.into()],
            environment: Vec::new(),
            account: None,
            open_input: false,
            stop_signal: StopSignal::Terminate,
        }
    }

    fn alive(pid: u32) -> bool {
        Path::new("/proc").join(pid.to_string()).exists()
    }

    #[tokio::test]
    async fn a_part_that_ends_at_start_is_told_with_its_log() {
        let folder = Folder::throwaway("process").unwrap();
        let mut process = ChildProcess::start(&shell("echo the disk is full; exit 3"), folder.path()).unwrap();
        let error = process.ready(Duration::from_secs(10), async || false).await.unwrap_err().to_string();
        assert!(error.contains("shell ended at start (exit status: 3)") && error.contains("the disk is full"), "{error}");
    }

    #[tokio::test]
    async fn a_part_that_is_not_ready_fails_at_the_deadline() {
        let folder = Folder::throwaway("process").unwrap();
        let mut process = ChildProcess::start(&shell("echo waiting; exec sleep 600"), folder.path()).unwrap();
        let error = process.ready(Duration::from_millis(100), async || false).await.unwrap_err().to_string();
        assert!(error.contains("was not ready after 0 s") && error.contains("waiting"), "{error}");
        let pid = process.pid();
        drop(process);
        assert!(!alive(pid));
    }

    /// What the shared parts rely on: the thread that asked for a part may end, the part lives on.
    #[test]
    fn a_part_outlives_the_thread_that_asked_for_it() {
        let folder = Folder::throwaway("process").unwrap();
        let path = folder.path().to_owned();
        let start =
            move || ChildProcess::start(&shell("trap 'exit 0' TERM; echo up; while :; do sleep 0.01; done"), &path).unwrap();
        let process = std::thread::spawn(start).join().unwrap();
        let log = folder.path().join("shell.log");
        let end = Instant::now() + Duration::from_secs(10);
        while !fs::read_to_string(&log).unwrap().contains("up") {
            assert!(Instant::now() < end, "the part never came up");
            std::thread::sleep(POLL);
        }
        assert!(alive(process.pid()));
    }

    #[tokio::test]
    async fn stopping_reports_how_the_part_ended() {
        let folder = Folder::throwaway("process").unwrap();
        let mut process =
            ChildProcess::start(&shell("trap 'exit 7' INT; echo up; while :; do sleep 0.01; done"), folder.path()).unwrap();
        let log = folder.path().join("shell.log");
        process.ready(Duration::from_secs(10), async || fs::read_to_string(&log).unwrap().contains("up")).await.unwrap();
        assert_eq!(process.stop(StopSignal::Interrupt).await.unwrap().code(), Some(7));
    }
}

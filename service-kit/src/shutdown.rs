//! This module stops a program: SIGTERM or Ctrl-C asks every part to stop, and a deadline limits the wait.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
};
use tokio_util::sync::CancellationToken;

use crate::EXIT_UNCLEAN;

/// The shutdown of one program. Clones share it.
#[derive(Clone)]
pub struct Shutdown {
    token: CancellationToken,
    shared: Arc<Shared>,
}

struct Shared {
    deadline: Duration,
    running: Mutex<Running>,
    /// For the watchdog, which is a thread: the deadline must work while the runtime is stuck.
    changed: Condvar,
    drained: Notify,
    overrun: Overrun,
}

type Overrun = Box<dyn Fn(Vec<String>) + Send + Sync>;

#[derive(Default)]
struct Running {
    begun: bool,
    next: u64,
    parts: BTreeMap<u64, String>,
}

/// A part of the program that must end before the process may. Drop it when the part has ended.
#[must_use = "the part counts as ended when this is dropped"]
pub struct RunningPart {
    id: u64,
    shared: Arc<Shared>,
}

impl Shutdown {
    /// `deadline` counts from the signal. When it passes, the parts that still run are logged and the process exits
    /// with [`EXIT_UNCLEAN`].
    pub fn new(deadline: Duration) -> Self {
        Self::with_overrun(
            deadline,
            Box::new(|parts| {
                tracing::error!(parts = parts.join(", "), "parts did not stop before the shutdown deadline; exiting");
                std::process::exit(i32::from(EXIT_UNCLEAN));
            }),
        )
    }

    fn with_overrun(deadline: Duration, overrun: Overrun) -> Self {
        let shared = Shared { deadline, running: Mutex::default(), changed: Condvar::new(), drained: Notify::new(), overrun };
        Self { token: CancellationToken::new(), shared: Arc::new(shared) }
    }

    /// Cancelled when the shutdown begins.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Registers a part. The log shows `name` if the part does not stop in time.
    pub fn part(&self, name: &str) -> RunningPart {
        let mut running = self.shared.running();
        let id = running.next;
        running.next += 1;
        running.parts.insert(id, name.to_owned());
        RunningPart { id, shared: Arc::clone(&self.shared) }
    }

    /// Begins the shutdown on SIGTERM or SIGINT. A second signal ends the process at once.
    ///
    /// # Errors
    /// Returns an error if the process cannot listen to signals. Call it inside the runtime.
    pub fn on_signals(&self) -> io::Result<()> {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let shutdown = self.clone();
        tokio::spawn(async move {
            for signals in 1.. {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                if signals == 1 {
                    shutdown.begin(name);
                } else {
                    tracing::error!(signal = name, "received a second signal; exiting at once");
                    std::process::exit(i32::from(EXIT_UNCLEAN));
                }
            }
        });
        Ok(())
    }

    /// Begins the shutdown: cancels the token and starts the deadline. Later calls do nothing.
    pub fn begin(&self, reason: &str) {
        if std::mem::replace(&mut self.shared.running().begun, true) {
            return;
        }
        tracing::info!(reason, deadline_seconds = self.shared.deadline.as_secs_f64(), "shutting down");
        self.token.cancel();
        let shared = Arc::clone(&self.shared);
        let watchdog = std::thread::Builder::new().name("shutdown-deadline".into()).spawn(move || shared.watch());
        if let Err(error) = watchdog {
            tracing::error!(%error, "failed to start the thread of the shutdown deadline; waiting for all parts without a limit");
        }
    }

    /// Returns once the shutdown has begun and every part has ended. The program then exits.
    pub async fn drained(&self) {
        self.token.cancelled().await;
        loop {
            let notified = self.shared.drained.notified();
            tokio::pin!(notified);
            // Subscribe before the check: the last part may end in between.
            notified.as_mut().enable();
            if self.shared.running().parts.is_empty() {
                return;
            }
            notified.await;
        }
    }
}

impl Shared {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self) {
        let end = Instant::now() + self.deadline;
        let mut running = self.running();
        while !running.parts.is_empty() {
            let Some(left) = end.checked_duration_since(Instant::now()) else {
                let parts = running.parts.values().cloned().collect();
                drop(running);
                return (self.overrun)(parts);
            };
            running = self.changed.wait_timeout(running, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for RunningPart {
    fn drop(&mut self) {
        let mut running = self.shared.running();
        running.parts.remove(&self.id);
        if running.parts.is_empty() {
            self.shared.changed.notify_all();
            self.shared.drained.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn watched(deadline: Duration) -> (Shutdown, mpsc::Receiver<Vec<String>>) {
        let (sender, receiver) = mpsc::channel();
        let sender = Mutex::new(sender);
        (Shutdown::with_overrun(deadline, Box::new(move |parts| sender.lock().unwrap().send(parts).unwrap())), receiver)
    }

    #[tokio::test]
    async fn drains_once_every_part_has_ended() {
        let (shutdown, overrun) = watched(Duration::from_secs(60));
        let part = shutdown.part("http");
        let draining = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.drained().await }
        });
        let working = tokio::spawn({
            let token = shutdown.token();
            async move {
                token.cancelled().await;
                drop(part);
            }
        });
        tokio::task::yield_now().await;
        assert!(!draining.is_finished() && !working.is_finished());
        shutdown.begin("test");
        shutdown.begin("twice");
        draining.await.unwrap();
        assert!(working.await.is_ok() && overrun.try_recv().is_err());
    }

    #[tokio::test]
    async fn the_deadline_names_running_parts_if_the_runtime_is_stuck() {
        let (shutdown, overrun) = watched(Duration::from_millis(20));
        let (_stuck, ended) = (shutdown.part("worker"), shutdown.part("http"));
        shutdown.begin("test");
        drop(ended);
        // Blocks the runtime's only thread on purpose.
        assert_eq!(overrun.recv_timeout(Duration::from_secs(10)).unwrap(), ["worker"]);
    }

    #[tokio::test]
    async fn sigterm_begins_the_shutdown() {
        let (shutdown, _overrun) = watched(Duration::from_secs(60));
        shutdown.on_signals().unwrap();
        let kill = std::process::Command::new("kill").arg("-TERM").arg(std::process::id().to_string()).status();
        assert!(kill.unwrap().success());
        tokio::time::timeout(Duration::from_secs(10), shutdown.drained()).await.unwrap();
    }
}

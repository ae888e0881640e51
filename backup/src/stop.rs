//! Ends an attempt from anywhere: the first reason counts, everybody hears of it, connections that block are cut, and tools
//! that run are ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio_util::sync::CancellationToken;

use crate::{
    failure::{Exit, Failure, Stage},
    wire::Breaker,
};

/// Shared by all parts of one attempt.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    token: CancellationToken,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    reason: Option<Failure>,
    guarded: Vec<Guarded>,
}

#[derive(Debug)]
enum Guarded {
    Connection(Breaker),
    Tool(Group),
}

impl Guarded {
    fn end(&self) {
        match self {
            Self::Connection(breaker) => breaker.cut(),
            Self::Tool(group) => group.end(),
        }
    }
}

/// A tool with everything that it has started, by the process that leads them. Clones are one.
#[derive(Debug, Clone)]
pub struct Group(Arc<Mutex<Option<Pid>>>);

impl Group {
    pub fn new(leader: Option<Pid>) -> Self {
        Self(Arc::new(Mutex::new(leader)))
    }

    /// Ends them all.
    pub fn end(&self) {
        if let Some(leader) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // Gone already is as good.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }

    /// The leader was waited for: its number may be another's from now on.
    pub fn over(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Stop {
    /// Stops the attempt. Later reasons are what follows from the first and say nothing new.
    pub fn stop(&self, reason: Failure) {
        let mut inner = self.inner();
        if self.token.is_cancelled() {
            return;
        }
        inner.reason = Some(reason);
        self.token.cancel();
        inner.guarded.drain(..).for_each(|guarded| guarded.end());
    }

    pub fn is_stopped(&self) -> bool {
        self.token.is_cancelled()
    }

    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Why it was stopped; `None` when it was not, or somebody has taken the reason already.
    pub fn take_reason(&self) -> Option<Failure> {
        self.inner().reason.take()
    }

    /// What a part returns that found itself stopped.
    pub fn stopped(&self, stage: Stage) -> Failure {
        Failure::told(stage, Exit::Failed, "stopped")
    }

    /// Cuts this connection when the attempt stops.
    pub fn guard(&self, breaker: Breaker) {
        self.hold(Guarded::Connection(breaker));
    }

    /// Ends this tool when the attempt stops.
    pub fn guard_tool(&self, group: Group) {
        self.hold(Guarded::Tool(group));
    }

    fn hold(&self, guarded: Guarded) {
        let mut inner = self.inner();
        if self.is_stopped() {
            guarded.end();
        } else {
            inner.guarded.push(guarded);
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! This module aborts an attempt from any thread. The first reason is recorded, every part is notified, blocked connections are
//! cut, and running tools are killed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio_util::sync::CancellationToken;

use crate::{
    failure::{Exit, Failure, Stage},
    wire::ConnectionBreaker,
};

/// Shared by all parts of one attempt.
#[derive(Debug, Clone, Default)]
pub struct Abort {
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
    Connection(ConnectionBreaker),
    Tool(ToolGroup),
}

impl Guarded {
    fn end(&self) {
        match self {
            Self::Connection(breaker) => breaker.cut(),
            Self::Tool(group) => group.end(),
        }
    }
}

/// A tool and all of its children, identified by their leader's process id. Clones share it.
#[derive(Debug, Clone)]
pub struct ToolGroup(Arc<Mutex<Option<Pid>>>);

impl ToolGroup {
    pub fn new(leader: Option<Pid>) -> Self {
        Self(Arc::new(Mutex::new(leader)))
    }

    /// Kills all of them.
    pub fn end(&self) {
        if let Some(leader) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // The processes may have ended already.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }

    /// Forgets the process id after the leader was waited for: another process may get the same id.
    pub fn over(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Abort {
    /// Aborts the attempt. Later reasons are consequences of the first and are ignored.
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

    /// Reason of the abort; `None` if there was none, or if it was taken already.
    pub fn take_reason(&self) -> Option<Failure> {
        self.inner().reason.take()
    }

    /// The failure of a part that was aborted.
    pub fn stopped(&self, stage: Stage) -> Failure {
        Failure::told(stage, Exit::Failed, "stopped")
    }

    /// Cuts this connection when the attempt is aborted.
    pub fn guard(&self, breaker: ConnectionBreaker) {
        self.hold(Guarded::Connection(breaker));
    }

    /// Kills this tool when the attempt is aborted.
    pub fn guard_tool(&self, group: ToolGroup) {
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

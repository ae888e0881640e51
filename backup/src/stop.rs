//! Ends an attempt from anywhere: the first reason counts, everybody hears of it, and connections that block are cut.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::{
    failure::{Exit, Failure, Outcome, Stage},
    wire::{Breaker, Connection, WireError},
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
    breakers: Vec<Breaker>,
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
        inner.breakers.drain(..).for_each(|breaker| breaker.cut());
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
    pub fn guard(&self, connection: &Connection) -> Outcome<()> {
        let breaker = connection.breaker().map_err(|error| Failure::wire(Stage::Connect, WireError::Broken(error)))?;
        let mut inner = self.inner();
        if self.is_stopped() {
            breaker.cut();
        } else {
            inner.breakers.push(breaker);
        }
        Ok(())
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

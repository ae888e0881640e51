//! This module is the API's handle of the engine: it submits commands and waits for durable answers. It must not make a decision.

use std::{sync::Arc, sync::atomic::AtomicBool, sync::atomic::Ordering, time::Instant};

use exchange_core::{
    command::{Command, Outcome},
    money::Time,
    order_count::OrderCount,
    refusal::Refusal,
};
use futures::{FutureExt, future::BoxFuture};
use service_kit::trace::Sampled;
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

use super::order_limits::TooManyOrders;
use crate::metrics::EngineMetrics;

/// Why a command has no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The exchange refused the command; nothing changed.
    #[error("{0}")]
    Refused(Refusal),
    /// The queue is full (-1008); nothing changed.
    #[error("too many commands are waiting")]
    Busy,
    /// This replica does not lead, or PostgreSQL is unreachable (503, -1001); certainly not executed.
    #[error("this server accepts no commands at present")]
    Unavailable,
    /// The outcome of the commit was not known in time (-1007); it may or may not have been executed.
    #[error("the execution status is unknown")]
    Unknown,
    /// The account would have too many unfilled orders (-1015); nothing changed.
    #[error("the account has too many unfilled orders")]
    TooManyOrders(TooManyOrders),
    /// `valid_until` passed while the command waited (-1021); nothing changed.
    #[error("the command waited longer than its recvWindow")]
    Expired,
}

/// A durable answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandReply {
    pub outcome: Outcome,
    /// Journal time of the command: `transactTime`, µs.
    pub time: Time,
    /// Sequence of the journal after the command: a read that must include the command waits for it.
    pub sequence: u64,
    /// The account's unfilled orders with those of this command, before any fill.
    pub unfilled: OrderCount,
}

pub(super) type CommandResult = Result<CommandReply, SubmitError>;

/// A command in the leader's queue.
#[derive(Debug)]
pub(super) struct Submission {
    pub command: Command,
    /// Id that the journal stores with the events of a forwarded command.
    pub forwarded: Option<u128>,
    pub valid_until: Option<Time>,
    pub arrived: Instant,
    /// The request's span, if it is exported.
    pub span: Option<Sampled>,
    pub answer: oneshot::Sender<CommandResult>,
}

/// Additional queue space, as a fraction of the limit, for operators and for commands that free resources.
pub(super) const RESERVED_SHARE: usize = 4;

/// The sending end of the queue. Clones are cheap and share the queue.
#[derive(Clone)]
pub(super) struct Queue {
    sender: mpsc::Sender<Submission>,
    reserved: usize,
    open: Arc<AtomicBool>,
    metrics: EngineMetrics,
}

impl Queue {
    /// At most `limit` commands wait, plus a quarter more of cancels.
    pub fn new(limit: usize, metrics: EngineMetrics) -> (Self, mpsc::Receiver<Submission>) {
        let reserved = (limit / RESERVED_SHARE).max(1);
        let (sender, receiver) = mpsc::channel(limit + reserved);
        (Self { sender, reserved, open: Arc::new(AtomicBool::new(false)), metrics }, receiver)
    }

    /// Whether commands are accepted: only while this replica leads and its journal connection is open.
    pub fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Release);
    }

    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    pub fn depth(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }

    pub async fn submit(&self, command: Command, valid_until: Option<Time>) -> CommandResult {
        let name = command.name();
        let answer = match self.enqueue(command, None, valid_until) {
            // The leader answers every accepted command. A lost answer means that the outcome is unknown.
            Ok(answer) => answer.await.unwrap_or(Err(SubmitError::Unknown)),
            Err(error) => Err(error),
        };
        self.metrics.commands.with_label_values(&[name, outcome_label(&answer)]).inc();
        answer
    }

    /// Queues a follower's command at once; the result waits for its answer.
    pub fn enqueue_forwarded(&self, id: u128, command: Command, valid_until: Option<Time>) -> BoxFuture<'static, CommandResult> {
        let (name, metrics) = (command.name(), self.metrics.clone());
        let queued = self.enqueue(command, Some(id), valid_until);
        let waiting = async move {
            let answer = match queued {
                Ok(answer) => answer.await.unwrap_or(Err(SubmitError::Unknown)),
                Err(error) => Err(error),
            };
            metrics.commands.with_label_values(&[name, outcome_label(&answer)]).inc();
            answer
        };
        waiting.boxed()
    }

    fn enqueue(
        &self,
        command: Command,
        forwarded: Option<u128>,
        valid_until: Option<Time>,
    ) -> Result<oneshot::Receiver<CommandResult>, SubmitError> {
        if !self.is_open() {
            return Err(SubmitError::Unavailable);
        }
        let urgent = command.is_cancel() || matches!(command, Command::Admin { .. });
        // Two senders may both see the last free place. The channel's own bound still applies, so memory does not grow.
        if !urgent && self.sender.capacity() <= self.reserved {
            return Err(SubmitError::Busy);
        }
        let (answer, waiter) = oneshot::channel();
        let (arrived, span) = (Instant::now(), Sampled::current());
        match self.sender.try_send(Submission { command, forwarded, valid_until, arrived, span, answer }) {
            Ok(()) => Ok(waiter),
            Err(TrySendError::Full(_)) => Err(SubmitError::Busy),
            Err(TrySendError::Closed(_)) => Err(SubmitError::Unavailable),
        }
    }
}

pub(super) const fn outcome_label(answer: &CommandResult) -> &'static str {
    match answer {
        Ok(_) => "accepted",
        Err(SubmitError::Refused(_) | SubmitError::TooManyOrders(_)) => "refused",
        Err(SubmitError::Busy) => "busy",
        Err(SubmitError::Unavailable) => "unavailable",
        Err(SubmitError::Unknown) => "unknown",
        Err(SubmitError::Expired) => "expired",
    }
}

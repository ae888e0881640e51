//! This module is one batch: commands decided together, made durable together, answered together. It must not commit or use a
//! database.

use std::time::Instant;

use exchange_core::{State, batch, command::Command, event::Event, money::Time};
use tokio::sync::oneshot;

use super::{
    handle::{CommandReply, CommandResult, Submission, SubmitError},
    order_limits::OrderLimits,
    spans::{Durable, Traced},
};

/// Commands in one batch. Further ones wait for the next commit.
const MAX_COMMANDS: usize = 2048;
/// Events after which no further command joins a batch.
const MAX_EVENTS: usize = 16_384;
/// Bytes after which no further command joins a batch.
const MAX_BYTES: usize = 1 << 20;

/// Queued work fills at most one in this many parts of a batch.
const WORK_SHARE: usize = 2;

/// Decided, but not answered before the batch is durable. A refusal waits too: it may depend on the batch before.
#[derive(Default)]
pub(super) struct Batch {
    events: Vec<Event>,
    /// The events' bytes, encoded in order.
    body: Vec<u8>,
    waiting: Vec<WaitingClient>,
    /// The commands whose spans are exported.
    traced: Vec<Traced>,
    last_sequence: u64,
}

struct WaitingClient {
    to: oneshot::Sender<CommandResult>,
    answer: CommandResult,
    arrived: Instant,
}

/// Identifies a batch in the journal while its commit is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub epoch: i64,
    pub first_sequence: u64,
    pub last_sequence: u64,
    pub checksum: u32,
}

impl Identity {
    /// For the spans of the batch.
    pub fn durable(&self, sent: Instant, durable: Instant, published: Instant) -> Durable {
        let Self { epoch, first_sequence, last_sequence, .. } = *self;
        Durable { epoch, first_sequence, last_sequence, sent, durable, published }
    }
}

impl Batch {
    /// Decides one command on `state`. `now` is the raw clock.
    pub fn decide(&mut self, state: &mut State, submission: Submission, now: Time, limits: &OrderLimits) {
        let Submission { command, forwarded, valid_until, arrived, span, answer: to } = submission;
        let traced = span.map(|span| (span, Instant::now()));
        let answer = if valid_until.is_some_and(|until| now > until) {
            Err(SubmitError::Expired)
        } else if let Err(exceeded) = limits.check(state, &command, now) {
            Err(SubmitError::TooManyOrders(exceeded))
        } else {
            let before = self.events.len();
            let unfilled = OrderLimits::counted(state, &command, now);
            let decided = match forwarded {
                Some(id) => state.decide_forwarded(id, &command, now, &mut self.events),
                None => state.decide(&command, now, &mut self.events),
            };
            self.encode_from(before, state);
            decided
                .map(|outcome| CommandReply { outcome, time: state.now(), sequence: state.sequence(), unfilled })
                .map_err(SubmitError::Refused)
        };
        if let Some((span, decide_begun)) = traced {
            self.traced.push(Traced { span, arrived, decide_begun, decide_ended: Instant::now() });
        }
        self.waiting.push(WaitingClient { to, answer, arrived });
    }

    /// Advances journal time.
    pub fn tick(&mut self, state: &mut State, now: Time) {
        self.decide_unasked(state, &Command::Tick, now);
    }

    /// Decides a command without a waiting client.
    pub fn decide_unasked(&mut self, state: &mut State, command: &Command, now: Time) {
        let before = self.events.len();
        if let Err(refusal) = state.decide(command, now, &mut self.events) {
            tracing::error!(command = command.name(), %refusal, "an internal command of the leader was refused");
        }
        self.encode_from(before, state);
    }

    /// Runs one step of the state's queued work. False: the queue was empty.
    pub fn work(&mut self, state: &mut State, now: Time) -> bool {
        let before = self.events.len();
        let worked = state.work(now, &mut self.events);
        self.encode_from(before, state);
        worked
    }

    fn encode_from(&mut self, before: usize, state: &State) {
        for event in &self.events[before..] {
            event.encode(&mut self.body);
        }
        self.last_sequence = state.sequence();
    }

    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.waiting.is_empty()
    }

    /// Contains answers only and no events to commit.
    pub fn changes_nothing(&self) -> bool {
        self.events.is_empty()
    }

    /// Whether another command may join.
    pub fn has_room(&self) -> bool {
        self.waiting.len() < MAX_COMMANDS && self.events.len() < MAX_EVENTS && self.body.len() < MAX_BYTES
    }

    /// Whether a step of queued work may join: part of the batch is reserved for commands.
    pub fn has_room_for_work(&self) -> bool {
        self.has_room() && self.events.len() < MAX_EVENTS / WORK_SHARE && self.body.len() < MAX_BYTES / WORK_SHARE
    }

    pub fn commands(&self) -> usize {
        self.waiting.len()
    }

    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Takes the commands whose spans are exported.
    pub fn take_traced(&mut self) -> Vec<Traced> {
        std::mem::take(&mut self.traced)
    }

    /// The journal's payload, and the identity of the batch.
    pub fn seal(&self, epoch: i64) -> (Vec<u8>, Identity) {
        let mut payload = Vec::with_capacity(self.body.len() + 16);
        batch::header(batch::level(&self.events), self.events.len(), &mut payload);
        payload.extend_from_slice(&self.body);
        let identity = Identity {
            epoch,
            first_sequence: self.last_sequence + 1 - self.events.len() as u64,
            last_sequence: self.last_sequence,
            checksum: batch::checksum(&payload),
        };
        (payload, identity)
    }

    /// Sends every answer. The batch is durable by now, or contains no events.
    pub fn answer(&mut self, mut acknowledged: impl FnMut(Instant)) {
        for WaitingClient { to, answer, arrived } in self.waiting.drain(..) {
            acknowledged(arrived);
            // Fails if the client disconnected.
            let _ = to.send(answer);
        }
    }

    /// Sends the same failure to every client, in place of the decided answers.
    pub fn answer_all(&mut self, error: &SubmitError) {
        for waiting in self.waiting.drain(..) {
            let _ = waiting.to.send(Err(error.clone()));
        }
    }

    /// Empties the batch for the next commands and retains its memory.
    pub fn clear(&mut self) {
        self.events.clear();
        self.body.clear();
        self.waiting.clear();
        self.traced.clear();
    }
}

//! This module holds the commands that wait on this replica for the leader's decision, and completes each from the journal. It
//! must not decide a command or use the network.
//!
//! - A command has an id. The leader journals the id with the command's events, so the fold of these events is the answer.
//! - A sent command whose connection broke stays here until the journal shows its id, or until a barrier proves that it was not
//!   executed. Then it is sent again.
//! - Every command leaves the table before its deadline, with -1007 if it may have been executed.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use exchange_core::{
    State,
    command::{Command, Outcome},
    event::{CommandExecuted, Event, FORWARDING_LEVEL},
    money::Time,
    order_count::OrderCount,
};
use parking_lot::Mutex;
use rustc_hash::FxBuildHasher;
use service_kit::trace::Sampled;
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, timeout, timeout_at},
};
use tracing::Instrument;

use super::handle::{CommandReply, CommandResult, RESERVED_SHARE, SubmitError};
use crate::metrics::FollowerMetrics;

/// Time for which a command waits for a leader, and time for which the loss of the leader may last before commands are refused at
/// once. A paused leader loses its lease after 3 s.
pub const HOLD: Duration = Duration::from_secs(8);
/// Time in which a command that is being completed receives its answer.
const COMPLETING: Duration = Duration::from_secs(1);

/// The answer to a forwarded command.
#[derive(Debug)]
pub(super) enum ForwardEnd {
    Answered(CommandResult),
    /// Certainly not executed, and this replica leads now.
    LeadsHere,
}

/// The table. Shared by callers, the link to the leader, and the fold.
#[derive(Debug)]
pub struct Forward {
    table: Mutex<CommandTable>,
    /// The table has commands to send.
    pub(super) wake: Notify,
    limit: usize,
    metrics: FollowerMetrics,
}

#[derive(Debug)]
struct CommandTable {
    entries: HashMap<u128, Entry, FxBuildHasher>,
    /// Commands to send, in order of arrival.
    unsent: VecDeque<u128>,
    /// Since when this replica neither leads nor has a link to the leader.
    alone_since: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    command: Command,
    valid_until: Option<Time>,
    traceparent: Option<String>,
    /// Number of the link that sent it.
    sent: Option<u64>,
    /// The leader could not decide it: certainly not executed.
    held: bool,
    answer: oneshot::Sender<ForwardEnd>,
}

/// A command for the link.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub id: u128,
    pub command: Command,
    pub valid_until: Option<Time>,
    pub traceparent: Option<String>,
}

impl Forward {
    /// At most `limit` commands wait, plus a quarter more of cancels.
    pub fn new(limit: usize, metrics: FollowerMetrics) -> Self {
        let table = CommandTable { entries: HashMap::default(), unsent: VecDeque::new(), alone_since: Some(Instant::now()) };
        Self { table: Mutex::new(table), wake: Notify::new(), limit, metrics }
    }

    /// Waits for the durable answer to `command`. `leads_here` is checked once the command is in the table.
    pub(super) async fn submit(&self, command: Command, valid_until: Option<Time>, leads_here: impl Fn() -> bool) -> ForwardEnd {
        // Without an exporter the request's own span identifies the hop.
        let hop = match Sampled::current() {
            Some(_) => tracing::error_span!("forward", otel.kind = "client"),
            None => tracing::Span::none(),
        };
        self.hop(command, valid_until, leads_here).instrument(hop).await
    }

    async fn hop(&self, command: Command, valid_until: Option<Time>, leads_here: impl Fn() -> bool) -> ForwardEnd {
        let arrived = Instant::now();
        let (answer, mut waiter) = oneshot::channel();
        let id = rand::random();
        let deadline = {
            let mut table = self.table.lock();
            let deadline = arrived.min(table.alone_since.unwrap_or(arrived)) + HOLD;
            if deadline <= arrived {
                return self.ended(ForwardEnd::Answered(Err(SubmitError::Unavailable)));
            }
            let limit = if command.is_cancel() { self.limit + (self.limit / RESERVED_SHARE).max(1) } else { self.limit };
            if table.entries.len() >= limit {
                return self.ended(ForwardEnd::Answered(Err(SubmitError::Busy)));
            }
            let traceparent = service_kit::trace::traceparent();
            table.entries.insert(id, Entry { command, valid_until, traceparent, sent: None, held: false, answer });
            table.unsent.push_back(id);
            deadline
        };
        // Removes the command if its client disconnects.
        let waiting = WaitingEntry { forward: self, id };
        if leads_here() && self.take(id).is_some() {
            return ForwardEnd::LeadsHere;
        }
        self.wake.notify_one();
        let ended = match timeout_at(deadline, &mut waiter).await {
            Ok(answered) => answered.unwrap_or(ForwardEnd::Answered(Err(SubmitError::Unknown))),
            Err(_) => match self.take(id) {
                Some(Entry { sent: None, .. } | Entry { held: true, .. }) => ForwardEnd::Answered(Err(SubmitError::Unavailable)),
                Some(_) => ForwardEnd::Answered(Err(SubmitError::Unknown)),
                // The fold is completing it.
                None => match timeout(COMPLETING, waiter).await {
                    Ok(Ok(ended)) => ended,
                    _ => ForwardEnd::Answered(Err(SubmitError::Unknown)),
                },
            },
        };
        drop(waiting);
        self.ended(ended)
    }

    fn ended(&self, ended: ForwardEnd) -> ForwardEnd {
        if let ForwardEnd::Answered(answer) = &ended {
            self.metrics.forwarded.with_label_values(&[super::handle::outcome_label(answer)]).inc();
        }
        ended
    }

    fn take(&self, id: u128) -> Option<Entry> {
        self.table.lock().entries.remove(&id)
    }

    /// Commands to send on link number `link`, in order of arrival.
    pub(super) fn outgoing(&self, link: u64) -> Vec<Outgoing> {
        let mut table = self.table.lock();
        let CommandTable { entries, unsent, .. } = &mut *table;
        let mut outgoing = Vec::with_capacity(unsent.len());
        for id in unsent.drain(..) {
            let Some(entry) = entries.get_mut(&id) else { continue };
            (entry.sent, entry.held) = (Some(link), false);
            let (command, traceparent) = (entry.command.clone(), entry.traceparent.clone());
            outgoing.push(Outgoing { id, command, valid_until: entry.valid_until, traceparent });
        }
        outgoing
    }

    /// The leader refused the command: nothing was executed.
    pub(super) fn answer(&self, id: u128, answer: CommandResult) {
        if let Some(entry) = self.take(id) {
            let _ = entry.answer.send(ForwardEnd::Answered(answer));
        }
    }

    /// The leader cannot decide at present: the command was certainly not executed and waits for the next link.
    pub(super) fn hold(&self, id: u128) {
        if let Some(entry) = self.table.lock().entries.get_mut(&id) {
            entry.held = true;
        }
    }

    /// This replica has applied everything that the links before `link` executed: what is still here was not executed. Sends it
    /// again.
    pub(super) fn barrier_passed(&self, link: u64, now: Time) {
        let mut table = self.table.lock();
        let earlier = |entry: &Entry| entry.sent.is_some_and(|sent| sent < link);
        let lost: Vec<u128> = table.entries.iter().filter(|(_, entry)| earlier(entry)).map(|(id, _)| *id).collect();
        for id in lost {
            let expired = table.entries.get(&id).and_then(|entry| entry.valid_until).is_some_and(|until| now > until);
            if expired {
                if let Some(entry) = table.entries.remove(&id) {
                    let _ = entry.answer.send(ForwardEnd::Answered(Err(SubmitError::Expired)));
                }
            } else if let Some(entry) = table.entries.get_mut(&id) {
                entry.sent = None;
                table.unsent.push_back(id);
                self.metrics.resent.inc();
            }
        }
        drop(table);
        self.wake.notify_one();
    }

    /// This replica leads and has applied the journal up to its claim: what is still here was not executed.
    pub(super) fn leads(&self) {
        let mut table = self.table.lock();
        table.alone_since = None;
        table.unsent.clear();
        for (_, entry) in table.entries.drain() {
            let _ = entry.answer.send(ForwardEnd::LeadsHere);
        }
    }

    /// The fold starts again from a snapshot: the journal may contain sent commands that this replica does not apply.
    pub(super) fn restart(&self) {
        let mut table = self.table.lock();
        let sent: Vec<u128> = table.entries.iter().filter(|(_, entry)| entry.sent.is_some()).map(|(id, _)| *id).collect();
        for id in sent {
            if let Some(entry) = table.entries.remove(&id) {
                let _ = entry.answer.send(ForwardEnd::Answered(Err(SubmitError::Unknown)));
            }
        }
    }

    /// Whether this replica neither leads nor has a link to the leader.
    pub(super) fn set_alone(&self, alone: bool) {
        let mut table = self.table.lock();
        table.alone_since = if alone { table.alone_since.or(Some(Instant::now())) } else { None };
    }

    /// The forwarded commands of a batch that started here. `None` if there are none, which costs one look at the table.
    pub(super) fn completing<'e>(&self, events: &'e [Event]) -> Option<Completing<'e>> {
        let mut table = self.table.lock();
        if table.entries.is_empty() {
            return None;
        }
        let mut spans = VecDeque::new();
        for (index, event) in events.iter().enumerate() {
            if let Event::CommandExecuted(executed) = event
                && let Some(Entry { command, answer, .. }) = table.entries.remove(&executed.id)
            {
                let first = index.saturating_sub(executed.events as usize);
                spans.push_back(SequenceSpan { first, marker: index, executed, command, answer });
            }
        }
        (!spans.is_empty()).then_some(Completing { spans })
    }
}

struct WaitingEntry<'a> {
    forward: &'a Forward,
    id: u128,
}

impl Drop for WaitingEntry<'_> {
    fn drop(&mut self) {
        self.forward.take(self.id);
    }
}

/// Whether followers may forward: an operator has raised the feature level.
pub(super) const fn permitted(state: &State) -> bool {
    state.feature_level() >= FORWARDING_LEVEL
}

/// Commands of this replica in a batch that the fold applies.
#[derive(Debug)]
pub(super) struct Completing<'e> {
    spans: VecDeque<SequenceSpan<'e>>,
}

/// Events of one command by index in the batch.
#[derive(Debug)]
pub(super) struct SequenceSpan<'e> {
    first: usize,
    pub marker: usize,
    pub executed: &'e CommandExecuted,
    pub command: Command,
    answer: oneshot::Sender<ForwardEnd>,
}

impl<'e> Completing<'e> {
    /// The next command, if its events begin at `index` or before.
    pub fn next_at(&mut self, index: usize) -> Option<SequenceSpan<'e>> {
        self.spans.pop_front_if(|span| span.first <= index)
    }
}

impl SequenceSpan<'_> {
    /// Completes the command. `unfilled` is the count before its events with its orders, `state` the state after the marker.
    pub fn complete(self, outcome: Option<Outcome>, unfilled: OrderCount, state: &State) {
        let answer = match outcome {
            Some(outcome) => Ok(CommandReply { outcome, time: state.now(), sequence: state.sequence(), unfilled }),
            None => {
                tracing::error!(
                    id = self.executed.id,
                    command = self.command.name(),
                    "failed to rebuild the answer of a forwarded \
                 command from its events; answering -1007"
                );
                Err(SubmitError::Unknown)
            }
        };
        let _ = self.answer.send(ForwardEnd::Answered(answer));
    }
}

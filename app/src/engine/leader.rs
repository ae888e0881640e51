//! One term of leadership: drain, decide, commit, answer. One batch is in flight; the next is decided meanwhile, and sent once the
//! last one's answers are out and what they brought in has joined it.
//!
//! Nothing is told before it is durable, and every read is served from the committed state, never from the deciding one.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};

use exchange_core::{State, command::Command, money::Time};
use futures::future::{MaybeDone, maybe_done};
use sqlx::PgConnection;
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{
    batch::{Batch, Identity},
    committed::History,
    gauges::TradeCounters,
    handle::{Submission, SubmitError},
    head::BEAT,
    shared::Shared,
};
use crate::db::{
    head,
    journal::{self, Append},
    notices::Warnings,
};

/// An idle journal's time moves on this often, µs.
const TICK: Time = 1_000_000;
/// A batch that no other follows is confirmed to followers after this long.
const CONFIRM_AFTER: Duration = Duration::from_millis(10);
/// A statement without an answer for this long: the connection counts as lost.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// What the statement gave, once it has ended.
async fn ended(statement: &mut Option<Statement>) -> Done {
    let running = statement.as_mut().expect("guarded by its presence");
    running.await;
    let done = Pin::new(statement.as_mut().expect("still there")).take_output();
    *statement = None;
    done.expect("taken once")
}

/// How a term ended.
pub(super) enum Ended {
    /// On request: everything taken is answered, the head is released.
    Stopped,
    /// This replica must not lead any more, and goes on as a follower. Everything taken is answered, the head is released.
    SteppedDown(String),
    /// Another leads. Nothing that was in flight was written.
    Deposed,
    /// The connection failed. The batch in flight may or may not be durable.
    Lost { error: sqlx::Error, in_doubt: Option<InDoubt> },
}

/// A sent batch without an answer.
pub(super) struct InDoubt {
    pub batch: Batch,
    pub identity: Identity,
    pub sent: Instant,
}

/// Commands decided at one reading of the clock.
const DRAIN: usize = 256;
/// Turns of the runtime, after a commit's answers, in which commands may still join the next batch; the first that brings none is the
/// last. A commit costs PostgreSQL about as much as seven orders cost the server, whatever it holds; clients that wait for an answer
/// before their next order would otherwise fall into two halves, each with commits of its own.
const GATHER_TURNS: usize = 4;
/// Queued work of the state (triggered orders, an operator's cancels) runs this long before commands get their turn again.
const WORK_SLICE: Duration = Duration::from_millis(1);
/// Commands held for queued work of their markets, at most. At the bound nothing more is taken from the queue, which then refuses.
const HELD_MAX: usize = 2048;

/// What the connection does: a commit, or a beat when there is nothing to commit. False: deposed.
type Statement = MaybeDone<Pin<Box<dyn Future<Output = Done> + Send>>>;
type Done = Result<(PgConnection, bool), sqlx::Error>;

pub(super) struct Leader<'a> {
    shared: &'a Shared,
    submissions: &'a mut mpsc::Receiver<Submission>,
    epoch: i64,
    /// The state that decisions are made on, ahead of the committed one by what is in flight and pending.
    state: State,
    /// `None` while a statement runs.
    connection: Option<PgConnection>,
    warnings: Warnings,
    statement: Option<Statement>,
    in_flight: Option<InDoubt>,
    in_flight_bytes: u64,
    /// Of the journal up to what was sent last.
    history: Option<History>,
    pending: Batch,
    /// An answered batch, for its memory.
    spare: Batch,
    /// Taken from the queue, not yet decided.
    inbox: Vec<Submission>,
    /// Taken, and held until the queued work of their markets has run.
    held: VecDeque<Submission>,
    last_statement: Instant,
    /// Why this replica steps down.
    leaving: Option<String>,
    /// Followers do not know yet that the last batch is durable.
    unconfirmed: bool,
    counters: TradeCounters,
}

impl<'a> Leader<'a> {
    /// `state` is the committed state; `connection` the one that claimed `epoch`.
    pub fn new(
        shared: &'a Shared,
        submissions: &'a mut mpsc::Receiver<Submission>,
        connection: PgConnection,
        epoch: i64,
        state: State,
    ) -> Self {
        Self {
            shared,
            submissions,
            epoch,
            state,
            connection: Some(connection),
            warnings: Warnings::default(),
            statement: None,
            in_flight: None,
            in_flight_bytes: 0,
            history: shared.committed.read().history(),
            pending: Batch::default(),
            spare: Batch::default(),
            inbox: Vec::new(),
            held: VecDeque::new(),
            last_statement: Instant::now(),
            leaving: None,
            unconfirmed: false,
            counters: TradeCounters::new(&shared.metrics),
        }
    }

    /// Decides `commands` before any other, and marks the declarations `ids` once they are durable.
    pub fn begin_with(&mut self, commands: &[Command], ids: Vec<i64>) {
        for command in commands {
            self.pending.decide_unasked(&mut self.state, command, self.shared.clock.now());
        }
        self.shared.mark_declarations(ids, self.state.sequence());
    }

    /// Leads until stopped, deposed or cut off. The queue has been opened; it is closed at the end.
    pub async fn lead(mut self, stop: &CancellationToken) -> Ended {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut step_down = self.shared.step_down.subscribe();
        let ended = loop {
            self.send();
            if stop.is_cancelled() && self.is_done() {
                break Ended::Stopped;
            }
            if let Some(reason) = self.leaving.take_if(|_| self.statement.is_none() && self.pending.is_empty()) {
                break Ended::SteppedDown(reason);
            }
            // A closed and empty queue would answer at once, again and again.
            let takes = self.takes() && !(self.submissions.is_closed() && self.submissions.is_empty());
            let works = self.pending.has_room_for_work() && self.has_work();
            tokio::select! {
                biased;
                done = ended(&mut self.statement), if self.statement.is_some() => {
                    match done {
                        Ok((connection, true)) => self.committed(connection).await,
                        Ok((_, false)) => break Ended::Deposed,
                        Err(error) => break Ended::Lost { error, in_doubt: self.in_flight.take() },
                    }
                }
                // What was taken before the stop is still decided, committed and answered.
                () = stop.cancelled(), if !self.submissions.is_closed() => {
                    self.shared.queue.set_open(false);
                    self.submissions.close();
                }
                changed = step_down.changed(), if self.leaving.is_none() => {
                    if let (Ok(()), Some(reason)) = (changed, step_down.borrow().clone()) {
                        self.leave(reason);
                    }
                }
                taken = self.submissions.recv_many(&mut self.inbox, DRAIN), if takes => {
                    if taken > 0 {
                        self.decide();
                    }
                }
                // A turn of the runtime first: clients' tasks run on the same threads.
                () = tokio::task::yield_now(), if works => self.work(),
                _ = beat.tick(), if self.statement.is_none() => self.idle(),
                // The next batch would say it too; when none comes, followers must not wait for the beat.
                () = tokio::time::sleep(CONFIRM_AFTER), if self.unconfirmed && self.statement.is_none() => self.confirm(),
            }
        };
        self.end(ended).await
    }

    /// Everything that was taken has been answered.
    fn is_done(&self) -> bool {
        let nothing_taken = self.submissions.is_empty() && self.held.is_empty();
        self.submissions.is_closed() && nothing_taken && self.statement.is_none() && self.pending.is_empty()
    }

    fn takes(&self) -> bool {
        self.pending.has_room() && self.held.len() < HELD_MAX
    }

    fn has_work(&self) -> bool {
        self.leaving.is_none() && (!self.held.is_empty() || self.state.has_work(self.shared.clock.now()))
    }

    /// A slice of the queued work, then the held commands whose markets have finished theirs. A new leader finds the state's queue
    /// in the journal. Held commands were never decided.
    fn work(&mut self) {
        if let Err(reason) = self.shared.clock.check() {
            self.leave(reason);
            return;
        }
        let (begun, now) = (Instant::now(), self.shared.clock.now());
        while begun.elapsed() < WORK_SLICE && self.pending.has_room_for_work() && self.pending.work(&mut self.state, now) {
            self.shared.metrics.queued_steps.inc();
        }
        for _ in 0..self.held.len() {
            let Some(submission) = self.held.pop_front() else { return };
            self.decide_or_hold(submission, now);
        }
    }

    /// Triggered orders run before the market's next order; other commands, cancels among them, do not wait.
    fn decide_or_hold(&mut self, submission: Submission, now: Time) {
        if self.state.must_wait(&submission.command) {
            self.held.push_back(submission);
        } else {
            self.pending.decide(&mut self.state, submission, now);
        }
    }

    /// Lets commands that are on their way join the pending batch. Nobody waits here for a clock: a turn is what was ready anyway.
    async fn gather(&mut self) {
        for _ in 0..GATHER_TURNS {
            tokio::task::yield_now().await;
            while self.inbox.len() < DRAIN
                && self.takes()
                && let Ok(submission) = self.submissions.try_recv()
            {
                self.inbox.push(submission);
            }
            if self.inbox.is_empty() {
                break;
            }
            self.decide();
        }
    }

    /// Decides what was taken from the queue, in its order.
    fn decide(&mut self) {
        if let Err(reason) = self.shared.clock.check() {
            self.leave(reason);
        }
        if self.leaving.is_some() {
            // Nothing may be decided at a wrong time, or on a history that lost events.
            for submission in self.inbox.drain(..) {
                let _ = submission.answer.send(Err(SubmitError::Unavailable));
            }
            return;
        }
        let (begun, now) = (Instant::now(), self.shared.clock.now());
        let commands = self.inbox.len();
        let mut inbox = std::mem::take(&mut self.inbox);
        for submission in inbox.drain(..) {
            self.decide_or_hold(submission, now);
        }
        self.inbox = inbox;
        // A short cascade is in the commit of the order that set it off.
        if self.pending.has_room_for_work() && self.has_work() {
            self.work();
        }
        let each = begun.elapsed().as_secs_f64() / commands as f64;
        self.shared.metrics.decide.observe(each);
    }

    /// Nothing has been sent for a while: time passes, or the lease is kept.
    fn idle(&mut self) {
        if let Err(reason) = self.shared.clock.check() {
            self.leave(reason);
            return;
        }
        let now = self.shared.clock.now();
        if now - self.state.now() >= TICK {
            self.pending.tick(&mut self.state, now);
        } else if self.last_statement.elapsed() >= BEAT {
            self.unconfirmed = false;
            let (epoch, connection) = (self.epoch, self.connection.take());
            self.run(async move {
                let mut connection = connection.expect("no statement runs");
                let leads = head::beat(&mut connection, epoch).await?;
                Ok((connection, leads))
            });
        }
    }

    /// Takes no more commands; what was decided is still committed and answered.
    fn leave(&mut self, reason: String) {
        self.shared.queue.set_open(false);
        self.leaving = Some(reason);
        for submission in self.held.drain(..) {
            let _ = submission.answer.send(Err(SubmitError::Unavailable));
        }
    }

    /// Lets followers see the last batch.
    fn confirm(&mut self) {
        self.unconfirmed = false;
        let (epoch, connection) = (self.epoch, self.connection.take());
        self.run(async move {
            let mut connection = connection.expect("no statement runs");
            let leads = head::confirm(&mut connection, epoch).await?;
            Ok((connection, leads))
        });
    }

    /// Sends what is pending, if the connection is free.
    fn send(&mut self) {
        if self.statement.is_some() || self.pending.is_empty() {
            return;
        }
        if self.pending.changes_nothing() {
            // Refusals, and answers that found the work done: all they rest on is durable.
            self.answer_pending();
            return;
        }
        let (payload, identity) = self.pending.seal(self.epoch);
        let metrics = &self.shared.metrics;
        metrics.batch_commands.observe(self.pending.commands() as f64);
        metrics.batch_events.observe(self.pending.events().len() as f64);
        metrics.queue_depth.set(self.shared.queue.depth() as i64);
        let batch = std::mem::replace(&mut self.pending, std::mem::take(&mut self.spare));
        self.in_flight = Some(InDoubt { batch, identity, sent: Instant::now() });
        self.in_flight_bytes = payload.len() as u64;
        let Identity { epoch, first_sequence, last_sequence, .. } = identity;
        self.history = self.history.map(|history| history.next(first_sequence as i64, last_sequence as i64, epoch, &payload));
        self.unconfirmed = true;
        let connection = self.connection.take();
        let warnings = self.warnings.clone();
        self.run(async move {
            let mut connection = connection.expect("no statement runs");
            let append = Append {
                epoch: identity.epoch,
                previous_sequence: identity.first_sequence as i64 - 1,
                last_sequence: identity.last_sequence as i64,
                checksum: identity.checksum,
                payload: &payload,
            };
            let (appended, warned) = warnings.watch(journal::append(&mut connection, append)).await;
            match appended {
                Ok(true) if warned => {
                    Err(sqlx::Error::Protocol("the server warned while it committed: the batch may not be on a standby".into()))
                }
                appended => appended.map(|leads| (connection, leads)),
            }
        });
    }

    fn run(&mut self, statement: impl Future<Output = Result<(PgConnection, bool), sqlx::Error>> + Send + 'static) {
        self.last_statement = Instant::now();
        self.statement = Some(maybe_done(Box::pin(async move {
            match tokio::time::timeout(STATEMENT_TIMEOUT, statement).await {
                Ok(done) => done,
                Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
            }
        })));
    }

    /// The statement in flight is durable: everybody is told, and the next batch is gathered.
    async fn committed(&mut self, connection: PgConnection) {
        self.connection = Some(connection);
        let Some(InDoubt { mut batch, identity, sent }) = self.in_flight.take() else { return };
        self.shared.metrics.commit.observe(sent.elapsed().as_secs_f64());
        self.shared.metrics.journal_bytes.inc_by(self.in_flight_bytes);
        self.shared.committed.write().apply_batch(batch.events(), self.history);
        self.counters.count(batch.events(), &self.shared.committed.read().state);
        self.shared.metrics.sequence.set(identity.last_sequence as i64);
        let now = Instant::now();
        batch.answer(|arrived| self.shared.metrics.acknowledge.observe((now - arrived).as_secs_f64()));
        batch.clear();
        self.spare = batch;
        if journal::partition_start(identity.last_sequence as i64) >= identity.first_sequence as i64 {
            self.shared.attach_partitions();
        }
        self.gather().await;
    }

    fn answer_pending(&mut self) {
        let (now, metrics) = (Instant::now(), &self.shared.metrics);
        self.pending.answer(|arrived| metrics.acknowledge.observe((now - arrived).as_secs_f64()));
        self.pending.clear();
    }

    /// Leaves nobody waiting but for the batch in doubt.
    async fn end(mut self, ended: Ended) -> Ended {
        self.shared.queue.set_open(false);
        // Never sent, or sent and refused by the fence: certainly not executed.
        self.pending.answer_all(&SubmitError::Unavailable);
        for submission in self.held.drain(..) {
            let _ = submission.answer.send(Err(SubmitError::Unavailable));
        }
        if let Some(mut refused) = self.in_flight.take() {
            refused.batch.answer_all(&SubmitError::Unavailable);
        }
        if let (Ended::Stopped | Ended::SteppedDown(_), Some(connection)) = (&ended, &mut self.connection)
            && let Err(error) = head::release(connection, self.epoch).await
        {
            tracing::warn!(%error, "the lead could not be handed over: a standby takes it when this connection is gone");
        }
        ended
    }
}

//! This module is one term of leadership: drain, decide, commit, answer.
//!
//! - One batch is in flight. The leader decides the next one during that time. It sends the next batch after the answers of the
//!   last are out and the commands that follow them have joined.
//! - An answer must not be sent before its batch is durable.
//! - Every read must use the committed state, never the deciding one.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use exchange_core::{State, command::Command, money::Time};
use futures::future::{MaybeDone, maybe_done};
use sqlx::PgConnection;
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{
    batch::{Batch, Identity},
    committed::HistoryView,
    gauges::TradeCounters,
    handle::{Submission, SubmitError},
    head::BEAT,
    push::Push,
    shared::Shared,
    spans,
};
use crate::database_cause::rolled_back;
use crate::db::{
    head,
    journal::{self, Append},
    notices::Warnings,
};

/// Interval in µs at which an idle leader advances journal time.
const TICK: Time = 1_000_000;
/// Delay after which a batch without a successor is confirmed to followers.
const CONFIRM_AFTER: Duration = Duration::from_millis(10);
/// A statement without an answer for this long: the connection counts as lost.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// The result of a statement after it ended.
async fn ended(statement: &mut Option<PendingStatement>) -> Done {
    let running = statement.as_mut().expect("guarded by the select condition");
    running.await;
    let done = Pin::new(statement.as_mut().expect("still there")).take_output();
    *statement = None;
    done.expect("taken once")
}

/// How a term ended.
pub(super) enum LeadEnd {
    /// On request: everything accepted is answered, the head is released.
    Stopped,
    /// This replica must not lead any longer and becomes a follower. Everything accepted is answered, the head is released.
    SteppedDown(String),
    /// Another replica leads. The batch in flight was not written.
    Deposed,
    /// The connection failed. The batch in flight may or may not be durable.
    Lost { error: sqlx::Error, in_doubt: Option<InDoubt> },
}

/// A batch that was sent and not answered yet.
pub(super) struct InDoubt {
    pub batch: Batch,
    pub identity: Identity,
    pub sent: Instant,
    /// For the followers, once it is durable.
    push: Arc<Push>,
}

/// Commands decided with one clock reading.
const DRAIN: usize = 256;
/// Turns of the runtime after a commit's answers in which commands may still join the next batch; the first turn without a
/// command is the last. A commit costs PostgreSQL about as much as seven orders cost the server, regardless of its size. Without
/// these turns, clients that wait for an answer before their next order would split into two halves, each with its own commits.
const GATHER_TURNS: usize = 4;
/// Time slice for queued work of the state (triggered orders, an operator's cancels) before commands run again.
const WORK_SLICE: Duration = Duration::from_millis(1);
/// Maximum number of commands held for queued work of their markets. At the bound the leader stops reading the queue, which then
/// refuses.
const HELD_MAX: usize = 2048;

/// The statement on the connection: a commit, or a heartbeat if there is nothing to commit. False: deposed.
type PendingStatement = MaybeDone<Pin<Box<dyn Future<Output = Done> + Send>>>;
type Done = Result<(PgConnection, bool), sqlx::Error>;

pub(super) struct Leader<'a> {
    shared: &'a Shared,
    submissions: &'a mut mpsc::Receiver<Submission>,
    epoch: i64,
    /// The deciding state. It is ahead of the committed state by the batches in flight and pending.
    state: State,
    /// `None` while a statement runs.
    connection: Option<PgConnection>,
    warnings: Warnings,
    statement: Option<PendingStatement>,
    in_flight: Option<InDoubt>,
    /// History of the journal up to the last sent batch.
    history: Option<HistoryView>,
    pending: Batch,
    /// An answered batch whose memory is reused.
    spare: Batch,
    /// Read from the queue, not decided yet.
    inbox: Vec<Submission>,
    /// Read, and held until the queued work of their markets has run.
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

    /// Decides `commands` before any others, and marks the declarations `ids` once they are durable.
    pub fn begin_with(&mut self, commands: &[Command], ids: Vec<i64>) {
        for command in commands {
            self.pending.decide_unasked(&mut self.state, command, self.shared.clock.now());
        }
        self.shared.mark_declarations(ids, self.state.sequence());
    }

    /// Leads until stopped, deposed or disconnected. The caller has opened the queue; this function closes it at the end. Returns the
    /// connection if it still works.
    pub async fn lead(mut self, stop: &CancellationToken) -> (LeadEnd, Option<PgConnection>) {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut step_down, mut accused) = (self.shared.step_down.subscribe(), self.shared.accused.subscribe());
        let ended = loop {
            self.send();
            if stop.is_cancelled() && self.is_done() {
                break LeadEnd::Stopped;
            }
            if let Some(reason) = self.leaving.take_if(|_| self.statement.is_none() && self.pending.is_empty()) {
                break LeadEnd::SteppedDown(reason);
            }
            // A closed and empty queue would return immediately in an endless loop.
            let takes = self.takes() && !(self.submissions.is_closed() && self.submissions.is_empty());
            let works = self.pending.has_room_for_work() && self.has_work();
            tokio::select! {
                biased;
                done = ended(&mut self.statement), if self.statement.is_some() => {
                    match done {
                        Ok((connection, true)) => {
                            self.shared.lease.renew(self.last_statement);
                            self.committed(connection).await;
                        }
                        Ok((connection, false)) => {
                            self.connection = Some(connection);
                            break LeadEnd::Deposed;
                        }
                        Err(error) if rolled_back(&error) => {
                            // Certainly not executed: the clients need not wait for the next term.
                            self.refuse_in_flight();
                            break LeadEnd::Lost { error, in_doubt: None };
                        }
                        Err(error) => break LeadEnd::Lost { error, in_doubt: self.in_flight.take() },
                    }
                }
                // Commands accepted before the stop are still decided, committed and answered.
                () = stop.cancelled(), if !self.submissions.is_closed() => {
                    self.shared.queue.set_open(false);
                    self.submissions.close();
                }
                changed = step_down.changed(), if self.leaving.is_none() => {
                    if let (Ok(()), Some(reason)) = (changed, step_down.borrow().clone()) {
                        self.leave(reason);
                    }
                }
                changed = accused.changed(), if self.leaving.is_none() => {
                    if let (Ok(()), Some(reason)) = (changed, accused.borrow().clone()) {
                        self.leave(reason);
                    }
                }
                taken = self.submissions.recv_many(&mut self.inbox, DRAIN), if takes => {
                    if taken > 0 {
                        self.decide();
                    }
                }
                // Yield to the runtime first: clients' tasks run on the same threads.
                () = tokio::task::yield_now(), if works => self.work(),
                _ = beat.tick(), if self.statement.is_none() => self.idle(),
                // The next batch would confirm it too. If none follows, followers must not wait for the heartbeat.
                () = tokio::time::sleep(CONFIRM_AFTER), if self.unconfirmed && self.statement.is_none() => self.confirm(),
            }
        };
        self.end(ended).await
    }

    /// Every accepted command is answered.
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

    /// Runs a slice of the queued work, then the held commands whose markets have finished theirs. A new leader finds the state's
    /// queue in the journal. Held commands were never decided.
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

    /// Triggered orders run before the market's next order; other commands, including cancels, do not wait.
    fn decide_or_hold(&mut self, submission: Submission, now: Time) {
        if self.state.must_wait(&submission.command) {
            self.held.push_back(submission);
        } else {
            self.pending.decide(&mut self.state, submission, now, &self.shared.order_limits);
        }
    }

    /// Lets commands that are arriving join the pending batch. This does not wait for a timer: one turn only runs tasks that are
    /// ready.
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

    /// Decides the commands read from the queue, in order.
    fn decide(&mut self) {
        if let Err(reason) = self.shared.clock.check() {
            self.leave(reason);
        }
        if self.leaving.is_some() {
            // A decision must not use a wrong time, or a history that lost events.
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
        // A short cascade joins the commit of the order that triggered it.
        if self.pending.has_room_for_work() && self.has_work() {
            self.work();
        }
        let each = begun.elapsed().as_secs_f64() / commands as f64;
        self.shared.metrics.decide.observe(each);
    }

    /// No batch has been sent for an interval: advance journal time, or renew the lease.
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
                let mut connection = connection.expect("no statement is running");
                let leads = head::beat(&mut connection, epoch).await?;
                Ok((connection, leads))
            });
        }
    }

    /// Stops accepting commands; decided ones are still committed and answered.
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
            let mut connection = connection.expect("no statement is running");
            let leads = head::confirm(&mut connection, epoch).await?;
            Ok((connection, leads))
        });
    }

    /// Sends the pending batch if the connection is free.
    fn send(&mut self) {
        if self.statement.is_some() || self.pending.is_empty() {
            return;
        }
        if self.pending.changes_nothing() {
            // Refusals, and answers to commands that were already done: everything they depend on is durable.
            self.answer_pending();
            return;
        }
        let (payload, identity) = self.pending.seal(self.epoch);
        let metrics = &self.shared.metrics;
        metrics.batch_commands.observe(self.pending.commands() as f64);
        metrics.batch_events.observe(self.pending.events().len() as f64);
        metrics.queue_depth.set(self.shared.queue.depth() as i64);
        let batch = std::mem::replace(&mut self.pending, std::mem::take(&mut self.spare));
        let payload = Bytes::from(payload);
        let Identity { epoch, first_sequence, last_sequence, checksum } = identity;
        let push = Arc::new(Push {
            first_sequence: first_sequence as i64,
            last_sequence: last_sequence as i64,
            epoch,
            checksum,
            before: self.history.map(|history| history.chain),
            payload: payload.clone(),
        });
        self.in_flight = Some(InDoubt { batch, identity, sent: Instant::now(), push });
        self.history = self.history.map(|history| history.next(first_sequence as i64, last_sequence as i64, epoch, &payload));
        self.unconfirmed = true;
        let connection = self.connection.take();
        let warnings = self.warnings.clone();
        self.run(async move {
            let mut connection = connection.expect("no statement is running");
            let append = Append {
                epoch: identity.epoch,
                previous_sequence: identity.first_sequence as i64 - 1,
                last_sequence: identity.last_sequence as i64,
                checksum: identity.checksum,
                payload: &payload,
            };
            let (appended, warned) = warnings.watch(journal::append_batch(&mut connection, append)).await;
            match appended {
                Ok(true) if warned => {
                    Err(sqlx::Error::Protocol("the server warned during a commit; the batch may be missing on a standby".into()))
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

    /// The statement in flight is durable: send its answers, then gather the next batch.
    async fn committed(&mut self, connection: PgConnection) {
        self.connection = Some(connection);
        let Some(InDoubt { mut batch, identity, sent, push }) = self.in_flight.take() else { return };
        let durable = Instant::now();
        self.shared.metrics.commit.observe((durable - sent).as_secs_f64());
        self.shared.metrics.journal_bytes.inc_by(push.payload.len() as u64);
        self.shared.committed.write().apply_batch(batch.events(), self.history);
        // Fails without a follower.
        let _ = self.shared.pushes.send(push);
        self.counters.count(batch.events(), &self.shared.committed.read().state);
        self.shared.metrics.sequence.set(identity.last_sequence as i64);
        let now = Instant::now();
        batch.answer(|arrived| self.shared.metrics.acknowledge.observe((now - arrived).as_secs_f64()));
        spans::of_batch(&batch.take_traced(), &identity.durable(sent, durable, now));
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
        spans::of_answers(&self.pending.take_traced());
        self.pending.clear();
    }

    fn refuse_in_flight(&mut self) {
        if let Some(mut refused) = self.in_flight.take() {
            refused.batch.answer_all(&SubmitError::Unavailable);
        }
    }

    /// Answers every waiting client except those of the batch in doubt.
    async fn end(mut self, ended: LeadEnd) -> (LeadEnd, Option<PgConnection>) {
        self.shared.queue.set_open(false);
        self.shared.lease.end();
        // Never sent, or rejected by the fence: certainly not executed.
        self.pending.answer_all(&SubmitError::Unavailable);
        for submission in self.held.drain(..) {
            let _ = submission.answer.send(Err(SubmitError::Unavailable));
        }
        self.refuse_in_flight();
        if let (LeadEnd::Stopped | LeadEnd::SteppedDown(_), Some(connection)) = (&ended, &mut self.connection)
            && let Err(error) = head::release(connection, self.epoch).await
        {
            tracing::warn!(%error, "failed to release the lead; a standby takes it after this connection closes");
            self.connection = None;
        }
        (ended, self.connection)
    }
}

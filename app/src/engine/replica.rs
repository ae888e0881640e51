//! This module is the life cycle of one replica: follow the journal, claim the lead when it is free, lead, follow again. It must
//! not decide a batch.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::bail;
use exchange_core::{event::FORWARDING_LEVEL, money::Time};
use sqlx::{PgConnection, postgres::PgConnectOptions};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    claims::{RefusedClaims, pause_after},
    declared::Declared,
    doubt::{Doubt, DoubtOutcome},
    forward,
    handle::{Submission, SubmitError},
    head::{HeadVerdict, check_clock, judge},
    latches::Latches,
    leader::{LeadEnd, Leader},
    peers::{ConfirmedPeer, Peers},
    push::Push,
    recovery::{NotYet, Recovery},
    replay::{Expected, Rebuilt, ReplayError, catch_up},
    shared::{LeaderAt, Shared},
};
use crate::database_cause::{DatabaseCause, Explained};
use crate::db::{
    declarations,
    head::{self, Head},
    journal, marks, migrate,
    notices::Warnings,
    replicas::{self, DatabaseRefusal, Loss},
    session::{self, within},
};

/// Interval at which a standby polls the journal.
const POLL: Duration = Duration::from_millis(100);
/// Events after a mark up to which a new connection compares the whole past.
const MARK_DISTANCE: i64 = 200_000;
/// Pause between attempts to reach an unreachable database: doubles from the first to the last value.
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(2);

/// The replica's task; the API holds an [`super::Engine`].
pub struct Replica {
    pub(super) shared: Arc<Shared>,
    pub(super) submissions: mpsc::Receiver<Submission>,
    pub(super) database: PgConnectOptions,
    /// host:port of this replica's internal listener, for the head row.
    pub(super) address: String,
    pub(super) peers: Peers,
    /// Start of the PostgreSQL server that is not below what the peers know, µs.
    pub(super) compared_with_peers: Option<i64>,
    pub(super) latches: Latches,
    pub(super) recovery: Recovery,
    /// The expected next batch; `None` before the recovery.
    pub(super) expected: Option<Expected>,
    /// Highest sequence known to be confirmed, across all databases that this replica has followed.
    pub(super) confirmed: i64,
    /// Epoch of this replica's last term.
    pub(super) held: Option<i64>,
    pub(super) doubt: Option<Doubt>,
    /// Declarations that no leader has journalled yet.
    pub(super) declared: Declared,
    /// Consecutive terms that ended without a batch.
    pub(super) fruitless: u32,
    pub(super) claims: RefusedClaims,
    /// Batches that the leader pushed.
    pub(super) pushed: mpsc::Receiver<Push>,
    /// This replica shuts down: it follows, and does not lead again.
    pub(super) retired: bool,
}

/// Why an attempt to follow ended without leadership.
enum Interrupted {
    /// Retry on a new connection.
    Retry(String),
    /// As [`Self::Retry`]: a statement or the connection failed.
    Database(sqlx::Error),
    /// Claim the lead on a new connection: this one may have settings that the database no longer has.
    Reconnect,
    /// This database must not be led or followed. Retry: it may be another one then, or an operator may have declared the loss.
    Refused(DatabaseRefusal),
    Fatal(ReplayError),
}

impl From<sqlx::Error> for Interrupted {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<NotYet> for Interrupted {
    fn from(error: NotYet) -> Self {
        match error {
            NotYet::Database(error) => error.into(),
            NotYet::NoSnapshot { .. } => Self::Retry(error.to_string()),
            NotYet::Lost(refusal) => Self::Refused(refusal),
        }
    }
}

impl From<ReplayError> for Interrupted {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Database(error) => error.into(),
            fatal => Self::Fatal(fatal),
        }
    }
}

impl Replica {
    /// Runs until `stop`, or until the journal cannot be followed. From `retire` on it hands the lead over and only follows: cancel
    /// `retire` not later than `stop`.
    pub async fn run(mut self, retire: CancellationToken, stop: CancellationToken) -> anyhow::Result<()> {
        // A new connection takes seconds on a busy machine, and requests wait for this replica to follow.
        let mut open = None;
        loop {
            let (connection, epoch) = tokio::select! {
                claimed = self.stand_by(&retire, open.take()) => claimed?,
                () = stop.cancelled() => break,
            };
            let state = self.shared.committed.read().state.clone();
            tracing::info!(epoch, sequence = state.sequence(), "leading");
            let begun_at = state.sequence();
            let mut leader = Leader::new(&self.shared, &mut self.submissions, connection, epoch, state);
            self.declared.begin(&mut leader);
            // The order matters: a process that sees a leader may send it commands.
            self.shared.queue.set_open(true);
            self.shared.set_leads(true);
            self.latches.leads();
            self.shared.metrics.takeovers.inc();
            let (ended, connection) = leader.lead(&retire).await;
            open = connection;
            self.shared.set_leads(false);
            let sequence = self.shared.committed.read().state.sequence();
            // A term without a batch leaves no epoch in the journal.
            let epoch_before = self.expected.filter(|expected| expected.sequence == sequence as i64 + 1).map(|e| e.epoch);
            let history = self.shared.committed.read().history();
            self.expected = Some(Expected { sequence: sequence as i64 + 1, epoch: epoch_before.unwrap_or(epoch), history });
            self.confirmed = self.confirmed.max(sequence as i64);
            match ended {
                LeadEnd::Stopped => {
                    tracing::info!(epoch, sequence, "handed the lead over");
                    self.retired = true;
                    self.latches.follows("shutting down: this server handed the lead over");
                }
                LeadEnd::SteppedDown(reason) => {
                    tracing::warn!(epoch, sequence, reason, "stepped down");
                    self.latches.stands_by(reason);
                    self.turn_away();
                }
                LeadEnd::Deposed => {
                    self.latches.follows("deposed: another replica took the lead");
                }
                LeadEnd::Lost { error, in_doubt } => {
                    self.latches.stands_by("lost the journal's connection while leading".into());
                    self.database_failed(&error);
                    self.held = Some(epoch);
                    self.doubt = in_doubt.map(|in_doubt| Doubt::new(in_doubt, &self.shared.metrics));
                    self.fruitless = if sequence > begun_at { 0 } else { self.fruitless + 1 };
                }
            }
            if self.shared.accused.send_replace(None).is_some() {
                // Rebuild the state from snapshot and journal before anything else.
                self.expected = None;
            }
            if stop.run_until_cancelled(self.pause_after_fruitless_terms()).await.is_none() {
                break;
            }
        }
        self.submissions.close();
        self.turn_away();
        Ok(())
    }

    /// Follows until this replica may lead, first on the `open` connection. An error is final: the journal cannot be followed.
    async fn stand_by(
        &mut self,
        retire: &CancellationToken,
        mut open: Option<PgConnection>,
    ) -> anyhow::Result<(PgConnection, i64)> {
        let mut retry = FIRST_RETRY;
        loop {
            let connected = match open.take() {
                Some(connection) => Ok(connection),
                None => session::connect_session(&self.database).await,
            };
            let begun = Instant::now();
            let followed = match connected {
                Ok(connection) => self.follow(connection, retire).await,
                Err(error) => Err(error.into()),
            };
            // A database that accepts connections and nothing else must not be asked without a pause.
            if begun.elapsed() > LAST_RETRY {
                retry = FIRST_RETRY;
            }
            match followed {
                Ok(claimed) => return Ok(claimed),
                Err(Interrupted::Fatal(error)) => {
                    self.latches.journal_waits(error.to_string());
                    bail!(error);
                }
                Err(Interrupted::Retry(reason)) => self.latches.database_lost(reason),
                Err(Interrupted::Reconnect) => {}
                Err(Interrupted::Database(error)) => self.database_failed(&error),
                Err(Interrupted::Refused(refusal)) => {
                    self.latches.database_lost(refusal.reason.clone());
                    *self.shared.refusal.lock() = Some(refusal);
                }
            }
            self.turn_away();
            tokio::time::sleep(retry).await;
            retry = (retry * 2).min(LAST_RETRY);
        }
    }

    /// Follows on one connection until this replica may lead.
    async fn follow(
        &mut self,
        mut connection: PgConnection,
        retire: &CancellationToken,
    ) -> Result<(PgConnection, i64), Interrupted> {
        if let Some(missing) = within(migrate::missing(&mut connection)).await? {
            return Err(Interrupted::Retry(missing));
        }
        // First, because commands and reads may wait for the link.
        let head = within(head::read_head(&mut connection)).await?;
        self.note_leader(&head);
        self.forget_what_is_declared_lost(&mut connection).await?;
        if self.expected.is_none() {
            self.latches.journal_waits("reading the newest snapshot".into());
            self.expected = Some(self.recovery.begin(&self.shared, &mut connection).await?);
        }
        self.refuse_another_history(&mut connection).await?;
        self.refuse_below_a_peer(&mut connection).await?;
        let sent = Instant::now();
        self.shared.clock.measured(sent, within(replicas::look(&mut connection)).await?.clock);
        let mut refused_here = false;
        loop {
            let head = within(head::read_head(&mut connection)).await?;
            self.refuse_older(&head)?;
            *self.shared.refusal.lock() = None;
            self.latches.database_ready();
            self.confirmed = self.confirmed.max(head.confirmed_seq);
            self.shared.lag.announce(head.confirmed_seq);
            self.note_leader(&head);
            self.retired |= retire.is_cancelled();
            self.adopt_rebuilt(&mut connection, head.confirmed_seq).await?;
            self.catch_up(&mut connection, head.epoch, head.confirmed_seq).await?;
            self.resolve(&mut connection, head.confirmed_epoch).await?;
            let journal_time = self.shared.committed.read().state.now();
            if self.shared.step_down.borrow().is_some() {
                // Ask the bucket again before the next step.
                self.expected = None;
                return Err(Interrupted::Retry("the bucket proves that this database lost events".into()));
            }
            match self.judge(&mut connection, &head, journal_time).await? {
                HeadVerdict::Claim if refused_here => return Err(Interrupted::Reconnect),
                HeadVerdict::Claim => match self.claim(&mut connection, &head).await {
                    Ok(Some(epoch)) => {
                        self.claims.succeeded();
                        return Ok((connection, epoch));
                    }
                    Ok(None) => {}
                    Err(Interrupted::Database(error)) if DatabaseCause::of(&error).refuses_writes() => {
                        self.count_failure(&error);
                        self.claims.refused(&error);
                        refused_here = true;
                    }
                    Err(other) => return Err(other),
                },
                HeadVerdict::Wait(reason) => self.wait(&head, reason),
            }
            self.turn_away();
            self.apply_pushed().await?;
        }
    }

    /// A database that lacks a confirmed sequence is an older copy: leading on it would lose acknowledged events. A lower head is
    /// not a loss if nothing above it was confirmed.
    fn refuse_older(&self, head: &Head) -> Result<(), Interrupted> {
        let Some(expected) = &self.expected else { return Ok(()) };
        let known = self.confirmed.max(expected.sequence - 1);
        if head.last_seq < known {
            let fact = format!(
                "this database ends at sequence {} in epoch {}, but sequence {known} was confirmed: it is an older copy and is \
                 refused. Point EXCHANGE_DATABASE_URL at the server that has it, or declare the loss",
                head.last_seq, head.epoch
            );
            return Err(Interrupted::Refused(DatabaseRefusal::new(&fact, Loss::through(known))));
        }
        Ok(())
    }

    /// As [`Self::refuse_older`] for what the other replicas know: this one may have started just now, or lag behind them.
    ///
    /// Once for each start of a PostgreSQL server: one that runs on does not lose events.
    async fn refuse_below_a_peer(&mut self, connection: &mut PgConnection) -> Result<(), Interrupted> {
        let started = within(session::server_started(connection)).await?;
        if self.compared_with_peers == Some(started) {
            return Ok(());
        }
        let peers = within(replicas::peers(connection, &self.address)).await?;
        let Some(ConfirmedPeer { sequence, address }) = self.peers.confirmed(peers).await else {
            self.compared_with_peers = Some(started);
            return Ok(());
        };
        // The order matters: a peer that follows this database knows nothing above a head that is read later.
        let head = within(head::read_head(connection)).await?;
        if head.last_seq >= sequence || within(declarations::lost_through(connection)).await? >= sequence {
            self.compared_with_peers = Some(started);
            return Ok(());
        }
        let fact = format!(
            "this database ends at sequence {} in epoch {}, but sequence {sequence} was confirmed according to the server at \
             {address}: it is an older copy and is refused. Point EXCHANGE_DATABASE_URL at the server that has it, or declare the \
             loss",
            head.last_seq, head.epoch
        );
        Err(Interrupted::Refused(DatabaseRefusal::new(&fact, Loss::through(sequence))))
    }

    /// Replaces a state that differs from the journal by the rebuilt one, once that is not older.
    async fn adopt_rebuilt(&mut self, connection: &mut PgConnection, target: i64) -> Result<(), Interrupted> {
        let Some(Rebuilt { committed, mut expected }) = self.shared.rebuilt.lock().take() else { return Ok(()) };
        if expected.sequence <= target {
            catch_up(connection, &committed, &mut expected, target).await?;
        }
        let Some(rebuilt) = Arc::into_inner(committed).map(parking_lot::RwLock::into_inner) else { return Ok(()) };
        let sequence = rebuilt.state.sequence();
        self.shared.committed.write().adopt(rebuilt);
        self.expected = Some(expected);
        tracing::warn!(sequence, "serving the state that was rebuilt from snapshot and journal");
        Ok(())
    }

    /// An operator declared the lost end of this replica's history: it starts again from the database.
    async fn forget_what_is_declared_lost(&mut self, connection: &mut PgConnection) -> Result<(), Interrupted> {
        let Some(expected) = &self.expected else { return Ok(()) };
        let known = self.confirmed.max(expected.sequence - 1);
        let head = within(head::read_head(connection)).await?;
        let other = head.last_seq < known || !self.has_our_history(connection).await?;
        if other && within(declarations::lost_through(connection)).await? >= known {
            tracing::warn!(known, ends_at = head.last_seq, "the loss is declared; restarting with this database");
            self.expected = None;
            self.confirmed = 0;
            self.shared.lag.forget();
        }
        Ok(())
    }

    /// A database that continued from another past: its batches do not belong to this replica's state.
    async fn refuse_another_history(&self, connection: &mut PgConnection) -> Result<(), Interrupted> {
        if self.has_our_history(connection).await? {
            return Ok(());
        }
        let known = self.expected.as_ref().map_or(0, |expected| expected.sequence - 1);
        let fact = format!(
            "the history of this database differs from the confirmed one up to sequence {known}: it lost events and continued \
             without them. Point EXCHANGE_DATABASE_URL at the server that has them, or declare the loss"
        );
        Err(Interrupted::Refused(DatabaseRefusal::new(&fact, Loss::through(known))))
    }

    /// Whether the last applied batch is in this database with the same past. True if it cannot be determined.
    async fn has_our_history(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        let Some(Expected { sequence, history: Some(history), .. }) = self.expected else { return Ok(true) };
        let head = within(head::read_head(connection)).await?;
        if head.last_seq < sequence - 1 {
            // A shorter journal is detected by its length.
            return Ok(true);
        }
        if let Some((first, before)) = history.last
            && let Some(stored) = within(journal::nearest(connection, sequence - 1)).await?
        {
            let same = stored.first_sequence == first
                && before.next(first, stored.last_sequence, stored.epoch, stored.payload()?) == history.chain;
            if !same {
                return Ok(false);
            }
        }
        // Compare the whole past if marks make that cheap.
        if within(marks::distance(connection, sequence - 1)).await? > MARK_DISTANCE {
            return Ok(true);
        }
        let chain = within(marks::chain_at(connection, sequence - 1)).await?;
        Ok(chain.is_none_or(|chain| chain == history.chain))
    }

    /// Whether this replica may claim the lead now.
    async fn judge(
        &mut self,
        connection: &mut PgConnection,
        head: &Head,
        journal_time: Time,
    ) -> Result<HeadVerdict, Interrupted> {
        if self.retired {
            return Ok(HeadVerdict::Wait("shutting down: this server does not lead again".into()));
        }
        if let Err(reason) = self.shared.clock.check() {
            return Ok(HeadVerdict::Wait(reason));
        }
        if let Some(sequence) = self.shared.committed.read().fingerprints().differs_at() {
            let reason = format!(
                "its state differs from the leader's at sequence {sequence}: this server does not lead until it is rebuilt"
            );
            return Ok(HeadVerdict::Wait(reason));
        }
        let clock = self.shared.clock.now();
        self.declared.read(connection).await?;
        // If the clock is right and the journal is ahead of it, an operator's declaration resolves it.
        let journal_time = if self.declared.sets_time_back() { journal_time.min(clock) } else { journal_time };
        Ok(match (judge(head, self.held, clock, journal_time), self.claims.paused()) {
            (HeadVerdict::Claim, Some(reason)) => HeadVerdict::Wait(reason.to_owned()),
            (verdict, _) => verdict,
        })
    }

    /// Publishes the leader for the link, if it is another replica.
    fn note_leader(&self, head: &Head) {
        let other = head.backend_alive && !head.released && self.held != Some(head.epoch);
        let at = other.then(|| LeaderAt { address: head.address.clone(), epoch: head.epoch });
        self.shared.leader.send_if_modified(|known| {
            let changed = *known != at;
            *known = at;
            changed
        });
    }

    /// This replica cannot claim the lead. It is ready if it can forward commands to the leader.
    fn wait(&mut self, head: &Head, reason: String) {
        let led = head.backend_alive && !head.released;
        if !forward::permitted(&self.shared.committed.read().state) && head.last_seq > 0 {
            let raise =
                format!("{reason}; followers serve from feature level {FORWARDING_LEVEL} on: exchange admin feature-level set");
            self.latches.stands_by(raise);
        } else if led || self.retired {
            self.latches.follows(&reason);
        } else {
            self.latches.stands_by(reason);
        }
    }

    /// Until the next poll: applies the batches that the leader pushes.
    async fn apply_pushed(&mut self) -> Result<(), Interrupted> {
        let poll = tokio::time::Instant::now() + POLL;
        loop {
            let push = match tokio::time::timeout_at(poll, self.pushed.recv()).await {
                Ok(Some(push)) => push,
                Ok(None) => {
                    tokio::time::sleep_until(poll).await;
                    return Ok(());
                }
                Err(_) => return Ok(()),
            };
            let Some(expected) = &mut self.expected else { return Ok(()) };
            if push.first_sequence != expected.sequence {
                // Applied already, or behind a gap that the next poll fills.
                continue;
            }
            let ours = expected.history.map(|history| history.chain);
            if let (Some(ours), Some(theirs)) = (ours, push.before)
                && ours != theirs
            {
                return Err(Interrupted::Retry(format!(
                    "the leader's history differs from this replica's before sequence {}",
                    push.first_sequence
                )));
            }
            let mut next = *expected;
            let events = next.open_pushed(&push).map_err(|error| {
                Interrupted::Retry(format!("a pushed batch cannot be applied, reading the journal instead: {error}"))
            })?;
            self.shared.committed.write().apply_batch(&events, next.history);
            self.expected = Some(next);
            self.confirmed = self.confirmed.max(push.last_sequence);
            self.shared.metrics.sequence.set(push.last_sequence);
            self.shared.follower.pushed.inc();
        }
    }

    /// A database that accepts claims but no batch (its disk is full): each attempt ends a lead and increments the epoch.
    async fn pause_after_fruitless_terms(&self) {
        if self.fruitless > 0 {
            let pause = pause_after(self.fruitless);
            tracing::warn!(
                terms = self.fruitless,
                pause_ms = pause.as_millis(),
                "no batch could be committed; waiting before the next claim"
            );
            tokio::time::sleep(pause).await;
        }
    }

    /// Applies the journal up to `target`, which is confirmed.
    async fn catch_up(&mut self, connection: &mut PgConnection, epoch: i64, target: i64) -> Result<(), Interrupted> {
        let Some(expected) = &mut self.expected else { return Ok(()) };
        if expected.sequence <= target {
            self.recovery.replaying(&mut self.latches, expected.sequence, target);
            let caught_up = catch_up(connection, &self.shared.committed, expected, target).await;
            // Batches applied before an error remain applied.
            self.shared.metrics.sequence.set(expected.sequence - 1);
            caught_up?;
        }
        self.recovery.done(&self.shared, expected.sequence - 1);
        self.latches.journal_ready();
        self.shared.metrics.epoch.set(epoch);
        Ok(())
    }

    /// Once the claim of a later epoch is confirmed, the batch in doubt is either in the journal for good or can never be.
    async fn resolve(&mut self, connection: &mut PgConnection, confirmed_epoch: i64) -> Result<(), Interrupted> {
        let Some(doubt) = &self.doubt else { return Ok(()) };
        let identity = doubt.identity;
        if confirmed_epoch <= identity.epoch {
            return Ok(());
        }
        let stored = within(journal::identity(connection, identity.first_sequence as i64)).await?;
        let ours = stored == Some((identity.epoch, i64::from(identity.checksum)));
        let found = if ours { DoubtOutcome::Committed } else { DoubtOutcome::Lost };
        if let Some(doubt) = self.doubt.take() {
            doubt.resolve(found);
        }
        Ok(())
    }

    /// Ends the old leader's connection if it is still open, increments the epoch, then reads the old leader's last batches.
    /// `None`: another replica was faster.
    async fn claim(&mut self, connection: &mut PgConnection, head: &Head) -> Result<Option<i64>, Interrupted> {
        if head.backend_alive && !head.released {
            tracing::warn!(epoch = head.epoch, leader = head.address, "closing the connection of a leader without a lease");
            within(head::end_backend(connection, head.epoch)).await?;
        }
        let sent = Instant::now();
        let (claimed, warned) = Warnings::default().watch(within(head::claim_head(connection, head.epoch, &self.address))).await;
        let Some((epoch, last_sequence)) = claimed? else { return Ok(None) };
        self.held = Some(epoch);
        if warned {
            return Err(Interrupted::Retry("the claim of leadership did not reach a synchronous standby".into()));
        }
        // The answer had no warning: a standby that has the claim has everything before it.
        if !within(head::confirm(connection, epoch)).await? {
            return Ok(None);
        }
        self.confirmed = self.confirmed.max(last_sequence);
        self.catch_up(connection, epoch, last_sequence).await?;
        // Events that became readable by this claim may be ahead of the clock.
        let journal_time = self.shared.committed.read().state.now();
        if !self.declared.sets_time_back()
            && let Err(reason) = check_clock(self.shared.clock.now(), journal_time)
        {
            self.latches.stands_by(reason);
            within(head::release(connection, epoch)).await?;
            return Ok(None);
        }
        // Regardless of the epoch's number, this claim fences the batch in doubt.
        self.resolve(connection, i64::MAX).await?;
        journal::attach_partitions(connection).await?;
        self.shared.lease.renew(sent);
        Ok(Some(epoch))
    }

    fn database_failed(&mut self, error: &sqlx::Error) {
        self.count_failure(error);
        self.latches.database_lost(Explained(error).to_string());
    }

    fn count_failure(&self, error: &sqlx::Error) {
        self.shared.metrics.database_failures.with_label_values(&[DatabaseCause::of(error).name()]).inc();
    }

    /// This replica does not decide now: answer the commands that still entered the queue.
    fn turn_away(&mut self) {
        debug_assert!(!self.shared.is_leader());
        while let Ok(submission) = self.submissions.try_recv() {
            let _ = submission.answer.send(Err(SubmitError::Unavailable));
        }
    }
}

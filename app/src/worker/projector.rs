//! This module is the projector: it follows the journal, folds it and writes the tables, one transaction per chunk. Each event is
//! written exactly once, because the position moves in the transaction that writes the rows. It must not contain a rule, or write
//! a row that the journal does not imply.

use std::time::{Duration, Instant};

use anyhow::Context;
use exchange_core::State;
use sqlx::{Connection, PgConnection, PgPool, postgres::PgConnectOptions};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    chain::Chain,
    db::{
        amendments, archives, candles, declarations, head, ledger, marks, orders, prevented, projection,
        projection::Position,
        reference,
        replicas::{self, ReportedServer},
    },
    media::Media,
    metrics::WorkerMetrics,
    snapshot::{self, Encoded, SnapshotName},
    survey::{Survey, SurveyError},
    worker::{
        chunk::EventChunk,
        clock, comparison,
        followed::Followed,
        question::{DerivedQuery, Standing},
        source::EventSource,
    },
};

/// Maximum number of events per chunk: bounds its memory and the time of its transaction. A batch is never split.
const CHUNK_EVENTS: usize = 20_000;
/// Pause between chunks while the tables are up to date. Rows written together share their cost, and readers have the journal's
/// tail in memory, so no reader waits for this.
const GATHER: Duration = Duration::from_millis(250);
/// Interval between reads of the servers' reports.
const COMPARE: Duration = Duration::from_secs(2);
const MICROSECONDS: f64 = 1e6;
/// Between tries to become the one that projects.
const STANDBY_POLL: Duration = Duration::from_secs(1);

/// External parts of the projector.
#[derive(Debug, Clone)]
pub struct Projector {
    pub options: PgConnectOptions,
    /// For answers that read the tables while the projector continues.
    pub pool: PgPool,
    pub media: Option<Media>,
    pub metrics: WorkerMetrics,
    /// Identifies this process to operators in the `projection` row.
    pub holder: String,
}

/// Why a session of the projector ended.
#[derive(Debug)]
pub enum ProjectionEnd {
    /// Asked to stop, between two chunks.
    Stopped,
    /// Another process changed the position or the epoch: it reset the tables or projects.
    Deposed,
}

/// The projector while it owns the lock.
struct ProjectorSession<'a> {
    projector: &'a Projector,
    connection: PgConnection,
    epoch: i64,
    followed: Followed,
    source: EventSource,
    /// When the servers' reports were last read.
    compared: Option<Instant>,
}

impl Projector {
    /// Waits for its turn, then projects until `stop`, until the connection is lost, or until another process takes over.
    /// `standing` receives every change. `left` is the state of an earlier session: reused if it is at the tables' position, and
    /// never continued into another history.
    pub async fn run(
        &self,
        left: &mut Option<Followed>,
        questions: &mut mpsc::Receiver<DerivedQuery>,
        standing: &Standing,
        stop: &CancellationToken,
    ) -> anyhow::Result<ProjectionEnd> {
        let mut connection = projection::connect_projector(&self.options).await.context("the database is unreachable")?;
        self.refuse_another_history(&mut connection, left).await?;
        let epoch = loop {
            if let Some(epoch) = projection::claim_projection(&mut connection, &self.holder).await? {
                break epoch;
            }
            refuse_with_the_servers(&mut connection).await?;
            standing.standby(&projection::holder(&mut connection).await?);
            tokio::select! {
                () = stop.cancelled() => return Ok(ProjectionEnd::Stopped),
                () = tokio::time::sleep(STANDBY_POLL) => {}
            }
        };
        standing.restoring();
        let mut source = EventSource::new(self.media.clone());
        let restored = self.restore(&mut connection, left.take(), &mut source, stop).await?;
        let Some(followed) = restored else { return Ok(ProjectionEnd::Stopped) };
        let mut session = ProjectorSession { projector: self, connection, epoch, followed, source, compared: None };
        tracing::info!(sequence = session.followed.state.sequence(), epoch, "projecting");
        standing.projecting();
        let ended = session.follow(questions, standing, stop).await;
        standing.ended();
        *left = Some(session.followed);
        ended
    }

    /// Refuses a database that lacks events which this worker has seen, the bucket proves, or every server misses.
    async fn refuse_another_history(&self, connection: &mut PgConnection, left: &mut Option<Followed>) -> anyhow::Result<()> {
        let head = head::read_head(connection).await?;
        if let Some(followed) = left {
            let seen = followed.state.sequence() as i64;
            let chain = if seen <= head.last_seq { marks::chain_at(connection, seen).await? } else { None };
            let other = head.last_seq < seen || chain.is_some_and(|chain| chain != followed.chain);
            if other && declarations::lost_through(connection).await? < seen {
                anyhow::bail!(
                    "this database ends at sequence {} and lacks events up to sequence {seen} that were confirmed: it lost \
                     them. Point EXCHANGE_DATABASE_URL at the server that has them, or declare the loss: exchange admin \
                     --actor … --reason … \
                     loss declare --through {seen} --unreported",
                    head.last_seq
                );
            }
            if other {
                *left = None;
            }
        }
        if let Some(media) = &self.media {
            match Survey::take(media, connection).await {
                Ok(found) => {
                    if let Some(reason) = found.refusal(found.ends_at) {
                        anyhow::bail!(reason.reason);
                    }
                }
                Err(SurveyError::Database(error)) => return Err(error.into()),
                Err(SurveyError::Store(error)) => {
                    tracing::warn!(%error, "the bucket did not answer; skipping the check for events missing in this database");
                }
            }
        }
        refuse_with_the_servers(connection).await
    }

    /// The state at the tables' position. `None`: a stop was requested.
    async fn restore(
        &self,
        connection: &mut PgConnection,
        left: Option<Followed>,
        source: &mut EventSource,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<Followed>> {
        let target = projection::position(connection).await?.projected_seq as u64;
        if let Some(followed) = left.filter(|followed| followed.state.sequence() == target) {
            return Ok(Some(followed));
        }
        let begun = Instant::now();
        let (mut followed, mut first_format) = self.base(connection, target).await?;
        let from = followed.state.sequence();
        let archived = archives::archived_through(connection).await?;
        while followed.state.sequence() < target {
            if stop.is_cancelled() {
                return Ok(None);
            }
            let sequence = followed.state.sequence();
            let Some(batch) = source.next(connection, sequence).await? else {
                if head::read_head(connection).await?.last_seq >= target as i64 {
                    // The previous release also projected events that its leader had not confirmed yet.
                    tokio::time::sleep(STANDBY_POLL).await;
                    continue;
                }
                anyhow::bail!(
                    "the tables contain {target} events but the journal ends at {sequence}: they are the projection of another \
                     journal, or the journal was set back; run `exchange worker rebuild`"
                );
            };
            followed.apply(&batch);
            let reached = followed.state.sequence();
            if reached as i64 == archived {
                // The archive job resumes from here.
                marks::insert_mark(connection, archived, followed.chain).await?;
            }
            if first_format.last().is_some_and(|name| name.sequence == reached)
                && let (Some(name), Some(media)) = (first_format.pop(), &self.media)
            {
                adopt(media, connection, name, &followed).await?;
            }
            while first_format.last().is_some_and(|name| name.sequence <= reached) {
                first_format.pop();
            }
        }
        let events = followed.state.sequence() - from;
        tracing::info!(
            snapshot = from,
            sequence = target,
            events,
            seconds = begun.elapsed().as_secs_f64(),
            "restored the projector's state"
        );
        Ok(Some(followed))
    }

    /// The newest snapshot of this journal at or below `target`, or the state before its first event; and the later snapshots of
    /// the first format, newest first.
    async fn base(&self, connection: &mut PgConnection, target: u64) -> anyhow::Result<(Followed, Vec<SnapshotName>)> {
        let genesis = || Followed::new(State::new(), Chain::GENESIS);
        let Some(media) = &self.media else { return Ok((genesis(), Vec::new())) };
        let found = match Survey::take(media, connection).await {
            Ok(found) => found,
            Err(SurveyError::Database(error)) => return Err(error.into()),
            Err(SurveyError::Store(error)) => {
                tracing::warn!(%error, "no snapshot can be read; replaying the journal from its start");
                return Ok((genesis(), Vec::new()));
            }
        };
        let own = found.own.into_iter().filter(|name| name.sequence <= target);
        let base = match snapshot::first_whole(media, own).await {
            Ok(Some((SnapshotName { chain: Some(chain), .. }, state))) => Followed::new(state, chain),
            Ok(_) => genesis(),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "no snapshot can be read; replaying the journal from its start");
                genesis()
            }
        };
        Ok((base, found.first_format))
    }
}

/// A snapshot of an earlier release counts once the replay has led to the same state: it is stored again, with its history.
async fn adopt(media: &Media, connection: &mut PgConnection, name: SnapshotName, followed: &Followed) -> anyhow::Result<()> {
    let same = match snapshot::read_snapshot(media, name).await {
        Ok(state) => snapshot::state_hash(&state) == snapshot::state_hash(&followed.state),
        Err(error) => {
            tracing::warn!(key = name.key(), error = format!("{error:#}"), "a snapshot of an earlier release cannot be read");
            return Ok(());
        }
    };
    if same {
        snapshot::write_snapshot(media, Encoded::of(&followed.state, followed.chain)).await?;
        marks::insert_mark(connection, name.sequence as i64, followed.chain).await?;
        tracing::info!(key = name.key(), "a snapshot of an earlier release belongs to this journal; stored it with its history");
    } else {
        tracing::warn!(key = name.key(), "a snapshot of an earlier release belongs to another history; ignoring it");
    }
    Ok(())
}

/// A worker is not ready on a database that every running server refuses.
async fn refuse_with_the_servers(connection: &mut PgConnection) -> anyhow::Result<()> {
    let servers = replicas::fresh(connection).await?;
    if let Some(ReportedServer { address, refusal: Some(reason), .. }) = servers.first()
        && servers.iter().all(|server| server.refusal.is_some())
    {
        anyhow::bail!("the server at {address} refuses this database: {reason}");
    }
    Ok(())
}

impl ProjectorSession<'_> {
    async fn follow(
        &mut self,
        questions: &mut mpsc::Receiver<DerivedQuery>,
        standing: &Standing,
        stop: &CancellationToken,
    ) -> anyhow::Result<ProjectionEnd> {
        loop {
            // Between chunks, state and tables are at the same sequence: answer queries about both.
            while let Ok(question) = questions.try_recv() {
                question.answer(&self.followed, &self.projector.pool).await;
            }
            if stop.is_cancelled() {
                return Ok(ProjectionEnd::Stopped);
            }
            let from = self.followed.state.sequence();
            let chunk = self.gather().await?;
            let up_to_date = self.source.at_end();
            let written = chunk.events == 0 || self.write(chunk, from).await?;
            if !written || !self.report(standing).await? {
                return Ok(ProjectionEnd::Deposed);
            }
            if up_to_date {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(GATHER) => {}
                    Some(question) = questions.recv() => question.answer(&self.followed, &self.projector.pool).await,
                }
            }
        }
    }

    async fn gather(&mut self) -> anyhow::Result<EventChunk> {
        let mut chunk = EventChunk::default();
        while chunk.events < CHUNK_EVENTS {
            let next = self.source.next(&mut self.connection, self.followed.state.sequence()).await?;
            let Some(batch) = next else { break };
            let turned = self.followed.fold(&batch, &mut chunk);
            let sequence = self.followed.state.sequence();
            anyhow::ensure!(sequence == batch.last_sequence, "the fold is at {sequence} after batch {}", batch.last_sequence);
            if turned && self.compared.is_some() {
                self.followed.set_apart();
            }
            // Setting time back ends a chunk: candles are corrected after its rows.
            if batch.sets_time_back() || (!self.source.has_pending() && chunk.events > 0) {
                // A full page is a chunk: reading further would only find events committed since.
                break;
            }
        }
        Ok(chunk)
    }

    /// One transaction with position and rows. False: deposed, nothing was written.
    async fn write(&mut self, chunk: EventChunk, from: u64) -> sqlx::Result<bool> {
        let begun = Instant::now();
        let events = chunk.events;
        let state = &self.followed.state;
        let to = Position { projected_seq: state.sequence() as i64, journal_time: state.now() };
        let mut transaction = self.connection.begin().await?;
        if !projection::advance(&mut transaction, self.epoch, from as i64, to).await? {
            return Ok(false);
        }
        write_rows(&mut transaction, chunk, state).await?;
        transaction.commit().await?;
        let metrics = &self.projector.metrics;
        metrics.chunk.observe(begun.elapsed().as_secs_f64());
        metrics.chunk_events.observe(events as f64);
        metrics.projected_events.inc_by(events as u64);
        Ok(true)
    }

    /// Reports the position. False: the epoch has passed. A projector with nothing to write detects that only here.
    async fn report(&mut self, standing: &Standing) -> anyhow::Result<bool> {
        let end = head::confirmed(&mut self.connection).await?;
        let epoch = projection::epoch(&mut self.connection).await?;
        standing.progress(self.followed.state.sequence(), self.followed.state.now(), end as u64);
        if self.source.at_end() && self.compared.is_none_or(|at| at.elapsed() >= COMPARE) {
            refuse_with_the_servers(&mut self.connection).await?;
            self.compare().await?;
            self.compared = Some(Instant::now());
        }
        Ok(epoch == self.epoch)
    }

    /// Compares the servers' states with this fold, and this fold's past with the journal, each at the same sequence.
    async fn compare(&mut self) -> anyhow::Result<()> {
        let servers = replicas::fresh(&mut self.connection).await?;
        let checkpoints = &self.followed.checkpoints;
        let mut journal = 0;
        if let Some(last) = checkpoints.back()
            && let Some(chain) = marks::chain_at(&mut self.connection, last.sequence).await?
            && chain != last.chain
        {
            tracing::error!(sequence = last.sequence, "the journal differs from the projected one");
            journal = 1;
        }
        let found = comparison::compare_servers(checkpoints, &servers);
        let metrics = &self.projector.metrics;
        metrics.disagreements.with_label_values(&["served"]).set(found.differing.len() as i64);
        metrics.disagreements.with_label_values(&["journal"]).set(journal);
        for (server, sequence) in &found.differing {
            tracing::error!(server, sequence, "the state of the server differs from the fold of the journal");
        }
        if found.compared > 0 {
            metrics.served_time.set(clock::now() as f64 / MICROSECONDS);
        }
        Ok(())
    }
}

async fn write_rows(connection: &mut PgConnection, mut chunk: EventChunk, state: &State) -> sqlx::Result<()> {
    for asset in chunk.assets.iter().filter_map(|id| state.asset(*id)) {
        reference::upsert_asset(connection, asset).await?;
    }
    for market in chunk.markets.iter().filter_map(|id| state.market(*id)) {
        reference::upsert_market(connection, market).await?;
    }
    for account in chunk.accounts.iter().filter_map(|id| state.account(*id)) {
        reference::upsert_account(connection, account).await?;
    }
    for credit in &chunk.credits {
        reference::insert_credit(connection, credit).await?;
    }
    for action in &chunk.actions {
        reference::insert_action(connection, action).await?;
    }
    // In key order: neighbours share pages of the table and of its index.
    let mut touched: Vec<_> = chunk.orders.values().collect();
    touched.sort_unstable_by_key(|touched| touched.order.id);
    orders::insert_orders(connection, touched.iter().filter(|touched| touched.new).map(|touched| &touched.order)).await?;
    orders::update(connection, touched.iter().filter(|touched| !touched.new).map(|touched| &touched.order)).await?;
    amendments::insert_amendments(connection, &chunk.amendments).await?;
    prevented::insert_prevented(connection, &chunk.prevented).await?;
    orders::insert_minutes(connection, &chunk.minutes).await?;
    orders::upsert_lists(connection, chunk.lists.values()).await?;
    // Before the candles: those of a time that is set back are rebuilt from trades, of this chunk too.
    std::mem::take(&mut chunk.trades).send(connection).await?;
    candles::append_candles(connection, chunk.candles()).await?;
    if let Some(time) = chunk.time_set_back {
        candles::set_back(connection, time).await?;
    }
    ledger::upsert_balances(connection, &chunk.balances(state)).await?;
    ledger::insert_spans(connection, &chunk.spans()).await?;
    chunk.transfers.send(connection).await
}

//! The projector: follows the journal, folds it, writes the tables, one transaction a chunk. Exactly once, because the position
//! moves in the transaction that writes the rows. Never: a rule, or a row that the journal does not imply.

use std::time::{Duration, Instant};

use anyhow::Context;
use exchange_core::State;
use sqlx::{Connection, PgConnection, PgPool, postgres::PgConnectOptions};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    db::{candles, head, ledger, orders, projection, projection::Position, reference},
    media::Media,
    metrics::WorkerMetrics,
    snapshot,
    worker::{
        chunk::Chunk,
        question::{Question, Standing},
        source::Source,
    },
};

/// Events of one chunk at most: bounds its memory and how long its transaction lasts. A batch is never split.
const CHUNK_EVENTS: usize = 20_000;
/// Between chunks while the tables are up to date. Rows written together share their cost, and readers have the journal's tail in
/// memory, so nobody waits for this.
const GATHER: Duration = Duration::from_millis(250);
/// Between tries to become the one that projects.
const STANDBY_POLL: Duration = Duration::from_secs(1);

/// What the projector needs from outside.
#[derive(Debug, Clone)]
pub struct Projector {
    pub options: PgConnectOptions,
    /// For answers that read the tables while the projector goes on.
    pub pool: PgPool,
    pub media: Option<Media>,
    pub metrics: WorkerMetrics,
    /// Who this is, for people who look at the `projection` row.
    pub holder: String,
}

/// Why a session of the projector ended.
#[derive(Debug)]
pub enum Ended {
    /// Asked to stop, between two chunks.
    Stopped,
    /// The position or the epoch moved under us: the tables were reset, or another process projects.
    Deposed,
}

/// The projector while it holds the lock.
struct Session<'a> {
    projector: &'a Projector,
    connection: PgConnection,
    epoch: i64,
    state: State,
    source: Source,
}

impl Projector {
    /// Waits for its turn, then projects until `stop`, the loss of the connection, or another process's turn.
    /// `standing` hears of every change; `state` is what an earlier session left, used again when it is where the tables are.
    pub async fn run(
        &self,
        state: &mut Option<State>,
        questions: &mut mpsc::Receiver<Question>,
        standing: &Standing,
        stop: &CancellationToken,
    ) -> anyhow::Result<Ended> {
        let mut connection = projection::connect(&self.options).await.context("the database cannot be reached")?;
        let epoch = loop {
            if let Some(epoch) = projection::claim(&mut connection, &self.holder).await? {
                break epoch;
            }
            standing.standby(&projection::holder(&mut connection).await?);
            tokio::select! {
                () = stop.cancelled() => return Ok(Ended::Stopped),
                () = tokio::time::sleep(STANDBY_POLL) => {}
            }
        };
        standing.restoring();
        let mut source = Source::new(self.media.clone());
        let restored = self.restore(&mut connection, state.take(), &mut source, stop).await?;
        let Some(restored) = restored else { return Ok(Ended::Stopped) };
        let mut session = Session { projector: self, connection, epoch, state: restored, source };
        tracing::info!(sequence = session.state.sequence(), epoch, "projecting");
        standing.projecting();
        let ended = session.follow(questions, standing, stop).await;
        standing.ended();
        *state = Some(session.state);
        ended
    }

    /// The state at the tables' position. `None`: asked to stop meanwhile.
    async fn restore(
        &self,
        connection: &mut PgConnection,
        left: Option<State>,
        source: &mut Source,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<State>> {
        let target = projection::position(connection).await?.projected_seq as u64;
        if let Some(state) = left.filter(|state| state.sequence() == target) {
            return Ok(Some(state));
        }
        let begun = Instant::now();
        let mut state = match &self.media {
            Some(media) if target > 0 => match snapshot::newest(media, Some(target)).await {
                Ok(found) => found.map_or_else(State::new, |(_, state)| state),
                Err(error) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "no snapshot can be read; replaying the journal from its beginning"
                    );
                    State::new()
                }
            },
            _ => State::new(),
        };
        let from = state.sequence();
        while state.sequence() < target {
            if stop.is_cancelled() {
                return Ok(None);
            }
            let sequence = state.sequence();
            let Some(batch) = source.next(connection, sequence).await? else {
                if head::read(connection).await?.last_seq >= target as i64 {
                    // The previous release projected what its leader had not confirmed yet.
                    tokio::time::sleep(STANDBY_POLL).await;
                    continue;
                }
                anyhow::bail!(
                    "the tables hold {target} events and the journal ends at {sequence}: this is another journal's projection, or the \
                     journal was set back; run `exchange worker rebuild`"
                );
            };
            batch.events.iter().for_each(|event| state.evolve(event));
        }
        let events = state.sequence() - from;
        tracing::info!(
            snapshot = from,
            sequence = target,
            events,
            seconds = begun.elapsed().as_secs_f64(),
            "restored the projector's state"
        );
        Ok(Some(state))
    }
}

impl Session<'_> {
    async fn follow(
        &mut self,
        questions: &mut mpsc::Receiver<Question>,
        standing: &Standing,
        stop: &CancellationToken,
    ) -> anyhow::Result<Ended> {
        loop {
            // Between chunks state and tables are at the same sequence: the moment for questions about both.
            while let Ok(question) = questions.try_recv() {
                question.answer(&self.state, &self.projector.pool).await;
            }
            if stop.is_cancelled() {
                return Ok(Ended::Stopped);
            }
            let from = self.state.sequence();
            let chunk = self.gather().await?;
            let up_to_date = self.source.at_end();
            let written = chunk.events == 0 || self.write(chunk, from).await?;
            if !written || !self.report(standing).await? {
                return Ok(Ended::Deposed);
            }
            if up_to_date {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(GATHER) => {}
                    Some(question) = questions.recv() => question.answer(&self.state, &self.projector.pool).await,
                }
            }
        }
    }

    async fn gather(&mut self) -> anyhow::Result<Chunk> {
        let mut chunk = Chunk::default();
        while chunk.events < CHUNK_EVENTS {
            let Some(batch) = self.source.next(&mut self.connection, self.state.sequence()).await? else { break };
            batch.events.iter().for_each(|event| chunk.fold(&mut self.state, event));
            anyhow::ensure!(
                self.state.sequence() == batch.last_sequence,
                "the fold is at {} after batch {}",
                self.state.sequence(),
                batch.last_sequence
            );
            if !self.source.has_pending() && chunk.events > 0 {
                // A full page is a chunk: asking on would only find what has been committed since.
                break;
            }
        }
        Ok(chunk)
    }

    /// One transaction: position and rows. False: deposed, nothing was written.
    async fn write(&mut self, chunk: Chunk, from: u64) -> sqlx::Result<bool> {
        let begun = Instant::now();
        let events = chunk.events;
        let to = Position { projected_seq: self.state.sequence() as i64, journal_time: self.state.now() };
        let mut transaction = self.connection.begin().await?;
        if !projection::advance(&mut transaction, self.epoch, from as i64, to).await? {
            return Ok(false);
        }
        write_rows(&mut transaction, chunk, &self.state).await?;
        transaction.commit().await?;
        let metrics = &self.projector.metrics;
        metrics.chunk.observe(begun.elapsed().as_secs_f64());
        metrics.chunk_events.observe(events as f64);
        metrics.projected_events.inc_by(events as u64);
        Ok(true)
    }

    /// Tells how far it is. False: the epoch has passed, which a projector with nothing to write would not find out otherwise.
    async fn report(&mut self, standing: &Standing) -> sqlx::Result<bool> {
        let end = head::confirmed(&mut self.connection).await?;
        let epoch = projection::epoch(&mut self.connection).await?;
        standing.progress(self.state.sequence(), self.state.now(), end as u64);
        Ok(epoch == self.epoch)
    }
}

async fn write_rows(connection: &mut PgConnection, chunk: Chunk, state: &State) -> sqlx::Result<()> {
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
    // By the key's order: neighbours share pages of the table and of its index.
    let mut touched: Vec<_> = chunk.orders.values().collect();
    touched.sort_unstable_by_key(|touched| touched.order.id);
    orders::insert(connection, touched.iter().filter(|touched| touched.new).map(|touched| &touched.order)).await?;
    orders::update(connection, touched.iter().filter(|touched| !touched.new).map(|touched| &touched.order)).await?;
    orders::insert_minutes(connection, &chunk.minutes).await?;
    orders::upsert_lists(connection, chunk.lists.values()).await?;
    candles::append(connection, chunk.candles()).await?;
    ledger::upsert_balances(connection, &chunk.balances(state)).await?;
    ledger::insert_spans(connection, &chunk.spans()).await?;
    chunk.trades.send(connection).await?;
    chunk.transfers.send(connection).await
}

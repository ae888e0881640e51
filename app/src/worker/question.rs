//! This module has the queries that jobs may send to the projector between two chunks, and the projector's status. It must not
//! offer a way to change the state.

use std::sync::Arc;

use exchange_core::{State, money::Time};
use parking_lot::Mutex;
use service_kit::health::Latch;
use sqlx::{PgPool, Postgres, Transaction};
use tokio::sync::{mpsc, oneshot};

use crate::{
    db::{ledger::BalanceRow, projection},
    metrics::WorkerMetrics,
    snapshot::Encoded,
    worker::{clock, followed::Followed},
};

/// Maximum number of waiting queries; jobs are few.
const QUESTIONS: usize = 16;
const MICROSECONDS: f64 = 1e6;

/// Sent by a job, answered between two chunks, when state and tables are at the same sequence.
#[derive(Debug)]
pub enum DerivedQuery {
    /// The state as bytes.
    Snapshot(oneshot::Sender<Encoded>),
    /// The state's balances, and a read-only transaction on the tables at the same sequence.
    Books(oneshot::Sender<sqlx::Result<Books>>),
}

/// Both sides of a comparison, at one sequence.
#[derive(Debug)]
pub struct Books {
    pub sequence: u64,
    pub time: Time,
    /// Every nonzero balance, by account and asset.
    pub balances: Vec<BalanceRow>,
    /// Assets by id.
    pub assets: Vec<Box<str>>,
    pub tables: Transaction<'static, Postgres>,
}

impl DerivedQuery {
    pub async fn answer(self, Followed { state, chain, .. }: &Followed, pool: &PgPool) {
        // A job that aborted does not receive its answer.
        match self {
            Self::Snapshot(answer) => _ = answer.send(Encoded::of(state, *chain)),
            Self::Books(answer) => _ = answer.send(books(state, pool).await),
        }
    }
}

async fn books(state: &State, pool: &PgPool) -> sqlx::Result<Books> {
    let tables = projection::as_of_now(pool).await?;
    let balances = state
        .accounts()
        .flat_map(|account| state.balances(account.id).map(|(asset, balance)| (account.id, asset, balance)))
        .collect();
    let assets = state.assets().iter().map(|asset| asset.code.clone()).collect();
    Ok(Books { sequence: state.sequence(), time: state.now(), balances, assets, tables })
}

/// The projector for the rest of the worker.
#[derive(Debug, Clone)]
pub struct ProjectorHandle {
    questions: mpsc::Sender<DerivedQuery>,
}

/// A job sent a query while this process does not project.
#[derive(Debug, thiserror::Error)]
#[error("the projector does not run in this process; the job is retried later")]
pub struct NotProjecting;

impl ProjectorHandle {
    pub fn new() -> (Self, mpsc::Receiver<DerivedQuery>) {
        let (questions, receiver) = mpsc::channel(QUESTIONS);
        (Self { questions }, receiver)
    }

    pub async fn snapshot(&self) -> Result<Encoded, NotProjecting> {
        self.ask(DerivedQuery::Snapshot).await
    }

    pub async fn books(&self) -> anyhow::Result<Books> {
        Ok(self.ask(DerivedQuery::Books).await??)
    }

    async fn ask<Answer>(&self, question: impl FnOnce(oneshot::Sender<Answer>) -> DerivedQuery) -> Result<Answer, NotProjecting> {
        let (sender, answer) = oneshot::channel();
        self.questions.send(question(sender)).await.map_err(|_| NotProjecting)?;
        answer.await.map_err(|_| NotProjecting)
    }
}

/// Reports the projector's status to latch, metrics and log; logs each change once.
#[derive(Debug, Clone)]
pub struct Standing {
    latch: Option<Latch>,
    metrics: WorkerMetrics,
    last: Arc<Mutex<String>>,
    projecting: tokio::sync::watch::Sender<bool>,
}

impl Standing {
    pub fn new(latch: Option<Latch>, metrics: WorkerMetrics) -> Self {
        Self { latch, metrics, last: Arc::default(), projecting: tokio::sync::watch::Sender::new(false) }
    }

    /// Whether this process projects.
    pub fn watch(&self) -> tokio::sync::watch::Receiver<bool> {
        self.projecting.subscribe()
    }

    pub fn restoring(&self) {
        self.closed("restoring the state".into());
    }

    /// Another process projects: this standby is ready to take over, which is its full readiness.
    pub fn standby(&self, holder: &str) {
        let reason = format!("standby: {holder} projects");
        if self.changed(&reason) {
            tracing::info!(holder, "standby: another worker projects");
        }
        self.open();
    }

    pub fn projecting(&self) {
        self.changed("projecting");
        self.metrics.projecting.set(1);
        self.projecting.send_replace(true);
        self.open();
    }

    pub fn ended(&self) {
        self.metrics.projecting.set(0);
        self.projecting.send_replace(false);
    }

    /// True if it is a change.
    pub fn failed(&self, error: &anyhow::Error) -> bool {
        self.ended();
        self.closed(format!("{error:#}"))
    }

    pub fn progress(&self, sequence: u64, time: Time, journal_end: u64) {
        self.metrics.projected_sequence.set(sequence as i64);
        let lag = journal_end.saturating_sub(sequence);
        self.metrics.projection_lag_events.set(lag as i64);
        let behind = if lag == 0 { 0.0 } else { (clock::now() - time) as f64 / MICROSECONDS };
        self.metrics.projection_lag_seconds.set(behind.max(0.0));
    }

    fn closed(&self, reason: String) -> bool {
        if let Some(latch) = &self.latch {
            latch.close(reason.clone());
        }
        self.changed(&reason)
    }

    fn open(&self) {
        if let Some(latch) = &self.latch {
            latch.open();
        }
    }

    fn changed(&self, standing: &str) -> bool {
        let mut last = self.last.lock();
        let changed = *last != standing;
        if changed {
            standing.clone_into(&mut last);
        }
        changed
    }
}

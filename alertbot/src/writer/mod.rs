//! This module owns the single writer of the database. The writer takes commands from a queue, performs all queued commands in
//! one transaction, and answers each after the commit is on disk. Hundreds of webhooks a second share one fsync.
//!
//! - A command reads rows, calls the pure modules and writes rows.
//! - A command must not call the network or wait.
//! - No one is notified of a change before it is durable.

pub mod actions;
pub mod blind;
pub mod deliver;
pub mod duty_override;
pub mod escalate;
pub mod handover;
pub mod ingest;
mod notifications;
mod parts;
pub mod reconcile;
pub mod rematch;
pub mod resume;
pub mod timers;
pub mod watchdogs;
mod work;

use std::{future::Future, pin::Pin, sync::Arc};

use alertbot_core::schedule::Item;
use service_kit::trace::Sampled;
use sqlx::{Executor, SqlitePool};
use tokio::sync::{mpsc, oneshot};

use crate::{
    clock::Clock,
    metrics::{AlertbotMetrics, IncidentMetrics, StoreMetrics},
    routing::Routing,
    store::{Store, housekeeping},
};

pub use notifications::silence_to_end;
use work::Reached;
pub use work::Work;

/// A unit of work inside the writer's transaction. The writer may perform it a second time if the first transaction failed
/// because of another command, so it must not consume its own data.
pub trait WriterCommand: Send + 'static {
    type Answer: Send + 'static;

    fn perform(&mut self, work: &mut Work) -> impl Future<Output = anyhow::Result<Self::Answer>> + Send;
}

/// A change outside the database that a committed command causes.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Add to the sender's queue, or update there.
    Put(Box<Item>),
    /// This request's span caused the message.
    Caused(i64, Sampled),
    /// Remove from the sender's queue.
    Remove(i64),
    /// A silence in Alertmanager must be ended.
    EndSilence,
    /// The time of the next step may have changed.
    Timers,
    /// Reconcile incidents with Alertmanager now.
    Compare,
}

/// Nothing was written, so nothing may be acknowledged.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the store is not available: {0}")]
pub struct Unavailable(pub String);

/// Sends commands to the writer. Clones share the queue.
#[derive(Clone)]
pub struct Writer {
    commands: mpsc::Sender<Box<dyn Pending>>,
    /// For queries that change nothing.
    pub readers: SqlitePool,
    pub routing: Arc<Routing>,
}

/// Capacity of the queue. If it is full, senders wait, and a webhook gets a 503 after its deadline.
const QUEUE: usize = 4096;
/// Most commands in one commit. The first of them waits for the last.
const TOGETHER: usize = 256;

impl Writer {
    /// Starts the writer. It ends when every handle is dropped and the queue is empty.
    pub fn start(
        store: Store,
        routing: Arc<Routing>,
        clock: Clock,
        changes: mpsc::UnboundedSender<Change>,
        metrics: &AlertbotMetrics,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (commands, queue) = mpsc::channel(QUEUE);
        let readers = store.readers.clone();
        let work = Work::new(store, Arc::clone(&routing), clock);
        let public = Public { changes, incidents: metrics.incident.clone() };
        (Self { commands, readers, routing }, tokio::spawn(write(work, queue, public, metrics.store.clone())))
    }

    /// Returns after the command's changes are on disk.
    ///
    /// # Errors Returns an error if the transaction failed. Then no change was written.
    pub async fn perform<J: WriterCommand>(&self, command: J) -> Result<J::Answer, Unavailable> {
        let (reply, answer) = oneshot::channel();
        let pending = Box::new(Waiting { command, answer: None, reply, cause: Sampled::current() });
        self.commands.send(pending).await.map_err(|_| ending())?;
        answer.await.map_err(|_| ending())?
    }

    /// Like [`Self::perform`], for a caller that needs several commands performed in order. The command is in the queue when this
    /// function returns, unless the queue is full.
    pub fn post<J: WriterCommand>(&self, command: J) -> impl Future<Output = Result<J::Answer, Unavailable>> + Send + 'static {
        let (reply, answer) = oneshot::channel();
        let pending = Box::new(Waiting { command, answer: None, reply, cause: Sampled::current() });
        let posted = self.commands.try_send(pending);
        async move {
            posted.map_err(|_| Unavailable("the writer's queue is full".into()))?;
            answer.await.map_err(|_| ending())?
        }
    }
}

fn ending() -> Unavailable {
    Unavailable("the program is shutting down".into())
}

type Performing<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'a>>;

trait Pending: Send {
    fn perform<'a>(&'a mut self, work: &'a mut Work) -> Performing<'a>;

    fn settle(self: Box<Self>, committed: Result<(), Unavailable>);
}

struct Waiting<J: WriterCommand> {
    command: J,
    answer: Option<J::Answer>,
    reply: oneshot::Sender<Result<J::Answer, Unavailable>>,
    /// The caller's span, if it is exported.
    cause: Option<Sampled>,
}

impl<J: WriterCommand> Pending for Waiting<J> {
    fn perform<'a>(&'a mut self, work: &'a mut Work) -> Performing<'a> {
        Box::pin(async move {
            work.cause = self.cause.clone();
            self.answer = Some(self.command.perform(work).await?);
            Ok(())
        })
    }

    fn settle(self: Box<Self>, committed: Result<(), Unavailable>) {
        let Self { answer, reply, .. } = *self;
        // The caller may have stopped waiting.
        let _ = reply.send(committed.and_then(|()| answer.ok_or_else(|| Unavailable("the command did not run".into()))));
    }
}

async fn write(mut work: Work, mut queue: mpsc::Receiver<Box<dyn Pending>>, public: Public, metrics: StoreMetrics) {
    metrics.writable.set(1);
    let mut batch: Vec<Box<dyn Pending>> = Vec::with_capacity(TOGETHER);
    while queue.recv_many(&mut batch, TOGETHER).await > 0 {
        match transaction(&mut work, &mut batch, &metrics).await {
            Ok(()) => public.take(&mut work, &mut batch),
            Err(error) if batch.len() == 1 => refuse(&error, &mut batch),
            // One command failed the whole batch: perform each in its own transaction.
            Err(_) => {
                for command in std::mem::take(&mut batch) {
                    let mut alone = vec![command];
                    match transaction(&mut work, &mut alone, &metrics).await {
                        Ok(()) => public.take(&mut work, &mut alone),
                        Err(error) => refuse(&error, &mut alone),
                    }
                }
            }
        }
    }
}

async fn transaction(work: &mut Work, batch: &mut [Box<dyn Pending>], metrics: &StoreMetrics) -> anyhow::Result<()> {
    let timer = metrics.commit.start_timer();
    metrics.batch.observe(batch.len() as f64);
    work.begin();
    let failing = metrics.writable.get() == 0;
    let before = if failing { changes(work).await } else { None };
    let done: anyhow::Result<()> = async {
        work.connection.execute("BEGIN IMMEDIATE").await?;
        for command in batch.iter_mut() {
            command.perform(work).await?;
        }
        work.connection.execute("COMMIT").await?;
        Ok(())
    }
    .await;
    timer.observe_duration();
    // A commit without changes does not reach the disk, so after a failure it proves nothing.
    let says_nothing = failing && done.is_ok() && changes(work).await == before;
    if !says_nothing {
        metrics.writable.set(i64::from(done.is_ok()));
    }
    if done.is_err() {
        metrics.failures.inc();
        // Fails if the transaction has already ended. SQLite rolls back on its own when the disk is full.
        let _ = work.connection.execute("ROLLBACK").await;
        work.forget();
    }
    done
}

/// Number of rows changed by this connection so far.
async fn changes(work: &mut Work) -> Option<i64> {
    sqlx::query_scalar("SELECT total_changes()").fetch_one(&mut work.connection).await.ok()
}

/// Recipients of committed changes.
struct Public {
    changes: mpsc::UnboundedSender<Change>,
    incidents: IncidentMetrics,
}

impl Public {
    fn take(&self, work: &mut Work, batch: &mut Vec<Box<dyn Pending>>) {
        for milestone in work.take_milestones() {
            let histogram = match milestone.reached {
                Reached::Acknowledged => &self.incidents.acknowledge,
                Reached::Resolved => &self.incidents.resolve,
            };
            histogram.with_label_values(&[milestone.severity.name()]).observe(milestone.after.as_secs_f64());
        }
        for change in work.take_changes() {
            // The sender ends last. A change that it does not receive is in the database.
            let _ = self.changes.send(change);
        }
        batch.drain(..).for_each(|command| command.settle(Ok(())));
    }
}

fn refuse(error: &anyhow::Error, batch: &mut Vec<Box<dyn Pending>>) {
    tracing::error!(
        error = format!("{error:#}"),
        jobs = batch.len(),
        "the store failed to commit; none of the commands took effect"
    );
    let unavailable = Unavailable(format!("{error:#}"));
    batch.drain(..).for_each(|command| command.settle(Err(unavailable.clone())));
}

/// Deletes old rows and measures the file.
pub struct Housekeeping {
    pub horizon: jiff::Timestamp,
}

impl WriterCommand for Housekeeping {
    /// Rows deleted, bytes used, bytes free inside the file.
    type Answer = (u64, i64, i64);

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<Self::Answer> {
        let removed = housekeeping::remove_old(&mut work.connection, self.horizon).await?;
        housekeeping::give_back(&mut work.connection).await?;
        let (used, free) = housekeeping::size(&mut work.connection).await?;
        Ok((removed, used, free))
    }
}

/// Stores a small fact.
pub struct Remember {
    pub name: String,
    pub value: String,
}

impl WriterCommand for Remember {
    type Answer = ();

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<()> {
        Ok(crate::store::facts::set(&mut work.connection, &self.name, &self.value).await?)
    }
}

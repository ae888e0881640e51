//! Where everything that changes something comes together: one writer takes jobs from a queue, does as many as are there in
//! one transaction, and answers each when the commit is on the disk. So hundreds of webhooks a second share one fsync, and
//! nothing is told before it is durable.
//!
//! A job reads rows, asks the pure modules what follows, and writes rows. Never a network call, never a wait.

pub mod act;
pub mod blind;
pub mod book;
pub mod call;
pub mod deliver;
pub mod duty_override;
pub mod handover;
pub mod hear;
mod parts;
pub mod reconcile;
pub mod rematch;
pub mod resume;
mod tell;
pub mod timers;
mod work;

use std::{future::Future, pin::Pin, sync::Arc};

use sqlx::{Executor, SqlitePool};
use tokio::sync::{mpsc, oneshot};

use crate::{
    clock::Clock,
    metrics::{AlertbotMetrics, IncidentMetrics, StoreMetrics},
    schedule::Item,
    store::{Store, housekeeping},
};

pub use book::Book;
pub use tell::silence_to_end;
use work::Reached;
pub use work::Work;

/// A piece of work inside the writer's transaction. It may be done a second time when the transaction of the first time
/// failed because of another job: it must not consume what it holds.
pub trait Job: Send + 'static {
    type Answer: Send + 'static;

    fn perform(&mut self, work: &mut Work) -> impl Future<Output = anyhow::Result<Self::Answer>> + Send;
}

/// What a committed job changed outside the database.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Into the sender's queue, or its new state there.
    Put(Box<Item>),
    /// Out of the sender's queue.
    Remove(i64),
    /// A silence should be ended in an Alertmanager.
    EndSilence,
    /// The time of the next step may have changed.
    Timers,
    /// Incidents should be compared with Alertmanager now.
    Compare,
}

/// Nothing was written, and nothing may be acknowledged.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the store is not available: {0}")]
pub struct Unavailable(pub String);

/// Gives jobs to the writer. Clones share it.
#[derive(Clone)]
pub struct Desk {
    jobs: mpsc::Sender<Box<dyn Pending>>,
    /// For whoever only looks.
    pub readers: SqlitePool,
    pub book: Arc<Book>,
}

/// Jobs that wait for the writer. Above this their senders wait, and a webhook is answered 503 after its deadline.
const QUEUE: usize = 4096;
/// Jobs that share one commit at most: the first of them waits for the last.
const TOGETHER: usize = 256;

impl Desk {
    /// Starts the writer. It ends when every handle is gone and the queue is empty.
    pub fn start(
        store: Store,
        book: Arc<Book>,
        clock: Clock,
        changes: mpsc::UnboundedSender<Change>,
        metrics: &AlertbotMetrics,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let readers = store.readers.clone();
        let work = Work::new(store, Arc::clone(&book), clock);
        let public = Public { changes, incidents: metrics.incident.clone() };
        (Self { jobs, readers, book }, tokio::spawn(write(work, queue, public, metrics.store.clone())))
    }

    /// Returns when the job's changes are on the disk.
    ///
    /// # Errors
    /// When they are not, and nothing of them is.
    pub async fn perform<J: Job>(&self, job: J) -> Result<J::Answer, Unavailable> {
        let (reply, answer) = oneshot::channel();
        let pending = Box::new(Waiting { job, answer: None, reply });
        self.jobs.send(pending).await.map_err(|_| ending())?;
        answer.await.map_err(|_| ending())?
    }

    /// The same for a caller that gives several jobs and needs them done in that order: the job is in the queue when this
    /// returns, unless the queue is full.
    pub fn post<J: Job>(&self, job: J) -> impl Future<Output = Result<J::Answer, Unavailable>> + Send + 'static {
        let (reply, answer) = oneshot::channel();
        let posted = self.jobs.try_send(Box::new(Waiting { job, answer: None, reply }));
        async move {
            posted.map_err(|_| Unavailable("too many jobs wait for the writer".into()))?;
            answer.await.map_err(|_| ending())?
        }
    }
}

fn ending() -> Unavailable {
    Unavailable("the program is ending".into())
}

type Performing<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'a>>;

trait Pending: Send {
    fn perform<'a>(&'a mut self, work: &'a mut Work) -> Performing<'a>;

    fn settle(self: Box<Self>, committed: Result<(), Unavailable>);
}

struct Waiting<J: Job> {
    job: J,
    answer: Option<J::Answer>,
    reply: oneshot::Sender<Result<J::Answer, Unavailable>>,
}

impl<J: Job> Pending for Waiting<J> {
    fn perform<'a>(&'a mut self, work: &'a mut Work) -> Performing<'a> {
        Box::pin(async move {
            self.answer = Some(self.job.perform(work).await?);
            Ok(())
        })
    }

    fn settle(self: Box<Self>, committed: Result<(), Unavailable>) {
        let Self { answer, reply, .. } = *self;
        // Whoever asked may have gone.
        let _ = reply.send(committed.and_then(|()| answer.ok_or_else(|| Unavailable("the job was not done".into()))));
    }
}

async fn write(mut work: Work, mut queue: mpsc::Receiver<Box<dyn Pending>>, public: Public, metrics: StoreMetrics) {
    metrics.writable.set(1);
    let mut batch: Vec<Box<dyn Pending>> = Vec::with_capacity(TOGETHER);
    while queue.recv_many(&mut batch, TOGETHER).await > 0 {
        match transaction(&mut work, &mut batch, &metrics).await {
            Ok(()) => public.take(&mut work, &mut batch),
            Err(error) if batch.len() == 1 => refuse(&error, &mut batch),
            // One of them spoils it for all: each by itself then.
            Err(_) => {
                for job in std::mem::take(&mut batch) {
                    let mut alone = vec![job];
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
        for job in batch.iter_mut() {
            job.perform(work).await?;
        }
        work.connection.execute("COMMIT").await?;
        Ok(())
    }
    .await;
    timer.observe_duration();
    // A commit of nothing reaches no disk: after a failure it says nothing.
    let says_nothing = failing && done.is_ok() && changes(work).await == before;
    if !says_nothing {
        metrics.writable.set(i64::from(done.is_ok()));
    }
    if done.is_err() {
        metrics.failures.inc();
        // Fails when the transaction has ended already: SQLite rolls back by itself when the disk is full.
        let _ = work.connection.execute("ROLLBACK").await;
        work.forget();
    }
    done
}

/// Rows that this connection has changed so far.
async fn changes(work: &mut Work) -> Option<i64> {
    sqlx::query_scalar("SELECT total_changes()").fetch_one(&mut work.connection).await.ok()
}

/// Whoever hears of what is on the disk.
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
            // The sender ends last; a change that it does not hear of is in the database.
            let _ = self.changes.send(change);
        }
        batch.drain(..).for_each(|job| job.settle(Ok(())));
    }
}

fn refuse(error: &anyhow::Error, batch: &mut Vec<Box<dyn Pending>>) {
    tracing::error!(error = format!("{error:#}"), jobs = batch.len(), "the store took no change");
    let unavailable = Unavailable(format!("{error:#}"));
    batch.drain(..).for_each(|job| job.settle(Err(unavailable.clone())));
}

/// Removes what is old and measures the file.
pub struct Housekeeping {
    pub horizon: jiff::Timestamp,
}

impl Job for Housekeeping {
    /// Rows removed, bytes used, bytes free inside the file.
    type Answer = (u64, i64, i64);

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<Self::Answer> {
        let removed = housekeeping::remove_old(&mut work.connection, self.horizon).await?;
        housekeeping::give_back(&mut work.connection).await?;
        let (used, free) = housekeeping::size(&mut work.connection).await?;
        Ok((removed, used, free))
    }
}

/// Remembers a small fact.
pub struct Remember {
    pub name: String,
    pub value: String,
}

impl Job for Remember {
    type Answer = ();

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<()> {
        Ok(crate::store::facts::set(&mut work.connection, &self.name, &self.value).await?)
    }
}

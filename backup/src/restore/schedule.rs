//! Rows, and what is built on them, in so many sessions at a time: the longest task first, and a table's constraints and
//! indexes as soon as its rows are there, while others are still being filled. A large table's statistics follow those,
//! whenever a session has nothing else to do.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
    sync::Arc,
};

use sqlx::PgConnection;
use tokio::task::JoinSet;

use super::{
    RestoreFault, analyze, large_objects,
    phases::{EARLY_BYTES, Early},
    progress::Progress,
    rows::Filling,
    tool::PgRestore,
};
use crate::{archive::Contents, manifest::LargeObjects, reading::BackupReader};

/// An index's share of the time that its table's rows take.
const INDEX_COST_PERCENT: u64 = 40;

/// What is to be done before everything is there that other objects build on.
pub struct Work {
    pub fillings: Vec<Filling>,
    pub large_objects: Option<LargeObjects>,
    /// By the dump id of the rows.
    pub early: HashMap<i32, Early>,
    /// Whether large tables get their statistics here.
    pub analyze: bool,
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    pub rows: u64,
    pub tables: u64,
    /// Relations that have their statistics.
    pub analyzed: HashSet<String>,
}

enum Task {
    Rows(Box<Filling>),
    LargeObjects(LargeObjects),
    /// Constraints; its indexes follow.
    Constraints(Contents, Vec<Contents>, u64),
    Index(Contents),
    /// Of a relation by its qualified name.
    Statistics(String),
}

/// A task with its expected cost, in bytes of rows. Of two equal ones the earlier comes first.
struct Waiting {
    cost: u64,
    order: Reverse<usize>,
    /// The rows of the table that it belongs to, by their dump id.
    rows: Option<i32>,
    task: Task,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        (self.cost, self.order) == (other.cost, other.order)
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.cost, self.order).cmp(&(other.cost, other.order))
    }
}

#[derive(Default)]
struct Queue {
    waiting: BinaryHeap<Waiting>,
    added: usize,
    /// Tasks of each table that have not ended.
    open: HashMap<i32, usize>,
}

impl Queue {
    fn add(&mut self, rows: Option<i32>, cost: u64, task: Task) {
        if let Some(rows) = rows {
            *self.open.entry(rows).or_default() += 1;
        }
        self.waiting.push(Waiting { cost, order: Reverse(self.added), rows, task });
        self.added += 1;
    }

    /// Whether nothing of that table is left to be done.
    fn ended(&mut self, rows: i32) -> bool {
        let open = self.open.entry(rows).or_default();
        *open = open.saturating_sub(1);
        *open == 0
    }
}

/// What a task leaves: its session, what it wrote, and what may begin now.
struct Ended {
    session: PgConnection,
    rows: Option<i32>,
    written: Written,
    next: Vec<(u64, Task)>,
}

/// Does all of it, as many tasks at a time as there are sessions, and gives the sessions back.
pub async fn run(
    work: Work,
    mut sessions: Vec<PgConnection>,
    reader: &BackupReader,
    tool: &PgRestore,
    progress: &Progress,
) -> Result<(Vec<PgConnection>, Written), RestoreFault> {
    let early = Arc::new(work.early);
    let large = work.fillings.iter().filter(|filling| work.analyze && filling.table.raw_bytes >= EARLY_BYTES);
    let mut large: HashMap<i32, String> = large.map(|filling| (filling.table.dump_id, filling.target.relation.clone())).collect();
    let mut queue = Queue::default();
    for filling in work.fillings {
        queue.add(Some(filling.table.dump_id), filling.table.raw_bytes, Task::Rows(Box::new(filling)));
    }
    if let Some(objects) = work.large_objects {
        queue.add(None, objects.raw_bytes, Task::LargeObjects(objects));
    }
    let (mut running, mut total) = (JoinSet::new(), Written::default());
    loop {
        while let Some(session) = sessions.pop_if(|_| !queue.waiting.is_empty()) {
            let Some(waiting) = queue.waiting.pop() else { break };
            let (reader, tool, early, progress) = (reader.clone(), tool.clone(), Arc::clone(&early), progress.clone());
            running.spawn(async move { perform(waiting, session, &reader, &tool, &early, &progress).await });
        }
        // The first fault ends the rest: dropping the set cancels its tasks, their sessions and their processes.
        let Some(ended) = running.join_next().await else { return Ok((sessions, total)) };
        let ended = ended.map_err(|_| RestoreFault::Interrupted)??;
        total.rows += ended.written.rows;
        total.tables += ended.written.tables;
        total.analyzed.extend(ended.written.analyzed);
        sessions.push(ended.session);
        ended.next.into_iter().for_each(|(cost, task)| queue.add(ended.rows, cost, task));
        if let Some(rows) = ended.rows
            && queue.ended(rows)
            && let Some(relation) = large.remove(&rows)
        {
            queue.add(None, 0, Task::Statistics(relation));
        }
    }
}

async fn perform(
    waiting: Waiting,
    mut session: PgConnection,
    reader: &BackupReader,
    tool: &PgRestore,
    early: &HashMap<i32, Early>,
    progress: &Progress,
) -> Result<Ended, RestoreFault> {
    let (mut written, mut next) = (Written::default(), Vec::new());
    match waiting.task {
        Task::Rows(filling) => {
            let rows = filling.run(&mut session, reader, progress).await?;
            written = Written { rows, tables: 1, ..written };
            if let Some(early) = early.get(&filling.table.dump_id) {
                next = followers(early, filling.table.raw_bytes);
            }
        }
        Task::LargeObjects(objects) => drop(large_objects::fill(&mut session, reader, &objects, progress).await?),
        Task::Constraints(contents, indexes, cost) => {
            tool.run(&contents, 1).await?;
            next = indexes.into_iter().map(|index| (cost, Task::Index(index))).collect();
        }
        Task::Index(contents) => tool.run(&contents, 1).await?,
        Task::Statistics(relation) => {
            analyze::one(&mut session, &relation).await?;
            written.analyzed.insert(relation);
        }
    }
    Ok(Ended { session, rows: waiting.rows, written, next })
}

fn followers(early: &Early, raw_bytes: u64) -> Vec<(u64, Task)> {
    let cost = raw_bytes / 100 * INDEX_COST_PERCENT;
    let indexes = early.indexes.clone();
    match &early.constraints {
        Some(constraints) => vec![(cost, Task::Constraints(constraints.clone(), indexes, cost))],
        None => indexes.into_iter().map(|index| (cost, Task::Index(index))).collect(),
    }
}

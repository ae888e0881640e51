//! This module schedules rows, indexes and constraints on concurrent sessions, the longest task first. A table's constraints and
//! indexes start as soon as its rows are written, while other tables are still filled. Statistics of large tables follow when a
//! session is idle.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
};

use tokio::task::JoinSet;

use super::{
    NotCreated, RestoreError, RestoreOptions, analyze, large_objects,
    phases::{EARLY_BYTES, Early},
    progress::RestoreProgress,
    rows::Filling,
    sessions::RestoreSession,
    tool::PgRestore,
};
use crate::{archive::Contents, manifest::LargeObjects, reading::BackupReader};

/// An index's cost as a share of the time of its table's rows.
const INDEX_COST_PERCENT: u64 = 40;

/// A table is filled by all sessions if it takes this many times longer than another session's share of all other tables.
const DOMINATES: u64 = 2;
/// Parts of such a table for each session, so that no session ends with the last part alone.
const PARTS_PER_SESSION: usize = 2;

/// Work to finish before the objects that depend on it.
pub struct RestoreWork {
    pub fillings: Vec<Filling>,
    pub large_objects: Option<LargeObjects>,
    /// By the dump id of the rows.
    pub early: HashMap<i32, Early>,
    /// Whether large tables get their statistics here.
    pub analyze: bool,
    /// Tables whose statistics must wait for objects that follow, by the dump id of the rows.
    pub completed_late: HashSet<i32>,
    pub how: How,
}

/// Options for writing rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct How {
    /// In the order of the contents.
    pub in_order: bool,
    /// Reports and skips rows that the server refuses.
    pub keep_going: bool,
}

impl How {
    pub fn of(options: &RestoreOptions) -> Self {
        Self { in_order: options.in_order, keep_going: options.keep_going }
    }
}

/// Result of the work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WrittenBy {
    pub rows: u64,
    pub tables: u64,
    /// Relations that have their statistics.
    pub analyzed: HashSet<Vec<u8>>,
    pub refused: Vec<NotCreated>,
}

enum RestoreTask {
    /// Rows of a table, or a part of them.
    Rows(Box<Filling>, Try),
    LargeObjects(LargeObjects),
    /// Constraints, followed by the table's indexes.
    Constraints(Contents, Vec<Contents>, u64),
    Index(Contents),
    /// Statistics of a relation, by its qualified name.
    Statistics(Vec<u8>),
}

/// Whether rows that the server refuses may follow after all others. A check can read a table that is still empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Try {
    First,
    Last,
}

/// A task with its expected cost, in bytes of rows. Of two equal tasks the earlier comes first.
struct Waiting {
    cost: u64,
    order: Reverse<usize>,
    /// The dump id of the rows of the task's table.
    rows: Option<i32>,
    task: RestoreTask,
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
    /// Number of unfinished tasks of each table.
    open: HashMap<i32, usize>,
}

impl Queue {
    fn add(&mut self, rows: Option<i32>, cost: u64, task: RestoreTask, after: &HashSet<i32>, held: &mut HeldRows) {
        let waiting = self.waiting(rows, cost, task);
        if after.is_empty() {
            self.waiting.push(waiting);
        } else {
            held.0.push((after.clone(), waiting));
        }
    }

    fn add_now(&mut self, rows: Option<i32>, cost: u64, task: RestoreTask) {
        let waiting = self.waiting(rows, cost, task);
        self.waiting.push(waiting);
    }

    fn waiting(&mut self, rows: Option<i32>, cost: u64, task: RestoreTask) -> Waiting {
        if let Some(rows) = rows {
            *self.open.entry(rows).or_default() += 1;
        }
        self.added += 1;
        Waiting { cost, order: Reverse(self.added), rows, task }
    }

    /// Ends a task of a table, and returns whether it was the last one.
    fn ended(&mut self, rows: i32) -> bool {
        let open = self.open.entry(rows).or_default();
        *open = open.saturating_sub(1);
        *open == 0
    }
}

/// Result of a task: its session, its work, and the tasks that may begin now.
struct EndedTask {
    session: Option<RestoreSession>,
    rows: Option<i32>,
    /// Number of rows written.
    written: u64,
    /// Whether the task wrote rows of a table.
    filled: bool,
    analyzed: Option<Vec<u8>>,
    refused: Vec<NotCreated>,
    next: Vec<(u64, RestoreTask)>,
    /// Rows that the server refused at the first try.
    again: Option<Waiting>,
}

/// Rows that wait for the rows of other tables.
#[derive(Default)]
struct HeldRows(Vec<(HashSet<i32>, Waiting)>);

impl HeldRows {
    /// Returns the tasks that may begin after the rows of `table`.
    fn filled(&mut self, table: i32) -> Vec<Waiting> {
        self.0.iter_mut().for_each(|(after, _)| {
            after.remove(&table);
        });
        self.0.extract_if(.., |(after, _)| after.is_empty()).map(|(_, waiting)| waiting).collect()
    }

    /// Returns all held tasks: the remaining ones wait for each other.
    fn all(&mut self) -> Vec<Waiting> {
        std::mem::take(&mut self.0).into_iter().map(|(_, waiting)| waiting).collect()
    }
}

/// Runs all work, with one task for each session, and returns the sessions.
pub async fn run(
    work: RestoreWork,
    mut sessions: Vec<RestoreSession>,
    reader: &BackupReader,
    tool: &PgRestore,
    progress: &RestoreProgress,
) -> Result<(Vec<RestoreSession>, WrittenBy), RestoreError> {
    let early = work.early;
    let complete = |filling: &&Filling| !filling.through_root && !work.completed_late.contains(&filling.table.dump_id);
    let large =
        work.fillings.iter().filter(|filling| work.analyze && filling.table.raw_bytes >= EARLY_BYTES && complete(filling));
    let mut large: HashMap<i32, Vec<u8>> =
        large.map(|filling| (filling.table.dump_id, filling.target.relation.clone())).collect();
    let (mut queue, mut unfilled, mut held) = (Queue::default(), HashMap::new(), HeldRows::default());
    let all_bytes: u64 = work.fillings.iter().map(|filling| filling.table.raw_bytes).sum();
    let filled: HashSet<i32> = work.fillings.iter().map(|filling| filling.table.dump_id).collect();
    for filling in work.fillings {
        let (id, bytes) = (filling.table.dump_id, filling.table.raw_bytes);
        let after: HashSet<i32> = filling.after.iter().copied().filter(|other| filled.contains(other)).collect();
        let parts = filling.cut(parts(bytes, all_bytes, sessions.len()));
        unfilled.insert(id, (parts.len(), bytes));
        for part in parts {
            let cost = if work.how.in_order { 0 } else { part.table.raw_bytes };
            queue.add(Some(id), cost, RestoreTask::Rows(Box::new(part), Try::First), &after, &mut held);
        }
    }
    if let Some(objects) = work.large_objects {
        queue.add_now(None, objects.raw_bytes, RestoreTask::LargeObjects(objects));
    }
    let (mut running, mut total, mut again) = (JoinSet::new(), WrittenBy::default(), Vec::new());
    loop {
        while let Some(session) = sessions.pop_if(|_| !queue.waiting.is_empty()) {
            let Some(waiting) = queue.waiting.pop() else { break };
            let (reader, tool, progress) = (reader.clone(), tool.clone(), progress.clone());
            let how = work.how;
            running.spawn(async move { perform(waiting, session, &reader, &tool, &progress, how).await });
        }
        // The first error ends the rest: dropping the set cancels its tasks with their sessions and processes.
        let Some(ended) = running.join_next().await else {
            // One at a time in pg_dump's order, in which stock tools write them: each may need the rows before it.
            again.sort_by_key(|refused: &Waiting| refused.order);
            if let Some(refused) = again.pop() {
                queue.waiting.push(refused);
                continue;
            }
            let left = held.all();
            if left.is_empty() {
                return Ok((sessions, total));
            }
            queue.waiting.extend(left);
            continue;
        };
        let ended = ended.map_err(|_| RestoreError::Interrupted)??;
        total.rows += ended.written;
        total.analyzed.extend(ended.analyzed);
        total.refused.extend(ended.refused);
        sessions.extend(ended.session);
        if let Some(refused) = ended.again {
            again.push(refused);
            continue;
        }
        ended.next.into_iter().for_each(|(cost, task)| queue.add_now(ended.rows, cost, task));
        if let (true, Some(rows)) = (ended.filled, ended.rows)
            && let Some((left, bytes)) = unfilled.get_mut(&rows)
        {
            *left -= 1;
            if *left == 0 {
                total.tables += 1;
                queue.waiting.extend(held.filled(rows));
                let next = early.get(&rows).map_or_else(Vec::new, |early| followers(early, *bytes));
                next.into_iter().for_each(|(cost, task)| queue.add_now(Some(rows), cost, task));
            }
        }
        if let Some(rows) = ended.rows
            && queue.ended(rows)
            && let Some(relation) = large.remove(&rows)
        {
            queue.add_now(None, 0, RestoreTask::Statistics(relation));
        }
    }
}

async fn perform(
    waiting: Waiting,
    mut session: RestoreSession,
    reader: &BackupReader,
    tool: &PgRestore,
    progress: &RestoreProgress,
    how: How,
) -> Result<EndedTask, RestoreError> {
    let Waiting { cost, order, rows, task } = waiting;
    let mut ended = EndedTask {
        session: None,
        rows,
        written: 0,
        filled: false,
        analyzed: None,
        refused: Vec::new(),
        next: Vec::new(),
        again: None,
    };
    match task {
        RestoreTask::Rows(filling, attempt) => match filling.run(&mut session, reader, progress).await {
            Ok(written) => (ended.filled, ended.written) = (true, written),
            Err(RestoreError::Rows { table, reason, condition: false }) if attempt == Try::First || how.keep_going => {
                session.query("ROLLBACK").await.map_err(RestoreError::by_wire("rolling back rows that were refused"))?;
                if attempt == Try::First {
                    tracing::warn!(
                        object = table,
                        reason,
                        "the server refused rows; retrying after the rows of the other tables"
                    );
                    ended.again = Some(Waiting { cost, order, rows, task: RestoreTask::Rows(filling, Try::Last) });
                } else {
                    ended.filled = true;
                    ended.refused.push(NotCreated { object: format!("the rows of {table}"), reason });
                }
            }
            Err(fault) => return Err(fault),
        },
        RestoreTask::LargeObjects(objects) => drop(large_objects::fill(&mut session, reader, &objects, progress).await?),
        RestoreTask::Constraints(contents, indexes, cost) => {
            ended.refused = tool.run(&contents, 1).await?;
            ended.next = indexes.into_iter().map(|index| (cost, RestoreTask::Index(index))).collect();
        }
        RestoreTask::Index(contents) => ended.refused = tool.run(&contents, 1).await?,
        RestoreTask::Statistics(relation) => {
            analyze::analyze_one(&mut session, std::slice::from_ref(&relation)).await?;
            ended.analyzed = Some(relation);
        }
    }
    ended.session = Some(session);
    Ok(ended)
}

/// Number of parts of a table's rows. It is one if other tables occupy the other sessions: rows written by one session are frozen
/// and need no vacuum later.
fn parts(bytes: u64, all_bytes: u64, sessions: usize) -> usize {
    let others = (sessions as u64).saturating_sub(1);
    if others > 0 && bytes >= EARLY_BYTES && bytes > DOMINATES * (all_bytes - bytes) / others {
        sessions * PARTS_PER_SESSION
    } else {
        1
    }
}

fn followers(early: &Early, raw_bytes: u64) -> Vec<(u64, RestoreTask)> {
    let cost = raw_bytes / 100 * INDEX_COST_PERCENT;
    let indexes = early.indexes.clone();
    match &early.constraints {
        Some(constraints) => vec![(cost, RestoreTask::Constraints(constraints.clone(), indexes, cost))],
        None => indexes.into_iter().map(|index| (cost, RestoreTask::Index(index))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn only_a_dominant_table_is_split() {
        const MEBIBYTE: u64 = 1 << 20;
        for (bytes, all, sessions, expected) in [
            (100, 100, 2, 4),
            (100, 100, 1, 1),
            (100, 149, 2, 4),
            (100, 151, 2, 1),
            (100, 149, 4, 8),
            (100, 249, 4, 8),
            (100, 251, 4, 1),
            (1, 1, 8, 1),
        ] {
            assert_eq!(parts(bytes * MEBIBYTE, all * MEBIBYTE, sessions), expected, "{bytes} of {all}, {sessions} sessions");
        }
    }
}

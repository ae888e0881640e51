//! This module reads and verifies the part of the journal that a recovered database starts with: the newest snapshot that belongs to
//! the history, and every batch after it. It must not change anything.

use anyhow::{Context, bail, ensure};
use exchange_core::{State, batch, event::Event, money::Time};

use super::{
    arguments::{Until, show_time},
    plan::{RecoveryPlan, Segment},
};
use crate::{
    chain::Chain,
    journal_archive::{self, ArchivedBatch},
    media::{Media, MediaError},
    shipped,
    snapshot::{self, SnapshotName},
};

/// The verified end of the journal.
#[derive(Debug)]
pub struct Tail {
    /// Sequence and chain of the snapshot; 0: none, the batches begin with the first event.
    pub base: (i64, Chain),
    pub batches: Vec<ArchivedBatch>,
    /// After the last batch.
    pub state: State,
    /// Epoch of the last batch.
    pub epoch: i64,
}

/// The newest state at or before `until`, and how it is reached.
pub async fn read_tail(media: &Media, plan: &RecoveryPlan, names: &[SnapshotName], until: Until) -> anyhow::Result<Tail> {
    if let Until::Sequence(sequence) = until {
        ensure!(
            sequence <= plan.end(),
            "--until {sequence}: the journal in the bucket ends at sequence {}: use --until latest",
            plan.end()
        );
    }
    let base = base(media, plan, names, until).await?;
    let (sequence, chain) = (base.state.sequence() as i64, base.chain);
    let mut tail = Tail { base: (sequence, chain), batches: Vec::new(), state: base.state, epoch: base.epoch };
    let first = plan.segments.partition_point(|segment| segment.last <= sequence);
    let (mut chain, mut at) = (chain, sequence);
    'segments: for segment in plan.segments.get(first..).unwrap_or_default() {
        for batch in contents(media, segment).await?.batches {
            if batch.first_sequence <= at || batch.last_sequence > segment.last {
                continue;
            }
            ensure!(batch.first_sequence == at + 1, "{}: the batch after sequence {at} is missing", segment.key);
            if !apply(&mut tail.state, &batch, until).with_context(|| segment.key.clone())? {
                break 'segments;
            }
            chain = chain.next(batch.first_sequence, batch.last_sequence, batch.epoch, &batch.payload);
            (at, tail.epoch) = (batch.last_sequence, batch.epoch);
            tail.batches.push(batch);
        }
        ensure!(
            segment.chain.is_none_or(|expected| expected == chain || at != segment.last),
            "{}: its batches do not continue the journal before sequence {}: the object is of another history, or an object before it \
             is damaged",
            segment.key,
            segment.first
        );
    }
    Ok(tail)
}

struct TailBase {
    state: State,
    chain: Chain,
    epoch: i64,
}

/// The newest whole snapshot of the history at or before `until`. An exchange without a snapshot starts with its first event.
async fn base(media: &Media, plan: &RecoveryPlan, names: &[SnapshotName], until: Until) -> anyhow::Result<TailBase> {
    let mut oldest: Option<(i64, Time)> = None;
    for name in names.iter().rev() {
        let sequence = name.sequence as i64;
        let (Some(chain), Some(index)) = (name.chain, plan.covering(sequence)) else { continue };
        let state = match snapshot::read_snapshot(media, *name).await {
            Ok(state) => state,
            Err(error) if error.is::<MediaError>() => return Err(error),
            Err(error) => {
                eprintln!("warning: {}: {error:#}; trying the snapshot before it", name.key());
                continue;
            }
        };
        let Some(epoch) = belongs(media, plan, index, sequence, chain).await? else {
            continue;
        };
        if until.includes(sequence, state.now()) {
            return Ok(TailBase { state, chain, epoch });
        }
        oldest = Some((sequence, state.now()));
    }
    if let Some((sequence, time)) = oldest {
        bail!(
            "--until {until}: the oldest snapshot in the bucket is at sequence {sequence} ({}): choose that moment or a later one",
            show_time(time)
        );
    }
    Ok(TailBase { state: State::new(), chain: Chain::GENESIS, epoch: 0 })
}

/// Epoch of the batch that ends at `sequence` if the history has `chain` there.
async fn belongs(media: &Media, plan: &RecoveryPlan, index: usize, sequence: i64, chain: Chain) -> anyhow::Result<Option<i64>> {
    let segment = &plan.segments[index];
    let contents = contents(media, segment).await?;
    let (mut at, mut epoch) = (contents.before.or_else(|| plan.chain_before(index)), 0);
    for batch in contents.batches.iter().take_while(|batch| batch.last_sequence <= sequence) {
        at = at.map(|at| at.next(batch.first_sequence, batch.last_sequence, batch.epoch, &batch.payload));
        if batch.last_sequence == sequence {
            epoch = batch.epoch;
        }
    }
    // Without the chain before the object, its name alone proves the end.
    let at = at.or_else(|| segment.chain.filter(|_| segment.last == sequence));
    Ok((epoch > 0 && at == Some(chain)).then_some(epoch))
}

/// The batches of an object, and the chain before them if the object states it.
struct Contents {
    before: Option<Chain>,
    batches: Vec<ArchivedBatch>,
}

async fn contents(media: &Media, segment: &Segment) -> anyhow::Result<Contents> {
    match segment.shipped {
        Some(name) => {
            let run = shipped::read_shipped(media, name).await?;
            Ok(Contents { before: Some(run.before), batches: run.batches })
        }
        None => Ok(Contents { before: None, batches: journal_archive::read_unchecked(media, &segment.key).await? }),
    }
}

/// False: the batch is after `until`.
fn apply(state: &mut State, batch: &ArchivedBatch, until: Until) -> anyhow::Result<bool> {
    let name = || format!("journal batch {}..={}", batch.first_sequence, batch.last_sequence);
    if let Some(needs) = batch::beyond_this_release(&batch.payload) {
        bail!("{} needs {needs}: a newer release wrote it and the data is intact; run that release here", name());
    }
    let events = batch::decode(&batch.payload).with_context(name)?;
    ensure!(events.len() as i64 == batch.last_sequence - batch.first_sequence + 1, "{} has {} events", name(), events.len());
    let time = events.iter().fold(state.now(), |now, event| match event {
        Event::Clock(time) | Event::TimeSetBack(time) => *time,
        _ => now,
    });
    if !until.includes(batch.last_sequence, time) {
        return Ok(false);
    }
    events.iter().for_each(|event| state.evolve(event));
    Ok(true)
}

//! This module sorts the bucket's objects by history: those that belong to this database's journal, and foreign ones. It must not
//! load, delete or overwrite any.
//!
//! - An object belongs to the journal when the chain in its name is the journal's chain at its sequence.
//! - An object above the journal's end proves that a database held more than this one, unless an operator declared the loss.

use anyhow::Context;
use sqlx::PgConnection;

use crate::{
    chain::Chain,
    db::{
        archives, declarations, head, marks,
        replicas::{DatabaseRefusal, Loss},
        shipping,
    },
    foreign::{Foreign, ForeignKind},
    journal_archive,
    media::{Media, MediaError},
    shipped,
    snapshot::{self, SnapshotName},
};

/// Shipped objects compared with the journal, newest first, before shipping starts again from the archive.
const SHIPPED_TRIES: usize = 3;

/// Records in the bucket where this generation began, so that a recovery follows this history and not the lost one. Must precede the
/// first object of a generation. Safe to repeat.
pub async fn record_fork(media: &Media, connection: &mut PgConnection, generation: i64) -> anyhow::Result<()> {
    let Some(sequence) = shipping::fork(connection).await? else { return Ok(()) };
    let chain = marks::chain_at(connection, sequence).await?;
    let chain = chain.with_context(|| format!("the chain of the journal at the fork {sequence} is unknown"))?;
    Ok(shipped::write_fork(media, shipped::Fork { generation, sequence, chain }).await?)
}

/// The objects of the bucket, sorted against this database's journal.
#[derive(Debug, Default)]
pub struct Survey {
    /// Last sequence of the journal, read after the bucket was listed.
    pub ends_at: i64,
    /// Snapshots of this journal, newest first.
    pub own: Vec<SnapshotName>,
    /// Snapshots of the first format at or below the journal's confirmed end, newest first. Their history is unknown.
    pub first_format: Vec<SnapshotName>,
    /// Objects of another history.
    pub foreign: Vec<Foreign>,
    /// The newest fork of a later generation: another database was built from this history and continued it.
    pub superseded: Option<shipped::Fork>,
}

#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    #[error(transparent)]
    Store(#[from] MediaError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The end of the shipped part of this journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShippedThrough {
    pub generation: i64,
    pub sequence: i64,
    pub chain: Chain,
}

/// The end of the newest shipped object that belongs to this journal; without one, the end of the archive.
pub async fn shipped_through(media: &Media, connection: &mut PgConnection) -> anyhow::Result<ShippedThrough> {
    // The order matters, as in `Survey::take`.
    let listed = shipped::list_shipped(media).await?;
    let confirmed = head::confirmed(connection).await?;
    let generation = shipping::generation(connection).await?;
    let ours = listed.iter().map(|object| object.name);
    let mut ours: Vec<_> = ours.filter(|name| name.generation == generation && name.last_sequence <= confirmed).collect();
    ours.sort_unstable_by_key(|name| std::cmp::Reverse(name.last_sequence));
    let archived = archives::archived_through(connection).await?;
    for name in ours.into_iter().take_while(|name| name.last_sequence > archived).take(SHIPPED_TRIES) {
        if marks::chain_at(connection, name.last_sequence).await? == Some(name.chain) {
            return Ok(ShippedThrough { generation, sequence: name.last_sequence, chain: name.chain });
        }
    }
    let chain = marks::chain_at(connection, archived).await?.with_context(|| {
        format!(
            "the chain of the journal at sequence {archived} is unknown: restart the worker, which replays up to that sequence"
        )
    })?;
    Ok(ShippedThrough { generation, sequence: archived, chain })
}

impl Survey {
    /// Lists the bucket, then compares each object with the journal. Logs and counts foreign objects.
    pub async fn take(media: &Media, connection: &mut PgConnection) -> Result<Self, SurveyError> {
        // The order matters: an object written between the two reads is below the end that is read second.
        let (snapshots, archived) = (snapshot::list_snapshots(media).await?, journal_archive::list_archives(media).await?);
        let (shipped, forks) = (shipped::list_shipped(media).await?, shipped::forks(media).await?);
        let head = head::read_head(connection).await?;
        let lost_through = declarations::lost_through(connection).await?;
        let mut survey = Self { ends_at: head.last_seq, ..Self::default() };
        let foreign = |key: String, sequence: i64, kind| Foreign { key, sequence, kind, declared: sequence <= lost_through };
        for name in snapshots.into_iter().rev() {
            let sequence = name.sequence as i64;
            if sequence > head.last_seq {
                survey.foreign.push(foreign(name.key(), sequence, ForeignKind::Snapshot));
            } else if sequence > head.confirmed_seq {
                // Neither: these events are not confirmed yet and may be lost.
            } else if name.chain.is_none() {
                survey.first_format.push(name);
            } else if marks::chain_at(connection, sequence).await? == name.chain {
                survey.own.push(name);
            } else {
                survey.foreign.push(foreign(name.key(), sequence, ForeignKind::Snapshot));
            }
        }
        let own: std::collections::HashSet<String> = archives::keys(connection).await?.into_iter().collect();
        for key in archived {
            let Some((_, last, chain)) = journal_archive::parse(&key) else { continue };
            if own.contains(&key) || (head.confirmed_seq < last && last <= head.last_seq) {
                continue;
            }
            let interrupted = last <= head.confirmed_seq && chain.is_some() && marks::chain_at(connection, last).await? == chain;
            if !interrupted {
                survey.foreign.push(foreign(key, last, ForeignKind::Archive));
            }
        }
        let generation = shipping::generation(connection).await?;
        survey.superseded = forks.into_iter().filter(|fork| fork.generation > generation).max_by_key(|fork| fork.generation);
        // Shipped objects are many: below the journal's end only the newest one of this generation is compared.
        let mut newest: Option<shipped::ShippedName> = None;
        for shipped::ListedObject { name, .. } in shipped {
            if name.last_sequence > head.last_seq {
                survey.foreign.push(foreign(name.key(), name.last_sequence, ForeignKind::Shipped));
            } else if name.generation == generation
                && name.last_sequence <= head.confirmed_seq
                && newest.is_none_or(|newest| newest.last_sequence < name.last_sequence)
            {
                newest = Some(name);
            }
        }
        if let Some(name) = newest
            && marks::chain_at(connection, name.last_sequence).await?.is_some_and(|chain| chain != name.chain)
        {
            survey.foreign.push(foreign(name.key(), name.last_sequence, ForeignKind::Shipped));
        }
        media.report_foreign(&survey.foreign);
        Ok(survey)
    }

    /// Why this database must not be used, if the bucket proves it: it ended at `sequence`, but a foreign object is above, or
    /// another database continued its history.
    pub fn refusal(&self, sequence: i64) -> Option<DatabaseRefusal> {
        if let Some(fork) = &self.superseded {
            // One declaration covers everything that the newer history wrote.
            let through = self.foreign.iter().map(|foreign| foreign.sequence).fold(self.ends_at, i64::max);
            let fact = format!(
                "another database was built from this bucket and continues its history ({}): this database is an older one. \
                 Point EXCHANGE_DATABASE_URL at the newer database, or declare the newer history lost",
                fork.key()
            );
            return Some(DatabaseRefusal::new(&fact, Loss { through, generation: fork.generation }));
        }
        self.proof(sequence).map(|proof| refusal(proof, sequence))
    }

    /// The highest foreign object above `sequence` that was not declared lost. It proves that more was once durable than a
    /// journal that ended there contained.
    fn proof(&self, sequence: i64) -> Option<&Foreign> {
        let above = self.foreign.iter().filter(|foreign| foreign.sequence > sequence && !foreign.declared);
        above.max_by_key(|foreign| foreign.sequence)
    }
}

/// The refusal when the bucket disproves a database.
fn refusal(proof: &Foreign, ends_at: i64) -> DatabaseRefusal {
    let Foreign { key, sequence, .. } = proof;
    let fact = format!(
        "this database ended at sequence {ends_at}, but the bucket contains {key} of another history. Either events up to \
         sequence {sequence} were durable and this database lost them, or the bucket belongs to another exchange. Point \
         EXCHANGE_DATABASE_URL at the server that has them, or declare the loss"
    );
    DatabaseRefusal::new(&fact, Loss::through(*sequence))
}

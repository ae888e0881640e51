//! This module sorts the bucket's objects by history: what belongs to this database's journal, and what does not. It must not
//! load, delete or overwrite any.
//!
//! - An object belongs to the journal when the chain in its name is the journal's chain at its sequence.
//! - An object above the journal's end proves that a database held more than this one, unless an operator declared the loss.

use sqlx::PgConnection;

use crate::{
    db::{archives, declarations, head, marks},
    foreign::{Foreign, Kind},
    journal_archive,
    media::{Media, MediaError},
    snapshot::{self, Name},
};

/// The objects of the bucket as this database's journal sees them.
#[derive(Debug, Default)]
pub struct Survey {
    /// Last sequence of the journal, read after the bucket was listed.
    pub ends_at: i64,
    /// Snapshots of this journal, newest first.
    pub own: Vec<Name>,
    /// Snapshots of the first format at or below the journal's confirmed end, newest first: of unknown history.
    pub first_format: Vec<Name>,
    /// What belongs to another history.
    pub foreign: Vec<Foreign>,
}

#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    #[error(transparent)]
    Store(#[from] MediaError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl Survey {
    /// Lists the bucket, then asks the journal about each object. Foreign objects are logged and counted.
    pub async fn take(media: &Media, connection: &mut PgConnection) -> Result<Self, SurveyError> {
        // In this order: what is written in between is below the end that is read afterwards.
        let (snapshots, archived) = (snapshot::list(media).await?, journal_archive::list(media).await?);
        let head = head::read(connection).await?;
        let lost_through = declarations::lost_through(connection).await?;
        let mut survey = Self { ends_at: head.last_seq, ..Self::default() };
        let foreign = |key: String, sequence: i64, kind| Foreign { key, sequence, kind, declared: sequence <= lost_through };
        for name in snapshots.into_iter().rev() {
            let sequence = name.sequence as i64;
            if sequence > head.last_seq {
                survey.foreign.push(foreign(name.key(), sequence, Kind::Snapshot));
            } else if sequence > head.confirmed_seq {
                // Neither: whether these events stay is not decided yet.
            } else if name.chain.is_none() {
                survey.first_format.push(name);
            } else if marks::chain_at(connection, sequence).await? == name.chain {
                survey.own.push(name);
            } else {
                survey.foreign.push(foreign(name.key(), sequence, Kind::Snapshot));
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
                survey.foreign.push(foreign(key, last, Kind::Archive));
            }
        }
        media.report_foreign(&survey.foreign);
        Ok(survey)
    }

    /// The highest object above `sequence` that is of another history and was not declared lost: a proof that more was durable
    /// once than a journal that ended there held.
    pub fn proof(&self, sequence: i64) -> Option<&Foreign> {
        let above = self.foreign.iter().filter(|foreign| foreign.sequence > sequence && !foreign.declared);
        above.max_by_key(|foreign| foreign.sequence)
    }
}

/// What an operator reads when a database is refused for what the bucket proves.
pub fn refusal(proof: &Foreign, ends_at: i64) -> String {
    let Foreign { key, sequence, .. } = proof;
    format!(
        "this database ended at sequence {ends_at}, and the bucket holds {key} of another history: events up to sequence {sequence} \
         were durable and are not in this database, or the bucket is another exchange's. Point EXCHANGE_DATABASE_URL at the \
         server that holds them, or declare the loss: exchange admin --actor … --reason … loss declare --through {sequence}"
    )
}

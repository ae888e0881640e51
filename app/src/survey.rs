//! This module sorts the bucket's objects by history: those that belong to this database's journal, and foreign ones. It must not
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

/// The objects of the bucket, sorted against this database's journal.
#[derive(Debug, Default)]
pub struct Survey {
    /// Last sequence of the journal, read after the bucket was listed.
    pub ends_at: i64,
    /// Snapshots of this journal, newest first.
    pub own: Vec<Name>,
    /// Snapshots of the first format at or below the journal's confirmed end, newest first. Their history is unknown.
    pub first_format: Vec<Name>,
    /// Objects of another history.
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
    /// Lists the bucket, then compares each object with the journal. Logs and counts foreign objects.
    pub async fn take(media: &Media, connection: &mut PgConnection) -> Result<Self, SurveyError> {
        // The order matters: an object written between the two reads is below the end that is read second.
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
                // Neither: these events are not confirmed yet and may be lost.
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

    /// The highest foreign object above `sequence` that was not declared lost. It proves that more was once durable than a
    /// journal that ended there contained.
    pub fn proof(&self, sequence: i64) -> Option<&Foreign> {
        let above = self.foreign.iter().filter(|foreign| foreign.sequence > sequence && !foreign.declared);
        above.max_by_key(|foreign| foreign.sequence)
    }
}

/// The text for an operator when the bucket disproves a database.
pub fn refusal(proof: &Foreign, ends_at: i64) -> String {
    let Foreign { key, sequence, .. } = proof;
    format!(
        "this database ended at sequence {ends_at}, but the bucket contains {key} of another history. Either events up to \
         sequence {sequence} were durable and this database lost them, or the bucket belongs to another exchange. Point \
         EXCHANGE_DATABASE_URL at the server that has them, or declare the loss: exchange admin --actor … --reason … loss \
         declare --through {sequence}"
    )
}

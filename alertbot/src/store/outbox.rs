//! Messages: written in the transaction of the change that they tell, so that neither is without the other.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::{Row, SqliteConnection, SqliteExecutor, sqlite::SqliteRow};

use super::{from_json, milliseconds, timestamp, to_json};
use crate::{
    incident::{Happening, IncidentId},
    notify::Address,
    schedule::{Kind, Urgency},
};

/// What a message says, before it is put into words: words are made at the moment of sending, from the state of then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Body {
    /// About an incident: everything that happened since the last message, oldest first.
    Incident { happenings: Vec<Happening> },
    /// The incidents that a digest names, with the rows that it stands in for.
    Digest { named: Vec<Named> },
    /// A part of an incident's card behind its first message, counted from 0. Its text is in the continuations.
    Part { part: u32 },
    /// Ready words.
    Text(Words),
    /// A picture of an expression, captioned; replies to the card of the incident, if any.
    Picture { expression: String, source: String, caption: String, reply_to: Option<i32> },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    pub outbox: i64,
    pub incident: IncidentId,
    /// It had ended when it was named: nothing more needs to be said.
    pub ended: bool,
}

/// Ready words for a chat or a telephone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// Telegram's HTML; for a telephone, plain text.
    pub text: String,
    #[serde(default)]
    pub buttons: Vec<Vec<Button>>,
    #[serde(default)]
    pub reply_to: Option<i32>,
    #[serde(default)]
    pub silent: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Button {
    pub text: String,
    pub action: ButtonAction,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ButtonAction {
    /// Comes back to the bot: at most 64 bytes.
    Press(String),
    Open(String),
}

/// How far a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Waiting = 0,
    UnderWay = 1,
    Delivered = 2,
    GivenUp = 3,
    NotNeeded = 4,
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub id: i64,
    pub incident: Option<IncidentId>,
    pub address: Address,
    pub kind: Kind,
    pub urgency: Urgency,
    pub body: Body,
    pub since: Timestamp,
    pub not_before: Timestamp,
    pub overdue_at: Option<Timestamp>,
    pub digestible: bool,
    pub told: bool,
    pub attempts: u32,
    pub maybe_sent: bool,
    pub plain: bool,
    pub bare: bool,
    pub under_way: bool,
}

const COLUMNS: &str = "id, incident, address, kind, urgency, body, since, not_before, overdue_at, digestible, told, attempts, \
                       doubtful, plain, bare, state";

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, incident, address, kind, urgency, body, since, not_before, overdue_at, digestible, told, attempts, ",
            "doubtful, plain, bare, state FROM outbox ",
            $rest
        )
    };
}

fn kind_of(name: &str) -> sqlx::Result<Kind> {
    const ALL: [Kind; 7] = [Kind::Card, Kind::Notice, Kind::Edit, Kind::Picture, Kind::Text, Kind::Digest, Kind::Phone];
    let unknown = || sqlx::Error::Decode(format!("{name} is no kind of message ({COLUMNS})").into());
    ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(unknown)
}

fn read(row: &SqliteRow) -> sqlx::Result<Message> {
    let urgency: i64 = row.try_get("urgency")?;
    let urgency = usize::try_from(urgency).ok().and_then(|index| Urgency::ALL.get(index).copied());
    Ok(Message {
        id: row.try_get("id")?,
        incident: row.try_get::<Option<i64>, _>("incident")?.map(IncidentId),
        address: from_json(row.try_get::<&str, _>("address")?)?,
        kind: kind_of(row.try_get("kind")?)?,
        urgency: urgency.unwrap_or(Urgency::Ordinary),
        body: from_json(row.try_get::<&str, _>("body")?)?,
        since: timestamp(row.try_get("since")?),
        not_before: timestamp(row.try_get("not_before")?),
        overdue_at: row.try_get::<Option<i64>, _>("overdue_at")?.map(timestamp),
        digestible: row.try_get("digestible")?,
        told: row.try_get("told")?,
        attempts: row.try_get::<i64, _>("attempts")?.try_into().unwrap_or(u32::MAX),
        maybe_sent: row.try_get("doubtful")?,
        plain: row.try_get("plain")?,
        bare: row.try_get("bare")?,
        under_way: row.try_get::<i64, _>("state")? == State::UnderWay as i64,
    })
}

/// Gives the message its number.
pub async fn insert(connection: &mut SqliteConnection, message: &mut Message) -> sqlx::Result<()> {
    let row = sqlx::query(
        "INSERT INTO outbox (incident, address, kind, urgency, body, since, not_before, overdue_at, digestible, told, attempts,
                             doubtful, plain, bare, state)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
    )
    .bind(message.incident.map(|incident| incident.0))
    .bind(to_json(&message.address)?)
    .bind(message.kind.name())
    .bind(message.urgency as i64)
    .bind(to_json(&message.body)?)
    .bind(milliseconds(message.since))
    .bind(milliseconds(message.not_before))
    .bind(message.overdue_at.map(milliseconds))
    .bind(message.digestible)
    .bind(message.told)
    .bind(i64::from(message.attempts))
    .bind(message.maybe_sent)
    .bind(message.plain)
    .bind(message.bare)
    .bind(if message.under_way { State::UnderWay as i64 } else { State::Waiting as i64 })
    .fetch_one(connection)
    .await?;
    message.id = row.try_get("id")?;
    Ok(())
}

/// Everything of a message that changes while it waits.
pub async fn save(connection: &mut SqliteConnection, message: &Message) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE outbox SET address = ?, urgency = ?, body = ?, not_before = ?, overdue_at = ?, digestible = ?, told = ?,
                           attempts = ?, doubtful = ?, plain = ?, bare = ?, state = ?
         WHERE id = ?",
    )
    .bind(to_json(&message.address)?)
    .bind(message.urgency as i64)
    .bind(to_json(&message.body)?)
    .bind(milliseconds(message.not_before))
    .bind(message.overdue_at.map(milliseconds))
    .bind(message.digestible)
    .bind(message.told)
    .bind(i64::from(message.attempts))
    .bind(message.maybe_sent)
    .bind(message.plain)
    .bind(message.bare)
    .bind(if message.under_way { State::UnderWay as i64 } else { State::Waiting as i64 })
    .bind(message.id)
    .execute(connection)
    .await?;
    Ok(())
}

/// An attempt has ended, or the message is not needed: its last state.
pub async fn finish(
    connection: &mut SqliteConnection,
    id: i64,
    state: State,
    called_at: Option<Timestamp>,
    reference: Option<&str>,
    reason: Option<&str>,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE outbox SET state = ?, called_at = coalesce(?, called_at), reference = coalesce(?, reference), reason = ?
         WHERE id = ?",
    )
    .bind(state as i64)
    .bind(called_at.map(milliseconds))
    .bind(reference)
    .bind(reason)
    .bind(id)
    .execute(connection)
    .await?;
    Ok(())
}

/// The end of an attempt that is not the last one.
pub async fn called(connection: &mut SqliteConnection, id: i64, at: Timestamp) -> sqlx::Result<()> {
    sqlx::query("UPDATE outbox SET called_at = ? WHERE id = ?").bind(milliseconds(at)).bind(id).execute(connection).await?;
    Ok(())
}

pub async fn set_told(connection: &mut SqliteConnection, id: i64, told: bool) -> sqlx::Result<()> {
    sqlx::query("UPDATE outbox SET told = ? WHERE id = ? AND state < 2").bind(told).bind(id).execute(connection).await?;
    Ok(())
}

/// A message that waits or is under way; `None` when it has ended.
pub async fn queued(connection: &mut SqliteConnection, id: i64) -> sqlx::Result<Option<Message>> {
    let row = sqlx::query(select!("WHERE id = ? AND state < 2")).bind(id).fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()
}

/// What a message of any state says.
pub async fn body(executor: impl SqliteExecutor<'_>, id: i64) -> sqlx::Result<Option<Body>> {
    let row = sqlx::query("SELECT body FROM outbox WHERE id = ?").bind(id).fetch_optional(executor).await?;
    row.map(|row| from_json(row.try_get::<&str, _>("body")?)).transpose()
}

/// What an address has not been told of an incident yet, oldest first.
pub async fn queued_of_incident(
    connection: &mut SqliteConnection,
    incident: IncidentId,
    address: &Address,
) -> sqlx::Result<Vec<Message>> {
    let query = sqlx::query(select!("WHERE incident = ? AND address = ? AND state < 2 ORDER BY id"));
    let rows = query.bind(incident.0).bind(to_json(address)?).fetch_all(connection).await?;
    rows.iter().map(read).collect()
}

/// Everything of an incident that waits or is under way, wherever it goes.
pub async fn all_queued_of_incident(connection: &mut SqliteConnection, incident: IncidentId) -> sqlx::Result<Vec<Message>> {
    let rows =
        sqlx::query(select!("WHERE incident = ? AND state < 2 ORDER BY id")).bind(incident.0).fetch_all(connection).await?;
    rows.iter().map(read).collect()
}

/// Whether an incident's first message was given up after its answers were lost: it may stand in the chat, nobody knows as which.
pub async fn card_may_have_arrived(
    connection: &mut SqliteConnection,
    incident: IncidentId,
    address: &Address,
) -> sqlx::Result<bool> {
    let query = sqlx::query(
        "SELECT 1 FROM outbox WHERE incident = ? AND address = ? AND kind = ? AND state = ? AND doubtful = 1 LIMIT 1",
    );
    let query = query.bind(incident.0).bind(to_json(address)?).bind(Kind::Card.name()).bind(State::GivenUp as i64);
    Ok(query.fetch_optional(connection).await?.is_some())
}

/// When the first message that an address still has to wait for may go.
pub async fn next_of_address(
    connection: &mut SqliteConnection,
    address: &Address,
    now: Timestamp,
) -> sqlx::Result<Option<Timestamp>> {
    let query = sqlx::query("SELECT min(not_before) AS at FROM outbox WHERE address = ? AND state = 0 AND not_before > ?");
    let row = query.bind(to_json(address)?).bind(milliseconds(now)).fetch_one(connection).await?;
    Ok(row.try_get::<Option<i64>, _>("at")?.map(timestamp))
}

/// Moves the times of everything that waits, when the clock was set back.
pub async fn move_back(connection: &mut SqliteConnection, by: SignedDuration) -> sqlx::Result<()> {
    let query =
        "UPDATE outbox SET since = since - ?1, not_before = not_before - ?1, overdue_at = overdue_at - ?1 WHERE state < 2";
    let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    sqlx::query(query).bind(by).execute(connection).await?;
    Ok(())
}

/// Messages of the queue after an id, in the order of their ids.
pub async fn queued_after(executor: impl SqliteExecutor<'_>, after: i64, limit: usize) -> sqlx::Result<Vec<Message>> {
    let query = sqlx::query(select!("WHERE state < 2 AND id > ? ORDER BY id LIMIT ?"));
    let rows = query.bind(after).bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(executor).await?;
    rows.iter().map(read).collect()
}

/// Who was called since, and when: what the budgets have to remember after a restart.
pub async fn called_since(executor: impl SqliteExecutor<'_>, since: Timestamp) -> sqlx::Result<Vec<(Address, Timestamp)>> {
    let query = sqlx::query("SELECT address, called_at FROM outbox WHERE called_at > ?").bind(milliseconds(since));
    let rows = query.fetch_all(executor).await?;
    rows.iter().map(|row| Ok((from_json(row.try_get::<&str, _>("address")?)?, timestamp(row.try_get("called_at")?)))).collect()
}

/// The messages that a provider's report is about, with their incidents.
pub async fn by_reference(
    connection: &mut SqliteConnection,
    provider: &str,
    reference: &str,
) -> sqlx::Result<Vec<(i64, Option<IncidentId>, Address)>> {
    let query = sqlx::query("SELECT id, incident, address FROM outbox WHERE reference = ? AND kind = 'phone'").bind(reference);
    let rows = query.fetch_all(connection).await?;
    let all: sqlx::Result<Vec<(i64, Option<IncidentId>, Address)>> = rows
        .iter()
        .map(|row| {
            let incident = row.try_get::<Option<i64>, _>("incident")?.map(IncidentId);
            Ok((row.try_get("id")?, incident, from_json(row.try_get::<&str, _>("address")?)?))
        })
        .collect();
    Ok(all?.into_iter().filter(|(_, _, address)| address.carrier() == provider).collect())
}

/// Keeps what the provider said; tells whether it is news.
pub async fn report(connection: &mut SqliteConnection, id: i64, report: &str) -> sqlx::Result<bool> {
    let done = sqlx::query("UPDATE outbox SET report = ? WHERE id = ? AND report IS NOT ?").bind(report).bind(id).bind(report);
    Ok(done.execute(connection).await?.rows_affected() > 0)
}

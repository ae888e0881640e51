//! This module stores messages. Each is written in the transaction of the change that it reports, so that neither exists without
//! the other.

use alertbot_core::{
    delivery::{Address, Words},
    incident::{Happening, IncidentId},
    schedule::{MessageKind, Urgency},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::{Row, SqliteConnection, SqliteExecutor, sqlite::SqliteRow};

use super::{from_json, milliseconds, timestamp, to_json};

/// Content of a message before it is rendered. The sender renders the text when it sends, from the state at that time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum MessageBody {
    /// About an incident: every event since the last message, oldest first.
    Incident { happenings: Vec<Happening> },
    /// The incidents listed in a digest, with the rows that it replaces.
    Digest { named: Vec<DigestEntry> },
    /// A part of an incident's card after its first message, counted from 0. The table of continuations has its text.
    Part { part: u32 },
    /// Ready text.
    Text(Words),
    /// A chart of an expression with a caption. It replies to the card of the incident, if there is one.
    Picture { expression: String, source: String, caption: String, reply_to: Option<i32> },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestEntry {
    pub outbox: i64,
    pub incident: IncidentId,
    /// It had ended when it was listed, so no further message is needed.
    pub ended: bool,
}

/// State of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageState {
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
    pub kind: MessageKind,
    pub urgency: Urgency,
    pub body: MessageBody,
    pub since: Timestamp,
    pub not_before: Timestamp,
    pub overdue_at: Option<Timestamp>,
    pub digestible: bool,
    pub listed: bool,
    pub attempts: u32,
    pub maybe_sent: bool,
    pub plain: bool,
    pub bare: bool,
    pub under_way: bool,
}

/// Every column but the id.
macro_rules! columns {
    () => {
        "incident, address, kind, urgency, body, since, not_before, overdue_at, digestible, told, attempts, doubtful, plain, bare, state"
    };
}

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT id, ", columns!(), " FROM outbox ", $rest)
    };
}

fn kind_of(name: &str) -> sqlx::Result<MessageKind> {
    const ALL: [MessageKind; 7] = [
        MessageKind::Card,
        MessageKind::Notice,
        MessageKind::Edit,
        MessageKind::Picture,
        MessageKind::Text,
        MessageKind::Digest,
        MessageKind::Phone,
    ];
    let unknown = || sqlx::Error::Decode(format!("{name} is not a kind of message").into());
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
        listed: row.try_get("told")?,
        attempts: row.try_get::<i64, _>("attempts")?.try_into().unwrap_or(u32::MAX),
        maybe_sent: row.try_get("doubtful")?,
        plain: row.try_get("plain")?,
        bare: row.try_get("bare")?,
        under_way: row.try_get::<i64, _>("state")? == MessageState::UnderWay as i64,
    })
}

/// Inserts the message and sets its number.
pub async fn insert(connection: &mut SqliteConnection, message: &mut Message) -> sqlx::Result<()> {
    let row = sqlx::query(concat!(
        "INSERT INTO outbox (",
        columns!(),
        ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id"
    ))
    .bind(message.incident.map(|incident| incident.0))
    .bind(to_json(&message.address)?)
    .bind(message.kind.name())
    .bind(message.urgency as i64)
    .bind(to_json(&message.body)?)
    .bind(milliseconds(message.since))
    .bind(milliseconds(message.not_before))
    .bind(message.overdue_at.map(milliseconds))
    .bind(message.digestible)
    .bind(message.listed)
    .bind(i64::from(message.attempts))
    .bind(message.maybe_sent)
    .bind(message.plain)
    .bind(message.bare)
    .bind(if message.under_way { MessageState::UnderWay as i64 } else { MessageState::Waiting as i64 })
    .fetch_one(connection)
    .await?;
    message.id = row.try_get("id")?;
    Ok(())
}

/// Updates the columns that change while a message waits.
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
    .bind(message.listed)
    .bind(i64::from(message.attempts))
    .bind(message.maybe_sent)
    .bind(message.plain)
    .bind(message.bare)
    .bind(if message.under_way { MessageState::UnderWay as i64 } else { MessageState::Waiting as i64 })
    .bind(message.id)
    .execute(connection)
    .await?;
    Ok(())
}

/// Sets the final state of a message after an attempt, or when it is not needed.
pub async fn finish(
    connection: &mut SqliteConnection,
    id: i64,
    state: MessageState,
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

/// Records the end of an attempt that is not the last one.
pub async fn called(connection: &mut SqliteConnection, id: i64, at: Timestamp) -> sqlx::Result<()> {
    sqlx::query("UPDATE outbox SET called_at = ? WHERE id = ?").bind(milliseconds(at)).bind(id).execute(connection).await?;
    Ok(())
}

pub async fn set_listed(connection: &mut SqliteConnection, id: i64, listed: bool) -> sqlx::Result<()> {
    sqlx::query("UPDATE outbox SET told = ? WHERE id = ? AND state < 2").bind(listed).bind(id).execute(connection).await?;
    Ok(())
}

/// A message that waits or is in flight; `None` if it has ended.
pub async fn queued(connection: &mut SqliteConnection, id: i64) -> sqlx::Result<Option<Message>> {
    let row = sqlx::query(select!("WHERE id = ? AND state < 2")).bind(id).fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()
}

/// Content of a message in any state.
pub async fn body(executor: impl SqliteExecutor<'_>, id: i64) -> sqlx::Result<Option<MessageBody>> {
    let row = sqlx::query("SELECT body FROM outbox WHERE id = ?").bind(id).fetch_optional(executor).await?;
    row.map(|row| from_json(row.try_get::<&str, _>("body")?)).transpose()
}

/// Messages about an incident that have not been sent to an address, oldest first.
pub async fn queued_of_incident(
    connection: &mut SqliteConnection,
    incident: IncidentId,
    address: &Address,
) -> sqlx::Result<Vec<Message>> {
    let query = sqlx::query(select!("WHERE incident = ? AND address = ? AND state < 2 ORDER BY id"));
    let rows = query.bind(incident.0).bind(to_json(address)?).fetch_all(connection).await?;
    rows.iter().map(read).collect()
}

/// All waiting or in-flight messages of an incident, at any address.
pub async fn all_queued_of_incident(connection: &mut SqliteConnection, incident: IncidentId) -> sqlx::Result<Vec<Message>> {
    let rows =
        sqlx::query(select!("WHERE incident = ? AND state < 2 ORDER BY id")).bind(incident.0).fetch_all(connection).await?;
    rows.iter().map(read).collect()
}

/// Whether an incident's first message was dropped after lost answers. It may be in the chat under an unknown id.
pub async fn card_may_have_arrived(
    connection: &mut SqliteConnection,
    incident: IncidentId,
    address: &Address,
) -> sqlx::Result<bool> {
    let query = sqlx::query(
        "SELECT 1 FROM outbox WHERE incident = ? AND address = ? AND kind = ? AND state = ? AND doubtful = 1 LIMIT 1",
    );
    let query = query.bind(incident.0).bind(to_json(address)?).bind(MessageKind::Card.name()).bind(MessageState::GivenUp as i64);
    Ok(query.fetch_optional(connection).await?.is_some())
}

/// Whether any message about an incident was ever written for an address.
pub async fn has_message(connection: &mut SqliteConnection, incident: IncidentId, address: &Address) -> sqlx::Result<bool> {
    let query = sqlx::query("SELECT 1 FROM outbox WHERE incident = ? AND address = ? LIMIT 1");
    let query = query.bind(incident.0).bind(to_json(address)?);
    Ok(query.fetch_optional(connection).await?.is_some())
}

/// Whether an incident's last first message was dropped after lost answers, before `horizon`, and none followed.
pub async fn card_is_missing(
    connection: &mut SqliteConnection,
    incident: IncidentId,
    address: &Address,
    horizon: Timestamp,
) -> sqlx::Result<bool> {
    let query = sqlx::query(
        "SELECT state = ?4 AND doubtful = 1 AND coalesce(called_at, 0) < ?5 AS missing FROM outbox
         WHERE incident = ?1 AND address = ?2 AND kind = ?3 ORDER BY id DESC LIMIT 1",
    );
    let query = query.bind(incident.0).bind(to_json(address)?).bind(MessageKind::Card.name());
    let row = query.bind(MessageState::GivenUp as i64).bind(milliseconds(horizon)).fetch_optional(connection).await?;
    row.map_or(Ok(false), |row| row.try_get("missing"))
}

/// When the first waiting message of an address may be sent.
pub async fn next_of_address(
    connection: &mut SqliteConnection,
    address: &Address,
    now: Timestamp,
) -> sqlx::Result<Option<Timestamp>> {
    let query = sqlx::query("SELECT min(not_before) AS at FROM outbox WHERE address = ? AND state = 0 AND not_before > ?");
    let row = query.bind(to_json(address)?).bind(milliseconds(now)).fetch_one(connection).await?;
    Ok(row.try_get::<Option<i64>, _>("at")?.map(timestamp))
}

/// Moves the times of all waiting messages after the clock was set back.
pub async fn move_back(connection: &mut SqliteConnection, by: SignedDuration) -> sqlx::Result<()> {
    let query =
        "UPDATE outbox SET since = since - ?1, not_before = not_before - ?1, overdue_at = overdue_at - ?1 WHERE state < 2";
    let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    sqlx::query(query).bind(by).execute(connection).await?;
    Ok(())
}

/// Messages of the queue after an id, ordered by id.
pub async fn queued_after(executor: impl SqliteExecutor<'_>, after: i64, limit: usize) -> sqlx::Result<Vec<Message>> {
    let query = sqlx::query(select!("WHERE state < 2 AND id > ? ORDER BY id LIMIT ?"));
    let rows = query.bind(after).bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(executor).await?;
    rows.iter().map(read).collect()
}

/// Addresses called since, and when. The budgets need this after a restart.
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

/// Stores a provider's report. Returns whether it is news: reports are repeated, and an older one may come last. A message that
/// arrived stays so.
pub async fn report(connection: &mut SqliteConnection, id: i64, report: &str) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE outbox SET report = ?1 WHERE id = ?2 AND report IS NOT ?1 AND report IS NOT 'arrived'
                           AND NOT (report IS 'failed' AND ?1 = 'underway')",
    )
    .bind(report)
    .bind(id);
    Ok(done.execute(connection).await?.rows_affected() > 0)
}

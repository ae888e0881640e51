//! Declarations: what an operator decides while no server can lead. They are written to the database; the next leader journals
//! them. This module must not change the journal.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use exchange_core::{
    TEXT_MAX, batch,
    event::{Event, FEATURE_LEVEL},
    money::Time,
};
use serde_json::{Value, json};
use sqlx::{ConnectOptions, PgConnection, postgres::PgPoolOptions};

use super::arguments::{self, Arguments, Noun};
use crate::{
    config::{Admin, CLOCK_BOUND},
    db::{declarations, head, journal, readers, replicas, session},
    engine::clock::Clock,
};

/// What is set back less than this passes by itself sooner than an operator types.
const AHEAD_MIN: Duration = Duration::from_millis(500);

/// The answer to a declaration; `None`: the arguments are something else.
pub(super) async fn run(settings: &Admin, arguments: &Arguments) -> anyhow::Result<Option<Value>> {
    let Arguments { actor, reason, noun, .. } = arguments;
    if !matches!(noun, Noun::Loss(_) | Noun::Time(_)) {
        return Ok(None);
    }
    for (name, text) in [("--actor", actor), ("--reason", reason)] {
        let plain = !text.is_empty() && text.len() <= TEXT_MAX && !text.chars().any(char::is_control);
        ensure!(plain, "{name}: give 1 to {TEXT_MAX} bytes without control characters");
    }
    let mut connection =
        settings.database.options.connect().await.context("EXCHANGE_DATABASE_URL: the database does not answer")?;
    match noun {
        Noun::Loss(arguments::Loss::Declare { through }) => {
            declare_loss(&mut connection, actor, reason, i64::try_from(*through)?).await.map(Some)
        }
        Noun::Time(arguments::Time::SetBack) => set_time_back(settings, &mut connection, actor, reason).await.map(Some),
        _ => Ok(None),
    }
}

async fn declare_loss(connection: &mut PgConnection, actor: &str, reason: &str, through: i64) -> anyhow::Result<Value> {
    let head = head::read(connection).await.context("the head row cannot be read: run `exchange migrate` first")?;
    let refused = replicas::fresh(connection).await?.iter().any(|server| server.refusal.is_some());
    ensure!(
        refused || head.last_seq < through,
        "--through {through}: this database ends at sequence {} and no server refuses it: nothing is lost",
        head.last_seq
    );
    let ends_at = declarations::insert(connection, declarations::LOSS, actor, reason, through).await?;
    Ok(json!({
        "declared": "loss", "databaseEndsAt": ends_at, "through": through,
        "next": "servers and workers that refuse the database begin again with it; the next leader journals this",
    }))
}

/// Every clock must agree first: the wrong one would poison the journal again.
async fn set_time_back(settings: &Admin, connection: &mut PgConnection, actor: &str, reason: &str) -> anyhow::Result<Value> {
    let servers = replicas::fresh(connection).await?;
    ensure!(!servers.is_empty(), "no server reports its clock: start `exchange serve` first");
    let bound = Time::try_from(CLOCK_BOUND.as_micros())?;
    for server in &servers {
        ensure!(
            server.clock_offset.abs() <= bound,
            "the clock of the server at {} is {} ms off the database's: set it first",
            server.address,
            server.clock_offset / 1000
        );
    }
    let clock = Clock::new(CLOCK_BOUND);
    let sent = Instant::now();
    clock.measured(sent, session::within(replicas::look(connection)).await?.clock);
    clock.check().map_err(|reason| anyhow::anyhow!("{reason}"))?;
    let pool = PgPoolOptions::new().max_connections(1).connect_with(settings.database.options.clone()).await?;
    let behind = readers::behind(&pool, FEATURE_LEVEL).await?;
    ensure!(behind.is_empty(), "these programs are of an earlier release and could not read it: {}", behind.join("; "));
    let time = journal_time(connection).await?;
    let ahead = time - clock.now();
    ensure!(
        ahead > Time::try_from(AHEAD_MIN.as_micros())?,
        "journal time is not ahead of the clock: there is nothing to set back"
    );
    declarations::insert(connection, declarations::TIME, actor, reason, 0).await?;
    Ok(json!({
        "declared": "time", "aheadMilliseconds": ahead / 1000,
        "next": "the next leader sets journal time back before anything else; hand the lead over if a server leads",
    }))
}

/// Of the newest batch that sets it.
async fn journal_time(connection: &mut PgConnection) -> anyhow::Result<Time> {
    let mut at = head::confirmed(connection).await?;
    while let Some(stored) = journal::nearest(connection, at).await? {
        let events = batch::decode(stored.payload()?).context("the journal's newest batch cannot be read")?;
        let time = events.iter().rev().find_map(|event| match event {
            Event::Clock(time) | Event::TimeSetBack(time) => Some(*time),
            _ => None,
        });
        if let Some(time) = time {
            return Ok(time);
        }
        at = stored.first_sequence - 1;
    }
    anyhow::bail!("the journal is empty: there is no time to set back")
}

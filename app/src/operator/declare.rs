//! This module records declarations: decisions of an operator while no server can lead. It writes them to the database, and the
//! next leader journals them. It must not change the journal.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use exchange_core::{
    TEXT_MAX, batch,
    event::{Event, FEATURE_LEVEL},
    money::Time,
};
use serde_json::{Value, json};
use sqlx::{ConnectOptions, PgConnection};
use tokio::time::sleep;

use super::arguments::{self, AdminArguments, Noun};
use crate::{
    config::{AdminSettings, CLOCK_BOUND},
    db::{
        declarations, head, journal, readers,
        replicas::{self, Loss, ReportedServer},
        session,
    },
    engine::clock::Clock,
};

/// A smaller difference passes before an operator could type the command.
const AHEAD_MIN: Duration = Duration::from_millis(500);

/// How long `loss declare` waits for the report of a refusal: three intervals of `watch`.
const REFUSAL_WAIT: Duration = Duration::from_secs(3);
const REFUSAL_POLL: Duration = Duration::from_millis(100);

/// The answer to a declaration. `None`: the arguments are another command.
pub(super) async fn run(settings: &AdminSettings, arguments: &AdminArguments) -> anyhow::Result<Option<Value>> {
    let AdminArguments { actor, reason, noun, .. } = arguments;
    if !matches!(noun, Noun::Loss(_) | Noun::Time(_)) {
        return Ok(None);
    }
    for (name, text) in [("--actor", actor), ("--reason", reason)] {
        let plain = !text.is_empty() && text.len() <= TEXT_MAX && !text.chars().any(char::is_control);
        ensure!(plain, "{name}: must be 1 to {TEXT_MAX} bytes without control characters");
    }
    let mut connection =
        settings.database.options.connect().await.context("EXCHANGE_DATABASE_URL: the database did not answer")?;
    match noun {
        Noun::Loss(arguments::LossCommand::Declare { through, generation, unreported }) => {
            let loss = Loss { through: i64::try_from(*through)?, generation: i64::from(*generation) };
            check_loss(&mut connection, loss, *unreported).await?;
            declare_loss(&mut connection, actor, reason, loss).await.map(Some)
        }
        Noun::Time(arguments::TimeCommand::SetBack) => set_time_back(settings, &mut connection, actor, reason).await.map(Some),
        _ => Ok(None),
    }
}

async fn declare_loss(connection: &mut PgConnection, actor: &str, reason: &str, loss: Loss) -> anyhow::Result<Value> {
    let Loss { through, generation } = loss;
    let ends_at = declarations::insert_loss(connection, actor, reason, through, generation).await?;
    Ok(json!({
        "declared": "loss", "databaseEndsAt": ends_at, "through": through,
        "next": "servers and workers that refuse the database restart with it; the next leader journals this declaration",
    }))
}

/// A lower sequence than the reported one changes nothing. A higher one excuses losses that are not known yet.
async fn check_loss(connection: &mut PgConnection, loss: Loss, unreported: bool) -> anyhow::Result<()> {
    let head = head::read_head(connection).await.context("the head row cannot be read: run `exchange migrate` first")?;
    if unreported && head.last_seq < loss.through {
        return Ok(());
    }
    let reported = reported_losses(connection, loss).await?;
    ensure!(
        !reported.is_empty(),
        "{loss}: this database ends at sequence {} and no running server refuses it, so nothing is lost. Start `exchange \
         serve`: if events are missing, it reports the sequence to declare. If only a worker or a server of an earlier release \
         refuses the database, add --unreported with the sequence that it logs",
        head.last_seq
    );
    let listed: Vec<String> = reported.iter().map(Loss::to_string).collect();
    ensure!(
        reported.contains(&loss),
        "{loss}: the servers that refuse this database report {}; declare that, or add --unreported for a higher sequence",
        listed.join(" and ")
    );
    Ok(())
}

/// What running servers ask to declare. A server that logged its refusal may not have reported it yet.
async fn reported_losses(connection: &mut PgConnection, wanted: Loss) -> sqlx::Result<BTreeSet<Loss>> {
    let end = Instant::now() + REFUSAL_WAIT;
    loop {
        let servers = replicas::fresh(connection).await?;
        let reported: BTreeSet<Loss> = servers.iter().filter_map(ReportedServer::reported_loss).collect();
        if reported.contains(&wanted) || Instant::now() >= end {
            return Ok(reported);
        }
        sleep(REFUSAL_POLL).await;
    }
}

/// All clocks must agree first: a wrong one would move journal time ahead again.
async fn set_time_back(
    settings: &AdminSettings,
    connection: &mut PgConnection,
    actor: &str,
    reason: &str,
) -> anyhow::Result<Value> {
    let servers = replicas::fresh(connection).await?;
    ensure!(!servers.is_empty(), "no server reports its clock: start `exchange serve` first");
    let bound = Time::try_from(CLOCK_BOUND.as_micros())?;
    for server in &servers {
        ensure!(
            server.clock_offset.abs() <= bound,
            "the clock of the server at {} differs from the database's by {} ms: set it first",
            server.address,
            server.clock_offset / 1000
        );
    }
    let clock = Clock::new(CLOCK_BOUND);
    let sent = Instant::now();
    clock.measured(sent, session::within(replicas::look(connection)).await?.clock);
    clock.check().map_err(|reason| anyhow::anyhow!("{reason}"))?;
    let pool = session::pool(1).connect_with(settings.database.options.clone()).await?;
    let behind = readers::behind(&pool, FEATURE_LEVEL).await?;
    ensure!(behind.is_empty(), "these programs are of an earlier release and cannot read the change: {}", behind.join("; "));
    let time = journal_time(connection).await?;
    let ahead = time - clock.now();
    ensure!(
        ahead > Time::try_from(AHEAD_MIN.as_micros())?,
        "journal time is not ahead of the clock, so there is nothing to set back"
    );
    declarations::insert_declaration(connection, declarations::TIME, actor, reason, 0).await?;
    Ok(json!({
        "declared": "time", "aheadMilliseconds": ahead / 1000,
        "next": "the next leader sets journal time back as its first action; if a server leads, hand the lead over",
    }))
}

/// Journal time of the newest batch.
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
    anyhow::bail!("the journal is empty, so there is nothing to set back")
}

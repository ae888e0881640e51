//! This module is `exchange worker rebuild`: it empties the derived tables and projects the journal again, with progress. It must
//! not change the journal.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sqlx::PgConnection;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{projector::Projector, question::Standing};
use crate::db::{head, ledger, projection};

/// Interval between polls of the position.
const POLL: Duration = Duration::from_millis(500);
/// Interval between lines of progress.
const TELL: Duration = Duration::from_secs(5);

/// Empties the tables, projects the journal up to its end at the start of the command, then takes the trial balance.
///
/// A running worker sees the new epoch and restarts from an empty state. Without a worker, this process projects.
pub async fn run(projector: Projector, stop: CancellationToken) -> anyhow::Result<()> {
    let mut connection = projection::connect_projector(&projector.options).await.context("the database is unreachable")?;
    projection::reset(&mut connection).await.context("failed to empty the tables")?;
    let target = head::confirmed(&mut connection).await?;
    tracing::info!(target, "emptied the derived tables; projecting the journal from its start");
    let done = stop.child_token();
    let (_questions, mut receiver) = mpsc::channel(1);
    let standing = Standing::new(None, projector.metrics.clone());
    let project = async {
        let mut state = None;
        while !done.is_cancelled() {
            projector.run(&mut state, &mut receiver, &standing, &done).await?;
        }
        anyhow::Ok(())
    };
    let reached = async {
        let reached = watch(&mut connection, target, &stop).await;
        done.cancel();
        reached
    };
    tokio::try_join!(project, reached)?;
    ensure!(
        !stop.is_cancelled(),
        "stopped before the end: the tables are incomplete; a running worker completes them, else run the command again"
    );
    verify(&mut connection).await
}

async fn watch(connection: &mut PgConnection, target: i64, stop: &CancellationToken) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut told = begun;
    loop {
        let position = projection::position(connection).await?.projected_seq;
        let seconds = begun.elapsed().as_secs_f64();
        if position >= target {
            tracing::info!(events = position, seconds, "projected the whole journal");
            return Ok(());
        }
        if told.elapsed() >= TELL {
            told = Instant::now();
            tracing::info!(
                position,
                target,
                percent = 100 * position / target.max(1),
                events_per_second = position as f64 / seconds,
                "projecting"
            );
        }
        if stop.run_until_cancelled(tokio::time::sleep(POLL)).await.is_none() {
            return Ok(());
        }
    }
}

async fn verify(connection: &mut PgConnection) -> anyhow::Result<()> {
    // One snapshot for all reads: a worker may continue to project.
    let mut tables = sqlx::Connection::begin_with(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let mut balances = ledger::balances(&mut tables).await?;
    balances.retain(|(.., balance)| *balance != exchange_core::Balance::default());
    let mut transfers = ledger::balances_by_transfers(&mut tables).await?;
    transfers.retain(|(.., balance)| *balance != exchange_core::Balance::default());
    let sums = ledger::sums(&mut tables).await?;
    ensure!(sums.iter().all(|(_, sum)| *sum == 0), "the trial balance is not zero: {sums:?}");
    ensure!(balances == transfers, "balances and the sums of transfers differ");
    tracing::info!(balances = balances.len(), assets = sums.len(), "every asset sums to zero, and balances agree with transfers");
    Ok(())
}

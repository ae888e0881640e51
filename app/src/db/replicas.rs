//! This module reads and writes `replicas`: the reports of the servers. It must not decide who leads (see `head`).

use std::fmt;

use exchange_core::money::Time;
use sqlx::{FromRow, PgConnection};

use crate::chain::Chain;

/// A server whose report is older counts as stopped.
pub const FRESH_SECONDS: f64 = 10.0;

/// Most servers that are asked.
const PEERS: i64 = 16;

/// Sequence, SHA-256 and chain of a hashed state.
pub type HashedState = (i64, [u8; 32], Option<Chain>);

/// What an operator declares lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Loss {
    /// The last lost sequence.
    pub through: i64,
    /// The newest lost generation of the history; 0: none is newer than this database's.
    pub generation: i64,
}

impl Loss {
    /// Of this database's generation.
    pub const fn through(through: i64) -> Self {
        Self { through, generation: 0 }
    }
}

/// The flags of `loss declare`.
impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--through {}", self.through)?;
        if self.generation > 0 { write!(f, " --generation {}", self.generation) } else { Ok(()) }
    }
}

/// Why a program refuses this database, and the loss whose declaration ends the refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseRefusal {
    pub reason: String,
    pub loss: Loss,
}

impl DatabaseRefusal {
    /// `fact` ends with the alternative to a declaration. The command follows it.
    pub fn new(fact: &str, loss: Loss) -> Self {
        Self { reason: format!("{fact}: exchange admin --actor … --reason … loss declare {loss}"), loss }
    }
}

impl fmt::Display for DatabaseRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// The report of a server.
#[derive(Debug, Clone, Default)]
pub struct ServerReport {
    pub address: String,
    /// Its clock less the database's, µs.
    pub clock_offset: Time,
    /// Why the server refuses this database; `None`: it follows it.
    pub refusal: Option<DatabaseRefusal>,
    /// Sequence, SHA-256 and chain of the last state that the server hashed.
    pub compared: Option<HashedState>,
}

/// A recent report of a server, read by another process.
#[derive(Debug, Clone, FromRow)]
pub struct ReportedServer {
    pub address: String,
    pub clock_offset: Time,
    pub refusal: Option<String>,
    /// `None`: not refused, or a server of a release without this report.
    pub lost_through: Option<i64>,
    pub lost_generation: Option<i64>,
    pub compared_seq: Option<i64>,
    pub compared_state: Option<Vec<u8>>,
    pub compared_chain: Option<Vec<u8>>,
}

impl ReportedServer {
    /// The loss that this server asks to declare.
    pub fn reported_loss(&self) -> Option<Loss> {
        self.refusal.as_ref()?;
        Some(Loss { through: self.lost_through?, generation: self.lost_generation.unwrap_or(0) })
    }
}

/// A crash that loses a report is harmless, so the commit waits neither for the disk nor for a standby.
pub async fn record_report(connection: &mut PgConnection, report: &ServerReport) -> sqlx::Result<()> {
    let (sequence, state, chain) = match &report.compared {
        Some((sequence, state, chain)) => {
            (Some(*sequence), Some(state.as_slice()), chain.as_ref().map(|chain| chain.bytes().as_slice()))
        }
        None => (None, None, None),
    };
    let loss = report.refusal.as_ref().map(|refusal| refusal.loss);
    sqlx::query(
        "INSERT INTO replicas (address, reported_at, clock_offset, refusal, compared_seq, compared_state, compared_chain,
                               lost_through, lost_generation)
         SELECT $1, clock_timestamp(), $2, $3, $4, $5, $6, $7, $8 WHERE (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL
         ON CONFLICT (address) DO UPDATE SET reported_at = excluded.reported_at, clock_offset = excluded.clock_offset,
             refusal = excluded.refusal, compared_seq = excluded.compared_seq, compared_state = excluded.compared_state,
             compared_chain = excluded.compared_chain, lost_through = excluded.lost_through,
             lost_generation = excluded.lost_generation",
    )
    .bind(&report.address)
    .bind(report.clock_offset)
    .bind(report.refusal.as_ref().map(|refusal| refusal.reason.as_str()))
    .bind(sequence)
    .bind(state)
    .bind(chain)
    .bind(loss.map(|loss| loss.through))
    .bind(loss.map(|loss| loss.generation))
    .execute(connection)
    .await?;
    Ok(())
}

/// Addresses of the other servers that reported in the last minute before the newest report. A database that was restored or promoted
/// has reports of its last moments.
pub async fn peers(connection: &mut PgConnection, own: &str) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT address FROM replicas
         WHERE address <> $1 AND reported_at > (SELECT max(reported_at) FROM replicas) - interval '1 minute'
         ORDER BY reported_at DESC LIMIT $2",
    )
    .bind(own)
    .bind(PEERS)
    .fetch_all(connection)
    .await
}

/// Every running server, by its report.
pub async fn fresh(connection: &mut PgConnection) -> sqlx::Result<Vec<ReportedServer>> {
    sqlx::query_as(
        "SELECT address, clock_offset, refusal, lost_through, lost_generation, compared_seq, compared_state, compared_chain FROM replicas
         WHERE reported_at > clock_timestamp() - make_interval(secs => $1) ORDER BY address",
    )
    .bind(FRESH_SECONDS)
    .fetch_all(connection)
    .await
}

/// Clock and settings of the database.
#[derive(Debug, Clone, Copy, FromRow)]
pub struct DatabaseFacts {
    /// Its clock, µs since the Unix epoch.
    pub clock: Time,
    /// Commits wait for a standby.
    pub waits_for_standbys: bool,
    /// When a loss of history was last declared, Unix seconds; 0: never.
    pub loss_declared: i64,
}

pub async fn look(connection: &mut PgConnection) -> sqlx::Result<DatabaseFacts> {
    sqlx::query_as(
        "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS clock,
                current_setting('synchronous_standby_names') <> '' AS waits_for_standbys,
                (SELECT coalesce(extract(epoch FROM max(declared_at)), 0)::bigint FROM declarations WHERE kind = 'loss') AS loss_declared",
    )
    .fetch_one(connection)
    .await
}

//! This module handles a missing Watchdog: monitoring is blind. Alerts that end now may only have expired, because Prometheus no
//! longer refreshes them. Open incidents are frozen until the Watchdog is back and alerts have had time to fire again.

use alertbot_core::incident::IncidentId;
use jiff::{SignedDuration, Timestamp};

use super::{Work, WriterCommand, watchdogs::is_own};
use crate::store::{facts, incidents};

/// Incidents read into memory at a time.
const AT_ONCE: usize = 200;
/// Alerts of one Prometheus expire together, but each group is notified at its own interval. Ends reported this long before the
/// last Watchdog are uncertain too.
const DOUBTFUL: SignedDuration = SignedDuration::from_mins(2);

/// Name of the fact since when a source is blind, in Unix milliseconds.
fn fact(source: &str) -> String {
    format!("blind {source}")
}

/// Time since which the Watchdog of this Alertmanager is missing.
pub(super) async fn blind_since(work: &mut Work, source: &str) -> anyhow::Result<Option<Timestamp>> {
    if work.routing.config.alertmanager(source).is_none_or(|alertmanager| alertmanager.watchdog.is_none()) {
        return Ok(None);
    }
    let known = facts::get(&mut work.connection, &fact(source)).await?;
    Ok(known.and_then(|text| Timestamp::from_millisecond(text.parse().ok()?).ok()))
}

/// The Watchdog is missing since this time.
pub struct Freeze {
    pub source: String,
    pub since: Timestamp,
}

impl WriterCommand for Freeze {
    /// Number of incidents frozen.
    type Answer = usize;

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<usize> {
        if blind_since(work, &self.source).await?.is_some() {
            return Ok(0);
        }
        facts::set(&mut work.connection, &fact(&self.source), &self.since.as_millisecond().to_string()).await?;
        let doubtful_from = self.since.checked_sub(DOUBTFUL).unwrap_or(Timestamp::MIN);
        let mut frozen = 0;
        for ended in [false, true] {
            let mut after = IncidentId(0);
            loop {
                let connection = &mut work.connection;
                let batch = match ended {
                    false => incidents::open_of_source(connection, &self.source, after, AT_ONCE).await?,
                    true => incidents::ended_since(connection, &self.source, doubtful_from, after, AT_ONCE).await?,
                };
                let Some(last) = batch.last() else { break };
                after = last.id;
                for mut incident in batch {
                    if is_own(&incident) {
                        continue;
                    }
                    let rules = work.routing.rules(&incident);
                    let effects = incident.freeze(self.since, doubtful_from, work.now, &rules);
                    if !effects.is_empty() {
                        frozen += 1;
                        work.carry_out(&incident, effects).await?;
                    }
                }
            }
        }
        tracing::warn!(alertmanager = self.source, since = %self.since, frozen, "the watchdog is missing: incidents are frozen until it returns");
        Ok(frozen)
    }
}

/// The Watchdog is back.
pub(super) async fn thaw(work: &mut Work, source: &str) -> anyhow::Result<()> {
    if facts::get(&mut work.connection, &fact(source)).await?.is_none() {
        return Ok(());
    }
    facts::remove(&mut work.connection, &fact(source)).await?;
    let settle = SignedDuration::try_from(work.routing.config.incidents.settle_after_restart).unwrap_or(SignedDuration::MAX);
    let settles_at = work.now.checked_add(settle).unwrap_or(Timestamp::MAX);
    let mut after = IncidentId(0);
    loop {
        let batch = incidents::open_of_source(&mut work.connection, source, after, AT_ONCE).await?;
        let Some(last) = batch.last() else { break };
        after = last.id;
        for mut incident in batch {
            let effects = incident.thaw(settles_at);
            if !effects.is_empty() {
                work.carry_out(&incident, effects).await?;
            }
        }
    }
    tracing::info!(
        alertmanager = source,
        "the watchdog is back: incidents resolve after the settling time unless they fire again"
    );
    Ok(())
}

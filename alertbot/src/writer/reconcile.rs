//! This module applies API v2 data to open incidents: missing alerts, silences, and groups of oversized webhooks.

use alertbot_core::incident::IncidentId;

use super::{Command, Work};
use crate::store::{facts, incidents};

/// Findings about one incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub incident: IncidentId,
    /// Fingerprints missing from Alertmanager in two reads.
    pub gone: Vec<Box<str>>,
    /// Whether the whole group is missing in two reads; checked if its list was cut.
    pub group_gone: bool,
    /// Whether every firing alert is silenced or inhibited.
    pub suppressed: bool,
    /// Silences set by the bot that are no longer active.
    pub silences_ended: Vec<String>,
}

/// Findings of a read of all replicas about ends that one of them reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed {
    pub incident: IncidentId,
    /// Alerts that a replica has.
    pub active: Vec<Box<str>>,
    /// Alerts that no replica has.
    pub ended: Vec<Box<str>>,
}

pub struct Confirm {
    pub confirmed: Vec<Confirmed>,
}

impl Command for Confirm {
    type Answer = ();

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<()> {
        for confirmed in &self.confirmed {
            let Some(mut incident) = incidents::by_id(&mut work.connection, confirmed.incident).await? else { continue };
            let contradicted = incident.contradict(&confirmed.active);
            let effects = incident.confirm(&confirmed.ended, work.now);
            if !effects.is_empty() {
                work.carry_out(&incident, effects).await?;
            } else if contradicted {
                incidents::update(&mut work.connection, &incident).await?;
            }
        }
        Ok(())
    }
}

pub struct Reconcile {
    pub found: Vec<Found>,
}

impl Command for Reconcile {
    /// Number of changed incidents.
    type Answer = usize;

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<usize> {
        let mut changed = 0;
        for found in self.found.clone() {
            let Some(mut incident) = incidents::by_id(&mut work.connection, found.incident).await? else { continue };
            let source = incident.source.clone();
            let mut effects = incident.lose(&found.gone, work.now);
            if found.group_gone {
                effects.extend(incident.lose_group(work.now));
            }
            effects.extend(incident.suppress(found.suppressed));
            for id in &found.silences_ended {
                effects.extend(incident.unsilence(id, &source).unwrap_or_default());
            }
            if !effects.is_empty() {
                changed += 1;
                work.carry_out(&incident, effects).await?;
            }
        }
        Ok(changed)
    }
}

/// A silence was ended in Alertmanager as requested, and needs no retry.
pub struct SilenceEnded {
    pub fact: String,
}

impl Command for SilenceEnded {
    type Answer = ();

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<()> {
        Ok(facts::remove(&mut work.connection, &self.fact).await?)
    }
}

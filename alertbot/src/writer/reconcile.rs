//! This module applies API v2 data to open incidents: missing alerts, silences, and groups of oversized webhooks.

use std::collections::BTreeSet;

use alertbot_core::incident::{Cause, Incident, IncidentId};

use super::{Work, WriterCommand};
use crate::store::{facts, incidents, owners};

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
    /// Fingerprints of the alerts that inhibit firing ones.
    pub inhibited_by: BTreeSet<Box<str>>,
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

impl WriterCommand for Confirm {
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

impl WriterCommand for Reconcile {
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
            let causes = causes(work, &incident, &found.inhibited_by).await?;
            effects.extend(incident.explain(causes));
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

/// The open incidents of these alerts, other than the incident itself. An alert that another receiver got has none here.
async fn causes(work: &mut Work, incident: &Incident, fingerprints: &BTreeSet<Box<str>>) -> anyhow::Result<Vec<Cause>> {
    if fingerprints.is_empty() {
        return Ok(Vec::new());
    }
    let named: Vec<&str> = fingerprints.iter().take(MOST_CAUSES).map(AsRef::as_ref).collect();
    let owners = owners::owners_of(&mut work.connection, &incident.source, &named).await?;
    let mut causes: Vec<Cause> = Vec::new();
    for owner in owners.into_iter().filter(|owner| owner.is_open && owner.incident != incident.id) {
        if causes.iter().any(|known| known.fingerprint == owner.fingerprint) {
            continue;
        }
        let Some(known) = incidents::by_id(&mut work.connection, owner.incident).await? else { continue };
        causes.push(Cause { fingerprint: owner.fingerprint, incident: owner.incident, title: known.title() });
    }
    Ok(causes)
}

/// Most alerts that are looked up as causes of one incident.
const MOST_CAUSES: usize = 20;

/// A silence was ended in Alertmanager as requested, and needs no retry.
pub struct SilenceEnded {
    pub fact: String,
}

impl WriterCommand for SilenceEnded {
    type Answer = ();

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<()> {
        Ok(facts::remove(&mut work.connection, &self.fact).await?)
    }
}

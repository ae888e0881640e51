//! What API v2 says about open incidents: what vanished without a word, what is silenced, what an oversized webhook was about.

use super::{Job, Work};
use crate::{
    incident::IncidentId,
    store::{facts, incidents},
};

/// What was found of one incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub incident: IncidentId,
    /// Fingerprints that Alertmanager has had no more for two reads.
    pub gone: Vec<Box<str>>,
    /// Whether Alertmanager has had the whole group no more for two reads; looked for when its list was cut.
    pub group_gone: bool,
    /// Whether every alert that fires is silenced or inhibited.
    pub suppressed: bool,
    /// Silences of ours that are not in force any more.
    pub silences_ended: Vec<String>,
}

/// What a read of the replicas says about ends that one of them reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed {
    pub incident: IncidentId,
    /// A replica has these.
    pub active: Vec<Box<str>>,
    /// No replica has these.
    pub ended: Vec<Box<str>>,
}

pub struct Confirm {
    pub confirmed: Vec<Confirmed>,
}

impl Job for Confirm {
    type Answer = ();

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<()> {
        for confirmed in &self.confirmed {
            let Some(mut incident) = incidents::by_id(&mut work.connection, confirmed.incident).await? else { continue };
            let contradicted = incident.contradict(&confirmed.active);
            let effects = incident.confirm(&confirmed.ended, work.now);
            if !effects.is_empty() {
                work.carry_out(&incident, effects).await?;
            } else if contradicted {
                incidents::save(&mut work.connection, &incident).await?;
            }
        }
        Ok(())
    }
}

pub struct Reconcile {
    pub found: Vec<Found>,
}

impl Job for Reconcile {
    /// Incidents that changed.
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

/// A silence was ended in Alertmanager, as asked: it needs not be done again.
pub struct SilenceEnded {
    pub fact: String,
}

impl Job for SilenceEnded {
    type Answer = ();

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<()> {
        Ok(facts::remove(&mut work.connection, &self.fact).await?)
    }
}

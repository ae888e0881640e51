//! This module matches open incidents to the routes again, at the start and after a reload. A route, policy or Alertmanager of an
//! incident may have been renamed or removed.

use alertbot_core::incident::{Effect, Happening, IncidentId};

use super::{Work, WriterCommand};
use crate::store::incidents;

/// Incidents read into memory at a time.
const AT_ONCE: usize = 200;

pub struct Rematch;

impl WriterCommand for Rematch {
    /// Number of open incidents that lost their escalation.
    type Answer = usize;

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<usize> {
        let (mut lost, mut after) = (0, IncidentId(0));
        loop {
            let batch = incidents::open_after(&mut work.connection, after, AT_ONCE).await?;
            let Some(last) = batch.last() else { return Ok(lost) };
            after = last.id;
            for mut incident in batch {
                let before = incident.clone();
                let source = work.routing.config.alertmanager(&incident.source);
                if source.is_none_or(|source| source.watchdog.is_none()) && incident.blind_since.is_some() {
                    // Its Watchdog is no longer expected and would never end the freeze.
                    super::blind::thaw(work, &before.source).await?;
                    incident.thaw(work.now);
                }
                let matched = work.routing.routes_now(&incident);
                incident.routes = work.routing.in_order(&incident.routes, &matched);
                let rules = work.routing.rules(&incident);
                let had = incident.escalation.next_at.is_some() || incident.escalation.stepped_at.is_some();
                if !incident.follow_policy(work.now, &rules) && had && rules.policy.is_none() {
                    // Written by a release that did not record the policy's name.
                    incident.escalation.lost = true;
                }
                lost += usize::from(incident.escalation.lost);
                if incident == before {
                    continue;
                }
                let (from, to) = (before.routes.join(", "), incident.routes.join(", "));
                let happening = if incident.escalation.lost && !before.escalation.lost {
                    tracing::error!(
                        incident.id = incident.id.0,
                        from,
                        to,
                        "an open incident lost its escalation: no one is notified of it"
                    );
                    Happening::EscalationLost
                } else {
                    tracing::warn!(
                        incident.id = incident.id.0,
                        from,
                        to,
                        "an open incident follows other routes or another policy"
                    );
                    Happening::Changed
                };
                let effects = vec![Effect::Tell(happening)];
                work.carry_out(&incident, effects).await?;
            }
        }
    }
}

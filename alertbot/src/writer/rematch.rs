//! This module matches open incidents to the routes again, at the start and after a reload.
//!
//! - A route, policy or Alertmanager of an incident may have been renamed or removed, and a policy may have other waits.
//! - A label may mean another severity, the owner may have left, and a chat may have another id.

use alertbot_core::incident::{Effect, Happening, Incident, IncidentId, Rules};

use super::{Work, WriterCommand};
use crate::{
    config::Route,
    store::{incidents, outbox, threads},
};

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
                let mut effects = self::reclassify(work, &mut incident, &rules);
                effects.extend(release_if_unknown(work, &mut incident, &rules));
                let had = incident.escalation.next_at.is_some() || incident.escalation.stepped_at.is_some();
                if !incident.follow_policy(work.now, &rules) && had && rules.policy.is_none() {
                    // Written by a release that did not record the policy's name.
                    incident.escalation.lost = true;
                }
                incident.follow_waits(work.now, &rules);
                lost += usize::from(incident.escalation.lost);
                if incident == before {
                    tell_new_chats(work, &incident).await?;
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
                effects.push(Effect::Tell(happening));
                work.carry_out(&incident, effects).await?;
                tell_new_chats(work, &incident).await?;
            }
        }
    }
}

/// The configuration may map the severity label differently than when the alerts arrived.
fn reclassify(work: &Work, incident: &mut Incident, rules: &Rules) -> Vec<Effect> {
    let routing = &work.routing;
    let routes: Vec<&Route> = incident.routes.iter().filter_map(|name| routing.config.route(name)).collect();
    incident.reclassify(|labels| routing.severity(labels, &routes), work.now, rules)
}

/// An owner who is no longer in the configuration gets no message, so the incident needs another one.
fn release_if_unknown(work: &Work, incident: &mut Incident, rules: &Rules) -> Vec<Effect> {
    let Some(by) = incident.acknowledgement.as_ref().map(|held| held.by.clone()) else { return Vec::new() };
    if work.routing.config.person(&by).is_some() {
        return Vec::new();
    }
    tracing::warn!(
        incident.id = incident.id.0,
        person = by,
        "the owner of an open incident is not in the configuration: it is released"
    );
    incident.release(&by, work.now, rules).unwrap_or_default()
}

/// A chat may have another id now, or a route another chat. It never received the incident's first message.
async fn tell_new_chats(work: &mut Work, incident: &Incident) -> anyhow::Result<()> {
    for address in work.routing.chats(incident) {
        let known = threads::message_of(&mut work.connection, incident.id, &address).await?.is_some()
            || outbox::has_message(&mut work.connection, incident.id, &address).await?;
        if !known {
            work.tell_address(incident, &address, &Happening::Reminded).await?;
        }
    }
    Ok(())
}

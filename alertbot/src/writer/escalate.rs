//! This module performs a step of the escalation: it selects the recipients and the means.

use alertbot_core::{
    alert::Severity,
    delivery::Address,
    incident::{Happening, Incident},
    schedule::{MessageKind, Urgency},
};
use jiff::SignedDuration;

use super::Work;
use crate::{
    config::{Means, Person},
    routing::{QuietMode, Routing},
    store::outbox::{self, MessageBody},
};

/// Notifications for one phone within this time are one SMS.
const GATHER: SignedDuration = SignedDuration::from_secs(3);

impl Work {
    /// Performs one step: notifies its chats and people, and shows the followers who was notified.
    pub(super) async fn escalate(
        &mut self,
        incident: &Incident,
        step: usize,
        round: usize,
        everyone: bool,
        by: Option<String>,
    ) -> anyhow::Result<()> {
        let routing = std::sync::Arc::clone(&self.routing);
        let Some(policy) = routing.escalation(incident) else { return Ok(()) };
        let (mut chats, mut people, means): (Vec<&String>, Vec<&Person>, &[Means]) = match policy.steps.get(step) {
            Some(step) if !everyone => (step.chats.iter().collect(), routing.people_of(step, self.now), &step.by),
            _ => (Vec::new(), routing.everyone(), &Means::ALL),
        };
        chats.dedup();
        people.dedup_by(|left, right| left.name == right.name);
        let to: Vec<String> =
            people.iter().map(|person| person.name.clone()).chain(chats.iter().map(|chat| (*chat).clone())).collect();
        let happening = Happening::Escalated { step: step + 1, round: round + 1, by, to };
        let mut addresses: Vec<Address> =
            chats.into_iter().filter_map(|name| routing.config.chat(name)).map(Routing::chat_address).collect();
        for person in people {
            let reached: Vec<Address> = means.iter().filter_map(|means| Routing::person_address(person, *means)).collect();
            if reached.is_empty() {
                tracing::warn!(
                    person = person.name,
                    incident.id = incident.id.0,
                    "a person of this step has no address for its means"
                );
            }
            addresses.extend(reached);
        }
        let followed = self.routing.chats(incident);
        for address in &addresses {
            match address {
                Address::Phone { .. } => self.ring(incident, address, &happening).await?,
                // Chats that follow the incident are notified below.
                _ if followed.contains(address) => {}
                _ => self.tell_address(incident, address, &happening).await?,
            }
        }
        // The first message already covers a first step without a wait.
        let with_the_first = step == 0 && round == 0 && self.now == incident.opened_at;
        if with_the_first {
            let to = addresses.iter().map(Address::to_string).collect::<Vec<_>>().join(", ");
            return self.note(crate::store::audit::SELF, "escalated", Some(incident.id), to).await;
        }
        self.note(crate::store::audit::SELF, "escalated", Some(incident.id), String::new()).await?;
        for address in followed {
            self.tell_address(incident, &address, &happening).await?;
        }
        Ok(())
    }

    async fn ring(&mut self, incident: &Incident, address: &Address, happening: &Happening) -> anyhow::Result<()> {
        let body = MessageBody::Incident { happenings: vec![happening.clone()] };
        let critical = incident.severity == Severity::Critical;
        let urgency = if critical { Urgency::Critical } else { Urgency::Ordinary };
        let mut message = self.message(Some(incident.id), address, MessageKind::Phone, urgency, body);
        // A collecting SMS includes this incident.
        let gathering = outbox::next_of_address(&mut self.connection, address, self.now).await?;
        let gathered = self.now.checked_add(GATHER).unwrap_or(self.now);
        message.not_before = gathering.map_or(gathered, |at| at.min(gathered));
        if let QuietMode::Hold(until) = self.routing.quiet_mode(address, incident.severity, self.now) {
            message.not_before = message.not_before.max(until);
        }
        if critical {
            message.overdue_at = message.not_before.checked_add(self.routing.config.incidents.critical_within).ok();
        }
        self.put(message).await?;
        Ok(())
    }
}

//! A step of the escalation: who is told now, and how.

use jiff::SignedDuration;

use super::{Book, Work, book::Hush};
use crate::{
    config::{Means, Person, Role},
    incident::{Happening, Incident, Severity},
    notify::Address,
    oncall,
    schedule::{Kind, Urgency},
    store::outbox::{self, Body},
};

/// Calls for one person that come within this time are one SMS.
const GATHER: SignedDuration = SignedDuration::from_secs(3);

impl Work {
    /// Takes one step: chats and people are told, and whoever reads along sees who.
    pub(super) async fn call(
        &mut self,
        incident: &Incident,
        step: usize,
        round: usize,
        everyone: bool,
        by: Option<String>,
    ) -> anyhow::Result<()> {
        let book = std::sync::Arc::clone(&self.book);
        let Some(policy) = book.escalation(incident) else { return Ok(()) };
        let (mut chats, mut people, means): (Vec<&String>, Vec<&Person>, &[Means]) = match policy.steps.get(step) {
            Some(step) if !everyone => (step.chats.iter().collect(), book.people_of(step, self.now), &step.by),
            _ => (Vec::new(), book.everyone(), &Means::ALL),
        };
        chats.dedup();
        people.dedup_by(|left, right| left.name == right.name);
        let to: Vec<String> =
            people.iter().map(|person| person.name.clone()).chain(chats.iter().map(|chat| (*chat).clone())).collect();
        let happening = Happening::Escalated { step: step + 1, round: round + 1, by, to };
        let mut addresses: Vec<Address> =
            chats.into_iter().filter_map(|name| book.config.chat(name)).map(Book::chat_address).collect();
        for person in people {
            let reached: Vec<Address> = means.iter().filter_map(|means| Book::person_address(person, *means)).collect();
            if reached.is_empty() {
                tracing::warn!(
                    person = person.name,
                    incident.id = incident.id.0,
                    "a person of this step has no address for its means"
                );
            }
            addresses.extend(reached);
        }
        let followed = self.book.chats(incident);
        for address in &addresses {
            match address {
                Address::Phone { .. } => self.ring(incident, address, &happening).await?,
                // Whoever follows the incident anyway is told below.
                _ if followed.contains(address) => {}
                _ => self.tell_address(incident, address, &happening).await?,
            }
        }
        // The first step without a wait belongs to the first message; a second one would say nothing new.
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
        let body = Body::Incident { happenings: vec![happening.clone()] };
        let critical = incident.severity == Severity::Critical;
        let urgency = if critical { Urgency::Critical } else { Urgency::Ordinary };
        let mut message = self.message(Some(incident.id), address, Kind::Phone, urgency, body);
        // One that gathers already takes this one along.
        let gathering = outbox::next_of_address(&mut self.connection, address, self.now).await?;
        let gathered = self.now.checked_add(GATHER).unwrap_or(self.now);
        message.not_before = gathering.map_or(gathered, |at| at.min(gathered));
        if let Hush::Hold(until) = self.book.hush(address, incident.severity, self.now) {
            message.not_before = message.not_before.max(until);
        }
        if critical {
            message.overdue_at = message.not_before.checked_add(self.book.config.incidents.critical_within).ok();
        }
        self.put(message).await?;
        Ok(())
    }
}

impl Book {
    /// Who a step means at this moment: people by name, and whoever is on duty.
    pub fn people_of(&self, step: &crate::config::Step, now: jiff::Timestamp) -> Vec<&Person> {
        let on_duty = step.on_call.iter().flat_map(|schedule| self.on_duty(schedule, now));
        let next = step.next_on_call.iter().flat_map(|schedule| self.next_on_duty(schedule, now));
        let named = step.people.iter().filter_map(|name| self.config.person(name));
        let mut people: Vec<&Person> = Vec::new();
        for person in named.chain(on_duty).chain(next) {
            if !people.iter().any(|listed| listed.name == person.name) {
                people.push(person);
            }
        }
        people
    }

    /// Who is on duty in a schedule.
    pub fn on_duty(&self, schedule: &str, now: jiff::Timestamp) -> Option<&Person> {
        let schedule = self.schedule(schedule)?;
        self.config.person(oncall::on_duty(&schedule, now)?)
    }

    /// Who comes on duty after that; whoever is on duty now, when nobody else does.
    fn next_on_duty(&self, schedule: &str, now: jiff::Timestamp) -> Option<&Person> {
        let found = self.schedule(schedule)?;
        let next = oncall::next_after(&found, now).and_then(|(_, name)| self.config.person(name));
        next.or_else(|| self.on_duty(schedule, now))
    }

    /// All who may act.
    pub fn everyone(&self) -> Vec<&Person> {
        self.config.people.iter().filter(|person| person.role >= Role::Responder).collect()
    }
}

//! What happens because a time has come: the state machine's own steps, and criticals that were not delivered in time.

use super::{Job, Work};
use crate::{
    incident::IncidentId,
    store::{audit, incidents, outbox},
};

/// Incidents that one transaction takes a step of.
const AT_ONCE: usize = 100;

/// Everything that is due.
pub struct Due;

impl Job for Due {
    /// When the next step is due, Unix milliseconds.
    type Answer = Option<i64>;

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<Option<i64>> {
        for mut incident in incidents::due(&mut work.connection, work.now, AT_ONCE).await? {
            let rules = work.book.rules(&incident);
            let effects = incident.due(work.now, &rules);
            work.carry_out(&incident, effects).await?;
        }
        Ok(incidents::next_due(&mut work.connection).await?)
    }
}

/// A critical was not delivered in time: the next channel is told too.
pub struct Overdue {
    pub id: i64,
}

impl Job for Overdue {
    type Answer = ();

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<()> {
        let Some(mut message) = outbox::queued(&mut work.connection, self.id).await? else { return Ok(()) };
        message.overdue_at = None;
        outbox::save(&mut work.connection, &message).await?;
        let Some(incident) = message.incident else { return Ok(()) };
        let detail = format!("{} to {}", message.kind.name(), message.address);
        work.note(audit::SELF, "overdue", Some(incident), detail).await?;
        undelivered(work, incident).await
    }
}

/// The next step of the incident's escalation is taken ahead of its time.
pub(super) async fn undelivered(work: &mut Work, incident: IncidentId) -> anyhow::Result<()> {
    let Some(mut incident) = incidents::by_id(&mut work.connection, incident).await? else { return Ok(()) };
    let rules = work.book.rules(&incident);
    let before = incident.escalation.clone();
    let effects = incident.undelivered(work.now, &rules);
    if effects.is_empty() && incident.escalation == before {
        return Ok(());
    }
    work.carry_out(&incident, effects).await
}

//! This module performs the steps that are due: those of the state machine, and overdue critical messages.

use alertbot_core::incident::IncidentId;

use super::{Work, WriterCommand};
use crate::store::{audit, incidents, outbox};

/// Incidents processed in one transaction.
const AT_ONCE: usize = 100;

/// Performs every due step.
pub struct Due;

impl WriterCommand for Due {
    /// Time of the next step, in Unix milliseconds.
    type Answer = Option<i64>;

    async fn perform(&mut self, work: &mut Work) -> anyhow::Result<Option<i64>> {
        for mut incident in incidents::due(&mut work.connection, work.now, AT_ONCE).await? {
            let rules = work.routing.rules(&incident);
            let effects = incident.due(work.now, &rules);
            work.carry_out(&incident, effects).await?;
        }
        Ok(incidents::next_due(&mut work.connection).await?)
    }
}

/// A critical message was not delivered in time: notify by the next channel too.
pub struct Overdue {
    pub id: i64,
}

impl WriterCommand for Overdue {
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

/// Advances the next escalation step of the incident to now.
pub(super) async fn undelivered(work: &mut Work, incident: IncidentId) -> anyhow::Result<()> {
    let Some(mut incident) = incidents::by_id(&mut work.connection, incident).await? else { return Ok(()) };
    let rules = work.routing.rules(&incident);
    let before = incident.escalation.clone();
    let effects = incident.undelivered(work.now, &rules);
    if effects.is_empty() && incident.escalation == before {
        return Ok(());
    }
    work.carry_out(&incident, effects).await
}

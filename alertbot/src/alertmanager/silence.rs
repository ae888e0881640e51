//! This module builds silences set by people: for exactly the labels that the firing alerts share, under the person's name.

use alertbot_core::incident::{Incident, Silence};
use jiff::{SignedDuration, Timestamp};

use super::{AlertmanagerClient, ApiMatcher, ApiSilence};

/// Matchers that silence an incident. Empty if its alerts share no label, because such a silence would cover everything.
pub fn matchers(incident: &Incident) -> Vec<ApiMatcher> {
    incident
        .common_labels()
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| ApiMatcher { name: name.to_owned(), value: value.to_owned(), is_regex: false, is_equal: true })
        .collect()
}

impl AlertmanagerClient {
    /// Silences an incident's alerts for a time. Returns the silence as stored in the incident.
    pub async fn silence_incident(
        &self,
        incident: &Incident,
        by: &str,
        lasts: SignedDuration,
        ends_with_incident: bool,
        now: Timestamp,
    ) -> anyhow::Result<Silence> {
        let matchers = matchers(incident);
        anyhow::ensure!(!matchers.is_empty(), "the alerts of {} share no label: silence them in Alertmanager", incident.id);
        let until = now.checked_add(lasts)?;
        let silence = ApiSilence {
            id: None,
            matchers,
            starts_at: now,
            ends_at: until,
            created_by: by.to_owned(),
            comment: format!("incident {} of the alert bot", incident.id),
            status: None,
        };
        let id = self.silence(&silence).await?;
        Ok(Silence { id, by: by.to_owned(), until, ends_with_incident })
    }
}

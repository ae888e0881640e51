//! This module decides about reported ends of alerts that may not be true: while the Watchdog is missing, and while only one replica
//! of several reports them.

use jiff::Timestamp;

use super::{Happening, Incident, Phase, Rules, Tracked, machine::Effect};
use crate::alert::Status;

impl Incident {
    /// The Watchdog of the source is missing. Alerts that ended at `doubtful_from` or later may only have expired.
    pub fn freeze(&mut self, since: Timestamp, doubtful_from: Timestamp, now: Timestamp, rules: &Rules) -> Vec<Effect> {
        if self.is_open() {
            if self.blind_since.is_some() {
                return Vec::new();
            }
            // The absence of an alert in a replica proves nothing now.
            self.alerts.values_mut().for_each(|alert| alert.confirms_at = None);
        } else {
            let mut doubtful = false;
            for alert in self.alerts.values_mut() {
                if let Some(end) = alert.ends_at.filter(|end| alert.status == Status::Resolved && *end >= doubtful_from) {
                    alert.status = Status::Firing;
                    alert.ends_at = None;
                    alert.unconfirmed_end = Some(end);
                    doubtful = true;
                }
            }
            if !doubtful {
                return Vec::new();
            }
            self.ended_at = None;
            self.severity = self.worst().unwrap_or(self.severity);
            self.phase = if self.acknowledgement.is_some() { Phase::Acknowledged } else { Phase::Firing };
            if self.phase == Phase::Firing && self.escalation.next_at.is_none() {
                let wait = rules.waits.get(self.escalation.taken).copied().unwrap_or_default().max(self.last_wait(rules));
                self.escalation.next_at = now.checked_add(wait).ok().filter(|_| !rules.waits.is_empty());
                self.escalation.wait = None;
            }
        }
        self.blind_since = Some(since);
        self.settles_at = None;
        vec![Effect::Tell(Happening::Changed)]
    }

    /// The Watchdog is back. Alerts that still fire are reported again until `settles_at`.
    pub fn thaw(&mut self, settles_at: Timestamp) -> Vec<Effect> {
        if self.blind_since.take().is_none() || !self.is_open() {
            return Vec::new();
        }
        self.settles_at = Some(settles_at);
        vec![Effect::Tell(Happening::Changed)]
    }

    /// Whether an alert that is missing from Alertmanager may still fire.
    pub fn is_frozen(&self, now: Timestamp) -> bool {
        self.blind_since.is_some() || self.settles_at.is_some_and(|at| at > now)
    }

    /// Applies the ends that nothing contradicted.
    pub(super) fn settle(&mut self, now: Timestamp) -> Vec<Effect> {
        self.settles_at = None;
        self.end_unconfirmed(now, |_, _| true)
    }

    /// A read of every replica lacks these alerts, so their ends apply.
    pub fn confirm(&mut self, ended: &[Box<str>], now: Timestamp) -> Vec<Effect> {
        if !self.is_open() || ended.is_empty() {
            return Vec::new();
        }
        self.end_unconfirmed(now, |fingerprint, alert| alert.confirms_at.is_some() && ended.contains(fingerprint))
    }

    /// A replica has these alerts, so another replica lost them and they have not ended. Returns whether anything changed.
    pub fn contradict(&mut self, active: &[Box<str>]) -> bool {
        let mut changed = false;
        for fingerprint in active {
            if let Some(alert) = self.alerts.get_mut(fingerprint).filter(|alert| alert.confirms_at.is_some()) {
                (alert.unconfirmed_end, alert.confirms_at) = (None, None);
                changed = true;
            }
        }
        changed
    }

    /// When the first end that waits for other replicas applies.
    pub(super) fn confirms_at(&self) -> Option<Timestamp> {
        self.alerts.values().filter_map(|alert| alert.confirms_at).min()
    }

    pub(super) fn end_unconfirmed(&mut self, now: Timestamp, counts: impl Fn(&Box<str>, &Tracked) -> bool) -> Vec<Effect> {
        let mut ended = false;
        for (fingerprint, alert) in &mut self.alerts {
            if !counts(fingerprint, alert) {
                continue;
            }
            alert.confirms_at = None;
            if let Some(end) = alert.unconfirmed_end.take() {
                alert.status = Status::Resolved;
                alert.ends_at = Some(end);
                ended = true;
            }
        }
        match (ended, self.worst()) {
            (false, _) => Vec::new(),
            (true, None) if self.truncated == 0 => self.end(now),
            (true, worst) => {
                self.severity = worst.unwrap_or(self.severity);
                vec![Effect::Tell(Happening::Changed)]
            }
        }
    }
}

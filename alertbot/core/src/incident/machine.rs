//! This module decides how an event changes an incident, and which effects follow.
//!
//! Every function is total: a repeated event changes nothing and returns no effect. A batch that is retried after a crash, or
//! reported by both Alertmanagers of a pair, leads to the same state.
//!
//! - The newest notification wins. `startsAt` must not decide an order: after a timeout in Alertmanager, an alert fires again
//!   with its old start.
//! - While the Watchdog of the source is missing, no alert ends. An end reported in this time waits for confirmation.
//! - An end reported by one of several replicas waits, for a bounded time, for a read of all of them.

use jiff::Timestamp;

use super::{Acknowledgement, Cause, Escalation, Happening, Incident, Phase, Rules, Silence, Tracked};
use crate::alert::{Labels, Severity, Status};

/// An effect to perform. The writer writes it into the outbox in the transaction that stores the incident's new state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Notify the incident's chats, with sound or by an edit, as the happening requires.
    Tell(Happening),
    /// Perform a step of the escalation policy, counted from 0. `everyone`: the people of all steps at once.
    Call { step: usize, round: usize, everyone: bool, by: Option<String> },
    /// End this silence in Alertmanager.
    EndSilence { id: String },
}

/// Alerts as reported by a webhook or API v2.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observation {
    /// By fingerprint.
    pub alerts: Vec<(Box<str>, Tracked)>,
    /// Number of alerts cut off the list. Above zero, a missing alert has not necessarily ended.
    pub truncated: u64,
}

/// Sounds closer together than this are one sound to a person. A pair of Alertmanagers repeats twice.
const REMINDERS_APART: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);
/// Minimum time between steps caused by failed messages.
const STEPS_APART: jiff::SignedDuration = jiff::SignedDuration::from_secs(30);

impl Incident {
    /// Starts an incident. The caller has set its identity; the observation provides the alerts.
    pub fn begin(&mut self, observation: &Observation, now: Timestamp, rules: &Rules) -> Vec<Effect> {
        self.merge(observation, now, rules);
        self.severity = self.worst().unwrap_or(self.severity);
        self.started_at = self.firing().map(|alert| alert.starts_at).min().unwrap_or(now);
        self.escalation = fresh(now, rules);
        self.sounded_at = Some(now);
        vec![Effect::Tell(Happening::Fired)]
    }

    /// Applies an observation of the group.
    pub fn observe(&mut self, observation: &Observation, now: Timestamp, rules: &Rules) -> Vec<Effect> {
        let before = self.severity;
        let was_open = self.is_open();
        let change = self.merge(observation, now, rules);
        let Some(worst) = self.worst() else {
            // No alert of the list fires. A cut list proves nothing, so the reconciliation asks API v2.
            let ended = was_open && observation.truncated == 0;
            return if ended { self.end(now) } else { self.noticed(change, now, rules) };
        };
        if !was_open {
            return if change.joined > 0 { self.reopen(worst, now, rules) } else { self.noticed(change, now, rules) };
        }
        self.severity = worst;
        if change.joined > 0 {
            // Alertmanager does not notify of silenced or inhibited alerts.
            self.suppressed = false;
            self.uncovered = !self.silences.is_empty();
        }
        if worst > before {
            self.take_back(now, rules);
            return self.sound(Happening::SeverityRaised { from: before }, now);
        }
        match change.joined {
            0 => self.noticed(change, now, rules),
            _ if self.is_damped(now) => vec![Effect::Tell(Happening::Changed)],
            count => self.sound(Happening::Joined { count }, now),
        }
    }

    /// Whether firing alerts of the list are more severe than the incident has been.
    pub fn rises_with(&self, observation: &Observation) -> bool {
        let firing = observation.alerts.iter().filter(|(_, alert)| alert.status == Status::Firing);
        firing.map(|(_, alert)| alert.severity).max() > Some(self.severity)
    }

    /// A person acknowledges. `None` if the incident has ended or already belongs to that person.
    pub fn acknowledge(&mut self, by: &str, now: Timestamp, rules: &Rules) -> Option<Vec<Effect>> {
        let held = self.acknowledgement.as_ref().map(|held| held.by.clone());
        if !self.is_open() || held.as_deref() == Some(by) {
            return None;
        }
        let until = rules.acknowledgement_lasts.and_then(|lasts| now.checked_add(lasts).ok());
        self.phase = Phase::Acknowledged;
        self.acknowledgement = Some(Acknowledgement { by: by.to_owned(), at: now, until });
        self.taken_by.get_or_insert_with(|| by.to_owned());
        self.escalation.next_at = None;
        Some(vec![Effect::Tell(Happening::Acknowledged { by: by.to_owned() })])
    }

    /// Another person gets the incident. The acknowledgement passes on and the new owner is notified.
    pub fn reassign(&mut self, to: &str, by: &str, now: Timestamp, rules: &Rules) -> Option<Vec<Effect>> {
        self.acknowledge(to, now, rules)?;
        Some(self.sound(Happening::Reassigned { to: to.to_owned(), by: by.to_owned() }, now))
    }

    /// The owner ends the acknowledgement.
    pub fn release(&mut self, by: &str, now: Timestamp, rules: &Rules) -> Option<Vec<Effect>> {
        if !self.is_open() {
            return None;
        }
        self.acknowledgement.take()?;
        self.phase = Phase::Firing;
        self.escalation = fresh(now, rules);
        Some(self.sound(Happening::AcknowledgementEnded { by: by.to_owned() }, now))
    }

    /// A person requests the next step now, acknowledged or not.
    pub fn escalate(&mut self, by: &str, now: Timestamp, rules: &Rules) -> Option<Vec<Effect>> {
        if !self.is_open() || rules.waits.is_empty() {
            return None;
        }
        let acknowledged = self.phase == Phase::Acknowledged;
        let effects = self.step(Some(by.to_owned()), now, rules);
        if acknowledged {
            // The incident has an owner, and a person requested the step, so no timer runs.
            self.escalation.next_at = None;
        }
        Some(effects)
    }

    /// A message failed, or a critical one was late: the next step is moved ahead. Several messages cause one step. Steps keep
    /// their minimum distance.
    pub fn undelivered(&mut self, now: Timestamp, rules: &Rules) -> Vec<Effect> {
        let Some(next_at) = self.escalation.next_at.filter(|_| !rules.waits.is_empty() && self.waits_for_somebody()) else {
            return Vec::new();
        };
        let earliest = self.escalation.stepped_at.and_then(|at| at.checked_add(STEPS_APART).ok());
        if let Some(earliest) = earliest.filter(|at| *at > now) {
            self.escalation.next_at = Some(next_at.min(earliest));
            self.escalation.wait = None;
            return Vec::new();
        }
        self.step(None, now, rules)
    }

    /// Applies the policy of these rules. A different policy starts with its first step.
    ///
    /// Returns whether the policy changed.
    pub fn follow_policy(&mut self, now: Timestamp, rules: &Rules) -> bool {
        if self.escalation.policy == rules.policy {
            return false;
        }
        let has_begun = self.escalation.next_at.is_some() || self.escalation.stepped_at.is_some();
        if self.escalation.policy.is_none() && rules.policy.is_some() && has_begun {
            // Written by a release that did not record the name.
            self.escalation.policy.clone_from(&rules.policy);
            return false;
        }
        let lost = rules.policy.is_none();
        if self.phase == Phase::Firing {
            self.escalation = fresh(now, rules);
        } else {
            self.escalation.policy.clone_from(&rules.policy);
        }
        self.escalation.lost = lost;
        true
    }

    /// The policy may have other waits than when the next step was planned. The step moves with its wait, but not before `now`.
    pub fn follow_waits(&mut self, now: Timestamp, rules: &Rules) {
        let Escalation { taken, stepped_at, next_at: Some(next_at), wait: Some(planned), .. } = self.escalation else { return };
        let present = match stepped_at {
            Some(_) => self.wait_before(taken, rules),
            None => rules.waits.get(taken).copied().unwrap_or_default(),
        };
        if rules.waits.is_empty() || present == planned {
            return;
        }
        let began = next_at.checked_sub(planned).unwrap_or(now);
        self.escalation.next_at = began.checked_add(present).ok().map(|at| at.max(now));
        self.escalation.wait = Some(present);
    }

    /// The configuration may call the labels of the alerts more or less severe than when they arrived.
    pub fn reclassify(&mut self, severity: impl Fn(&Labels) -> Severity, now: Timestamp, rules: &Rules) -> Vec<Effect> {
        let before = self.severity;
        for alert in self.alerts.values_mut() {
            alert.severity = severity(&alert.labels);
        }
        let Some(worst) = self.worst().filter(|worst| self.is_open() && *worst != before) else { return Vec::new() };
        self.severity = worst;
        if worst > before {
            self.take_back(now, rules);
            return self.sound(Happening::SeverityRaised { from: before }, now);
        }
        vec![Effect::Tell(Happening::Changed)]
    }

    /// The severity rose. An acknowledgement of the lower severity no longer applies.
    fn take_back(&mut self, now: Timestamp, rules: &Rules) {
        if self.acknowledgement.take().is_some() {
            self.phase = Phase::Firing;
            self.escalation = fresh(now, rules);
        } else {
            self.follow_policy(now, rules);
        }
    }

    /// A person silenced the incident through the bot.
    pub fn silence(&mut self, silence: Silence) -> Vec<Effect> {
        let by = silence.by.clone();
        self.silences.retain(|held| held.id != silence.id);
        self.silences.push(silence);
        self.uncovered = false;
        vec![Effect::Tell(Happening::Silenced { by })]
    }

    /// A silence is no longer active. `None` if the bot had not set it.
    pub fn unsilence(&mut self, id: &str, by: &str) -> Option<Vec<Effect>> {
        let held = self.silences.len();
        self.silences.retain(|silence| silence.id != id);
        (self.silences.len() < held).then(|| vec![Effect::Tell(Happening::Unsilenced { by: by.to_owned() })])
    }

    /// API v2 reports whether every firing alert is silenced or inhibited. If so, no one is notified.
    pub fn suppress(&mut self, suppressed: bool) -> Vec<Effect> {
        if !self.is_open() || self.suppressed == suppressed {
            return Vec::new();
        }
        self.suppressed = suppressed;
        vec![Effect::Tell(Happening::Changed)]
    }

    /// API v2 reports which alerts inhibit the firing ones.
    pub fn explain(&mut self, causes: Vec<Cause>) -> Vec<Effect> {
        if !self.is_open() || self.causes == causes {
            return Vec::new();
        }
        self.causes = causes;
        vec![Effect::Tell(Happening::Changed)]
    }

    /// These alerts disappeared from API v2. If no alert is left, the incident ended without a notification. But alerts cut off a
    /// list may still fire.
    pub fn lose(&mut self, gone: &[Box<str>], now: Timestamp) -> Vec<Effect> {
        if self.is_frozen(now) {
            return Vec::new();
        }
        let mut lost = false;
        for fingerprint in gone {
            if let Some(alert) = self.alerts.get_mut(fingerprint).filter(|alert| alert.status == Status::Firing) {
                alert.status = Status::Resolved;
                alert.ends_at = Some(now);
                lost = true;
            }
        }
        match (lost, self.worst()) {
            (false, _) => Vec::new(),
            (true, None) if self.truncated == 0 => self.end(now),
            (true, worst) => {
                self.severity = worst.unwrap_or(self.severity);
                vec![Effect::Tell(Happening::Changed)]
            }
        }
    }

    /// The whole group disappeared from API v2, so the alerts cut off its list have ended too.
    pub fn lose_group(&mut self, now: Timestamp) -> Vec<Effect> {
        if !self.is_open() || self.truncated == 0 || self.is_frozen(now) {
            return Vec::new();
        }
        self.truncated = 0;
        let known: Vec<Box<str>> = self.alerts.keys().cloned().collect();
        match self.lose(&known, now) {
            // The listed alerts had ended before.
            effects if effects.is_empty() => self.end(now),
            effects => effects,
        }
    }

    /// Performs due steps. Of several overdue escalation steps it performs one, so that no person is notified twice at once after
    /// downtime.
    pub fn due(&mut self, now: Timestamp, rules: &Rules) -> Vec<Effect> {
        if !self.is_open() {
            return Vec::new();
        }
        let expired: Vec<String> = self.silences.iter().filter(|held| held.until <= now).map(|held| held.by.clone()).collect();
        self.silences.retain(|silence| silence.until > now);
        let mut effects: Vec<Effect> = expired.into_iter().take(1).map(|by| Effect::Tell(Happening::Unsilenced { by })).collect();
        if self.damped_until.is_some_and(|until| until <= now) {
            self.damped_until = None;
            self.reopened.clear();
            effects.extend(self.sound(Happening::Reopened { flapping: false }, now));
        }
        if let Some(held) = self.acknowledgement.clone()
            && held.until.is_some_and(|until| until <= now)
        {
            effects.extend(self.release(&held.by, now, rules).unwrap_or_default());
        }
        if self.settles_at.is_some_and(|at| at <= now) {
            effects.extend(self.settle(now));
        }
        if self.confirms_at().is_some_and(|at| at <= now) {
            effects.extend(self.end_unconfirmed(now, |_, alert| alert.confirms_at.is_some_and(|at| at <= now)));
        }
        if self.is_open() && self.step_due().is_some_and(|at| at <= now) {
            effects.extend(self.step(None, now, rules));
        }
        effects
    }

    /// The clock was set back. Times recorded by the bot move along, so that no wait grows. Starts of alerts and ends of silences
    /// are Alertmanager's times and stay.
    pub fn move_back(&mut self, by: jiff::SignedDuration) {
        let moved = |at: Timestamp| at.checked_sub(by).unwrap_or(at);
        self.opened_at = moved(self.opened_at);
        for at in [
            &mut self.sounded_at,
            &mut self.damped_until,
            &mut self.settles_at,
            &mut self.escalation.stepped_at,
            &mut self.escalation.next_at,
        ] {
            *at = at.map(moved);
        }
        self.reopened.iter_mut().for_each(|at| *at = moved(*at));
        self.alerts.values_mut().for_each(|alert| alert.confirms_at = alert.confirms_at.map(moved));
        if let Some(held) = &mut self.acknowledgement {
            held.at = moved(held.at);
            held.until = held.until.map(moved);
        }
    }

    /// When [`Self::due`] has work to do.
    pub fn next_due(&self) -> Option<Timestamp> {
        if !self.is_open() {
            return None;
        }
        let acknowledged = self.acknowledgement.as_ref().and_then(|held| held.until);
        let silences = self.silences.iter().map(|silence| silence.until);
        silences
            .chain(acknowledged)
            .chain(self.damped_until)
            .chain(self.settles_at)
            .chain(self.confirms_at())
            .chain(self.step_due())
            .min()
    }

    /// Whether the incident flaps, so that a change is only edited.
    pub fn is_damped(&self, now: Timestamp) -> bool {
        self.damped_until.is_some_and(|until| until > now)
    }

    /// Whether the incident needs an owner: open, not acknowledged, not silenced.
    pub fn waits_for_somebody(&self) -> bool {
        self.phase == Phase::Firing && (self.silences.is_empty() || self.uncovered) && !self.suppressed
    }

    fn step_due(&self) -> Option<Timestamp> {
        self.escalation.next_at.filter(|_| self.waits_for_somebody())
    }

    fn step(&mut self, by: Option<String>, now: Timestamp, rules: &Rules) -> Vec<Effect> {
        let Escalation { taken, rounds, .. } = self.escalation;
        self.sounded_at = Some(now);
        self.escalation.stepped_at = Some(now);
        if rounds >= rules.rounds.max(1) {
            self.escalation.next_at = None;
            if !rules.then_everyone {
                return Vec::new();
            }
            return vec![Effect::Call { step: 0, round: rounds, everyone: true, by }];
        }
        let (next, rounds_after) = if taken + 1 < rules.waits.len() { (taken + 1, rounds) } else { (0, rounds + 1) };
        let wait = self.wait_before(next, rules);
        self.escalation = Escalation {
            taken: next,
            rounds: rounds_after,
            stepped_at: Some(now),
            next_at: now.checked_add(wait).ok(),
            wait: Some(wait),
            policy: self.escalation.policy.take(),
            lost: self.escalation.lost,
        };
        if taken >= rules.waits.len() {
            return Vec::new();
        }
        vec![Effect::Call { step: taken, round: rounds, everyone: false, by }]
    }

    /// The wait before a step that follows another one.
    fn wait_before(&self, step: usize, rules: &Rules) -> jiff::SignedDuration {
        let wait = rules.waits.get(step).copied().unwrap_or_default();
        // Without this, a policy whose first step has no wait would notify everyone at once after its last step.
        if step == 0 { wait.max(self.last_wait(rules)) } else { wait }
    }

    pub(super) fn last_wait(&self, rules: &Rules) -> jiff::SignedDuration {
        rules.waits.iter().copied().max().unwrap_or_default().max(REMINDERS_APART)
    }

    fn reopen(&mut self, severity: Severity, now: Timestamp, rules: &Rules) -> Vec<Effect> {
        let damped = self.is_damped(now);
        let raised = severity > self.severity;
        self.phase = if damped && self.acknowledgement.is_some() { Phase::Acknowledged } else { Phase::Firing };
        if !damped {
            self.acknowledgement = None;
            self.taken_by = None;
        }
        self.ended_at = None;
        // An alert that Alertmanager timed out fires again with its old start: that fault has lasted since then.
        self.started_at = self.firing().map(|alert| alert.starts_at).min().unwrap_or(now);
        self.severity = severity;
        self.suppressed = false;
        self.causes.clear();
        self.settles_at = None;
        // While the incident flaps, the steps continue. If they started again, the later ones would never be reached.
        if !damped || raised {
            self.escalation = fresh(now, rules);
        }
        let horizon = now.checked_sub(rules.flapping.within).unwrap_or(now);
        self.reopened.retain(|at| *at > horizon);
        self.reopened.push(now);
        let flapping = self.reopened.len() >= rules.flapping.reopenings;
        if flapping {
            self.damped_until = now.checked_add(rules.flapping.calm).ok();
        }
        if damped && !raised {
            return vec![Effect::Tell(Happening::Changed)];
        }
        self.sound(Happening::Reopened { flapping }, now)
    }

    pub(super) fn end(&mut self, now: Timestamp) -> Vec<Effect> {
        self.phase = Phase::Resolved;
        self.ended_at = Some(now);
        if !self.is_damped(now) {
            self.escalation.next_at = None;
        }
        self.suppressed = false;
        self.causes.clear();
        self.uncovered = false;
        self.blind_since = None;
        self.settles_at = None;
        let ending = std::mem::take(&mut self.silences).into_iter().filter(|silence| silence.ends_with_incident);
        let mut effects = vec![Effect::Tell(Happening::Resolved)];
        effects.extend(ending.map(|silence| Effect::EndSilence { id: silence.id }));
        effects
    }

    fn noticed(&mut self, change: AlertChange, now: Timestamp, rules: &Rules) -> Vec<Effect> {
        if change.other {
            return vec![Effect::Tell(Happening::Changed)];
        }
        self.repeats += 1;
        let rested = self.sounded_at.is_none_or(|at| now.duration_since(at) >= REMINDERS_APART);
        if rules.remind && rested && self.waits_for_somebody() && !self.is_damped(now) && change.fires {
            return self.sound(Happening::Reminded, now);
        }
        Vec::new()
    }

    fn sound(&mut self, happening: Happening, now: Timestamp) -> Vec<Effect> {
        self.sounded_at = Some(now);
        vec![Effect::Tell(happening)]
    }

    pub(super) fn worst(&self) -> Option<Severity> {
        self.firing().map(|alert| alert.severity).max()
    }

    /// Applies the news, alert by alert.
    fn merge(&mut self, observation: &Observation, now: Timestamp, rules: &Rules) -> AlertChange {
        let mut change = AlertChange::default();
        if self.truncated != observation.truncated {
            self.truncated = observation.truncated;
            change.other = true;
        }
        for (fingerprint, told) in &observation.alerts {
            change.fires |= told.status == Status::Firing;
            let Some(known) = self.alerts.get_mut(fingerprint) else {
                // An end without a known start needs no notification.
                if told.status == Status::Firing {
                    self.alerts.insert(fingerprint.clone(), told.clone());
                    change.joined += 1;
                }
                continue;
            };
            match (known.status, told.status) {
                (Status::Firing, Status::Firing) => {
                    (known.unconfirmed_end, known.confirms_at) = (None, None);
                    // After a reload the configuration may call the same label more severe.
                    let rises = told.severity > known.severity;
                    if rises || known.annotations != told.annotations || known.labels != told.labels {
                        *known = Tracked { previous_end: known.previous_end, ..told.clone() };
                        change.other = true;
                    }
                }
                (Status::Firing, Status::Resolved) if ended_before(known, told, now) => {}
                (Status::Firing, Status::Resolved) if self.blind_since.is_some() => {
                    known.unconfirmed_end = told.ends_at.or(Some(told.starts_at));
                }
                (Status::Firing, Status::Resolved) if rules.confirm_within.is_some() => {
                    known.unconfirmed_end = told.ends_at.or(Some(told.starts_at));
                    // The first report applies: a repetition must not extend the wait.
                    let within = rules.confirm_within.unwrap_or_default();
                    known.confirms_at = known.confirms_at.or_else(|| now.checked_add(within).ok());
                }
                (Status::Firing, Status::Resolved) => {
                    *known = told.clone();
                    change.other = true;
                }
                (Status::Resolved, Status::Firing) => {
                    *known = Tracked { previous_end: known.ends_at, ..told.clone() };
                    change.joined += 1;
                }
                (Status::Resolved, Status::Resolved) => {}
            }
        }
        change
    }
}

/// Result of an observation.
#[derive(Debug, Clone, Copy, Default)]
struct AlertChange {
    /// Alerts that newly fire.
    joined: usize,
    /// Another change.
    other: bool,
    /// Whether the list has a firing alert, known or new.
    fires: bool,
}

/// Whether a notification reports the end of an earlier firing: the same end again, or an end before the present firing began. A
/// start in the future is that of a clock which ran ahead, and proves nothing.
fn ended_before(known: &Tracked, told: &Tracked, now: Timestamp) -> bool {
    let Some(end) = told.ends_at else { return false };
    let began = known.starts_at <= now;
    known.previous_end == Some(end) || (began && told.starts_at < known.starts_at && end < known.starts_at)
}

fn fresh(now: Timestamp, rules: &Rules) -> Escalation {
    let wait = rules.waits.first().copied();
    let next_at = wait.and_then(|wait| now.checked_add(wait).ok());
    Escalation { taken: 0, rounds: 0, stepped_at: None, next_at, wait, policy: rules.policy.clone(), lost: false }
}

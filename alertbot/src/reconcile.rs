//! This module reconciles open incidents with Alertmanager, because no webhook reports the end of a silenced or inhibited alert.
//!
//! - An end reported by one of several replicas applies if no replica has the alert in a read that began later.
//! - An alert missing from two reads of API v2 has ended.
//! - An alert active in two reads of any replica is open, even if a webhook reported its end: one replica of a pair may have lost
//!   its alerts.
//! - Both rules pause for some minutes after Alertmanager's start, when Prometheus has not sent every alert yet, and after a
//!   failed read.
//! - If the list of a group was cut (`max_alerts`), the whole group is read, because no webhook reports its end.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use alertbot_core::{
    alert::{Alert, Payload, Status, payload::VERSION},
    incident::{Incident, IncidentId, Phase},
};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    alertmanager::{AlertmanagerClient, Group, SeenAlerts},
    clock::Clock,
    metrics::IncidentMetrics,
    store::{facts, incidents, owners},
    writer::{
        Writer,
        ingest::{self, Ingest},
        reconcile::{Confirm, Confirmed, Found, Reconcile, SilenceEnded},
        silence_to_end,
        watchdogs::is_own,
    },
};

/// Number of reads that an alert must be missing from.
const READS: u8 = 2;
/// Incidents read into memory at a time.
const AT_ONCE: usize = 200;
/// Retry interval to end a silence.
const END_AGAIN: Duration = Duration::from_secs(10);

/// Number of consecutive reads in which an alert differed from its incident.
type Reads = HashMap<(IncidentId, Box<str>), u8>;

/// Reconciles one Alertmanager repeatedly.
pub struct Reconciler {
    pub alertmanager: AlertmanagerClient,
    pub writer: Writer,
    pub clock: Clock,
    pub metrics: IncidentMetrics,
    /// Receives a value when a webhook was too large.
    pub oversized: mpsc::UnboundedReceiver<()>,
    /// Notified when a reconciliation must run immediately.
    pub at_once: watch::Receiver<()>,
}

/// One read of an Alertmanager, compared with incidents.
struct Comparison<'a> {
    alerts: &'a SeenAlerts,
    /// Ids of silences.
    in_force: HashSet<String>,
    /// While it is true, no missing alert has ended.
    is_young: bool,
    /// Of the reads before this one.
    missing: &'a Reads,
    still_missing: Reads,
}

impl Comparison<'_> {
    /// What this read shows about an incident, and whether it contains one of its firing alerts.
    fn found(&mut self, incident: &Incident) -> (Found, bool) {
        let ended = incident.silences.iter().filter(|silence| !self.in_force.contains(&silence.id));
        let mut one = Found {
            incident: incident.id,
            gone: Vec::new(),
            group_gone: false,
            suppressed: incident.firing().next().is_some(),
            inhibited_by: BTreeSet::new(),
            silences_ended: ended.map(|silence| silence.id.clone()).collect(),
        };
        let mut any_seen = false;
        for (fingerprint, _) in incident.alerts.iter().filter(|(_, alert)| alert.status == Status::Firing) {
            if let Some(seen) = self.alerts.get(fingerprint) {
                any_seen = true;
                one.suppressed &= seen.suppressed;
                one.inhibited_by.extend(seen.inhibited_by.iter().cloned());
            } else {
                one.suppressed = false;
                if self.has_ended(incident.id, fingerprint.clone()) {
                    one.gone.push(fingerprint.clone());
                }
            }
        }
        (one, any_seen)
    }

    /// Records that this read lacks an alert. Returns true if it has been missing long enough to have ended.
    fn has_ended(&mut self, incident: IncidentId, fingerprint: Box<str>) -> bool {
        let key = (incident, fingerprint);
        let reads = self.missing.get(&key).copied().unwrap_or(0).saturating_add(1);
        self.still_missing.insert(key, reads);
        reads >= READS && !self.is_young
    }
}

/// Whether the incident must change by what was found.
fn differs(incident: &Incident, found: &Found) -> bool {
    let ended = found.group_gone || !found.gone.is_empty() || !found.silences_ended.is_empty();
    let explained = incident.causes.iter().all(|cause| found.inhibited_by.contains(&cause.fingerprint))
        && (!incident.causes.is_empty() || found.inhibited_by.is_empty());
    ended || !explained || found.suppressed != incident.suppressed
}

impl Reconciler {
    pub async fn run(mut self, every: Duration, stop: CancellationToken) {
        let (mut missing, mut active) = (Reads::new(), Reads::new());
        let labels = [self.alertmanager.name.clone()];
        // The wait for an Alertmanager that never answers starts now.
        self.metrics.reconciled.with_label_values(&labels).set(self.clock.now().as_millisecond() as f64 / 1000.0);
        loop {
            let outcome = match self.compare(&mut missing, &mut active).await {
                Ok(outcome) => {
                    let now = self.clock.now().as_millisecond() as f64 / 1000.0;
                    self.metrics.reconciled.with_label_values(&labels).set(now);
                    outcome
                }
                Err(error) => {
                    missing.clear();
                    tracing::warn!(
                        error = format!("{error:#}"),
                        alertmanager = labels[0],
                        "failed to reconcile incidents with Alertmanager; retrying"
                    );
                    "failed"
                }
            };
            self.metrics.reconciliations.with_label_values(&[labels[0].as_str(), outcome]).inc();
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                // Ends with the program, when the sender is dropped.
                Ok(()) = self.at_once.changed() => {}
                Some(()) = self.oversized.recv() => {
                    if let Err(error) = self.read_groups().await {
                        tracing::error!(error = format!("{error:#}"), alertmanager = labels[0], "failed to read the alerts of an oversized webhook");
                    }
                }
                () = stop.cancelled() => return,
            }
        }
    }

    async fn compare(&self, missing: &mut Reads, active: &mut Reads) -> anyhow::Result<&'static str> {
        let source = &self.alertmanager.name;
        let began = self.clock.now();
        let (alerts, incomplete) = self.alertmanager.alerts().await?;
        self.open_what_is_active(&alerts, active).await?;
        if let Some(within) = self.writer.routing.confirm_within(source) {
            let latest = began.checked_add(within).unwrap_or(Timestamp::MAX);
            self.confirm_ends(&alerts, latest, incomplete.is_none()).await?;
        }
        if let Some(error) = incomplete {
            return Err(error);
        }
        let mut after = IncidentId(0);
        let mut batch = incidents::open_of_source(&self.writer.readers, source, after, AT_ONCE).await?;
        if batch.is_empty() {
            missing.clear();
            return Ok("done");
        }
        let silences = self.alertmanager.silences().await?.into_iter();
        let mut comparison = Comparison {
            alerts: &alerts,
            in_force: silences.filter_map(|silence| silence.id).collect(),
            is_young: self.is_young().await?,
            missing,
            still_missing: Reads::new(),
        };
        let mut groups = None;
        while !batch.is_empty() {
            let (mut found, mut cut) = (Vec::new(), Vec::new());
            for incident in &batch {
                after = incident.id;
                if is_own(incident) || incident.phase == Phase::Resolved {
                    continue;
                }
                let (mut one, any_seen) = comparison.found(incident);
                if incident.truncated > 0 {
                    let groups = match &mut groups {
                        Some(groups) => groups,
                        none => none.insert(self.alertmanager.groups_of_all().await?),
                    };
                    let heard = cut_off(incident, groups);
                    if heard.is_empty() && !any_seen {
                        // No alert has this name.
                        one.group_gone = comparison.has_ended(incident.id, Box::default());
                    }
                    cut.extend(heard);
                }
                if differs(incident, &one) {
                    found.push(one);
                }
            }
            for group in cut {
                self.ingest(group).await?;
            }
            if !found.is_empty() {
                self.writer.perform(Reconcile { found }).await?;
            }
            batch = incidents::open_of_source(&self.writer.readers, source, after, AT_ONCE).await?;
        }
        let Comparison { still_missing, is_young, .. } = comparison;
        *missing = still_missing;
        Ok(if is_young { "resting" } else { "done" })
    }

    /// Whether Prometheus may not have sent a replica every alert since its start.
    async fn is_young(&self) -> anyhow::Result<bool> {
        let settled = self.writer.routing.config.incidents.settle_after_restart;
        let settled = SignedDuration::try_from(settled).unwrap_or(SignedDuration::MAX);
        Ok(self.alertmanager.up_for(self.clock.wall()).await? < settled)
    }

    /// Settles ends that one replica reported before this read began, by the data of all replicas. `latest`: when an end reported
    /// at the start of the read applies without a further read.
    async fn confirm_ends(&self, alerts: &SeenAlerts, latest: Timestamp, complete: bool) -> anyhow::Result<()> {
        let (mut after, mut is_young) = (IncidentId(0), None);
        loop {
            let batch = incidents::open_of_source(&self.writer.readers, &self.alertmanager.name, after, AT_ONCE).await?;
            let Some(last) = batch.last() else { return Ok(()) };
            after = last.id;
            let mut confirmed = Vec::new();
            for incident in batch {
                let mut one = Confirmed { incident: incident.id, active: Vec::new(), ended: Vec::new() };
                for (fingerprint, alert) in incident.alerts {
                    match alert.confirms_at {
                        Some(at) if at <= latest => {
                            let seen = alerts.contains_key(&fingerprint);
                            if seen { &mut one.active } else { &mut one.ended }.push(fingerprint);
                        }
                        _ => {}
                    }
                }
                let proves_ends = complete
                    && !one.ended.is_empty()
                    && !match is_young {
                        Some(known) => known,
                        None => *is_young.insert(self.is_young().await?),
                    };
                if !proves_ends {
                    one.ended.clear();
                }
                if !one.active.is_empty() || !one.ended.is_empty() {
                    confirmed.push(one);
                }
            }
            if !confirmed.is_empty() {
                self.writer.perform(Confirm { confirmed }).await?;
            }
        }
    }

    /// Opens incidents for alerts that are active in a replica although their incident ended, or although the incident recorded
    /// their end.
    async fn open_what_is_active(&self, alerts: &SeenAlerts, active: &mut Reads) -> anyhow::Result<()> {
        let source = &self.alertmanager.name;
        let unsuppressed: Vec<&str> =
            alerts.iter().filter(|(_, seen)| !seen.suppressed).map(|(fingerprint, _)| fingerprint.as_ref()).collect();
        let mut still_active = Reads::new();
        let mut wanted: HashMap<String, HashSet<Box<str>>> = HashMap::new();
        for named in unsuppressed.chunks(AT_ONCE) {
            let owners = owners::owners_of(&self.writer.readers, source, named).await?;
            let mut firing: HashMap<IncidentId, HashSet<Box<str>>> = HashMap::new();
            for owner in owners {
                if owner.is_open && !firing.contains_key(&owner.incident) {
                    let known = incidents::by_id(&self.writer.readers, owner.incident).await?;
                    let fires = known.into_iter().flat_map(|incident| {
                        let fires = incident.alerts.into_iter().filter(|(_, alert)| alert.status == Status::Firing);
                        fires.map(|(fingerprint, _)| fingerprint)
                    });
                    firing.insert(owner.incident, fires.collect());
                }
                if firing.get(&owner.incident).is_some_and(|fires| fires.contains(&owner.fingerprint)) {
                    continue;
                }
                let key = (owner.incident, owner.fingerprint.clone());
                let reads = active.get(&key).copied().unwrap_or(0).saturating_add(1);
                if reads >= READS {
                    wanted.entry(owner.receiver).or_default().insert(owner.fingerprint);
                }
                still_active.insert(key, reads);
            }
        }
        *active = still_active;
        if wanted.is_empty() {
            return Ok(());
        }
        for mut group in self.alertmanager.groups_of_any().await {
            let Some(fingerprints) = wanted.get(&group.receiver.name) else { continue };
            group.alerts.retain(|alert| fingerprints.contains(&alert.fingerprint) && !alert.status.is_suppressed());
            if !group.alerts.is_empty() {
                tracing::warn!(
                    alertmanager = source,
                    receiver = group.receiver.name,
                    alerts = group.alerts.len(),
                    "alerts are active although their end was reported: opening their incident"
                );
                self.ingest(group).await?;
            }
        }
        Ok(())
    }

    /// Ingests the content of an oversized webhook: every group of the receivers known to this bot, or of all receivers.
    async fn read_groups(&self) -> anyhow::Result<()> {
        let known = incidents::receivers(&self.writer.readers, &self.alertmanager.name).await?;
        for group in self.alertmanager.groups().await? {
            if !group.alerts.is_empty() && (known.is_empty() || known.contains(&group.receiver.name)) {
                self.ingest(group).await?;
            }
        }
        Ok(())
    }

    /// Ingests a group as a webhook.
    async fn ingest(&self, mut group: Group) -> anyhow::Result<()> {
        let limit = self.writer.routing.config.limits.webhook_alerts as usize;
        let truncated = group.alerts.len().saturating_sub(limit);
        group.alerts.truncate(limit);
        let alerts: Vec<Alert> = group.alerts.into_iter().map(Into::into).collect();
        let common = alerts.iter().skip(1).fold(alerts[0].labels.clone(), |common, alert| common.shared_with(&alert.labels));
        let payload = Payload {
            version: VERSION.into(),
            group_key: ingest::key_from_api(&group.labels)?,
            truncated_alerts: truncated as u64,
            status: Status::Firing,
            receiver: group.receiver.name,
            group_labels: group.labels,
            common_labels: common,
            common_annotations: Default::default(),
            external_url: self.alertmanager.urls[0].clone(),
            alerts,
        };
        let ingest: Ingest = Ingest::new(&self.writer.routing, &self.alertmanager.name, payload);
        self.writer.perform(ingest).await?;
        Ok(())
    }
}

/// Data of the replicas about an incident's group. No webhook would report an unknown alert that is silenced or inhibited.
fn cut_off(incident: &Incident, groups: &[Group]) -> Vec<Group> {
    let same = groups.iter().filter(|group| group.receiver.name == incident.receiver && group.labels == incident.group_labels);
    let heard = same.cloned().map(|mut group| {
        group.alerts.retain(|alert| !alert.status.is_suppressed() || incident.alerts.contains_key(&alert.fingerprint));
        group
    });
    heard.filter(|group| !group.alerts.is_empty()).collect()
}

/// Ends silences left by closed incidents, until each has ended.
pub async fn end_silences(alertmanagers: Vec<AlertmanagerClient>, writer: Writer, asked: Arc<Notify>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let mut failed = false;
        for alertmanager in &alertmanagers {
            let prefix = silence_to_end(&alertmanager.name, "");
            let pending = facts::beginning_with(&writer.readers, &prefix).await.unwrap_or_default();
            for (fact, _) in pending {
                let id = fact[prefix.len()..].to_owned();
                match alertmanager.end_silence(&id).await {
                    Ok(()) => {
                        tracing::info!(alertmanager = alertmanager.name, silence = id, "ended a silence");
                        failed |= writer.perform(SilenceEnded { fact }).await.is_err();
                    }
                    Err(error) => {
                        tracing::warn!(
                            error = format!("{error:#}"),
                            alertmanager = alertmanager.name,
                            silence = id,
                            "failed to end a silence; retrying"
                        );
                        failed = true;
                    }
                }
            }
        }
        tokio::select! {
            () = asked.notified() => {}
            () = tokio::time::sleep(END_AGAIN), if failed => {}
            () = stop.cancelled() => {}
        }
    }
}

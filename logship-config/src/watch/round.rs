//! This module runs one check of the cluster: it reads, reports and repairs. The time is an argument.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Instant};

use jiff::Timestamp;

use super::{budgets::Budgets, repair::Repairs};
use crate::{
    actual::{self, Actual, Capability},
    advice::{self, AdviceTopic},
    check,
    client::Client,
    config::WatchSettings,
    desired::{Desired, ObjectKind},
    exit::CommandFailure,
    forecast::{self, Forecast, HORIZON_DAYS, WATERMARKS},
    metrics::WatchMetrics,
    observe::{self, ClusterObservation},
    plan::{self, Allowed, Plan, PlanAction},
    stuck::{self, StuckClass},
    units::MILLIS_PER_DAY,
};

/// State of the watch between two checks: reported facts and repair attempts.
pub struct Watcher {
    client: Arc<Client>,
    declared: PathBuf,
    desired: Desired,
    settings: WatchSettings,
    metrics: WatchMetrics,
    /// Facts that were logged and still apply, so that each is logged once.
    logged: BTreeSet<String>,
    repairs: Repairs,
    budgets: Budgets,
}

impl Watcher {
    pub fn new(client: Arc<Client>, declared: PathBuf, desired: Desired, settings: WatchSettings, metrics: WatchMetrics) -> Self {
        metrics.declared_valid.set(1);
        for outcome in ["done", "failed"] {
            metrics.rounds.with_label_values(&[outcome]);
            for repair in ["retry", "move"] {
                metrics.repairs.with_label_values(&[repair, outcome]);
            }
        }
        let (repairs, budgets) = (Repairs::default(), Budgets::default());
        Self { client, declared, desired, settings, metrics, logged: BTreeSet::new(), repairs, budgets }
    }

    /// Checks the cluster once.
    ///
    /// # Errors
    /// Returns an error if the cluster cannot be read. Metrics set before the error remain.
    pub async fn round(&mut self, now: Timestamp) -> Result<(), CommandFailure> {
        let began = Instant::now();
        self.reload();
        let looked = self.check_cluster(now).await;
        let outcome = if looked.is_ok() { "done" } else { "failed" };
        self.metrics.rounds.with_label_values(&[outcome]).inc();
        self.metrics.round_seconds.observe(began.elapsed().as_secs_f64());
        if looked.is_ok() {
            self.metrics.last_success.set(now.as_millisecond() as f64 / 1000.0);
        }
        looked
    }

    /// Reads the files, which may have changed. Faulty files change nothing.
    fn reload(&mut self) {
        match check::run(&self.declared) {
            Ok(desired) => {
                self.desired = desired;
                self.metrics.declared_valid.set(1);
            }
            Err(failure) => {
                if self.metrics.declared_valid.get() == 1 {
                    tracing::error!(error = %failure, "the declared files are invalid; their last valid version stays in use");
                }
                self.metrics.declared_valid.set(0);
            }
        }
    }

    async fn check_cluster(&mut self, now: Timestamp) -> Result<(), CommandFailure> {
        let actual = actual::read_cluster(&self.client).await?;
        self.report_cluster(&actual);
        let mut facts = BTreeSet::new();
        let plan = plan::plan(&self.desired, &actual, &Allowed::default());
        self.report_drift(&plan, &mut facts);
        let observation = observe::declared(&self.client, &self.desired).await?;
        let now_millis = now.as_millisecond();
        let limit = i64::try_from(self.settings.stuck_after.as_millis()).unwrap_or(i64::MAX);
        let found = stuck::find(&observation, now_millis, limit);
        for class in StuckClass::ALL {
            let count = found.iter().filter(|stuck| stuck.class == class).count();
            self.metrics.stuck.with_label_values(&[class.name()]).set(count as i64);
        }
        for stuck in &found {
            let (class, index) = (stuck.class.name(), stuck.index.as_str());
            if self.is_new(&mut facts, format!("stuck {index} {class}")) {
                let remedy = stuck.class.remedy();
                tracing::warn!(
                    index,
                    data_stream = stuck.stream,
                    class,
                    told = stuck.told,
                    remedy,
                    "an index is stuck in its lifecycle"
                );
            }
        }
        if self.settings.repairs {
            self.repairs.carry_out(&self.client, &found, now, &self.metrics).await;
        }
        let switched_on = self.settings.budget_deletes;
        self.budgets.enforce(&self.client, &self.desired, &observation, now_millis, switched_on, &self.metrics).await;
        self.report_sizes(&observation, now_millis, &mut facts);
        self.logged = facts;
        Ok(())
    }

    /// Returns whether a fact was not reported before.
    fn is_new(&self, facts: &mut BTreeSet<String>, fact: String) -> bool {
        let new = !self.logged.contains(&fact);
        facts.insert(fact);
        new
    }

    fn report_cluster(&self, actual: &Actual) {
        for capability in Capability::ALL {
            self.metrics.capability.with_label_values(&[capability.name()]).set(i64::from(actual.capability == capability));
        }
        for status in ["green", "yellow", "red"] {
            self.metrics.health.with_label_values(&[status]).set(i64::from(actual.health == status));
        }
        self.metrics.read_only.set(i64::from(actual.blocked.is_some()));
    }

    fn report_drift(&self, plan: &Plan, facts: &mut BTreeSet<String>) {
        for kind in ObjectKind::ALL {
            for action in PlanAction::ALL {
                let count = plan.steps.iter().filter(|step| step.kind == kind && step.action == action).count();
                self.metrics.drift.with_label_values(&[kind.name(), action.name()]).set(count as i64);
            }
        }
        self.metrics.refused.set(plan.refusals.len() as i64);
        self.metrics.left_alone.set(plan.left_alone.len() as i64);
        for step in &plan.steps {
            let places: Vec<_> = step.changes.iter().map(|change| change.path.as_str()).collect();
            let (action, kind, name, places) = (step.action.name(), step.kind.name(), &step.name, places.join(", "));
            if self.is_new(facts, format!("drift {action} {kind} {name} {places}")) {
                tracing::warn!(
                    action,
                    kind,
                    object = name,
                    places,
                    "the cluster differs from the declared files; `logship apply` would change it"
                );
            }
        }
        for refusal in &plan.refusals {
            if self.is_new(facts, format!("refused {} {}", refusal.kind, refusal.name)) {
                let (kind, object, why) = (refusal.kind, &refusal.name, &refusal.why);
                tracing::warn!(
                    kind,
                    object,
                    why,
                    "the cluster differs from the declared files, but a guard would refuse the change"
                );
            }
        }
    }

    fn report_sizes(&self, observation: &ClusterObservation, now_millis: i64, facts: &mut BTreeSet<String>) {
        self.metrics.lifecycle_running.set(i64::from(observation.lifecycle_running));
        let told = forecast::forecast(&self.desired, observation, now_millis);
        self.report_forecast(&told);
        let advice = advice::advise(observation);
        for topic in AdviceTopic::ALL {
            let count = advice.iter().filter(|advice| advice.topic == topic).count();
            self.metrics.advice.with_label_values(&[topic.name()]).set(count as i64);
        }
        for advice in &advice {
            // Sizes in the text change with every check; the stream at its start does not.
            let subject = advice.told.split(':').next().unwrap_or_default();
            if self.is_new(facts, format!("advice {} {subject}", advice.topic.name())) {
                tracing::info!(topic = advice.topic.name(), advice = advice.told, "sizing");
            }
        }
    }

    fn report_forecast(&self, told: &Forecast) {
        let days = |days: Option<u32>| f64::from(days.unwrap_or(HORIZON_DAYS));
        self.metrics.days.reset();
        for ((watermark, _), until) in WATERMARKS.iter().zip(told.days).filter(|(_, until)| until.is_some() || told.growth_known)
        {
            self.metrics.days.with_label_values(&[watermark]).set(days(until));
        }
        self.metrics.disk.with_label_values(&["total"]).set(told.disk_total as f64);
        self.metrics.disk.with_label_values(&["used"]).set(told.disk_used as f64);
        // A stream that is declared no longer must not retain a value.
        self.metrics.stream_days.reset();
        self.metrics.stream_bytes.reset();
        self.metrics.stream_growth.reset();
        for stream in &told.streams {
            let name = [stream.stream.as_str()];
            if stream.days.is_some() || stream.bytes_per_day.is_some() {
                self.metrics.stream_days.with_label_values(&name).set(days(stream.days));
            }
            self.metrics.stream_bytes.with_label_values(&name).set(stream.bytes as f64);
            if let Some(rate) = stream.bytes_per_day {
                self.metrics.stream_growth.with_label_values(&name).set(rate * 1000.0 / MILLIS_PER_DAY as f64);
            }
        }
    }
}

//! This module is the only stage that sends. It asks the planner for the next action, has the message claimed, makes the call,
//! and passes the outcome to the planner and the writer. Retry, deadlines, budgets, metrics and logs of deliveries are here only.

mod attempt;
pub mod buttons;
mod causes;
pub mod words;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use alertbot_core::{
    delivery::{Address, DeliveryOutcome},
    message::{
        catalogue::{Text, say},
        notice::plain_words,
    },
    moment::{Moment, timestamp},
    schedule::{Action, Item, Limits, MessageKind, Planner, Restored, Step, Urgency, Verdict},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    clock::Clock,
    metrics::DeliveryMetrics,
    notify::Receivers,
    picture::{ChartRenderer, PictureFault, renderer::ChartState},
    routing::Routing,
    writer::{
        Change, Writer,
        deliver::{Claim, Dispatch, Finish, FinishDigest, NotDrawn},
        timers::Overdue,
    },
};

pub use causes::Causes;

/// Dependencies of the sender.
pub struct Sender {
    pub planner: Planner,
    pub writer: Writer,
    pub routing: Arc<Routing>,
    pub receivers: Arc<Receivers>,
    pub renderer: ChartRenderer,
    pub clock: Clock,
    pub metrics: DeliveryMetrics,
    pub changes: mpsc::UnboundedReceiver<Change>,
    /// Number of waiting messages, read by the webhook.
    pub queued: Arc<AtomicUsize>,
    /// Notified when a silence must be ended in an Alertmanager.
    pub end_silences: Arc<tokio::sync::Notify>,
    /// Notified when the time of the next step may have changed.
    pub timers: Arc<tokio::sync::Notify>,
    /// Notified when incidents must be reconciled with Alertmanager now.
    pub compare: tokio::sync::watch::Sender<()>,
    pub causes: Causes,
}

/// Report of a started task.
enum TaskReport {
    Withdrawn { ids: Vec<i64> },
    Ended { ids: Vec<i64>, dispatch: Box<Dispatch>, digest: bool, outcome: DeliveryOutcome, rest: Vec<String>, took: Duration },
    Probed { carrier: String, answered: bool },
    Drawn { id: i64, drawn: Result<(), PictureFault> },
}

/// Attempts to record a result while the store is not writable, one second apart.
const FINISH_TRIES: usize = 60;
/// Retry interval of a chart that found no free render slot.
const CHART_RETRY: Duration = Duration::from_secs(1);
/// Minimum interval between updates of the gauges.
const GAUGES_EVERY: Duration = Duration::from_secs(1);

/// Limits of each carrier in the configuration.
pub fn limits(routing: &Routing) -> Limits {
    use alertbot_core::schedule::CarrierLimits;
    let bots = routing.config.bots.iter().map(|bot| {
        let budget = bot.budget;
        let limits = CarrierLimits::telegram(
            budget.overall_per_second as usize,
            budget.chat_per_minute as usize,
            budget.group_per_minute as usize,
        );
        (bot.name.clone(), limits)
    });
    let providers = routing.config.providers.iter().map(|one| (one.name.clone(), CarrierLimits::phone(one.per_minute as usize)));
    Limits { carriers: bots.chain(providers).collect() }
}

/// A planner with the state from before the restart.
pub fn planner(routing: &Routing, restored: &Restored) -> Planner {
    Planner::new(limits(routing), restored)
}

impl Sender {
    /// Sends until the shutdown. The caller's deadline bounds the wait for calls in flight.
    pub async fn run(mut self, stop: CancellationToken) {
        let (reports, mut reported) = mpsc::unbounded_channel();
        let mut under_way = 0_usize;
        let mut gauges_at = Moment::ZERO;
        loop {
            while let Ok(change) = self.changes.try_recv() {
                self.take(change);
            }
            self.queued.store(self.planner.len(), Ordering::Relaxed);
            let now = self.clock.moment();
            if now >= gauges_at {
                self.gauges(now);
                gauges_at = now + GAUGES_EVERY;
            }
            let wait = if stop.is_cancelled() {
                None
            } else {
                match self.planner.step(now) {
                    Step::Do(action) => {
                        under_way += usize::from(self.act(action, &reports));
                        continue;
                    }
                    Step::Wait(wait) => wait,
                }
            };
            if stop.is_cancelled() && under_way == 0 {
                return;
            }
            let wake = self.clock.instant(wait.unwrap_or(gauges_at).min(gauges_at));
            tokio::select! {
                change = self.changes.recv() => match change {
                    Some(change) => self.take(change),
                    None => return,
                },
                Some(report) = reported.recv() => {
                    under_way -= 1;
                    self.record(report);
                }
                () = tokio::time::sleep_until(wake.into()) => {}
                () = stop.cancelled(), if !stop.is_cancelled() => {}
            }
        }
    }

    fn take(&mut self, change: Change) {
        match change {
            Change::Put(item) => self.planner.put(*item, self.clock.moment()),
            Change::Caused(id, cause) => self.causes.remember(id, cause),
            Change::Remove(id) => {
                self.planner.remove(id);
                self.causes.forget(id);
                self.renderer.forget(id);
            }
            Change::EndSilence => self.end_silences.notify_one(),
            Change::Timers => self.timers.notify_one(),
            Change::Compare => self.compare.send_replace(()),
        }
    }

    /// Starts the planner's action. Returns whether a report will follow.
    fn act(&mut self, action: Action, reports: &mpsc::UnboundedSender<TaskReport>) -> bool {
        let reports = reports.clone();
        match action {
            Action::Send(id) if self.awaits_picture(id) => return self.draw(id, reports),
            Action::Send(id) => self.send(vec![id], false, reports),
            Action::Together(ids) => self.send(ids, false, reports),
            Action::Digest(ids) => self.send(ids, true, reports),
            Action::Probe(carrier) => {
                let receivers = Arc::clone(&self.receivers);
                tokio::spawn(async move {
                    let answered = receivers.probe(&carrier).await;
                    let _ = reports.send(TaskReport::Probed { carrier, answered });
                });
            }
            Action::Overdue(id) => {
                self.metrics.overdue.inc();
                let writer = self.writer.clone();
                tokio::spawn(async move {
                    if let Err(error) = writer.perform(Overdue { id }).await {
                        tracing::error!(%error, outbox.id = id, "failed to notify the next channel of an overdue message");
                    }
                });
                return false;
            }
        }
        true
    }

    fn awaits_picture(&self, id: i64) -> bool {
        self.planner.get(id).is_some_and(|item| item.kind == MessageKind::Picture) && self.renderer.get(id).is_none()
    }

    /// A chart gives up its turn until it is rendered, so that other messages in its chat do not wait.
    fn draw(&mut self, id: i64, reports: mpsc::UnboundedSender<TaskReport>) -> bool {
        let now = self.clock.moment();
        self.planner.withdrawn(&[id], now);
        let held = self.renderer.ask(id);
        let wait = if held == ChartState::NoRoom { CHART_RETRY } else { self.routing.config.picture.timeout * 3 };
        self.turn(id, now + wait);
        if held != ChartState::Begin {
            return false;
        }
        let renderer = self.renderer.clone();
        tokio::spawn(async move {
            let drawn = renderer.draw(id).await;
            let _ = reports.send(TaskReport::Drawn { id, drawn });
        });
        true
    }

    /// Postpones a message.
    fn turn(&mut self, id: i64, not_before: Moment) {
        if let Some(item) = self.planner.get(id).cloned() {
            self.planner.put(Item { not_before, ..item }, self.clock.moment());
        }
    }

    fn drawn(&mut self, id: i64, drawn: Result<(), PictureFault>) {
        match drawn {
            Ok(()) => self.turn(id, self.clock.moment()),
            Err(fault) => {
                tracing::warn!({ outbox.id = id, reason = %fault }, "failed to render a chart");
                let Some(address) = self.planner.get(id).map(|item| item.address.clone()) else { return };
                self.planner.remove(id);
                let reader = self.routing.reader(&address, self.clock.now());
                let reason = fault.to_string();
                let text = plain_words(&say(reader.language, Text::NoPicture { reason: &reason }), &reader);
                self.finish(move || NotDrawn { id, reason: fault.to_string(), text: text.clone() });
            }
        }
    }

    fn send(&self, ids: Vec<i64>, digest: bool, reports: mpsc::UnboundedSender<TaskReport>) {
        let (writer, receivers, routing) = (self.writer.clone(), Arc::clone(&self.receivers), Arc::clone(&self.routing));
        let (clock, renderer) = (self.clock, self.renderer.clone());
        let span = self.causes.span(&ids);
        let sending = async move {
            // Fails if the sender has ended. The restart then finds the claim.
            let _ = reports.send(match writer.perform(Claim { ids: ids.clone(), digest }).await {
                Ok(Some(dispatch)) => {
                    let began = clock.moment();
                    let (outcome, rest) = attempt::attempt(&receivers, &routing, &renderer, &dispatch, clock.now()).await;
                    if !matches!(outcome, DeliveryOutcome::Delivered { .. }) {
                        service_kit::trace::failed(outcome.name(), String::new());
                    }
                    TaskReport::Ended {
                        ids,
                        dispatch: Box::new(dispatch),
                        digest,
                        outcome,
                        rest,
                        took: clock.moment().saturating_sub(began),
                    }
                }
                Ok(None) => TaskReport::Withdrawn { ids },
                Err(_) => {
                    // The store is not writable, which the writer has logged. The message waits a moment and is retried.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    TaskReport::Withdrawn { ids }
                }
            });
        };
        tokio::spawn(sending.instrument(span));
    }

    fn record(&mut self, report: TaskReport) {
        let now = self.clock.moment();
        match report {
            TaskReport::Withdrawn { ids } => self.planner.withdrawn(&ids, now),
            TaskReport::Probed { carrier, answered } => {
                tracing::info!(carrier, answered, "probed a carrier");
                self.planner.probed(&carrier, answered, now);
            }
            TaskReport::Drawn { id, drawn } => self.drawn(id, drawn),
            TaskReport::Ended { ids, dispatch, digest, outcome, rest, took } => {
                self.count(&dispatch, &outcome, took);
                let ended_at = timestamp(now);
                let anew = dispatch.anew;
                if digest {
                    self.planner.digest_ended(&ids, &outcome, now);
                    let digest = dispatch.messages[0].id;
                    self.finish(move || FinishDigest { digest, outcome: outcome.clone(), rest: rest.clone(), ended_at });
                } else {
                    // Some of the messages sent together may no longer have been needed.
                    let verdicts = self.planner.ended(&ids, &outcome, now);
                    for (id, _) in verdicts.iter().filter(|(_, verdict)| !matches!(verdict, Verdict::Again { .. })) {
                        self.renderer.forget(*id);
                        self.causes.forget(*id);
                    }
                    self.count_verdicts(&dispatch, &verdicts);
                    self.finish(move || Finish {
                        verdicts: verdicts.clone(),
                        outcome: outcome.clone(),
                        rest: rest.clone(),
                        ended_at,
                        anew,
                    });
                }
            }
        }
    }

    /// Records the result of a call, in the order in which calls ended. Retries, because the store may be unavailable for a
    /// while.
    fn finish<J: crate::writer::WriterCommand>(&self, command: impl Fn() -> J + Send + 'static) {
        let first = self.writer.post(command());
        let writer = self.writer.clone();
        tokio::spawn(async move {
            let mut result = first.await.map(drop);
            for _ in 0..FINISH_TRIES {
                if result.is_ok() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
                result = writer.perform(command()).await.map(drop);
            }
            tracing::error!("failed to record a delivery result; treating it as unknown after a restart");
        });
    }

    fn count(&self, dispatch: &Dispatch, outcome: &DeliveryOutcome, took: Duration) {
        let first = &dispatch.messages[0];
        let channel = first.address.channel();
        self.metrics.sent.with_label_values(&[channel, first.kind.name(), outcome.name()]).inc();
        self.metrics.call.with_label_values(&[channel]).observe(took.as_secs_f64());
        let (address, kind) = (first.address.to_string(), first.kind.name());
        let duration = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        match outcome {
            DeliveryOutcome::Delivered { .. } => {
                let now = self.clock.now();
                for message in dispatch.messages.iter().filter(|message| message.urgency <= Urgency::Ordinary) {
                    let seconds = now.duration_since(message.since).as_secs_f64();
                    let labels = [channel, urgency_name(message.urgency)];
                    self.metrics.accepted_to_sent.with_label_values(&labels).observe(seconds);
                }
                tracing::info!(
                    { event.duration = duration, address, kind, outbox.id = first.id, incident.id = first.incident.map(|id| id.0) },
                    "delivered"
                );
            }
            DeliveryOutcome::TryAgain { reason }
            | DeliveryOutcome::Unknown { reason }
            | DeliveryOutcome::Unparsable { reason } => tracing::warn!(
                { event.duration = duration, address, kind, outbox.id = first.id, outcome = outcome.name(), reason },
                "not delivered"
            ),
            DeliveryOutcome::Refused { reason, dead } => tracing::error!(
                { event.duration = duration, address, kind, outbox.id = first.id, dead, reason },
                "the receiver refused the message"
            ),
            DeliveryOutcome::RateLimited { retry_after } => tracing::warn!(
                { address, kind, outbox.id = first.id, retry_after_seconds = retry_after.as_secs() },
                "rate limited"
            ),
            DeliveryOutcome::Moved { .. } | DeliveryOutcome::TopicGone | DeliveryOutcome::MessageGone => {
                tracing::warn!({ address, kind, outbox.id = first.id, outcome = outcome.name() }, "not delivered as sent; retrying in another way");
            }
        }
    }

    fn count_verdicts(&self, dispatch: &Dispatch, verdicts: &[(i64, Verdict)]) {
        for (_, verdict) in verdicts {
            if let Verdict::GivenUp { dead, reason } = verdict {
                let channel = dispatch.messages[0].address.channel();
                let why = if *dead {
                    "dead"
                } else if dispatch.messages[0].maybe_sent {
                    "unknown"
                } else {
                    "refused"
                };
                self.metrics.given_up.with_label_values(&[channel, why]).inc();
                let address = dispatch.messages[0].address.to_string();
                tracing::error!(channel, address, reason, outbox.id = dispatch.messages[0].id, "dropped a message; not retrying");
            }
        }
    }

    fn gauges(&mut self, now: Moment) {
        let oldest = self.planner.oldest().map_or(0.0, |since| now.saturating_sub(since).as_secs_f64());
        self.metrics.oldest.set(oldest);
        let mut counts = std::collections::BTreeMap::new();
        for channel in ["telegram", "sms", "voice"] {
            for urgency in Urgency::ALL {
                counts.insert((channel, urgency), 0_i64);
            }
        }
        for item in self.planner.items() {
            *counts.entry((item.address.channel(), item.urgency)).or_default() += 1;
        }
        for ((channel, urgency), count) in counts {
            self.metrics.queued.with_label_values(&[channel, urgency_name(urgency)]).set(count);
        }
        self.planner.forget_idle(now);
        let budgets = self.planner.budgets(now);
        for chat in &self.routing.config.chats {
            let lane = Address::Telegram { bot: chat.bot.clone(), chat: chat.id, topic: None };
            let full = || {
                self.routing
                    .config
                    .bot(&chat.bot)
                    .map_or(0, |bot| if chat.id < 0 { bot.budget.group_per_minute } else { bot.budget.chat_per_minute })
            };
            let left = budgets.iter().find(|(address, _)| *address == lane).map_or_else(|| full() as usize, |(_, left)| *left);
            self.metrics.budget.with_label_values(&[&chat.name]).set(i64::try_from(left).unwrap_or(i64::MAX));
        }
        let trouble: Vec<String> = self.planner.carriers_in_trouble().map(str::to_owned).collect();
        for carrier in self.receivers.carriers() {
            let value = i64::from(trouble.iter().any(|name| name == carrier));
            self.metrics.trouble.with_label_values(&[carrier]).set(value);
        }
    }
}

fn urgency_name(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::Critical => "critical",
        Urgency::Answer => "answer",
        Urgency::Ordinary => "ordinary",
        Urgency::Quiet => "quiet",
        Urgency::Picture => "picture",
    }
}

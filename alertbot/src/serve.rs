//! `alertbot serve`, assembled: store, writer, sender, listeners, and the order in which they end. Never: what they do.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::SignedDuration;
use service_kit::{
    admin::{self, Admin},
    health::{Health, Latch},
    metrics::Metrics,
    shutdown::Shutdown,
    telemetry::LogLevel,
};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc, watch},
};
use tokio_util::sync::CancellationToken;

use crate::{
    alertmanager::{
        Alertmanager,
        reconcile::{Reconciler, end_silences as end_silences_of},
    },
    chatops::{
        BotContext,
        updates::{self, POLL_SECONDS},
    },
    clock::{Clock, moment},
    config::Config,
    door::Door,
    metrics::AlertbotMetrics,
    notify::telegram::Telegram,
    picture::ChartRenderer,
    schedule::Restored,
    sender::{self, Receivers, Sender},
    store::{Store, incidents, lanes, outbox},
    watchdog,
    webhook::server::{self, Intake},
    writer::{Housekeeping, Routing, Writer, duty_override, handover::HandOver, rematch::Rematch, resume::Resume, timers::Due},
};

/// Where the bot listens.
pub struct Listeners {
    /// Webhooks and callbacks.
    pub http: TcpListener,
    /// Metrics, liveness, readiness.
    pub admin: TcpListener,
}

/// How long the state machine's clock sleeps at most: a step is never later than this.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// A handover is said this late at most.
const HANDOVERS_EVERY: Duration = Duration::from_secs(5);
const HOUSEKEEPING_EVERY: Duration = Duration::from_secs(600);
const GAUGES_EVERY: Duration = Duration::from_secs(5);
/// The fact that is written to learn whether the disk takes anything.
const STORE_PROBE: &str = "store_probe";
/// A request for updates is held so long, and then needs its time like any other.
const POLL_MARGIN: Duration = Duration::from_secs(POLL_SECONDS as u64);
/// What the budgets must remember of the time before a restart.
const REMEMBERED: SignedDuration = SignedDuration::from_secs(70);

/// The routes of one configuration go in here.
#[derive(Clone, Default)]
pub struct Doors {
    pub http: Door,
    pub admin: Door,
}

/// Serves on given listeners. Returns when the shutdown has begun and everything has ended.
pub async fn run_on(listeners: Listeners, config: Config, level: LogLevel, shutdown: Shutdown) -> anyhow::Result<()> {
    let doors = Doors::default();
    part(&shutdown, "webhook listener", doors.http.clone().serve(listeners.http, shutdown.token()));
    // Open until the very end, so that the last minutes are scraped and readiness says no.
    tokio::spawn(doors.admin.clone().serve(listeners.admin, CancellationToken::new()));
    run_with(doors, config, level, shutdown, Arc::new(AtomicBool::new(true))).await
}

/// The same behind doors. `reloaded`: whether the last attempt to replace the configuration succeeded.
pub async fn run_with(
    doors: Doors,
    config: Config,
    level: LogLevel,
    shutdown: Shutdown,
    reloaded: Arc<AtomicBool>,
) -> anyhow::Result<()> {
    let metrics = Metrics::new("alertbot", env!("CARGO_PKG_VERSION"), option_env!("ALERTBOT_COMMIT"));
    let own = AlertbotMetrics::register(&metrics)?;
    own.start_at_zero(&config);
    let health = Health::new();
    let ready = health.latch("store", "opening the database");
    let admin = Admin { metrics, health: health.clone(), log_level: level };
    doors.admin.open(admin::router(admin));

    let clock = Clock::default();
    let store = Store::open(&config.store.path, config.store.bytes).await?;
    let now = clock.now();
    let readers = store.readers.clone();
    let (chat_migrations, lost_topics) = (lanes::chat_migrations(&readers).await?, lanes::lost_topics(&readers).await?);
    let routing = Arc::new(Routing::new(config, chat_migrations, lost_topics));
    for (schedule, known) in duty_override::all(&readers).await? {
        routing.learn_duty_override(schedule, known);
    }
    let receivers = Arc::new(Receivers::new(&routing.config)?);
    let restored = Restored {
        blocked: lanes::blocked(&readers, now).await?.into_iter().map(|(lane, until)| (lane, moment(until))).collect(),
        called: outbox::called_since(&readers, now.checked_sub(REMEMBERED)?)
            .await?
            .into_iter()
            // A clock that was set back makes calls of the future: they count from now.
            .map(|(address, at)| (address.lane(), moment(at.min(now))))
            .collect(),
    };
    let (changes, changed) = mpsc::unbounded_channel();
    let (writer, writer_task) = Writer::start(store, Arc::clone(&routing), clock, changes, &own);
    let mut planner = sender::planner(&routing, &restored);
    let resumed = writer.perform(Resume).await?;
    for channel in resumed.given_up {
        own.delivery.given_up.with_label_values(&[channel, "unknown"]).inc();
    }
    for item in resumed.queue {
        planner.put(item, clock.moment());
    }
    // After the queue: what it tells goes into it.
    writer.perform(Rematch).await?;
    let queued = Arc::new(AtomicUsize::new(planner.len()));

    let (end_silences, timers) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let compare = watch::Sender::new(());
    let stop = shutdown.token();
    let sender = Sender {
        planner,
        writer: writer.clone(),
        routing: Arc::clone(&routing),
        receivers: Arc::clone(&receivers),
        renderer: ChartRenderer::new(Arc::clone(&routing), readers.clone(), clock, own.delivery.clone())?,
        clock,
        metrics: own.delivery.clone(),
        changes: changed,
        queued: Arc::clone(&queued),
        end_silences: Arc::clone(&end_silences),
        timers: Arc::clone(&timers),
        compare: compare.clone(),
    };
    let heard = watchdog::Heard::restore(&writer, &routing.config.alertmanagers, clock).await?;
    let mut alertmanagers = Vec::new();
    for settings in &routing.config.alertmanagers {
        alertmanagers.extend(Alertmanager::new(settings)?);
    }
    let oversized = reconcile(&shutdown, &alertmanagers, &writer, clock, &own, &compare);
    part(&shutdown, "silences", end_silences_of(alertmanagers.clone(), writer.clone(), end_silences, stop.clone()));
    let alertmanagers = Arc::new(alertmanagers);
    for bot in routing.config.bots.iter().filter(|bot| bot.listens) {
        let context = BotContext {
            writer: writer.clone(),
            clock,
            alertmanagers: Arc::clone(&alertmanagers),
            metrics: own.people.clone(),
            compare: compare.clone(),
            bot: bot.name.clone(),
            telegram: receivers.bots[&bot.name].clone(),
            username: Arc::default(),
        };
        let poll = Telegram::new(&bot.token, &bot.api_url, bot.proxy.as_ref(), bot.timeout + POLL_MARGIN)?;
        part(&shutdown, "updates", updates::follow(context, poll, stop.clone()));
    }
    let intake =
        Intake::new(Arc::clone(&routing), writer.clone(), Arc::clone(&receivers), &own, oversized, heard.clone(), queued);

    doors.http.open(server::router(intake));
    part(&shutdown, "sender", sender.run(stop.clone()));
    part(&shutdown, "timers", step(writer.clone(), clock, timers, stop.clone()));
    part(&shutdown, "handovers", hand_over(writer.clone(), stop.clone()));
    part(&shutdown, "housekeeping", keep_house(writer.clone(), clock, own.clone(), stop.clone()));
    let alertmanagers = routing.config.alertmanagers.clone();
    part(
        &shutdown,
        "watchdog",
        watchdog::watch(alertmanagers, heard.clone(), writer.clone(), own.incident.clone(), stop.clone()),
    );
    if let Some(heartbeat) = routing.config.heartbeat.clone() {
        part(&shutdown, "heartbeat", watchdog::beat(heartbeat, heard, writer.clone(), receivers, own.clone(), stop.clone()));
    }
    tokio::spawn(gauge(writer.clone(), clock, own, (health, ready), reloaded, stop.clone()));
    stop.cancelled().await;
    doors.http.close();
    drop(writer);
    // The writer ends when the last of the others has let go of it.
    let _ = writer_task.await;
    Ok(())
}

/// Compares open incidents with each Alertmanager; the sender is told the name of one whose webhook was too large.
fn reconcile(
    shutdown: &Shutdown,
    alertmanagers: &[Alertmanager],
    writer: &Writer,
    clock: Clock,
    metrics: &AlertbotMetrics,
    compare: &watch::Sender<()>,
) -> mpsc::UnboundedSender<String> {
    let (oversized, mut named) = mpsc::unbounded_channel::<String>();
    let mut of = std::collections::HashMap::new();
    for alertmanager in alertmanagers {
        let (told, oversized) = mpsc::unbounded_channel();
        of.insert(alertmanager.name.clone(), told);
        let reconciler = Reconciler {
            alertmanager: alertmanager.clone(),
            writer: writer.clone(),
            clock,
            metrics: metrics.incident.clone(),
            oversized,
            at_once: compare.subscribe(),
        };
        let every = writer.routing.config.incidents.reconcile_every;
        part(shutdown, "reconciliation", reconciler.run(every, shutdown.token()));
    }
    tokio::spawn(async move {
        while let Some(name) = named.recv().await {
            match of.get(&name) {
                // Fails when the program is ending.
                Some(told) => drop(told.send(())),
                None => tracing::error!(
                    alertmanager = name,
                    "a webhook was too large, and there is no address to read its alerts from"
                ),
            }
        }
    });
    oversized
}

fn part(shutdown: &Shutdown, name: &'static str, running: impl Future<Output = ()> + Send + 'static) {
    let part = shutdown.part(name);
    tokio::spawn(async move {
        running.await;
        drop(part);
    });
}

/// Lets the state machine take its steps when they are due.
async fn step(writer: Writer, clock: Clock, changed: Arc<Notify>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let sleep = match writer.perform(Due).await {
            Ok(Some(due)) => {
                let now = clock.now().as_millisecond();
                Duration::from_millis(u64::try_from(due.saturating_sub(now)).unwrap_or(0)).min(LONGEST_SLEEP)
            }
            Ok(None) => LONGEST_SLEEP,
            Err(_) => Duration::from_secs(1),
        };
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            () = changed.notified() => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Says who comes on duty and who goes.
async fn hand_over(writer: Writer, stop: CancellationToken) {
    loop {
        if let Err(error) = writer.perform(HandOver).await {
            tracing::warn!(%error, "handovers were not said; they will be");
        }
        if stop.run_until_cancelled(tokio::time::sleep(HANDOVERS_EVERY)).await.is_none() {
            return;
        }
    }
}

/// Removes what is old, a little at a time.
async fn keep_house(writer: Writer, clock: Clock, metrics: AlertbotMetrics, stop: CancellationToken) {
    let retention = SignedDuration::try_from(writer.routing.config.store.retention).unwrap_or(SignedDuration::MAX);
    loop {
        let horizon = clock.now().checked_sub(retention).unwrap_or(jiff::Timestamp::MIN);
        while let Ok((removed, used, free)) = writer.perform(Housekeeping { horizon }).await {
            metrics.store.removed.inc_by(removed);
            metrics.store.bytes.with_label_values(&["used"]).set(used);
            metrics.store.bytes.with_label_values(&["free"]).set(free);
            if removed == 0 || stop.is_cancelled() {
                break;
            }
        }
        if stop.run_until_cancelled(tokio::time::sleep(HOUSEKEEPING_EVERY)).await.is_none() {
            return;
        }
    }
}

/// What is counted from time to time rather than when it happens; and readiness, which follows the store.
async fn gauge(
    writer: Writer,
    clock: Clock,
    metrics: AlertbotMetrics,
    (health, ready): (Health, Latch),
    reloaded: Arc<AtomicBool>,
    stop: CancellationToken,
) {
    loop {
        metrics.people.reloaded.set(i64::from(reloaded.load(Ordering::Relaxed)));
        if metrics.store.writable.get() == 0 {
            // Nobody may send anything to a program that is not ready: it finds out by itself when the disk takes something again.
            let probe = crate::writer::Remember { name: STORE_PROBE.into(), value: clock.now().to_string() };
            let _ = writer.perform(probe).await;
        }
        if metrics.store.writable.get() == 1 {
            ready.open();
        } else {
            ready.close("the last commit failed");
        }
        metrics.people.ready.set(i64::from(health.is_ready()));
        metrics.incident.clock_stepped.set(clock.stepped_seconds());
        for schedule in &writer.routing.config.schedules {
            let on_duty = writer.routing.on_duty(&schedule.name, clock.now()).is_some();
            metrics.people.on_duty.with_label_values(&[&schedule.name]).set(i64::from(on_duty));
        }
        if let Ok(count) = incidents::count_escalation_lost(&writer.readers).await {
            metrics.incident.escalation_lost.set(count);
        }
        if let Ok(counts) = incidents::count_open(&writer.readers).await {
            for (phase, phase_name) in [(0, "firing"), (1, "acknowledged")] {
                for severity in crate::incident::Severity::ALL {
                    let row = counts.iter().find(|(p, s, _)| *p == phase && *s == incidents::severity(severity));
                    let labels = [phase_name, severity.name()];
                    metrics.incident.open.with_label_values(&labels).set(row.map_or(0, |(_, _, count)| *count));
                }
            }
        }
        if stop.run_until_cancelled(tokio::time::sleep(GAUGES_EVERY)).await.is_none() {
            return;
        }
    }
}

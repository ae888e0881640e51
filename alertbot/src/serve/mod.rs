//! This module assembles `alertbot serve`: store, writer, sender, listeners, and the order in which they end. It must not contain
//! their work.

mod at_zero;
mod calendars;
mod upkeep;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize},
    },
    time::Duration,
};

use alertbot_core::{moment::moment, schedule::Restored};
use jiff::SignedDuration;
use service_kit::{
    admin::{self, Admin},
    health::Health,
    metrics::Metrics,
    shutdown::Shutdown,
    telemetry::LogLevel,
};
use tokio::{
    net::TcpListener,
    sync::{Notify, Semaphore, mpsc, watch},
};
use tokio_util::sync::CancellationToken;

use calendars::CalendarReader;

use crate::{
    alertmanager::AlertmanagerClient,
    chatops::{
        BotContext,
        reply::ReplyContext,
        updates::{self, POLL_SECONDS},
    },
    clock::Clock,
    config::Config,
    http::{self, callback::CallbackContext, door::Door, webhook::WebhookContext},
    metrics::AlertbotMetrics,
    notify::{Receivers, telegram::Telegram},
    picture::ChartRenderer,
    reconcile::{Reconciler, end_silences as end_silences_of},
    routing::Routing,
    sender::{self, Sender},
    store::{Store, lanes, outbox},
    watchdog,
    writer::{Writer, duty_override, rematch::Rematch, resume::Resume, watchdogs::Watchdogs},
};

/// Where the bot listens.
pub struct Listeners {
    /// Webhooks and callbacks.
    pub http: TcpListener,
    /// Metrics, liveness, readiness.
    pub admin: TcpListener,
}

/// Telegram answers a request for updates after this time at the latest. The usual timeout is added.
const POLL_MARGIN: Duration = Duration::from_secs(POLL_SECONDS as u64);
/// Calls of this time before a restart count against the budgets.
const REMEMBERED: SignedDuration = SignedDuration::from_secs(70);

/// The listeners, which outlive a configuration and its routes.
#[derive(Clone, Default)]
pub struct Doors {
    pub http: Door,
    pub admin: Door,
}

/// Serves on the given listeners. Returns after the shutdown.
pub async fn run_on(listeners: Listeners, config: Config, level: LogLevel, shutdown: Shutdown) -> anyhow::Result<()> {
    let doors = Doors::default();
    part(&shutdown, "webhook listener", doors.http.clone().serve(listeners.http, shutdown.token()));
    // Open until the end, so that the last minutes are scraped and readiness is reported as false.
    tokio::spawn(doors.admin.clone().serve(listeners.admin, CancellationToken::new()));
    run_with(doors, config, level, shutdown, Arc::new(AtomicBool::new(true))).await
}

/// Like [`run_on`], behind doors. `reloaded`: whether the last attempt to replace the configuration succeeded.
pub async fn run_with(
    doors: Doors,
    config: Config,
    level: LogLevel,
    shutdown: Shutdown,
    reloaded: Arc<AtomicBool>,
) -> anyhow::Result<()> {
    let metrics = Metrics::new("alertbot", env!("CARGO_PKG_VERSION"), option_env!("ALERTBOT_COMMIT"));
    let own = AlertbotMetrics::register(&metrics)?;
    at_zero::start_at_zero(&own, &config);
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
        routing.add_duty_override(schedule, known);
    }
    let receivers = Arc::new(Receivers::new(&routing.config)?);
    let restored = Restored {
        blocked: lanes::blocked(&readers, now).await?.into_iter().map(|(lane, until)| (lane, moment(until))).collect(),
        called: outbox::called_since(&readers, now.checked_sub(REMEMBERED)?)
            .await?
            .into_iter()
            // After the clock was set back, calls may be in the future. They count from now.
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
    let mut calendars = Vec::new();
    for source in routing.config.calendars.clone() {
        calendars.push(CalendarReader::restore(source, writer.clone(), clock, own.calendar.clone()).await?);
    }
    // After the queue is restored, because it adds messages.
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
        causes: crate::sender::Causes::default(),
    };
    let watchdogs = Watchdogs::restore(&readers, &routing.config.alertmanagers, clock).await?;
    let mut alertmanagers = Vec::new();
    for settings in &routing.config.alertmanagers {
        alertmanagers.extend(AlertmanagerClient::new(settings)?);
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
        part(&shutdown, "updates", updates::poll(context, poll, stop.clone()));
    }
    let webhooks = WebhookContext {
        writer: writer.clone(),
        metrics: own.webhook.clone(),
        oversized,
        watchdogs: watchdogs.clone(),
        queued,
        at_once: Arc::new(Semaphore::new(routing.config.limits.webhooks_at_once as usize)),
    };
    let replies = ReplyContext { writer: writer.clone(), metrics: own.webhook.clone(), people: own.people.clone() };
    let callbacks = CallbackContext { receivers: Arc::clone(&receivers), replies };
    doors.http.open(http::router(webhooks, callbacks));
    part(&shutdown, "sender", sender.run(stop.clone()));
    for calendar in calendars {
        part(&shutdown, "calendar", calendar.run(stop.clone()));
    }
    part(&shutdown, "timers", upkeep::step(writer.clone(), clock, timers, stop.clone()));
    part(&shutdown, "handovers", upkeep::hand_over(writer.clone(), stop.clone()));
    part(&shutdown, "housekeeping", upkeep::keep_house(writer.clone(), clock, own.clone(), stop.clone()));
    let alertmanagers = routing.config.alertmanagers.clone();
    part(
        &shutdown,
        "watchdog",
        watchdog::watch(alertmanagers, watchdogs.clone(), writer.clone(), own.incident.clone(), stop.clone()),
    );
    if let Some(heartbeat) = routing.config.heartbeat.clone() {
        part(&shutdown, "heartbeat", watchdog::beat(heartbeat, watchdogs, writer.clone(), receivers, own.clone(), stop.clone()));
    }
    tokio::spawn(upkeep::gauge(writer.clone(), clock, own, (health, ready), reloaded, stop.clone()));
    stop.cancelled().await;
    doors.http.close();
    drop(writer);
    // The writer ends when its last handle is dropped.
    let _ = writer_task.await;
    Ok(())
}

/// Starts a reconciliation for each Alertmanager. The returned sender takes the name of one whose webhook was too large.
fn reconcile(
    shutdown: &Shutdown,
    alertmanagers: &[AlertmanagerClient],
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
                // Fails while the program stops.
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

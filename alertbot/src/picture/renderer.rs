//! This module draws the charts of waiting messages, a few at a time, and holds them in memory until they are sent.
//!
//! - After a restart a chart is drawn again, with the time range of that moment.
//! - It must not select the next message or call Telegram.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use alertbot_core::incident::Incident;
use jiff::{SignedDuration, Timestamp};
use sqlx::SqlitePool;
use tokio::sync::Semaphore;

use super::{
    PictureFault,
    chart::{self, Chart},
    expression,
    prometheus::Prometheus,
    unit,
};
use crate::{
    clock::Clock,
    metrics::DeliveryMetrics,
    routing::Routing,
    store::{
        incidents,
        outbox::{self, Message, MessageBody},
    },
};

/// Most charts in memory, including those that are being drawn; about 60 kB each.
const HELD: usize = 32;
/// Concurrent queries of Prometheus. A query without an answer delays few others.
const ASKED_AT_ONCE: usize = 2;
/// Concurrent drawings. Each uses a processor and 4 MB for its pixels. One at a time is faster than chats accept charts.
const DRAWN_AT_ONCE: usize = 1;
/// Share of the range shown after the end of an incident.
const CALM: f64 = 0.1;

/// Shared by the sender and the drawing tasks.
#[derive(Clone)]
pub struct ChartRenderer(Arc<Inner>);

struct Inner {
    routing: Arc<Routing>,
    readers: SqlitePool,
    clock: Clock,
    client: reqwest::Client,
    metrics: DeliveryMetrics,
    asking: Semaphore,
    drawing: Semaphore,
    /// By the message's row; `None` while it is being drawn.
    held: Mutex<BTreeMap<i64, Option<Arc<Vec<u8>>>>>,
}

/// State of a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChartState {
    Ready,
    BeingDrawn,
    /// It is not being drawn, and the memory is full.
    NoRoom,
    /// It is not being drawn. The place is reserved for the caller.
    Begin,
}

impl ChartRenderer {
    /// # Errors
    /// Returns an error if the HTTP client cannot be built.
    pub fn new(routing: Arc<Routing>, readers: SqlitePool, clock: Clock, metrics: DeliveryMetrics) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().timeout(routing.config.picture.timeout).build()?;
        let (asking, drawing) = (Semaphore::new(ASKED_AT_ONCE), Semaphore::new(DRAWN_AT_ONCE));
        Ok(Self(Arc::new(Inner { routing, readers, clock, client, metrics, asking, drawing, held: Mutex::default() })))
    }

    /// After [`ChartState::Begin`] call [`Self::draw`].
    pub fn ask(&self, id: i64) -> ChartState {
        let mut held = self.held();
        match held.get(&id) {
            Some(Some(_)) => ChartState::Ready,
            Some(None) => ChartState::BeingDrawn,
            None if held.len() >= HELD => ChartState::NoRoom,
            None => {
                held.insert(id, None);
                ChartState::Begin
            }
        }
    }

    pub fn get(&self, id: i64) -> Option<Arc<Vec<u8>>> {
        self.held().get(&id).cloned().flatten()
    }

    /// The chart was sent, or is not needed.
    pub fn forget(&self, id: i64) {
        self.held().remove(&id);
    }

    /// Draws the chart of a message and stores it.
    pub async fn draw(&self, id: i64) -> Result<(), PictureFault> {
        let inner = &self.0;
        let timer = inner.metrics.picture_seconds.start_timer();
        // The wait for a place counts, because a late chart is useless.
        let drawn = tokio::time::timeout(inner.routing.config.picture.timeout * 2, inner.draw(id)).await;
        let drawn = drawn.unwrap_or(Err(PictureFault::TimedOut));
        timer.observe_duration();
        inner.metrics.pictures.with_label_values(&[if drawn.is_ok() { "drawn" } else { "failed" }]).inc();
        let mut held = self.held();
        match drawn {
            Ok(picture) => {
                // The place is empty if the message no longer needs its chart.
                if let Some(place) = held.get_mut(&id) {
                    *place = Some(Arc::new(picture));
                }
                Ok(())
            }
            Err(fault) => {
                held.remove(&id);
                Err(fault)
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<i64, Option<Arc<Vec<u8>>>>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    async fn draw(&self, id: i64) -> Result<Vec<u8>, PictureFault> {
        let asking = self.asking.acquire().await;
        let (message, incident) = self.read(id).await.map_err(|error| PictureFault::Drawing(error.to_string()))?;
        let Some(Message { body: MessageBody::Picture { expression, source, caption, .. }, address, .. }) = message else {
            return Err(PictureFault::Drawing("its message was deleted".into()));
        };
        let prometheus = self.prometheus(&source, incident.as_ref()).ok_or(PictureFault::NoSource)?;
        let range = self.routing.config.picture.range;
        let (start, end) = span(range, incident.as_ref(), self.clock.now());
        let drawn = expression::drawn(&expression);
        let mut series = prometheus.range(&drawn.query, start, end).await?;
        drop(asking);
        if series.is_empty() {
            return Err(PictureFault::Empty);
        }
        if let Some(incident) = &incident {
            chart::retain_firing(&mut series, &incident.speaking().map(|alert| &alert.labels).collect::<Vec<_>>());
        }
        let more = chart::truncate_to_extremes(&mut series, drawn.threshold);
        let chart = Chart {
            title: caption,
            unit: unit::unit_of(&drawn.query),
            query: drawn.query,
            series,
            more,
            threshold: drawn.threshold,
            fired: incident.map(|incident| (incident.started_at, incident.ended_at)),
            start,
            end,
            step_seconds: Prometheus::step(range).as_secs_f64(),
            zone: self.routing.time_zone(&address),
        };
        let _place = self.drawing.acquire().await;
        let drawing = tokio::task::spawn_blocking(move || chart::png(&chart));
        drawing.await.unwrap_or_else(|error| Err(PictureFault::Drawing(error.to_string())))
    }

    async fn read(&self, id: i64) -> sqlx::Result<(Option<Message>, Option<Incident>)> {
        let mut connection = self.readers.acquire().await?;
        let message = outbox::queued(&mut connection, id).await?;
        let incident = match message.as_ref().and_then(|message| message.incident) {
            Some(incident) => incidents::by_id(&mut *connection, incident).await?,
            None => None,
        };
        Ok((message, incident))
    }

    /// The configured Prometheus, otherwise the one whose page the alert names.
    fn prometheus(&self, source: &str, incident: Option<&Incident>) -> Option<Prometheus> {
        let settings = self.routing.config.alertmanager(source)?;
        if let Some(url) = &settings.prometheus {
            return Some(Prometheus::new(self.client.clone(), url, settings.prometheus_credentials.clone()));
        }
        let page = incident?.speaking().find_map(|alert| reqwest::Url::parse(&alert.generator_url).ok())?;
        let base = format!("{}{}", page.origin().ascii_serialization(), page.path().strip_suffix("/graph")?);
        // Credentials of the configuration go to the address of the configuration only.
        matches!(page.scheme(), "http" | "https").then(|| Prometheus::new(self.client.clone(), &base, None))
    }
}

/// Time range of the chart: until now, or until some time after the incident's end.
fn span(range: Duration, incident: Option<&Incident>, now: Timestamp) -> (Timestamp, Timestamp) {
    let signed = |duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    let ended = incident.and_then(|incident| incident.ended_at);
    let end = ended.and_then(|at| at.checked_add(signed(range.mul_f64(CALM))).ok()).map_or(now, |end| end.min(now));
    (end.checked_sub(signed(range)).unwrap_or(Timestamp::UNIX_EPOCH), end)
}

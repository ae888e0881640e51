//! Pictures that wait to be sent: drawn beside the sender, a few at a time, held in memory until they are sent. After a restart
//! they are drawn again, of the time then. Never: which message goes next, a call to Telegram.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

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
    incident::Incident,
    metrics::DeliveryMetrics,
    store::{
        incidents,
        outbox::{self, Body, Message},
    },
    writer::Routing,
};

/// Pictures in memory at most, those that are being drawn included; about 60 kB each.
const HELD: usize = 32;
/// Questions that Prometheus is asked at once: one that it does not answer holds up few others.
const ASKED_AT_ONCE: usize = 2;
/// Pictures drawn at once: each keeps a processor busy for a moment and has its pixels in memory (4 MB). Chats take fewer in a
/// second than one after the other makes.
const DRAWN_AT_ONCE: usize = 1;
/// Of an ended incident some of the calm after it is shown: a share of the range.
const CALM: f64 = 0.1;

/// Shared by the sender and the drawings under way.
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

/// How far a picture is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    Ready,
    BeingDrawn,
    /// Nobody draws it, and there is no room to begin now.
    NoRoom,
    /// Nobody draws it; the room is kept for who asked.
    Begin,
}

impl ChartRenderer {
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(routing: Arc<Routing>, readers: SqlitePool, clock: Clock, metrics: DeliveryMetrics) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().timeout(routing.config.picture.timeout).build()?;
        let (asking, drawing) = (Semaphore::new(ASKED_AT_ONCE), Semaphore::new(DRAWN_AT_ONCE));
        Ok(Self(Arc::new(Inner { routing, readers, clock, client, metrics, asking, drawing, held: Mutex::default() })))
    }

    /// After [`Held::Begin`] call [`Self::draw`].
    pub fn ask(&self, id: i64) -> Held {
        let mut held = self.held();
        match held.get(&id) {
            Some(Some(_)) => Held::Ready,
            Some(None) => Held::BeingDrawn,
            None if held.len() >= HELD => Held::NoRoom,
            None => {
                held.insert(id, None);
                Held::Begin
            }
        }
    }

    pub fn get(&self, id: i64) -> Option<Arc<Vec<u8>>> {
        self.held().get(&id).cloned().flatten()
    }

    /// It was sent, or is not needed.
    pub fn forget(&self, id: i64) {
        self.held().remove(&id);
    }

    /// Draws the picture of a message and keeps it.
    pub async fn draw(&self, id: i64) -> Result<(), PictureFault> {
        let inner = &self.0;
        let timer = inner.metrics.picture_seconds.start_timer();
        // Waiting for a place counts: nobody looks at a picture that comes late.
        let drawn = tokio::time::timeout(inner.routing.config.picture.timeout * 2, inner.draw(id)).await;
        let drawn = drawn.unwrap_or(Err(PictureFault::TimedOut));
        timer.observe_duration();
        inner.metrics.pictures.with_label_values(&[if drawn.is_ok() { "drawn" } else { "failed" }]).inc();
        let mut held = self.held();
        match drawn {
            Ok(picture) => {
                // Forgotten meanwhile: nobody waits for it.
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
        let Some(Message { body: Body::Picture { expression, source, caption, .. }, address, .. }) = message else {
            return Err(PictureFault::Drawing("its message is gone".into()));
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
            chart::keep_firing(&mut series, &incident.speaking().map(|alert| &alert.labels).collect::<Vec<_>>());
        }
        let more = chart::keep_most_telling(&mut series, drawn.threshold);
        let chart = Chart {
            title: caption,
            unit: unit::of(&drawn.query),
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

    /// The configured one, or else the one whose page the alert names.
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

/// What time the picture shows: up to now, or up to a while after the end.
fn span(range: Duration, incident: Option<&Incident>, now: Timestamp) -> (Timestamp, Timestamp) {
    let signed = |duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    let ended = incident.and_then(|incident| incident.ended_at);
    let end = ended.and_then(|at| at.checked_add(signed(range.mul_f64(CALM))).ok()).map_or(now, |end| end.min(now));
    (end.checked_sub(signed(range)).unwrap_or(Timestamp::UNIX_EPOCH), end)
}

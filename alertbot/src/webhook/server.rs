//! The listener that Alertmanager and providers call.
//!
//! | request | answer |
//! |---|---|
//! | `POST /webhook/<alertmanager>` | 200 when the group is on the disk; 401, 404, 413, 400 for what can never be right; 503 otherwise |
//! | `GET` or `POST /phone/<provider>/<token>` | 200 when the report or message is on the disk; 404, 413, 400; 503 otherwise |
//!
//! Alertmanager sends again after a 5xx or a broken connection until its `group_interval` ends, and takes every 4xx for final,
//! 429 too: so a 4xx is only for a request that will be as wrong the next time.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{ConnectInfo, DefaultBodyLimit, Path, Request, State},
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{any, post},
};
use tokio::sync::Semaphore;

use super::{
    authentication::{self, Proof},
    grafana,
    payload::{Payload, Status, VERSION},
};
use crate::{
    config::Alertmanager,
    metrics::{AlertbotMetrics, PeopleMetrics, WebhookMetrics},
    notify::CallbackRequest,
    sender::Receivers,
    writer::{Routing, Unavailable, Writer, ingest},
};

/// Body of a provider's callback: a report or one SMS. It is read before who calls is known.
const CALLBACK_BODY_BYTES: usize = 64 * 1024;

/// A disk that hangs gives no error: who calls is told to come again after this.
const STORE_DEADLINE: Duration = Duration::from_secs(15);

/// What the listener works with.
#[derive(Clone)]
pub struct Intake {
    pub routing: Arc<Routing>,
    pub writer: Writer,
    pub receivers: Arc<Receivers>,
    pub metrics: WebhookMetrics,
    pub people: PeopleMetrics,
    /// Told of a webhook that was too large, by the Alertmanager's name: its alerts are then read from API v2.
    pub oversized: tokio::sync::mpsc::UnboundedSender<String>,
    /// Told of every Watchdog, by the Alertmanager's name.
    pub watchdogs: crate::watchdog::Heard,
    /// Messages that wait to be sent.
    pub queued: Arc<AtomicUsize>,
    at_once: Arc<Semaphore>,
}

impl Intake {
    pub fn new(
        routing: Arc<Routing>,
        writer: Writer,
        receivers: Arc<Receivers>,
        metrics: &AlertbotMetrics,
        oversized: tokio::sync::mpsc::UnboundedSender<String>,
        watchdogs: crate::watchdog::Heard,
        queued: Arc<AtomicUsize>,
    ) -> Self {
        let at_once = Arc::new(Semaphore::new(routing.config.limits.webhooks_at_once as usize));
        let (metrics, people) = (metrics.webhook.clone(), metrics.people.clone());
        Self { routing, writer, receivers, metrics, people, oversized, watchdogs, queued, at_once }
    }
}

pub fn router(intake: Intake) -> Router {
    Router::new()
        // The body is read by the handler, which knows the limit and what to answer.
        .route("/webhook/{name}", post(webhook).layer(DefaultBodyLimit::disable()))
        .route("/phone/{provider}/{token}", any(callback).layer(DefaultBodyLimit::max(CALLBACK_BODY_BYTES)))
        .with_state(intake)
}

/// Why a request is turned away: its status, the label of metrics, and what to do about it.
#[derive(Debug)]
pub(crate) struct Refusal(pub StatusCode, pub &'static str, pub String);

impl Refusal {
    fn new(status: StatusCode, reason: &'static str, text: impl Into<String>) -> Self {
        Self(status, reason, text.into())
    }
}

async fn webhook(
    State(intake): State<Intake>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let timer = intake.metrics.duration.start_timer();
    let answered = take(&intake, &name, request).await;
    timer.observe_duration();
    match answered {
        Ok(outcome) => {
            intake.metrics.webhooks.with_label_values(&[&name, outcome]).inc();
            (StatusCode::OK, format!("{outcome}\n")).into_response()
        }
        Err(Refusal(status, reason, text)) => {
            intake.metrics.refused.with_label_values(&[reason]).inc();
            if status.is_server_error() && intake.routing.config.alertmanager(&name).is_some() {
                intake.metrics.webhooks.with_label_values(&[name.as_str(), "unavailable"]).inc();
            }
            tracing::warn!(
                { http.response.status_code = status.as_u16(), client.ip = %client.ip(), alertmanager = name, reason, error = text },
                "a webhook was refused"
            );
            (status, format!("{text}\n")).into_response()
        }
    }
}

async fn take(intake: &Intake, name: &str, request: Request) -> Result<&'static str, Refusal> {
    let refused = |status, reason, text: String| Refusal(status, reason, text);
    let Some(alertmanager) = intake.routing.config.alertmanager(name) else {
        // As for a wrong token: who may not call learns no names.
        return Err(refused(StatusCode::UNAUTHORIZED, "unknown_path", "no such Alertmanager, or wrong credentials".into()));
    };
    if authentication::prove(request.headers(), &alertmanager.webhook_credentials) == Proof::Refused {
        return Err(refused(StatusCode::UNAUTHORIZED, "unauthorised", "no such Alertmanager, or wrong credentials".into()));
    }
    let _place = intake.at_once.acquire().await;
    let limits = intake.routing.config.limits;
    let limit = usize::try_from(limits.webhook_bytes).unwrap_or(usize::MAX);
    let Ok(body) = axum::body::to_bytes(request.into_body(), limit).await else {
        // Tells from the outside that the bot should look for itself.
        let _ = intake.oversized.send(name.to_owned());
        let text =
            format!("the body is larger than limits.webhook_bytes ({limit}), or broke off; the alerts are read from API v2");
        return Err(refused(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text));
    };
    let payload = read(&body)?;
    drop(body);
    if payload.alerts.len() > limits.webhook_alerts as usize {
        let _ = intake.oversized.send(name.to_owned());
        let text = format!(
            "{} alerts are more than limits.webhook_alerts ({}); they are read from API v2",
            payload.alerts.len(),
            limits.webhook_alerts
        );
        return Err(refused(StatusCode::PAYLOAD_TOO_LARGE, "too_many_alerts", text));
    }
    keep(intake, alertmanager, payload).await
}

pub(crate) fn read(body: &[u8]) -> Result<Payload, Refusal> {
    let mut payload: Payload = serde_json::from_slice(body).map_err(|error| {
        Refusal::new(StatusCode::BAD_REQUEST, "malformed", format!("the body is no webhook of Alertmanager: {error}"))
    })?;
    if payload.version == grafana::VERSION {
        grafana::add(&mut payload, body).map_err(|error| {
            Refusal::new(StatusCode::BAD_REQUEST, "malformed", format!("the body is not a webhook of Grafana: {error}"))
        })?;
    } else if payload.version != VERSION {
        let text = format!(
            "version is {:?}; this program reads version {VERSION:?} of Alertmanager and {:?} of Grafana",
            payload.version,
            grafana::VERSION
        );
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "wrong_version", text));
    }
    if payload.group_key.is_empty() || payload.receiver.is_empty() {
        let text = "groupKey and receiver must not be empty: they name the incident";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "malformed", text));
    }
    Ok(payload)
}

/// Writes it down; the answer follows the commit.
async fn keep(intake: &Intake, alertmanager: &Alertmanager, mut payload: Payload) -> Result<&'static str, Refusal> {
    for alert in &payload.alerts {
        let status = alert.status.to_string();
        intake.metrics.alerts.with_label_values(&[alertmanager.name.as_str(), status.as_str()]).inc();
    }
    let (mut watchdog, mut expired) = (false, false);
    if let Some(expected) = &alertmanager.watchdog {
        payload.alerts.retain(|alert| {
            let is_watchdog = alert.labels.get("alertname") == Some(&expected.alert);
            watchdog |= is_watchdog && alert.status == Status::Firing;
            expired |= is_watchdog && alert.status == Status::Resolved;
            !is_watchdog
        });
    }
    if watchdog {
        let heard = ingest::IngestWatchdog { source: alertmanager.name.clone() };
        durable(STORE_DEADLINE, intake.writer.perform(heard)).await?;
        intake.watchdogs.heard(&alertmanager.name);
    } else if expired {
        // Prometheus does not refresh its alerts: the others expire with the Watchdog.
        let since = intake.watchdogs.last(&alertmanager.name);
        let freeze = crate::writer::blind::Freeze { source: alertmanager.name.clone(), since };
        durable(STORE_DEADLINE, intake.writer.perform(freeze)).await?;
    }
    if payload.alerts.is_empty() {
        return Ok(if watchdog || expired { "watchdog" } else { "nothing_fires" });
    }
    let (queued, most) = (intake.queued.load(Ordering::Relaxed), intake.routing.config.limits.queued);
    if queued >= most as usize {
        return Err(unavailable(&format!("{queued} messages wait, and limits.queued is {most}")));
    }
    let ingest = ingest::take(&intake.routing, &alertmanager.name, payload);
    let group = ingest.group.key.clone();
    let heard = durable(STORE_DEADLINE, intake.writer.perform(ingest)).await?;
    tracing::info!(alertmanager = alertmanager.name, group, outcome = heard.name(), "a webhook was accepted");
    Ok(heard.name())
}

fn unavailable(reason: &str) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", format!("nothing was accepted, send it again: {reason}"))
}

/// What the writer answers, or a refusal when it did not within the deadline. What it does later all the same is known by then: a
/// repetition changes nothing.
async fn durable<T>(deadline: Duration, performing: impl Future<Output = Result<T, Unavailable>>) -> Result<T, Refusal> {
    match tokio::time::timeout(deadline, performing).await {
        Ok(performed) => performed.map_err(|error| unavailable(&error.to_string())),
        Err(_) => Err(unavailable(&format!("the store did not answer within {} s", deadline.as_secs()))),
    }
}

async fn callback(
    State(intake): State<Intake>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Path((provider, token)): Path<(String, String)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let settings = intake.routing.config.provider(&provider);
    let expected = settings.and_then(|settings| settings.callback_token.as_ref());
    let receiver = intake.receivers.phones.get(&provider);
    let (Some(receiver), true) = (receiver, expected.is_some_and(|secret| secret.matches(token.as_bytes()))) else {
        intake.metrics.refused.with_label_values(&["unauthorised"]).inc();
        // The rest of the address may be a token with a typing mistake.
        tracing::warn!({ client.ip = %client.ip(), reason = "unauthorised" }, "a callback was refused");
        return (StatusCode::NOT_FOUND, "no such address\n").into_response();
    };
    let base = intake.routing.config.public_url.clone().unwrap_or_default();
    let request = CallbackRequest {
        method,
        url: format!("{base}{uri}"),
        query: uri.query().unwrap_or_default().to_owned(),
        headers,
        body: body.to_vec(),
    };
    match receiver.callback(&request) {
        Ok(callbacks) => {
            for callback in callbacks {
                let taking = crate::chatops::reply::take(&intake, &provider, callback);
                if let Err(Refusal(status, _, text)) = durable(STORE_DEADLINE, taking).await {
                    tracing::warn!(provider, "{text}");
                    return (status, format!("{text}\n")).into_response();
                }
            }
            StatusCode::OK.into_response()
        }
        Err(fault) => {
            intake.metrics.callbacks.with_label_values(&[provider.as_str(), "refused"]).inc();
            tracing::warn!(provider, %fault, "a callback was refused");
            (StatusCode::BAD_REQUEST, format!("{fault}\n")).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_that_hangs_is_answered_503() {
        let hangs = std::future::pending::<Result<(), Unavailable>>();
        let Refusal(status, reason, text) = durable(Duration::from_millis(10), hangs).await.unwrap_err();
        assert_eq!((status, reason), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
        assert!(text.contains("send it again"), "{text}");
        assert_eq!(durable(STORE_DEADLINE, async { Ok(1) }).await.unwrap(), 1);
    }
}

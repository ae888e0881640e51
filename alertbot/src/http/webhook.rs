//! This module receives the webhooks of Alertmanager and Grafana.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use alertbot_core::alert::{Alert, BodyError, Payload, Status, read_body};
use axum::{
    extract::{ConnectInfo, Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tokio::sync::{Semaphore, mpsc};

use super::{
    authentication::{self, CallerProof},
    rejection::{Rejection, STORE_DEADLINE, durable, unavailable},
};
use crate::{
    config::Alertmanager,
    metrics::WebhookMetrics,
    writer::{
        Writer,
        blind::Freeze,
        ingest::{Ingest, IngestWatchdog},
        watchdogs::Watchdogs,
    },
};

/// Context of a webhook.
#[derive(Clone)]
pub struct WebhookContext {
    pub writer: Writer,
    pub metrics: WebhookMetrics,
    /// Receives the Alertmanager's name if a webhook was too large. Its alerts are then read from API v2.
    pub oversized: mpsc::UnboundedSender<String>,
    pub watchdogs: Watchdogs,
    /// Number of messages that wait to be sent.
    pub queued: Arc<AtomicUsize>,
    /// Limits the webhooks that are processed at once.
    pub at_once: Arc<Semaphore>,
}

pub(super) async fn webhook(
    State(context): State<WebhookContext>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let timer = context.metrics.duration.start_timer();
    let answered = accept(&context, &name, request).await;
    timer.observe_duration();
    match answered {
        Ok(outcome) => {
            context.metrics.webhooks.with_label_values(&[&name, outcome]).inc();
            (StatusCode::OK, format!("{outcome}\n")).into_response()
        }
        Err(Rejection(status, reason, text)) => {
            context.metrics.refused.with_label_values(&[reason]).inc();
            if status.is_server_error() && context.writer.routing.config.alertmanager(&name).is_some() {
                context.metrics.webhooks.with_label_values(&[name.as_str(), "unavailable"]).inc();
            }
            tracing::warn!(
                { http.response.status_code = status.as_u16(), client.ip = %client.ip(), alertmanager = name, reason, error = text },
                "a webhook was refused"
            );
            (status, format!("{text}\n")).into_response()
        }
    }
}

async fn accept(context: &WebhookContext, name: &str, request: Request) -> Result<&'static str, Rejection> {
    let Some(alertmanager) = context.writer.routing.config.alertmanager(name) else {
        // The same answer as for a wrong token: an unauthenticated caller learns no names.
        return Err(Rejection::new(StatusCode::UNAUTHORIZED, "unknown_path", "no such Alertmanager, or wrong credentials"));
    };
    if authentication::prove(request.headers(), &alertmanager.webhook_credentials) == CallerProof::Refused {
        return Err(Rejection::new(StatusCode::UNAUTHORIZED, "unauthorised", "no such Alertmanager, or wrong credentials"));
    }
    let _place = context.at_once.acquire().await;
    let limits = context.writer.routing.config.limits;
    let limit = usize::try_from(limits.webhook_bytes).unwrap_or(usize::MAX);
    let Ok(body) = axum::body::to_bytes(request.into_body(), limit).await else {
        let _ = context.oversized.send(name.to_owned());
        let text =
            format!("the body is larger than limits.webhook_bytes ({limit}), or broke off; the alerts are read from API v2");
        return Err(Rejection::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text));
    };
    let payload = read_body(&body)?;
    drop(body);
    if payload.alerts.len() > limits.webhook_alerts as usize {
        let _ = context.oversized.send(name.to_owned());
        let text = format!(
            "{} alerts are more than limits.webhook_alerts ({}); they are read from API v2",
            payload.alerts.len(),
            limits.webhook_alerts
        );
        return Err(Rejection::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_alerts", text));
    }
    store(context, alertmanager, payload).await
}

/// Stores the webhook and returns after the commit.
async fn store(context: &WebhookContext, alertmanager: &Alertmanager, mut payload: Payload) -> Result<&'static str, Rejection> {
    let now = context.watchdogs.clock.now();
    for alert in &mut payload.alerts {
        if alert.starts_at == Alert::UNKNOWN_START {
            alert.starts_at = now;
        }
        let status = alert.status.to_string();
        context.metrics.alerts.with_label_values(&[alertmanager.name.as_str(), status.as_str()]).inc();
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
        let arrived = IngestWatchdog { source: alertmanager.name.clone() };
        durable(STORE_DEADLINE, context.writer.perform(arrived)).await?;
        context.watchdogs.arrived(&alertmanager.name);
    } else if expired {
        // Prometheus does not refresh its alerts: the others expire with the Watchdog.
        let since = context.watchdogs.last(&alertmanager.name);
        let freeze = Freeze { source: alertmanager.name.clone(), since };
        durable(STORE_DEADLINE, context.writer.perform(freeze)).await?;
    }
    if payload.alerts.is_empty() {
        return Ok(if watchdog || expired { "watchdog" } else { "nothing_fires" });
    }
    let (queued, most) = (context.queued.load(Ordering::Relaxed), context.writer.routing.config.limits.queued);
    if queued >= most as usize {
        return Err(unavailable(&format!("{queued} messages wait, and limits.queued is {most}")));
    }
    let ingest = Ingest::new(&context.writer.routing, &alertmanager.name, payload);
    let group = ingest.group.key.clone();
    let ingested = durable(STORE_DEADLINE, context.writer.perform(ingest)).await?;
    tracing::info!(alertmanager = alertmanager.name, group, outcome = ingested.name(), "a webhook was accepted");
    Ok(ingested.name())
}

impl From<BodyError> for Rejection {
    fn from(error: BodyError) -> Self {
        let reason = match error {
            BodyError::Malformed(_) => "malformed",
            BodyError::WrongVersion(_) => "wrong_version",
        };
        Self::new(StatusCode::BAD_REQUEST, reason, error.to_string())
    }
}

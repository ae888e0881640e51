//! This module receives the callbacks of SMS and call providers. The path contains a secret.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    body::Bytes,
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};

use super::rejection::{Rejection, STORE_DEADLINE, durable};
use crate::{
    chatops::reply::{self, ReplyContext},
    notify::{CallbackRequest, Receivers},
};

/// Context of a callback.
#[derive(Clone)]
pub struct CallbackContext {
    pub receivers: Arc<Receivers>,
    pub replies: ReplyContext,
}

pub(super) async fn callback(
    State(context): State<CallbackContext>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Path((provider, token)): Path<(String, String)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let settings = context.replies.writer.routing.config.provider(&provider);
    let expected = settings.and_then(|settings| settings.callback_token.as_ref());
    let receiver = context.receivers.phones.get(&provider);
    let (Some(receiver), true) = (receiver, expected.is_some_and(|secret| secret.matches(token.as_bytes()))) else {
        context.replies.metrics.refused.with_label_values(&["unauthorised"]).inc();
        // The rest of the address may be a token with a typing mistake.
        tracing::warn!({ client.ip = %client.ip(), reason = "unauthorised" }, "a callback was refused");
        return (StatusCode::NOT_FOUND, "no such address\n").into_response();
    };
    let base = context.replies.writer.routing.config.public_url.clone().unwrap_or_default();
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
                let recording = reply::record(&context.replies, &provider, callback);
                if let Err(Rejection(status, _, text)) = durable(STORE_DEADLINE, recording).await {
                    tracing::warn!(provider, "{text}");
                    return (status, format!("{text}\n")).into_response();
                }
            }
            StatusCode::OK.into_response()
        }
        Err(fault) => {
            context.replies.metrics.callbacks.with_label_values(&[provider.as_str(), "refused"]).inc();
            tracing::warn!(provider, %fault, "a callback was refused");
            (StatusCode::BAD_REQUEST, format!("{fault}\n")).into_response()
        }
    }
}

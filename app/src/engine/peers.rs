//! This module asks the other replicas for the last confirmed sequence that they know, and answers that question. It must not decide
//! what follows from an answer.
//!
//! - A peer that does not answer proves nothing: one lost machine must not stop the others.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::State, routing::get};
use futures::{StreamExt, stream::FuturesUnordered};
use service_kit::config::Secret;

use super::{Engine, shared::Shared};

/// Path of the internal listener.
const PATH: &str = "/confirmed";
/// Time limit for all answers.
const DEADLINE: Duration = Duration::from_secs(1);

/// The other replicas' internal listeners.
pub(super) struct Peers {
    client: reqwest::Client,
    token: Secret,
}

/// A peer that knows the highest confirmed sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConfirmedPeer {
    pub sequence: i64,
    pub address: String,
}

impl Peers {
    pub fn new(token: Secret) -> Self {
        let client = reqwest::Client::builder().timeout(DEADLINE).no_proxy().build().unwrap_or_default();
        Self { client, token }
    }

    /// The highest sequence that a peer at `addresses` knows to be confirmed.
    pub async fn confirmed(&self, addresses: Vec<String>) -> Option<ConfirmedPeer> {
        let mut asked: FuturesUnordered<_> = addresses.into_iter().map(|address| self.ask(address)).collect();
        let mut highest: Option<ConfirmedPeer> = None;
        while let Some(answer) = asked.next().await {
            if let Some(known) = answer
                && highest.as_ref().is_none_or(|highest| known.sequence > highest.sequence)
            {
                highest = Some(known);
            }
        }
        highest
    }

    async fn ask(&self, address: String) -> Option<ConfirmedPeer> {
        let asked = async {
            let reply = self.client.get(format!("http://{address}{PATH}")).bearer_auth(self.token.expose()).send().await?;
            reply.error_for_status()?.text().await
        };
        let answer: reqwest::Result<String> = asked.await;
        match answer {
            Ok(text) => text.trim().parse().ok().map(|sequence| ConfirmedPeer { sequence, address }),
            Err(error) => {
                tracing::debug!(%error, peer = address, "a peer did not state its confirmed sequence");
                None
            }
        }
    }
}

/// The route of the internal listener.
pub fn routes(engine: &Engine) -> Router {
    Router::new().route(PATH, get(answer)).with_state(Arc::clone(&engine.shared))
}

async fn answer(State(shared): State<Arc<Shared>>) -> String {
    let applied = shared.committed.read().state.sequence() as i64;
    format!("{}\n", shared.lag.known().max(applied))
}

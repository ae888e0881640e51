//! This module repairs stuck steps: a few attempts per index, with a pause between them. It must not change a policy or an
//! index's data.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::{
    client::{CallError, Client, Method, segment},
    metrics::WatchMetrics,
    stuck::{Repair, Stuck},
};

/// After this number of attempts only a person can help.
const MOST_TRIES: u32 = 3;
const PAUSE_BETWEEN_TRIES: SignedDuration = SignedDuration::from_mins(10);

/// Attempts by index. An index that is no longer stuck is removed.
#[derive(Debug, Default)]
pub struct Repairs {
    tried: BTreeMap<String, (u32, Timestamp)>,
}

impl Repairs {
    pub async fn carry_out(&mut self, client: &Client, found: &[Stuck], now: Timestamp, metrics: &WatchMetrics) {
        self.tried.retain(|index, _| found.iter().any(|stuck| stuck.index == *index && stuck.repair.is_some()));
        for stuck in found {
            let Some(repair) = &stuck.repair else { continue };
            let (tries, last) = self.tried.get(&stuck.index).copied().unwrap_or((0, Timestamp::UNIX_EPOCH));
            if tries >= MOST_TRIES || now.duration_since(last) < PAUSE_BETWEEN_TRIES {
                continue;
            }
            self.tried.insert(stuck.index.clone(), (tries + 1, now));
            let (index, name, class) = (stuck.index.as_str(), repair.name(), stuck.class.name());
            let outcome = match send(client, index, repair).await {
                Ok(()) => {
                    tracing::info!(index, repair = name, class, tries = tries + 1, "a stuck lifecycle step was repaired");
                    "done"
                }
                Err(error) => {
                    tracing::warn!(index, repair = name, class, %error, "failed to repair a stuck lifecycle step");
                    "failed"
                }
            };
            metrics.repairs.with_label_values(&[name, outcome]).inc();
        }
    }
}

async fn send(client: &Client, index: &str, repair: &Repair) -> Result<(), CallError> {
    match repair {
        Repair::Retry => client.send(Method::Post, &format!("/{}/_ilm/retry", segment(index)), &[], None).await.map(drop),
        Repair::MoveToEnd { phase, action, step } => {
            let body = json!({
                "current_step": {"phase": phase, "action": action, "name": step},
                "next_step": {"phase": phase, "action": "complete", "name": "complete"},
            });
            client.send(Method::Post, &format!("/_ilm/move/{}", segment(index)), &[], Some(&body)).await.map(drop)
        }
    }
}

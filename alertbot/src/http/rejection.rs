//! This module defines why a request is rejected, and the deadline of its commit.

use std::time::Duration;

use axum::http::StatusCode;

use crate::writer::Unavailable;

/// A disk that hangs returns no error. After this time the caller is asked to retry.
pub(super) const STORE_DEADLINE: Duration = Duration::from_secs(15);

/// Status, label of metrics, and a text with the remedy.
#[derive(Debug)]
pub(super) struct Rejection(pub StatusCode, pub &'static str, pub String);

impl Rejection {
    pub fn new(status: StatusCode, reason: &'static str, text: impl Into<String>) -> Self {
        Self(status, reason, text.into())
    }
}

pub(super) fn unavailable(reason: &str) -> Rejection {
    Rejection::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", format!("nothing was accepted, send it again: {reason}"))
}

/// The writer's answer, or a rejection after the deadline. The writer may still commit the command later. A retry then changes
/// nothing.
pub(super) async fn durable<T>(
    deadline: Duration,
    performing: impl Future<Output = Result<T, Unavailable>>,
) -> Result<T, Rejection> {
    match tokio::time::timeout(deadline, performing).await {
        Ok(performed) => performed.map_err(|error| unavailable(&error.to_string())),
        Err(_) => Err(unavailable(&format!("the store did not answer within {} s", deadline.as_secs()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_that_hangs_is_answered_503() {
        let hangs = std::future::pending::<Result<(), Unavailable>>();
        let Rejection(status, reason, text) = durable(Duration::from_millis(10), hangs).await.unwrap_err();
        assert_eq!((status, reason), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
        assert!(text.contains("send it again"), "{text}");
        assert_eq!(durable(STORE_DEADLINE, async { Ok(1) }).await.unwrap(), 1);
    }
}

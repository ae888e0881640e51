//! This module waits for a condition, with a deadline.

use std::{
    future::Future,
    time::{Duration, Instant},
};

/// Ample on a busy machine; a test that passes does not wait for it.
pub const DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// The first `Some` that `look` returns.
///
/// # Panics
///
/// Panics with `what` if the deadline passes.
pub async fn eventually<Found, Looking: Future<Output = Option<Found>>>(what: &str, mut look: impl FnMut() -> Looking) -> Found {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "not within {} s: {what}", DEADLINE.as_secs());
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until `holds` returns true.
pub async fn until<Looking: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> Looking) {
    eventually(what, || {
        let looking = holds();
        async { looking.await.then_some(()) }
    })
    .await;
}

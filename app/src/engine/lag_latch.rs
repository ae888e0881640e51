//! This module closes a latch of readiness while this replica is too far behind the confirmed journal. It must not measure (see
//! [`super::lag`]).

use std::{sync::Weak, time::Duration};

use service_kit::health::Latch;

use super::{lag::Behind, shared::Shared};

/// Interval between measurements.
const MEASURE: Duration = Duration::from_millis(200);

/// Measures while the engine has an owner. A lag above `bound` closes `latch`.
pub(super) async fn watch_lag(shared: Weak<Shared>, latch: Latch, bound: Duration) {
    let mut late = false;
    loop {
        let Some(shared) = shared.upgrade() else { return };
        let applied = shared.committed.read().state.sequence() as i64;
        let behind = match shared.is_leader() {
            true => {
                // So that the silence counts from the end of the lead.
                shared.lag.announce(applied);
                Behind { sequences: 0, seconds: 0.0 }
            }
            false => shared.lag.measure(applied),
        };
        shared.follower.lag_events.set(behind.sequences);
        shared.follower.lag_seconds.set(behind.seconds);
        if behind.seconds > bound.as_secs_f64() {
            let Behind { sequences, seconds } = behind;
            let text = format!(
                "{sequences} sequences and {seconds:.1} s behind the journal, more than EXCHANGE_FOLLOWER_LAG_MAX ({} s)",
                bound.as_secs_f64()
            );
            if !std::mem::replace(&mut late, true) {
                tracing::warn!(sequences, seconds, "this replica is too far behind the journal; not ready");
            }
            latch.close(text);
        } else {
            if std::mem::replace(&mut late, false) {
                tracing::info!(sequence = applied, "this replica has caught up with the journal");
            }
            latch.open();
        }
        drop(shared);
        tokio::time::sleep(MEASURE).await;
    }
}

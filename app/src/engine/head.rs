//! This module decides who may lead: the rules of the lease over the head row. It must not use SQL or do a leader's work.

use std::time::Duration;

use exchange_core::money::Time;

use super::lease::READ_LEASE;
use crate::db::head::Head;

/// Interval between heartbeats of an idle leader.
pub(super) const BEAT: Duration = Duration::from_millis(300);
/// A leader without a heartbeat for this long has lost its lease.
const LEASE_SECONDS: f64 = 3.0;
/// A clock further behind the journal must not lead: its orders would have timestamps in the past.
const CLOCK_TOLERANCE: Time = 500_000;

/// Whether this replica may claim the lead now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HeadVerdict {
    Claim,
    /// The text tells an operator the condition to wait for.
    Wait(String),
}

/// Whether the clock allows this replica to lead; both times in µs. The text tells an operator the fix.
pub(super) fn check_clock(clock: Time, journal: Time) -> Result<(), String> {
    if clock >= journal - CLOCK_TOLERANCE {
        return Ok(());
    }
    let behind = (journal - clock) / 1000;
    Err(format!("this machine's clock is {behind} ms behind the journal: this server does not lead; set the clock"))
}

/// `held` is the epoch of this replica's own last term, whose lease it need not wait for. `clock` and `journal` in µs.
pub(super) fn judge(head: &Head, held: Option<i64>, clock: Time, journal: Time) -> HeadVerdict {
    if let Err(reason) = check_clock(clock, journal) {
        return HeadVerdict::Wait(reason);
    }
    let own = held == Some(head.epoch);
    // A leader whose session ended may not know it yet, and answers reads until its read lease ends.
    let ended = !head.backend_alive && head.beat_age_seconds > READ_LEASE.as_secs_f64();
    if head.released || own || ended || head.beat_age_seconds > LEASE_SECONDS {
        return HeadVerdict::Claim;
    }
    HeadVerdict::Wait(format!("standby: {} leads in epoch {}", head.address, head.epoch))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEADS: Head = Head {
        epoch: 7,
        last_seq: 100,
        beat_age_seconds: 0.2,
        released: false,
        address: String::new(),
        backend_alive: true,
        confirmed_seq: 100,
        confirmed_epoch: 7,
    };

    #[test]
    fn a_lease_is_claimed_only_when_it_is_free() {
        let rows = [
            ("connected, with heartbeats", LEADS, None, 0, false),
            ("released", Head { released: true, ..LEADS }, None, 0, true),
            ("its connection is closed", Head { backend_alive: false, beat_age_seconds: 0.7, ..LEADS }, None, 0, true),
            ("its connection is closed, and it may answer reads", Head { backend_alive: false, ..LEADS }, None, 0, false),
            ("connected without a heartbeat, within the lease", Head { beat_age_seconds: 2.9, ..LEADS }, None, 0, false),
            ("connected without a heartbeat, after the lease", Head { beat_age_seconds: 3.1, ..LEADS }, None, 0, true),
            ("held by this replica", LEADS, Some(7), 0, true),
            ("held by this replica before another", LEADS, Some(6), 0, false),
            ("free, this clock slightly behind", Head { released: true, ..LEADS }, None, -499_000, true),
            ("free, this clock far behind", Head { released: true, ..LEADS }, None, -501_000, false),
        ];
        for (name, head, held, clock, claims) in rows {
            assert_eq!(judge(&head, held, clock, 0) == HeadVerdict::Claim, claims, "{name}");
        }
    }
}

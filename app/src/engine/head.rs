//! Who may lead: the rules of the lease over the head row. Never: SQL, or what a leader does.

use std::time::Duration;

use exchange_core::money::Time;

use crate::db::head::Head;

/// How often an idle leader shows that it lives.
pub(super) const BEAT: Duration = Duration::from_millis(300);
/// A leader without a sign of life for this long has lost its lease.
const LEASE_SECONDS: f64 = 3.0;
/// A clock further behind the journal does not lead: its orders would carry the past's time.
const CLOCK_TOLERANCE: Time = 500_000;

/// Whether this replica may claim the lead now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Claim,
    /// The text tells an operator what is awaited.
    Wait(String),
}

/// Whether the clock allows to lead: µs both. The text tells an operator what to do.
pub(super) fn check_clock(clock: Time, journal: Time) -> Result<(), String> {
    if clock >= journal - CLOCK_TOLERANCE {
        return Ok(());
    }
    let behind = (journal - clock) / 1000;
    Err(format!("this machine's clock is {behind} ms behind the journal: it does not lead; set the clock"))
}

/// `held` is the epoch of this replica's own last term: it need not wait for itself. `clock` and `journal` in µs.
pub(super) fn judge(head: &Head, held: Option<i64>, clock: Time, journal: Time) -> Verdict {
    if let Err(reason) = check_clock(clock, journal) {
        return Verdict::Wait(reason);
    }
    let own = held == Some(head.epoch);
    if head.released || own || !head.backend_alive || head.beat_age_seconds > LEASE_SECONDS {
        return Verdict::Claim;
    }
    Verdict::Wait(format!("standing by: {} leads in epoch {}", head.address, head.epoch))
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
            ("alive and beating", LEADS, None, 0, false),
            ("released", Head { released: true, ..LEADS }, None, 0, true),
            ("its connection is gone", Head { backend_alive: false, ..LEADS }, None, 0, true),
            ("connected and silent, within the lease", Head { beat_age_seconds: 2.9, ..LEADS }, None, 0, false),
            ("connected and silent, past the lease", Head { beat_age_seconds: 3.1, ..LEADS }, None, 0, true),
            ("held by ourselves", LEADS, Some(7), 0, true),
            ("held by ourselves before another", LEADS, Some(6), 0, false),
            ("free, our clock a little behind", Head { released: true, ..LEADS }, None, -499_000, true),
            ("free, our clock far behind", Head { released: true, ..LEADS }, None, -501_000, false),
        ];
        for (name, head, held, clock, claims) in rows {
            assert_eq!(judge(&head, held, clock, 0) == Verdict::Claim, claims, "{name}");
        }
    }
}

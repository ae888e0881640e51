//! This module tracks a bot or provider: its overall budget, and whether it must answer a probe before it gets more messages.

use std::time::Duration;

use super::{CarrierLimits, sliding_window::SlidingWindow};
use crate::moment::Moment;

#[derive(Debug)]
pub(super) struct Carrier {
    pub limits: CarrierLimits,
    pub window: SlidingWindow,
    trouble: Option<Trouble>,
}

/// Whether calls failed in a way that indicates a problem of the carrier.
#[derive(Debug)]
struct Trouble {
    failures: u32,
    next_probe: Moment,
    probing: bool,
}

/// Interval between failed probes, doubling from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(15);

impl Carrier {
    pub fn new(limits: CarrierLimits) -> Self {
        Self { limits, window: SlidingWindow::new(limits.overall, limits.overall_within), trouble: None }
    }

    pub fn is_in_trouble(&self) -> bool {
        self.trouble.is_some()
    }

    /// A call failed or its answer was lost, so a probe is due immediately.
    pub fn doubt(&mut self, now: Moment) {
        self.trouble.get_or_insert(Trouble { failures: 0, next_probe: now, probing: false });
    }

    /// Whether a probe is due. Only one is in flight at a time.
    pub fn takes_probe(&mut self, now: Moment) -> bool {
        match &mut self.trouble {
            Some(trouble) if !trouble.probing && trouble.next_probe <= now => {
                trouble.probing = true;
                true
            }
            _ => false,
        }
    }

    pub fn probe_at(&self) -> Option<Moment> {
        self.trouble.as_ref().filter(|trouble| !trouble.probing).map(|trouble| trouble.next_probe)
    }

    pub fn probed(&mut self, answered: bool, now: Moment) {
        let Some(trouble) = &mut self.trouble else { return };
        if answered {
            self.trouble = None;
            return;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << trouble.failures.min(6)).min(LAST_PAUSE);
        *trouble = Trouble { failures: trouble.failures + 1, next_probe: now + pause, probing: false };
    }
}

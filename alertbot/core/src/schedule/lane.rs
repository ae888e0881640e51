//! This module is the lane of one chat or phone: its waiting messages, their order, and when it may be called again.

use std::collections::BTreeSet;

use super::{
    CarrierLimits, Item, Urgency,
    limits::{DIGEST_FROM, DIGEST_GROUPS, MINUTE, PATIENCE, kept_for_critical},
    sliding_window::SlidingWindow,
};
use crate::{delivery::Address, moment::Moment};

#[derive(Debug)]
pub(super) struct MessageLane {
    /// By urgency: time of acceptance and id.
    waiting: [BTreeSet<(Moment, i64)>; Urgency::ALL.len()],
    /// Waiting messages that a digest may list.
    digestible: BTreeSet<(Moment, i64)>,
    pub window: SlidingWindow,
    /// No call starts before this time, because of a 429 or a call just before.
    pub blocked_until: Moment,
    pub busy: bool,
    limits: CarrierLimits,
}

/// The lane's next call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    One(i64),
    Digest(Vec<i64>),
    Together(Vec<i64>),
}

impl MessageLane {
    pub fn new(address: &Address, limits: CarrierLimits) -> Self {
        Self {
            waiting: Default::default(),
            digestible: BTreeSet::new(),
            window: SlidingWindow::new(limits.per_minute(address), MINUTE),
            blocked_until: Moment::ZERO,
            busy: false,
            limits,
        }
    }

    pub fn insert(&mut self, item: &Item) {
        self.waiting[item.rank() as usize].insert((item.since, item.id));
        if item.wants_digest() {
            self.digestible.insert((item.since, item.id));
        }
    }

    pub fn remove(&mut self, item: &Item) {
        self.waiting[item.rank() as usize].remove(&(item.since, item.id));
        self.digestible.remove(&(item.since, item.id));
    }

    /// The lane is empty: no message waits or is in flight, and no earlier call or 429 matters.
    pub fn is_idle(&mut self, now: Moment) -> bool {
        let empty = self.waiting.iter().all(BTreeSet::is_empty);
        empty && !self.busy && self.blocked_until <= now && self.window.is_unused(now)
    }

    /// The next message: by urgency, but a message with a long wait counts as ordinary.
    pub fn first(&self, now: Moment) -> Option<(Urgency, Moment, i64)> {
        Urgency::ALL
            .into_iter()
            .filter_map(|urgency| {
                let (since, id) = *self.waiting[urgency as usize].first()?;
                let patient = now < since + PATIENCE;
                Some((if patient { urgency } else { urgency.min(Urgency::Ordinary) }, since, id))
            })
            .min()
    }

    /// When a call of this urgency may start; `None` while one is in flight.
    pub fn free_at(&mut self, urgency: Urgency, now: Moment) -> Option<Moment> {
        if self.busy {
            return None;
        }
        let kept = if urgency == Urgency::Critical { 0 } else { kept_for_critical(self.window.budget()) };
        Some(self.window.free_at(now, kept)?.max(self.blocked_until))
    }

    /// The call to make for this next message.
    pub fn choose(&mut self, first: i64, now: Moment) -> Choice {
        if self.limits.together {
            let all = self.waiting.iter().flatten().map(|(_, id)| *id).collect();
            return Choice::Together(all);
        }
        let affordable = self.window.free(now).saturating_sub(kept_for_critical(self.window.budget()));
        let stormed = self.digestible.len() >= DIGEST_FROM.max(affordable + 1);
        let named = self.digestible.iter().any(|(_, id)| *id == first);
        if stormed && named {
            return Choice::Digest(self.digestible.iter().take(DIGEST_GROUPS).map(|(_, id)| *id).collect());
        }
        Choice::One(first)
    }

    /// A call has ended, so the next one must wait for the minimum distance.
    pub fn ended(&mut self, now: Moment) {
        self.busy = false;
        self.window.end(now);
        self.blocked_until = self.blocked_until.max(now + self.limits.apart);
    }
}

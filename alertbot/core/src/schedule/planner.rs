//! This module holds the queues of all lanes and carriers and decides the next action.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    CarrierLimits, Item, Limits, Urgency, Verdict,
    carrier::Carrier,
    lane::{Choice, MessageLane},
    limits::{RETRY_MARGIN, kept_for_critical},
};
use crate::{
    delivery::{Address, DeliveryOutcome},
    moment::Moment,
};

/// The next action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this message.
    Send(i64),
    /// Send these messages of one phone as one message.
    Together(Vec<i64>),
    /// Send a digest that lists these.
    Digest(Vec<i64>),
    /// Probe the carrier with a request that changes nothing.
    Probe(String),
    /// This critical message was not delivered in time: notify by the next channel too.
    Overdue(i64),
}

/// The next action, or when to ask again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Do(Action),
    /// `None`: after a message is added.
    Wait(Option<Moment>),
}

/// State from before a restart.
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// Lanes stopped by a 429, until when.
    pub blocked: Vec<(Address, Moment)>,
    /// Ends of the calls of the last minute, by lane.
    pub called: Vec<(Address, Moment)>,
}

/// The planner. See the module documentation for its guarantees.
#[derive(Debug)]
pub struct Planner {
    limits: Limits,
    carriers: BTreeMap<String, Carrier>,
    lanes: BTreeMap<Address, MessageLane>,
    items: BTreeMap<i64, Item>,
    /// Not yet in a lane.
    later: BTreeSet<(Moment, i64)>,
    overdue: BTreeSet<(Moment, i64)>,
    /// In flight, with the address of the call, because the item may be removed before the call ends.
    under_way: BTreeMap<i64, Address>,
}

/// Pause between attempts that sent nothing, doubling.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(30);

impl Planner {
    pub fn new(limits: Limits, restored: &Restored) -> Self {
        let mut planner = Self {
            limits,
            carriers: BTreeMap::new(),
            lanes: BTreeMap::new(),
            items: BTreeMap::new(),
            later: BTreeSet::new(),
            overdue: BTreeSet::new(),
            under_way: BTreeMap::new(),
        };
        for (address, until) in &restored.blocked {
            let lane = planner.lane(address);
            lane.blocked_until = lane.blocked_until.max(*until);
        }
        for (address, ended) in &restored.called {
            planner.lane(address).window.restore([*ended]);
        }
        planner
    }

    /// Adds a message, or updates the state of one in the queue. A message in flight keeps its state until the call ends.
    pub fn put(&mut self, item: Item, now: Moment) {
        let item = match self.items.get(&item.id) {
            Some(known) => Item {
                attempts: known.attempts,
                maybe_sent: known.maybe_sent || item.maybe_sent,
                overdue_at: known.overdue_at,
                ..item
            },
            None => item,
        };
        self.take_out(item.id);
        if item.maybe_sent {
            self.carrier(item.address.carrier()).doubt(now);
        }
        if let Some(at) = item.overdue_at {
            self.overdue.insert((at, item.id));
        }
        self.items.insert(item.id, item.clone());
        if !self.under_way.contains_key(&item.id) {
            self.queue(item, now);
        }
    }

    /// Removes a message that is no longer needed.
    pub fn remove(&mut self, id: i64) {
        self.take_out(id);
        if let Some(item) = self.items.remove(&id)
            && let Some(at) = item.overdue_at
        {
            self.overdue.remove(&(at, id));
        }
    }

    pub fn step(&mut self, now: Moment) -> Step {
        while let Some((at, id)) = self.later.first().copied().filter(|(at, _)| *at <= now) {
            self.later.remove(&(at, id));
            if let Some(item) = self.items.get(&id).cloned() {
                self.lane(&item.address).insert(&item);
            }
        }
        if let Some((at, id)) = self.overdue.first().copied().filter(|(at, _)| *at <= now) {
            self.overdue.remove(&(at, id));
            if let Some(item) = self.items.get_mut(&id) {
                item.overdue_at = None;
            }
            return Step::Do(Action::Overdue(id));
        }
        let probe = self.carriers.iter_mut().find_map(|(name, carrier)| carrier.takes_probe(now).then(|| name.clone()));
        if let Some(carrier) = probe {
            return Step::Do(Action::Probe(carrier));
        }
        self.send(now)
    }

    /// An attempt at these messages has ended. The queue has applied the verdicts; the store must record them.
    pub fn ended(&mut self, ids: &[i64], outcome: &DeliveryOutcome, now: Moment) -> Vec<(i64, Verdict)> {
        self.call_ended(ids, outcome, now);
        ids.iter()
            .filter_map(|id| {
                self.under_way.remove(id);
                let item = self.items.get_mut(id)?;
                let verdict = verdict(item, outcome, now);
                if let Verdict::Again { not_before, attempts, maybe_sent } = &verdict {
                    (item.not_before, item.attempts, item.maybe_sent) = (*not_before, *attempts, *maybe_sent);
                    item.detours += u32::from(is_detour(outcome));
                    let item = item.clone();
                    self.queue(item, now);
                } else {
                    self.remove(*id);
                }
                Some((*id, verdict))
            })
            .collect()
    }

    /// The call of a digest that listed these has ended. The messages stay in the queue, marked as listed if the digest left. A
    /// digest whose answer was lost, or whose markup was rejected, counts as sent. It is then a message of its own in the queue,
    /// to be sent once more.
    pub fn digest_ended(&mut self, ids: &[i64], outcome: &DeliveryOutcome, now: Moment) {
        self.call_ended(ids, outcome, now);
        let told = matches!(
            outcome,
            DeliveryOutcome::Delivered { .. } | DeliveryOutcome::Unknown { .. } | DeliveryOutcome::Unparsable { .. }
        );
        for id in ids {
            self.under_way.remove(id);
            let Some(item) = self.items.get_mut(id) else { continue };
            item.listed |= told;
            let item = item.clone();
            self.queue(item, now);
        }
    }

    fn call_ended(&mut self, ids: &[i64], outcome: &DeliveryOutcome, now: Moment) {
        let Some(address) = ids.iter().find_map(|id| self.under_way.get(id)).cloned() else { return };
        self.carrier(address.carrier()).window.end(now);
        let lane = self.lane(&address);
        lane.ended(now);
        match outcome {
            DeliveryOutcome::RateLimited { retry_after } => {
                lane.blocked_until = lane.blocked_until.max(now + *retry_after + RETRY_MARGIN);
            }
            DeliveryOutcome::TryAgain { .. } | DeliveryOutcome::Unknown { .. } => self.carrier(address.carrier()).doubt(now),
            _ => {}
        }
    }

    pub fn probed(&mut self, carrier: &str, answered: bool, now: Moment) {
        self.carrier(carrier).probed(answered, now);
    }

    /// Undoes an action for which no call was made because there was nothing to send.
    pub fn withdrawn(&mut self, ids: &[i64], now: Moment) {
        if let Some(address) = ids.iter().find_map(|id| self.under_way.get(id)).cloned() {
            self.carrier(address.carrier()).window.cancel();
            let lane = self.lane(&address);
            lane.busy = false;
            lane.window.cancel();
        }
        for id in ids {
            self.under_way.remove(id);
            if let Some(item) = self.items.get(id).cloned() {
                self.queue(item, now);
            }
        }
    }

    /// Number of messages not yet delivered.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Waiting messages for metrics, by channel and urgency.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values()
    }

    pub fn get(&self, id: i64) -> Option<&Item> {
        self.items.get(&id)
    }

    /// Start of the longest wait of a message that could be sent if there were budget. The wait of a message held by quiet hours
    /// starts when they end. The wait of a message that was tried starts at its beginning.
    pub fn oldest(&self) -> Option<Moment> {
        let begins = |item: &Item| if item.attempts == 0 { item.since.max(item.not_before) } else { item.since };
        self.items.values().filter(|item| !item.listed && item.urgency <= Urgency::Ordinary).map(begins).min()
    }

    /// Removes lanes with default state, because everyone who ever wrote to the bot has a lane.
    pub fn forget_idle(&mut self, now: Moment) {
        self.lanes.retain(|_, lane| !lane.is_idle(now));
    }

    /// Calls available in each lane now, for metrics.
    pub fn budgets(&mut self, now: Moment) -> Vec<(Address, usize)> {
        self.lanes.iter_mut().map(|(address, lane)| (address.clone(), lane.window.free(now))).collect()
    }

    pub fn carriers_in_trouble(&self) -> impl Iterator<Item = &str> {
        self.carriers.iter().filter(|(_, carrier)| carrier.is_in_trouble()).map(|(name, _)| name.as_str())
    }

    /// The best call over all lanes, or the time of the next possible one.
    fn send(&mut self, now: Moment) -> Step {
        let mut best: Option<(Urgency, Moment, i64, Address)> = None;
        let mut wake = self.later.first().map(|(at, _)| *at);
        let sooner = |wake: &mut Option<Moment>, at: Moment| *wake = Some(wake.map_or(at, |known| known.min(at)));
        if let Some((at, _)) = self.overdue.first() {
            sooner(&mut wake, *at);
        }
        for at in self.carriers.values().filter_map(Carrier::probe_at) {
            sooner(&mut wake, at);
        }
        for (address, lane) in &mut self.lanes {
            let Some(carrier) = self.carriers.get_mut(address.carrier()) else { continue };
            let Some((urgency, since, id)) = lane.first(now) else { continue };
            if carrier.is_in_trouble() {
                continue;
            }
            let kept = if urgency == Urgency::Critical { 0 } else { kept_for_critical(carrier.window.budget()) };
            let (Some(lane_free), Some(carrier_free)) = (lane.free_at(urgency, now), carrier.window.free_at(now, kept)) else {
                continue;
            };
            let free = lane_free.max(carrier_free);
            if free > now {
                sooner(&mut wake, free);
            } else if best.as_ref().is_none_or(|(best_urgency, best_since, ..)| (urgency, since) < (*best_urgency, *best_since)) {
                best = Some((urgency, since, id, address.clone()));
            }
        }
        let Some((_, _, id, address)) = best else { return Step::Wait(wake) };
        let choice = self.lane(&address).choose(id, now);
        let ids = match &choice {
            Choice::One(id) => vec![*id],
            Choice::Digest(ids) | Choice::Together(ids) => ids.clone(),
        };
        for id in &ids {
            if let Some(item) = self.items.get(id).cloned() {
                self.lane(&address).remove(&item);
                self.under_way.insert(*id, address.clone());
            }
        }
        let lane = self.lane(&address);
        lane.busy = true;
        lane.window.begin();
        self.carrier(address.carrier()).window.begin();
        Step::Do(match choice {
            Choice::One(id) => Action::Send(id),
            Choice::Digest(ids) => Action::Digest(ids),
            Choice::Together(ids) => Action::Together(ids),
        })
    }

    fn queue(&mut self, item: Item, now: Moment) {
        if item.not_before > now {
            self.later.insert((item.not_before, item.id));
        } else {
            self.lane(&item.address).insert(&item);
        }
    }

    fn take_out(&mut self, id: i64) {
        let Some(item) = self.items.get(&id).cloned() else { return };
        self.later.remove(&(item.not_before, id));
        self.lane(&item.address).remove(&item);
    }

    fn lane(&mut self, address: &Address) -> &mut MessageLane {
        let limits = self.carrier(address.carrier()).limits;
        let address = address.lane();
        self.lanes.entry(address.clone()).or_insert_with(|| MessageLane::new(&address, limits))
    }

    fn carrier(&mut self, name: &str) -> &mut Carrier {
        let limits = self.limits.carriers.get(name).copied().unwrap_or_else(|| CarrierLimits::telegram(1, 1, 1));
        self.carriers.entry(name.to_owned()).or_insert_with(|| Carrier::new(limits))
    }
}

fn verdict(item: &Item, outcome: &DeliveryOutcome, now: Moment) -> Verdict {
    let again = |after: Duration, maybe_sent| Verdict::Again { not_before: now + after, attempts: item.attempts + 1, maybe_sent };
    let pause = FIRST_WAIT.saturating_mul(1 << item.attempts.min(6)).min(LAST_WAIT);
    match outcome {
        DeliveryOutcome::Delivered { reference } => Verdict::Done { reference: reference.clone() },
        DeliveryOutcome::RateLimited { .. } => again(Duration::ZERO, item.maybe_sent),
        DeliveryOutcome::TryAgain { .. } => again(pause, item.maybe_sent),
        DeliveryOutcome::Unknown { reason } if item.maybe_sent => Verdict::GivenUp { reason: reason.clone(), dead: false },
        DeliveryOutcome::Unknown { .. } => again(Duration::ZERO, true),
        // The store has recorded how the next attempt differs.
        _ if is_detour(outcome) && item.detours < MOST_DETOURS => again(Duration::ZERO, item.maybe_sent),
        DeliveryOutcome::Moved { .. }
        | DeliveryOutcome::TopicGone
        | DeliveryOutcome::MessageGone
        | DeliveryOutcome::Unparsable { .. } => Verdict::GivenUp { reason: outcome.name().to_owned(), dead: false },
        DeliveryOutcome::Refused { reason, dead } => Verdict::GivenUp { reason: reason.clone(), dead: *dead },
    }
}

/// The message can be sent in another way: to another id, without its reference, or as plain text.
fn is_detour(outcome: &DeliveryOutcome) -> bool {
    matches!(
        outcome,
        DeliveryOutcome::Moved { .. }
            | DeliveryOutcome::TopicGone
            | DeliveryOutcome::MessageGone
            | DeliveryOutcome::Unparsable { .. }
    )
}

/// Each alternative is used once. A message that needs more of them fails.
const MOST_DETOURS: u32 = 4;

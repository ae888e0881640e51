//! Storms of hours in a moment: the planner against a Telegram that counts every call and forgives nothing, on a simulated
//! clock, from a seed.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::{
    tests::{chat, item, limits, second},
    *,
};
use crate::delivery::{Address, DeliveryOutcome};

/// A Telegram that keeps the rules of its FAQ to the letter and writes down who breaks them.
struct SimulatedTelegram {
    random: u64,
    calls: BTreeMap<i64, Vec<Moment>>,
    all: Vec<Moment>,
    /// Chats that were told to wait, until when.
    stopped: BTreeMap<i64, Moment>,
    inside_retry_after: usize,
    over_the_limit: usize,
    /// Faults: in which time, to which chats, what.
    spells: Vec<Spell>,
    /// How often each message arrived.
    arrived: BTreeMap<i64, usize>,
}

struct Spell {
    from: Moment,
    until: Moment,
    chats: Option<i64>,
    fault: Fault,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    TooMany,
    Broken,
    AnswerLost,
}

impl SimulatedTelegram {
    fn random(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % below
    }

    /// One call that arrives now: its outcome.
    fn call(&mut self, id: i64, chat: i64, now: Moment) -> DeliveryOutcome {
        if self.stopped.get(&chat).is_some_and(|until| now < *until) {
            self.inside_retry_after += 1;
        }
        let spell = self
            .spells
            .iter()
            .find(|spell| spell.from <= now && now < spell.until && spell.chats.is_none_or(|stormed| stormed == chat));
        let (fault, until) = spell.map_or((None, now), |spell| (Some(spell.fault), spell.until));
        match fault {
            Some(Fault::TooMany) => {
                let left = until - now;
                self.stopped.insert(chat, until);
                return DeliveryOutcome::RateLimited { retry_after: Moment::from_secs(left.as_secs() + 1) };
            }
            Some(Fault::Broken) => return DeliveryOutcome::TryAgain { reason: "502".into() },
            _ => {}
        }
        let calls = self.calls.entry(chat).or_default();
        calls.push(now);
        self.all.push(now);
        let minute = calls.iter().rev().take_while(|at| now - **at < second(60)).count();
        let this_second = self.all.iter().rev().take_while(|at| now - **at < second(1)).count();
        if (chat < 0 && minute > 20) || this_second > 30 {
            self.over_the_limit += 1;
        }
        *self.arrived.entry(id).or_default() += 1;
        if fault == Some(Fault::AnswerLost) {
            return DeliveryOutcome::Unknown { reason: "cut".into() };
        }
        DeliveryOutcome::Delivered { reference: id.to_string() }
    }
}

/// What one run saw.
struct Run {
    telegram: SimulatedTelegram,
    /// From accepted to the beginning of the first call.
    first_call: BTreeMap<i64, Moment>,
    listed: BTreeSet<i64>,
    overdue: Vec<i64>,
    given_up: Vec<i64>,
    ended: Moment,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct UnderWay(std::cmp::Reverse<Moment>, Action2, Vec<i64>, i64);

#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Action2 {
    Message,
    Digest,
    Probe,
}

fn run(seed: u64, mut arrivals: Vec<Item>, spells: Vec<Spell>) -> Run {
    let telegram = SimulatedTelegram {
        random: seed,
        calls: BTreeMap::new(),
        all: Vec::new(),
        stopped: BTreeMap::new(),
        inside_retry_after: 0,
        over_the_limit: 0,
        spells,
        arrived: BTreeMap::new(),
    };
    let mut run = Run {
        telegram,
        first_call: BTreeMap::new(),
        listed: BTreeSet::new(),
        overdue: Vec::new(),
        given_up: Vec::new(),
        ended: Moment::ZERO,
    };
    let mut planner = Planner::new(limits(), &Restored::default());
    arrivals.sort_by_key(|item| std::cmp::Reverse(item.since));
    let mut under_way: BinaryHeap<UnderWay> = BinaryHeap::new();
    let mut now = Moment::ZERO;
    let mut steps = 0;
    loop {
        steps += 1;
        assert!(steps < 200_000, "seed {seed}: it does not come to an end");
        while arrivals.last().is_some_and(|item| item.since <= now) {
            planner.put(arrivals.pop().unwrap(), now);
        }
        while under_way.peek().is_some_and(|call| call.0.0 <= now) {
            let UnderWay(_, kind, ids, lane) = under_way.pop().unwrap();
            finish(&mut run, &mut planner, kind, &ids, lane, now);
        }
        let wake = match planner.step(now) {
            Step::Do(Action::Overdue(id)) => {
                run.overdue.push(id);
                continue;
            }
            Step::Do(action) => {
                let (kind, ids, lane) = match action {
                    Action::Send(id) => (Action2::Message, vec![id], lane_of(&planner, id)),
                    Action::Digest(ids) => {
                        let lane = lane_of(&planner, ids[0]);
                        (Action2::Digest, ids, lane)
                    }
                    _ => (Action2::Probe, Vec::new(), 0),
                };
                for id in &ids {
                    let since = planner.get(*id).unwrap().since;
                    run.first_call.entry(*id).or_insert(now - since);
                }
                let latency = Moment::from_millis(20 + run.telegram.random(180));
                under_way.push(UnderWay(std::cmp::Reverse(now + latency), kind, ids, lane));
                continue;
            }
            Step::Wait(wake) => wake,
        };
        let next = [wake, under_way.peek().map(|call| call.0.0), arrivals.last().map(|item| item.since)];
        let Some(next) = next.into_iter().flatten().min() else { break };
        now = next.max(now + Moment::from_millis(1));
    }
    run.ended = now;
    assert!(planner.is_empty(), "seed {seed}: {} are still in the queue", planner.len());
    run
}

fn lane_of(planner: &Planner, id: i64) -> i64 {
    match &planner.get(id).unwrap().address {
        Address::Telegram { chat, .. } => *chat,
        Address::Phone { .. } => 0,
    }
}

/// The call arrives at its very end: the worst case for a budget that counts from the beginning.
fn finish(run: &mut Run, planner: &mut Planner, kind: Action2, ids: &[i64], lane: i64, now: Moment) {
    if kind == Action2::Probe {
        let broken = run
            .telegram
            .spells
            .iter()
            .any(|spell| spell.fault == Fault::Broken && spell.chats.is_none() && spell.from <= now && now < spell.until);
        planner.probed("bot", !broken, now);
        return;
    }
    let own = if kind == Action2::Digest { -ids[0] } else { ids[0] };
    let outcome = run.telegram.call(own, lane, now);
    if kind == Action2::Digest {
        planner.digest_ended(ids, &outcome, now);
        if matches!(outcome, DeliveryOutcome::Delivered { .. }) {
            run.listed.extend(ids);
        }
        return;
    }
    for (id, verdict) in planner.ended(ids, &outcome, now) {
        match verdict {
            Verdict::Done { .. } => {
                run.listed.insert(id);
            }
            Verdict::GivenUp { .. } => run.given_up.push(id),
            Verdict::Again { .. } => {}
        }
    }
}

fn percentile(mut values: Vec<Moment>, share: usize) -> Moment {
    values.sort_unstable();
    values[(values.len() * share / 100).min(values.len() - 1)]
}

/// 200 groups at once to one chat that is stopped for a minute, 500 criticals spread over 25 other chats meanwhile, and a
/// critical for the stormed chat.
#[test]
fn a_stormed_chat_holds_up_no_critical_and_breaks_no_limit() {
    for seed in 1..=8 {
        let mut arrivals: Vec<Item> = (1..=200).map(|id| item(id, chat(-1), Urgency::Ordinary, second(10))).collect();
        arrivals.extend((0..500).map(|number| {
            let since = second(10) + Moment::from_millis(number * 480);
            item(
                1000 + i64::try_from(number).unwrap(),
                chat(-100 - i64::try_from(number % 25).unwrap()),
                Urgency::Critical,
                since,
            )
        }));
        arrivals.push(item(5000, chat(-1), Urgency::Critical, second(100)));
        let spell = Spell { from: second(15), until: second(75), chats: Some(-1), fault: Fault::TooMany };
        let run = run(seed, arrivals, vec![spell]);
        assert_eq!((run.telegram.inside_retry_after, run.telegram.over_the_limit), (0, 0), "seed {seed}");
        assert_eq!(run.listed.len(), 701, "seed {seed}: every group is listed or sent");
        let others: Vec<_> = (1000..1500).map(|id| run.first_call[&id]).collect();
        assert!(percentile(others, 99) < second(1), "seed {seed}");
        assert!(run.first_call[&5000] < second(5), "seed {seed}: {:?}", run.first_call[&5000]);
        assert!(run.telegram.arrived.values().all(|times| *times == 1), "seed {seed}: nothing arrives twice");
    }
}

/// An hour of 502: few calls are made in vain, every critical is overdue once, and afterwards all arrive.
#[test]
fn an_hour_without_telegram_loses_nothing_and_calls_little() {
    let mut arrivals: Vec<Item> = (1..=200).map(|id| item(id, chat(-1 - id % 10), Urgency::Ordinary, second(60))).collect();
    arrivals.extend((0..50).map(|number| item(1000 + number, chat(-20 - number), Urgency::Critical, second(120))));
    let spell = Spell { from: second(30), until: second(3630), chats: None, fault: Fault::Broken };
    let run = run(7, arrivals, vec![spell]);
    assert_eq!((run.listed.len(), run.overdue.len(), run.given_up.len()), (250, 50, 0));
    assert_eq!((run.telegram.inside_retry_after, run.telegram.over_the_limit), (0, 0));
    assert!(run.ended < second(3630 + 900), "{:?}", run.ended);
}

/// Every answer of a minute is lost: each message arrives at most twice.
#[test]
fn lost_answers_cost_at_most_one_repetition() {
    let arrivals: Vec<Item> = (1..=60).map(|id| item(id, chat(-1 - id % 12), Urgency::Critical, second(10))).collect();
    let spell = Spell { from: second(0), until: second(40), chats: None, fault: Fault::AnswerLost };
    let run = run(3, arrivals, vec![spell]);
    assert!(run.telegram.arrived.values().all(|times| (1..=2).contains(times)), "{:?}", run.telegram.arrived);
    assert_eq!(run.telegram.arrived.len(), 60, "every message arrived");
    assert_eq!(run.telegram.over_the_limit, 0);
}

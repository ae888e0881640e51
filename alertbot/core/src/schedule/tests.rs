//! The planner's rules one by one. Whole storms are in `simulation`.

use super::*;
use crate::delivery::{Address, DeliveryOutcome, Medium};

pub(super) fn second(seconds: u64) -> Moment {
    Moment::from_secs(seconds)
}

pub(super) fn chat(chat: i64) -> Address {
    Address::Telegram { bot: "bot".into(), chat, topic: None }
}

pub(super) fn limits() -> Limits {
    let carriers = [("bot".to_owned(), CarrierLimits::telegram(30, 60, 20)), ("sms".to_owned(), CarrierLimits::phone(30))].into();
    Limits { carriers }
}

pub(super) fn item(id: i64, address: Address, urgency: Urgency, since: Moment) -> Item {
    Item {
        id,
        kind: if matches!(address, Address::Phone { .. }) { MessageKind::Phone } else { MessageKind::Card },
        address,
        urgency,
        since,
        not_before: since,
        overdue_at: (urgency == Urgency::Critical).then(|| since + second(60)),
        digestible: urgency == Urgency::Ordinary,
        listed: false,
        attempts: 0,
        detours: 0,
        maybe_sent: false,
    }
}

fn planner() -> Planner {
    Planner::new(limits(), &Restored::default())
}

fn delivered() -> DeliveryOutcome {
    DeliveryOutcome::Delivered { reference: "1".into() }
}

fn sent(planner: &mut Planner, now: Moment) -> Option<i64> {
    match planner.step(now) {
        Step::Do(Action::Send(id)) => Some(id),
        Step::Do(other) => panic!("{other:?}"),
        Step::Wait(_) => None,
    }
}

#[test]
fn one_call_at_a_time_to_a_chat_and_the_critical_first() {
    let mut planner = planner();
    for (id, urgency) in [(1, Urgency::Quiet), (2, Urgency::Ordinary), (3, Urgency::Critical), (4, Urgency::Answer)] {
        planner.put(item(id, chat(-1), urgency, second(0)), second(0));
    }
    let mut order = Vec::new();
    for at in 0..8 {
        if let Some(id) = sent(&mut planner, second(2 * at)) {
            assert_eq!(sent(&mut planner, second(2 * at)), None, "the call is under way");
            planner.ended(&[id], &delivered(), second(2 * at));
            order.push(id);
        }
    }
    assert_eq!(order, [3, 4, 2, 1]);
    assert!(planner.is_empty());
}

#[test]
fn a_429_stops_its_chat_for_its_time_and_no_other() {
    let mut planner = planner();
    planner.put(item(1, chat(-1), Urgency::Critical, second(0)), second(0));
    assert_eq!(sent(&mut planner, second(0)), Some(1));
    planner.ended(&[1], &DeliveryOutcome::RateLimited { retry_after: second(30) }, second(0));
    planner.put(item(2, chat(-2), Urgency::Ordinary, second(1)), second(1));
    assert_eq!(sent(&mut planner, second(1)), Some(2));
    planner.ended(&[2], &delivered(), second(1));
    assert_eq!(sent(&mut planner, second(30)), None);
    assert_eq!(sent(&mut planner, second(31)), Some(1));
}

#[test]
fn after_a_restart_the_429_and_the_calls_of_the_last_minute_still_count() {
    let called = (0..20).map(|call| (chat(-2), second(call))).collect();
    let restored = Restored { blocked: vec![(chat(-1), second(40))], called };
    let mut planner = Planner::new(limits(), &restored);
    planner.put(item(1, chat(-1), Urgency::Critical, second(20)), second(20));
    planner.put(item(2, chat(-2), Urgency::Critical, second(20)), second(20));
    assert_eq!(sent(&mut planner, second(39)), None);
    assert_eq!(sent(&mut planner, second(40)), Some(1));
    assert_eq!(sent(&mut planner, second(60)), None);
    assert_eq!(sent(&mut planner, second(61)), Some(2));
}

#[test]
fn a_lost_answer_is_sent_once_more_after_a_probe_and_never_a_third_time() {
    let mut planner = planner();
    let lost = DeliveryOutcome::Unknown { reason: "cut".into() };
    planner.put(item(1, chat(-1), Urgency::Ordinary, second(0)), second(0));
    assert_eq!(sent(&mut planner, second(0)), Some(1));
    let verdicts = planner.ended(&[1], &lost, second(1));
    assert!(matches!(verdicts[..], [(1, Verdict::Again { maybe_sent: true, .. })]), "{verdicts:?}");
    assert_eq!(planner.step(second(10)), Step::Do(Action::Probe("bot".into())));
    assert!(matches!(planner.step(second(10)), Step::Wait(_)), "one probe at a time, and nothing else before it is answered");
    planner.probed("bot", false, second(11));
    assert_eq!(planner.step(second(11)), Step::Wait(Some(second(12))));
    assert_eq!(planner.step(second(12)), Step::Do(Action::Probe("bot".into())));
    planner.probed("bot", true, second(12));
    assert_eq!(sent(&mut planner, second(12)), Some(1));
    let verdicts = planner.ended(&[1], &lost, second(13));
    assert!(matches!(verdicts[..], [(1, Verdict::GivenUp { dead: false, .. })]), "{verdicts:?}");
}

#[test]
fn a_critical_that_is_not_delivered_in_time_is_overdue_once_whatever_holds_it_up() {
    let mut planner = planner();
    planner.put(item(1, chat(-1), Urgency::Critical, second(0)), second(0));
    assert_eq!(sent(&mut planner, second(0)), Some(1));
    planner.ended(&[1], &DeliveryOutcome::RateLimited { retry_after: second(600) }, second(0));
    assert_eq!(planner.step(second(1)), Step::Wait(Some(second(60))));
    assert_eq!(planner.step(second(60)), Step::Do(Action::Overdue(1)));
    assert!(matches!(planner.step(second(60)), Step::Wait(_)));
}

#[test]
fn what_quiet_hours_hold_ages_from_their_end_and_what_was_tried_from_its_beginning() {
    let mut planner = planner();
    planner.put(Item { not_before: second(900), ..item(1, chat(-1), Urgency::Ordinary, second(0)) }, second(0));
    assert_eq!(planner.oldest(), Some(second(900)));
    planner.put(item(2, chat(-2), Urgency::Ordinary, second(10)), second(10));
    assert_eq!(sent(&mut planner, second(10)), Some(2));
    planner.ended(&[2], &DeliveryOutcome::TryAgain { reason: "down".into() }, second(20));
    assert_eq!(planner.oldest(), Some(second(10)));
}

#[test]
fn what_waits_for_one_telephone_is_one_sms() {
    let mut planner = planner();
    let phone = Address::Phone { provider: "sms".into(), person: "sam".into(), medium: Medium::Sms };
    for id in 1..=5 {
        planner.put(Item { not_before: second(3), ..item(id, phone.clone(), Urgency::Critical, second(0)) }, second(0));
    }
    assert_eq!(planner.step(second(2)), Step::Wait(Some(second(3))));
    assert_eq!(planner.step(second(3)), Step::Do(Action::Together(vec![1, 2, 3, 4, 5])));
    let verdicts = planner.ended(&[1, 2, 3, 4, 5], &delivered(), second(4));
    assert_eq!(verdicts.len(), 5);
    assert!(planner.is_empty());
}

#[test]
fn a_storm_is_named_in_digests_and_each_group_follows_when_budget_frees() {
    let mut planner = planner();
    for id in 1..=100 {
        planner.put(item(id, chat(-1), Urgency::Ordinary, second(0)), second(0));
    }
    planner.put(item(1000, chat(-1), Urgency::Critical, second(0)), second(0));
    let (mut digests, mut own, mut named, mut now) = (0, Vec::new(), Vec::new(), second(0));
    while !planner.is_empty() {
        match planner.step(now) {
            Step::Do(Action::Send(id)) => {
                planner.ended(&[id], &delivered(), now);
                own.push(id);
            }
            Step::Do(Action::Digest(ids)) => {
                planner.digest_ended(&ids, &delivered(), now);
                digests += 1;
                named.extend(ids);
            }
            // Nobody acts on it here.
            Step::Do(Action::Overdue(_)) => {}
            Step::Do(other) => panic!("{other:?}"),
            Step::Wait(at) => now = at.expect("something is in the queue"),
        }
    }
    assert_eq!(own[0], 1000);
    named.sort_unstable();
    named.dedup();
    // The last ten fit into the budget without one.
    assert_eq!((digests, named.len(), own.len()), (3, 90, 101));
}

#[test]
fn a_lane_is_kept_while_anything_of_it_matters() {
    let mut planner = planner();
    let lanes = |planner: &mut Planner, at: u64| {
        planner.forget_idle(second(at));
        planner.budgets(second(at)).len()
    };
    for stranger in 1..=50 {
        planner.put(item(stranger, chat(stranger), Urgency::Answer, second(0)), second(0));
    }
    assert_eq!(lanes(&mut planner, 0), 50, "all of them wait");
    let mut now = second(0);
    while !planner.is_empty() {
        match planner.step(now) {
            Step::Do(Action::Send(id)) => drop(planner.ended(&[id], &delivered(), now)),
            Step::Do(other) => panic!("{other:?}"),
            Step::Wait(at) => now = at.expect("something is in the queue"),
        }
    }
    assert_eq!(lanes(&mut planner, 50), 50, "the calls of this minute count");
    planner.put(item(99, chat(1), Urgency::Critical, second(50)), second(50));
    assert_eq!(sent(&mut planner, second(50)), Some(99));
    assert_eq!(lanes(&mut planner, 90), 1, "a call is under way");
    planner.ended(&[99], &DeliveryOutcome::RateLimited { retry_after: second(600) }, second(90));
    planner.remove(99);
    assert_eq!(lanes(&mut planner, 600), 1, "a 429 is kept to");
    assert_eq!(lanes(&mut planner, 700), 0);
}

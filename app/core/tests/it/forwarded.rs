//! Tests of forwarded commands: a follower rebuilds the leader's answer from the events, for every kind of command.

use crate::support::{Exchange, Random, SECOND, filters, some_commission};
use exchange_core::command::Command;
use exchange_core::event::{CommandExecuted, Event};
use exchange_core::rebuild::Rebuild;
use exchange_core::{State, batch};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Applies the events that end with `executed`, and returns the answer.
fn follow(
    state: &mut State,
    command: &Command,
    events: &[Event],
    executed: &CommandExecuted,
) -> Option<exchange_core::command::Outcome> {
    let mut rebuild = Rebuild::new(command);
    let (own, marker) = events.split_at(events.len() - 1);
    for event in own {
        rebuild.before(state, event);
        state.evolve_with(event, &mut rebuild);
    }
    let outcome = rebuild.finish(state, executed);
    state.evolve(&marker[0]);
    outcome
}

/// Runs random commands on both, and compares every answer. Returns the forwarded commands by kind, and how many contain a refused
/// half.
fn compare(seed: u64, steps: u128) -> (BTreeMap<&'static str, usize>, usize) {
    let mut random = Random(seed);
    let mut leader = Exchange::with(filters(), some_commission());
    leader.works = false;
    let mut follower = State::new();
    leader.journal.iter().for_each(|event| follower.evolve(event));
    let (mut kinds, mut halves) = (BTreeMap::<&str, usize>::new(), 0);
    let (mut orders, mut lists) = (0, 0);
    for step in 0..steps {
        let command = random.command(orders, lists);
        if random.chance(30) {
            leader.work();
        }
        leader.now += random.below(2) as i64 * SECOND;
        let begun = leader.journal.len();
        // Not every command is forwarded: the events of others are in between.
        let forwarded = command.is_forwarded() && random.chance(70);
        let answer = if forwarded {
            leader.state.decide_forwarded(step, &command, leader.now, &mut leader.journal)
        } else {
            leader.state.decide(&command, leader.now, &mut leader.journal)
        };
        let events = &leader.journal[begun..];
        for event in events {
            orders = event.placed().map_or(orders, |placed| placed.order);
            lists = event.placed_list().unwrap_or(lists);
        }
        let missed = leader.journal.len() - begun + (leader.state.sequence() - follower.sequence()) as usize - events.len();
        let earlier = &leader.journal[leader.journal.len() - missed..begun];
        earlier.iter().for_each(|event| follower.evolve(event));
        match (events.last(), answer) {
            (Some(Event::CommandExecuted(executed)), Ok(outcome)) => {
                assert!(forwarded);
                assert_eq!((executed.id, executed.events as usize), (step, events.len() - 1));
                *kinds.entry(command.name()).or_default() += 1;
                halves += usize::from(executed.cancel_refused.is_some() || executed.new_refused.is_some());
                let rebuilt = follow(&mut follower, &command, events, executed);
                assert_eq!(rebuilt, Some(outcome), "{:?}", command);
            }
            (_, answer) => {
                assert!(!forwarded || answer.is_err() || events.is_empty(), "an executed command has a marker");
                events.iter().for_each(|event| follower.evolve(event));
            }
        }
        assert_eq!(follower.sequence(), leader.state.sequence());
    }
    assert_eq!(follower.hash(), leader.state.hash());
    (kinds, halves)
}

#[test]
fn every_kind_of_command_is_rebuilt() {
    let (kinds, halves) = compare(2_028, 10_000);
    let expected = ["amend", "cancel", "cancel_all", "cancel_list", "cancel_replace", "place", "place_oco", "place_oto"];
    assert!(expected.iter().all(|name| kinds.contains_key(name)) && halves > 0, "{kinds:?}, {halves} halves");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn a_follower_gives_the_answer_of_the_leader(seed: u64) {
        compare(seed, 1_000);
    }

    #[test]
    fn a_forwarded_command_is_read_as_it_was_written(seed: u64) {
        let mut random = Random(seed);
        for _ in 0..200 {
            let command = random.command(random.0 % 50, 7);
            let mut bytes = Vec::new();
            prop_assert_eq!(command.encode(&mut bytes), command.is_forwarded());
            if command.is_forwarded() {
                prop_assert_eq!(Command::decode(&bytes), Ok(command));
                for length in 0..bytes.len() {
                    prop_assert!(Command::decode(&bytes[..length]).is_err(), "a truncated command is refused");
                }
                bytes.push(0);
                prop_assert!(Command::decode(&bytes).is_err(), "trailing bytes are refused");
            }
        }
    }

    #[test]
    fn any_bytes_are_a_command_or_refused(bytes: Vec<u8>) {
        let _ = Command::decode(&bytes);
    }
}

#[test]
fn the_marker_needs_feature_level_3() {
    let mut exchange = Exchange::new();
    let order = exchange.limit(crate::support::ALICE, exchange_core::order::Side::Buy, "100", "1");
    let begun = exchange.journal.len();
    exchange.state.decide_forwarded(7, &Command::Place(order), exchange.now, &mut exchange.journal).unwrap();
    assert_eq!((batch::level(&exchange.journal[begun..begun + 1]), batch::level(&exchange.journal[begun..])), (1, 3));
}

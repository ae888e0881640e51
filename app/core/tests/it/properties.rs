//! Tests of properties that hold for every stream of customers' and operators' commands: conservation, replay, snapshots, atomic
//! refusals.

use crate::support::{Exchange, Random, SECOND, check_invariants, filters, replay, some_commission};
use exchange_core::{State, event::Event};
use proptest::prelude::*;

fn last_ids(exchange: &Exchange) -> (u64, u64) {
    (exchange.last_order(), exchange.last_list())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn money_is_conserved_and_replay_is_the_live_state(seed: u64) {
        let mut random = Random(seed);
        let mut exchange = if random.chance(30) {
            Exchange::of_level_1(filters(), some_commission())
        } else {
            Exchange::with(filters(), some_commission())
        };
        exchange.works = false;
        for step in 0..1_500 {
            let (orders, lists) = last_ids(&exchange);
            let command = random.anybody(orders, lists);
            for _ in 0..random.below(3) {
                exchange.work();
            }
            while exchange.state.must_wait(&command) && exchange.work() {}
            let (before, events) = (exchange.state.sequence(), exchange.journal.len());
            exchange.now += random.below(2) as i64 * SECOND;
            if exchange.run(&command).is_err() {
                prop_assert_eq!(exchange.journal.len(), events, "a refusal has no effect: {:?}", command);
                prop_assert_eq!(exchange.state.sequence(), before);
            }
            if step % 10 == 0 {
                check_invariants(&exchange.state);
            }
        }
        check_invariants(&exchange.state);
        let mut bytes = Vec::new();
        exchange.state.encode(&mut bytes);
        let mut replayed = Vec::new();
        replay(&exchange.journal).encode(&mut replayed);
        prop_assert!(bytes == replayed, "the replayed state differs from the live one");
        prop_assert_eq!(exchange.state.sequence(), exchange.journal.len() as u64);
        // Except the fees: an operator's command may set the commission to zero before the first trade.
        prop_assert!(exchange.journal.iter().any(|event| matches!(event, Event::Trade(_))), "1,500 commands trade");
    }

    #[test]
    fn a_snapshot_goes_on_as_the_state_would(seed: u64) {
        let mut random = Random(seed);
        let mut exchange = Exchange::with(filters(), some_commission());
        exchange.works = false;
        for _ in 0..400 {
            let (orders, lists) = last_ids(&exchange);
            let _ = exchange.run(&random.anybody(orders, lists));
            if random.chance(30) {
                exchange.work();
            }
        }
        let mut bytes = Vec::new();
        exchange.state.encode(&mut bytes);
        let mut restored = State::decode(&bytes).expect("a snapshot decodes");
        prop_assert_eq!(restored.hash(), exchange.state.hash());
        for _ in 0..400 {
            let (orders, lists) = last_ids(&exchange);
            let command = random.anybody(orders, lists);
            let live = exchange.run(&command);
            prop_assert_eq!(restored.decide(&command, exchange.now, &mut Vec::new()), live);
            if random.chance(30) {
                prop_assert_eq!(exchange.work(), restored.work(exchange.now, &mut Vec::new()));
            }
        }
        prop_assert_eq!(restored.hash(), exchange.state.hash());
    }

    #[test]
    fn damaged_bytes_are_refused_or_read_but_never_panic(seed: u64, flips in prop::collection::vec((0usize..4_000, 0u8..8), 1..6)) {
        let mut random = Random(seed);
        let mut exchange = Exchange::new();
        for _ in 0..60 {
            let (orders, lists) = last_ids(&exchange);
            let _ = exchange.run(&random.command(orders, lists));
        }
        let mut batch = Vec::new();
        exchange_core::batch::encode(&exchange.journal, &mut batch);
        let whole = exchange_core::batch::checksum(&batch);
        let length = batch.len();
        for (at, bit) in flips {
            batch[at % length] ^= 1 << bit;
        }
        let _ = exchange_core::batch::decode(&batch);
        let mut original = Vec::new();
        exchange_core::batch::encode(&exchange.journal, &mut original);
        prop_assert!(batch == original || exchange_core::batch::checksum(&batch) != whole);
    }
}

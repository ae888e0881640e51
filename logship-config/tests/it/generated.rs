//! This module generates 3,000 policies and compares the program with an independent statement of Elasticsearch's rules.
//! The statement uses a model, not YAML, and shares no code with the program.

use std::{collections::BTreeMap, fmt::Write as _};

use logship::desired;
use proptest::{
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, TestRunner},
};

const CASES: u32 = 3_000;
const PHASES: [&str; 5] = ["hot", "warm", "cold", "frozen", "delete"];

/// One variant of an action: its text, and whether the variant itself is valid.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Action {
    name: &'static str,
    /// Letters of the phases that allow it: h w c f d.
    phases: &'static str,
    text: &'static str,
    right: bool,
}

const fn action(name: &'static str, phases: &'static str, text: &'static str, right: bool) -> Action {
    Action { name, phases, text, right }
}

const ACTIONS: &[Action] = &[
    action("set_priority", "hwc", "{priority: 5}", true),
    action("set_priority", "hwc", "{priority: null}", true),
    action("set_priority", "hwc", "{priority: -5}", false),
    action("set_priority", "hwc", "{}", false),
    action("unfollow", "hwcf", "{}", true),
    action("rollover", "h", "{max_age: 1d}", true),
    action("rollover", "h", "{max_primary_shard_size: 50gb, min_docs: 1}", true),
    action("rollover", "h", "{min_age: 1d}", false),
    action("rollover", "h", "{max_age: 1 day}", false),
    action("readonly", "hwc", "{}", true),
    action("readonly", "hwc", "{on: true}", false),
    action("downsample", "hwc", "{fixed_interval: 1h}", true),
    action("downsample", "hwc", "{fixed_interval: 2h}", true),
    action("downsample", "hwc", "{fixed_interval: 3h}", true),
    action("downsample", "hwc", "{fixed_interval: 1h, sampling_method: last_value}", true),
    action("downsample", "hwc", "{}", false),
    action("shrink", "hw", "{number_of_shards: 1}", true),
    action("shrink", "hw", "{max_primary_shard_size: 50gb}", true),
    action("shrink", "hw", "{number_of_shards: 1, max_primary_shard_size: 50gb}", false),
    action("forcemerge", "hw", "{max_num_segments: 1}", true),
    action("forcemerge", "hw", "{max_num_segments: 0}", false),
    action("allocate", "wc", "{number_of_replicas: 0}", true),
    action("allocate", "wc", "{require: {box: a}}", true),
    action("allocate", "wc", "{}", false),
    action("migrate", "wc", "{}", true),
    action("migrate", "wc", "{enabled: false}", true),
    action("searchable_snapshot", "hcf", "{snapshot_repository: one}", true),
    action("searchable_snapshot", "hcf", "{snapshot_repository: two}", true),
    action("searchable_snapshot", "hcf", "{}", false),
    action("wait_for_snapshot", "d", "{policy: nightly}", true),
    action("wait_for_snapshot", "d", "{}", false),
    action("delete", "d", "{}", true),
    action("delete", "d", "{delete_searchable_snapshot: false}", true),
    action("freeze", "", "{}", false),
    action("rolover", "", "{}", false),
];
const AGES: [(&str, i64, bool); 8] = [
    ("0ms", 0, true),
    ("1h", 1, true),
    ("1d", 24, true),
    ("24h", 24, true),
    ("7d", 168, true),
    ("30D", 720, true),
    ("1w", 0, false),
    ("30", 0, false),
];

#[derive(Debug, Clone)]
struct Phase {
    age: Option<(&'static str, i64, bool)>,
    actions: BTreeMap<&'static str, Action>,
}

type Policy = BTreeMap<usize, Phase>;

/// Mostly actions of the phase, rarely any action.
fn phase(at: usize) -> impl Strategy<Value = Phase> {
    let letter = ["h", "w", "c", "f", "d"][at];
    let fitting: Vec<Action> = ACTIONS.iter().filter(|action| action.phases.contains(letter) && action.right).copied().collect();
    let picks = proptest::collection::vec((0..40u32, any::<Index>()), 0..5);
    let age = proptest::option::weighted(0.7, prop_oneof![9 => select(&AGES[..6]), 1 => select(&AGES[..])]);
    (age, picks).prop_map(move |(age, picks)| {
        let chosen = picks.iter().map(|(odd, index)| if *odd == 0 { *index.get(ACTIONS) } else { *index.get(&fitting) });
        Phase { age, actions: chosen.map(|action| (action.name, action)).collect() }
    })
}

fn policy() -> impl Strategy<Value = Policy> {
    let phases = [0, 1, 2, 3, 4].map(|at| proptest::option::of(phase(at)));
    phases.prop_map(|phases| phases.into_iter().enumerate().filter_map(|(at, phase)| Some((at, phase?))).collect())
}

/// An independent statement of the rules of TimeseriesLifecycleType and of the actions.
fn right(policy: &Policy) -> bool {
    let has = |at: usize, name: &str| policy.get(&at).is_some_and(|phase| phase.actions.contains_key(name));
    let every_action_fits = policy.iter().all(|(at, phase)| {
        let letter = PHASES[*at].chars().next().unwrap();
        phase.actions.values().all(|action| action.right && action.phases.contains(letter))
    });
    let every_age_is_one = policy.values().all(|phase| phase.age.is_none_or(|(_, _, right)| right));
    let ages: Vec<i64> =
        policy.values().filter_map(|phase| phase.age).map(|(_, hours, _)| hours).filter(|hours| *hours > 0).collect();
    let ages_grow = ages.windows(2).all(|pair| pair[0] <= pair[1]);
    let hot_needs_no_rollover = has(0, "rollover")
        || !["readonly", "downsample", "shrink", "forcemerge", "searchable_snapshot"].iter().any(|name| has(0, name));
    let one_way_to_move = policy.values().all(|phase| {
        let migrates = phase.actions.get("migrate").is_some_and(|action| action.text == "{}");
        let rules = phase.actions.get("allocate").is_some_and(|action| action.text.contains("require"));
        !(migrates && rules)
    });
    let frozen_is_mounted = !policy.contains_key(&3) || has(3, "searchable_snapshot");
    let repositories: std::collections::BTreeSet<_> =
        policy.values().filter_map(|phase| phase.actions.get("searchable_snapshot")).map(|action| action.text).collect();
    let nothing_after_mounting = !has(0, "searchable_snapshot")
        || (1..5).all(|at| !["forcemerge", "shrink", "downsample"].iter().any(|name| has(at, name)));
    let samples: Vec<(i64, bool)> = policy
        .values()
        .filter_map(|phase| phase.actions.get("downsample"))
        .filter(|action| action.right)
        .map(|action| {
            (
                action.text.bytes().find(u8::is_ascii_digit).map_or(0, |digit| i64::from(digit - b'0')),
                action.text.contains("last"),
            )
        })
        .collect();
    let samples_nest =
        samples.windows(2).all(|pair| pair[1].0 > pair[0].0 && pair[1].0 % pair[0].0 == 0 && pair[1].1 == pair[0].1);
    every_action_fits
        && every_age_is_one
        && ages_grow
        && hot_needs_no_rollover
        && one_way_to_move
        && frozen_is_mounted
        && repositories.len() <= 1
        && nothing_after_mounting
        && samples_nest
}

fn text(policy: &Policy) -> String {
    let mut text = "phases:\n".to_owned();
    if policy.is_empty() {
        return "phases: {}\n".to_owned();
    }
    for (at, phase) in policy {
        let _ = writeln!(text, "  {}:", PHASES[*at]);
        if let Some((age, ..)) = phase.age {
            let _ = writeln!(text, "    min_age: {age}");
        }
        let _ = writeln!(text, "    actions:{}", if phase.actions.is_empty() { " {}" } else { "" });
        for action in phase.actions.values() {
            let _ = writeln!(text, "      {}: {}", action.name, action.text);
        }
    }
    text
}

#[test]
fn generated_policies_have_equal_results() {
    let repository = "{type: s3, settings: {bucket: b}}";
    let mut counted = (0, 0);
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let counting = std::cell::RefCell::new(&mut counted);
    runner
        .run(&policy(), |policy| {
            let files = [
                ("policies/p.yaml", text(&policy).as_str()),
                ("snapshots/repositories/one.yaml", repository),
                ("snapshots/repositories/two.yaml", repository),
                ("snapshots/policies/nightly.yaml", "{schedule: 1d, name: nightly, repository: one}"),
            ]
            .map(|(file, text)| (file.to_owned(), text.to_owned()));
            let judged = desired::load_desired(&BTreeMap::from(files));
            let expected = right(&policy);
            let mut counted = counting.borrow_mut();
            if expected {
                counted.0 += 1
            } else {
                counted.1 += 1
            }
            prop_assert_eq!(judged.is_ok(), expected, "{}\n{:?}", text(&policy), judged.err());
            Ok(())
        })
        .unwrap();
    crate::place::print_line(&format!("{} valid and {} invalid policies with equal results", counted.0, counted.1));
    assert!(counted.0 > CASES / 10 && counted.1 > CASES / 10, "both kinds are generated: {counted:?}");
}

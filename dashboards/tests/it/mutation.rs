//! Whether the unit tests of the rules notice small changes of the rules. The short form tries a sample of the changes; `make mutate`
//! tries each one and prints the score.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use dashboards::{
    mutation::{self, Mutant, Suite},
    path, read, rules,
};

/// Least share of changes that a unit test must notice, in percent.
const SCORE_MIN: usize = 95;
/// The short form tries one change in this many.
const SAMPLE: u64 = 12;
/// Changes that one run of promtool tries.
const BATCH: usize = 20;

/// Changes that no unit test notices, each with the reason.
fn listed() -> BTreeMap<String, String> {
    let file = path("prometheus/survivors.yml");
    serde_yaml_ng::from_str(&read(&file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// By the name alone, so that a new rule does not change which changes of other rules are tried (FNV-1a).
fn is_sampled(name: &str) -> bool {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash >> 32).is_multiple_of(SAMPLE)
}

fn every_mutant() -> Vec<Mutant> {
    mutation::mutants(&rules::recordings(), &rules::alerts())
}

/// Numbers of the mutants that some unit test of theirs notices.
fn killed(suite: &Suite, mutants: &[(usize, &Mutant)], folder: &Path) -> BTreeSet<usize> {
    let tool = local_parts::find_program("promtool").unwrap_or_else(|missing| panic!("{missing}"));
    let mut tests = Vec::new();
    for (number, mutant) in mutants {
        for (part, (rules, test)) in suite.reduced(mutant, "rules").into_iter().enumerate() {
            let own = folder.join(format!("{number}-{part}"));
            fs::create_dir(&own).unwrap();
            fs::write(own.join("rules.yml"), rules).unwrap();
            fs::write(own.join("test.yml"), test).unwrap();
            tests.push(own.join("test.yml"));
        }
    }
    if tests.is_empty() {
        return BTreeSet::new();
    }
    let output = Command::new(tool).args(["test", "rules"]).args(&tests).output().expect("promtool starts");
    let (answers, faults) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let passed = passed(&answers);
    let failed: Vec<_> = tests.iter().filter(|test| !passed.contains(*test)).collect();
    let reported = faults.lines().filter(|line| line.trim_start().starts_with("FAILED")).count();
    assert_eq!(reported, failed.len(), "promtool did not answer for each file:\n{faults}");
    failed.into_iter().map(|test| number(test)).collect()
}

/// The mutant that a file of unit tests belongs to.
fn number(test: &Path) -> usize {
    let folder = test.parent().and_then(Path::file_name).and_then(|name| name.to_str()).expect("a numbered folder");
    folder.split('-').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// Files whose name promtool prints before a SUCCESS. It prints failures elsewhere.
fn passed(printed: &str) -> BTreeSet<PathBuf> {
    let mut current = PathBuf::new();
    let mut found = BTreeSet::new();
    for line in printed.lines() {
        if let Some(file) = line.strip_prefix("Unit Testing:") {
            current = PathBuf::from(file.trim());
        } else if line.trim() == "SUCCESS" {
            found.insert(current.clone());
        }
    }
    found
}

/// Names of the mutants that no unit test notices.
fn survivors(suite: &Suite, mutants: &[Mutant]) -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    let numbered: Vec<(usize, &Mutant)> = mutants.iter().enumerate().collect();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let killed: BTreeSet<usize> = thread::scope(|scope| {
        let batches: Vec<_> = numbered.chunks(BATCH).collect();
        let folder = folder.path();
        let worker = |first: usize| {
            let batches = batches.iter().skip(first).step_by(threads).copied().collect::<Vec<_>>();
            scope.spawn(move || batches.into_iter().flat_map(|batch| killed(suite, batch, folder)).collect::<Vec<_>>())
        };
        let workers: Vec<_> = (0..threads).map(worker).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker ends")).collect()
    });
    numbered.into_iter().filter(|(number, _)| !killed.contains(number)).map(|(_, mutant)| mutant.name()).collect()
}

#[test]
fn each_listed_survivor_is_a_change_with_a_reason() {
    let names: BTreeSet<_> = every_mutant().iter().map(Mutant::name).collect();
    for (name, reason) in listed() {
        assert!(names.contains(&name), "survivors.yml lists {name:?}, which is not a change of a rule");
        assert!(reason.len() > 20, "survivors.yml has no reason for {name:?}");
    }
}

/// Otherwise each failure below could come from the reduction.
#[test]
fn unchanged_rules_pass_their_reduced_tests() {
    let unchanged: Vec<Mutant> = rules::alerts()
        .into_iter()
        .map(|alert| Mutant { rule: alert.alert, change: "none".to_owned(), expr: alert.expr, wait: alert.wait })
        .collect();
    let survived = survivors(&Suite::read(), &unchanged);
    let failed: Vec<_> = unchanged.iter().map(Mutant::name).filter(|name| !survived.contains(name)).collect();
    assert!(failed.is_empty(), "these reduced tests fail without a change: {failed:?}");
}

#[test]
fn unit_tests_notice_a_sample_of_changes() {
    let sample: Vec<_> = every_mutant().into_iter().filter(|mutant| is_sampled(&mutant.name())).collect();
    assert!(sample.len() > 30, "only {} changes were tried", sample.len());
    let listed = listed();
    let found = survivors(&Suite::read(), &sample);
    let unknown: Vec<_> = found.iter().filter(|name| !listed.contains_key(*name)).collect();
    assert!(unknown.is_empty(), "no unit test notices these changes; pin the value or list the reason: {unknown:#?}");
}

#[test]
#[ignore = "each change takes a run of promtool: `make mutate`"]
fn unit_tests_notice_every_change_but_the_listed() {
    let mutants = every_mutant();
    let found = survivors(&Suite::read(), &mutants);
    let score = 100 * (mutants.len() - found.len()) / mutants.len();
    println!("{} changes of rules, {} not noticed by a unit test: score {score} %", mutants.len(), found.len());
    let listed = listed();
    for name in &found {
        println!("  {name}: {}", listed.get(name).map_or("NOT LISTED", String::as_str));
    }
    let unknown: Vec<_> = found.iter().filter(|name| !listed.contains_key(*name)).collect();
    let noticed: Vec<_> = listed.keys().filter(|name| !found.contains(*name)).collect();
    assert!(unknown.is_empty(), "no unit test notices these changes; pin the value or list the reason: {unknown:#?}");
    assert!(noticed.is_empty(), "survivors.yml lists changes that unit tests notice: {noticed:#?}");
    assert!(score >= SCORE_MIN, "the score is {score} %, less than {SCORE_MIN} %");
}

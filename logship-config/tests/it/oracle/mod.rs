//! This module compares `check`, and the fake, with Elasticsearch's own parsers in both directions: over declarations from
//! a generator, with values from a list of odd spellings.

mod generate;
mod samples;
mod setting_samples;

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    process::Stdio,
};

use elasticsearch_fake::{Cluster, Mode, ReceivedCall};
use logship::desired;
use regex::Regex;
use serde_json::{Value, json};

use crate::{java::Program, place::print_line};

const POLICIES: usize = 4_000;
const SNAPSHOT_POLICIES: usize = 3_000;
const TEMPLATES: usize = 2_000;
/// Differences that a failure shows.
const SHOWN: usize = 30;

/// One declaration.
pub struct Case {
    /// `lifecycle_policy`, `snapshot_policy`, `component_template` or `index_template`.
    kind: &'static str,
    name: String,
    body: Value,
}

/// Declarations that `check` accepts although Elasticsearch refuses them, by its reason.
const LOOSER: &[(&str, &str)] = &[
    (
        r"invalid unhealthy_if_no_snapshot_within .* for schedule \[[^\]]* [^\]]*\]",
        "Elasticsearch computes the interval of a cron expression; apply prints its answer",
    ),
    (
        r"requires a non-empty \[index.routing_path\]|only permitted when|can only be set when|(>=|or equal to) \[index|index\.slice\.enabled\] please",
        "it depends on another setting, which another template or Elasticsearch may add",
    ),
];

/// Faults that `check` reports although Elasticsearch accepts the value, by the end of their place and their text, each with
/// the reason. Anything else that `check` alone refuses fails the test.
const STRICTER: &[(&str, &str)] = &[
    // Elasticsearch truncates 1.5, and reads "1e2" and " 1".
    (r"is .*, not a whole number", "a number that is no whole one is a mistake"),
    // Elasticsearch reads -1d, +5d, 00 and digits of other scripts.
    (r#"is "?(-|\+|0|[^\x00-\x7f]|1\.5).*, not a duration"#, "an odd spelling is a mistake"),
    (r#"is "?(-|\+|\.|1\.|1e|0\.).*, not a size"#, "an odd spelling is a mistake"),
    // It reads the next three only when a step or a snapshot runs, and fails then.
    (r"fixed_interval: is (0;|.*, not a duration|empty|.*not a text)", "Elasticsearch fails when the index is downsampled"),
    (r"config\.[a-z_]+: (is|holds) ", "each snapshot would fail"),
    (r"_docs: is -\d+, below 0", "a condition that is always true"),
    (r"retention\.expire_after: is 0", "every snapshot would be deleted at once"),
    (r"number_of_shards: is \d+, outside 1 to 1024", "the shrink would fail"),
    (r#"is "(-|\+|\.|1\.|1e|0\.).*", which index\.\S+ does not accept"#, "an odd spelling is a mistake"),
    (r"aliases\.a\.(filtre: is an unknown key|is_hidden: is)", "a misspelt option of an alias has no effect"),
    (r"priority: is \d+, but Elasticsearch's own template", "Elasticsearch's own template would apply"),
    (r"(priority|version): is -\d+, below 0", "an odd number is a mistake"),
    (r"schedule: is below 15m", "Elasticsearch refuses it by a cluster setting"),
    (r"schedule: is .*, not a schedule", "a form without a clear meaning"),
    (r"name: is .*, which has the date format", "an unusual format"),
    (r"^\d+: [a-z_]+: is an unknown key", "a misspelt key of a snapshot policy has no effect"),
    (r"(include|exclude|require)\.\w*: is empty", "no node has an empty attribute"),
    (r#"is ""; write true or false"#, "an empty text is a mistake"),
    (r"has no effect since Elasticsearch 8\.0", "freeze has no effect"),
];

fn explained(fault: &str, used: &mut BTreeSet<usize>) -> bool {
    thread_local! {
        static PATTERNS: OnceCell<Vec<Regex>> = const { OnceCell::new() };
    }
    PATTERNS.with(|patterns| {
        let patterns = patterns.get_or_init(|| STRICTER.iter().map(|(pattern, _)| Regex::new(pattern).unwrap()).collect());
        let found = patterns.iter().position(|pattern| pattern.is_match(fault));
        found.map(|place| used.insert(place)).is_some()
    })
}

/// The faults of `check`, as `line: place: wrong; remedy`.
fn check(case: &Case) -> Vec<String> {
    let folder = match case.kind {
        "lifecycle_policy" => "policies",
        "snapshot_policy" => "snapshots/policies",
        "component_template" => "templates/components",
        _ => "templates/index",
    };
    let file = format!("{folder}/{}.yaml", case.name);
    let repository = r#"{"type": "s3", "settings": {"bucket": "b"}}"#;
    let mut files = BTreeMap::from(
        [
            ("snapshots/repositories/one.yaml", repository),
            ("snapshots/repositories/two.yaml", repository),
            ("snapshots/policies/nightly.yaml", r#"{"schedule": "1d", "name": "nightly", "repository": "one"}"#),
        ]
        .map(|(file, text)| (file.to_owned(), text.to_owned())),
    );
    files.insert(file.clone(), case.body.to_string());
    let faults = desired::load_desired(&files).err().map(|faults| faults.0).unwrap_or_default();
    faults.iter().map(|fault| fault.to_string().replace(&format!("{file}:"), "")).collect()
}

/// Whether the fake accepts the declaration.
fn fake_accepts(case: &Case) -> bool {
    let mut cluster = Cluster { mode: Mode::Enterprise, ..Cluster::default() };
    cluster.repositories.insert("one".into(), json!({"type": "fs"}));
    let (path, body) = match case.kind {
        "lifecycle_policy" => ("/_ilm/policy/", json!({"policy": case.body})),
        "snapshot_policy" => ("/_slm/policy/", case.body.clone()),
        "component_template" => ("/_component_template/", case.body.clone()),
        _ => ("/_index_template/", case.body.clone()),
    };
    let call = ReceivedCall::new("PUT", &format!("{path}{}", case.name), serde_json::to_vec(&body).unwrap());
    cluster.answer(&call, jiff::Timestamp::UNIX_EPOCH).status == 200
}

/// The answers of Elasticsearch's parsers, one a case.
fn judge(program: &Program, cases: &[Case]) -> Vec<String> {
    let mut process = program.command().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut input = process.stdin.take().unwrap();
    let lines: Vec<String> =
        cases.iter().map(|case| json!({"kind": case.kind, "name": case.name, "body": case.body}).to_string() + "\n").collect();
    let writing = std::thread::spawn(move || lines.iter().for_each(|line| input.write_all(line.as_bytes()).unwrap()));
    let output = process.wait_with_output().unwrap();
    writing.join().unwrap();
    assert!(output.status.success(), "the parsers ended with {}", output.status);
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Whether the list of looser rules explains a verdict.
fn is_looser(verdict: &str) -> bool {
    LOOSER.iter().any(|(reason, _)| Regex::new(reason).unwrap().is_match(verdict))
}

/// One difference for each reason, without its numbers.
fn show(differences: &[String]) -> String {
    let reason = |shown: &String| shown.lines().last().unwrap_or_default().replace(|digit: char| digit.is_ascii_digit(), "");
    let each: BTreeMap<String, &String> = differences.iter().map(|shown| (reason(shown), shown)).collect();
    each.into_values().take(SHOWN).cloned().collect::<Vec<_>>().join("\n")
}

#[test]
fn check_agrees_with_elasticsearchs_parsers() {
    let Some(program) = Program::compile("elasticsearch", "Parsers") else { return };
    let cases = generate::cases(POLICIES, SNAPSHOT_POLICIES, TEMPLATES);
    let verdicts = judge(&program, &cases);
    assert_eq!(verdicts.len(), cases.len());
    let (mut looser, mut stricter, mut fake, mut used) = (Vec::new(), Vec::new(), Vec::new(), BTreeSet::new());
    let mut counted: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (case, verdict) in cases.iter().zip(&verdicts) {
        let faults = check(case);
        let accepted = verdict == "OK";
        let count = counted.entry(case.kind).or_default();
        if accepted {
            count.0 += 1
        } else {
            count.1 += 1
        }
        let shown = |why: &str| format!("{} {} {}\n        {why}", case.kind, case.name, case.body);
        if !accepted && faults.is_empty() && !is_looser(verdict) {
            looser.push(shown(verdict));
        }
        if accepted && let Some(fault) = faults.iter().find(|fault| !explained(fault, &mut used)) {
            stricter.push(shown(fault));
        }
        // The parsers warn of phases in an odd order, and accept them. The fake models few values of settings.
        let computed = is_looser(verdict);
        let modelled = !computed && case.kind.ends_with("policy") || verdict.contains("VALUE_NULL");
        if verdict.starts_with("REFUSED") && modelled && fake_accepts(case) {
            fake.push(shown(verdict));
        }
    }
    let totals = counted.iter().map(|(kind, (right, wrong))| format!("{kind} {right} valid and {wrong} invalid"));
    print_line(&format!("judged by Elasticsearch's parsers: {}", totals.collect::<Vec<_>>().join(", ")));
    assert!(looser.is_empty(), "{} accepted by check, refused by Elasticsearch:\n{}", looser.len(), show(&looser));
    assert!(stricter.is_empty(), "{} refused by check alone:\n{}", stricter.len(), show(&stricter));
    assert!(fake.is_empty(), "{} accepted by the fake, refused by Elasticsearch:\n{}", fake.len(), show(&fake));
    let unused: Vec<_> = STRICTER.iter().enumerate().filter(|(place, _)| !used.contains(place)).map(|(_, rule)| rule).collect();
    assert!(unused.is_empty(), "rules that explain nothing: {unused:?}");
    assert!(counted.values().all(|(right, wrong)| *right > 100 && *wrong > 100), "both kinds are generated: {counted:?}");
}

/// Each setting of Elasticsearch with each value of a list, in both directions.
#[test]
fn check_knows_each_index_setting_and_its_values() {
    let Some(program) = Program::compile("elasticsearch", "Parsers") else { return };
    let question = Case { kind: "index_settings", name: String::new(), body: Value::Null };
    let names = judge(&program, &[question]).remove(0);
    let cases = setting_samples::cases(&names.split(' ').collect::<Vec<_>>());
    let verdicts = judge(&program, &cases);
    let (mut looser, mut stricter, mut counts) = (Vec::new(), Vec::new(), [0, 0]);
    for (case, verdict) in cases.iter().zip(&verdicts) {
        let faults = check(case);
        let accepted = verdict == "OK";
        counts[usize::from(accepted)] += 1;
        if !accepted && faults.is_empty() && !is_looser(verdict) {
            looser.push(format!("{}\n        {verdict}", case.body));
        }
        if accepted && let Some(fault) = faults.iter().find(|fault| !setting_samples::is_deliberate(fault)) {
            stricter.push(format!("{}\n        {fault}", case.body));
        }
    }
    print_line(&format!("judged by Elasticsearch's settings: {} valid and {} invalid values", counts[1], counts[0]));
    assert!(looser.is_empty(), "{} accepted by check, refused by Elasticsearch:\n{}", looser.len(), show(&looser));
    assert!(stricter.is_empty(), "{} refused by check alone:\n{}", stricter.len(), show(&stricter));
    assert!(counts[0] > 2_000 && counts[1] > 2_000, "{counts:?}");
}

//! Causes suppress the alerts that they lead to. It is a race: the cause must arrive before the group_wait of the other alert ends.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use dashboards::{
    inhibition::{InhibitedPair, Inhibition, configuration, wait},
    replay::duration,
    rules::{self, AlertRule},
};
use local_parts::{Alertmanager, AlertmanagerOptions};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Longest interval of scrapes and evaluations of causes that the README allows, in seconds.
const INTERVAL_MAX: u64 = 15;
/// From a rule that fires to Alertmanager, in seconds.
const TRANSPORT: u64 = 1;
/// Alerts that no cause may suppress.
const NEVER: &[&str] = &[
    "ExchangeTwoLeaders",
    "ExchangeLedgerDisagreement",
    "ExchangeTrialBalanceNotZero",
    "ExchangeServedStateDiffers",
    "ExchangeDatabaseRefused",
];
/// Labels that Prometheus adds to every alert that it sends.
const EXTERNAL: &[&str] = &["prometheus", "cluster"];

fn alerts() -> BTreeMap<String, AlertRule> {
    rules::alerts().into_iter().map(|alert| (alert.alert.clone(), alert)).collect()
}

fn pairs() -> Vec<InhibitedPair> {
    let pairs: Vec<_> = configuration().1.inhibit_rules.iter().flat_map(Inhibition::pairs).collect();
    assert!(pairs.len() > 40, "only {} pairs were read", pairs.len());
    pairs
}

/// The labels that the unit tests expect of an alert, in any case that fires it.
fn labels(alert: &str) -> BTreeSet<String> {
    let expected = rules::asked().into_iter().filter(|asked| asked.alertname == alert).flat_map(|asked| asked.exp_alerts);
    let labels = expected.filter_map(|expected| expected["exp_labels"].as_mapping().cloned());
    labels.flat_map(|labels| labels.into_iter().filter_map(|(name, _)| name.as_str().map(str::to_owned))).collect()
}

#[test]
fn pairs_name_alerts_and_never_the_worst() {
    let alerts = alerts();
    for pair in pairs() {
        assert!(alerts.contains_key(&pair.cause), "{} does not exist", pair.cause);
        assert!(alerts.contains_key(&pair.symptom), "{} does not exist", pair.symptom);
        assert_ne!(pair.cause, pair.symptom);
        assert!(!NEVER.contains(&pair.symptom.as_str()), "{} must not be suppressed", pair.symptom);
        let path = ["Alertbot", "CriticalWithoutAlertbot", "Watchdog"];
        assert!(!path.iter().any(|start| pair.symptom.starts_with(start)), "{} is about the path of alerts", pair.symptom);
        assert_eq!(alerts[&pair.cause].labels["severity"], "critical", "{}: a cause is at least as severe", pair.cause);
    }
}

/// Alertmanager takes two absent labels as equal, so an absent label would suppress alerts of other machines.
#[test]
fn labels_that_must_be_equal_exist_on_both_sides() {
    let rules = configuration().1.inhibit_rules;
    for rule in rules {
        for pair in rule.pairs() {
            for label in rule.equal.iter().filter(|label| !EXTERNAL.contains(&label.as_str())) {
                let guard = |matchers: &[String]| matchers.iter().any(|matcher| *matcher == format!("{label}!=\"\""));
                let guarded = guard(&rule.source_matchers) && guard(&rule.target_matchers);
                let carried = labels(&pair.cause).contains(label) && labels(&pair.symptom).contains(label);
                assert!(guarded || carried, "{} and {}: {label} is missing on one side", pair.cause, pair.symptom);
            }
        }
    }
}

/// The cause at its latest: it becomes visible with the next scrape, fires at the evaluation after its `for`, and travels. The other
/// alert at its earliest: it is visible at once and fires exactly after its `for`.
#[test]
fn a_cause_arrives_before_the_group_wait_ends() {
    let alerts = alerts();
    let group_wait = duration(&configuration().1.route.group_wait).as_secs();
    for pair in pairs() {
        let latest = INTERVAL_MAX + wait(&alerts[&pair.cause]) + INTERVAL_MAX + TRANSPORT;
        let earliest = wait(&alerts[&pair.symptom]) + group_wait;
        assert!(latest <= earliest, "{} arrives after {latest} s, and {} is sent after {earliest} s", pair.cause, pair.symptom);
    }
}

/// Names of the notified alerts with their namespaces.
type Notified = Arc<Mutex<BTreeSet<(String, String)>>>;

/// A receiver of webhooks: it answers 200 and remembers what fires.
async fn receiver() -> (String, Notified) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let notified = Notified::default();
    let shared = notified.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, shared.clone()));
        }
    });
    (address, notified)
}

async fn answer(mut stream: TcpStream, notified: Notified) {
    let mut request = Vec::new();
    while stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
        if body.len() < length.unwrap_or_default() {
            continue;
        }
        let payload: Value = serde_json::from_str(body).expect("Alertmanager sends JSON");
        for alert in payload["alerts"].as_array().into_iter().flatten() {
            let label = |name: &str| alert["labels"][name].as_str().unwrap_or_default().to_owned();
            notified.lock().unwrap().insert((label("alertname"), label("namespace")));
        }
        request.clear();
        if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.is_err() {
            return;
        }
    }
}

/// The shipped configuration with this receiver, and shorter waits.
fn shortened(receiver: &str, group_wait: &str) -> String {
    let mut text = configuration().0;
    for (written, ours) in [
        ("http://127.0.0.1:9095/webhook/main", format!("http://{receiver}/")),
        ("group_wait: 10s", format!("group_wait: {group_wait}")),
        ("group_interval: 1m", "group_interval: 1s".to_owned()),
    ] {
        assert!(text.contains(written), "the example holds no {written}");
        text = text.replace(written, &ours);
    }
    text
}

/// Each pair in a separate namespace, and each symptom alone in another. Starts are staggered: some causes come first, some together
/// with the symptom, some at the end of its group_wait.
#[tokio::test]
async fn one_message_names_the_cause_from_staggered_starts() {
    const GROUP_WAIT: Duration = Duration::from_secs(4);
    /// Before, with and after the symptom, in milliseconds.
    const STARTS: [u64; 3] = [0, 1_000, 3_500];
    const SYMPTOM: u64 = 1_000;
    const DEADLINE: Duration = Duration::from_secs(60);
    let (address, notified) = receiver().await;
    let configuration = shortened(&address, &format!("{}s", GROUP_WAIT.as_secs()));
    let alertmanager = Alertmanager::start(AlertmanagerOptions { configuration, ..Default::default() }).await.unwrap();
    let pairs = pairs();
    let alerts = alerts();
    let alert = |name: &str, namespace: &str, pair: &InhibitedPair| {
        let mut labels = json!({"alertname": name, "namespace": namespace, "severity": alerts[name].labels["severity"]});
        // A node is a machine of one namespace here, and each Prometheus watches one.
        for label in pair.equal.iter().filter(|label| *label != "namespace") {
            labels[label] = namespace.into();
        }
        for (label, value) in pair.asked.iter().filter(|(label, _)| !pair.equal.contains(label)) {
            labels[label] = value.clone().into();
        }
        json!({"labels": labels})
    };
    let mut posts: Vec<(u64, Value)> = Vec::new();
    for (number, pair) in pairs.iter().enumerate() {
        for start in STARTS {
            let together = format!("{number}-{start}");
            posts.push((start, alert(&pair.cause, &together, pair)));
            posts.push((SYMPTOM, alert(&pair.symptom, &together, pair)));
        }
        posts.push((SYMPTOM, alert(&pair.symptom, &format!("{number}-alone"), pair)));
    }
    posts.sort_by_key(|(start, _)| *start);
    let begun = Instant::now();
    for group in posts.chunk_by(|(one, _), (other, _)| one == other) {
        tokio::time::sleep_until((begun + Duration::from_millis(group[0].0)).into()).await;
        let list: Vec<_> = group.iter().map(|(_, alert)| alert.clone()).collect();
        alertmanager.post_alerts(&list.into()).await.unwrap();
    }
    let expected: BTreeSet<(String, String)> = pairs
        .iter()
        .enumerate()
        .flat_map(|(number, pair)| {
            let causes = STARTS.iter().map(move |start| (pair.cause.clone(), format!("{number}-{start}")));
            causes.chain([(pair.symptom.clone(), format!("{number}-alone"))])
        })
        .collect();
    while !notified.lock().unwrap().is_superset(&expected) {
        let missing: Vec<_> = expected.difference(&notified.lock().unwrap()).cloned().collect();
        assert!(begun.elapsed() < DEADLINE, "not notified: {missing:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let notified = notified.lock().unwrap().clone();
    let suppressed: Vec<_> = notified.difference(&expected).collect();
    assert!(suppressed.is_empty(), "notified although their cause fires: {suppressed:?}");
}

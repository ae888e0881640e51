//! This module measures Fluent Bit with the pods of an ordinary node. Fluent Bit sends a chunk per pod and second, and waits
//! 3 to 31 s after a refusal, so the relay must not refuse one.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    node::Node,
    table::{APP, arrived, ecs, with_deadline},
};
use crate::{place::print_line, relay::world::World};

/// A line arrives within this time: Fluent Bit's flush of a second, its scan for new files, and a busy machine.
const LATEST: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// Each second, `pods` pods write `lines` lines each. Prints the median and the largest time from a second's writing until its
/// lines and all earlier ones are stored.
async fn crowd(row: &str, pods: usize, lines: usize, seconds: usize) {
    // The waits of the real configuration, so that a refusal would be noticed.
    let waits = |configuration: &mut serde_yaml_ng::Value| {
        configuration["service"]["scheduler.base"] = 2.into();
        configuration["service"]["scheduler.cap"] = 30.into();
    };
    let Some((world, mut node)) = with_deadline(row, "30s", waits).await else { return };
    (0..pods).for_each(|pod| node.exchange(&name(pod)));
    // The files exist, so that no line waits for the scan for new files.
    write(&mut node, pods, 1, 0);
    node.start().await;
    arrived(&world, &node, APP, pods).await;
    let (mut waiting, mut delays) = (VecDeque::new(), Vec::new());
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut written = pods;
    while delays.len() < seconds {
        tokio::select! {
            _ = tick.tick(), if written < pods + seconds * pods * lines => {
                write(&mut node, pods, lines, written);
                written += pods * lines;
                waiting.push_back((written, Instant::now()));
            }
            () = tokio::time::sleep(POLL) => {}
        }
        let stored = stored(&world);
        while let Some((_, began)) = waiting.pop_front_if(|(all, _): &mut (usize, Instant)| *all <= stored) {
            delays.push(began.elapsed());
        }
        let oldest = waiting.front().map(|(_, began)| began.elapsed()).unwrap_or_default();
        assert!(oldest < LATEST, "{stored} of {written} lines are stored. {}", node.log());
    }
    delays.sort();
    let (median, largest) = (delays[delays.len() / 2], delays[delays.len() - 1]);
    let pauses = node.log().lines().filter(|line| line.contains("paused (")).count();
    print_line(&format!("{row}: median {median:.2?}, largest {largest:.2?}, {pauses} pauses"));
    assert_eq!(world.chunks("busy").await, 0);
    let faults: Vec<String> = node.log().lines().filter(|line| line.contains("] [output")).map(str::to_owned).collect();
    assert_eq!(node.metric("fluentbit_output_retries_total").await, 0.0, "{faults:?}");
    assert_eq!(stored(&world), pods + seconds * pods * lines);
}

fn name(pod: usize) -> String {
    format!("exchange-{pod}")
}

fn write(node: &mut Node, pods: usize, lines: usize, from: usize) {
    for pod in 0..pods {
        let texts: Vec<String> = (0..lines).map(|line| ecs(from + pod * lines + line)).collect();
        node.write(&name(pod), &texts.iter().map(|text| ("stdout", text.as_str())).collect::<Vec<_>>());
    }
}

fn stored(world: &World) -> usize {
    world.fake.look(|cluster| {
        let indices = cluster.data_streams[APP].indices.iter();
        indices.map(|index| cluster.indices[index].documents.len()).sum()
    })
}

#[tokio::test]
async fn lines_of_20_pods_arrive_without_a_refusal() {
    crowd("20 pods, 10 lines a second each", 20, 10, 4).await;
}

/// As long as the reports: 6,000 lines of 20 pods, then more pods, then more lines.
#[tokio::test]
#[ignore = "long form, run by `make soak`"]
async fn lines_of_50_pods_arrive_for_minutes() {
    crowd("20 pods, 10 lines a second each, half a minute", 20, 10, 30).await;
    crowd("50 pods, 10 lines a second each, a minute", 50, 10, 60).await;
    crowd("5 pods, 150 lines a second each, half a minute", 5, 150, 30).await;
}

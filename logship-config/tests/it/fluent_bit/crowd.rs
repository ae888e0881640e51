//! This module measures Fluent Bit with the pods of an ordinary node. Fluent Bit sends a chunk per pod and second, and waits
//! 3 to 31 s after a refusal, so the relay must not refuse one.

use std::time::{Duration, Instant};

use super::{
    node::Node,
    table::{APP, arrived, ecs, with_node},
};
use crate::{place::print_line, relay::world::World};

/// A line arrives within this time: Fluent Bit's flush of a second, its scan for new files, and a busy machine.
const LATEST: Duration = Duration::from_secs(20);

/// Each second, `pods` pods write `lines` lines each. Prints the median and the largest time from a line's writing until all
/// lines written so far are stored.
async fn crowd(row: &str, pods: usize, lines: usize, seconds: usize) {
    // The waits of the real configuration, so that a refusal would be noticed.
    let waits = |configuration: &mut serde_yaml_ng::Value| {
        configuration["service"]["scheduler.base"] = 2.into();
        configuration["service"]["scheduler.cap"] = 30.into();
    };
    let Some((world, mut node)) = with_node(row, waits).await else { return };
    (0..pods).for_each(|pod| node.exchange(&name(pod)));
    // The files exist, so that no line waits for the scan for new files.
    write(&mut node, pods, 1, 0);
    node.start().await;
    arrived(&world, &node, APP, pods).await;
    let mut delays = Vec::new();
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    for second in 0..seconds {
        tick.tick().await;
        write(&mut node, pods, lines, pods + second * pods * lines);
        let written = Instant::now();
        let all = pods + (second + 1) * pods * lines;
        // The next second does not wait for this one to arrive.
        let until = written + Duration::from_millis(900);
        while stored(&world) < all && (Instant::now() < until || second + 1 == seconds) {
            assert!(written.elapsed() < LATEST, "{} of {all} lines are stored. {}", stored(&world), node.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        delays.push(written.elapsed());
    }
    delays.sort();
    let (median, largest) = (delays[delays.len() / 2], delays[delays.len() - 1]);
    print_line(&format!("{row}: median {median:.2?}, largest {largest:.2?}"));
    assert_eq!(world.chunks("busy").await, 0);
    assert_eq!(node.metric("fluentbit_output_retries_total").await, 0.0);
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

//! This module restarts and kills Fluent Bit and rotates its files in a loop, with the kubelet's links. Nothing is lost, and
//! nothing is stored twice.
//!
//! A limit, see the README: the unread part of a file that rotates is lost if Fluent Bit stops. So a file rotates while Fluent
//! Bit runs, and the next stop waits until its lines are stored.

use std::{collections::BTreeMap, time::Duration};

use local_parts::StopSignal;
use serde_json::json;

use super::{
    node::Node,
    table::{APP, AUDIT, arrived, documents, ecs, with_node},
};
use crate::{place::print_line, relay::world::World};

const PODS: usize = 3;
/// Lines of a pod and round. One in five is an audit line.
const LINES: usize = 40;
const ONE_AUDIT_IN: usize = 5;

/// What happens in a round.
#[derive(Debug, Clone, Copy)]
enum Event {
    Kill,
    Restart,
    /// A rotation while it runs, then a kill.
    Rotation,
    /// The relay is killed first: chunks wait on the disk.
    RelayKilled,
    /// A restart after the streams rolled over: a line sent again would be stored twice.
    Rollover,
}

const EVENTS: [Event; 5] = [Event::Rotation, Event::Kill, Event::Rollover, Event::RelayKilled, Event::Restart];

struct Storm {
    world: World,
    node: Node,
    written: usize,
    dice: u64,
}

impl Storm {
    fn chance(&mut self, below: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % below
    }

    fn audits(&self) -> usize {
        self.written.div_ceil(ONE_AUDIT_IN)
    }

    fn write(&mut self) {
        for pod in 0..PODS {
            let lines: Vec<String> = (self.written..self.written + LINES).map(line).collect();
            self.written += LINES;
            let lines: Vec<_> = lines.iter().enumerate().map(|(place, line)| (stream(place), line.as_str())).collect();
            self.node.write(&format!("exchange-{pod}"), &lines);
        }
    }

    async fn all_arrived(&self) {
        arrived(&self.world, &self.node, AUDIT, self.audits()).await;
        arrived(&self.world, &self.node, APP, self.written - self.audits()).await;
    }

    /// Lets Fluent Bit work for a moment, so that it stops at another place of its work each time.
    async fn moment(&mut self) {
        let millis = self.chance(400);
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    async fn round(&mut self, event: Event) {
        self.write();
        self.moment().await;
        match event {
            Event::Kill => self.node.kill().await,
            Event::Restart => self.node.stop(StopSignal::Terminate).await,
            Event::Rotation => {
                for pod in 0..PODS {
                    self.node.rotate(&format!("exchange-{pod}"));
                }
                self.write();
                self.all_arrived().await;
                self.write();
                self.moment().await;
                self.node.kill().await;
            }
            Event::RelayKilled => {
                self.world.stop(StopSignal::Kill).await;
                self.write();
                self.moment().await;
                self.node.kill().await;
                self.world.launch().await;
                self.world.ready().await;
            }
            Event::Rollover => {
                self.all_arrived().await;
                for stream in [APP, AUDIT] {
                    let rolled = self.world.client.post(format!("{}/{stream}/_rollover", self.world.fake.url())).send().await;
                    assert!(rolled.unwrap().status().is_success());
                }
                self.node.stop(StopSignal::Terminate).await;
            }
        }
        self.write();
        self.node.start().await;
    }

    /// Each line is stored exactly once, in its stream.
    fn check(&self) {
        for (stream, is_mine) in [(AUDIT, true), (APP, false)] {
            let mut times: BTreeMap<String, usize> = BTreeMap::new();
            for document in documents(&self.world, stream) {
                *times.entry(document["message"].as_str().unwrap().to_owned()).or_default() += 1;
            }
            let mine = (0..self.written).filter(|number| number.is_multiple_of(ONE_AUDIT_IN) == is_mine);
            let lost: Vec<usize> = mine.clone().filter(|number| !times.contains_key(&message(*number))).collect();
            let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
            assert!(lost.is_empty() && twice.is_empty(), "{stream}: lost {lost:?}, twice {twice:?}. {}", self.node.log());
            assert_eq!(times.len(), mine.count(), "{stream}");
        }
    }
}

/// Standard error goes through other emitters, and there each line of JSON is a document too.
fn stream(place: usize) -> &'static str {
    if place.is_multiple_of(3) { "stderr" } else { "stdout" }
}

fn message(number: usize) -> String {
    format!("order {number} is filled")
}

fn line(number: usize) -> String {
    let line = ecs(number);
    if !number.is_multiple_of(ONE_AUDIT_IN) {
        return line;
    }
    let mut line: serde_json::Value = serde_json::from_str(&line).unwrap();
    line["event.dataset"] = json!("exchange.audit");
    line.to_string()
}

async fn storm(rounds: usize, seed: u64) {
    let row = format!("restarts, rotations and kills in a loop of {rounds}");
    let Some((world, node)) = with_node(&row, |_| {}).await else { return };
    let mut storm = Storm { world, node, written: 0, dice: seed };
    (0..PODS).for_each(|pod| storm.node.exchange(&format!("exchange-{pod}")));
    storm.write();
    storm.node.start().await;
    for round in 0..rounds {
        let event = match EVENTS.get(round) {
            Some(event) => *event,
            None => EVENTS[storm.chance(EVENTS.len() as u64) as usize],
        };
        storm.round(event).await;
    }
    storm.all_arrived().await;
    // No line follows that would be stored twice.
    storm.node.stop(StopSignal::Terminate).await;
    storm.check();
    print_line(&format!("{row}: {} lines, each stored once", storm.written));
}

#[tokio::test]
async fn each_event_loses_and_doubles_nothing() {
    storm(EVENTS.len(), 1).await;
}

#[tokio::test]
#[ignore = "long form, run by `make soak`"]
async fn a_loop_of_50_events_loses_and_doubles_nothing() {
    storm(50, 0x2545_f491).await;
}

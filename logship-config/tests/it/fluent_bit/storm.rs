//! This module restarts and kills Fluent Bit and rotates its files in a loop, with the kubelet's links. Nothing is stored
//! twice, and nothing is lost beyond two limits of the README:
//!
//! - The unread part of a file that rotates is lost if Fluent Bit stops. So a file rotates while Fluent Bit runs, and the next
//!   stop waits until its lines are stored.
//! - A kill loses lines that Fluent Bit had read and not yet written to a chunk. A line that was in a chunk, or stored, must
//!   survive, and every line reaches a chunk within [`MEMORY`].

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

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

/// A line is only in the memory of Fluent Bit for at most this time: up to 2 s in the multiline filter, and a busy machine.
const MEMORY: Duration = Duration::from_secs(15);

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
    /// When each line was written, or Fluent Bit started after that.
    readable: Vec<Instant>,
    /// Lines that were in neither a chunk nor a stream at a kill.
    at_risk: BTreeSet<usize>,
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
            self.readable.resize(self.written, Instant::now());
            let lines: Vec<_> = lines.iter().enumerate().map(|(place, line)| (stream(place), line.as_str())).collect();
            self.node.write(&format!("exchange-{pod}"), &lines);
        }
    }

    /// Lines that were in memory at an earlier kill may be lost.
    async fn all_arrived(&self) {
        let risked = self.at_risk.iter().filter(|number| number.is_multiple_of(ONE_AUDIT_IN)).count();
        arrived(&self.world, &self.node, AUDIT, self.audits() - risked).await;
        arrived(&self.world, &self.node, APP, self.written - self.audits() - (self.at_risk.len() - risked)).await;
        let end = Instant::now() + MEMORY;
        while self.missing().any(|number| !self.at_risk.contains(&number)) {
            assert!(Instant::now() < end, "missing: {:?}. {}", self.missing().collect::<Vec<_>>(), self.node.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn missing(&self) -> impl Iterator<Item = usize> {
        let stored = [APP, AUDIT].into_iter().flat_map(|stream| documents(&self.world, stream));
        let stored: BTreeSet<String> = stored.map(|document| document["message"].as_str().unwrap().to_owned()).collect();
        (0..self.written).filter(move |number| !stored.contains(&message(*number)))
    }

    async fn start(&mut self) {
        self.node.start().await;
        // A line that was stored before keeps its time: it is safe already.
        let safe = self.safe();
        for number in (0..self.written).filter(|number| !safe.contains(number)) {
            self.readable[number] = Instant::now();
        }
    }

    /// Numbers of the lines in chunks and in streams. The chunks are read first, since a delivered chunk is deleted.
    fn safe(&self) -> BTreeSet<usize> {
        let chunks = self.node.chunks();
        let stored = [APP, AUDIT].into_iter().flat_map(|stream| documents(&self.world, stream));
        let stored: BTreeSet<String> = stored.map(|document| document["message"].as_str().unwrap().to_owned()).collect();
        let in_chunk = |number: usize| chunks.contains(&message(number));
        (0..self.written).filter(|number| stored.contains(&message(*number)) || in_chunk(*number)).collect()
    }

    async fn kill(&mut self) {
        let safe = self.safe();
        for number in (0..self.written).filter(|number| !safe.contains(number)) {
            let age = self.readable[number].elapsed();
            assert!(age < MEMORY, "line {number} is in no chunk after {age:?}. {}", self.node.log());
            self.at_risk.insert(number);
        }
        self.node.kill().await;
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
            Event::Kill => self.kill().await,
            Event::Restart => self.node.stop(StopSignal::Terminate).await,
            Event::Rotation => {
                for pod in 0..PODS {
                    self.node.rotate(&format!("exchange-{pod}"));
                }
                self.write();
                self.all_arrived().await;
                self.write();
                self.moment().await;
                self.kill().await;
            }
            Event::RelayKilled => {
                self.world.stop(StopSignal::Kill).await;
                self.write();
                // The lines wait in chunks, and the kill must not lose one.
                let end = Instant::now() + MEMORY;
                while self.safe().len() + self.at_risk.len() < self.written {
                    assert!(Instant::now() < end, "lines are in no chunk. {}", self.node.log());
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                self.kill().await;
                self.world.launch().await;
                self.world.ready().await;
            }
            Event::Rollover => {
                self.all_arrived().await;
                // A chunk without an answer would be sent again, and stored again in the new index: a documented limit.
                let end = Instant::now() + MEMORY;
                while self.node.chunks().contains("is filled") {
                    assert!(Instant::now() < end, "chunks stay on the disk. {}", self.node.log());
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                for stream in [APP, AUDIT] {
                    let rolled = self.world.client.post(format!("{}/{stream}/_rollover", self.world.fake.url())).send().await;
                    assert!(rolled.unwrap().status().is_success());
                }
                self.node.stop(StopSignal::Terminate).await;
            }
        }
        self.write();
        self.start().await;
    }

    /// Each line is stored exactly once, in its stream. Returns the number of lines lost within the limit.
    fn check(&self) -> usize {
        let mut lost_within_limit = 0;
        for (stream, is_mine) in [(AUDIT, true), (APP, false)] {
            let mut times: BTreeMap<String, usize> = BTreeMap::new();
            for document in documents(&self.world, stream) {
                *times.entry(document["message"].as_str().unwrap().to_owned()).or_default() += 1;
            }
            let mine = (0..self.written).filter(|number| number.is_multiple_of(ONE_AUDIT_IN) == is_mine);
            let missing = mine.clone().filter(|number| !times.contains_key(&message(*number)));
            let (risked, lost): (Vec<usize>, Vec<usize>) = missing.partition(|number| self.at_risk.contains(number));
            lost_within_limit += risked.len();
            let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
            assert!(lost.is_empty() && twice.is_empty(), "{stream}: lost {lost:?}, twice {twice:?}. {}", self.node.log());
            assert_eq!(times.len() + risked.len(), mine.count(), "{stream}");
        }
        lost_within_limit
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
    let mut storm = Storm { world, node, written: 0, dice: seed, readable: Vec::new(), at_risk: BTreeSet::new() };
    (0..PODS).for_each(|pod| storm.node.exchange(&format!("exchange-{pod}")));
    storm.write();
    storm.start().await;
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
    let lost = storm.check();
    let (written, risked) = (storm.written, storm.at_risk.len());
    print_line(&format!("{row}: {written} lines, none twice; {lost} lost of {risked} in memory at a kill"));
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

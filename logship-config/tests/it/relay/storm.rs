//! This module sends many documents through the whole path, and kills a relay at random times.

use std::{cell::Cell, collections::BTreeSet};

use elasticsearch_fake::{FaultKind, InjectedFault};
use local_parts::StopSignal;

use super::world::{APP, DEAD, World, bad, cluster, good, line};

const CHUNK: usize = 1_000;
/// One of this many documents is permanently refused.
const ONE_BAD_IN: usize = 97;
const SHIPPERS: usize = 3;
/// Each fault of the storm happens several times.
const DOCUMENTS: usize = 30_000;
const LONG: usize = 100_000;

fn is_bad(number: usize) -> bool {
    number.is_multiple_of(ONE_BAD_IN)
}

fn chunk(from: usize) -> Vec<u8> {
    let document = |number| if is_bad(number) { bad(number) } else { good(number) };
    (from..from + CHUNK).map(|number| line(APP, &number.to_string(), &document(number))).collect::<String>().into_bytes()
}

/// Ships `documents` in concurrent chunks, and returns the number of sent chunks.
async fn ship_all(world: &World, documents: usize) -> usize {
    let chunks = (0..documents).step_by(CHUNK);
    let shippers = (0..SHIPPERS).map(|shipper| {
        let mine: Vec<usize> = chunks.clone().skip(shipper).step_by(SHIPPERS).collect();
        async move {
            let mut sent = 0;
            for from in mine {
                sent += world.ship(&chunk(from)).await;
            }
            sent
        }
    });
    futures::future::join_all(shippers).await.into_iter().sum()
}

/// Checks that the stream holds each good document and the dead-letter stream each bad one, under its own id, and no others.
fn all_arrived(world: &World, documents: usize) {
    let stored = world.documents(APP);
    let ids: BTreeSet<&str> = stored.iter().map(|(_, id, _)| id.as_str()).collect();
    let expected = (0..documents).filter(|number| !is_bad(*number)).count();
    assert_eq!((stored.len(), ids.len()), (expected, expected), "none is lost, none is stored twice");
    assert!((0..documents).filter(|number| !is_bad(*number)).all(|number| ids.contains(number.to_string().as_str())));
    let letters = world.documents(DEAD);
    let of: BTreeSet<&str> = letters.iter().filter_map(|(_, _, letter)| letter["logship"]["document_id"].as_str()).collect();
    let refused: Vec<String> = (0..documents).filter(|number| is_bad(*number)).map(|number| number.to_string()).collect();
    assert_eq!((letters.len(), of.len()), (refused.len(), refused.len()), "dead letters are exact");
    assert!(refused.iter().all(|id| of.contains(id.as_str())));
}

fn storm(world: &World, seed: u64) {
    world.fake.change(|cluster| cluster.faults.seed(seed));
    for fault in [
        InjectedFault::new(FaultKind::busy_items(0.4)).share(0.2),
        InjectedFault::new(FaultKind::Items { share: 0.1, status: 503, error: "unavailable_shards_exception", reason: "moving" })
            .share(0.1),
        InjectedFault::new(FaultKind::unavailable()).share(0.05),
        InjectedFault::new(FaultKind::Request { status: 429, error: "circuit_breaking_exception", reason: "Data too large" })
            .share(0.05),
        InjectedFault::new(FaultKind::Broken).share(0.05),
        InjectedFault::new(FaultKind::Limit { bytes: 60_000 }).share(0.1),
        InjectedFault::new(FaultKind::Slow(std::time::Duration::from_millis(30))).share(0.1),
    ] {
        world.fault(fault);
    }
}

/// A deadline so short that some chunks return to the shipper.
const SETTINGS: [(&str, &str); 1] = [("LOGSHIP_RELAY_DEADLINE", "3s")];

/// The server stores duplicate `_id`s, so only failed items may be sent again. Chunks have enough time, since a shipper
/// would resend all of a chunk.
async fn without_id_checks(documents: usize) {
    let world = World::start_with(cluster(false), &[("LOGSHIP_RELAY_DEADLINE", "5m")]).await;
    world.fault(InjectedFault::new(FaultKind::ForgetsIds));
    storm(&world, 1);
    let sent = ship_all(&world, documents).await;
    assert_eq!(sent, documents / CHUNK, "each chunk was sent once");
    all_arrived(&world, documents);
    assert_eq!(world.settled("dead_letter").await as usize, (0..documents).filter(|number| is_bad(*number)).count());
    assert_eq!(world.settled("already_there").await, 0);
}

#[tokio::test]
async fn a_server_without_id_checks_gets_each_document_once() {
    without_id_checks(DOCUMENTS).await;
}

/// Answers are lost after the work was done, and chunks time out and are resent: the `_id` identifies duplicates.
async fn with_lost_answers(documents: usize) {
    let world = World::start_with(cluster(false), &SETTINGS).await;
    storm(&world, 2);
    world.fault(InjectedFault::new(FaultKind::AnswerLost).share(0.1));
    world.fault(InjectedFault::new(FaultKind::AnswerCut).share(0.1));
    ship_all(&world, documents).await;
    all_arrived(&world, documents);
    assert!(world.settled("already_there").await > 0, "answers were lost");
}

#[tokio::test]
async fn lost_answers_and_retries_double_no_document() {
    with_lost_answers(DOCUMENTS).await;
}

#[tokio::test]
#[ignore = "long form, run by `make soak`"]
async fn storms_over_100_000_documents_lose_and_double_none() {
    without_id_checks(LONG).await;
    with_lost_answers(LONG).await;
}

/// Checks that each of the first `acknowledged` documents or its dead letter is stored.
fn assert_kept(world: &World, acknowledged: usize, kill: u64) {
    let (stored, letters) = (world.documents(APP), world.documents(DEAD));
    let ids: BTreeSet<&str> = stored.iter().map(|(_, id, _)| id.as_str()).collect();
    let refused: BTreeSet<&str> = letters.iter().filter_map(|(_, _, letter)| letter["logship"]["document_id"].as_str()).collect();
    for number in 0..acknowledged {
        let kept = if is_bad(number) { &refused } else { &ids };
        assert!(kept.contains(number.to_string().as_str()), "document {number} was acknowledged before kill {kill} and is lost");
    }
}

/// Acknowledged documents exist after a kill at any time.
#[tokio::test]
async fn a_relay_killed_at_random_loses_nothing_acknowledged() {
    const DOCUMENTS: usize = 40_000;
    const KILLS: u64 = 12;
    let mut world = World::start_with(cluster(false), &SETTINGS).await;
    storm(&world, 3);
    // Documents below this number were answered with success.
    let acknowledged = Cell::new(0);
    let mut dice = 0x2545_f491_u64;
    for kill in 0..KILLS {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let alive = std::time::Duration::from_millis(20 + (dice >> 33) % 400);
        let send = async |until: usize| {
            while acknowledged.get() < until {
                if world.try_send(&chunk(acknowledged.get())).await.is_some_and(|told| told.is_success()) {
                    acknowledged.set(acknowledged.get() + CHUNK);
                }
            }
        };
        // Every other process lives until it has acknowledged a chunk, however slow the machine is.
        if kill % 2 == 1 {
            send((acknowledged.get() + 1).min(DOCUMENTS)).await;
        }
        let sending = send(DOCUMENTS);
        // The kill happens in the middle of a chunk. That chunk is sent again to the next process.
        let _ = tokio::time::timeout(alive, sending).await;
        world.stop(StopSignal::Kill).await;
        assert_kept(&world, acknowledged.get(), kill);
        world.launch().await;
        world.ready().await;
    }
    assert!(acknowledged.get() > 0, "nothing was acknowledged between the kills, so they prove nothing");
    for from in (acknowledged.get()..DOCUMENTS).step_by(CHUNK) {
        world.ship(&chunk(from)).await;
    }
    all_arrived(&world, DOCUMENTS);
}

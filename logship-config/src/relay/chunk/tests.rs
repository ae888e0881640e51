use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::{
    super::{answer::ItemError, ndjson},
    *,
};

const STREAM: &str = "logs-exchange.app-default";
const TARGET: DeadLetterTarget<'_> = DeadLetterTarget { stream: "logs-logship.dead_letter-default", now: Timestamp::UNIX_EPOCH };

fn chunk(documents: &[String]) -> BulkChunk {
    let body: String = documents
        .iter()
        .enumerate()
        .map(|(id, document)| format!("{{\"create\":{{\"_index\":\"{STREAM}\",\"_id\":\"{id}\"}}}}\n{document}\n"))
        .collect();
    let streams = Arc::new(Streams::new(vec![STREAM.to_owned()]));
    let items = ndjson::cut(body.as_bytes(), &streams).unwrap();
    BulkChunk::new(body.into_bytes(), items, streams)
}

fn numbered(count: usize) -> BulkChunk {
    chunk(&(0..count).map(|number| format!("{{\"n\":{number}}}")).collect::<Vec<_>>())
}

fn answer(status: u16) -> ItemAnswer {
    let error = (status >= 400).then(|| ItemError { kind: "document_parsing_exception".into(), reason: "no".into() });
    ItemAnswer { status, in_failure_store: false, error }
}

fn answers(statuses: &[u16]) -> Vec<ItemAnswer> {
    statuses.iter().copied().map(answer).collect()
}

#[test]
fn only_failed_items_are_sent_again() {
    let mut chunk = numbered(4);
    let whole = chunk.next_part().unwrap();
    assert!(chunk.is_as_received(&whole) && chunk.next_part().is_none());
    let tally = chunk.settle(&whole, &answers(&[201, 429, 409, 503]), TARGET);
    assert_eq!(
        (tally.stored, tally.already_there, tally.later(RetryCause::Busy), tally.later(RetryCause::Unavailable)),
        (1, 1, 1, 1)
    );
    assert_eq!((chunk.remaining(), chunk.next_part()), (2, None));
    chunk.retry();
    let rest = chunk.next_part().unwrap();
    let lines = String::from_utf8(chunk.lines(&rest)).unwrap();
    assert!(lines.contains("{\"n\":1}\n") && lines.contains("{\"n\":3}\n") && lines.lines().count() == 4, "{lines}");
    chunk.settle(&rest, &answers(&[201, 201]), TARGET);
    assert_eq!((chunk.remaining(), chunk.cause()), (0, None));
}

#[test]
fn all_409_is_success() {
    let mut chunk = numbered(23);
    let part = chunk.next_part().unwrap();
    assert_eq!(chunk.settle(&part, &answers(&[409; 23]), TARGET).already_there, 23);
    assert_eq!(chunk.remaining(), 0);
}

#[test]
fn a_refused_document_remains_until_its_letter_is_stored() {
    let mut chunk = numbered(2);
    let part = chunk.next_part().unwrap();
    chunk.settle(&part, &answers(&[400, 201]), TARGET);
    assert_eq!(chunk.remaining(), 1);
    let letter = chunk.next_part().unwrap();
    let lines = String::from_utf8(chunk.lines(&letter)).unwrap();
    assert!(lines.contains(TARGET.stream) && lines.contains("{\\\"n\\\":0}") && !chunk.is_as_received(&letter), "{lines}");
    // Its stream is busy, then refuses it, then accepts it.
    for (status, cause) in [(429, RetryCause::Busy), (400, RetryCause::LetterRefused), (404, RetryCause::Blocked)] {
        chunk.settle(&letter, &answers(&[status]), TARGET);
        assert_eq!((chunk.remaining(), chunk.cause()), (1, Some(cause)));
        chunk.retry();
        assert_eq!(chunk.next_part().unwrap(), letter, "the same letter");
    }
    assert_eq!(chunk.settle(&letter, &answers(&[201]), TARGET).dead_letters, 1);
    assert_eq!(chunk.remaining(), 0);
}

#[test]
fn a_letter_stored_by_an_earlier_attempt_is_not_counted_twice() {
    let mut chunk = numbered(1);
    let part = chunk.next_part().unwrap();
    chunk.settle(&part, &answers(&[400]), TARGET);
    let letter = chunk.next_part().unwrap();
    let tally = chunk.settle(&letter, &answers(&[409]), TARGET);
    assert_eq!((tally.dead_letters, tally.dead_letters_already_there, chunk.remaining()), (0, 1, 0));
}

#[test]
fn a_large_request_is_halved_and_a_large_document_is_cut() {
    let large = format!("{{\"message\":\"{}\"}}", "x".repeat(100_000));
    let documents: Vec<String> =
        (0..10).map(|number| if number == 7 { large.clone() } else { format!("{{\"n\":{number}}}") }).collect();
    let mut chunk = chunk(&documents);
    let (mut requests, mut tally) = (0, Tally::default());
    // The limit of this Elasticsearch is 50 000 bytes.
    while let Some(part) = chunk.next_part() {
        requests += 1;
        let body = chunk.lines(&part);
        tally += if body.len() > 50_000 {
            chunk.too_large(part, TARGET)
        } else {
            chunk.settle(&part, &vec![answer(201); part.len()], TARGET)
        };
    }
    assert_eq!((tally.stored, tally.dead_letters, tally.cut, chunk.remaining()), (9, 1, 1, 0));
    assert!(requests < 10, "{requests}");
}

#[test]
fn a_letter_that_no_request_can_carry_waits() {
    let mut chunk = numbered(1);
    let part = chunk.next_part().unwrap();
    chunk.too_large(part, TARGET);
    let letter = chunk.next_part().unwrap();
    chunk.too_large(letter, TARGET);
    assert_eq!((chunk.remaining(), chunk.cause()), (1, Some(RetryCause::LetterRefused)));
}

/// A fake Elasticsearch that refuses documents with `bad`, accepts requests up to `limit` bytes, fails by chance, and
/// records documents.
struct World {
    limit: usize,
    bad: Vec<bool>,
    documents: BTreeMap<String, u32>,
    letters: BTreeMap<String, u32>,
}

impl World {
    /// For each item, `chance` selects done, busy, or unavailable.
    fn take(&mut self, body: &[u8], chance: &mut impl FnMut() -> u8) -> Option<Vec<ItemAnswer>> {
        if body.len() > self.limit {
            return None;
        }
        let lines: Vec<Value> = body.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        let take = |pair: &[Value]| {
            let (stream, id) = (&pair[0]["create"]["_index"], pair[0]["create"]["_id"].as_str().unwrap().to_owned());
            match chance() % 8 {
                0 => return answer(429),
                1 => return answer(503),
                2 => return answer(404),
                _ => {}
            }
            let place = if stream == TARGET.stream { &mut self.letters } else { &mut self.documents };
            if stream == STREAM && self.bad[id.parse::<usize>().unwrap()] {
                return answer(400);
            }
            // It does not check ids: a document sent twice is stored twice.
            *place.entry(id).or_default() += 1;
            answer(201)
        };
        Some(lines.chunks(2).map(take).collect())
    }
}

proptest! {
    /// For any results of items and requests, each document is stored once or its letter is. Until then it remains.
    #[test]
    fn each_document_ends_in_one_place(
        bad in prop::collection::vec(any::<bool>(), 1..60),
        limit in 1_000_usize..6_000,
        chances in prop::collection::vec(any::<u8>(), 1..200),
    ) {
        let mut chunk = numbered(bad.len());
        let mut world = World { limit, bad: bad.clone(), documents: BTreeMap::new(), letters: BTreeMap::new() };
        let (mut turn, mut tally, mut rounds) = (0_usize, Tally::default(), 0);
        while chunk.remaining() > 0 {
            chunk.retry();
            while let Some(part) = chunk.next_part() {
                let lines = chunk.lines(&part);
                // The bytes of a part are the bytes of its lines.
                prop_assert_eq!(lines.len(), part.bytes);
                let mut chance = || {
                    turn += 1;
                    // Failures become rarer with time, so that every run ends.
                    if turn > 5_000 { 7 } else { chances[turn % chances.len()] }
                };
                if chance() % 8 == 3 {
                    // The connection broke before anything was stored.
                    tally += chunk.put_back(&part, RetryCause::Unavailable);
                    continue;
                }
                match world.take(&lines, &mut chance) {
                    Some(answers) => tally += chunk.settle(&part, &answers, TARGET),
                    None => tally += chunk.too_large(part, TARGET),
                }
                let settled = tally.stored + tally.dead_letters;
                prop_assert_eq!(settled as usize + chunk.remaining(), bad.len(), "no document is lost, and none is counted \
                    twice");
            }
            rounds += 1;
            prop_assert!(rounds < 20_000);
        }
        prop_assert!(world.documents.values().chain(world.letters.values()).all(|times| *times == 1));
        let refused = bad.iter().filter(|bad| **bad).count();
        prop_assert_eq!((world.letters.len(), world.documents.len()), (refused, bad.len() - refused));
        prop_assert_eq!((tally.dead_letters as usize, tally.stored as usize), (refused, bad.len() - refused));
    }
}

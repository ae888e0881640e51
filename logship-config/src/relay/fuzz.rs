//! This module tests bodies that no shipper writes: arbitrary bytes, and correct bodies with bytes changed, removed or
//! inserted. Each is cut into items or refused with a reason. The long form sets proptest's `PROPTEST_CASES` (`make fuzz`).

use proptest::prelude::*;

use super::ndjson::{ID_LIMIT_BYTES, Streams, cut};

const STREAMS: [&str; 2] = ["logs-exchange.app-default", "logs-exchange.audit-default"];

/// Pieces of actions and documents, so that random order reaches deeper than random bytes.
const PIECES: [&str; 16] = [
    "{\"create\":{\"_index\":\"logs-exchange.app-default\",\"_id\":\"a\"}}\n",
    "{\"create\":{\"_index\":\"logs-exchange.audit-default\",\"_id\":\"\\u0062\"}}\r\n",
    "{\"index\":{\"_index\":\"logs-exchange.app-default\",\"_id\":\"a\"}}\n",
    "{\"create\":{\"_index\":\"logs-exchange.app-default\"}}\n",
    "{\"create\":{\"_id\":\"a\"}}\n",
    "{\"create\":{\"_index\":\"other\",\"_id\":\"a\"}}\n",
    "{\"create\":{\"_index\":\"logs-exchange.app-default\",\"_id\":\"\"}}\n",
    "{\"create\":{\"_index\":\"logs-exchange.app-default\",\"_id\":7}}\n",
    "{\"create\":null}\n",
    "{\"create\":",
    "{}\n",
    "{\"message\":\"one\"}\n",
    "no JSON\n",
    "\n",
    "\r\n",
    "\u{0}\u{fffd}",
];

const DOCUMENT: &str = "{\"message\":\"one\"}\n";

#[derive(Debug, Clone)]
enum Edit {
    Replace(u8),
    Remove,
    Insert(u8),
}

fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, Edit)>> {
    let edit = prop_oneof![any::<u8>().prop_map(Edit::Replace), Just(Edit::Remove), any::<u8>().prop_map(Edit::Insert)];
    prop::collection::vec((any::<prop::sample::Index>(), edit), 0..3)
}

/// Mostly an action with a document, so that many bodies are accepted; sometimes a single piece.
fn item() -> impl Strategy<Value = String> {
    let pair = |actions: &'static [&'static str]| prop::sample::select(actions).prop_map(|action| format!("{action}{DOCUMENT}"));
    let piece = prop::sample::select(&PIECES[..]).prop_map(str::to_owned);
    prop_oneof![8 => pair(&PIECES[..2]), 2 => pair(&PIECES[2..9]), 1 => piece]
}

fn judge(body: &[u8]) -> Result<(), TestCaseError> {
    let streams = Streams::new(STREAMS.map(str::to_owned).to_vec());
    match cut(body, &streams) {
        Ok(items) => {
            prop_assert!(!items.is_empty());
            let together: Vec<u8> = items.iter().flat_map(|item| item.lines(body).to_vec()).collect();
            prop_assert_eq!(together.as_slice(), body, "the items are the whole body, in order");
            for item in &items {
                let id = item.id(body);
                prop_assert!(STREAMS.contains(&item.stream(&streams)) && (1..=ID_LIMIT_BYTES).contains(&id.len()), "{}", id);
                prop_assert!(!item.document(body).contains(&b'\n') && !item.document(body).trim_ascii().is_empty());
            }
        }
        Err(refusal) => prop_assert!(!refusal.name().is_empty() && !refusal.to_string().is_empty()),
    }
    Ok(())
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_split_or_refused(body in prop::collection::vec(any::<u8>(), 0..2_000)) {
        judge(&body)?;
    }

    #[test]
    fn arbitrary_items_with_edits_are_split_or_refused(items in prop::collection::vec(item(), 1..8), edits in edits()) {
        let mut body = items.concat().into_bytes();
        for (at, edit) in edits {
            if body.is_empty() {
                break;
            }
            let at = at.index(body.len());
            match edit {
                Edit::Replace(byte) => body[at] = byte,
                Edit::Remove => drop(body.remove(at)),
                Edit::Insert(byte) => body.insert(at, byte),
            }
        }
        judge(&body)?;
    }
}

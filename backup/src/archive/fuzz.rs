//! This module tests archives that no pg_dump writes: arbitrary bytes, and valid archives with bytes changed, removed or
//! inserted. The reader either accepts each one or rejects it with a reason. It must not reserve memory for a forged length.
//! `make fuzz` sets proptest's `PROPTEST_CASES` for the long form.

use proptest::prelude::*;

use super::{tests::entry, *};

const KINDS: [&str; 4] = ["TABLE", "TABLE DATA", "BLOBS", "INDEX"];

fn archive() -> impl Strategy<Value = Vec<u8>> {
    let kinds = prop::collection::vec(prop::sample::select(&KINDS), 0..6);
    (14_u8..=16, kinds).prop_map(|(minor, kinds)| {
        let relation_kind = (minor >= 16).then_some(0);
        let entries = (1..).zip(kinds).map(|(id, kind)| Entry { relation_kind, ..entry(id, kind) });
        let header = Header {
            version: Version(1, minor, 0),
            integer_size: 4,
            offset_size: 8,
            created: [0; 7],
            database: DumpText::NULL,
            server_version: DumpText::NULL,
            pg_dump_version: DumpText::NULL,
        };
        Contents { header, entries: entries.collect() }.to_bytes()
    })
}

#[derive(Debug, Clone)]
enum Edit {
    Replace(u8),
    Remove,
    Insert(u8),
    Cut,
}

fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, Edit)>> {
    let edit = prop_oneof![
        4 => any::<u8>().prop_map(Edit::Replace),
        2 => Just(Edit::Remove),
        2 => any::<u8>().prop_map(Edit::Insert),
        1 => Just(Edit::Cut),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), edit), 1..8)
}

/// An accepted archive must be equal after it is written and read again.
fn judge(bytes: &[u8]) -> Result<(), TestCaseError> {
    match Contents::read(&mut &*bytes) {
        Ok(contents) => {
            let written = contents.to_bytes();
            let again = Contents::read(&mut written.as_slice()).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(again, contents);
        }
        Err(error) => prop_assert!(!error.to_string().is_empty()),
    }
    Ok(())
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_accepted_or_rejected(bytes in prop::collection::vec(any::<u8>(), 0..500), magic in any::<bool>()) {
        let start: &[u8] = if magic { b"PGDMP\x01\x0e\x00\x04\x08\x01" } else { b"" };
        judge(&[start, bytes.as_slice()].concat())?;
    }

    #[test]
    fn edited_archives_are_accepted_or_rejected(archive in archive(), edits in edits()) {
        let mut bytes = archive;
        for (at, edit) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match edit {
                Edit::Replace(byte) => bytes[at] = byte,
                Edit::Remove => drop(bytes.remove(at)),
                Edit::Insert(byte) => bytes.insert(at, byte),
                Edit::Cut => bytes.truncate(at),
            }
        }
        judge(&bytes)?;
    }
}

//! Journals as releases wrote them: this release must replay each to the state that it had then.
//!
//! A release that changes what is written adds a row and a file (run with `WRITE_GOLDEN=<release>`); an old file never changes.

#![expect(clippy::disallowed_methods, reason = "the journals of releases are files")]

use crate::support::{Exchange, Random, SECOND, filters, some_commission};
use exchange_core::{State, batch};
use std::path::PathBuf;

/// Release, sequence and state hash at the end of its journal.
const RELEASES: &[(&str, u64, u64)] = &[("0.1.0", 2287, 8796143481078)];

fn path(release: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/journal-{release}.bin"))
}

/// Batches, each with its length before it (4 bytes, little endian).
fn write(release: &str) {
    let mut random = Random(2_026);
    let mut exchange = Exchange::with(filters(), some_commission());
    for step in 0..1_200 {
        exchange.now += random.below(2) as i64 * SECOND;
        let command = random.command(step / 2, step / 20);
        let _ = exchange.run(&command);
    }
    let mut file = Vec::new();
    for chunk in exchange.journal.chunks(50) {
        let mut bytes = Vec::new();
        batch::encode(chunk, &mut bytes);
        file.extend((bytes.len() as u32).to_le_bytes());
        file.extend(bytes);
    }
    std::fs::create_dir_all(path(release).parent().expect("a folder")).expect("made");
    std::fs::write(path(release), file).expect("written");
}

#[test]
fn every_release_is_replayed() {
    if let Ok(release) = std::env::var("WRITE_GOLDEN") {
        write(&release);
    }
    for (release, sequence, hash) in RELEASES {
        let file = std::fs::read(path(release)).unwrap_or_else(|e| panic!("the golden journal of {release}: {e}"));
        let mut rest = file.as_slice();
        let mut state = State::new();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (bytes, next) = after.split_at(u32::from_le_bytes(*length) as usize);
            for event in batch::decode(bytes).unwrap_or_else(|e| panic!("{release}: {e}")) {
                state.evolve(&event);
            }
            rest = next;
        }
        assert_eq!((state.sequence(), state.hash()), (*sequence, *hash), "release {release}");
    }
}

//! This module reads growing files from their beginning, line by line. Each read is bounded.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use jiff::Timestamp;

use crate::{
    document::{LogDocument, document},
    lines::{Joiner, LogRecord},
};

/// Largest read of one file at once, which bounds memory and chunks.
const READ_BYTES: u64 = 512 << 10;
/// A longer line is split into pieces.
const LINE_BYTES: usize = 256 << 10;
/// The shipper skips its own log: its lines about a failed chunk would be the next chunk.
const OWN: &str = "shipper";

/// The log files of a folder.
#[derive(Debug)]
pub struct Tails {
    folder: PathBuf,
    tails: BTreeMap<PathBuf, Tail>,
}

#[derive(Debug, Default)]
struct Tail {
    /// Offset of `unfinished` in the file.
    offset: u64,
    unfinished: Vec<u8>,
    joiner: Joiner,
}

impl Tails {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, tails: BTreeMap::new() }
    }

    /// Returns the complete lines written since the last read.
    ///
    /// # Errors
    /// Returns an error if the folder or a file in it is unreadable.
    pub fn read(&mut self, now: Timestamp) -> Result<Vec<LogDocument>> {
        let entries = fs::read_dir(&self.folder).with_context(|| format!("reading {}", self.folder.display()))?;
        let mut documents = Vec::new();
        for entry in entries {
            let path = entry.with_context(|| format!("reading {}", self.folder.display()))?.path();
            let Some(part) = part(&path) else { continue };
            let (part, tail) = (part.to_owned(), self.tails.entry(path.clone()).or_default());
            let records = tail.read(&path, now).with_context(|| format!("reading {}", path.display()))?;
            let name = path.display().to_string();
            documents.extend(records.iter().map(|record| document(record, &part, &name, now)));
        }
        Ok(documents)
    }
}

fn part(path: &Path) -> Option<&str> {
    let part = path.file_name()?.to_str()?.strip_suffix(".log")?;
    (part != OWN).then_some(part)
}

impl Tail {
    fn read(&mut self, path: &Path, now: Timestamp) -> Result<Vec<LogRecord>> {
        let mut file = File::open(path)?;
        let read = self.offset + self.unfinished.len() as u64;
        if file.metadata()?.len() < read {
            // The file was emptied, so its present content is new.
            *self = Self::default();
        }
        file.seek(SeekFrom::Start(self.offset + self.unfinished.len() as u64))?;
        file.take(READ_BYTES).read_to_end(&mut self.unfinished)?;
        let unfinished = std::mem::take(&mut self.unfinished);
        let mut rest = unfinished.as_slice();
        let mut records = Vec::new();
        while let Some(length) = complete(rest) {
            let (line, after) = rest.split_at(length);
            let text = String::from_utf8_lossy(line).trim_end_matches(['\n', '\r']).to_owned();
            if !text.is_empty() {
                records.extend(self.joiner.take(LogRecord { offset: self.offset, text }, now));
            }
            self.offset += length as u64;
            rest = after;
        }
        self.unfinished = rest.to_owned();
        records.extend(self.joiner.flush(now));
        Ok(records)
    }
}

/// Length in bytes of the first line with its end, or of a piece if the end is not in the buffer.
fn complete(bytes: &[u8]) -> Option<usize> {
    let end = bytes.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
    end.or_else(|| (bytes.len() >= LINE_BYTES).then_some(LINE_BYTES))
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::Write};

    use super::*;

    fn append(path: &Path, text: &str) {
        OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn messages(tails: &mut Tails) -> Vec<String> {
        let documents = tails.read(Timestamp::UNIX_EPOCH).unwrap();
        documents.iter().map(|document| document.source["message"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn whole_lines_are_read_once_until_a_file_is_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let (file, mut tails) = (folder.path().join("postgres.log"), Tails::new(folder.path().to_owned()));
        assert!(messages(&mut tails).is_empty());
        append(&file, "one\r\n\ntwo\nthr");
        append(&folder.path().join("shipper.log"), "mine\n");
        append(&folder.path().join("notes.txt"), "not a log\n");
        assert_eq!(messages(&mut tails), ["one", "two"]);
        assert!(messages(&mut tails).is_empty());
        append(&file, "ee\n");
        assert_eq!(messages(&mut tails), ["three"]);
        fs::write(&file, "anew\n").unwrap();
        assert_eq!(messages(&mut tails), ["anew"]);
    }

    #[test]
    fn a_line_without_end_comes_in_pieces_and_much_in_turns() {
        let folder = tempfile::tempdir().unwrap();
        let (file, mut tails) = (folder.path().join("x.log"), Tails::new(folder.path().to_owned()));
        append(&file, &"x".repeat(LINE_BYTES + 10));
        assert_eq!(messages(&mut tails)[0].len(), LINE_BYTES);
        append(&file, "\n");
        assert_eq!(messages(&mut tails), ["x".repeat(10)]);
        let line = "y".repeat(511) + "\n";
        let lines = 3 * READ_BYTES as usize / line.len();
        append(&file, &line.repeat(lines));
        let mut turns = 0;
        let mut read = 0;
        while read < lines {
            read += messages(&mut tails).len();
            turns += 1;
        }
        assert_eq!((read, turns), (lines, 3));
    }
}

//! This module is pure. It joins the lines of a panic into one record, as the pipeline's multiline parser `rust-panic` does.

use jiff::{SignedDuration, Timestamp};

/// Equal to the pipeline's `flush_timeout`.
const FLUSH: SignedDuration = SignedDuration::from_secs(2);
/// Longest record of a panic; a longer panic becomes several records.
const LINES: usize = 1_000;

/// A record of one file: its offset and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    pub offset: u64,
    pub text: String,
}

/// Holds the lines of a panic until its last line arrives.
#[derive(Debug, Default)]
pub struct Joiner {
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    record: LogRecord,
    lines: usize,
    last: Timestamp,
}

impl Joiner {
    /// Takes the next line and returns the records that are now complete.
    pub fn take(&mut self, line: LogRecord, now: Timestamp) -> Vec<LogRecord> {
        if let Some(held) = &mut self.held
            && !is_panic(&line.text)
            && !line.text.starts_with('{')
            && held.lines < LINES
        {
            held.record.text = format!("{}\n{}", held.record.text, line.text);
            (held.lines, held.last) = (held.lines + 1, now);
            return Vec::new();
        }
        let mut complete: Vec<LogRecord> = self.held.take().map(|held| held.record).into_iter().collect();
        if is_panic(&line.text) {
            self.held = Some(Held { record: line, lines: 1, last: now });
        } else {
            complete.push(line);
        }
        complete
    }

    /// Returns the record that has waited for another line until the timeout.
    pub fn flush(&mut self, now: Timestamp) -> Option<LogRecord> {
        self.held.take_if(|held| now.duration_since(held.last) >= FLUSH).map(|held| held.record)
    }
}

/// `thread 'main' (4711) panicked at src/main.rs:1:2:`, the number since Rust 1.91.
pub fn is_panic(text: &str) -> bool {
    let Some((_, rest)) = text.strip_prefix("thread '").and_then(|rest| rest.split_once("' ")) else { return false };
    let rest = match rest.strip_prefix('(').and_then(|rest| rest.split_once(") ")) {
        Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => rest,
    };
    rest.starts_with("panicked at")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(lines: &[&str]) -> Vec<String> {
        let mut joiner = Joiner::default();
        let now = Timestamp::UNIX_EPOCH;
        let mut offset = 0;
        let mut records = Vec::new();
        for line in lines {
            records.extend(joiner.take(LogRecord { offset, text: (*line).to_owned() }, now));
            offset += line.len() as u64 + 1;
        }
        assert_eq!(joiner.flush(now), None, "another line may come");
        records.extend(joiner.flush(now + FLUSH));
        records.into_iter().map(|record| record.text).collect()
    }

    #[test]
    fn a_panic_ends_with_the_next_one_or_a_line_of_json() {
        let lines = [
            "{\"message\":\"before\"}",
            "thread 'main' (4711) panicked at src/main.rs:5:7:",
            "no disk",
            "{\"message\":\"between\"}",
            "plain words",
            "thread 'worker' panicked at src/worker.rs:9:1:",
            "index out of bounds",
            "   0: rust_begin_unwind",
            "thread 'it is' panicked at src/x.rs:1:1:",
        ];
        let records = join(&lines);
        assert_eq!(records[1], "thread 'main' (4711) panicked at src/main.rs:5:7:\nno disk");
        assert_eq!(records[4], "thread 'worker' panicked at src/worker.rs:9:1:\nindex out of bounds\n   0: rust_begin_unwind");
        assert_eq!((records.len(), records[2].as_str(), records[3].as_str()), (6, lines[3], lines[4]));
    }

    #[test]
    fn a_line_similar_to_a_panic_is_not_joined() {
        assert!(is_panic("thread '<unnamed>' (1) panicked at a.rs:1:1:") && is_panic("thread 'a' panicked at 'x', a.rs:1:1"));
        for text in ["thread 'a' is late", "a thread 'a' panicked at x", "thread 'a' (x) panicked at y", "panicked at"] {
            assert!(!is_panic(text), "{text}");
        }
    }
}

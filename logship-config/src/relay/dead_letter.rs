//! This module builds the dead letter of a permanently refused document (pure): the document as text, and the reason.
//!
//! The `_id` is derived from the stream and the `_id` of the document, so that a retried chunk writes no second letter.

use std::io::Write;

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Bytes retained of a document that no request can carry: enough to identify its source.
pub const KEPT_BYTES: usize = 32 << 10;
/// Characters retained of a reason, which may quote the document.
const REASON_CHARACTERS: usize = 2_000;
/// Bytes of the digest in the id: short, and collisions are practically impossible.
const ID_BYTES: usize = 16;

/// The refused document and the reason.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'a> {
    pub stream: &'a str,
    pub id: &'a str,
    pub document: &'a [u8],
    pub status: u16,
    /// Such as `document_parsing_exception`.
    pub kind: &'a str,
    pub reason: &'a str,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "@timestamp")]
    timestamp: Timestamp,
    message: String,
    event: Event<'a>,
    error: DocumentError<'a>,
    logship: Origin<'a>,
}

#[derive(Serialize)]
struct Event<'a> {
    /// The ECS value for data that failed at ingestion.
    kind: &'static str,
    original: &'a str,
}

#[derive(Serialize)]
struct DocumentError<'a> {
    r#type: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct Origin<'a> {
    stream: &'a str,
    document_id: &'a str,
    status: u16,
    original_bytes: usize,
    /// Encoding of the document in `event.original`: `text`, or `base64` if it is not UTF-8.
    original_encoding: &'static str,
    /// Whether it contains only the beginning.
    original_cut: bool,
}

impl Letter<'_> {
    /// Returns both lines of the action that writes the letter to `dead_letters`. They contain at most [`KEPT_BYTES`] of the
    /// document if `cut`.
    pub fn lines(&self, dead_letters: &str, now: Timestamp, cut: bool) -> Vec<u8> {
        let kept = &self.document[..if cut { KEPT_BYTES.min(self.document.len()) } else { self.document.len() }];
        let encoded;
        let (original, original_encoding) = match std::str::from_utf8(kept) {
            Ok(text) => (text, "text"),
            // The cut may split a character.
            Err(error) if cut && error.error_len().is_none() => {
                (std::str::from_utf8(&kept[..error.valid_up_to()]).unwrap_or_default(), "text")
            }
            Err(_) => {
                encoded = BASE64_STANDARD.encode(kept);
                (encoded.as_str(), "base64")
            }
        };
        let reason = self.reason.char_indices().nth(REASON_CHARACTERS).map_or(self.reason, |(end, _)| &self.reason[..end]);
        let document = Document {
            timestamp: now,
            message: format!("{} refused a document: {}", self.stream, self.kind),
            event: Event { kind: "pipeline_error", original },
            error: DocumentError { r#type: self.kind, message: reason },
            logship: Origin {
                stream: self.stream,
                document_id: self.id,
                status: self.status,
                original_bytes: self.document.len(),
                original_encoding,
                original_cut: kept.len() < self.document.len(),
            },
        };
        let mut lines = Vec::with_capacity(kept.len() + 1024);
        // Writing texts and numbers into memory cannot fail.
        let _ = writeln!(lines, "{{\"create\":{{\"_index\":\"{dead_letters}\",\"_id\":\"{}\"}}}}", self.letter_id());
        let _ = serde_json::to_writer(&mut lines, &document);
        lines.push(b'\n');
        lines
    }

    fn letter_id(&self) -> String {
        // A stream's name contains no line feed, so different pairs give different texts.
        let digest = Sha256::new().chain_update(self.stream).chain_update("\n").chain_update(self.id).finalize();
        hex::encode(&digest[..ID_BYTES])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn letter(document: &[u8]) -> Letter<'_> {
        Letter {
            stream: "logs-exchange.app-default",
            id: "a\"1",
            document,
            status: 400,
            kind: "document_parsing_exception",
            reason: "failed to parse field [price]",
        }
    }

    fn read(lines: &[u8]) -> (Value, Value) {
        assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 2);
        let mut lines = lines.split(|byte| *byte == b'\n').map(|line| serde_json::from_slice(line).unwrap_or_default());
        (lines.next().unwrap(), lines.next().unwrap())
    }

    #[test]
    fn contains_the_document_and_the_reason() {
        let document = b"{\"price\":\"much\",\n\"message\":\"\xd9\xbe\"}";
        let (action, told) = read(&letter(document).lines("logs-logship.dead_letter-default", NOW, false));
        assert_eq!(action["create"]["_index"], "logs-logship.dead_letter-default");
        assert_eq!(told["event"]["original"].as_str().unwrap().as_bytes(), document);
        assert_eq!(told["@timestamp"], "1970-01-01T00:00:00Z");
        assert_eq!(told["message"], "logs-exchange.app-default refused a document: document_parsing_exception");
        assert_eq!(told["error"]["message"], "failed to parse field [price]");
        let origin = &told["logship"];
        assert_eq!((&origin["stream"], &origin["document_id"]), (&"logs-exchange.app-default".into(), &"a\"1".into()));
        assert_eq!(
            (&origin["status"], &origin["original_cut"], &origin["original_encoding"]),
            (&400.into(), &false.into(), &"text".into())
        );
    }

    #[test]
    fn its_id_follows_from_the_document_alone() {
        let id = |letter: &Letter<'_>, now| read(&letter.lines("dead", now, false)).0["create"]["_id"].clone();
        let first = letter(b"{}");
        assert_eq!(id(&first, NOW), id(&Letter { reason: "other words", ..first }, Timestamp::MAX));
        assert_ne!(id(&first, NOW), id(&Letter { id: "a\"2", ..first }, NOW));
        assert_ne!(id(&first, NOW), id(&Letter { stream: "logs-exchange.audit-default", ..first }, NOW));
        assert_eq!(id(&first, NOW).as_str().unwrap().len(), 2 * ID_BYTES);
    }

    #[test]
    fn non_utf8_bytes_are_restored_completely() {
        let document = b"{\"message\":\"\xff\xfe\"}";
        let (_, told) = read(&letter(document).lines("dead", NOW, false));
        assert_eq!(told["logship"]["original_encoding"], "base64");
        assert_eq!(BASE64_STANDARD.decode(told["event"]["original"].as_str().unwrap()).unwrap(), document);
    }

    #[test]
    fn a_cut_is_between_characters_and_is_marked() {
        let document = "€".repeat(KEPT_BYTES);
        let (_, told) = read(&letter(document.as_bytes()).lines("dead", NOW, true));
        let original = told["event"]["original"].as_str().unwrap();
        assert!(original.chars().all(|character| character == '€') && original.len() > KEPT_BYTES - 3, "{}", original.len());
        assert_eq!(
            (&told["logship"]["original_cut"], &told["logship"]["original_bytes"]),
            (&true.into(), &document.len().into())
        );
        let reason = "ü".repeat(REASON_CHARACTERS + 5);
        let (_, told) = read(&Letter { reason: &reason, ..letter(b"{}") }.lines("dead", NOW, true));
        assert_eq!(told["error"]["message"].as_str().unwrap().chars().count(), REASON_CHARACTERS);
        assert_eq!(told["logship"]["original_cut"], false);
    }
}

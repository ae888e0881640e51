//! This module splits the body of a `_bulk` request into its items (pure). It must not parse documents: an item is a slice
//! of the body.
//!
//! Elasticsearch's format (<https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk>): a line of JSON
//! with the action, then a line with the document, each ended by a line feed. The relay accepts less than Elasticsearch, and
//! states the correction:
//!
//! - only `create`, since resending must not write twice;
//! - only with an `_id`, which identifies a resent document;
//! - only into configured streams, since Elasticsearch would create any other.

use std::borrow::Cow;

use serde::{Deserialize, de::IgnoredAny};

/// Elasticsearch refuses the whole request if an `_id` is longer.
pub const ID_LIMIT_BYTES: usize = 512;

/// The data streams that may be written, in the order of the setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Streams(Vec<String>);

impl Streams {
    pub fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|known| known == name)
    }
}

/// One action and its document: `body[start..document]` and `body[document..end]`, line feeds included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkItem {
    start: u32,
    document: u32,
    end: u32,
    /// Index into [`Streams`].
    stream: u16,
}

impl BulkItem {
    /// Both lines, as they go to Elasticsearch.
    pub fn lines<'a>(&self, body: &'a [u8]) -> &'a [u8] {
        &body[self.start as usize..self.end as usize]
    }

    /// The document without its line feed.
    pub fn document<'a>(&self, body: &'a [u8]) -> &'a [u8] {
        &body[self.document as usize..self.end as usize - 1]
    }

    pub fn stream<'a>(&self, streams: &'a Streams) -> &'a str {
        &streams.0[usize::from(self.stream)]
    }

    /// Returns the `_id` of the action.
    pub fn id<'a>(&self, body: &'a [u8]) -> Cow<'a, str> {
        // The action was parsed before, when the body was split.
        read_action(&body[self.start as usize..self.document as usize - 1]).map(|action| action.id).unwrap_or_default()
    }
}

/// The reason why a body is refused, and the correction at the shipper. Nothing of it was sent to Elasticsearch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NdjsonRefusal {
    #[error("the body contains no action; send one line for the action and one for the document, each ended by a line feed")]
    Empty,
    #[error("the body does not end with a line feed, so its last line may be cut; send the complete body")]
    Unended,
    #[error("line {line} is not an action ({wrong}); write {{\"create\":{{\"_index\":\"<data stream>\",\"_id\":\"<id>\"}}}}")]
    NoAction { line: usize, wrong: String },
    #[error("line {line} requests an action other than create; in Fluent Bit set `write_operation create`")]
    NotCreate { line: usize },
    #[error("line {line} names no _index; in Fluent Bit set `index` to a data stream")]
    NoIndex { line: usize },
    #[error("line {line} has no _id, so resending would write twice; in Fluent Bit set `generate_id on`")]
    NoId { line: usize },
    #[error(
        "line {line} has an _id of {length} bytes, but Elasticsearch accepts 1 to {ID_LIMIT_BYTES}; in Fluent Bit set \
         `generate_id on`"
    )]
    IdLength { line: usize, length: usize },
    #[error(
        "line {line} writes to {stream:?}, which is not in LOGSHIP_RELAY_STREAMS; add it there, or correct the shipper's `index`"
    )]
    UnknownStream { line: usize, stream: String },
    #[error("line {line} should contain the document of the previous action; send both lines")]
    NoDocument { line: usize },
}

impl NdjsonRefusal {
    /// Returns the value of the label `reason`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Empty | Self::Unended | Self::NoAction { .. } | Self::NoDocument { .. } => "malformed",
            Self::NotCreate { .. } => "not_create",
            Self::NoIndex { .. } | Self::UnknownStream { .. } => "unknown_stream",
            Self::NoId { .. } | Self::IdLength { .. } => "no_id",
        }
    }
}

/// Splits `body` into items.
///
/// # Errors
/// Returns an error at the first line that the relay does not accept. Then nothing of the body may be sent.
///
/// # Panics
/// Panics if the body is 4 GiB or larger: its limit is far below.
pub fn cut(body: &[u8], streams: &Streams) -> Result<Vec<BulkItem>, NdjsonRefusal> {
    assert!(u32::try_from(body.len()).is_ok(), "the limit of a body is below 4 GiB");
    let Some(last) = body.last() else { return Err(NdjsonRefusal::Empty) };
    if *last != b'\n' {
        return Err(NdjsonRefusal::Unended);
    }
    let mut items: Vec<BulkItem> = Vec::new();
    let (mut line, mut start) = (1, 0);
    let mut ends = memchr::memchr_iter(b'\n', body);
    // Most shippers write to one stream at a time.
    let (mut known, mut position) = ("", None);
    while let Some(action_end) = ends.next() {
        let action = read_action(&body[start..action_end]).map_err(|fault| fault.at(line))?;
        if position.is_none() || action.index != known {
            let Some(found) = streams.position(&action.index) else {
                return Err(NdjsonRefusal::UnknownStream { line, stream: action.index.into_owned() });
            };
            (known, position) = (&streams.0[found], u16::try_from(found).ok());
        }
        if action.id.is_empty() || action.id.len() > ID_LIMIT_BYTES {
            return Err(NdjsonRefusal::IdLength { line, length: action.id.len() });
        }
        let document = action_end + 1;
        let end = match ends.next() {
            Some(end) if !body[document..end].trim_ascii().is_empty() => end + 1,
            _ => return Err(NdjsonRefusal::NoDocument { line: line + 1 }),
        };
        // The body is shorter than 4 GiB, and a setting lists fewer streams than 65 536.
        items.push(BulkItem {
            start: start as u32,
            document: document as u32,
            end: end as u32,
            stream: position.unwrap_or_default(),
        });
        (line, start) = (line + 2, end);
    }
    Ok(items)
}

struct Action<'a> {
    index: Cow<'a, str>,
    id: Cow<'a, str>,
}

enum ActionError {
    Malformed(String),
    NotCreate,
    NoIndex,
    NoId,
}

impl ActionError {
    fn at(self, line: usize) -> NdjsonRefusal {
        match self {
            Self::Malformed(wrong) => NdjsonRefusal::NoAction { line, wrong },
            Self::NotCreate => NdjsonRefusal::NotCreate { line },
            Self::NoIndex => NdjsonRefusal::NoIndex { line },
            Self::NoId => NdjsonRefusal::NoId { line },
        }
    }
}

fn read_action(line: &[u8]) -> Result<Action<'_>, ActionError> {
    match read_usual(line) {
        Some(action) => Ok(action),
        None => read_any(line),
    }
}

/// Reads the exact bytes that Fluent Bit writes, without a parser: almost every line of a relay.
fn read_usual(line: &[u8]) -> Option<Action<'_>> {
    let rest = line.strip_prefix(b"{\"create\":{\"_index\":\"")?;
    let (index, rest) = plain_text(rest)?;
    let rest = rest.strip_prefix(b",\"_id\":\"")?;
    let (id, rest) = plain_text(rest)?;
    (rest == b"}}").then_some(Action { index: index.into(), id: id.into() })
}

/// Returns the text up to the closing quotation mark, if nothing in it is escaped.
fn plain_text(text: &[u8]) -> Option<(&str, &[u8])> {
    let end = text.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
    (text[end] == b'"').then_some(())?;
    Some((std::str::from_utf8(&text[..end]).ok()?, &text[end + 1..]))
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum AnyAction<'a> {
    #[serde(borrow)]
    Create(Metadata<'a>),
    Index(IgnoredAny),
    Update(IgnoredAny),
    Delete(IgnoredAny),
}

/// Other fields that Elasticsearch allows here change the result, and log shippers do not need them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata<'a> {
    #[serde(borrow, rename = "_index")]
    index: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "_id")]
    id: Option<Cow<'a, str>>,
}

fn read_any(line: &[u8]) -> Result<Action<'_>, ActionError> {
    match serde_json::from_slice(line) {
        Ok(AnyAction::Create(Metadata { index: Some(index), id: Some(id) })) => Ok(Action { index, id }),
        Ok(AnyAction::Create(Metadata { index: None, .. })) => Err(ActionError::NoIndex),
        Ok(AnyAction::Create(Metadata { id: None, .. })) => Err(ActionError::NoId),
        Ok(AnyAction::Index(_) | AnyAction::Update(_) | AnyAction::Delete(_)) => Err(ActionError::NotCreate),
        Err(error) => Err(ActionError::Malformed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn streams() -> Streams {
        Streams::new(vec!["logs-exchange.app-default".into(), "logs-exchange.audit-default".into()])
    }

    fn action(stream: &str, id: &str) -> String {
        format!("{{\"create\":{{\"_index\":\"{stream}\",\"_id\":\"{id}\"}}}}\n")
    }

    #[test]
    fn splits_bodies_of_fluent_bit_and_of_other_shippers() {
        let first = action("logs-exchange.app-default", "a1");
        let second = "{ \"create\" : {\"_id\":\"b\\u0031\", \"_index\":\"logs-exchange.audit-default\"} }\r\n";
        let body = format!("{first}{{\"message\":\"one\"}}\n{second}not JSON, which is Elasticsearch's to refuse\r\n");
        let (body, streams) = (body.as_bytes(), streams());
        let items = cut(body, &streams).unwrap();
        let told: Vec<_> = items.iter().map(|item| (item.stream(&streams), item.id(body), item.document(body))).collect();
        assert_eq!(told[0], ("logs-exchange.app-default", "a1".into(), &b"{\"message\":\"one\"}"[..]));
        assert_eq!((told[1].0, told[1].1.as_ref()), ("logs-exchange.audit-default", "b1"));
        assert_eq!(items.iter().map(|item| item.lines(body).len()).sum::<usize>(), body.len());
    }

    #[test]
    fn refuses_a_body_with_the_line_and_the_remedy() {
        let good = action("logs-exchange.app-default", "1") + "{}\n";
        let long = action("logs-exchange.app-default", &"x".repeat(ID_LIMIT_BYTES + 1)) + "{}\n";
        for (body, named) in [
            ("", "contains no action"),
            ("\n", "line 1 is not an action"),
            ("{\"create\":{\"_index\":\"logs-exchange.app-default\",\"_id\":\"1\"}}\n{}", "does not end with a line feed"),
            ("{\"create\":{\"_index\":\"logs-exchange.app-default\",\"_id\":\"1\"}}\n", "line 2 should contain the document"),
            ("{\"create\":{\"_index\":\"logs-exchange.app-default\",\"_id\":\"1\"}}\n \n", "line 2 should contain the document"),
            ("{\"create\":{\"_index\":\"logs-exchange.app-default\"}}\n{}\n", "generate_id on"),
            ("{\"create\":{\"_index\":\"logs-exchange.app-default\",\"_id\":\"\"}}\n{}\n", "_id of 0 bytes"),
            (&long, "_id of 513 bytes"),
            ("{\"create\":{\"_id\":\"1\"}}\n{}\n", "names no _index"),
            ("{\"index\":{\"_index\":\"logs-exchange.app-default\",\"_id\":\"1\"}}\n{}\n", "write_operation create"),
            ("{\"delete\":{\"_index\":\"logs-exchange.app-default\",\"_id\":\"1\"}}\n", "an action other than create"),
            (
                "{\"create\":{\"_index\":\"logs-other-default\",\"_id\":\"1\"}}\n{}\n",
                "\"logs-other-default\", which is not in LOGSHIP_RELAY_STREAMS",
            ),
            ("{\"create\":{\"_index\":\"a\",\"_type\":\"_doc\",\"_id\":\"1\"}}\n{}\n", "unknown field `_type`"),
            ("{\"create\":{\"_index\":\"a\",\"_index\":\"a\",\"_id\":\"1\"}}\n{}\n", "duplicate field `_index`"),
            ("{\"create\":{\"_index\":\"a\",\"_id\":\"1\"}} x\n{}\n", "line 1 is not an action"),
            ("{\"create\":{\"_index\":\"a\",\"_id\":\"1\"}", "does not end with a line feed"),
        ] {
            let told = cut(body.as_bytes(), &streams()).unwrap_err().to_string();
            assert!(told.contains(named), "{body}: {told}");
            // Alone or after others: valid lines before it make no difference.
            if !body.is_empty() {
                let later = cut((good.clone() + body).as_bytes(), &streams()).unwrap_err().to_string();
                assert!(
                    later.contains("line 3") || later.contains("line 4") || later.contains("does not end"),
                    "{body}: {later}"
                );
            }
        }
    }

    #[test]
    fn non_utf8_is_refused_in_actions_and_allowed_in_documents() {
        let body = b"{\"create\":{\"_index\":\"logs-exchange.app-default\",\"_id\":\"\xff\"}}\n{}\n";
        assert!(matches!(cut(body, &streams()), Err(NdjsonRefusal::NoAction { line: 1, .. })));
        let body = [action("logs-exchange.app-default", "1").as_bytes(), b"{\"message\":\"\xff\"}\n"].concat();
        assert_eq!(cut(&body, &streams()).unwrap()[0].document(&body), b"{\"message\":\"\xff\"}");
    }

    proptest! {
        /// Concatenated, the items are the body. Ids and documents are as written.
        #[test]
        fn concatenated_items_are_the_body(written in prop::collection::vec((0..2_usize, "\\PC{1,20}", "[^\n]{1,80}", any::<bool>()), 1..40)) {
            let streams = streams();
            let mut body = Vec::new();
            for (stream, id, document, spaced) in &written {
                let (index, id) = (&streams.0[*stream], serde_json::to_string(id).unwrap());
                let space = if *spaced { " " } else { "" };
                body.extend_from_slice(format!("{{\"create\":{{\"_index\":\"{index}\",\"_id\":{space}{id}}}}}\n.{document}\n").as_bytes());
            }
            let items = cut(&body, &streams).unwrap();
            prop_assert_eq!(items.len(), written.len());
            let together: Vec<u8> = items.iter().flat_map(|item| item.lines(&body).to_vec()).collect();
            prop_assert_eq!(&together, &body);
            for (item, (stream, id, document, _)) in items.iter().zip(&written) {
                prop_assert_eq!(item.stream(&streams), &streams.0[*stream]);
                let read = item.id(&body);
                prop_assert_eq!(read.as_ref(), id);
                prop_assert_eq!(&item.document(&body)[1..], document.as_bytes());
            }
        }

        /// Any bytes are split or refused.
        #[test]
        fn any_bytes_are_split_or_refused(body in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(items) = cut(&body, &streams()) {
                prop_assert_eq!(items.iter().map(|item| item.lines(&body).len()).sum::<usize>(), body.len());
            }
        }
    }
}

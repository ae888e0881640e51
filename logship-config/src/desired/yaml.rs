//! This module parses YAML text to a JSON value, with the line of every key and item. It must not interpret keys.
//!
//! YAML 1.2's core schema: plain `true`, `3`, `0.5`, `null` are typed, all else is text (`no` too). Anchors, aliases and
//! tags are refused, so that a reader of the file sees every value at its place. A duplicate key is refused.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::{Map, Number, Value};

/// Deeper nesting is refused: no declaration needs it.
const DEPTH_LIMIT: usize = 64;

/// A place in a document, from the root: keys, and positions of list items.
pub type Place = Vec<String>;

/// One document and the lines of its parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    pub value: Value,
    lines: BTreeMap<Place, usize>,
}

/// The reason why a text is not a valid document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxFault {
    pub line: usize,
    pub wrong: String,
    pub remedy: String,
}

impl Document {
    /// Returns the line of a place, or of the nearest enclosing place in the file.
    pub fn line<Step: AsRef<str>>(&self, place: &[Step]) -> usize {
        let mut place: Place = place.iter().map(|step| step.as_ref().to_owned()).collect();
        loop {
            match (self.lines.get(&place), place.pop()) {
                (Some(line), _) => return *line,
                (None, None) => return 1,
                (None, Some(_)) => {}
            }
        }
    }
}

/// # Errors
/// Returns the first syntax fault: text after it has no meaning.
pub fn parse(text: &str) -> Result<Document, SyntaxFault> {
    // The parser reads it as the end of the text.
    if let Some(at) = text.find('\0') {
        let line = text[..at].matches('\n').count() + 1;
        return fault(line, "contains a NUL character", "write the file again; it may be damaged");
    }
    let mut reader = Reader { parser: Parser::new_from_str(text), place: Vec::new(), lines: BTreeMap::new() };
    loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
            (Event::StreamEnd | Event::DocumentEnd, _) => return Ok(Document { value: Value::Null, lines: BTreeMap::new() }),
            (event, span) => {
                let value = reader.node(event, span)?;
                reader.end()?;
                return Ok(Document { value, lines: reader.lines });
            }
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    place: Place,
    lines: BTreeMap<Place, usize>,
}

fn fault<T>(line: usize, wrong: impl Into<String>, remedy: &str) -> Result<T, SyntaxFault> {
    Err(SyntaxFault { line, wrong: wrong.into(), remedy: remedy.to_owned() })
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), SyntaxFault> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => fault(
                error.marker().line(),
                format!("is not YAML: {}", error.info()),
                "check the indentation and quotes of this line and of the previous line",
            ),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn end(&mut self) -> Result<(), SyntaxFault> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(()),
                (Event::DocumentStart(_), span) => {
                    return fault(span.start.line(), "begins a second document", "write only one document in the file");
                }
                _ => {}
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Value, SyntaxFault> {
        let line = span.start.line();
        self.lines.entry(self.place.clone()).or_insert(line);
        if self.place.len() > DEPTH_LIMIT {
            return fault(line, "is nested too deeply", "check the indentation");
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                refuse(anchor > 0, tag.is_some(), line)?;
                Ok(scalar(&text, style))
            }
            Event::SequenceStart(anchor, tag) => {
                refuse(anchor > 0, tag.is_some(), line)?;
                self.sequence()
            }
            Event::MappingStart(anchor, tag) => {
                refuse(anchor > 0, tag.is_some(), line)?;
                self.mapping()
            }
            Event::Alias(_) => fault(line, "contains an alias (*name)", "write the value itself"),
            other => fault(line, format!("contains an unexpected {other:?}"), "correct the line"),
        }
    }

    fn sequence(&mut self) -> Result<Value, SyntaxFault> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::Array(items)),
                (event, span) => {
                    self.place.push(items.len().to_string());
                    items.push(self.node(event, span)?);
                    self.place.pop();
                }
            }
        }
    }

    fn mapping(&mut self) -> Result<Value, SyntaxFault> {
        let mut entries = Map::new();
        loop {
            let (event, span) = self.next()?;
            let line = span.start.line();
            let key = match event {
                Event::MappingEnd => return Ok(Value::Object(entries)),
                Event::Scalar(text, _, anchor, tag) => {
                    refuse(anchor > 0, tag.is_some(), line)?;
                    text.into_owned()
                }
                _ => return fault(line, "has a key that is not a text", "write it as `name: value`"),
            };
            if entries.contains_key(&key) {
                return fault(line, format!("contains the key {key:?} twice"), "remove one of them");
            }
            self.place.push(key.clone());
            self.lines.insert(self.place.clone(), line);
            let (event, span) = self.next()?;
            let value = self.node(event, span)?;
            self.place.pop();
            entries.insert(key, value);
        }
    }
}

fn refuse(anchor: bool, tag: bool, line: usize) -> Result<(), SyntaxFault> {
    match (anchor, tag) {
        (true, _) => fault(line, "contains an anchor (&name)", "write the value itself where it is needed"),
        (_, true) => fault(line, "contains a tag (!name)", "remove it; quotes make a value text"),
        _ => Ok(()),
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if !matches!(style, ScalarStyle::Plain) {
        return Value::from(text);
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::from(text), Value::Number),
    }
}

/// Decimal numbers only: `0x10`, `1e3` and `.inf` are text, since no setting uses them as numbers.
fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let decimal = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match digits.split_once('.') {
        None if decimal(digits) => text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from)).ok(),
        Some((whole, part)) if decimal(whole) && decimal(part) => Number::from_f64(text.parse().ok()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_have_yaml_1_2_types_and_places_have_lines() {
        let text = "# a comment\na: 30d\nb:\n  - 1\n  - {c: 0.5, d: \"1\"}\ne:\nf: no\ng: true\nh: 1.2.3\n";
        let document = parse(text).unwrap();
        let expected = json!({"a": "30d", "b": [1, {"c": 0.5, "d": "1"}], "e": null, "f": "no", "g": true, "h": "1.2.3"});
        assert_eq!(document.value, expected);
        for (place, line) in
            [(&["a"][..], 2), (&["b"], 3), (&["b", "0"], 4), (&["b", "1", "d"], 5), (&["b", "1", "x"], 5), (&["z"], 2)]
        {
            assert_eq!(document.line(place), line, "{place:?}");
        }
        assert_eq!(parse("").unwrap().value, Value::Null);
    }

    #[test]
    fn unsupported_yaml_is_refused_with_its_line() {
        for (text, line, part) in [
            ("a: [1", 1, "not YAML"),
            ("a: 1\n b: 2\n", 2, "not YAML"),
            ("a: &x 1\nb: *x\n", 1, "anchor"),
            ("a: !!str 1\n", 1, "tag"),
            ("a: 1\n---\nb: 2\n", 2, "second document"),
            ("? [a]\n: 1\n", 1, "key that is not a text"),
            ("a: 1\nb: 2\na: 3\n", 3, "\"a\" twice"),
            ("a: 1\n\0b: [", 2, "NUL"),
        ] {
            let fault = parse(text).unwrap_err();
            assert!(fault.wrong.contains(part), "{text}: {fault:?}");
            assert!(fault.line.abs_diff(line) <= 1, "{text}: {fault:?}");
        }
        assert!(parse(&"[".repeat(DEPTH_LIMIT + 5)).is_err());
    }
}

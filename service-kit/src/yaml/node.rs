//! This module parses YAML into a tree in which every node has its line. It must not know the meaning of a key.
//!
//! It supports a subset of YAML 1.2: one document, mappings with text keys, sequences and scalars. Anchors, aliases and tags are
//! rejected, so that a person who reads the file sees every value at its key.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::FileFault;

/// Maximum nesting depth.
const DEPTH_LIMIT: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Counted from 1.
    pub line: usize,
    /// A scalar in quotes or a block scalar: it is text, whatever it contains.
    pub quoted: bool,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A plain empty value, `~` or `null`.
    Null,
    Scalar(String),
    Sequence(Vec<Node>),
    Mapping(Vec<YamlEntry>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YamlEntry {
    pub key: String,
    pub line: usize,
    pub value: Node,
}

impl Content {
    /// The kind of the node, for a sentence.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "empty",
            Self::Scalar(_) => "a single value",
            Self::Sequence(_) => "a list",
            Self::Mapping(_) => "a section",
        }
    }
}

/// Parses one document.
///
/// # Errors
/// Returns the first syntax fault.
pub fn parse_yaml(text: &str) -> Result<Node, FileFault> {
    // The parser takes it for the end of the text.
    if let Some(at) = text.find('\0') {
        let line = text[..at].matches('\n').count() + 1;
        return Err(FileFault::new(line, "", "contains a NUL character", "write the file again; it may be damaged"));
    }
    let mut events = Events { parser: Parser::new_from_str(text) };
    loop {
        match events.next()? {
            (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
            (Event::StreamEnd | Event::DocumentEnd, _) => return Ok(Node { line: 1, quoted: false, content: Content::Null }),
            (event, span) => {
                let root = events.node(event, span, 0)?;
                return events.end().map(|()| root);
            }
        }
    }
}

struct Events<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
}

impl<'a> Events<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), FileFault> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(FileFault::new(
                error.marker().line(),
                "",
                &format!("is not valid YAML: {}", error.info()),
                "check the indentation and quotes of this line and of the line before it",
            )),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn end(&mut self) -> Result<(), FileFault> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(()),
                (Event::DocumentStart(_), span) => {
                    return Err(FileFault::new(
                        span.start.line(),
                        "",
                        "starts a second document",
                        "write only one document in the file",
                    ));
                }
                _ => {}
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, FileFault> {
        let line = span.start.line();
        if depth > DEPTH_LIMIT {
            return Err(FileFault::new(line, "", "is nested too deep", "check the indentation"));
        }
        let quoted = matches!(&event, Event::Scalar(_, style, ..) if *style != ScalarStyle::Plain);
        let content = match event {
            Event::Scalar(text, _, anchor, tag) => {
                refuse(anchor > 0, tag.is_some(), line)?;
                scalar(&text, quoted)
            }
            Event::SequenceStart(anchor, tag) => {
                refuse(anchor > 0, tag.is_some(), line)?;
                Content::Sequence(self.sequence(depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                refuse(anchor > 0, tag.is_some(), line)?;
                Content::Mapping(self.mapping(depth)?)
            }
            Event::Alias(_) => return Err(FileFault::new(line, "", "contains an alias (*name)", "write the value itself")),
            other => return Err(FileFault::new(line, "", &format!("contains an unexpected {other:?}"), "correct the line")),
        };
        Ok(Node { line, quoted, content })
    }

    fn sequence(&mut self, depth: usize) -> Result<Vec<Node>, FileFault> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<YamlEntry>, FileFault> {
        let mut entries: Vec<YamlEntry> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(entries);
            }
            let key = self.node(event, span, depth + 1)?;
            let Content::Scalar(name) = key.content else {
                return Err(FileFault::new(key.line, "", "has a key that is not text", "write it as `name: value`"));
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            entries.push(YamlEntry { key: name, line: key.line, value });
        }
    }
}

fn refuse(anchor: bool, tag: bool, line: usize) -> Result<(), FileFault> {
    match (anchor, tag) {
        (true, _) => Err(FileFault::new(line, "", "contains an anchor (&name)", "write the value itself where it is needed")),
        (_, true) => {
            Err(FileFault::new(line, "", "contains a tag (!name)", "remove it; the key determines the type of its value"))
        }
        _ => Ok(()),
    }
}

fn scalar(text: &str, quoted: bool) -> Content {
    match text {
        "" | "~" | "null" | "Null" | "NULL" if !quoted => Content::Null,
        text => Content::Scalar(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_knows_its_line() {
        let root = parse_yaml("# a comment\na: 1\nb:\n  - x\n  - {c: d}\ne:\n").unwrap();
        let Content::Mapping(entries) = root.content else { panic!("{root:?}") };
        let lines: Vec<_> = entries.iter().map(|entry| (entry.key.as_str(), entry.line, entry.value.line)).collect();
        assert_eq!(lines[0], ("a", 2, 2));
        assert_eq!(lines[1].1, 3);
        let Content::Sequence(items) = &entries[1].value.content else { panic!() };
        assert_eq!((items[0].line, items[1].line), (4, 5));
        assert_eq!(entries[2].value.content, Content::Null);
    }

    #[test]
    fn unsupported_yaml_is_rejected_with_its_line() {
        for (text, line, part) in [
            ("a: [1", 1, "not valid YAML"),
            ("a: 1\n b: 2\n", 2, "not valid YAML"),
            ("a: &x 1\nb: *x\n", 1, "anchor"),
            ("a: !!str 1\n", 1, "tag"),
            ("a: 1\n---\nb: 2\n", 2, "second document"),
            ("? [a]\n: 1\n", 1, "key that is not text"),
            ("a: 1\nb: \0\n", 2, "NUL character"),
        ] {
            let fault = parse_yaml(text).unwrap_err();
            assert!(fault.wrong.contains(part), "{text}: {fault}");
            assert!(fault.line.abs_diff(line) <= 1, "{text}: {fault}");
        }
        assert!(parse_yaml(&"[".repeat(DEPTH_LIMIT + 5)).is_err());
        assert_eq!(parse_yaml("").unwrap().content, Content::Null);
    }
}

//! Telegram's HTML: a closed list of tags, properly nested; everything else is a fault with its byte offset
//! (<https://core.telegram.org/bots/api#html-style>).

use super::{Entity, FormattedText, link_fault};

const TAGS: &[&str] = &[
    "a",
    "b",
    "strong",
    "i",
    "em",
    "s",
    "strike",
    "del",
    "u",
    "ins",
    "tg-spoiler",
    "tg-emoji",
    "span",
    "pre",
    "code",
    "blockquote",
];

struct Open {
    tag: String,
    argument: String,
    offset: usize,
    /// Where its text begins, in bytes.
    begin: usize,
}

/// # Errors
/// What Telegram says after `can't parse entities: `.
pub(super) fn parse(markup: &str) -> Result<FormattedText, String> {
    let mut reader = Reader {
        markup,
        position: 0,
        text: String::with_capacity(markup.len()),
        units: 0,
        open: Vec::new(),
        entities: Vec::new(),
    };
    while let Some(next) = reader.peek() {
        match next {
            '&' => {
                let character = reader.reference_or_ampersand();
                reader.push(character);
            }
            '<' if reader.markup[reader.position..].starts_with("</") => reader.end_tag()?,
            '<' => reader.start_tag()?,
            other => {
                reader.position += other.len_utf8();
                reader.push(other);
            }
        }
    }
    // A language belongs to a pre; elsewhere Telegram drops it.
    for entity in reader.entities.iter_mut().filter(|entity| entity.kind == "code") {
        entity.language = None;
    }
    if let Some(open) = reader.open.last() {
        return Err(format!("Can't find end tag corresponding to start tag \"{}\"", open.tag));
    }
    // Outer places first, as Telegram answers them.
    reader.entities.sort_by(|a, b| a.offset.cmp(&b.offset).then(b.length.cmp(&a.length)));
    Ok(FormattedText { text: reader.text, entities: reader.entities })
}

struct Reader<'a> {
    markup: &'a str,
    position: usize,
    text: String,
    units: usize,
    open: Vec<Open>,
    entities: Vec<Entity>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.markup[self.position..].chars().next()
    }

    fn push(&mut self, character: char) {
        self.text.push(character);
        self.units += character.len_utf16();
    }

    fn take_while(&mut self, mut accept: impl FnMut(char) -> bool) -> String {
        let rest = &self.markup[self.position..];
        let length = rest.find(|character| !accept(character)).unwrap_or(rest.len());
        self.position += length;
        rest[..length].to_owned()
    }

    fn skip_space(&mut self) {
        self.take_while(char::is_whitespace);
    }

    /// An ampersand that begins no reference is itself.
    fn reference_or_ampersand(&mut self) -> char {
        self.character_reference().unwrap_or_else(|| {
            self.position += 1;
            '&'
        })
    }

    /// Reads `&lt;`, `&gt;`, `&amp;`, `&quot;` or a number; anything else leaves the position where it was.
    fn character_reference(&mut self) -> Option<char> {
        let rest = self.markup[self.position..].strip_prefix('&')?;
        let (read, length) = if let Some(number) = rest.strip_prefix('#') {
            let (digits, radix, lead) = match number.strip_prefix('x') {
                Some(digits) => (digits, 16, 3),
                None => (number, 10, 2),
            };
            let count = digits.find(|character: char| !character.is_digit(radix)).unwrap_or(digits.len());
            let character =
                u32::from_str_radix(&digits[..count], radix).ok().filter(|code| *code != 0).and_then(char::from_u32)?;
            (character, lead + count)
        } else {
            let count = rest.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(rest.len());
            let character = match &rest[..count] {
                "lt" => '<',
                "gt" => '>',
                "amp" => '&',
                "quot" => '"',
                _ => return None,
            };
            (character, 1 + count)
        };
        self.position += length;
        if self.peek() == Some(';') {
            self.position += 1;
        }
        Some(read)
    }

    fn start_tag(&mut self) -> Result<(), String> {
        let begin = self.position;
        self.position += 1;
        let tag = self.take_while(|character| !character.is_whitespace() && character != '>').to_ascii_lowercase();
        if self.peek().is_none() {
            return Err(format!("Unclosed start tag at byte offset {begin}"));
        }
        if !TAGS.contains(&tag.as_str()) {
            return Err(format!("Unsupported start tag \"{tag}\" at byte offset {begin}"));
        }
        let argument = self.attributes(&tag, begin)?;
        if tag == "span" && argument != "spoiler" {
            return Err(format!("Tag \"span\" must have class \"tg-spoiler\" at byte offset {begin}"));
        }
        self.open.push(Open { tag, argument, offset: self.units, begin: self.text.len() });
        Ok(())
    }

    /// Up to and with `>`: the one attribute that means something in this tag.
    fn attributes(&mut self, tag: &str, begin: usize) -> Result<String, String> {
        let unclosed = || format!("Unclosed start tag \"{tag}\" at byte offset {begin}");
        let mut argument = String::new();
        loop {
            self.skip_space();
            match self.peek() {
                None => return Err(unclosed()),
                Some('>') => break,
                Some(_) => {}
            }
            let name = self.take_while(|character| !character.is_whitespace() && !"=>/\"'".contains(character));
            if name.is_empty() {
                return Err(format!("Empty attribute name in the tag \"{tag}\" at byte offset {begin}"));
            }
            self.skip_space();
            if self.peek() != Some('=') {
                if self.peek().is_none() {
                    return Err(unclosed());
                }
                if tag == "blockquote" && name == "expandable" {
                    argument = "expandable".to_owned();
                }
                continue;
            }
            self.position += 1;
            self.skip_space();
            let value = self.attribute_value(begin)?;
            let meant = match (tag, name.as_str()) {
                ("a", "href") | ("tg-emoji", "emoji-id") => Some(value.as_str()),
                ("code", "class") => value.strip_prefix("language-"),
                ("span", "class") => value.strip_prefix("tg-"),
                ("blockquote", "expandable") => Some("expandable"),
                _ => None,
            };
            argument = meant.map_or(argument, str::to_owned);
        }
        self.position += 1;
        Ok(argument)
    }

    fn attribute_value(&mut self, begin: usize) -> Result<String, String> {
        let unclosed = || format!("Unclosed start tag at byte offset {begin}");
        let quote = self.peek().ok_or_else(unclosed)?;
        if quote != '"' && quote != '\'' {
            let token_begin = self.position;
            let token = self.take_while(|character| character.is_ascii_alphanumeric() || character == '.' || character == '-');
            return match self.peek() {
                Some(next) if next.is_whitespace() || next == '>' => Ok(token.to_ascii_lowercase()),
                _ => Err(format!("Unexpected end of name token at byte offset {token_begin}")),
            };
        }
        self.position += 1;
        let mut value = String::new();
        loop {
            match self.peek().ok_or_else(unclosed)? {
                '&' => value.push(self.reference_or_ampersand()),
                next => {
                    self.position += next.len_utf8();
                    if next == quote {
                        return Ok(value);
                    }
                    value.push(next);
                }
            }
        }
    }

    fn end_tag(&mut self) -> Result<(), String> {
        let begin = self.position;
        let Some(open) = self.open.pop() else { return Err(format!("Unexpected end tag at byte offset {begin}")) };
        self.position += 2;
        let tag = self.take_while(|character| !character.is_whitespace() && character != '>').to_ascii_lowercase();
        self.skip_space();
        if self.peek() != Some('>') {
            return Err(format!("Unclosed end tag at byte offset {begin}"));
        }
        self.position += 1;
        // `</>` closes whatever is open.
        if !tag.is_empty() && tag != open.tag {
            return Err(format!("Unmatched end tag at byte offset {begin}, expected \"</{}>\", found \"</{tag}>\"", open.tag));
        }
        if self.units > open.offset {
            self.close(open)?;
        }
        Ok(())
    }

    fn close(&mut self, open: Open) -> Result<(), String> {
        let length = self.units - open.offset;
        let mut entity = Entity::new("", open.offset, length);
        entity.kind = match open.tag.as_str() {
            "i" | "em" => "italic",
            "b" | "strong" => "bold",
            "s" | "strike" | "del" => "strikethrough",
            "u" | "ins" => "underline",
            "tg-spoiler" | "span" => "spoiler",
            "pre" => "pre",
            "code" => {
                entity.language = Some(open.argument).filter(|language| !language.is_empty());
                "code"
            }
            "blockquote" if open.argument.is_empty() => "blockquote",
            "blockquote" => "expandable_blockquote",
            "tg-emoji" => {
                open.argument.parse::<u64>().map_err(|_| "Invalid custom emoji identifier specified".to_owned())?;
                entity.custom_emoji_id = Some(open.argument);
                "custom_emoji"
            }
            "a" => {
                let link = if open.argument.is_empty() { self.text[open.begin..].to_owned() } else { open.argument };
                if link_fault(&link).is_some() {
                    // Not refused: the text stays, the link is silently none.
                    return Ok(());
                }
                entity.url = Some(link);
                "text_link"
            }
            _ => unreachable!("the list of tags is closed"),
        }
        .to_owned();
        let same_place = |last: &&mut Entity| last.offset == entity.offset && last.length == entity.length;
        match self.entities.last_mut().filter(same_place) {
            // <pre><code class="language-…"> is one place, whichever is inside.
            Some(last) if entity.kind == "pre" && last.kind == "code" && last.language.is_some() => last.kind = "pre".to_owned(),
            Some(last) if entity.kind == "code" && last.kind == "pre" && entity.language.is_some() => {
                last.language = entity.language
            }
            _ => self.entities.push(entity),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(kind: &str, offset: usize, length: usize) -> Entity {
        Entity::new(kind, offset, length)
    }

    #[test]
    fn tags_become_places_and_references_characters() {
        let read =
            parse("<b>a &lt; <i>😀</i></b> &amp;&copy; & <a href='https://example.org/?a=1&amp;b'>x</a>&#x41;&#66;").unwrap();
        assert_eq!(read.text, "a < 😀 &&copy; & xAB");
        let link = Entity { url: Some("https://example.org/?a=1&b".to_owned()), ..entity("text_link", 17, 1) };
        assert_eq!(read.entities, [entity("bold", 0, 6), entity("italic", 4, 2), link]);
    }

    #[test]
    fn a_link_that_is_none_leaves_its_text() {
        let read = parse(r#"<a href="http://localhost:9093">here</a>"#).unwrap();
        assert_eq!((read.text.as_str(), read.entities.len()), ("here", 0));
    }

    #[test]
    fn code_in_a_pre_is_one_place() {
        let read = parse(r#"<pre><code class="language-sh">ls</code></pre><code class="language-x">a</code><blockquote expandable>q</blockquote>"#).unwrap();
        let pre = Entity { language: Some("sh".to_owned()), ..entity("pre", 0, 2) };
        assert_eq!(read.entities, [pre, entity("code", 2, 1), entity("expandable_blockquote", 3, 1)]);
    }

    #[test]
    fn every_fault_has_its_words_and_offset() {
        for (markup, fault) in [
            ("é <p>x</p>", "Unsupported start tag \"p\" at byte offset 3"),
            ("a < b", "Unsupported start tag \"\" at byte offset 2"),
            ("<b", "Unclosed start tag at byte offset 0"),
            ("<b>x", "Can't find end tag corresponding to start tag \"b\""),
            ("x</b>", "Unexpected end tag at byte offset 1"),
            ("<b><i>x</b></i>", "Unmatched end tag at byte offset 7, expected \"</i>\", found \"</b>\""),
            ("<a href=\"x>", "Unclosed start tag at byte offset 0"),
            ("<a =x>", "Empty attribute name in the tag \"a\" at byte offset 0"),
            ("<span>x</span>", "Tag \"span\" must have class \"tg-spoiler\" at byte offset 0"),
            ("<b>x</b ", "Unclosed end tag at byte offset 4"),
        ] {
            assert_eq!(parse(markup).unwrap_err(), fault, "{markup}");
        }
    }
}

//! This module handles Telegram's HTML (<https://core.telegram.org/bots/api#html-style>): escaping, parsing, conversion to plain
//! text.
//!
//! Parsing is strict. Markup that Telegram would answer with "can't parse entities" is [`MalformedMarkup`], so that `check` rejects a
//! bad template before Telegram does.

use std::{borrow::Cow, fmt};

/// A piece of Telegram's HTML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token<'a> {
    /// With its references (`&lt;`) decoded.
    Text(Cow<'a, str>),
    /// The tag as written, and its name.
    Open {
        tag: &'a str,
        name: &'a str,
    },
    Close {
        name: &'a str,
    },
}

/// Why a text is not valid Telegram HTML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MalformedMarkup {
    /// Offset in bytes.
    pub at: usize,
    pub why: String,
}

impl fmt::Display for MalformedMarkup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (byte {})", self.why, self.at)
    }
}

const TAGS: [&str; 16] = [
    "b",
    "strong",
    "i",
    "em",
    "u",
    "ins",
    "s",
    "strike",
    "del",
    "span",
    "tg-spoiler",
    "a",
    "tg-emoji",
    "code",
    "pre",
    "blockquote",
];

/// Escapes characters with a meaning in text or in a quoted attribute.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"']) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

/// A link, or plain text if Telegram does not follow the address.
pub fn link(address: &str, words: &str) -> String {
    let address = super::bidi::strip(address);
    let followed = is_web(&address) || address.starts_with("tg://");
    if followed && !address.contains(char::is_whitespace) && !has_plain_host(&address) {
        format!("<a href=\"{}\">{}</a>", escape(&address), escape(words))
    } else {
        // Telegram drops such a link. The reader can copy the address.
        let shown = followed && !address.contains(char::is_whitespace) && address.len() <= SHOWN_ADDRESS_BYTES;
        if shown { format!("{}: <code>{}</code>", escape(words), escape(&address)) } else { escape(words).into_owned() }
    }
}

/// Longest address shown instead of a link.
const SHOWN_ADDRESS_BYTES: usize = 200;

/// Whether the address begins with `http://` or `https://`, in any case of letters.
pub fn is_web(address: &str) -> bool {
    after_scheme(address).is_some()
}

fn after_scheme(address: &str) -> Option<&str> {
    let (scheme, rest) = address.split_once("://")?;
    ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)).then_some(rest)
}

/// Whether the host of a web address has no dot. Telegram drops links to it.
pub fn has_plain_host(address: &str) -> bool {
    let Some(rest) = after_scheme(address) else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    !host.starts_with('[') && !host.split(':').next().unwrap_or_default().contains('.')
}

/// Returns all tokens in order, with tags properly nested.
pub fn read(html: &str) -> Result<Vec<Token<'_>>, MalformedMarkup> {
    let mut tokens = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    let mut at = 0;
    while at < html.len() {
        let rest = &html[at..];
        if !rest.starts_with('<') {
            let end = rest.find('<').unwrap_or(rest.len());
            tokens.push(Token::Text(unescape(&rest[..end])));
            at += end;
            continue;
        }
        let end = rest.find('>').ok_or_else(|| malformed(at, "a tag without its end; write < as &lt;"))?;
        let inside = &rest[1..end];
        let tag = &rest[..=end];
        if let Some(name) = inside.strip_prefix('/') {
            let name = name.trim();
            match open.pop() {
                Some(expected) if expected.eq_ignore_ascii_case(name) => tokens.push(Token::Close { name }),
                Some(expected) => return Err(malformed(at, &format!("</{name}> where </{expected}> was expected"))),
                None => return Err(malformed(at, &format!("</{name}> without a start tag"))),
            }
        } else {
            let name = inside.split(|c: char| c.is_ascii_whitespace()).next().unwrap_or_default();
            if !TAGS.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                return Err(malformed(at, &format!("<{name}> is not a tag of Telegram; write < as &lt;")));
            }
            if inside.matches('"').count() % 2 == 1 {
                return Err(malformed(at, &format!("<{name}> has an attribute without its closing quote")));
            }
            open.push(name);
            tokens.push(Token::Open { tag, name });
        }
        at += end + 1;
    }
    match open.pop() {
        Some(name) => Err(malformed(html.len(), &format!("<{name}> is not closed"))),
        None => Ok(tokens),
    }
}

fn malformed(at: usize, why: &str) -> MalformedMarkup {
    MalformedMarkup { at, why: why.to_owned() }
}

/// The text without markup. A link keeps its address after its text. Invalid HTML is returned unchanged.
pub fn plain(html: &str) -> String {
    let Ok(tokens) = read(html) else { return html.to_owned() };
    let mut text = String::new();
    let mut links: Vec<Option<(String, usize)>> = Vec::new();
    for token in tokens {
        match token {
            Token::Text(piece) => text.push_str(&piece),
            Token::Open { tag, name } => {
                let address = name.eq_ignore_ascii_case("a").then(|| address_of(tag)).flatten();
                links.push(address.map(|address| (address, text.len())));
            }
            Token::Close { .. } => {
                if let Some((address, begin)) = links.pop().flatten()
                    && text[begin..] != address
                    && !address.starts_with("tg://")
                {
                    text.push_str(&format!(" ({address})"));
                }
            }
        }
    }
    text
}

fn address_of(tag: &str) -> Option<String> {
    let (_, rest) = tag.split_once("href=\"")?;
    let (address, _) = rest.split_once('"')?;
    Some(unescape(address).into_owned())
}

/// The references that Telegram decodes: four named ones, and numeric ones.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut read = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        read.push_str(&rest[..at]);
        rest = &rest[at..];
        match reference(rest) {
            Some((character, length)) => {
                read.push(character);
                rest = &rest[length..];
            }
            None => {
                read.push('&');
                rest = &rest[1..];
            }
        }
    }
    read.push_str(rest);
    Cow::Owned(read)
}

fn reference(text: &str) -> Option<(char, usize)> {
    let end = text.find(';').filter(|end| *end <= 10)?;
    let character = match &text[1..end] {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        name => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)?
        }
    };
    Some((character, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_that_telegram_rejects_is_malformed() {
        for (html, why) in [
            ("<b>x", "not closed"),
            ("x</b>", "without a start tag"),
            ("<b><i>x</b></i>", "was expected"),
            ("<div>x</div>", "not a tag of Telegram"),
            ("a < b", "without its end"),
            ("<a href=\"x>y</a>", "closing quote"),
        ] {
            let told = read(html).unwrap_err().to_string();
            assert!(told.contains(why), "{html}: {told}");
        }
        assert!(
            read("<b>a</b> <a href=\"http://x/?a=1&amp;b=2\">l</a> <pre><code class=\"language-x\">c</code></pre> &lt; > &")
                .is_ok()
        );
    }

    #[test]
    fn plain_text_keeps_the_text_and_link_addresses() {
        let html = "<b>a &lt; b</b> &amp; <a href=\"http://x/?a=1&amp;b=2\">run</a> &#x41;&#66; &nope; <a href=\"tg://user?id=1\">Ada</a>";
        assert_eq!(plain(html), "a < b & run (http://x/?a=1&b=2) AB &nope; Ada");
        assert_eq!(plain("a < b"), "a < b");
    }

    #[test]
    fn a_link_that_telegram_drops_becomes_text() {
        assert_eq!(link("http://x.example/\"a\"", "R<"), "<a href=\"http://x.example/&quot;a&quot;\">R&lt;</a>");
        assert_eq!(link("javascript:alert(1)", "R"), "R");
        assert_eq!(link("http://x y", "R"), "R");
    }
}

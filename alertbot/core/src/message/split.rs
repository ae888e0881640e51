//! This module splits a text into messages within Telegram's limit. It never splits a reference, a tag or a visible character.
//! Tags open at a split are closed before it and reopened after it.

use unicode_segmentation::UnicodeSegmentation;

use super::{
    bidi,
    markup::{self, MalformedMarkup, Token},
    units::utf16_units,
};

/// A unit that is never split.
enum Atom<'a> {
    /// One visible character, and its length in UTF-16 units.
    Shown(String, usize),
    Open {
        tag: &'a str,
        name: &'a str,
    },
    Close {
        name: &'a str,
    },
}

/// A split at a line end is preferred if at least this share of the message is full, in eighths; then one between words.
const FULL_ENOUGH: usize = 4;

/// A letter with hundreds of accents attacks the reader's screen, so it may be split. In UTF-16 units.
const LONGEST_CHARACTER: usize = 32;

/// Splits Telegram's HTML into well-formed parts of at most `limit` UTF-16 units, counted after decoding entities. The joined
/// plain texts equal the plain text of the whole. Parts without visible text are omitted, so an empty text has no parts.
///
/// # Errors Returns an error if the text is not Telegram's HTML.
pub fn split(html: &str, limit: usize) -> Result<Vec<String>, MalformedMarkup> {
    let atoms = atoms(html)?;
    let mut parts = Vec::new();
    let mut open: Vec<(&str, &str)> = Vec::new();
    let mut begin = 0;
    while begin < atoms.len() {
        let end = end_of_part(&atoms, begin, limit);
        let mut part: String = open.iter().map(|(tag, _)| *tag).collect();
        let mut shows = false;
        for atom in &atoms[begin..end] {
            match atom {
                Atom::Shown(text, _) => {
                    shows |= !text.trim().is_empty();
                    part.push_str(&markup::escape(text));
                }
                Atom::Open { tag, name } => {
                    open.push((tag, name));
                    part.push_str(tag);
                }
                Atom::Close { name } => {
                    open.pop();
                    part.push_str(&format!("</{name}>"));
                }
            }
        }
        open.iter().rev().for_each(|(_, name)| part.push_str(&format!("</{name}>")));
        if shows {
            parts.push(part);
        }
        begin = end;
    }
    Ok(parts)
}

/// Splits a text without markup.
pub fn split_plain(text: &str, limit: usize) -> Vec<String> {
    let parts = split(&markup::escape(text), limit).unwrap_or_default();
    parts.iter().map(|part| markup::plain(part)).collect()
}

/// The first `limit` units of a plain text, with an ellipsis if it is longer.
pub fn shorten(text: &str, limit: usize) -> String {
    if utf16_units(text) <= limit {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut units = 1;
    for shown in text.graphemes(true) {
        units += utf16_units(shown);
        if units > limit {
            break;
        }
        kept.push_str(shown);
    }
    // Prefer the end of a word, unless that would remove much.
    if let Some(space) = kept.rfind(char::is_whitespace).filter(|space| *space * 4 > kept.len() * 3) {
        kept.truncate(space);
    }
    kept.truncate(kept.trim_end().len());
    kept.push('…');
    kept
}

/// A name from outside as plain text: one short line without direction controls.
pub fn line(text: &str, units: usize) -> String {
    shorten(&bidi::strip(text).split_whitespace().collect::<Vec<_>>().join(" "), units)
}

fn atoms(html: &str) -> Result<Vec<Atom<'_>>, MalformedMarkup> {
    let mut atoms = Vec::new();
    for token in markup::read(html)? {
        match token {
            Token::Text(text) => {
                for shown in text.graphemes(true) {
                    match utf16_units(shown) {
                        units if units <= LONGEST_CHARACTER => atoms.push(Atom::Shown(shown.to_owned(), units)),
                        _ => atoms.extend(shown.chars().map(|part| Atom::Shown(part.to_string(), part.len_utf16()))),
                    }
                }
            }
            Token::Open { tag, name } => atoms.push(Atom::Open { tag, name }),
            Token::Close { name } => atoms.push(Atom::Close { name }),
        }
    }
    Ok(atoms)
}

/// End of a part that begins at `begin`: at least one atom further.
fn end_of_part(atoms: &[Atom], begin: usize, limit: usize) -> usize {
    let (mut units, mut line, mut word) = (0, None, None);
    for (index, atom) in atoms.iter().enumerate().skip(begin) {
        let Atom::Shown(text, length) = atom else { continue };
        if units + length > limit {
            return line.or(word).unwrap_or(index).max(begin + 1);
        }
        units += length;
        let full_enough = units * 8 >= limit * FULL_ENOUGH;
        if text == "\n" && full_enough {
            line = Some(index + 1);
        } else if text.trim().is_empty() && full_enough {
            word = Some(index + 1);
        }
    }
    atoms.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_between_lines_then_words_and_keeps_tags_whole() {
        let parts = split("<b>one two\nthree four</b>", 12).unwrap();
        assert_eq!(parts, ["<b>one two\n</b>", "<b>three four</b>"]);
        let parts = split("<a href=\"http://x/\">abcdef</a> &lt;&lt;", 4).unwrap();
        assert_eq!(parts[0], "<a href=\"http://x/\">abcd</a>");
        assert_eq!(parts.iter().map(|part| markup::plain(part).replace(" (http://x/)", "")).collect::<String>(), "abcdef <<");
        assert_eq!(split("", 10).unwrap(), Vec::<String>::new());
        assert_eq!(split(" \n ", 10).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_visible_character_is_never_split() {
        // A family of four and a flag: seven and four units, never split.
        let parts = split("👨‍👩‍👧🇩🇪🇩🇪", 10).unwrap();
        assert_eq!(parts, ["👨‍👩‍👧", "🇩🇪🇩🇪"]);
        assert_eq!(shorten("hello brave new world", 12), "hello brave…");
        assert_eq!(shorten("short", 5), "short");
    }
}

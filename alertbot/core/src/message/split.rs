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

/// At most `limit` units of a plain text: its begin, and the part around byte `at`, at which it differs from similar texts. Without
/// `at`, its end: names often differ there. Each omission is an ellipsis.
pub fn around(text: &str, limit: usize, at: Option<usize>) -> String {
    if utf16_units(text) <= limit {
        return text.to_owned();
    }
    // No room for two parts.
    if limit < 8 {
        return shorten(text, limit);
    }
    let shown: Vec<(usize, &str, usize)> =
        text.grapheme_indices(true).map(|(from, shown)| (from, shown, utf16_units(shown))).collect();
    let fitting = |range: &[(usize, &str, usize)], room: usize| {
        let mut left = room;
        range.iter().take_while(|(_, _, units)| left.checked_sub(*units).map(|rest| left = rest).is_some()).count()
    };
    let backwards = |end: usize, room: usize| {
        let reversed: Vec<_> = shown[..end].iter().rev().copied().collect();
        end - fitting(&reversed, room)
    };
    let share = if at.is_some() { limit / 4 } else { limit / 2 };
    let head = fitting(&shown, share);
    let room = limit.saturating_sub(share + 2);
    let tail = backwards(shown.len(), room);
    let begin = at.map_or(tail, |at| {
        let index = shown.partition_point(|(from, _, _)| *from < at);
        // The character that contains `at`, with some text before it.
        backwards(index, limit / 8).min(tail)
    });
    if begin <= head {
        return shorten(text, limit);
    }
    let end = begin + fitting(&shown[begin..], room);
    let text_of = |range: &[(usize, &str, usize)]| range.iter().map(|(_, shown, _)| *shown).collect::<String>();
    let (first, second) = (text_of(&shown[..head]), text_of(&shown[begin..end]));
    let more = if end < shown.len() { "…" } else { "" };
    format!("{}…{}{more}", first.trim_end(), second.trim())
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

    #[test]
    fn a_shortened_text_shows_where_it_differs() {
        let pod = "payment-settlement-gateway-worker-deployment-7f9c8d-00042";
        assert_eq!(around(pod, 30, None), "payment-settlem…-7f9c8d-00042");
        assert_eq!(around("short", 5, Some(2)), "short");
        let text = format!("{}!{}", "a".repeat(500), "b".repeat(500));
        let shown = around(&text, 40, Some(500));
        assert!(shown.starts_with("aaaaaaaaaa…aaaaa!bbb") && shown.ends_with("b…"), "{shown}");
        assert!(around(&text, 40, Some(2)).starts_with("aaaaaaaaaa"));
        for at in [None, Some(0), Some(499), Some(500), Some(1000), Some(1001), Some(usize::MAX)] {
            for limit in [0, 1, 2, 3, 10, 40] {
                assert!(utf16_units(&around(&text, limit, at)) <= limit.max(1), "{at:?} {limit}");
                assert!(utf16_units(&around(&"👨‍👩‍👧".repeat(50), limit, at)) <= limit.max(1), "{at:?} {limit}");
            }
        }
    }
}

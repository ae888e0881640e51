//! This module handles text with two directions in one line, so that values from outside cannot reorder the text around them.
//!
//! A value loses its direction controls, because a label could otherwise make "not down" look like another text. Then it is
//! isolated (UAX #9, <https://www.unicode.org/reports/tr9/#Explicit_Directional_Isolates>).

use std::borrow::Cow;

/// FIRST STRONG ISOLATE: the following text has the direction of its first letter.
pub const ISOLATE: char = '\u{2068}';
/// POP DIRECTIONAL ISOLATE: ends an isolate.
pub const END: char = '\u{2069}';

/// Removes characters that control direction or terminals, and invisible ones. Newlines stay and tabs become spaces.
pub fn strip(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unwanted) {
        return Cow::Borrowed(text);
    }
    let kept = text.chars().filter_map(|character| match character {
        '\t' => Some(' '),
        character if is_unwanted(character) => None,
        character => Some(character),
    });
    Cow::Owned(kept.collect())
}

fn is_unwanted(character: char) -> bool {
    let steers = matches!(character,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{206a}'..='\u{206f}');
    let unseen = matches!(character, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}' | '\u{200b}' | '\u{2060}');
    steers || unseen || (character.is_control() && character != '\n')
}

/// Whether the text has a right-to-left letter.
pub fn has_right_to_left(text: &str) -> bool {
    text.chars().any(|character| {
        matches!(character,
            '\u{0590}'..='\u{08ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}' | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
    })
}

/// Isolates a stripped value line by line, because an isolate ends with its paragraph.
pub fn isolate(text: &str) -> String {
    let lines = text.split('\n');
    let isolated = lines.map(|line| if line.is_empty() { String::new() } else { format!("{ISOLATE}{line}{END}") });
    isolated.collect::<Vec<_>>().join("\n")
}

/// Isolates where needed: every value in a right-to-left text, and right-to-left values in other texts. An address stays
/// unchanged, so that it works in a link.
pub fn isolate_in(right_to_left: bool, text: &str) -> Cow<'_, str> {
    let address = text.starts_with("http://") || text.starts_with("https://");
    if text.is_empty() || address || !(right_to_left || has_right_to_left(text)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(isolate(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_reorder_the_text_around_it() {
        assert_eq!(strip("db\u{202e}1\u{200f}\t\u{1b}[31m\u{0}x\ny\u{2066}"), "db1 [31mx\ny");
        // The joiners of Persian and of emoji stay.
        assert_eq!(strip("می\u{200c}شود 👩\u{200d}🚒"), "می\u{200c}شود 👩\u{200d}🚒");
        assert_eq!(isolate_in(false, "db-1"), "db-1");
        assert_eq!(isolate_in(true, "db-1"), "\u{2068}db-1\u{2069}");
        assert_eq!(isolate_in(false, "پایگاه\nx"), "\u{2068}پایگاه\u{2069}\n\u{2068}x\u{2069}");
        assert_eq!(isolate_in(true, "https://x/"), "https://x/");
    }
}

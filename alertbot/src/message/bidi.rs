//! Text of two directions in one line: values that come from outside cannot turn what stands around them.
//!
//! A value is stripped of the characters that steer direction (a label could otherwise make "not down" read as something
//! else), and then isolated (UAX #9, <https://www.unicode.org/reports/tr9/#Explicit_Directional_Isolates>).

use std::borrow::Cow;

/// FIRST STRONG ISOLATE: what follows has the direction of its own first letter.
pub const ISOLATE: char = '\u{2068}';
/// POP DIRECTIONAL ISOLATE: its end.
pub const END: char = '\u{2069}';

/// Removes what steers direction, what controls terminals, and what is not shown: values are for reading. Newlines stay,
/// tabs become spaces.
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

/// Whether a letter of the text is written from right to left.
pub fn has_right_to_left(text: &str) -> bool {
    text.chars().any(|character| {
        matches!(character,
            '\u{0590}'..='\u{08ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}' | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
    })
}

/// Isolates a stripped value, line by line: an isolate ends with its paragraph.
pub fn isolate(text: &str) -> String {
    let lines = text.split('\n');
    let isolated = lines.map(|line| if line.is_empty() { String::new() } else { format!("{ISOLATE}{line}{END}") });
    isolated.collect::<Vec<_>>().join("\n")
}

/// Isolated where it must be: in a right-to-left text everything, in another what is written from right to left. An address
/// is left alone, so that it can stand in a link.
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
    fn a_value_cannot_turn_its_surroundings() {
        assert_eq!(strip("db\u{202e}1\u{200f}\t\u{1b}[31m\u{0}x\ny\u{2066}"), "db1 [31mx\ny");
        // The joiners of Persian and of emoji stay.
        assert_eq!(strip("می\u{200c}شود 👩\u{200d}🚒"), "می\u{200c}شود 👩\u{200d}🚒");
        assert_eq!(isolate_in(false, "db-1"), "db-1");
        assert_eq!(isolate_in(true, "db-1"), "\u{2068}db-1\u{2069}");
        assert_eq!(isolate_in(false, "پایگاه\nx"), "\u{2068}پایگاه\u{2069}\n\u{2068}x\u{2069}");
        assert_eq!(isolate_in(true, "https://x/"), "https://x/");
    }
}

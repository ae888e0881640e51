//! This module handles SMS as networks carry them (3GPP TS 23.038 and 23.040): the alphabet of a text, its number of parts, and
//! shortening. A shortened text is always marked.

use unicode_segmentation::UnicodeSegmentation;

/// The alphabet of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    /// Septets: 160 in one message, 153 in each part of several; `^ { } \ [ ] ~ | €` take two.
    Gsm7,
    /// UTF-16 units: 70 in one message, 67 in each part of several.
    Ucs2,
}

impl Alphabet {
    pub fn of(text: &str) -> Self {
        if text.chars().all(|character| septets(character).is_some()) { Self::Gsm7 } else { Self::Ucs2 }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Gsm7 => "GSM-7",
            Self::Ucs2 => "UCS-2",
        }
    }

    /// Units of a message with one part, and of each part of several.
    fn room(self) -> (usize, usize) {
        match self {
            Self::Gsm7 => (160, 153),
            Self::Ucs2 => (70, 67),
        }
    }

    fn units(self, character: char) -> usize {
        match self {
            Self::Gsm7 => septets(character).unwrap_or(1),
            Self::Ucs2 => character.len_utf16(),
        }
    }
}

const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
                     abcdefghijklmnopqrstuvwxyzäöñüà";
const EXTENDED: &str = "^{}\\[]~|€\u{c}";

/// Septets of a character in the default alphabet; `None` if the alphabet lacks it.
fn septets(character: char) -> Option<usize> {
    if BASIC.contains(character) {
        Some(1)
    } else if EXTENDED.contains(character) {
        Some(2)
    } else {
        None
    }
}

/// Number of messages that a network sends for a text. Zero for an empty one.
pub fn parts(text: &str) -> usize {
    let alphabet = Alphabet::of(text);
    let (single, several) = alphabet.room();
    let units: usize = text.chars().map(|character| alphabet.units(character)).sum();
    if units <= single {
        return usize::from(!text.is_empty());
    }
    // A character of two units is never split, so a part may be one unit short.
    let (mut parts, mut filled) = (1, 0);
    for units in text.chars().map(|character| alphabet.units(character)) {
        if filled + units > several {
            parts += 1;
            filled = 0;
        }
        filled += units;
    }
    parts
}

/// Typographic characters with a substitute in the default alphabet. One of them would cost more than half of the capacity.
pub fn plain_signs(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '‘' | '’' | '‚' | '′' => plain.push('\''),
            '“' | '”' | '„' | '«' | '»' | '″' => plain.push('"'),
            '‐' | '‑' | '‒' | '–' | '—' | '−' => plain.push('-'),
            '…' => plain.push_str("..."),
            '\u{a0}' | '\u{2009}' | '\u{202f}' | '\t' => plain.push(' '),
            '•' | '·' => plain.push('*'),
            '→' => plain.push_str("->"),
            '≥' => plain.push_str(">="),
            '≤' => plain.push_str("<="),
            'µ' | 'μ' => plain.push('u'),
            '`' => plain.push('\''),
            other => plain.push(other),
        }
    }
    // Persian is UCS-2 in any case and keeps its characters.
    if Alphabet::of(&plain) == Alphabet::Gsm7 { plain } else { text.to_owned() }
}

/// Fits `body` and `tail` into at most `most` parts. The tail stays complete. The body is shortened at its end, with an ellipsis.
pub fn fit(body: &str, tail: &str, most: usize) -> String {
    let body = plain_signs(body.trim());
    let join = |body: &str| match (body.is_empty(), tail.is_empty()) {
        (true, _) => tail.to_owned(),
        (_, true) => body.to_owned(),
        _ => format!("{body} {tail}"),
    };
    let whole = join(&body);
    if parts(&whole) <= most {
        return whole;
    }
    let shown: Vec<&str> = body.graphemes(true).collect();
    let cut = |count: usize| {
        let kept = shown[..count].concat();
        let kept = kept.trim_end();
        let ellipsis = if Alphabet::of(kept) == Alphabet::Gsm7 && Alphabet::of(tail) == Alphabet::Gsm7 { "..." } else { "…" };
        join(&format!("{kept}{ellipsis}"))
    };
    // More characters never take fewer parts, so a binary search finds the longest fit.
    let (mut fits, mut does_not) = (0, shown.len());
    while does_not - fits > 1 {
        let middle = usize::midpoint(fits, does_not);
        if parts(&cut(middle)) <= most {
            fits = middle;
        } else {
            does_not = middle;
        }
    }
    cut(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_as_networks_do() {
        for (text, alphabet, count) in [
            (String::new(), Alphabet::Gsm7, 0),
            ("a".repeat(160), Alphabet::Gsm7, 1),
            ("a".repeat(161), Alphabet::Gsm7, 2),
            ("a".repeat(306), Alphabet::Gsm7, 2),
            ("a".repeat(307), Alphabet::Gsm7, 3),
            ("€".repeat(80), Alphabet::Gsm7, 1),
            // 153 is odd, so the 77th would be split and moves to the next part.
            ("€".repeat(153), Alphabet::Gsm7, 3),
            ("س".repeat(70), Alphabet::Ucs2, 1),
            ("س".repeat(71), Alphabet::Ucs2, 2),
            ("س".repeat(134), Alphabet::Ucs2, 2),
            ("س".repeat(135), Alphabet::Ucs2, 3),
            // 67 is odd, and a character outside the first plane takes two units.
            ("🔥".repeat(67), Alphabet::Ucs2, 3),
        ] {
            assert_eq!((Alphabet::of(&text), parts(&text)), (alphabet, count), "{} characters", text.chars().count());
        }
    }

    #[test]
    fn a_shortened_text_is_marked_and_keeps_its_tail() {
        let text = fit(&"disk full ".repeat(40), "Reply ACK 1234", 1);
        assert_eq!(parts(&text), 1);
        assert!(text.ends_with("... Reply ACK 1234") && text.len() > 150, "{text}");
        let text = fit(&"پایگاه داده پر است ".repeat(20), "پاسخ: ACK 1234", 2);
        assert_eq!(parts(&text), 2);
        assert!(text.ends_with("… پاسخ: ACK 1234"), "{text}");
        assert_eq!(fit("a – b…", "", 1), "a - b...");
        assert_eq!(fit("", "x", 1), "x");
    }
}

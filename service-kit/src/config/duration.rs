//! This module reads spans of time in settings: a whole number and a unit.

use std::time::Duration;

const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

/// `None` when the text is not a whole number followed by one of the units.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, milliseconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*milliseconds).map(Duration::from_millis)
}

/// The span in the largest unit that divides it without a remainder. [`parse_duration`] reads it back.
pub(super) fn text(span: Duration) -> String {
    let whole = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let (unit, size) = UNITS.iter().rev().find(|(_, size)| whole >= *size && whole % size == 0).unwrap_or(&UNITS[0]);
    format!("{}{unit}", whole / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for milliseconds in [0, 1, 250, 1_000, 90_000, 120_000, 7_200_000] {
            let span = Duration::from_millis(milliseconds);
            assert_eq!(parse_duration(&text(span)), Some(span), "{}", text(span));
        }
        assert_eq!(text(Duration::from_secs(90)), "90s");
    }

    #[test]
    fn refuses_a_text_that_is_not_a_span() {
        for wrong in ["", "5", "s", "-1s", "1.5s", "5 s", "5d", "99999999999999999999s", "18446744073709551615h"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }
}

//! This module checks names with date math, such as `<nightly-{now/d{yyyy.MM.dd|+01:00}}>`. Pure.
//!
//! Source: "Date math support in system and index alias names" of the 9.x reference. The format of a date may contain only
//! numbers of fixed letters: names of months and days have capitals, and a name must not.

use jiff::tz::TimeZone;

/// Letters of a date format that print numbers, and the largest count of each. More than two `M` or `L` print a name.
const FORMAT_LETTERS: [(char, usize); 16] = [
    ('y', 9),
    ('u', 9),
    ('Y', 9),
    ('M', 2),
    ('L', 2),
    ('d', 2),
    ('D', 3),
    ('H', 2),
    ('k', 2),
    ('K', 2),
    ('h', 2),
    ('m', 2),
    ('s', 2),
    ('S', 9),
    ('w', 2),
    ('n', 9),
];
/// Characters of a format that print themselves and may be in a name.
const FORMAT_CHARACTERS: &str = ".-_:";
const UNITS: &str = "yMwdhHms";
/// The whole hours of the largest offset of a time zone.
const MOST_OFFSET_HOURS: u32 = 18;

/// Returns the parts of a name outside its date math, or the fault of the name.
///
/// # Errors
/// Returns what is wrong, as the end of a sentence about the name.
pub fn constant_parts(name: &str) -> Result<String, String> {
    let Some(inner) = name.strip_prefix('<').and_then(|name| name.strip_suffix('>')) else { return Ok(name.to_owned()) };
    if inner.is_empty() {
        return Err("is empty between < and >".into());
    }
    let mut constant = String::new();
    let mut rest = inner.chars();
    while let Some(character) = rest.next() {
        match character {
            // An escaped brace is a part of the name.
            '\\' => constant.extend(rest.next()),
            '{' => expression(&date(&mut rest)?)?,
            '}' => return Err("contains } without {; write \\} for the character".into()),
            other => constant.push(other),
        }
    }
    Ok(constant)
}

/// Returns the text up to the brace that closes the date math.
fn date(rest: &mut std::str::Chars<'_>) -> Result<String, String> {
    let (mut text, mut depth) = (String::new(), 1);
    for character in rest {
        depth = match character {
            '{' => depth + 1,
            '}' => depth - 1,
            _ => depth,
        };
        if depth == 0 {
            return Ok(text);
        }
        text.push(character);
    }
    Err("has date math without }".into())
}

/// `now/d`, or `now/d{yyyy.MM|+01:00}`.
fn expression(text: &str) -> Result<(), String> {
    let (math, format) = match text.split_once('{') {
        Some((math, format)) => match format.strip_suffix('}') {
            Some(format) => (math, Some(format)),
            None => return Err(format!("has text after the format in {{{text}}}")),
        },
        None => (text, None),
    };
    if !math.strip_prefix("now").is_some_and(is_operations) {
        return Err(format!("has {{{text}}}, which is not date math; write such as {{now/d}} or {{now-1d/d}}"));
    }
    let Some(format) = format else { return Ok(()) };
    let (pattern, zone) = match format.split_once('|') {
        Some((pattern, zone)) => (pattern, Some(zone)),
        None => (format, None),
    };
    if !is_format(pattern) {
        return Err(format!("has the date format {pattern:?}; use digits of y, M, d, H, m and s, with . - _ or : between them"));
    }
    if zone.is_some_and(|zone| !is_zone(zone)) {
        return Err(format!("has the time zone {:?}; write such as UTC, +01:00 or Europe/Zurich", zone.unwrap_or_default()));
    }
    Ok(())
}

/// `+1d`, `-2h` and `/d` in any number.
fn is_operations(text: &str) -> bool {
    let mut rest = text;
    while let Some(operator) = rest.chars().next() {
        rest = match operator {
            '/' => &rest[1..],
            '+' | '-' => rest[1..].trim_start_matches(|character: char| character.is_ascii_digit()),
            _ => return false,
        };
        match rest.chars().next() {
            Some(unit) if UNITS.contains(unit) => rest = &rest[1..],
            _ => return false,
        }
    }
    true
}

fn is_format(pattern: &str) -> bool {
    let mut rest = pattern;
    while let Some(letter) = rest.chars().next() {
        let others = rest.trim_start_matches(letter);
        let count = (rest.len() - others.len()) / letter.len_utf8();
        let prints = FORMAT_LETTERS.iter().any(|(known, most)| *known == letter && count <= *most);
        if !prints && !FORMAT_CHARACTERS.contains(letter) {
            return false;
        }
        rest = others;
    }
    !pattern.is_empty()
}

fn is_zone(zone: &str) -> bool {
    if let Some(offset) = zone.strip_prefix(['+', '-']) {
        let (hours, minutes) = offset.split_once(':').unwrap_or((offset, "00"));
        let two_digits =
            |text: &str| text.parse::<u32>().ok().filter(|_| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()));
        let hours = two_digits(hours);
        let minutes = two_digits(minutes).filter(|minutes| *minutes < 60);
        return matches!((hours, minutes), (Some(hours), Some(minutes)) if hours < MOST_OFFSET_HOURS || (hours, minutes) == (MOST_OFFSET_HOURS, 0));
    }
    matches!(zone, "UTC" | "Z" | "GMT") || zone.contains('/') && TimeZone::get(zone).is_ok()
}

#[cfg(test)]
mod tests {
    use super::constant_parts;

    #[test]
    fn names_with_date_math_are_read() {
        for (name, constant) in [
            ("nightly", "nightly"),
            ("<nightly-{now/d}>", "nightly-"),
            ("<n-{now-1d/d}-x>", "n--x"),
            ("<n-{now/d{yyyy.MM.dd}}>", "n-"),
            ("<n-{now/M{YYYY}}>", "n-"),
            ("<n-{now/d{uuuu-MM-dd|+01:00}}>", "n-"),
            ("<n-{now/d{yyyy.MM.dd|Europe/Zurich}}>", "n-"),
            ("<n-\\{now\\}>", "n-{now}"),
            ("<{now}>", ""),
            ("n-{now", "n-{now"),
        ] {
            assert_eq!(constant_parts(name).as_deref(), Ok(constant), "{name}");
        }
    }

    #[test]
    fn other_date_math_is_refused() {
        for name in [
            "<>",
            "<n}>",
            "<n-{now>",
            "<n-{}>",
            "<n-{NOW/d}>",
            "<n-{now/x}>",
            "<n-{now/d|UTC}>",
            "<n-{now+d1}>",
            "<n-{now/d{}}>",
            "<n-{now/d{MMM}}>",
            "<n-{now/d{XXXXXXX}}>",
            "<n-{now/d{yyyy.MM.dd|Moon/Sea}}>",
            "<n-{now/d{yyyy|+1:00}}>",
            "<n-{now/d{yyyy}x}>",
        ] {
            assert!(constant_parts(name).is_err(), "{name}");
        }
    }
}

//! This module checks the schedule and the names of snapshots, roughly: a few forms that Elasticsearch accepts are refused.

use std::ops::RangeInclusive;

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// Whether a text is a cron expression (Elasticsearch's class Cron).
pub fn is_cron(text: &str) -> bool {
    let text = text.to_uppercase();
    let fields: Vec<&str> = text.split_whitespace().collect();
    let bounds: [(RangeInclusive<u32>, &[&str]); 7] =
        [(0..=59, &[]), (0..=59, &[]), (0..=23, &[]), (1..=31, &[]), (1..=12, &MONTHS), (1..=7, &DAYS), (1970..=2199, &[])];
    if !(6..=7).contains(&fields.len()) || (fields[3] == "?") == (fields[5] == "?") {
        return false;
    }
    fields.iter().zip(bounds).enumerate().all(|(place, (field, (bounds, names)))| {
        let whole = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse().is_ok_and(|number| bounds.contains(&number))
        };
        let named = |text: &str| names.contains(&text);
        let special = match place {
            3 => {
                matches!(*field, "?" | "L" | "LW")
                    || field.strip_suffix('W').is_some_and(whole)
                    || field
                        .strip_prefix("L-")
                        .is_some_and(|days| days.trim_end_matches('W').parse::<u32>().is_ok_and(|days| days <= 30))
            }
            5 => {
                matches!(*field, "?" | "L")
                    || field.strip_suffix('L').is_some_and(|day| whole(day) || named(day))
                    || field.split_once('#').is_some_and(|(day, week)| {
                        (whole(day) || named(day)) && week.parse::<u32>().is_ok_and(|week| (1..=5).contains(&week))
                    })
            }
            _ => false,
        };
        special
            || field.split(',').all(|part| {
                let (range, step) = part.split_once('/').unwrap_or((part, "1"));
                let steps = step.parse::<u32>().is_ok_and(|step| step > 0 && step <= *bounds.end());
                let values = match range.split_once('-') {
                    Some((from, to)) => whole(from) && whole(to) || named(from) && named(to),
                    None => range == "*" || range.is_empty() && part.len() > 1 || whole(range) || named(range),
                };
                steps && values
            })
    })
}

/// Whether a text names snapshots, possibly with date math of digits.
pub fn is_name(text: &str) -> bool {
    let inner = text.strip_prefix('<').and_then(|text| text.strip_suffix('>'));
    let constant = match inner {
        None => text.to_owned(),
        Some("") => return false,
        Some(inner) => match without_math(inner) {
            Some(constant) => constant,
            None => return false,
        },
    };
    let forbidden = [' ', '"', '*', ',', '/', '<', '>', '?', '\\', '|', '#'];
    !text.is_empty() && constant == constant.to_lowercase() && !constant.starts_with('_') && !constant.contains(forbidden)
}

/// The text without its parts in braces; `None` if one of them is not date math.
fn without_math(inner: &str) -> Option<String> {
    let (mut constant, mut rest) = (String::new(), inner);
    while let Some(at) = rest.find(['{', '}', '\\']) {
        constant.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'\\' => {
                let escaped = rest[at + 1..].chars().next()?;
                constant.push(escaped);
                rest = &rest[at + 1 + escaped.len_utf8()..];
            }
            b'}' => return None,
            _ => {
                let text = &rest[at + 1..];
                let end = match (text.find('{'), text.find('}')?) {
                    (Some(open), close) if open < close => text.find("}}")? + 1,
                    (_, close) => close,
                };
                is_math(&text[..end]).then_some(())?;
                rest = &text[end + 1..];
            }
        }
    }
    constant.push_str(rest);
    Some(constant)
}

fn is_math(text: &str) -> bool {
    let (math, format) = text.split_once('{').map_or((text, None), |(math, format)| (math, Some(format.trim_end_matches('}'))));
    let Some(mut operations) = math.strip_prefix("now") else { return false };
    while let Some(operator) = operations.chars().next() {
        let digits = operations[1..].trim_start_matches(|digit: char| digit.is_ascii_digit() && operator != '/');
        if !matches!(operator, '+' | '-' | '/') || !digits.starts_with(['y', 'M', 'w', 'd', 'h', 'H', 'm', 's']) {
            return false;
        }
        operations = &digits[1..];
    }
    let Some(format) = format else { return true };
    let (pattern, zone) = format.split_once('|').map_or((format, None), |(pattern, zone)| (pattern, Some(zone)));
    let numbers = ["yyyy", "uuuu", "YYYY", "MM", "dd", "DDD", "HH", "mm", "ss", "SSS", "ww"];
    let rest = numbers.iter().fold(pattern.to_owned(), |rest, number| rest.replace(number, ""));
    let zones = |zone: &str| {
        ["UTC", "Europe/Zurich"].contains(&zone) || zone.len() == 6 && zone.starts_with(['+', '-']) && zone[1..3] <= *"18"
    };
    let too_long = ["ddd", "MMM", "HHH", "mmm"].iter().any(|run| pattern.contains(run));
    !pattern.is_empty() && !too_long && rest.chars().all(|character| ".-_:".contains(character)) && zone.is_none_or(zones)
}

//! This module parses and prints durations and sizes as Elasticsearch writes them: `30d`, `50gb`. Pure.
//!
//! Source: "API conventions", time units and byte size units. Upper and lower case are equal, except for minutes, as in
//! Elasticsearch.

/// Suffix and nanoseconds, longest suffix first where one ends with another.
const TIME_UNITS: [(&str, i128); 7] = [
    ("nanos", 1),
    ("micros", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

const SIZE_UNITS: [(&str, u32); 11] =
    [("pb", 50), ("tb", 40), ("gb", 30), ("mb", 20), ("kb", 10), ("p", 50), ("t", 40), ("g", 30), ("m", 20), ("k", 10), ("b", 0)];

pub const NANOS_PER_MILLI: i128 = 1_000_000;
pub const MILLIS_PER_DAY: i64 = 86_400_000;

/// Returns the nanoseconds of a duration; `0` needs no unit. `None` for texts that Elasticsearch refuses: fractions, other
/// units, `-1`.
pub fn duration(text: &str) -> Option<i128> {
    let text = text.trim();
    if text == "0" {
        return Some(0);
    }
    // `M` is a month elsewhere, and no unit here.
    let lower = text.to_ascii_lowercase();
    if text.ends_with('M') {
        return None;
    }
    let (number, unit) = TIME_UNITS.iter().find_map(|(unit, nanos)| Some((lower.strip_suffix(unit)?, *nanos)))?;
    let number: i64 = digits(number)?.parse().ok()?;
    Some(i128::from(number) * unit)
}

/// Returns the milliseconds of a duration, rounded down.
pub fn millis(text: &str) -> Option<i64> {
    i64::try_from(duration(text)? / NANOS_PER_MILLI).ok()
}

/// Returns the duration in its largest whole unit: `24h` is `1d`.
pub fn duration_text(nanos: i128) -> String {
    if nanos == 0 {
        return "0ms".to_owned();
    }
    let (unit, size) = TIME_UNITS.iter().rev().find(|(_, size)| nanos % size == 0).unwrap_or(&TIME_UNITS[0]);
    format!("{}{unit}", nanos / size)
}

/// Returns a readable duration with at most two units, such as `3d 4h`.
pub fn rough_duration(millis: i64) -> String {
    let sign = if millis < 0 { "-" } else { "" };
    let seconds = millis.unsigned_abs() / 1000;
    let parts = [(seconds / 86_400, "d"), (seconds % 86_400 / 3600, "h"), (seconds % 3600 / 60, "m"), (seconds % 60, "s")];
    let shown: Vec<_> = parts.iter().skip_while(|(count, _)| *count == 0).take(2).filter(|(count, _)| *count > 0).collect();
    match shown.as_slice() {
        [] => "0s".to_owned(),
        shown => sign.to_owned() + &shown.iter().map(|(count, unit)| format!("{count}{unit}")).collect::<Vec<_>>().join(" "),
    }
}

/// Returns the bytes of a size; `0` needs no unit. Fractions are accepted, as Elasticsearch still does: `1.5gb`. `None` above
/// the largest signed number of 64 bits.
pub fn size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    if text == "0" {
        return Some(0);
    }
    let (number, shift) = SIZE_UNITS.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)))?;
    let number = number.trim_end();
    let unit = 1u64 << shift;
    let bytes = match number.split_once('.') {
        None => digits(number)?.parse::<u64>().ok()?.checked_mul(unit),
        Some(_) if shift == 0 => None,
        Some((whole, part)) => {
            // Six digits are enough for any real value, and the arithmetic stays in integers.
            let part = digits(part).filter(|part| part.len() <= 6)?;
            let whole = digits(whole)?.parse::<u64>().ok()?.checked_mul(unit)?;
            let scale = 10u128.pow(u32::try_from(part.len()).ok()?);
            let rest = u64::try_from(u128::from(unit) * part.parse::<u128>().ok()? / scale).ok()?;
            whole.checked_add(rest)
        }
    };
    bytes.filter(|bytes| *bytes <= i64::MAX as u64)
}

/// Returns the size in its largest whole unit.
pub fn size_text(bytes: u64) -> String {
    let (unit, shift) =
        SIZE_UNITS[..5].iter().find(|(_, shift)| bytes > 0 && bytes.is_multiple_of(1 << shift)).unwrap_or(&("b", 0));
    format!("{}{unit}", bytes >> shift)
}

/// Returns a readable size: `1.5 GiB`.
pub fn rough_size(bytes: u64) -> String {
    let names = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let step = (0..names.len() - 1).find(|step| bytes < 1 << (10 * (step + 1))).unwrap_or(names.len() - 1);
    if step == 0 { format!("{bytes} B") } else { format!("{:.1} {}", bytes as f64 / (1u64 << (10 * step)) as f64, names[step]) }
}

/// Returns the trimmed text if it contains only digits.
fn digits(text: &str) -> Option<&str> {
    let text = text.trim();
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_read_as_elasticsearch_reads_them() {
        for (text, millis) in
            [("1d", Some(86_400_000)), ("24H", Some(86_400_000)), ("0", Some(0)), ("30 m", Some(1_800_000)), ("5MS", Some(5))]
        {
            assert_eq!(super::millis(text), millis, "{text}");
        }
        for text in ["", "d", "30", "1.5d", "30 days", "1w", "-1", "-1d", "1d2h", "30D5", "99999999999999999999d", "30M", "1 M"] {
            assert_eq!(duration(text), None, "{text}");
        }
        for (text, bytes) in [("50gb", 50 << 30), ("50GB", 50 << 30), ("50g", 50 << 30), ("1.5kb", 1536), ("7b", 7), ("0", 0)] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "50", "50 gib", "gb", "-1", "1.gb", ".5gb", "5xb", "0.5b", "8388608tb"] {
            assert_eq!(size(text), None, "{text}");
        }
        assert_eq!(
            (rough_duration(90_061_000), rough_duration(0), rough_size(1536)),
            ("1d 1h".into(), "0s".into(), "1.5 KiB".into())
        );
    }

    proptest! {
        #[test]
        fn printed_units_are_read_back(nanos in 0i64..i64::MAX, bytes in 0..=i64::MAX as u64) {
            prop_assert_eq!(duration(&duration_text(i128::from(nanos))), Some(i128::from(nanos)));
            prop_assert_eq!(size(&size_text(bytes)), Some(bytes));
        }
    }
}

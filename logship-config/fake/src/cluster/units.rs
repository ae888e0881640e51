//! This module parses Elasticsearch's time values and sizes.

/// Milliseconds of a time value (`TimeValue.parseTimeValue`); `None` where it is refused.
pub fn duration(text: &str) -> Option<i64> {
    // Minutes are lower case: `M` is a month in other places.
    if text.ends_with('M') && !text.to_lowercase().ends_with("ms") {
        return None;
    }
    let text = text.trim().to_lowercase();
    if text == "0" {
        return Some(0);
    }
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let number: i64 = text[..digits].parse().ok()?;
    match text[digits..].trim() {
        "d" => number.checked_mul(86_400_000),
        "h" => number.checked_mul(3_600_000),
        "m" => number.checked_mul(60_000),
        "s" => number.checked_mul(1000),
        "ms" => Some(number),
        "micros" => Some(number / 1000),
        "nanos" => Some(number / 1_000_000),
        _ => None,
    }
}

/// Bytes of a size (`ByteSizeValue.parseBytesSizeValue`); `None` where it is refused.
pub fn size(text: &str) -> Option<u64> {
    let text = text.trim().to_lowercase();
    if text == "0" {
        return Some(0);
    }
    let digits = text.find(|character: char| !character.is_ascii_digit() && character != '.')?;
    let number: f64 = text[..digits].parse().ok()?;
    let shift = match text[digits..].trim() {
        "b" => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        "t" | "tb" => 40,
        "p" | "pb" => 50,
        _ => return None,
    };
    let bytes = number * (1u64 << shift) as f64;
    let whole = shift > 0 || !text[..digits].contains('.');
    (whole && bytes < i64::MAX as f64).then_some(bytes as u64)
}

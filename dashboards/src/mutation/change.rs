//! This module finds the places of an expression that a change may hit, and makes each change.

use std::collections::BTreeMap;

/// Comparison operators, the longer ones first.
const COMPARISONS: &[&str] = &["==", "!=", ">=", "<=", ">", "<"];
const GROUPINGS: &[&str] = &["by", "on", "without", "ignoring"];

/// A `for` of zero and one of three times the length. A rule without `for` has neither.
pub fn waits(wait: &str) -> Vec<String> {
    match split(wait) {
        Some((number, unit)) if number > 0.0 => vec!["0s".to_owned(), format!("{}{unit}", number * 3.0)],
        _ => Vec::new(),
    }
}

/// Each change with the changed expression. Equal changes are numbered from left to right.
pub fn changes(expr: &str) -> Vec<(String, String)> {
    let mut seen = BTreeMap::new();
    let mut found = Vec::new();
    for edit in edits(expr) {
        let changed = format!("{}{}{}", &expr[..edit.from], edit.text, &expr[edit.to..]);
        let count = seen.entry(edit.name.clone()).or_insert(0);
        *count += 1;
        let name = if *count == 1 { edit.name } else { format!("{} ({count})", edit.name) };
        found.push((name, changed));
    }
    found
}

/// One change: `text` replaces the bytes from `from` to `to`.
struct Edit {
    name: String,
    from: usize,
    to: usize,
    text: String,
}

fn edits(expr: &str) -> Vec<Edit> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < expr.len() {
        let rest = &expr[at..];
        let length = match rest.as_bytes()[0] {
            b'"' | b'\'' => quoted(rest),
            b'[' => {
                let end = rest.find(']').expect("a range ends");
                let length = rest[1..end].find(':').unwrap_or(end - 1);
                doubled_and_halved(&mut found, expr, at + 1, at + 1 + length, "window");
                end + 1
            }
            b'{' => matchers(&mut found, expr, at),
            _ if starts_word(expr, at, "offset") => {
                let from = at + "offset".len() + spaces(&rest["offset".len()..]);
                let to = from + expr[from..].find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(expr.len() - from);
                doubled_and_halved(&mut found, expr, from, to, "offset");
                to - at
            }
            _ => grouping(&mut found, expr, at).or_else(|| threshold(&mut found, expr, at)).unwrap_or_else(|| plain(expr, at)),
        };
        at += length.max(1);
    }
    found
}

/// Length of a name, a number or one other character.
fn plain(expr: &str, at: usize) -> usize {
    let named = |c: char| c.is_ascii_alphanumeric() || "_:.".contains(c);
    let length = expr[at..].find(|c| !named(c)).unwrap_or(expr.len() - at);
    if length == 0 { expr[at..].chars().next().map_or(1, char::len_utf8) } else { length }
}

fn starts_word(expr: &str, at: usize, word: &str) -> bool {
    expr[at..].starts_with(word) && plain(expr, at) == word.len()
}

fn spaces(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

/// Length of a quoted text with its quotes.
fn quoted(text: &str) -> usize {
    let quote = text.as_bytes()[0];
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            _ if byte == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The number in front of the unit of `10m`.
fn split(duration: &str) -> Option<(f64, &str)> {
    let at = duration.find(|c: char| c.is_ascii_alphabetic())?;
    Some((duration[..at].parse().ok()?, &duration[at..]))
}

/// Half of a window in whole seconds.
fn half(number: f64, unit: &str) -> String {
    let seconds = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => 86_400.0,
    };
    format!("{}s", (number * seconds / 2.0).floor())
}

fn doubled_and_halved(found: &mut Vec<Edit>, expr: &str, from: usize, to: usize, what: &str) {
    let text = &expr[from..to];
    let Some((number, unit)) = split(text) else { return };
    for changed in [format!("{}{unit}", number * 2.0), half(number, unit)] {
        found.push(Edit { name: format!("{what} {text} becomes {changed}"), from, to, text: changed });
    }
}

/// Removes each matcher in turn. Returns the length of the braces.
fn matchers(found: &mut Vec<Edit>, expr: &str, at: usize) -> usize {
    let mut end = at + 1;
    let mut starts = vec![end];
    loop {
        match expr.as_bytes()[end] {
            b'"' | b'\'' => end += quoted(&expr[end..]),
            b'}' => break,
            b',' => {
                end += 1;
                starts.push(end);
            }
            _ => end += 1,
        }
    }
    let list: Vec<&str> = starts.iter().enumerate().map(|(n, &start)| piece(expr, start, starts.get(n + 1), end)).collect();
    remove_each(found, &list, at + 1, end, "matcher");
    end + 1 - at
}

fn piece<'a>(expr: &'a str, start: usize, next: Option<&usize>, end: usize) -> &'a str {
    expr[start..next.map_or(end, |next| next - 1)].trim()
}

/// Removes each label of `by (a, b)` in turn. Returns the length to the closing parenthesis.
fn grouping(found: &mut Vec<Edit>, expr: &str, at: usize) -> Option<usize> {
    let word = GROUPINGS.iter().find(|word| starts_word(expr, at, word))?;
    let open = at + word.len() + spaces(&expr[at + word.len()..]);
    let inside = expr[open..].strip_prefix('(')?;
    let end = open + 1 + inside.find(')')?;
    let list: Vec<&str> = expr[open + 1..end].split(',').map(str::trim).filter(|label| !label.is_empty()).collect();
    remove_each(found, &list, open + 1, end, word);
    Some(end + 1 - at)
}

fn remove_each(found: &mut Vec<Edit>, list: &[&str], from: usize, to: usize, what: &str) {
    for (removed, name) in list.iter().enumerate() {
        let left: Vec<_> = list.iter().enumerate().filter(|(n, _)| *n != removed).map(|(_, item)| *item).collect();
        found.push(Edit { name: format!("{what} {name} removed"), from, to, text: left.join(", ") });
    }
}

/// Doubles and halves the number after a comparison. Zero has neither. Returns the length to the end of the number.
fn threshold(found: &mut Vec<Edit>, expr: &str, at: usize) -> Option<usize> {
    let comparison = COMPARISONS.iter().find(|comparison| expr[at..].starts_with(**comparison))?;
    let from = at + comparison.len() + spaces(&expr[at + comparison.len()..]);
    let to = from + expr[from..].find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(expr.len() - from);
    let number: f64 = expr[from..to].parse().ok()?;
    for changed in [number * 2.0, number / 2.0].into_iter().filter(|_| number != 0.0) {
        found.push(Edit { name: format!("{comparison} {number} becomes {changed}"), from, to, text: changed.to_string() });
    }
    Some(to - at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(expr: &str) -> Vec<String> {
        changes(expr).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn each_place_is_changed_once_per_operator() {
        assert_eq!(
            names(r#"sum by (a, b) (rate(x_total{c="1,2",d!~"}"}[5m] offset 10m)) > 60"#),
            [
                "by a removed",
                "by b removed",
                r#"matcher c="1,2" removed"#,
                r#"matcher d!~"}" removed"#,
                "window 5m becomes 10m",
                "window 5m becomes 150s",
                "offset 10m becomes 20m",
                "offset 10m becomes 300s",
                "> 60 becomes 120",
                "> 60 becomes 30",
            ]
        );
    }

    #[test]
    fn a_change_replaces_only_its_place() {
        let changed = |expr: &str, name: &str| changes(expr).into_iter().find(|(found, _)| found == name).unwrap().1;
        assert_eq!(changed("a > 1 or b > 1", "> 1 becomes 2 (2)"), "a > 1 or b > 2");
        assert_eq!(changed("max_over_time(a[3d:3h])", "window 3d becomes 6d"), "max_over_time(a[6d:3h])");
        assert_eq!(changed(r#"a{b="c", d="e"}"#, r#"matcher b="c" removed"#), r#"a{d="e"}"#);
        assert_eq!(changed("a and on (b, c) d", "on b removed"), "a and on (c) d");
        assert_eq!(changed("a:b:rate5m > 14.4 * 0.001", "> 14.4 becomes 28.8"), "a:b:rate5m > 28.8 * 0.001");
    }

    #[test]
    fn zero_has_no_double_and_no_half() {
        assert_eq!(names("a == 0"), Vec::<String>::new());
        assert_eq!(waits("0m"), Vec::<String>::new());
        assert_eq!(waits("30s"), ["0s", "90s"]);
    }
}

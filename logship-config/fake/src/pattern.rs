//! Names with `*`, and lists of them, as paths and index patterns hold them.

/// Whether `name` is `pattern`, in which each `*` matches any text.
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(head) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let tail = parts.pop().unwrap_or_default();
    for part in parts {
        match name.find(part) {
            Some(at) => name = &name[at + part.len()..],
            None => return false,
        }
    }
    name.ends_with(tail)
}

/// Whether a comma-separated list of patterns (`_all` for every name) has one that matches.
pub fn listed(list: &str, name: &str) -> bool {
    list.split(',').any(|pattern| pattern == "_all" || matches(pattern, name))
}

/// Whether some name matches both patterns.
pub fn overlap(one: &str, other: &str) -> bool {
    let (mut first, mut second) = (one.chars(), other.chars());
    match (first.next(), second.next()) {
        (None, None) => true,
        (Some('*'), None) => overlap(first.as_str(), other),
        (None, Some('*')) => overlap(one, second.as_str()),
        (Some('*'), Some(_)) => overlap(first.as_str(), other) || overlap(one, second.as_str()),
        (Some(_), Some('*')) => overlap(one, second.as_str()) || overlap(first.as_str(), other),
        (Some(letter), Some(same)) => letter == same && overlap(first.as_str(), second.as_str()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, name, is) in [
            ("logs-*", "logs-app", true),
            ("logs-*-*", "logs-app-default", true),
            ("logs-*-*", "logs-app", false),
            ("*", "", true),
            ("a*b*b", "axbb", true),
            ("a*b*b", "ab", false),
            ("a", "ab", false),
            ("*-a", "b-a", true),
        ] {
            assert_eq!(matches(pattern, name), is, "{pattern} {name}");
        }
        assert!(overlap("logs-*-*", "logs-a.b-*") && overlap("*a", "b*") && !overlap("logs-*", "metrics-*"));
        assert!(listed("a,b*", "bc") && listed("_all", "x") && !listed("a,b", "c"));
    }
}

//! Which series and labels a PromQL expression names. Never: whether it is right; Prometheus says that.

use std::iter::Peekable;
use std::str::Chars;

/// One series selector.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    pub name: String,
    /// Label and value of each matcher, whatever its operator.
    pub matchers: Vec<(String, String)>,
    /// As it was written, without a range.
    pub text: String,
}

/// What an expression names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamedParts {
    pub selectors: Vec<Selector>,
    /// Labels that it groups or joins by.
    pub grouping: Vec<String>,
}

const GROUPING: &[&str] = &["by", "without", "on", "ignoring", "group_left", "group_right"];
/// Operators whose grouping may stand before their parenthesis.
const AGGREGATIONS: &[&str] =
    &["sum", "min", "max", "avg", "group", "stddev", "stdvar", "count", "count_values", "bottomk", "topk", "quantile"];
const WORDS: &[&str] = &["and", "or", "unless", "bool", "offset", "start", "end", "inf", "nan"];

/// Reads an expression whose variables have been replaced.
pub fn named(expression: &str) -> NamedParts {
    let mut found = NamedParts::default();
    let mut rest = expression.chars().peekable();
    while let Some(&next) = rest.peek() {
        match next {
            '"' | '\'' => drop(quoted(&mut rest)),
            // A duration or a subquery's step names nothing.
            '[' => rest.by_ref().take_while(|&character| character != ']').for_each(drop),
            '{' => {
                let before: String = rest.clone().collect();
                let matchers = matchers(&mut rest);
                let after: usize = rest.clone().map(char::len_utf8).sum();
                let text = &before[..before.len() - after];
                match found.selectors.last_mut() {
                    Some(selector) if selector.text == selector.name => {
                        selector.matchers = matchers;
                        selector.text += text;
                    }
                    _ => found.selectors.push(Selector { name: String::new(), matchers, text: text.to_owned() }),
                }
            }
            '0'..='9' => drop(word(&mut rest)),
            _ if starts_name(next) => {
                let name = word(&mut rest);
                while rest.next_if(|character| character.is_whitespace()).is_some() {}
                if GROUPING.contains(&name.as_str()) {
                    if rest.next_if_eq(&'(').is_some() {
                        let list: String = rest.by_ref().take_while(|&character| character != ')').collect();
                        found
                            .grouping
                            .extend(list.split(',').map(|label| label.trim().to_owned()).filter(|label| !label.is_empty()));
                    }
                } else if rest.peek() != Some(&'(') && !WORDS.contains(&name.as_str()) && !AGGREGATIONS.contains(&name.as_str()) {
                    found.selectors.push(Selector { text: name.clone(), name, matchers: Vec::new() });
                }
            }
            _ => drop(rest.next()),
        }
    }
    found
}

fn starts_name(character: char) -> bool {
    character.is_ascii_alphabetic() || character == '_' || character == ':'
}

fn word(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut word = String::new();
    while let Some(character) =
        rest.next_if(|&character| starts_name(character) || character.is_ascii_digit() || character == '.')
    {
        word.push(character);
    }
    word
}

fn quoted(rest: &mut Peekable<Chars<'_>>) -> String {
    let quote = rest.next();
    let mut text = String::new();
    while let Some(character) = rest.next() {
        match character {
            '\\' => text.extend(rest.next()),
            _ if Some(character) == quote => break,
            _ => text.push(character),
        }
    }
    text
}

fn matchers(rest: &mut Peekable<Chars<'_>>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut label = String::new();
    rest.next();
    while let Some(&next) = rest.peek() {
        match next {
            '}' => {
                rest.next();
                break;
            }
            '"' | '\'' => found.push((std::mem::take(&mut label), quoted(rest))),
            _ if starts_name(next) => label = word(rest),
            _ => drop(rest.next()),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(name: &str, matchers: &[(&str, &str)], text: &str) -> Selector {
        let own = |(label, value): &(&str, &str)| ((*label).to_owned(), (*value).to_owned());
        Selector { name: name.to_owned(), matchers: matchers.iter().map(own).collect(), text: text.to_owned() }
    }

    #[test]
    fn finds_what_is_named_and_nothing_else() {
        let found = named(
            r#"histogram_quantile(0.99, sum by (le, group) (rate(a_bucket{le="0.1",code=~"5..|{x}"}[5m] offset 10m)))
               / on (group) group_left () (b:c:rate5m > 14.4 * 0.001) and time() - max(d) > 1e3 or absent(e{}) unless bool_f"#,
        );
        assert_eq!(found.grouping, ["le", "group", "group"]);
        let names: Vec<_> = found.selectors.iter().map(|selector| selector.name.as_str()).collect();
        assert_eq!(names, ["a_bucket", "b:c:rate5m", "d", "e", "bool_f"]);
        assert_eq!(
            found.selectors[0],
            selector("a_bucket", &[("le", "0.1"), ("code", "5..|{x}")], r#"a_bucket{le="0.1",code=~"5..|{x}"}"#)
        );
    }

    #[test]
    fn a_selector_without_a_name_is_told() {
        assert_eq!(named(r#"count({job="a"})"#).selectors, [selector("", &[("job", "a")], r#"{job="a"}"#)]);
    }
}

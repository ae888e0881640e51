//! This module reads the routes, which select the recipients of an incident. Alertmanager has already grouped and routed; these
//! routes are evaluated from the top.

use alertbot_core::alert::Severity;
use regex::Regex;

use super::{
    document::{Section, Value},
    names::Names,
};

#[derive(Debug, Clone)]
pub struct Route {
    /// Incidents store the names of their routes.
    pub name: String,
    /// All must match. Empty: matches every incident.
    pub matchers: Vec<Matcher>,
    /// Whether later routes are evaluated too. Otherwise the first match ends the evaluation.
    pub goes_on: bool,
    /// Chats notified immediately.
    pub chats: Vec<String>,
    /// The escalation while the incident is not acknowledged.
    pub escalation: Option<String>,
    /// Replaces the severity of the label.
    pub severity: Option<Severity>,
    /// Whether a repeat from Alertmanager sounds again.
    pub remind: bool,
    /// Whether a chart of the expression's last hour is attached.
    pub picture: bool,
    /// Whether silences set by buttons end with the incident.
    pub end_silences: bool,
}

/// One condition in Alertmanager's syntax: `severity="critical"`, `team=~"core|pay"`.
///
/// The names `alertmanager` (as in this file) and `receiver` (as in Alertmanager's file) hide labels of that name. Labels are
/// those common to all alerts of the group. The severity label is that of the worst firing alerts, and also has the name of their
/// severity: `CRITICAL` and `fatal` are `critical`, too.
#[derive(Debug, Clone)]
pub struct Matcher {
    pub label: String,
    pub equal: bool,
    pub value: Pattern,
}

#[derive(Debug, Clone)]
pub enum Pattern {
    Text(String),
    /// Anchored at both ends.
    Regex(Regex),
}

impl Matcher {
    /// A missing label matches as an empty value.
    pub fn matches(&self, value: &str) -> bool {
        self.equal
            == match &self.value {
                Pattern::Text(text) => text == value,
                Pattern::Regex(regex) => regex.is_match(value),
            }
    }

    /// Whether it matches something that has several names. A matcher that excludes a name excludes all of them.
    pub fn matches_one_of(&self, names: &[&str]) -> bool {
        let mut names = names.iter();
        if self.equal { names.any(|name| self.matches(name)) } else { names.all(|name| self.matches(name)) }
    }
}

/// Larger compiled regular expressions are rejected.
const REGEX_BYTES: usize = 1 << 20;

impl Value for Matcher {
    const SHAPE: &'static str = "label=\"value\", label!=\"value\", label=~\"regular expression\" or label!~\"…\" (in single quotes for YAML; a label \
         with other characters than letters, digits and _ may be in double quotes too)";

    fn parse(text: &str) -> Option<Self> {
        let (label, rest) = text.split_at(end_of_label(text)?);
        let (label, rest) = (name_of(label.trim())?, rest.trim_start());
        let (equal, regex, value) = if let Some(value) = rest.strip_prefix("=~") {
            (true, true, value)
        } else if let Some(value) = rest.strip_prefix("!~") {
            (false, true, value)
        } else if let Some(value) = rest.strip_prefix("!=") {
            (false, false, value)
        } else {
            (true, false, rest.strip_prefix('=')?)
        };
        let value = unquoted(value.trim())?;
        let value = if regex {
            let anchored = format!("^(?:{value})$");
            Pattern::Regex(regex::RegexBuilder::new(&anchored).size_limit(REGEX_BYTES).build().ok()?)
        } else {
            Pattern::Text(value)
        };
        Some(Self { label, equal, value })
    }

    fn stand_in() -> Self {
        Self { label: String::new(), equal: true, value: Pattern::Text(String::new()) }
    }
}

/// Position of the operator after the label. The label may be in double quotes.
fn end_of_label(text: &str) -> Option<usize> {
    let begin = text.len() - text.trim_start().len();
    if !text[begin..].starts_with('"') {
        return text.find(['=', '!']);
    }
    let mut escaped = false;
    let end = text[begin + 1..].char_indices().find(|(_, character)| {
        let ends = *character == '"' && !escaped;
        escaped = *character == '\\' && !escaped;
        ends
    });
    end.map(|(at, _)| begin + 1 + at + 1)
}

/// A label name in the syntax of Alertmanager 0.27 and later
/// (<https://prometheus.io/docs/alerting/latest/configuration/#matcher>): any UTF-8 in double quotes, or without quotes any text
/// that is not matcher syntax.
fn name_of(text: &str) -> Option<String> {
    if text.starts_with('"') {
        return unquoted(text).filter(|name| !name.is_empty());
    }
    let is_syntax = |c: char| c.is_whitespace() || matches!(c, '{' | '}' | '!' | '=' | '~' | ',' | '\\' | '"' | '\'' | '`');
    (!text.is_empty() && !text.contains(is_syntax)).then(|| text.to_owned())
}

/// A value in double quotes with the escapes `\"`, `\\` and `\n`, or a bare value without quotes, braces, commas and spaces.
fn unquoted(text: &str) -> Option<String> {
    let Some(inside) = text.strip_prefix('"') else {
        let bare = !text.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '{' | '}' | ',' | '=' | '!' | '~'));
        return bare.then(|| text.to_owned());
    };
    let mut value = String::new();
    let mut characters = inside.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return characters.next().is_none().then_some(value),
            '\\' => match characters.next()? {
                'n' => value.push('\n'),
                // The backslash of a regular expression stays.
                escaped @ ('"' | '\\') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            other => value.push(other),
        }
    }
    None
}

pub(super) fn routes(root: &Section, chats: &Names, escalations: &Names) -> Vec<Route> {
    let sections = root.required_sections("routes", "recipients of incidents; the last route must match every incident");
    let names = Names::of("route", "routes", &sections);
    let routes = sections.iter().enumerate();
    let routes: Vec<_> = routes.map(|(index, section)| Route::read(section, names.at(index), chats, escalations)).collect();
    let end = sections.iter().zip(&routes).position(|(_, route)| route.matchers.is_empty() && !route.goes_on);
    match end {
        None if !sections.is_empty() => {
            let last = &sections[sections.len() - 1];
            let wrong = "is the last route but does not match every incident";
            last.fault("", wrong, "add a last route without `match`, so that every alert has a recipient");
        }
        Some(end) => {
            for unreachable in &sections[end + 1..] {
                let wrong = "is never reached, because a route above it matches every incident";
                unreachable.fault("", wrong, "move it up, or add `match` or `continue: true` to that route");
            }
        }
        None => {}
    }
    routes
}

impl Route {
    fn read(section: &Section, name: String, chats: &Names, escalations: &Names) -> Self {
        let route = Self {
            name,
            matchers: section.list::<Matcher>("match").into_iter().map(|(matcher, _)| matcher).collect(),
            goes_on: section.or("continue", false),
            chats: chats.list(section, "chats"),
            escalation: escalations.optional(section, "escalation"),
            severity: section.optional("severity"),
            remind: section.or("remind", false),
            picture: section.or("picture", false),
            end_silences: section.or("end_silences", true),
        };
        if route.chats.is_empty() && route.escalation.is_none() {
            section.fault("", "has no recipient", "add `chats`, `escalation` or both");
        }
        route
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_read_as_in_alertmanager() {
        for (text, value, matches) in [
            (r#"severity="critical""#, "critical", true),
            ("severity=critical", "critical", true),
            ("severity = critical", "warning", false),
            (r#"team=~"core|pay""#, "pay", true),
            (r#"team=~"core|pay""#, "payments", false),
            (r#"team!~"core|pay""#, "payments", true),
            (r#"team!="""#, "", false),
            (r#"a="x\"y\\z""#, "x\"y\\z", true),
            (r#"a=~"\d+""#, "42", true),
            (r#"service.name="pay""#, "pay", true),
            (r#""service name" = "pay""#, "pay", true),
            (r#""a=\"b" != "pay""#, "pay", false),
            (r#"سرویس="پرداخت""#, "پرداخت", true),
        ] {
            let matcher = Matcher::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(matcher.matches(value), matches, "{text} on {value:?}");
        }
        assert_eq!(Matcher::parse(r#""a=\"b" != "pay""#).unwrap().label, "a=\"b");
        assert_eq!(Matcher::parse("service.name=x").unwrap().label, "service.name");
        for wrong in [
            "",
            "severity",
            "=x",
            r#""a"b=c"#,
            r#""a=b"#,
            r#"""=b"#,
            "a b=c",
            "a{b=c",
            r#"a="b"#,
            r#"a="b"c"#,
            "a=b,c=d",
            r#"a=~"(""#,
            "a=b c",
        ] {
            assert!(Matcher::parse(wrong).is_none(), "{wrong}");
        }
    }
}

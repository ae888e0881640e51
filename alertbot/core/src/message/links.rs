//! This module selects the links of a message and completes their addresses.
//!
//! - A relative runbook, dashboard or log address is completed with the configured address of its kind.
//! - Prometheus and Alertmanager write their own addresses into alerts. A configured address replaces them.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::catalogue::Word;
use crate::{
    alert::{Labels, labels::in_matcher},
    incident::Incident,
};

/// Addresses at which readers reach what messages link to, without a trailing slash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkAddresses {
    pub runbooks: Option<String>,
    pub dashboards: Option<String>,
    pub logs: Option<String>,
    /// Prometheus.
    pub expressions: Option<String>,
    /// Alertmanager.
    pub silences: Option<String>,
}

/// Annotations that contain a link, by kind. The first one found applies.
pub const RUNBOOK: [&str; 2] = ["runbook_url", "runbook"];
pub const DASHBOARD: [&str; 2] = ["dashboard_url", "dashboard"];
pub const LOGS: [&str; 2] = ["logs_url", "logs"];

/// Longest address of a link. Some clients do not follow longer ones.
const LINK_BYTES: usize = 2000;

impl LinkAddresses {
    /// The address that completes an annotation of this name; `None` if the annotation is not a link.
    pub fn of_annotation(&self, name: &str) -> Option<&Option<String>> {
        [(RUNBOOK, &self.runbooks), (DASHBOARD, &self.dashboards), (LOGS, &self.logs)]
            .into_iter()
            .find_map(|(names, base)| names.contains(&name).then_some(base))
    }
}

/// The links of an incident, in the order of the message.
pub fn links(incident: &Incident, labels: &Labels, annotations: &Labels, bases: &LinkAddresses) -> Vec<(Word, String)> {
    let annotated = |names: [&str; 2], base: &Option<String>| {
        let found = names.iter().find_map(|name| annotations.get(name)).unwrap_or_default();
        complete(found, base.as_deref())
    };
    let expression = incident.speaking().map(|alert| alert.generator_url.as_ref()).find(|url| !url.is_empty());
    let all = [
        (Word::Runbook, annotated(RUNBOOK, &bases.runbooks)),
        (Word::Dashboard, annotated(DASHBOARD, &bases.dashboards)),
        (Word::Logs, annotated(LOGS, &bases.logs)),
        (Word::Source, expression_link(expression.unwrap_or_default(), bases.expressions.as_deref())),
        (Word::SilenceLink, silence(incident, labels, annotations, bases)),
    ];
    all.into_iter().filter(|(_, url)| is_followed(url)).collect()
}

/// Whether an address is relative: `/path`, or `path/page`. A host without a scheme is not.
pub fn is_relative(address: &str) -> bool {
    let first = address.split('/').next().unwrap_or_default();
    let named = !first.is_empty() && address.contains('/') && !first.contains(['.', ':', ' ', '?', '#']);
    named || (address.starts_with('/') && !address.starts_with("//"))
}

fn complete(address: &str, base: Option<&str>) -> String {
    let address = address.trim();
    match base {
        Some(base) if is_relative(address) => format!("{base}/{}", address.trim_start_matches('/')),
        _ => address.to_owned(),
    }
}

/// Prometheus's page for an expression. Other programs that evaluate rules have other pages, which stay.
fn expression_link(url: &str, base: Option<&str>) -> String {
    match (base, url.find("/graph?")) {
        (Some(base), Some(at)) => format!("{base}{}", &url[at..]),
        _ => url.to_owned(),
    }
}

fn silence(incident: &Incident, labels: &Labels, annotations: &Labels, bases: &LinkAddresses) -> String {
    if !incident.is_open() {
        return String::new();
    }
    // Grafana's page has another address than Alertmanager's. Each alert contains it.
    if let Some(own) = annotations.get("silence_url") {
        return own.to_owned();
    }
    if incident.speaking().any(|alert| alert.annotations.get("silence_url").is_some()) {
        return String::new();
    }
    silence_link(bases.silences.as_deref().unwrap_or(&incident.external_url), labels)
}

/// Alertmanager's page for a new silence, with the matchers filled in.
fn silence_link(alertmanager: &str, labels: &Labels) -> String {
    let quoted = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"");
    let filter: Vec<String> = labels.iter().map(|(name, value)| format!("{}=\"{}\"", in_matcher(name), quoted(value))).collect();
    if alertmanager.is_empty() || filter.is_empty() {
        return String::new();
    }
    let filter = format!("{{{}}}", filter.join(","));
    format!("{}/#/silences/new?filter={}", alertmanager.trim_end_matches('/'), utf8_percent_encode(&filter, NON_ALPHANUMERIC))
}

fn is_followed(url: &str) -> bool {
    super::markup::is_web(url) && url.len() <= LINK_BYTES && !url.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_address_is_completed_and_no_other() {
        let base = Some("https://wiki.example.com/exchange");
        for (address, expected) in [
            ("/runbooks/A.md", "https://wiki.example.com/exchange/runbooks/A.md"),
            ("runbooks/A.md", "https://wiki.example.com/exchange/runbooks/A.md"),
            (" /runbooks/A.md ", "https://wiki.example.com/exchange/runbooks/A.md"),
            ("https://other.example.com/A", "https://other.example.com/A"),
            ("//other.example.com/A", "//other.example.com/A"),
            ("other.example.com/A", "other.example.com/A"),
            ("javascript:alert(1)/", "javascript:alert(1)/"),
            ("see the wiki / page A", "see the wiki / page A"),
            ("", ""),
        ] {
            assert_eq!(complete(address, base), expected, "{address}");
        }
        assert_eq!(complete("/runbooks/A.md", None), "/runbooks/A.md");
    }

    #[test]
    fn an_expression_moves_to_the_address_that_readers_reach() {
        let base = Some("https://prometheus.example.com/x");
        for (url, expected) in [
            ("http://prometheus-0:9090/graph?g0.expr=up&g0.tab=1", "https://prometheus.example.com/x/graph?g0.expr=up&g0.tab=1"),
            ("http://prometheus-0:9090/prefix/graph?g0.expr=up", "https://prometheus.example.com/x/graph?g0.expr=up"),
            ("https://grafana.example.com/alerting/grafana/uid/view", "https://grafana.example.com/alerting/grafana/uid/view"),
            ("", ""),
        ] {
            assert_eq!(expression_link(url, base), expected, "{url}");
            assert_eq!(expression_link(url, None), url);
        }
    }
}

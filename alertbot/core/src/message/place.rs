//! This module selects the labels that distinguish incidents: those with different values, location labels first.

use std::{cmp::Reverse, collections::BTreeMap};

use super::split;
use crate::{alert::Labels, incident::Incident};

/// Location labels, the most useful first.
const LOCATORS: [&str; 18] = [
    "cluster",
    "namespace",
    "pod",
    "node",
    "instance",
    "host",
    "hostname",
    "container",
    "deployment",
    "statefulset",
    "daemonset",
    "mountpoint",
    "device",
    "queue",
    "topic",
    "database",
    "service",
    "job",
];
/// Most labels shown of one incident in a list.
const SHOWN: usize = 3;
/// Most labels shown if no label differs.
const SHOWN_ALONE: usize = 2;
/// Most values shown of a label that differs between alerts of one incident.
const VALUES: usize = 2;
/// Longest value, in UTF-16 units.
const VALUE_UNITS: usize = 40;

/// Rank of a label: location labels first, then by name.
pub fn rank(name: &str) -> usize {
    LOCATORS.iter().position(|known| *known == name).unwrap_or(LOCATORS.len())
}

/// Labels with location labels first, without those shown in every message.
pub fn ranked(labels: &Labels) -> Vec<(&str, &str)> {
    let mut ranked: Vec<(&str, &str)> = labels.iter().filter(|(name, _)| !matches!(*name, "alertname" | "severity")).collect();
    ranked.sort_by_key(|(name, _)| rank(name));
    ranked
}

/// Labels common to all incidents with one title.
#[derive(Debug, Default)]
pub struct SharedFacts(BTreeMap<String, Labels>);

impl SharedFacts {
    pub fn of<'a>(incidents: impl IntoIterator<Item = &'a Incident>) -> Self {
        let mut shared: BTreeMap<String, Labels> = BTreeMap::new();
        for incident in incidents {
            let common = incident.common_labels();
            shared.entry(incident.title()).and_modify(|known| *known = known.shared_with(&common)).or_insert(common);
        }
        Self(shared)
    }
}

/// The labels that distinguish the incident from others with its title, and how many are left out. If none does, its location
/// labels.
pub fn place(incident: &Incident, shared: &SharedFacts) -> String {
    let shown = labels(incident, shared);
    let text = |(name, value): &(String, String)| if name.is_empty() { value.clone() } else { format!("{name}={value}") };
    shown.iter().map(text).collect::<Vec<_>>().join(" ")
}

/// Only the values, for a text in which each character costs. A value that `said` contains is left out.
pub fn short(incident: &Incident, shared: &SharedFacts, said: &str) -> String {
    let named = |value: &str| said.contains(value.split(':').next().unwrap_or(value));
    let shown = labels(incident, shared).into_iter().map(|(_, value)| value).filter(|value| !named(value));
    shown.collect::<Vec<_>>().join(" ")
}

fn labels(incident: &Incident, shared: &SharedFacts) -> Vec<(String, String)> {
    let common = incident.common_labels();
    let same = shared.0.get(&incident.title());
    let differing: Vec<(&str, &str)> =
        ranked(&common).into_iter().filter(|(name, value)| same.is_some_and(|same| same.get(name) != Some(*value))).collect();
    let mut shown: Vec<(String, String)> = match differing.is_empty() {
        false => differing.iter().take(SHOWN).map(pair).collect(),
        true => {
            let known = ranked(&common).into_iter().filter(|(name, _)| rank(name) < LOCATORS.len());
            known.take(SHOWN_ALONE).map(|label| pair(&label)).collect()
        }
    };
    if let Some(spread) = spread(incident, &common) {
        shown.push(spread);
    }
    if differing.len() > SHOWN {
        shown.push((String::new(), format!("+{}", differing.len() - SHOWN)));
    }
    shown
}

fn pair((name, value): &(&str, &str)) -> (String, String) {
    ((*name).to_owned(), split::shorten(value, VALUE_UNITS))
}

/// The first location label whose values differ between the incident's alerts, with some of the values.
fn spread(incident: &Incident, common: &Labels) -> Option<(String, String)> {
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for alert in incident.speaking() {
        for (name, _) in alert.labels.iter().filter(|(name, _)| common.get(name).is_none() && rank(name) < LOCATORS.len()) {
            *names.entry(name).or_default() += 1;
        }
    }
    let name = names.into_iter().min_by_key(|(name, count)| (Reverse(*count), rank(name)))?.0;
    let mut values: Vec<&str> = incident.speaking().filter_map(|alert| alert.labels.get(name)).collect();
    values.sort_unstable();
    values.dedup();
    let more = values.len().saturating_sub(VALUES);
    let named: Vec<String> = values.into_iter().take(VALUES).map(|value| split::shorten(value, VALUE_UNITS)).collect();
    let more = if more == 0 { String::new() } else { format!(" +{more}") };
    Some((name.to_owned(), format!("{}{more}", named.join(","))))
}

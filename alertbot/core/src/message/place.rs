//! This module selects the labels that distinguish incidents: those with different values, location labels first.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::{split, units::utf16_units};
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
/// Labels shown of one incident in a list, if more differ. All that are needed to tell the incidents apart are shown, up to
/// [`MOST_SHOWN`].
const SHOWN: usize = 3;
const MOST_SHOWN: usize = 5;
/// Most labels shown if no label differs.
const SHOWN_ALONE: usize = 2;
/// Labels that say who measures or who is responsible, not what is broken.
const EVERYWHERE: [&str; 6] = ["prometheus", "replica", "monitor", "team", "owner", "receiver"];
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
    let mut ranked: Vec<(&str, &str)> = labels.iter().filter(|(name, _)| is_shown(name)).collect();
    ranked.sort_by_key(|(name, _)| rank(name));
    ranked
}

/// Facts about the incidents of one list, by title.
#[derive(Debug, Default)]
pub struct SharedFacts(BTreeMap<String, TitleFacts>);

/// Facts about the incidents with one title.
#[derive(Debug, Default)]
struct TitleFacts {
    /// Names of the labels to show, and the number of other ones that differ.
    shown: Vec<String>,
    left: usize,
    long: LongValues,
}

impl SharedFacts {
    pub fn of<'a>(incidents: impl IntoIterator<Item = &'a Incident>) -> Self {
        let mut titled: BTreeMap<String, Vec<Labels>> = BTreeMap::new();
        for incident in incidents {
            titled.entry(incident.title()).or_default().push(incident.common_labels());
        }
        Self(titled.into_iter().map(|(title, all)| (title, TitleFacts::of(&all))).collect())
    }
}

impl TitleFacts {
    fn of(all: &[Labels]) -> Self {
        let common = all.iter().skip(1).fold(all[0].clone(), |common, labels| common.shared_with(labels));
        let differing: BTreeSet<(usize, &str)> = all
            .iter()
            .flat_map(Labels::iter)
            .filter(|(name, value)| is_shown(name) && common.get(name) != Some(*value))
            .map(|(name, _)| (rank(name), name))
            .collect();
        // A label tells incidents apart if those before it do not.
        let mut needed: BTreeSet<(usize, &str)> = BTreeSet::new();
        let mut classes = vec![0_usize; all.len()];
        let mut count = 1;
        for label in &differing {
            if count == all.len() || needed.len() == MOST_SHOWN {
                break;
            }
            let mut known: BTreeMap<(usize, Option<&str>), usize> = BTreeMap::new();
            let finer: Vec<usize> = all
                .iter()
                .zip(&classes)
                .map(|(labels, class)| {
                    let next = known.len();
                    *known.entry((*class, labels.get(label.1))).or_insert(next)
                })
                .collect();
            if known.len() > count {
                (classes, count) = (finer, known.len());
                needed.insert(*label);
            }
        }
        for label in &differing {
            if needed.len() >= SHOWN {
                break;
            }
            needed.insert(*label);
        }
        Self {
            left: differing.len() - needed.len(),
            shown: needed.into_iter().map(|(_, name)| name.to_owned()).collect(),
            long: LongValues::of(all, VALUE_UNITS),
        }
    }
}

/// Values that must be shortened, by label. A shortened value shows where it differs from the most similar one.
#[derive(Debug, Default)]
pub struct LongValues(BTreeMap<String, Vec<String>>);

impl LongValues {
    pub fn of<'a>(all: impl IntoIterator<Item = &'a Labels>, units: usize) -> Self {
        let mut values: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for (name, value) in all.into_iter().flat_map(Labels::iter).filter(|(_, value)| utf16_units(value) > units) {
            match values.get_mut(name) {
                Some(known) => drop(known.insert(value)),
                None => drop(values.insert(name.to_owned(), BTreeSet::from([value]))),
            }
        }
        Self(values.into_iter().map(|(name, values)| (name, values.into_iter().map(str::to_owned).collect())).collect())
    }

    pub fn shorten(&self, name: &str, value: &str, units: usize) -> String {
        if utf16_units(value) <= units {
            return value.to_owned();
        }
        let known = self.0.get(name).map_or(&[][..], Vec::as_slice);
        let at = known.partition_point(|other| other.as_str() < value);
        // Sorted: the most similar value is a neighbour.
        let neighbours = known[at.saturating_sub(1)..known.len().min(at + 2)].iter().filter(|other| *other != value);
        split::around(value, units, neighbours.map(|other| same_bytes(value, other)).max())
    }
}

/// Number of equal bytes at the begin of both, up to a character.
fn same_bytes(one: &str, other: &str) -> usize {
    one.char_indices()
        .zip(other.chars())
        .find(|((_, one), other)| one != other)
        .map_or(one.len().min(other.len()), |((at, _), _)| at)
}

/// Whether a label is not part of every message.
fn is_shown(name: &str) -> bool {
    !matches!(name, "alertname" | "severity")
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
    let alone = TitleFacts::default();
    let same = shared.0.get(&incident.title()).unwrap_or(&alone);
    let pair = |(name, value): (&str, &str)| (name.to_owned(), same.long.shorten(name, value, VALUE_UNITS));
    let own = same.shown.iter().filter_map(|name| Some((name.as_str(), common.get(name)?)));
    let mut shown: Vec<(String, String)> = own.map(pair).collect();
    if shown.is_empty() {
        let known = ranked(&common).into_iter().filter(|(name, _)| rank(name) < LOCATORS.len());
        shown = known.take(SHOWN_ALONE).map(pair).collect();
    }
    let spread = spread(incident, &common);
    if shown.is_empty() && spread.is_none() {
        let other = ranked(&common).into_iter().filter(|(name, _)| !EVERYWHERE.contains(name));
        shown = other.take(SHOWN_ALONE).map(pair).collect();
    }
    shown.extend(spread);
    if same.left > 0 {
        shown.push((String::new(), format!("+{}", same.left)));
    }
    shown
}

/// The first label whose values differ between the incident's alerts, location labels first, with some of the values.
fn spread(incident: &Incident, common: &Labels) -> Option<(String, String)> {
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for alert in incident.speaking() {
        for (name, _) in alert.labels.iter().filter(|(name, _)| common.get(name).is_none() && is_shown(name)) {
            *names.entry(name).or_default() += 1;
        }
    }
    let locates = |name: &str| rank(name) < LOCATORS.len();
    let name = names.into_iter().min_by_key(|(name, count)| (!locates(name), Reverse(*count), rank(name)))?.0;
    let mut values: Vec<&str> = incident.speaking().filter_map(|alert| alert.labels.get(name)).collect();
    values.sort_unstable();
    values.dedup();
    let more = values.len().saturating_sub(VALUES);
    let long = LongValues::of(incident.speaking().map(|alert| &alert.labels), VALUE_UNITS);
    let named: Vec<String> = values.into_iter().take(VALUES).map(|value| long.shorten(name, value, VALUE_UNITS)).collect();
    let more = if more == 0 { String::new() } else { format!(" +{more}") };
    Some((name.to_owned(), format!("{}{more}", named.join(","))))
}

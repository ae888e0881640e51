//! This module defines labels and annotations as one sorted list, not a tree. Copies share the list, because ten thousand alerts must
//! fit in a small process.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};

/// Names with values, sorted by name, each name once.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels(Arc<[(Box<str>, Box<str>)]>);

impl Labels {
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(known, _)| known.as_ref().cmp(name)).ok()?;
        Some(&self.0[at].1)
    }

    /// In the order of the names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Labels that both have with the same value.
    pub fn shared_with(&self, other: &Self) -> Self {
        self.iter().filter(|(name, value)| other.get(name) == Some(value)).collect()
    }
}

/// If a name occurs twice, the last value applies.
impl<Name: Into<Box<str>>, Value: Into<Box<str>>> FromIterator<(Name, Value)> for Labels {
    fn from_iter<Pairs: IntoIterator<Item = (Name, Value)>>(pairs: Pairs) -> Self {
        let mut list: Vec<(Box<str>, Box<str>)> = pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        list.sort_by(|(left, _), (right, _)| left.cmp(right));
        // Of equal names the last one remains: its value replaces the earlier one.
        list.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                std::mem::swap(&mut later.1, &mut earlier.1);
            }
            same
        });
        Self(list.into())
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Labels;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object whose values are strings")
            }

            fn visit_unit<E>(self) -> Result<Labels, E> {
                Ok(Labels::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
                let mut pairs: Vec<(Box<str>, Box<str>)> = Vec::with_capacity(map.size_hint().unwrap_or(0));
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs.into_iter().collect())
            }
        }
        deserializer.deserialize_any(Pairs)
    }
}

/// A label's name in a matcher, in quotes unless it has the classic characters only.
pub fn in_matcher(name: &str) -> std::borrow::Cow<'_, str> {
    let classic = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if classic { name.into() } else { format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")).into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_and_the_last_of_two_values_applies() {
        let labels: Labels = serde_json::from_str(r#"{"severity":"critical","alertname":"Down","severity":"warning"}"#).unwrap();
        assert_eq!(serde_json::to_string(&labels).unwrap(), r#"{"alertname":"Down","severity":"warning"}"#);
        assert_eq!((labels.get("severity"), labels.get("sever")), (Some("warning"), None));
        let other = [("alertname", "Down"), ("severity", "critical")].into_iter().collect();
        assert_eq!(labels.shared_with(&other), [("alertname", "Down")].into_iter().collect());
        assert!(serde_json::from_str::<Labels>("null").unwrap().is_empty());
        assert!(serde_json::from_str::<Labels>(r#"{"a":1}"#).is_err());
    }
}

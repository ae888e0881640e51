//! Indices: making, finding, measuring and deleting them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Cluster, Index, settings};
use crate::{
    answer::{FakeAnswer, Refused},
    call::ReceivedCall,
    pattern,
};

impl Cluster {
    /// Concrete indices that a list of names, patterns and data streams means.
    pub(super) fn resolve(&self, names: &str) -> Refused<Vec<String>> {
        let mut found = Vec::new();
        for name in names.split(',') {
            let before = found.len();
            found.extend(self.indices.keys().filter(|index| name == "_all" || pattern::matches(name, index)).cloned());
            for (_, stream) in self.data_streams.iter().filter(|(stream, _)| pattern::matches(name, stream)) {
                found.extend(stream.indices.iter().cloned());
            }
            found.extend(
                self.indices.iter().filter(|(_, index)| index.aliases.contains_key(name)).map(|(index, _)| index.clone()),
            );
            if found.len() == before && !name.contains('*') && name != "_all" {
                return Err(FakeAnswer::index_not_found(name));
            }
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    pub(super) fn create_index(&mut self, name: &str, call: &ReceivedCall, now: Timestamp) -> Refused<FakeAnswer> {
        if self.indices.contains_key(name) || self.data_streams.contains_key(name) {
            let reason = format!("index [{name}/fake] already exists");
            return Err(FakeAnswer::error(400, "resource_already_exists_exception", reason));
        }
        if name != name.to_lowercase() {
            return Err(FakeAnswer::error(
                400,
                "invalid_index_name_exception",
                format!("Invalid index name [{name}], must be lowercase"),
            ));
        }
        let body = call.json()?;
        let composed = self.template_for(name).map(|(_, template)| self.compose(template)).unwrap_or_default();
        let mut flat = BTreeMap::new();
        settings::flatten("index", &composed["settings"]["index"], &mut flat);
        settings::flatten("index", &body["settings"], &mut flat);
        for (setting, default) in [("index.number_of_shards", "1"), ("index.number_of_replicas", "1")] {
            flat.entry(setting.into()).or_insert_with(|| default.into());
        }
        let mappings = if body["mappings"].is_object() { body["mappings"].clone() } else { composed["mappings"].clone() };
        let aliases = body["aliases"].as_object().cloned().unwrap_or_default();
        let uuid = self.uuid();
        self.indices.insert(name.to_owned(), Index { uuid, created: now, settings: flat, mappings, aliases, ..Index::default() });
        Ok(FakeAnswer::ok(json!({"acknowledged": true, "shards_acknowledged": true, "index": name})))
    }

    pub(super) fn delete_indices(&mut self, names: &str) -> Refused<FakeAnswer> {
        if names.contains('*') || names == "_all" {
            return Err(FakeAnswer::illegal_argument("Wildcard expressions or all indices are not allowed"));
        }
        let found = self.resolve(names)?;
        for name in &found {
            let stream =
                self.indices[name].data_stream.clone().and_then(|stream| Some((stream.clone(), self.data_streams.get(&stream)?)));
            if let Some((stream, held)) = stream
                && held.indices.last() == Some(name)
            {
                return Err(FakeAnswer::illegal_argument(format!(
                    "index [{name}] is the write index for data stream [{stream}] and cannot be deleted"
                )));
            }
        }
        for name in &found {
            self.indices.remove(name);
            for stream in self.data_streams.values_mut() {
                stream.indices.retain(|index| index != name);
                stream.failure_indices.retain(|index| index != name);
            }
        }
        Ok(FakeAnswer::acknowledged())
    }

    pub(super) fn count(&self, names: &str) -> Refused<FakeAnswer> {
        let count: u64 = self.resolve(names)?.iter().map(|name| self.indices[name].document_count()).sum();
        Ok(FakeAnswer::ok(json!({"count": count, "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0}})))
    }

    pub(super) fn stats(&self, names: &str) -> Refused<FakeAnswer> {
        let mut told = json!({});
        for name in self.resolve(names)? {
            let index = &self.indices[&name];
            let number = |setting: &str, default: u64| {
                index.settings.get(setting).and_then(|value| value.parse::<u64>().ok()).unwrap_or(default)
            };
            let (shards, copies) = (number("index.number_of_shards", 1), 1 + number("index.number_of_replicas", 1));
            let of = |copies: u64| {
                json!({
                    "docs": {"count": index.document_count(), "deleted": 0}, "store": {"size_in_bytes": index.size() * copies},
                    "shard_stats": {"total_count": shards * copies},
                })
            };
            told[&name] = json!({
                "uuid": index.uuid, "health": self.health, "status": if index.closed { "close" } else { "open" }, "primaries": of(1),
                "total": of(copies),
            });
        }
        Ok(FakeAnswer::ok(json!({"_shards": {"total": 1, "successful": 1, "failed": 0}, "indices": told})))
    }

    pub(super) fn get_index_settings(&self, names: &str, wanted: &str, call: &ReceivedCall) -> Refused<FakeAnswer> {
        let flat = call.flag("flat_settings")? == Some(true);
        let mut told = json!({});
        for name in self.resolve(names)? {
            let index = &self.indices[&name];
            let mut held = index.settings.clone();
            held.insert("index.creation_date".into(), index.created.as_millisecond().to_string());
            held.insert("index.uuid".into(), index.uuid.clone());
            held.retain(|setting, _| pattern::listed(wanted, setting));
            told[&name] = json!({"settings": if flat { json!(held) } else { settings::nested(&held) }});
        }
        Ok(FakeAnswer::ok(told))
    }

    pub(super) fn put_index_settings(&mut self, names: &str, call: &ReceivedCall) -> Refused<FakeAnswer> {
        let body = call.required_json()?;
        for name in self.resolve(names)? {
            if let Some(index) = self.indices.get_mut(&name) {
                settings::flatten("index", &body, &mut index.settings);
            }
        }
        Ok(FakeAnswer::acknowledged())
    }

    /// Bytes that all indices take, copies counted.
    pub(super) fn stored_bytes(&self) -> u64 {
        let copies =
            |index: &Index| 1 + index.settings.get("index.number_of_replicas").and_then(|value| value.parse().ok()).unwrap_or(1);
        self.indices.values().map(|index| index.size() * copies(index)).sum::<u64>()
    }
}

/// A number as text, as in the answers of `_cat`.
pub fn cell(number: impl ToString) -> Value {
    Value::String(number.to_string())
}

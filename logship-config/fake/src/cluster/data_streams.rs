//! Data streams and their backing indices.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Cluster, DataStream, Index, compose};
use crate::{
    answer::{FakeAnswer, Refused},
    call::ReceivedCall,
    pattern,
};

impl Cluster {
    pub(super) fn get_data_streams(&self, names: &str) -> Refused<FakeAnswer> {
        let found: Vec<_> = self.data_streams.iter().filter(|(name, _)| pattern::listed(names, name)).collect();
        if found.is_empty() && !names.contains('*') {
            return Err(FakeAnswer::index_not_found(names));
        }
        let told = found.iter().map(|(name, stream)| self.describe_data_stream(name, stream));
        Ok(FakeAnswer::ok(json!({"data_streams": told.collect::<Vec<_>>()})))
    }

    fn describe_data_stream(&self, name: &str, stream: &DataStream) -> Value {
        let of = |index: &String| {
            let held = &self.indices[index];
            let policy = held.settings.get("index.lifecycle.name");
            let mut told = json!({"index_name": index, "index_uuid": held.uuid, "prefer_ilm": true, "index_mode": "standard"});
            told["prefer_ilm"] = (held.settings.get("index.lifecycle.prefer_ilm").is_none_or(|prefers| prefers == "true")).into();
            told["managed_by"] = if policy.is_some() { "Index Lifecycle Management" } else { "Unmanaged" }.into();
            if let Some(policy) = policy {
                told["ilm_policy"] = policy.as_str().into();
            }
            told
        };
        let newest = stream.indices.last().map(of).unwrap_or_default();
        // Template, policy and preference of the next index. Existing indices may have others.
        let matching = self.template_for(name);
        let next = matching.map(|(_, template)| self.compose(template)).unwrap_or_default();
        let next = &next["settings"]["index"]["lifecycle"];
        let mut told = json!({
            "name": name, "timestamp_field": {"name": "@timestamp"},
            "indices": stream.indices.iter().map(of).collect::<Vec<_>>(), "generation": stream.generation, "status": "GREEN",
            "hidden": stream.hidden, "system": false, "allow_custom_routing": false,
            "replicated": false, "rollover_on_write": false, "index_mode": "standard", "prefer_ilm": next["prefer_ilm"] != "false",
            "next_generation_managed_by": newest["managed_by"],
            "failure_store": {
                "enabled": stream.failure_store, "rollover_on_write": stream.failure_indices.is_empty(),
                "indices": stream.failure_indices.iter().map(of).collect::<Vec<_>>(),
            },
        });
        if let Some((template, _)) = matching {
            told["template"] = template.as_str().into();
        }
        if !next["name"].is_null() {
            told["ilm_policy"] = next["name"].clone();
        }
        if let Some(lifecycle) = &stream.lifecycle {
            told["lifecycle"] = lifecycle.clone();
        }
        told["settings"] = stream.settings.clone();
        told["mappings"] = stream.mappings.clone();
        if let Some(meta) = &stream.meta {
            told["_meta"] = meta.clone();
        }
        told
    }

    pub(super) fn create_data_stream(&mut self, name: &str, now: Timestamp) -> Refused<FakeAnswer> {
        if self.data_streams.contains_key(name) {
            let reason = format!("data_stream [{name}] already exists");
            return Err(FakeAnswer::error(400, "resource_already_exists_exception", reason));
        }
        if name != name.to_lowercase() {
            return Err(FakeAnswer::illegal_argument(format!("data_stream [{name}] must be lowercase")));
        }
        let body = match self.template_for(name) {
            Some((_, body)) if body.get("data_stream").is_some() => body.clone(),
            Some((template, _)) => {
                let reason = format!("matching index template [{template}] for data stream [{name}] has no data stream template");
                return Err(FakeAnswer::illegal_argument(reason));
            }
            None => {
                let reason = format!("no matching index template found for data stream [{name}]");
                return Err(FakeAnswer::illegal_argument(reason));
            }
        };
        let composed = self.compose(&body);
        let options = &composed["data_stream_options"]["failure_store"];
        let options = options.is_object().then(|| compose::failure_store(options));
        let stream = DataStream {
            hidden: body["data_stream"]["hidden"].as_bool().unwrap_or(false),
            failure_store: options.as_ref().is_some_and(|options| options["enabled"] == true),
            options,
            lifecycle: composed.get("lifecycle").map(compose::lifecycle),
            meta: body.get("_meta").cloned(),
            ..DataStream::default()
        };
        self.data_streams.insert(name.to_owned(), stream);
        self.roll(name, now);
        Ok(FakeAnswer::acknowledged())
    }

    /// Creates the next backing index of a data stream and returns its name.
    ///
    /// # Panics
    /// Returns an error if the data stream does not exist.
    pub fn roll(&mut self, name: &str, now: Timestamp) -> String {
        let composed = self.template_for(name).map(|(_, template)| self.compose(template)).unwrap_or_default();
        let uuid = self.uuid();
        let stream = self.data_streams.get_mut(name).expect("the caller has looked");
        stream.generation += 1;
        let day = now.strftime("%Y.%m.%d");
        let index = format!(".ds-{name}-{day}-{:06}", stream.generation);
        let before = stream.indices.last().cloned();
        stream.indices.push(index.clone());
        // What the stream itself was set to goes over its template.
        let overrides = stream.settings.clone();
        let mut settings = std::collections::BTreeMap::new();
        super::settings::flatten("index", &composed["settings"]["index"], &mut settings);
        super::settings::flatten("index", &overrides["index"], &mut settings);
        settings.entry("index.number_of_shards".into()).or_insert_with(|| "1".into());
        settings.entry("index.number_of_replicas".into()).or_insert_with(|| "1".into());
        settings.insert("index.hidden".into(), "true".into());
        let held = Index {
            uuid,
            created: now,
            settings,
            mappings: composed["mappings"].clone(),
            data_stream: Some(name.to_owned()),
            ..Index::default()
        };
        self.indices.insert(index.clone(), held);
        if let Some(old) = before.and_then(|before| self.indices.get_mut(&before)) {
            old.rolled_over = Some(now);
        }
        index
    }

    pub(super) fn delete_data_streams(&mut self, names: &str) -> Refused<FakeAnswer> {
        let found: Vec<_> = self.data_streams.keys().filter(|name| pattern::listed(names, name)).cloned().collect();
        if found.is_empty() && !names.contains('*') {
            return Err(FakeAnswer::index_not_found(names));
        }
        for name in &found {
            self.data_streams.remove(name);
            self.indices.retain(|_, index| index.data_stream.as_ref() != Some(name));
        }
        Ok(FakeAnswer::acknowledged())
    }

    /// The names that a list of patterns finds.
    fn streams_of(&self, names: &str) -> Refused<Vec<String>> {
        let found: Vec<_> = self.data_streams.keys().filter(|name| pattern::listed(names, name)).cloned().collect();
        if found.is_empty() && !names.contains('*') { Err(FakeAnswer::index_not_found(names)) } else { Ok(found) }
    }

    pub(super) fn get_stream_lifecycle(&self, names: &str) -> Refused<FakeAnswer> {
        let told = self.streams_of(names)?.into_iter().map(|name| {
            let lifecycle = &self.data_streams[&name].lifecycle;
            let mut told = json!({"name": name});
            if let Some(lifecycle) = lifecycle {
                told["lifecycle"] = lifecycle.clone();
            }
            told
        });
        Ok(FakeAnswer::ok(json!({"data_streams": told.collect::<Vec<_>>(), "global_retention": {}})))
    }

    pub(super) fn put_stream_lifecycle(&mut self, names: &str, call: &ReceivedCall) -> Refused<FakeAnswer> {
        let body = call.required_json()?;
        compose::strict_lifecycle(&body)?;
        if body["data_retention"].as_str().is_some_and(|kept| super::units::duration(kept).is_none()) {
            return Err(FakeAnswer::illegal_argument("failed to parse setting [data_retention] as a time value"));
        }
        for name in self.streams_of(names)? {
            if let Some(stream) = self.data_streams.get_mut(&name) {
                stream.lifecycle = Some(compose::lifecycle(&body));
            }
        }
        Ok(FakeAnswer::acknowledged())
    }

    pub(super) fn delete_stream_lifecycle(&mut self, names: &str) -> Refused<FakeAnswer> {
        for name in self.streams_of(names)? {
            if let Some(stream) = self.data_streams.get_mut(&name) {
                stream.lifecycle = None;
            }
        }
        Ok(FakeAnswer::acknowledged())
    }

    pub(super) fn get_stream_options(&self, names: &str) -> Refused<FakeAnswer> {
        let told = self.streams_of(names)?.into_iter().map(|name| match &self.data_streams[&name].options {
            Some(options) => json!({"name": name, "options": {"failure_store": options}}),
            None => json!({"name": name}),
        });
        Ok(FakeAnswer::ok(json!({"data_streams": told.collect::<Vec<_>>()})))
    }

    /// `Null` takes the options away.
    pub(super) fn set_stream_options(&mut self, names: &str, body: &Value) -> Refused<FakeAnswer> {
        compose::strict(body, "put_data_stream_options_request", &["failure_store"])?;
        compose::strict_failure_store(&body["failure_store"])?;
        let options = &body["failure_store"];
        let options = options.is_object().then(|| compose::failure_store(options));
        for name in self.streams_of(names)? {
            if let Some(stream) = self.data_streams.get_mut(&name) {
                stream.failure_store = options.as_ref().is_some_and(|options| options["enabled"] == true);
                stream.options = options.clone();
            }
        }
        Ok(FakeAnswer::acknowledged())
    }

    /// Settings or mappings of the stream itself (`part`), and what its next index gets.
    pub(super) fn get_stream_part(&self, names: &str, part: &str) -> Refused<FakeAnswer> {
        let told = self.streams_of(names)?.into_iter().map(|name| {
            let stream = &self.data_streams[&name];
            let composed = self.template_for(&name).map(|(_, template)| self.compose(template)).unwrap_or_default();
            let own = if part == "settings" { &stream.settings } else { &stream.mappings };
            let mut effective = composed[part].clone();
            compose::merge(&mut effective, own);
            json!({"name": name, part: own, format!("effective_{part}"): effective})
        });
        Ok(FakeAnswer::ok(json!({"data_streams": told.collect::<Vec<_>>()})))
    }

    pub(super) fn put_stream_part(&mut self, names: &str, part: &str, call: &ReceivedCall) -> Refused<FakeAnswer> {
        let given = call.required_json()?;
        let found = self.streams_of(names)?;
        for name in &found {
            let Some(stream) = self.data_streams.get_mut(name) else { continue };
            if part == "settings" {
                let mut flat = std::collections::BTreeMap::new();
                super::settings::flatten("index", &given, &mut flat);
                compose::merge(&mut stream.settings, &super::settings::nested(&flat));
            } else {
                compose::merge(&mut stream.mappings, &given);
            }
        }
        let mut answer = self.get_stream_part(names, part)?;
        for told in answer.body["data_streams"].as_array_mut().into_iter().flatten() {
            told["applied_to_data_stream"] = true.into();
        }
        Ok(answer)
    }

    pub(super) fn stream_stats(&self, names: &str) -> Refused<FakeAnswer> {
        let found = self.streams_of(names)?;
        let size = |stream: &DataStream| -> u64 {
            stream.indices.iter().filter_map(|index| self.indices.get(index)).map(Index::size).sum()
        };
        let told: Vec<_> = found
            .iter()
            .map(|name| {
                let stream = &self.data_streams[name];
                json!({
                    "data_stream": name, "backing_indices": stream.indices.len(), "store_size_bytes": size(stream), "maximum_timestamp": 0,
                })
            })
            .collect();
        let backing: usize = found.iter().map(|name| self.data_streams[name].indices.len()).sum();
        let bytes: u64 = found.iter().map(|name| size(&self.data_streams[name])).sum();
        Ok(FakeAnswer::ok(json!({
            "_shards": {"total": backing, "successful": backing, "failed": 0}, "data_stream_count": found.len(),
            "backing_indices": backing, "total_store_size_bytes": bytes, "data_streams": told,
        })))
    }

    /// `POST /{target}/_rollover` of a data stream, or of its failure store.
    pub(super) fn rollover(&mut self, target: &str, call: &ReceivedCall, now: Timestamp) -> Refused<FakeAnswer> {
        let (name, failures) = match target.strip_suffix("::failures") {
            Some(name) => (name, true),
            None => (target, false),
        };
        let Some(stream) = self.data_streams.get(name) else {
            return Err(FakeAnswer::illegal_argument(format!("rollover target [{target}] does not exist")));
        };
        if !call.json()?["conditions"].is_null() {
            return Err(FakeAnswer::not_modelled("conditions of a rollover"));
        }
        let dry_run = call.flag("dry_run")? == Some(true);
        let old = if failures { stream.failure_indices.last() } else { stream.indices.last() }.cloned();
        let new = match (dry_run, failures) {
            (true, _) => format!("{}-next", old.clone().unwrap_or_default()),
            (false, true) => self.roll_failures(name, now),
            (false, false) => self.roll(name, now),
        };
        Ok(FakeAnswer::ok(json!({
            "acknowledged": !dry_run, "shards_acknowledged": !dry_run, "old_index": old.unwrap_or_default(), "new_index": new,
            "rolled_over": !dry_run, "dry_run": dry_run, "lazy": false, "conditions": {},
        })))
    }

    fn roll_failures(&mut self, name: &str, now: Timestamp) -> String {
        let uuid = self.uuid();
        let Some(stream) = self.data_streams.get_mut(name) else { return String::new() };
        stream.generation += 1;
        let index = format!(".fs-{name}-{}-{:06}", now.strftime("%Y.%m.%d"), stream.generation);
        stream.failure_indices.push(index.clone());
        let held = Index { uuid, created: now, data_stream: Some(name.to_owned()), ..Index::default() };
        self.indices.insert(index.clone(), held);
        index
    }

    pub(super) fn modify_streams(&mut self, call: &ReceivedCall) -> Refused<FakeAnswer> {
        let body = call.required_json()?;
        for action in body["actions"].as_array().into_iter().flatten() {
            let (what, arguments) = action
                .as_object()
                .and_then(|action| action.iter().next())
                .map(|(what, arguments)| (what.as_str(), arguments))
                .unwrap_or(("", &Value::Null));
            let text = |key: &str| arguments[key].as_str().unwrap_or_default().to_owned();
            let (name, index) = (text("data_stream"), text("index"));
            if !self.indices.contains_key(&index) {
                return Err(FakeAnswer::index_not_found(&index));
            }
            let Some(stream) = self.data_streams.get_mut(&name) else {
                return Err(FakeAnswer::illegal_argument(format!("data stream [{name}] not found")));
            };
            match what {
                "add_backing_index" => {
                    stream.indices.insert(0, index.clone());
                    if let Some(held) = self.indices.get_mut(&index) {
                        held.data_stream = Some(name);
                    }
                }
                "remove_backing_index" if stream.indices.last() == Some(&index) => {
                    let reason = format!(
                        "cannot remove backing index [{index}] of data stream [{name}] because it is the write index of the data stream"
                    );
                    return Err(FakeAnswer::illegal_argument(reason));
                }
                "remove_backing_index" => {
                    stream.indices.retain(|held| *held != index);
                    if let Some(held) = self.indices.get_mut(&index) {
                        held.data_stream = None;
                    }
                }
                other => return Err(FakeAnswer::not_modelled(&format!("the action {other}"))),
            }
        }
        Ok(FakeAnswer::acknowledged())
    }
}

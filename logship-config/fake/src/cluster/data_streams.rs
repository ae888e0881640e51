//! Data streams and their backing indices.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Cluster, DataStream, Index};
use crate::{
    answer::{Answer, Refused},
    pattern,
};

impl Cluster {
    pub(super) fn get_data_streams(&self, names: &str) -> Refused<Answer> {
        let found: Vec<_> = self.data_streams.iter().filter(|(name, _)| pattern::listed(names, name)).collect();
        if found.is_empty() && !names.contains('*') {
            return Err(Answer::index_not_found(names));
        }
        let told = found.iter().map(|(name, stream)| self.describe_data_stream(name, stream));
        Ok(Answer::ok(json!({"data_streams": told.collect::<Vec<_>>()})))
    }

    fn describe_data_stream(&self, name: &str, stream: &DataStream) -> Value {
        let of = |index: &String| {
            let held = &self.indices[index];
            let policy = held.settings.get("index.lifecycle.name");
            let mut told = json!({"index_name": index, "index_uuid": held.uuid, "prefer_ilm": true, "index_mode": "standard"});
            told["managed_by"] = if policy.is_some() { "Index Lifecycle Management" } else { "Unmanaged" }.into();
            if let Some(policy) = policy {
                told["ilm_policy"] = policy.as_str().into();
            }
            told
        };
        let newest = stream.indices.last().map(of).unwrap_or_default();
        let mut told = json!({
            "name": name, "timestamp_field": {"name": "@timestamp"},
            "indices": stream.indices.iter().map(of).collect::<Vec<_>>(), "generation": stream.generation, "status": "GREEN",
            "template": stream.template, "hidden": stream.hidden, "system": false, "allow_custom_routing": false,
            "replicated": false, "rollover_on_write": false, "index_mode": "standard", "prefer_ilm": true,
            "next_generation_managed_by": newest["managed_by"],
            "failure_store": {
                "enabled": stream.failure_store, "rollover_on_write": stream.failure_indices.is_empty(),
                "indices": stream.failure_indices.iter().map(of).collect::<Vec<_>>(),
            },
        });
        if let Some(policy) = newest.get("ilm_policy") {
            told["ilm_policy"] = policy.clone();
        }
        if let Some(lifecycle) = &stream.lifecycle {
            told["lifecycle"] = lifecycle.clone();
        }
        if let Some(meta) = &stream.meta {
            told["_meta"] = meta.clone();
        }
        told
    }

    pub(super) fn create_data_stream(&mut self, name: &str, now: Timestamp) -> Refused<Answer> {
        if self.data_streams.contains_key(name) {
            let reason = format!("data_stream [{name}] already exists");
            return Err(Answer::error(400, "resource_already_exists_exception", reason));
        }
        if name != name.to_lowercase() {
            return Err(Answer::illegal_argument(format!("data_stream [{name}] must be lowercase")));
        }
        let (template, body) = match self.template_for(name) {
            Some((template, body)) if body.get("data_stream").is_some() => (template.clone(), body.clone()),
            Some((template, _)) => {
                let reason = format!("matching index template [{template}] for data stream [{name}] has no data stream template");
                return Err(Answer::illegal_argument(reason));
            }
            None => {
                let reason = format!("no matching index template found for data stream [{name}]");
                return Err(Answer::illegal_argument(reason));
            }
        };
        let stream = DataStream {
            template,
            hidden: body["data_stream"]["hidden"].as_bool().unwrap_or(false),
            failure_store: body["template"]["data_stream_options"]["failure_store"]["enabled"].as_bool().unwrap_or(false),
            lifecycle: body["template"].get("lifecycle").cloned(),
            meta: body.get("_meta").cloned(),
            ..DataStream::default()
        };
        self.data_streams.insert(name.to_owned(), stream);
        self.roll(name, now);
        Ok(Answer::acknowledged())
    }

    /// Gives a data stream its next backing index and returns its name.
    ///
    /// # Panics
    /// When there is no such data stream.
    pub fn roll(&mut self, name: &str, now: Timestamp) -> String {
        let template = self.index_templates.get(&self.data_streams[name].template).cloned().unwrap_or_default();
        let uuid = self.uuid();
        let stream = self.data_streams.get_mut(name).expect("the caller has looked");
        stream.generation += 1;
        let day = now.strftime("%Y.%m.%d");
        let index = format!(".ds-{name}-{day}-{:06}", stream.generation);
        stream.indices.push(index.clone());
        let mut settings = std::collections::BTreeMap::new();
        super::settings::flatten("index", &template["template"]["settings"], &mut settings);
        let held = Index {
            uuid,
            created: now,
            settings,
            mappings: template["template"]["mappings"].clone(),
            data_stream: Some(name.to_owned()),
            ..Index::default()
        };
        self.indices.insert(index.clone(), held);
        index
    }

    pub(super) fn delete_data_streams(&mut self, names: &str) -> Refused<Answer> {
        let found: Vec<_> = self.data_streams.keys().filter(|name| pattern::listed(names, name)).cloned().collect();
        if found.is_empty() && !names.contains('*') {
            return Err(Answer::index_not_found(names));
        }
        for name in &found {
            self.data_streams.remove(name);
            self.indices.retain(|_, index| index.data_stream.as_ref() != Some(name));
        }
        Ok(Answer::acknowledged())
    }
}

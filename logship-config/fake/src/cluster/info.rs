//! The cluster about itself: settings, licence, disks, health.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Cluster, Mode, indices::cell, settings};
use crate::{
    answer::{FakeAnswer, Refused},
    call::ReceivedCall,
};

const DAY_MILLIS: i64 = 86_400_000;

impl Cluster {
    pub(super) fn get_cluster_settings(&self, call: &ReceivedCall) -> Refused<FakeAnswer> {
        let persistent = match call.flag("flat_settings")? {
            Some(true) => json!(self.settings),
            _ => settings::nested(&self.settings),
        };
        Ok(FakeAnswer::ok(json!({"persistent": persistent, "transient": {}})))
    }

    pub(super) fn put_cluster_settings(&mut self, call: &ReceivedCall) -> Refused<FakeAnswer> {
        let body = call.required_json()?;
        for level in ["persistent", "transient"] {
            let mut flat = BTreeMap::new();
            settings::flatten("", &body[level], &mut flat);
            // A null takes a setting away.
            for name in removed("", &body[level]) {
                self.settings.remove(&name);
            }
            self.settings.extend(flat.into_iter().map(|(name, value)| (name.trim_start_matches('.').to_owned(), value)));
        }
        Ok(FakeAnswer::ok(json!({"acknowledged": true, "persistent": {}, "transient": {}})))
    }

    /// The part of the state that says what file-based settings hold.
    pub(super) fn state(&self) -> FakeAnswer {
        let mut handlers = json!({});
        for (handler, name) in &self.reserved {
            if !handlers[handler].is_object() {
                handlers[handler] = json!({"keys": []});
            }
            if let Some(keys) = handlers[handler]["keys"].as_array_mut() {
                keys.push(name.as_str().into());
            }
        }
        let mut metadata = json!({"cluster_uuid": "ZmFrZS1lbGFzdGljc2VhcmNo"});
        if !self.reserved.is_empty() {
            metadata["reserved_state"] = json!({"file_settings": {"version": 1, "handlers": handlers}});
        }
        FakeAnswer::ok(json!({"cluster_name": self.name, "cluster_uuid": "ZmFrZS1lbGFzdGljc2VhcmNo", "metadata": metadata}))
    }

    pub(super) fn license(&self, now: Timestamp) -> FakeAnswer {
        let kind = if self.mode == Mode::Enterprise { "enterprise" } else { "basic" };
        let mut license = json!({
            "status": "active", "uid": "00000000-0000-4000-8000-000000000000", "type": kind,
            "issue_date": "2026-01-01T00:00:00.000Z", "issue_date_in_millis": 1_767_225_600_000_i64, "max_nodes": 1000,
            "max_resource_units": Value::Null, "issued_to": self.name, "issuer": "elasticsearch", "start_date_in_millis": -1,
        });
        if self.mode == Mode::Enterprise {
            license["expiry_date_in_millis"] = (now.as_millisecond() + 365 * DAY_MILLIS).into();
        }
        FakeAnswer::ok(json!({"license": license}))
    }

    pub(super) fn lifecycle_status(&self) -> FakeAnswer {
        FakeAnswer::ok(json!({"operation_mode": if self.lifecycle_running { "RUNNING" } else { "STOPPED" }}))
    }

    /// Disks and shards of each node. Data is spread evenly.
    pub(super) fn nodes_stats(&self) -> FakeAnswer {
        let (stored, count) = (self.stored_bytes(), self.disks.len().max(1) as u64);
        let mut nodes = json!({});
        for (place, disk) in self.disks.iter().enumerate() {
            let used = (disk.used + stored / count).min(disk.total);
            nodes[format!("fakeNode{place}")] = json!({
                "name": format!("{}-{place}", self.name), "roles": ["data_content", "data_hot", "ingest", "master"],
                "fs": {"total": {"total_in_bytes": disk.total, "free_in_bytes": disk.total - used, "available_in_bytes": disk.total - used}},
                "indices": {
                    "shard_stats": {"total_count": self.indices.len() as u64 / count}, "store": {"size_in_bytes": stored / count},
                },
            });
        }
        FakeAnswer::ok(
            json!({"_nodes": {"total": count, "successful": count, "failed": 0}, "cluster_name": self.name, "nodes": nodes}),
        )
    }

    pub(super) fn cat_health(&self, now: Timestamp) -> FakeAnswer {
        FakeAnswer::ok(json!([{
            "epoch": cell(now.as_second()), "timestamp": now.strftime("%H:%M:%S").to_string(), "cluster": self.name,
            "status": self.health, "node.total": "1", "node.data": "1", "shards": cell(self.indices.len()),
        }]))
    }

    pub(super) fn health_report(&self) -> FakeAnswer {
        FakeAnswer::ok(json!({"status": self.health, "cluster_name": self.name, "indicators": {}}))
    }
}

/// Flat names that are set to null.
fn removed(prefix: &str, value: &Value) -> Vec<String> {
    let Some(section) = value.as_object() else {
        return if value.is_null() && !prefix.is_empty() { vec![prefix.to_owned()] } else { Vec::new() };
    };
    let name = |key: &str| if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
    section.iter().flat_map(|(key, value)| removed(&name(key), value)).collect()
}

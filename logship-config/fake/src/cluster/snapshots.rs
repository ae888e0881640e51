//! Repositories, snapshots and snapshot lifecycle policies. A snapshot is taken at once and holds names, not data.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    Cluster, compose, schedule, settings,
    types::{self, Type},
    units::duration,
};
use crate::{
    answer::{FakeAnswer, Refused},
    call::ReceivedCall,
    pattern,
};

const METADATA_LIMIT_BYTES: usize = 1024;

/// A stored snapshot lifecycle policy.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotPolicy {
    pub body: Value,
    pub version: u64,
    pub modified: Timestamp,
    pub last_success: Option<Timestamp>,
}

fn repository_missing(name: &str) -> FakeAnswer {
    FakeAnswer::error(404, "repository_missing_exception", format!("[{name}] missing"))
}

fn snapshot_missing(repository: &str, name: &str) -> FakeAnswer {
    FakeAnswer::error(404, "snapshot_missing_exception", format!("[{repository}:{name}] is missing"))
}

impl Cluster {
    pub(super) fn get_repositories(&self, names: &str) -> Refused<FakeAnswer> {
        let found = self.repositories.iter().filter(|(name, _)| pattern::listed(names, name));
        let found: Map<_, _> = found.map(|(name, body)| (name.clone(), body.clone())).collect();
        if found.is_empty() && !names.contains('*') {
            return Err(repository_missing(names));
        }
        Ok(FakeAnswer::ok(found.into()))
    }

    pub(super) fn put_repository(&mut self, name: &str, call: &ReceivedCall) -> Refused<FakeAnswer> {
        let body = call.required_json()?;
        let kind = body["type"].as_str().ok_or_else(|| {
            FakeAnswer::error(400, "action_request_validation_exception", "Validation Failed: 1: type is missing;")
        })?;
        compose::strict(&body, "put_repository_request", &["type", "settings", "uuid"])?;
        let failed = |reason: String| FakeAnswer::error(500, "repository_exception", format!("[{name}] {reason}"));
        match kind {
            "s3" if body["settings"]["bucket"].as_str().is_none_or(str::is_empty) => {
                return Err(failed("failed to create repository: No bucket defined for s3 repository".into()));
            }
            "s3" | "fs" | "gcs" | "azure" | "url" => {}
            other => {
                return Err(FakeAnswer::error(
                    400,
                    "repository_exception",
                    format!("[{name}] repository type [{other}] does not exist"),
                ));
            }
        }
        let mut flat = BTreeMap::new();
        settings::flatten("", &body["settings"], &mut flat);
        let plain = flat.into_iter().map(|(name, value)| (name.trim_start_matches('.').to_owned(), value)).collect();
        let uuid = self.uuid();
        self.repositories.insert(name.to_owned(), json!({"type": kind, "uuid": uuid, "settings": settings::nested(&plain)}));
        Ok(FakeAnswer::acknowledged())
    }

    pub(super) fn delete_repository(&mut self, name: &str) -> Refused<FakeAnswer> {
        self.repositories.remove(name).ok_or_else(|| repository_missing(name))?;
        self.snapshots.retain(|(repository, _), _| repository != name);
        Ok(FakeAnswer::acknowledged())
    }

    pub(super) fn verify_repository(&self, name: &str) -> Refused<FakeAnswer> {
        self.repositories.get(name).ok_or_else(|| repository_missing(name))?;
        Ok(FakeAnswer::ok(json!({"nodes": {"fakeNode0": {"name": format!("{}-0", self.name)}}})))
    }

    pub(super) fn put_snapshot(
        &mut self,
        repository: &str,
        name: &str,
        call: &ReceivedCall,
        now: Timestamp,
    ) -> Refused<FakeAnswer> {
        self.repositories.get(repository).ok_or_else(|| repository_missing(repository))?;
        let waits = call.flag("wait_for_completion")? == Some(true);
        let body = call.json()?;
        let told = self.take_snapshot(repository, name, &body, now);
        Ok(FakeAnswer::ok(if waits { json!({"snapshot": told}) } else { json!({"accepted": true}) }))
    }

    fn take_snapshot(&mut self, repository: &str, name: &str, body: &Value, now: Timestamp) -> Value {
        let uuid = self.uuid();
        let told = json!({
            "snapshot": name, "uuid": uuid, "repository": repository, "state": "SUCCESS", "failures": [],
            "indices": self.indices.keys().collect::<Vec<_>>(), "data_streams": self.data_streams.keys().collect::<Vec<_>>(),
            "include_global_state": body["include_global_state"].as_bool().unwrap_or(true),
            "start_time_in_millis": now.as_millisecond(), "end_time_in_millis": now.as_millisecond(), "duration_in_millis": 0,
            "shards": {"total": self.indices.len(), "failed": 0, "successful": self.indices.len()},
        });
        self.snapshots.insert((repository.to_owned(), name.to_owned()), told.clone());
        told
    }

    pub(super) fn get_snapshots(&self, repository: &str, names: &str) -> Refused<FakeAnswer> {
        self.repositories.get(repository).ok_or_else(|| repository_missing(repository))?;
        let found = self.snapshots.iter().filter(|((of, name), _)| of == repository && pattern::listed(names, name));
        let found: Vec<_> = found.map(|(_, told)| told).collect();
        if found.is_empty() && !names.contains('*') && names != "_all" {
            return Err(snapshot_missing(repository, names));
        }
        Ok(FakeAnswer::ok(json!({"snapshots": found, "total": found.len(), "remaining": 0})))
    }

    pub(super) fn clone_snapshot(&mut self, repository: &str, name: &str, target: &str) -> Refused<FakeAnswer> {
        let key = |name: &str| (repository.to_owned(), name.to_owned());
        let mut told = self.snapshots.get(&key(name)).cloned().ok_or_else(|| snapshot_missing(repository, name))?;
        told["snapshot"] = target.into();
        told["uuid"] = self.uuid().into();
        self.snapshots.insert(key(target), told);
        Ok(FakeAnswer::acknowledged())
    }

    pub(super) fn delete_snapshot(&mut self, repository: &str, name: &str) -> Refused<FakeAnswer> {
        let key = (repository.to_owned(), name.to_owned());
        self.snapshots.remove(&key).ok_or_else(|| snapshot_missing(repository, name))?;
        Ok(FakeAnswer::acknowledged())
    }

    pub(super) fn get_snapshot_policies(&self, names: &str) -> Refused<FakeAnswer> {
        let found: Vec<_> = self.snapshot_policies.iter().filter(|(name, _)| pattern::listed(names, name)).collect();
        if found.is_empty() && !names.contains('*') {
            return Err(FakeAnswer::missing(format!(
                "snapshot lifecycle policy or policies [{names}] not found, no policies are configured"
            )));
        }
        let told = found.into_iter().map(|(name, policy)| {
            let mut told = json!({
                "version": policy.version, "modified_date_millis": policy.modified.as_millisecond(), "policy": policy.body,
                "next_execution_millis": policy.modified.as_millisecond() + 86_400_000,
                "stats": {"policy": name, "snapshots_taken": u8::from(policy.last_success.is_some()), "snapshots_failed": 0,
                    "snapshots_deleted": 0, "snapshot_deletion_failures": 0},
            });
            if let Some(taken) = policy.last_success {
                told["last_success"] = json!({"snapshot_name": name, "time": taken.as_millisecond()});
            }
            (name.clone(), told)
        });
        Ok(FakeAnswer::ok(told.collect::<Map<_, _>>().into()))
    }

    pub(super) fn put_snapshot_policy(&mut self, name: &str, call: &ReceivedCall, now: Timestamp) -> Refused<FakeAnswer> {
        let body = call.required_json()?;
        let known = ["schedule", "name", "repository", "config", "retention", "unhealthy_if_no_snapshot_within"];
        if let Some(unknown) = body.as_object().and_then(|body| compose::unknown(body, &known)) {
            return Err(FakeAnswer::error(
                400,
                "x_content_parse_exception",
                format!("[1:2] [snapshot_lifecycle] unknown field [{unknown}]"),
            ));
        }
        let strict = |part: &str, known: &[&str]| match body[part].as_object().and_then(|part| compose::unknown(part, known)) {
            None => Ok(()),
            Some(unknown) => Err(FakeAnswer::error(
                400,
                "x_content_parse_exception",
                format!("[1:2] [snapshot_{part}] unknown field [{unknown}]"),
            )),
        };
        strict("retention", &["expire_after", "min_count", "max_count"])?;
        let config = [
            "indices",
            "ignore_unavailable",
            "include_global_state",
            "feature_states",
            "metadata",
            "partial",
            "expand_wildcards",
            "allow_no_indices",
        ];
        strict("config", &config)?;
        for (key, kind) in
            [("config", Type::Object), ("retention", Type::Object), ("unhealthy_if_no_snapshot_within", Type::Duration)]
        {
            if let Some(value) = body.get(key) {
                types::check_type("snapshot_lifecycle", key, value, kind)?;
            }
        }
        for (key, kind) in [("expire_after", Type::DurationText), ("min_count", Type::Int), ("max_count", Type::Int)] {
            if let Some(value) = body["retention"].get(key) {
                types::check_type("snapshot_retention", key, value, kind)?;
            }
        }
        let text = |key: &str| body[key].as_str().unwrap_or_default();
        let invalid = |what: &str| {
            Err(FakeAnswer::error(400, "action_request_validation_exception", format!("Validation Failed: 1: invalid {what};")))
        };
        if body["config"].get("metadata").is_some_and(|metadata| !metadata.is_object()) {
            return invalid("configuration.metadata: must be an object if present");
        }
        if name.starts_with('_')
            || name.contains([' ', '"', '*', ',', '/', '<', '>', '?', '\\', '|'])
            || !schedule::is_name(text("name"))
        {
            return invalid("snapshot name");
        }
        let interval = duration(text("schedule"));
        if interval == Some(0) || interval.is_none() && !schedule::is_cron(text("schedule")) {
            return invalid("schedule: must be a valid cron expression or time unit");
        }
        let within = body.get("unhealthy_if_no_snapshot_within").map(|within| within.as_str().and_then(duration).unwrap_or(0));
        if within.is_some_and(|within| within <= interval.unwrap_or(0)) {
            return invalid("unhealthy_if_no_snapshot_within: time is too short");
        }
        if body["config"]["metadata"].to_string().len() > METADATA_LIMIT_BYTES {
            return invalid("configuration.metadata: must be smaller");
        }
        let count = |key: &str| {
            let value = &body["retention"][key];
            value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).map(|count| count as i64)
        };
        let (least, most) = (count("min_count"), count("max_count"));
        if least.is_some_and(|least| least < 1) || most.is_some_and(|most| most < 1 || least.is_some_and(|least| least > most)) {
            return Err(FakeAnswer::illegal_argument(
                "minimum snapshot count cannot be larger than maximum snapshot count, nor below 1",
            ));
        }
        if let Some(missing) = ["name", "schedule", "repository"].iter().find(|key| text(key).is_empty()) {
            return Err(FakeAnswer::illegal_argument(format!("Required one of fields [{missing}], but none were specified. ")));
        }
        if !self.repositories.contains_key(text("repository")) {
            return Err(FakeAnswer::illegal_argument(format!("no such repository [{}]", text("repository"))));
        }
        let held = self.snapshot_policies.get(name);
        let (version, last_success) = (held.map_or(1, |held| held.version + 1), held.and_then(|held| held.last_success));
        self.snapshot_policies.insert(name.to_owned(), SnapshotPolicy { body, version, modified: now, last_success });
        Ok(FakeAnswer::acknowledged())
    }

    pub(super) fn delete_snapshot_policy(&mut self, name: &str) -> Refused<FakeAnswer> {
        let gone = self.snapshot_policies.remove(name);
        gone.ok_or_else(|| FakeAnswer::missing(format!("snapshot lifecycle policy not found: {name}")))?;
        Ok(FakeAnswer::acknowledged())
    }

    pub(super) fn execute_snapshot_policy(&mut self, name: &str, now: Timestamp) -> Refused<FakeAnswer> {
        let Some(policy) = self.snapshot_policies.get(name).cloned() else {
            return Err(FakeAnswer::illegal_argument(format!("no such snapshot lifecycle policy [{name}]")));
        };
        let taken = format!("{name}-{}", now.as_millisecond());
        let repository = policy.body["repository"].as_str().unwrap_or_default().to_owned();
        self.take_snapshot(&repository, &taken, &policy.body["config"], now);
        if let Some(policy) = self.snapshot_policies.get_mut(name) {
            policy.last_success = Some(now);
        }
        Ok(FakeAnswer::ok(json!({"snapshot_name": taken})))
    }
}

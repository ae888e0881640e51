//! The table of calls by method and path, in Elasticsearch's groups. Any other call is not modelled.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Cluster, Mode, bulk, parameters};
use crate::{
    answer::{FakeAnswer, Refused},
    call::ReceivedCall,
};

impl Cluster {
    pub(super) fn route(&mut self, call: &ReceivedCall, now: Timestamp) -> Refused<FakeAnswer> {
        if let Some(wanted) = &self.authorization
            && call.authorization.as_ref() != Some(wanted)
        {
            let reason = format!("unable to authenticate user for REST request [{}]", call.path);
            return Err(FakeAnswer::error(401, "security_exception", reason));
        }
        self.tick(now);
        let segments = call.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let method = call.method.as_str();
        parameters::check_parameters(call, &segments)?;
        if self.mode == Mode::Serverless
            && matches!(segments.as_slice(), ["_ilm" | "_slm" | "_license" | "_cluster" | "_nodes", ..])
        {
            return Err(FakeAnswer::error(
                410,
                "api_not_available_exception",
                format!(
                    "Request for uri [{}] with method [{method}] exists but is not available when running in serverless mode",
                    call.path
                ),
            ));
        }
        let read_only = self.settings.iter().any(|(name, value)| name.starts_with("cluster.blocks.read_only") && value == "true");
        let changes = matches!(method, "PUT" | "DELETE") && segments.first() != Some(&"_cluster");
        if read_only && changes {
            return Err(FakeAnswer::error(403, "cluster_block_exception", "blocked by: [FORBIDDEN/6/cluster read-only (api)];"));
        }
        match (method, segments.as_slice()) {
            ("GET" | "HEAD", []) => Ok(self.info()),
            ("POST" | "PUT", ["_bulk"]) => bulk::bulk(self, None, call, now),
            ("POST" | "PUT", [index, "_bulk"]) => bulk::bulk(self, Some(index), call, now),
            (_, ["_data_stream", ..]) => self.route_streams(method, &segments[1..], call, now),
            (_, ["_index_template" | "_component_template" | "_ingest", ..]) => {
                self.route_templates(method, &segments, call, now)
            }
            (_, ["_ilm" | "_slm" | "_snapshot", ..] | [_, "_ilm", ..]) => self.route_lifecycle(method, &segments, call, now),
            (_, ["_cluster" | "_cat" | "_nodes" | "_license" | "_xpack" | "_health_report" | "_lifecycle", ..]) => {
                self.route_cluster(method, &segments, call, now)
            }
            _ => self.route_indices(method, &segments, call, now),
        }
    }

    fn route_streams(&mut self, method: &str, segments: &[&str], call: &ReceivedCall, now: Timestamp) -> Refused<FakeAnswer> {
        match (method, segments) {
            ("GET", []) => self.get_data_streams("*"),
            ("GET", ["_stats"]) => self.stream_stats("*"),
            ("POST", ["_modify"]) => self.modify_streams(call),
            ("GET", [names]) => self.get_data_streams(names),
            ("PUT", [name]) => self.create_data_stream(name, now),
            ("DELETE", [names]) => self.delete_data_streams(names),
            ("GET", [names, "_stats"]) => self.stream_stats(names),
            ("GET", [names, "_lifecycle"]) => self.get_stream_lifecycle(names),
            ("PUT", [names, "_lifecycle"]) => self.put_stream_lifecycle(names, call),
            ("DELETE", [names, "_lifecycle"]) => self.delete_stream_lifecycle(names),
            ("GET", [names, "_options"]) => self.get_stream_options(names),
            ("PUT", [names, "_options"]) => self.set_stream_options(names, &call.required_json()?),
            ("DELETE", [names, "_options"]) => self.set_stream_options(names, &Value::Null),
            ("GET", [names, part @ ("_settings" | "_mappings")]) => self.get_stream_part(names, &part[1..]),
            ("PUT", [names, part @ ("_settings" | "_mappings")]) => self.put_stream_part(names, &part[1..], call),
            _ => Err(FakeAnswer::not_modelled(&format!("{method} {}", call.path))),
        }
    }

    fn route_templates(&mut self, method: &str, segments: &[&str], call: &ReceivedCall, now: Timestamp) -> Refused<FakeAnswer> {
        match (method, segments) {
            ("GET", ["_index_template"]) => self.get_index_templates("*"),
            ("POST", ["_index_template", "_simulate"]) => self.simulate_template(call.required_json()?),
            ("POST", ["_index_template", "_simulate_index", name]) => Ok(self.simulate_index(name)),
            ("GET", ["_index_template", names]) => self.get_index_templates(names),
            ("HEAD", ["_index_template", names]) => Ok(self.has_index_template(names)),
            ("PUT" | "POST", ["_index_template", name]) => self.put_index_template(name, call, now),
            ("DELETE", ["_index_template", names]) => self.delete_index_templates(names),
            ("GET", ["_component_template"]) => self.get_component_templates("*"),
            ("GET" | "HEAD", ["_component_template", names]) => self.get_component_templates(names),
            ("PUT" | "POST", ["_component_template", name]) => self.put_component_template(name, call, now),
            ("DELETE", ["_component_template", names]) => self.delete_component_templates(names),
            ("GET", ["_ingest", "pipeline"]) => Ok(self.get_pipelines("*")),
            ("GET", ["_ingest", "pipeline", names]) => Ok(self.get_pipelines(names)),
            ("PUT", ["_ingest", "pipeline", name]) => self.put_pipeline(name, call, now),
            ("DELETE", ["_ingest", "pipeline", names]) => self.delete_pipelines(names),
            ("GET" | "POST", ["_ingest", "pipeline", name, "_simulate"]) => self.simulate_pipeline(name, call),
            _ => Err(FakeAnswer::not_modelled(&format!("{method} {}", call.path))),
        }
    }

    fn route_lifecycle(&mut self, method: &str, segments: &[&str], call: &ReceivedCall, now: Timestamp) -> Refused<FakeAnswer> {
        match (method, segments) {
            ("GET", ["_ilm", "policy"]) => self.get_policies("*"),
            ("GET", ["_ilm", "policy", names]) => self.get_policies(names),
            ("PUT", ["_ilm", "policy", name]) => self.put_policy(name, call, now),
            ("DELETE", ["_ilm", "policy", name]) => self.delete_policy(name),
            ("GET", ["_ilm", "status"]) => Ok(self.lifecycle_status()),
            ("POST", ["_ilm", run @ ("start" | "stop")]) => {
                self.lifecycle_running = *run == "start";
                Ok(FakeAnswer::acknowledged())
            }
            ("POST", ["_ilm", "move", index]) => self.move_step(index, call, now),
            ("GET", [names, "_ilm", "explain"]) => self.explain(names, call, now),
            ("POST", [names, "_ilm", "retry"]) => self.retry(names, now),
            ("POST", [names, "_ilm", "remove"]) => self.remove_policy(names),
            ("GET", ["_slm", "policy"]) => self.get_snapshot_policies("*"),
            ("GET", ["_slm", "policy", names]) => self.get_snapshot_policies(names),
            ("PUT", ["_slm", "policy", name]) => self.put_snapshot_policy(name, call, now),
            ("DELETE", ["_slm", "policy", name]) => self.delete_snapshot_policy(name),
            ("PUT" | "POST", ["_slm", "policy", name, "_execute"]) => self.execute_snapshot_policy(name, now),
            ("GET", ["_snapshot"]) => self.get_repositories("*"),
            ("GET", ["_snapshot", names]) => self.get_repositories(names),
            ("PUT" | "POST", ["_snapshot", name]) => self.put_repository(name, call),
            ("DELETE", ["_snapshot", name]) => self.delete_repository(name),
            ("POST", ["_snapshot", name, "_verify"]) => self.verify_repository(name),
            ("GET", ["_snapshot", repository, names]) => self.get_snapshots(repository, names),
            ("PUT" | "POST", ["_snapshot", repository, name]) => self.put_snapshot(repository, name, call, now),
            ("PUT", ["_snapshot", repository, name, "_clone", target]) => self.clone_snapshot(repository, name, target),
            ("DELETE", ["_snapshot", repository, name]) => self.delete_snapshot(repository, name),
            _ => Err(FakeAnswer::not_modelled(&format!("{method} {}", call.path))),
        }
    }

    fn route_cluster(&mut self, method: &str, segments: &[&str], call: &ReceivedCall, now: Timestamp) -> Refused<FakeAnswer> {
        match (method, segments) {
            ("GET", ["_cluster", "health"]) => Ok(self.health()),
            ("GET", ["_cluster", "health", names]) => self.resolve(names).map(|_| self.health()),
            ("GET", ["_cluster", "settings"]) => self.get_cluster_settings(call),
            ("PUT", ["_cluster", "settings"]) => self.put_cluster_settings(call),
            ("GET", ["_cluster", "state", "metadata"]) => Ok(self.state()),
            ("GET", ["_license"]) => Ok(self.license(now)),
            ("GET", ["_nodes", "stats"] | ["_nodes", "stats", _]) => Ok(self.nodes_stats()),
            ("GET", ["_cat", "health"]) => Ok(self.cat_health(now)),
            ("GET", ["_health_report"]) => Ok(self.health_report()),
            _ => Err(FakeAnswer::not_modelled(&format!("{method} {}", call.path))),
        }
    }

    fn route_indices(&mut self, method: &str, segments: &[&str], call: &ReceivedCall, now: Timestamp) -> Refused<FakeAnswer> {
        match (method, segments) {
            ("POST", [target, "_rollover"]) => self.rollover(target, call, now),
            ("GET", ["_stats", ..]) => self.stats("*"),
            ("GET", [names, "_stats"]) | ("GET", [names, "_stats", _]) => self.stats(names),
            ("GET", [names, "_settings"]) => self.get_index_settings(names, "*", call),
            ("GET", [names, "_settings", wanted]) => self.get_index_settings(names, wanted, call),
            ("PUT", [names, "_settings"]) => self.put_index_settings(names, call),
            ("GET" | "POST", [names, "_count"]) => self.count(names),
            ("GET" | "POST", ["_search"]) => self.search("*", call),
            ("GET" | "POST", [names, "_search"]) => self.search(names, call),
            ("POST" | "GET", ["_refresh"] | [_, "_refresh"]) => {
                Ok(FakeAnswer::ok(json!({"_shards": {"total": 1, "successful": 1, "failed": 0}})))
            }
            ("PUT", [name]) if !name.starts_with('_') => self.create_index(name, call, now),
            ("DELETE", [names]) if !names.starts_with('_') => self.delete_indices(names),
            ("HEAD", [names]) => {
                Ok(FakeAnswer { status: if self.resolve(names).is_ok() { 200 } else { 404 }, body: Value::Null })
            }
            (method, _) => Err(FakeAnswer::not_modelled(&format!("{method} {}", call.path))),
        }
    }
}

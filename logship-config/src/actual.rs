//! This module reads the state of a cluster in a few requests: objects, streams, their managers and the cluster's
//! capabilities.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{
    client::{CallError, Client},
    desired::{OWNER_KEY, ObjectKey, ObjectKind, ObjectOwner},
    exit::{CommandFailure, Exit},
};

/// The oldest and the newest supported major release.
const KNOWN_MAJORS: std::ops::RangeInclusive<u64> = 9..=9;

/// Index settings that name a pipeline.
const PIPELINE_SETTINGS: [&str; 2] = ["index.default_pipeline", "index.final_pipeline"];

/// The capabilities of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// The free licence: all features except searchable snapshots.
    Basic,
    /// Enterprise, or a trial of it.
    Enterprise,
}

impl Capability {
    pub const ALL: [Self; 2] = [Self::Basic, Self::Enterprise];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Enterprise => "enterprise",
        }
    }
}

/// An object in the cluster.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Held {
    pub body: Value,
    /// This program created it for this owner.
    pub owner: Option<ObjectOwner>,
    /// Elasticsearch manages it (`_meta.managed`).
    pub managed: bool,
    /// Its users, as reported by the cluster or derived from the other objects.
    pub in_use_by: Vec<String>,
}

/// A data stream in the cluster.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HeldStream {
    pub template: String,
    /// The policy of the next backing index.
    pub policy: Option<String>,
    /// If both are set, the policy applies unless this is true (`index.lifecycle.prefer_ilm: false`).
    pub prefers_lifecycle: bool,
    pub lifecycle: Option<Value>,
    pub failure_store: Option<Value>,
    /// Backing indices, oldest first. The last one receives the writes.
    pub indices: Vec<HeldIndex>,
}

/// A backing index. It retains the settings it was created with, even if its stream's template has changed since.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldIndex {
    pub name: String,
    pub policy: Option<String>,
    /// See [`HeldStream`].
    pub prefers_lifecycle: bool,
}

/// The current state of the cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Actual {
    /// `version.number`.
    pub version: String,
    pub capability: Capability,
    /// `green`, `yellow` or `red`.
    pub health: String,
    /// The reason why the cluster accepts no changes, if it does not.
    pub blocked: Option<String>,
    pub objects: BTreeMap<ObjectKey, Held>,
    pub streams: BTreeMap<String, HeldStream>,
    /// Objects set by the operator (file-based settings). The API refuses to change them.
    pub reserved: BTreeSet<ObjectKey>,
}

impl Actual {
    /// Describes the cluster and its capabilities in one line.
    pub fn describe(&self) -> String {
        let can = match self.capability {
            Capability::Basic => "Basic licence: all features except searchable snapshots and the frozen phase",
            Capability::Enterprise => "Enterprise licence: including searchable snapshots",
        };
        let blocked = if self.blocked.is_some() { ", read-only" } else { "" };
        format!("Elasticsearch {}, {}{blocked}, {can}", self.version, self.health)
    }
}

impl Default for Actual {
    fn default() -> Self {
        Self {
            version: "9.0.0".to_owned(),
            capability: Capability::Basic,
            health: "green".to_owned(),
            blocked: None,
            objects: BTreeMap::new(),
            streams: BTreeMap::new(),
            reserved: BTreeSet::new(),
        }
    }
}

/// Reads everything that a plan needs.
///
/// # Errors
/// Returns a failure if a request fails, or if this program does not support the cluster.
pub async fn read_cluster(client: &Client) -> Result<Actual, CommandFailure> {
    let version = probe(client).await?;
    let license = client.get("/_license").await?;
    let health = client.get("/_cluster/health").await?;
    let settings = client.send(crate::client::Method::Get, "/_cluster/settings", &[("flat_settings", "true")], None).await?;
    let reserved = client
        .send(crate::client::Method::Get, "/_cluster/state/metadata", &[("filter_path", "metadata.reserved_state")], None)
        .await?;
    let mut actual = Actual {
        version,
        capability: capability(&license),
        health: health["status"].as_str().unwrap_or("unknown").to_owned(),
        blocked: blocked(&settings),
        reserved: reserved_objects(&reserved),
        ..Actual::default()
    };
    let named = |kind, answer: Value| {
        let bodies = answer.as_object().cloned().unwrap_or_default();
        bodies.into_iter().map(move |(name, body)| ((kind, name), body)).collect::<Vec<_>>()
    };
    let mut bodies = named(ObjectKind::Pipeline, client.get("/_ingest/pipeline").await?);
    bodies.extend(named(ObjectKind::Repository, client.get("/_snapshot").await?));
    bodies.extend(named(ObjectKind::SnapshotPolicy, client.get("/_slm/policy").await?));
    bodies.extend(named(ObjectKind::LifecyclePolicy, client.get("/_ilm/policy").await?));
    let listed = |kind, answer: &Value, list: &str, inner: &str| {
        let items = answer[list].as_array().cloned().unwrap_or_default();
        let inner = inner.to_owned();
        items.into_iter().map(move |item| ((kind, item["name"].as_str().unwrap_or_default().to_owned()), item[&inner].clone()))
    };
    let components = client.get("/_component_template").await?;
    bodies.extend(listed(ObjectKind::ComponentTemplate, &components, "component_templates", "component_template"));
    let templates = client.get("/_index_template").await?;
    bodies.extend(listed(ObjectKind::IndexTemplate, &templates, "index_templates", "index_template"));
    for ((kind, name), body) in bodies {
        actual.objects.insert((kind, name), held(kind, body));
    }
    streams(client, &mut actual).await?;
    let pipelines = pipelines_of_indices(client, &actual).await?;
    usage(&mut actual, pipelines);
    Ok(actual)
}

/// Returns the release of Elasticsearch.
///
/// # Errors
/// Returns a failure for Serverless, another product, or an unsupported major release.
pub async fn probe(client: &Client) -> Result<String, CommandFailure> {
    let info = client.get("/").await?;
    let version = &info["version"];
    let number = version["number"].as_str().unwrap_or_default();
    let unsupported = |told: String| Err(CommandFailure::new(Exit::Unsupported, told));
    if version["build_flavor"] == "serverless" {
        return unsupported(
            "this is Elastic Cloud Serverless, which has no index lifecycle management; use a self-managed cluster, ECK or \
             Elastic Cloud Hosted, or manage data stream lifecycles there by hand"
                .to_owned(),
        );
    }
    if version["distribution"] == "opensearch" {
        return unsupported(
            "this is OpenSearch, whose lifecycle API differs; set LOGSHIP_ELASTICSEARCH_URL to an Elasticsearch cluster".into(),
        );
    }
    match number.split('.').next().and_then(|major| major.parse::<u64>().ok()) {
        Some(major) if KNOWN_MAJORS.contains(&major) => Ok(number.to_owned()),
        Some(major) if major < *KNOWN_MAJORS.start() => {
            unsupported(format!("this is Elasticsearch {number}, an unsupported older major release; upgrade it to 9.x"))
        }
        Some(_) => unsupported(format!("this is Elasticsearch {number}, newer than this logship supports; use a newer logship")),
        None => unsupported("the server is not Elasticsearch; correct LOGSHIP_ELASTICSEARCH_URL".to_owned()),
    }
}

fn capability(license: &Value) -> Capability {
    let license = &license["license"];
    let active = license["status"] == "active";
    if active && matches!(license["type"].as_str(), Some("enterprise" | "trial")) {
        Capability::Enterprise
    } else {
        Capability::Basic
    }
}

fn blocked(settings: &Value) -> Option<String> {
    let is = |name: &str| ["persistent", "transient"].iter().any(|level| settings[*level][name] == "true");
    let blocks = ["cluster.blocks.read_only", "cluster.blocks.read_only_allow_delete"];
    let told = |name: &str| format!("the setting {name} is true; remove the cause, then set it to null (PUT _cluster/settings)");
    blocks.into_iter().find(|name| is(name)).map(told)
}

/// Handlers of file-based settings, by their names in the cluster state.
const RESERVED_HANDLERS: [(&str, ObjectKind); 5] = [
    ("ilm", ObjectKind::LifecyclePolicy),
    ("slm", ObjectKind::SnapshotPolicy),
    ("snapshot_repositories", ObjectKind::Repository),
    ("ingest_pipelines", ObjectKind::Pipeline),
    ("index_templates", ObjectKind::IndexTemplate),
];

fn reserved_objects(state: &Value) -> BTreeSet<ObjectKey> {
    let mut reserved = BTreeSet::new();
    for namespace in state["metadata"]["reserved_state"].as_object().into_iter().flat_map(|map| map.values()) {
        for (handler, kind) in RESERVED_HANDLERS {
            for key in namespace["handlers"][handler]["keys"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                // Both kinds of templates share a handler, which prefixes the name with the kind.
                let (kind, name) = match key.split_once(':') {
                    Some(("component_template", name)) => (ObjectKind::ComponentTemplate, name),
                    Some(("composable_index_template", name)) => (ObjectKind::IndexTemplate, name),
                    _ => (kind, key),
                };
                reserved.insert((kind, name.to_owned()));
            }
        }
    }
    reserved
}

/// Extracts a body, in the form in which it would be sent, from the answer.
fn held(kind: ObjectKind, answer: Value) -> Held {
    let in_use = &answer["in_use_by"];
    let mut in_use_by = Vec::new();
    for (what, list) in [("index template", "composable_templates"), ("data stream", "data_streams"), ("index", "indices")] {
        for name in in_use[list].as_array().into_iter().flatten().filter_map(Value::as_str) {
            in_use_by.push(format!("{what} {name}"));
        }
    }
    let body = match kind {
        ObjectKind::LifecyclePolicy | ObjectKind::SnapshotPolicy => answer["policy"].clone(),
        _ => answer,
    };
    let meta = if kind == ObjectKind::SnapshotPolicy { &body["config"]["metadata"] } else { &body["_meta"] };
    let (owner, managed) = (meta[OWNER_KEY].as_str().and_then(ObjectOwner::of_mark), meta["managed"] == true);
    Held { owner, managed, in_use_by, body }
}

async fn streams(client: &Client, actual: &mut Actual) -> Result<(), CallError> {
    let query = [("expand_wildcards", "open,hidden")];
    let get = crate::client::Method::Get;
    let found = client.send(get, "/_data_stream", &query, None).await?;
    let options = client.send(get, "/_data_stream/*/_options", &query, None).await?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    for stream in found["data_streams"].as_array().into_iter().flatten() {
        let name = stream["name"].as_str().unwrap_or_default().to_owned();
        let own = options["data_streams"].as_array().into_iter().flatten().find(|own| own["name"] == name.as_str());
        let index = |index: &Value| HeldIndex {
            name: text(&index["index_name"]).unwrap_or_default(),
            policy: text(&index["ilm_policy"]),
            prefers_lifecycle: index["prefer_ilm"] == false,
        };
        let held = HeldStream {
            template: text(&stream["template"]).unwrap_or_default(),
            policy: text(&stream["ilm_policy"]),
            prefers_lifecycle: stream["prefer_ilm"] == false,
            lifecycle: stream.get("lifecycle").filter(|lifecycle| lifecycle.is_object()).cloned(),
            failure_store: own.map(|own| own["options"]["failure_store"].clone()).filter(Value::is_object),
            indices: stream["indices"].as_array().into_iter().flatten().map(index).collect(),
        };
        actual.streams.insert(name, held);
    }
    Ok(())
}

/// Pipelines named by the settings of existing indices, even if their templates have changed since.
async fn pipelines_of_indices(client: &Client, actual: &Actual) -> Result<Vec<(ObjectKey, String)>, CallError> {
    let query = [("flat_settings", "true"), ("expand_wildcards", "all")];
    let path = format!("/*/_settings/{}", PIPELINE_SETTINGS.join(","));
    let found = client.send(crate::client::Method::Get, &path, &query, None).await?;
    let streams = actual.streams.iter().flat_map(|(name, stream)| stream.indices.iter().map(move |index| (&index.name, name)));
    let stream_of: BTreeMap<&String, &String> = streams.collect();
    let mut uses = Vec::new();
    for (index, answer) in found.as_object().into_iter().flatten() {
        let user = stream_of.get(index).map_or_else(|| format!("index {index}"), |stream| format!("data stream {stream}"));
        for pipeline in PIPELINE_SETTINGS.iter().filter_map(|setting| answer["settings"][*setting].as_str()) {
            uses.push(((ObjectKind::Pipeline, pipeline.to_owned()), user.clone()));
        }
    }
    Ok(uses)
}

/// Finds references between objects that Elasticsearch does not report. `uses` contains the known references.
fn usage(actual: &mut Actual, mut uses: Vec<(ObjectKey, String)>) {
    for ((kind, name), held) in &actual.objects {
        let told = format!("{} {name}", kind.name().replace('_', " "));
        for used in used_by(*kind, &held.body) {
            uses.push((used, told.clone()));
        }
    }
    for (name, stream) in &actual.streams {
        uses.push(((ObjectKind::IndexTemplate, stream.template.clone()), format!("data stream {name}")));
    }
    for (used, by) in uses {
        if let Some(held) = actual.objects.get_mut(&used)
            && !held.in_use_by.contains(&by)
        {
            held.in_use_by.push(by);
        }
    }
}

/// Returns the objects that a body refers to.
pub fn used_by(kind: ObjectKind, body: &Value) -> Vec<ObjectKey> {
    use crate::desired::resolve;
    let mut used = Vec::new();
    let mut note = |kind, name: &Value| used.extend(name.as_str().map(|name| (kind, name.to_owned())));
    match kind {
        ObjectKind::IndexTemplate | ObjectKind::ComponentTemplate => {
            let settings = resolve::flat_settings(&body["template"]["settings"]);
            note(ObjectKind::LifecyclePolicy, &json!(settings.get("index.lifecycle.name")));
            for setting in PIPELINE_SETTINGS {
                note(ObjectKind::Pipeline, &json!(settings.get(setting)));
            }
            for component in resolve::texts(&body["composed_of"]) {
                note(ObjectKind::ComponentTemplate, &json!(component));
            }
        }
        ObjectKind::LifecyclePolicy => {
            for phase in resolve::PHASES {
                let actions = &body["phases"][phase]["actions"];
                note(ObjectKind::Repository, &actions["searchable_snapshot"]["snapshot_repository"]);
                note(ObjectKind::SnapshotPolicy, &actions["wait_for_snapshot"]["policy"]);
            }
        }
        ObjectKind::SnapshotPolicy => note(ObjectKind::Repository, &body["repository"]),
        ObjectKind::Pipeline => {
            for list in ["processors", "on_failure"] {
                for processor in body[list].as_array().into_iter().flatten() {
                    note(ObjectKind::Pipeline, &processor["pipeline"]["name"]);
                }
            }
        }
        ObjectKind::Repository | ObjectKind::DataStream => {}
    }
    used
}

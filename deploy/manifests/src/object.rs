//! This module reads one Kubernetes object: names, labels, pods, containers and selectors. It must not judge.

use serde_json::{Map, Value};

/// A Kubernetes object as rendered.
#[derive(Debug, Clone, PartialEq)]
pub struct Object(pub Value);

/// The pod template of a workload.
#[derive(Debug, Clone, Copy)]
pub struct Pod<'a> {
    pub owner: &'a Object,
    /// `/spec/template`, or that of the Job template.
    pub template: &'a Value,
}

/// One container, with its kind of list.
#[derive(Debug, Clone, Copy)]
pub struct Container<'a> {
    pub value: &'a Value,
    pub init: bool,
}

static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);

/// The list at a JSON pointer; empty if it is absent.
pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The text at a JSON pointer; empty if it is absent.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The mapping at a JSON pointer; empty if it is absent.
pub fn mapping<'a>(value: &'a Value, pointer: &str) -> &'a Map<String, Value> {
    value.pointer(pointer).and_then(Value::as_object).unwrap_or(&EMPTY)
}

impl Object {
    pub fn kind(&self) -> &str {
        text(&self.0, "/kind")
    }

    pub fn name(&self) -> &str {
        text(&self.0, "/metadata/name")
    }

    pub fn namespace(&self) -> &str {
        text(&self.0, "/metadata/namespace")
    }

    pub fn annotation(&self, name: &str) -> &str {
        mapping(&self.0, "/metadata/annotations").get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Kind and name, as a person writes them.
    pub fn label(&self) -> String {
        format!("{} {}", self.kind(), self.name())
    }

    /// Whether the object runs containers for as long as it exists.
    pub fn runs_forever(&self) -> bool {
        matches!(self.kind(), "Deployment" | "StatefulSet" | "DaemonSet")
    }

    /// The pod template, if the object has one.
    pub fn pod(&self) -> Option<Pod<'_>> {
        let pointer = match self.kind() {
            "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => "/spec/template",
            "CronJob" => "/spec/jobTemplate/spec/template",
            _ => return None,
        };
        self.0.pointer(pointer).map(|template| Pod { owner: self, template })
    }
}

impl<'a> Pod<'a> {
    pub fn spec(&self) -> &'a Value {
        self.template.pointer("/spec").unwrap_or(&Value::Null)
    }

    pub fn labels(&self) -> &'a Map<String, Value> {
        mapping(self.template, "/metadata/labels")
    }

    pub fn containers(&self) -> Vec<Container<'a>> {
        let init = list(self.spec(), "/initContainers").iter().map(|value| Container { value, init: true });
        let main = list(self.spec(), "/containers").iter().map(|value| Container { value, init: false });
        init.chain(main).collect()
    }

    /// Names and numbers of the ports of every container.
    pub fn ports(&self) -> Vec<(&'a str, u64)> {
        let ports = self.containers().into_iter().flat_map(|container| list(container.value, "/ports"));
        ports
            .map(|port| (text(port, "/name"), port.pointer("/containerPort").and_then(Value::as_u64).unwrap_or_default()))
            .collect()
    }
}

impl<'a> Container<'a> {
    pub fn name(&self) -> &'a str {
        text(self.value, "/name")
    }

    /// The image's name without registry, tag and digest.
    pub fn image_name(&self) -> &'a str {
        let image = text(self.value, "/image");
        let path = image.split('@').next().unwrap_or(image);
        let last = path.rsplit('/').next().unwrap_or(path);
        last.split(':').next().unwrap_or(last)
    }
}

/// Whether a label selector with `matchLabels` and `matchExpressions` selects the labels. An empty selector selects everything.
pub fn selects(selector: &Value, labels: &Map<String, Value>) -> bool {
    let equal = mapping(selector, "/matchLabels").iter().all(|(key, value)| labels.get(key) == Some(value));
    equal && list(selector, "/matchExpressions").iter().all(|expression| holds(expression, labels))
}

fn holds(expression: &Value, labels: &Map<String, Value>) -> bool {
    let found = labels.get(text(expression, "/key"));
    let listed = found.is_some_and(|found| list(expression, "/values").contains(found));
    match text(expression, "/operator") {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        _ => false,
    }
}

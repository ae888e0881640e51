//! This module lists objects that Elasticsearch and Fleet install. Declarations may name them without declaring them. `plan`
//! checks that the cluster has them.
//!
//! Sources: the stack, APM, OTel and Fleet template registries of Elasticsearch 9.

use crate::desired::ObjectKind;

const POLICIES: &[&str] = &[
    "180-days-default",
    "180-days@lifecycle",
    "30-days-default",
    "30-days@lifecycle",
    "365-days-default",
    "365-days@lifecycle",
    "7-days-default",
    "7-days@lifecycle",
    "90-days-default",
    "90-days@lifecycle",
    "ilm-history-ilm-policy",
    "kibana-reporting",
    "logs",
    "logs@lifecycle",
    "metrics",
    "metrics@lifecycle",
    "ml-size-based-ilm-policy",
    "profiling-60-days",
    "profiling-60-days@lifecycle",
    "slm-history-ilm-policy",
    "synthetics",
    "synthetics@lifecycle",
    "traces",
    "traces@lifecycle",
    "watch-history-ilm-policy",
    "watch-history-ilm-policy-16",
];
const COMPONENTS: &[&str] = &[
    "apm-10d@lifecycle",
    "apm-180d@lifecycle",
    "apm-390d@lifecycle",
    "apm-90d@lifecycle",
    "apm@mappings",
    "apm@settings",
    "data-streams@mappings",
    "ecs-tsdb@mappings",
    "ecs@mappings",
    "kibana-reporting@settings",
    "logs-apm.error@mappings",
    "logs-apm@settings",
    "logs-otel@mappings",
    "logs@custom",
    "logs@mappings",
    "logs@settings",
    "metrics-apm@mappings",
    "metrics-apm@settings",
    "metrics-otel@mappings",
    "metrics@custom",
    "metrics@mappings",
    "metrics@settings",
    "metrics@tsdb-settings",
    "otel@mappings",
    "otel@settings",
    "semconv-resource-to-ecs@mappings",
    "synthetics@mappings",
    "synthetics@settings",
    "traces-apm-rum@mappings",
    "traces-apm@mappings",
    "traces-otel@mappings",
    "traces@mappings",
    "traces@settings",
];
const PIPELINES: &[&str] = &[
    "apm@default-pipeline",
    "apm@pipeline",
    "ent-search-generic-ingestion",
    "logs-apm@default-pipeline",
    "logs-default-pipeline",
    "logs@default-pipeline",
    "logs@json-message",
    "logs@json-pipeline",
    "metrics-apm@default-pipeline",
    "metrics-apm@pipeline",
    "reindex-data-stream-pipeline",
    "search-default-ingestion",
    "traces-apm-rum@default-pipeline",
    "traces-apm@default-pipeline",
    "traces-apm@pipeline",
];
/// Fleet names the components of an integration `logs-nginx.access@package`.
const FLEET_COMPONENTS: &str = "@package";
/// Fleet names the pipelines of an integration `logs-nginx.access-1.20.0`.
const STREAM_TYPES: [&str; 5] = ["logs-", "metrics-", "profiling-", "synthetics-", "traces-"];

/// Whether Elasticsearch or Fleet may have installed an object of this name.
pub fn is_built_in(kind: ObjectKind, name: &str) -> bool {
    match kind {
        // Hidden objects, such as `.fleet_globals-1`, `.fleet_final_pipeline-1` and `.alerts-ilm-policy`.
        ObjectKind::LifecyclePolicy | ObjectKind::ComponentTemplate | ObjectKind::Pipeline if name.starts_with('.') => true,
        ObjectKind::LifecyclePolicy => POLICIES.contains(&name),
        ObjectKind::ComponentTemplate => COMPONENTS.contains(&name) || name.ends_with(FLEET_COMPONENTS),
        ObjectKind::Pipeline => PIPELINES.contains(&name) || is_fleet_pipeline(name),
        _ => false,
    }
}

fn is_fleet_pipeline(name: &str) -> bool {
    let Some((stream, version)) = name.rsplit_once('-') else { return false };
    let numbers: Vec<&str> = version.split('.').collect();
    let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    STREAM_TYPES.iter().any(|kind| stream.starts_with(kind)) && numbers.len() == 3 && numbers.iter().all(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_elasticsearch_and_fleet_are_known() {
        for (kind, name, known) in [
            (ObjectKind::LifecyclePolicy, "30-days@lifecycle", true),
            (ObjectKind::LifecyclePolicy, "31-days@lifecycle", false),
            (ObjectKind::LifecyclePolicy, ".alerts-ilm-policy", true),
            (ObjectKind::Pipeline, "logs@default-pipeline", true),
            (ObjectKind::Pipeline, "logs-nginx.access-1.20.0", true),
            (ObjectKind::Pipeline, "logs-nginx.access", false),
            (ObjectKind::Pipeline, "logs-received", false),
            (ObjectKind::ComponentTemplate, "logs-nginx.access@package", true),
            (ObjectKind::ComponentTemplate, ".fleet_globals-1", true),
            (ObjectKind::ComponentTemplate, "logs-comon@settings", false),
            (ObjectKind::Repository, ".own", false),
        ] {
            assert_eq!(is_built_in(kind, name), known, "{kind} {name}");
        }
    }
}

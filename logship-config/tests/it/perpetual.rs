//! This module tests that a second plan is empty for any declared spelling and any answer of the server. Each case is a
//! permanent difference in another tool, from a public report.

use crate::place::{Place, apply, declared, plan, print_line, variable};

/// Applies `files` and requests a second plan.
async fn settles(report: &str, files: &[(&str, &str)]) {
    let place = Place::any().await;
    let desired = declared(files);
    apply(&place.client, &desired).await;
    let second = plan(&place.client, &desired).await;
    assert!(second.is_empty(), "{report}\n{}", logship::plan::plan_text(&second));
    place.clean(&desired).await;
}

#[tokio::test]
async fn lifecycle_policies() {
    for (report, policy) in [
        (
            "elasticstack#661: 8.14 began to answer allow_write_after_shrink",
            "{phases: {warm: {min_age: 4h, actions: {shrink: {max_primary_shard_size: 50gb}}}}}",
        ),
        (
            "elasticstack#1274: total_shards_per_node and number_of_replicas added to rules",
            "{phases: {warm: {min_age: 1d, actions: {allocate: {require: {data: hot}}}}}}",
        ),
        (
            "elasticstack#80: number_of_replicas 0",
            "{phases: {warm: {min_age: 1d, actions: {allocate: {number_of_replicas: 0}}}}}",
        ),
        (
            "elasticstack#103: explicit min_age 0ms",
            "{phases: {hot: {min_age: 0ms, actions: {rollover: {max_age: 365d}}}, warm: {min_age: 365d, actions: {}}, cold: {min_age: 730d, actions: {}}}}",
        ),
        (
            "sizes in capitals, hours for days",
            "{phases: {hot: {actions: {rollover: {max_primary_shard_size: 50GB, max_age: 24h}}}, delete: {min_age: 720h, \
             actions: {delete: {}}}}}",
        ),
        (
            "sizes in plain bytes",
            "{phases: {hot: {actions: {rollover: {max_primary_shard_size: 53687091200b, max_size: 107374182401b}}}}}",
        ),
        (
            "numbers in quotes",
            "{phases: {warm: {actions: {forcemerge: {max_num_segments: \"1\"}, set_priority: {priority: \"50\"}}}}}",
        ),
        (
            "delete_searchable_snapshot, explicit and omitted",
            "{phases: {delete: {min_age: 1d, actions: {delete: {delete_searchable_snapshot: true}}}}}",
        ),
        ("explicit migrate, which is the default", "{phases: {warm: {actions: {migrate: {enabled: true}}}}}"),
        (
            "_meta with the user's values",
            "{_meta: {team: {name: a, on_call: true}}, phases: {hot: {actions: {rollover: {max_docs: 5}}}}}",
        ),
    ] {
        settles(report, &[("policies/logship-test.yaml", policy)]).await;
    }
}

#[tokio::test]
async fn templates() {
    let index = "templates/index/logship-test.yaml";
    for (report, template) in [
        (
            "phillbaker#294: flat settings answered nested, numbers as text",
            "{index_patterns: [lt-a-*], template: {settings: {index.number_of_shards: 1, index.mapping.total_fields.limit: \
             2000}}}",
        ),
        (
            "nested settings without index",
            "{index_patterns: [lt-a-*], template: {settings: {number_of_shards: 1, mapping: {total_fields: {limit: 2000}}}}}",
        ),
        (
            "phillbaker#159: composed_of [] and version 0 and data_stream {}",
            "{index_patterns: [lt-a-*], composed_of: [], version: 0, data_stream: {}}",
        ),
        ("elasticstack#91: hidden and allow_custom_routing added", "{index_patterns: [lt-a-*], data_stream: {hidden: false}}"),
        (
            "elasticstack#1839: routing answered in two halves",
            "{index_patterns: [lt-a-*], template: {aliases: {lt-alias: {routing: shard_1, is_write_index: false}}}}",
        ),
        ("one pattern without a list", "{index_patterns: lt-a-*, priority: 0}"),
        (
            "booleans in quotes, durations in other units",
            "{index_patterns: [lt-a-*], template: {settings: {index: {hidden: \"true\", refresh_interval: 60s}}}}",
        ),
        (
            "elasticstack#802: dynamic templates and order of mappings",
            "{index_patterns: [lt-a-*], template: {mappings: {dynamic: true, dynamic_templates: [{t: {match_mapping_type: \
             string, mapping: {type: keyword, ignore_above: 1024}}}], properties: {b: {type: long}, a: {type: object, \
             properties: {c: {type: keyword}}}}}}}",
        ),
        (
            "lists of one in settings",
            "{index_patterns: [lt-a-*], template: {settings: {index: {query: {default_field: [message]}}}}}",
        ),
        (
            "elasticstack#673: lifecycle with an explicit default",
            "{index_patterns: [lt-a-*], data_stream: {}, template: {lifecycle: {enabled: true, data_retention: 168h}}}",
        ),
        (
            "failure store with defaults",
            "{index_patterns: [lt-a-*], data_stream: {}, template: {lifecycle: {data_retention: 7d}, data_stream_options: \
             {failure_store: {enabled: true, lifecycle: {data_retention: 30d}}}}}",
        ),
        ("empty sections", "{index_patterns: [lt-a-*], _meta: {}, template: {settings: {}, mappings: {}, aliases: {}}}"),
    ] {
        settles(report, &[(index, template)]).await;
    }
    let component = "{_meta: {a: 1}, version: 3, template: {settings: {index: {codec: best_compression}}, mappings: \
        {properties: {f.g: {type: keyword}}}}}";
    let composing = "{index_patterns: [lt-b-*], composed_of: [lt-component], template: {settings: {number_of_replicas: 0}}}";
    settles("components", &[("templates/components/lt-component.yaml", component), (index, composing)]).await;
}

#[tokio::test]
async fn pipelines_snapshots_and_streams() {
    settles("created and modified dates, \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        \
        9.2", &[("pipelines/logship-test.yaml", "{description: a, version: 0, on_failure: [{set: {field: error.message, value: 5}}], processors: [{set: {field: a, value: true}}]}")]).await;
    let template = "{index_patterns: [lt-s-*], priority: 300, data_stream: {}, template: {lifecycle: {data_retention: 7d}, data_stream_options: {failure_store: {enabled: false}}}}";
    settles("a stream over its template", &[
        ("templates/index/lt-streams.yaml", template),
        ("streams.yaml", "streams: {lt-s-one: {}, lt-s-two: {lifecycle: {data_retention: 336h}, failure_store: {enabled: true}}, lt-s-three: {failure_store: {lifecycle: {data_retention: 2d}}}}"),
    ]).await;
    if variable("ELASTICSEARCH_URL").is_some() {
        print_line(
            "skipped: a repository needs a store configured in the real cluster; the fake's case runs without ELASTICSEARCH_URL",
        );
        return;
    }
    settles("uuid, numbers and switches as text", &[
        ("snapshots/repositories/lt-repository.yaml", "{type: s3, settings: {bucket: b, compress: true, max_retries: 3, chunk_size: 1GB}}"),
        ("snapshots/policies/lt-policy.yaml", "{schedule: 0 30 1 * * ?, name: <lt-{now/d}>, repository: lt-repository, config: {indices: logs-*, partial: false}, retention: {expire_after: 720h, min_count: 1, max_count: \"5\"}}".replace("<lt-{now/d}>", "\"<lt-{now/d}>\"").as_str()),
    ]).await;
}

//! This module tests offline validation in both directions. It refuses what Elasticsearch 9 refuses, with file, line and
//! rule, and it accepts the valid examples of the reference. Every case names its source: a page or a class of
//! Elasticsearch.

mod policies;
mod templates;

use std::collections::BTreeMap;

use logship::desired;

/// Returns all faults of one file as text.
fn faults(file: &str, text: &str) -> Vec<String> {
    match desired::load_desired(&BTreeMap::from([(file.to_owned(), text.to_owned())])) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.0.iter().map(ToString::to_string).collect(),
    }
}

fn refused(file: &str, cases: &[(&str, &str, usize, &str)]) {
    for (source, text, line, part) in cases {
        let found = faults(file, text);
        let place = format!("{file}:{line}: ");
        assert!(found.iter().any(|fault| fault.starts_with(&place) && fault.contains(part)), "{source}\n{text}\n{found:#?}");
    }
}

#[test]
fn the_platforms_set_is_valid() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("elasticsearch");
    let desired = logship::check::run(&folder).unwrap();
    assert_eq!((desired.objects.len(), desired.streams.len()), (19, 8));
    assert!(desired.streams["logs-exchange.audit-default"].protected);
}

#[test]
fn pipelines_and_snapshots_that_elasticsearch_refuses() {
    refused(
        "pipelines/p.yaml",
        &[
            ("[processors] required property is missing", "description: a\n", 1, "processors: is missing"),
            ("No processor type exists with name [sett]", "processors:\n  - sett: {field: a}\n", 2, "not a processor"),
            ("[field] required property is missing", "processors:\n  - set: {value: a}\n", 2, "has no field"),
            ("[value] required property is missing", "processors:\n  - set: {field: a}\n", 2, "has no value or copy_from"),
            ("on_failure must not be empty", "processors: []\non_failure: []\n", 2, "is empty"),
            (
                "processor [set] doesn't support one or more provided configuration parameters",
                "processors:\n  - set: {field: a, value: b, overide: true}\n",
                2,
                "did you mean override?",
            ),
            (
                "exactly one processor per item",
                "processors:\n  - set: {field: a, value: b}\n    if: x\n",
                2,
                "not exactly one processor",
            ),
            ("a missing pipeline fails every document", "processors:\n  - pipeline: {name: other}\n", 1, "not declared"),
        ],
    );
    refused(
        "snapshots/repositories/r.yaml",
        &[
            ("[type] is required", "settings: {bucket: b}\n", 1, "type: is missing"),
            ("S3Repository: No bucket defined", "type: s3\nsettings: {base_path: a}\n", 2, "settings.bucket: is missing"),
            ("repository type [s4] does not exist", "type: s4\nsettings: {}\n", 1, "choose s3"),
            ("secure settings belong in the keystore", "type: s3\nsettings:\n  bucket: b\n  access_key: k\n", 4, "keystore"),
            ("ByteSizeValue", "type: s3\nsettings: {bucket: b, chunk_size: 5}\n", 2, "not a size"),
            ("S3 repository settings", "type: s3\nsettings: {bucket: b, base_pth: a}\n", 2, "did you mean base_path?"),
            ("Shared file system repository settings", "type: fs\nsettings: {location: b, bucket: a}\n", 2, "unknown key"),
        ],
    );
    refused(
        "snapshots/policies/s.yaml",
        &[
            ("repository is required", "schedule: 1d\nname: s\n", 1, "repository: is missing"),
            (
                "invalid schedule: must be a valid cron expression",
                "schedule: 30 1 * * *\nname: s\nrepository: r\n",
                1,
                "not a schedule",
            ),
            ("Quartz: one of the days is ?", "schedule: 0 30 1 * * *\nname: s\nrepository: r\n", 1, "not a schedule"),
            (
                "IndicesOptions: No valid expand wildcard value",
                "schedule: 1d\nname: s\nrepository: r\nconfig: {expand_wildcards: opn}\n",
                4,
                "choose one of all, open",
            ),
            (
                "managed: is Elasticsearch's own mark",
                "schedule: 1d\nname: s\nrepository: r\nconfig: {metadata: {managed: true}}\n",
                4,
                "as Elasticsearch's own",
            ),
            (
                "SnapshotLifecyclePolicy: retention is null",
                "schedule: 1d\nname: s\nrepository: r\nretention:\n",
                4,
                "retention: is empty",
            ),
            ("SnapshotLifecyclePolicy: config is null", "schedule: 1d\nname: s\nrepository: r\nconfig:\n", 4, "config: is empty"),
            (
                "TimeValue: M is no unit",
                "schedule: 1d\nname: s\nrepository: r\nretention: {expire_after: 1M}\n",
                4,
                "not a duration",
            ),
            (
                "invalid snapshot name: must not start with '_'",
                "schedule: 1d\nname: _s\nrepository: r\n",
                2,
                "leading underscore",
            ),
            ("the same with date math", "schedule: 1d\nname: <_s-{now}>\nrepository: r\n", 2, "leading underscore"),
            ("date math without an end", "schedule: 1d\nname: <s-{now>\nrepository: r\n", 2, "date math without }"),
            ("Cron: a month has five Saturdays", "schedule: 0 0 0 ? * 7#6\nname: s\nrepository: r\n", 1, "not a schedule"),
            (
                "unhealthy_if_no_snapshot_within: time is too short",
                "schedule: 1d\nname: s\nrepository: r\nunhealthy_if_no_snapshot_within: 12h\n",
                4,
                "not longer than the interval",
            ),
            ("slm.minimum_interval", "schedule: 5m\nname: s\nrepository: r\n", 1, "below 15m"),
            ("invalid snapshot name: must be lowercase", "schedule: 1d\nname: Nightly\nrepository: r\n", 2, "lower case"),
            (
                "SnapshotRetentionConfiguration: minimum above maximum",
                "schedule: 1d\nname: s\nrepository: r\nretention: {min_count: 5, max_count: 2}\n",
                4,
                "above max_count",
            ),
        ],
    );
    let schedules = [
        "0 30 1 * * ?",
        "0 0/15 * ? * MON-FRI",
        "0 0 12 L * ?",
        "0 0 0 ? * 6#3",
        "0 0 0 1,15 JAN-MAR ? 2026",
        "30m",
        "1d",
        "0 0 0 L-3 * ?",
    ];
    let names = ["<s-{now/d}>", "<s-{now/d{yyyy.MM.dd}}>", "<s-{now/d{yyyy.MM.dd|+01:00}}>"];
    for (schedule, name) in schedules.into_iter().flat_map(|schedule| names.map(|name| (schedule, name))) {
        let found = faults("snapshots/policies/s.yaml", &format!("schedule: {schedule}\nname: {name}\nrepository: r\n"));
        assert!(found.iter().all(|fault| fault.contains("not declared")), "{schedule} {name}: {found:?}");
    }
}

#[test]
fn streams_and_references() {
    let template =
        "index_patterns: [logs-shop.app-*]\npriority: 200\ndata_stream: {}\ntemplate: {lifecycle: {data_retention: 7d}}\n";
    let load = |template: &str, streams: &str| {
        let files = [("templates/index/t.yaml", template), ("streams.yaml", streams)];
        desired::load_desired(&files.into_iter().map(|(file, text)| (file.to_owned(), text.to_owned())).collect())
    };
    load(template, "streams:\n  logs-shop.app-default: {}\n").unwrap();
    for (template, streams, part) in [
        (template, "streams:\n  logs-other-default: {}\n", "streams.yaml:2: streams.logs-other-default: matches no declared"),
        (template, "streams:\n  Logs: {}\n", "contains capital letters"),
        (template, "streams:\n  logs-shop.app-x: {budjet: {}}\n", "did you mean budget?"),
        (template, "streams:\n  logs-shop.app-x:\n    budget: {disk_percent: 120, floor: 1d}\n", "streams.yaml:3"),
        (
            template,
            "streams:\n  logs-shop.app-x:\n    protected: true\n    budget: {disk_percent: 20, floor: 1d}\n",
            "would delete from a protected stream",
        ),
        (
            template,
            "streams:\n  logs-shop.app-x:\n    budget: {disk_percent: 60, floor: 1d}\n  logs-shop.app-y:\n    budget: {disk_percent: 40.5, floor: 1d}\n",
            "budgets of 100.5 % of the disks together",
        ),
        (template, "streams:\n  logs-shop.app-x:\n    budget:\n", "streams.yaml:3: streams.logs-shop.app-x.budget: is empty"),
        (template, "streams:\n  logs-shop.app-x:\n    protected:\n", "protected: is empty"),
        (&template.replace("200", "50"), "streams: {}\n", "own template for logs-*-* has 100"),
        (
            &template.replace("{lifecycle: {data_retention: 7d}}", "{}"),
            "streams:\n  logs-shop.app-x: {}\n",
            "would grow without limit",
        ),
        (
            &template.replace("data_stream: {}\ntemplate: {lifecycle: {data_retention: 7d}}", "template: {}"),
            "streams:\n  logs-shop.app-x: {}\n",
            "creates no data streams",
        ),
        (&format!("{template}composed_of: [missing]\n"), "streams: {}\n", "t.yaml:5: composed_of.0: names \"missing\""),
        (
            &template.replace("{lifecycle", "{settings: {index.lifecycle.name: p}, lifecycle"),
            "streams: {}\n",
            "index.lifecycle.name names \"p\"",
        ),
    ] {
        let told = load(template, streams).unwrap_err().to_string();
        assert!(told.contains(part), "{part}\n{told}");
    }
    let told = faults("policy/p.yaml", "phases: {}\n");
    assert!(told[0].contains("is in a folder that is not read"), "{told:?}");
}

//! Offline validation in both directions: what Elasticsearch 9 refuses is refused with file, line and rule; what its reference
//! shows as valid is accepted. Every case names the page or class of Elasticsearch that it comes from.

use std::collections::BTreeMap;

use logship::desired;

/// All faults of one file as text.
fn faults(file: &str, text: &str) -> Vec<String> {
    match desired::load(&BTreeMap::from([(file.to_owned(), text.to_owned())])) {
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
fn the_platforms_own_set_is_right() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("elasticsearch");
    let desired = logship::check::run(&folder).unwrap();
    assert_eq!((desired.objects.len(), desired.streams.len()), (18, 7));
    assert!(desired.streams["logs-exchange.audit-default"].protected);
}

#[test]
fn policies_that_elasticsearch_refuses() {
    const FILE: &str = "policies/p.yaml";
    refused(
        FILE,
        &[
            ("LifecyclePolicy: phases is a constructor argument", "_meta: {a: b}\n", 1, "phases is missing"),
            ("TimeseriesLifecycleType: does not support phase", "phases:\n  hott: {}\n", 2, "did you mean hot?"),
            ("Phase.PARSER is strict", "phases:\n  hot:\n    min_aeg: 1d\n", 3, "did you mean min_age?"),
            ("TimeValue.parseTimeValue: unit is missing", "phases:\n  warm:\n    min_age: 30\n", 3, "no span of time"),
            ("TimeValue.parseTimeValue: unknown unit", "phases:\n  warm:\n    min_age: 30days\n", 3, "no span of time"),
            ("TimeValue.parseTimeValue: fractions", "phases:\n  warm:\n    min_age: 1.5d\n", 3, "no span of time"),
            (
                "invalid action [rollover] defined in phase [warm]",
                "phases:\n  warm:\n    actions:\n      rollover: {max_age: 1d}\n",
                4,
                "it is allowed in hot",
            ),
            (
                "invalid action [allocate] defined in phase [hot]",
                "phases:\n  hot:\n    actions:\n      allocate: {number_of_replicas: 0}\n",
                4,
                "no action of the hot phase",
            ),
            (
                "invalid action [delete] defined in phase [cold]",
                "phases:\n  cold:\n    actions:\n      delete: {}\n",
                4,
                "it is allowed in delete",
            ),
            (
                "invalid action: no such action",
                "phases:\n  hot:\n    actions:\n      frozzen: {}\n",
                4,
                "no action of the hot phase",
            ),
            (
                "may not be used in the [hot] phase without an accompanying [rollover]",
                "phases:\n  hot:\n    actions:\n      forcemerge: {max_num_segments: 1}\n",
                4,
                "needs a rollover",
            ),
            ("the same of readonly", "phases:\n  hot:\n    actions:\n      readonly: {}\n", 4, "needs a rollover"),
            (
                "RolloverAction: At least one max_* rollover condition must be set",
                "phases:\n  hot:\n    actions:\n      rollover:\n        min_docs: 1\n",
                4,
                "no max_* condition",
            ),
            ("RolloverAction: empty", "phases:\n  hot:\n    actions:\n      rollover: {}\n", 4, "no max_* condition"),
            (
                "RolloverConditions.PARSER is strict",
                "phases:\n  hot:\n    actions:\n      rollover:\n        max_sise: 1gb\n",
                5,
                "did you mean max_size?",
            ),
            (
                "ByteSizeValue.parseBytesSizeValue: unit is missing",
                "phases:\n  hot:\n    actions:\n      rollover:\n        max_size: 50\n",
                5,
                "no size",
            ),
            (
                "ByteSizeValue.parseBytesSizeValue: unknown unit",
                "phases:\n  hot:\n    actions:\n      rollover:\n        max_size: 50gib\n",
                5,
                "no size",
            ),
            (
                "ForceMergeAction: [max_num_segments] must be a positive integer",
                "phases:\n  warm:\n    actions:\n      forcemerge: {max_num_segments: 0}\n",
                4,
                "max_num_segments is 0",
            ),
            (
                "ForceMergeAction: required argument",
                "phases:\n  warm:\n    actions:\n      forcemerge: {}\n",
                4,
                "no max_num_segments",
            ),
            (
                "ForceMergeAction: unknown index codec",
                "phases:\n  warm:\n    actions:\n      forcemerge: {max_num_segments: 1, index_codec: zip}\n",
                4,
                "choose best_compression",
            ),
            (
                "ShrinkAction: exactly one",
                "phases:\n  warm:\n    actions:\n      shrink: {number_of_shards: 1, max_primary_shard_size: 50gb}\n",
                4,
                "either number_of_shards or",
            ),
            (
                "ShrinkAction: exactly one, none given",
                "phases:\n  warm:\n    actions:\n      shrink: {}\n",
                4,
                "either number_of_shards or",
            ),
            (
                "ShrinkAction: [number_of_shards] must be greater than 0",
                "phases:\n  warm:\n    actions:\n      shrink: {number_of_shards: 0}\n",
                4,
                "number_of_shards is 0",
            ),
            ("AllocateAction: At least one of …", "phases:\n  warm:\n    actions:\n      allocate: {}\n", 4, "says nothing"),
            (
                "AllocateAction: [number_of_replicas] must be >= 0",
                "phases:\n  warm:\n    actions:\n      allocate: {number_of_replicas: -1}\n",
                4,
                "number_of_replicas is -1",
            ),
            (
                "enabled migrate and allocate with rules",
                "phases:\n  warm:\n    actions:\n      migrate: {enabled: true}\n      allocate: {require: {box: warm}}\n",
                4,
                "keep one way",
            ),
            (
                "SetPriorityAction: [priority] must be 0 or greater",
                "phases:\n  hot:\n    actions:\n      set_priority: {priority: -1}\n",
                4,
                "priority is -1",
            ),
            ("SetPriorityAction: required argument", "phases:\n  hot:\n    actions:\n      set_priority: {}\n", 4, "no priority"),
            ("frozen phase without searchable_snapshot", "phases:\n  frozen:\n    min_age: 1d\n", 2, "no searchable_snapshot"),
            (
                "SearchableSnapshotAction: the snapshot repository must be specified",
                "phases:\n  cold:\n    actions:\n      searchable_snapshot: {}\n",
                4,
                "snapshot_repository is missing",
            ),
            (
                "validateActionsFollowingSearchableSnapshot",
                "phases:\n  hot:\n    actions:\n      rollover: {max_age: 1d}\n      searchable_snapshot: {snapshot_repository: a}\n  warm:\n    actions:\n      shrink: {number_of_shards: 1}\n",
                8,
                "after which it is impossible",
            ),
            (
                "validateAllSearchableSnapshotActionsUseSameRepository",
                "phases:\n  cold:\n    actions:\n      searchable_snapshot: {snapshot_repository: a}\n  frozen:\n    actions:\n      searchable_snapshot: {snapshot_repository: b}\n",
                7,
                "differs from",
            ),
            (
                "validateReplicateFor: only the first",
                "phases:\n  cold:\n    actions:\n      searchable_snapshot: {snapshot_repository: a}\n  frozen:\n    actions:\n      searchable_snapshot: {snapshot_repository: a, replicate_for: 1d}\n",
                7,
                "later searchable_snapshot",
            ),
            (
                "validateReplicateFor: until the next phase",
                "phases:\n  cold:\n    min_age: 1d\n    actions:\n      searchable_snapshot: {snapshot_repository: a, replicate_for: 10d}\n  delete:\n    min_age: 5d\n",
                5,
                "longer than the time",
            ),
            (
                "validateDownsamplingIntervals: greater",
                "phases:\n  warm:\n    actions:\n      downsample: {fixed_interval: 1h}\n  cold:\n    actions:\n      downsample: {fixed_interval: 1h}\n",
                7,
                "no larger multiple",
            ),
            (
                "validateDownsamplingIntervals: multiple",
                "phases:\n  warm:\n    actions:\n      downsample: {fixed_interval: 2h}\n  cold:\n    actions:\n      downsample: {fixed_interval: 3h}\n",
                7,
                "no larger multiple",
            ),
            (
                "DownsampleAction: required argument",
                "phases:\n  warm:\n    actions:\n      downsample: {}\n",
                4,
                "fixed_interval is missing",
            ),
            (
                "WaitForSnapshotAction: policy must be set",
                "phases:\n  delete:\n    actions:\n      wait_for_snapshot: {}\n",
                4,
                "policy is missing",
            ),
            (
                "DeleteAction.PARSER is strict",
                "phases:\n  delete:\n    actions:\n      delete: {deletes: true}\n",
                4,
                "unknown key",
            ),
            (
                "ReadOnlyAction takes nothing",
                "phases:\n  warm:\n    actions:\n      readonly: {enabled: true}\n",
                4,
                "unknown key",
            ),
            (
                "validateMonotonicallyIncreasingPhaseTimings (a warning there)",
                "phases:\n  warm:\n    min_age: 7d\n  delete:\n    min_age: 3d\n",
                5,
                "less than that of the warm",
            ),
            ("FreezeAction is a no-op since 8.0", "phases:\n  cold:\n    actions:\n      freeze: {}\n", 4, "does nothing"),
            ("DuplicateKeyException", "phases:\n  hot: {}\n  hot: {}\n", 3, "twice"),
            ("XContent: an object is expected", "phases: 3\n", 1, "is no section"),
            ("no YAML", "phases: [\n", 2, "is no YAML"),
        ],
    );
    for (name, part) in [("_a", "underscore"), ("a b", "comma or space"), ("a,b", "comma or space")] {
        let found = faults(&format!("policies/{name}.yaml"), "phases: {}\n");
        assert!(found[0].contains(part), "LifecyclePolicy.validatePolicyName: {found:?}");
    }
}

#[test]
fn policies_that_the_reference_shows_as_valid() {
    let cases = [
        (
            "Create or update a lifecycle policy",
            "{_meta: {description: used for nginx log, project: {name: myProject, department: myDepartment}}, phases: {warm: {min_age: 10d, actions: {forcemerge: {max_num_segments: 1}}}, delete: {min_age: 30d, actions: {delete: {}}}}}",
        ),
        (
            "ILM overview: phases in an order of one's own",
            "{phases: {delete: {min_age: 30d, actions: {delete: {}}}, hot: {actions: {rollover: {max_age: 1d}}}}}",
        ),
        ("Rollover: max_primary_shard_size", "{phases: {hot: {actions: {rollover: {max_primary_shard_size: 50gb}}}}}"),
        ("Rollover: max_size 100gb", "{phases: {hot: {actions: {rollover: {max_size: 100gb}}}}}"),
        ("Rollover: max_docs", "{phases: {hot: {actions: {rollover: {max_docs: 100000000}}}}}"),
        ("Rollover: max_primary_shard_docs", "{phases: {hot: {actions: {rollover: {max_primary_shard_docs: 10000000}}}}}"),
        ("Rollover: several conditions", "{phases: {hot: {actions: {rollover: {max_age: 7d, max_size: 100gb}}}}}"),
        (
            "Rollover: keep data small, min_docs",
            "{phases: {hot: {actions: {rollover: {max_age: 7d, max_size: 100gb, min_docs: 1000}}}}}",
        ),
        (
            "Rollover blocks phase transition",
            "{phases: {hot: {actions: {rollover: {max_size: 50gb}}}, delete: {min_age: 1d, actions: {delete: {}}}}}",
        ),
        ("Allocate: number of replicas", "{phases: {warm: {actions: {allocate: {number_of_replicas: 2}}}}}"),
        ("Allocate: multiple attributes", "{phases: {warm: {actions: {allocate: {include: {box_type: 'hot,warm'}}}}}}"),
        (
            "Allocate: specific nodes, shards per node",
            "{phases: {warm: {actions: {allocate: {number_of_replicas: 1, total_shards_per_node: 200, require: {box_type: cold, storage: high}}}}}}",
        ),
        (
            "Migrate: disabled beside allocate",
            "{phases: {warm: {actions: {migrate: {enabled: false}, allocate: {include: {rack_id: 'one,two'}}}}}}",
        ),
        (
            "Migrate: enabled beside replicas",
            "{phases: {warm: {actions: {migrate: {enabled: true}, allocate: {number_of_replicas: 1}}}}}",
        ),
        ("Force merge", "{phases: {warm: {actions: {forcemerge: {max_num_segments: 1, index_codec: best_compression}}}}}"),
        ("Force merge in hot", "{phases: {hot: {actions: {rollover: {max_age: 1d}, forcemerge: {max_num_segments: 1}}}}}"),
        ("Shrink: number of shards", "{phases: {warm: {actions: {shrink: {number_of_shards: 1}}}}}"),
        (
            "Shrink: shard size",
            "{phases: {warm: {actions: {shrink: {max_primary_shard_size: 50gb, allow_write_after_shrink: true}}}}}",
        ),
        ("Set priority", "{phases: {warm: {actions: {set_priority: {priority: 50}}}}}"),
        ("Set priority: null", "{phases: {cold: {actions: {set_priority: {priority: null}}}}}"),
        ("Read only", "{phases: {warm: {actions: {readonly: {}}}}}"),
        ("Unfollow", "{phases: {hot: {actions: {unfollow: {}}}}}"),
        (
            "Downsample",
            "{phases: {warm: {actions: {downsample: {fixed_interval: 1h, wait_timeout: 1d, sampling_method: last_value}}}}}",
        ),
        (
            "Downsample twice",
            "{phases: {hot: {actions: {rollover: {max_age: 1d}, downsample: {fixed_interval: 5m}}}, warm: {actions: {downsample: {fixed_interval: 1h}}}}}",
        ),
        ("Delete: keep the snapshot", "{phases: {delete: {actions: {delete: {delete_searchable_snapshot: false}}}}}"),
        ("Delete: empty phase", "{phases: {delete: {min_age: 1d, actions: {}}}}"),
        (
            "ilm/10_basic.yml of elasticsearch-clients-tests",
            "{phases: {warm: {min_age: 1000s, actions: {forcemerge: {max_num_segments: 10000}}}, hot: {min_age: 1000s, actions: {}}}}",
        ),
        (
            "Phase.min_age defaults to 0ms",
            "{phases: {hot: {min_age: 0ms, actions: {rollover: {max_age: 30d, max_primary_shard_size: 50gb}}}, warm: {actions: {}}}}",
        ),
        (
            "XContent: numbers in quotes",
            "{phases: {warm: {actions: {forcemerge: {max_num_segments: '1'}, set_priority: {priority: '50'}}}}}",
        ),
        ("ByteSizeValue: any case", "{phases: {hot: {actions: {rollover: {max_size: 50GB}}}}}"),
    ];
    for (source, text) in cases {
        assert_eq!(faults("policies/p.yaml", text), Vec::<String>::new(), "{source}: {text}");
    }
    let with_repository = |policy: &str| {
        let files = [
            ("policies/p.yaml", policy),
            ("snapshots/repositories/backing_repo.yaml", "{type: s3, settings: {bucket: b}}"),
            ("snapshots/policies/slm.yaml", "{schedule: 0 30 1 * * ?, name: \"<s-{now/d}>\", repository: backing_repo}"),
        ];
        desired::load(&files.into_iter().map(|(file, text)| (file.to_owned(), text.to_owned())).collect())
    };
    for (source, text) in [
        ("Searchable snapshot", "{phases: {cold: {actions: {searchable_snapshot: {snapshot_repository: backing_repo}}}}}"),
        (
            "Searchable snapshot: replicate_for",
            "{phases: {frozen: {min_age: 1d, actions: {searchable_snapshot: {snapshot_repository: backing_repo, replicate_for: 14d}}}, delete: {min_age: 28d, actions: {delete: {}}}}}",
        ),
        (
            "Searchable snapshot: force_merge_on_clone, 9.2",
            "{phases: {frozen: {actions: {searchable_snapshot: {snapshot_repository: backing_repo, force_merge_index: true, force_merge_on_clone: false, total_shards_per_node: 2}}}}}",
        ),
        (
            "Searchable snapshot in hot, then warm without forcemerge",
            "{phases: {hot: {actions: {rollover: {max_age: 1d}, searchable_snapshot: {snapshot_repository: backing_repo}}}, warm: {actions: {set_priority: {priority: 1}}}}}",
        ),
        ("Wait for snapshot", "{phases: {delete: {actions: {wait_for_snapshot: {policy: slm}, delete: {}}}}}"),
    ] {
        with_repository(text).unwrap_or_else(|faults| panic!("{source}: {faults}"));
    }
    let told = with_repository("{phases: {cold: {actions: {searchable_snapshot: {snapshot_repository: other}}}}}").unwrap_err();
    assert!(told.to_string().contains("add snapshots/repositories/other.yaml"), "{told}");
}

#[test]
fn templates_that_elasticsearch_refuses() {
    refused(
        "templates/index/t.yaml",
        &[
            ("Required one of fields [index_patterns]", "template: {}\n", 1, "index_patterns is missing"),
            ("index_template is strict", "index_patterns: [a]\ntemplates: {}\n", 2, "did you mean template?"),
            (
                "unknown setting [index.numbr_of_shards]",
                "index_patterns: [a]\ntemplate:\n  settings:\n    numbr_of_shards: 1\n",
                4,
                "unknown setting",
            ),
            (
                "unknown setting [index.lifecycle.nam]",
                "index_patterns: [a]\ntemplate:\n  settings:\n    index.lifecycle.nam: p\n",
                4,
                "unknown setting",
            ),
            (
                "unknown setting [index.mapping.total_fields.limt]",
                "index_patterns: [a]\ntemplate:\n  settings:\n    mapping:\n      total_fields: {limt: 5}\n",
                5,
                "unknown setting index.mapping.total_fields.limt; known: index.mapping.total_fields.ignore_dynamic_beyond_limit",
            ),
            (
                "unknown setting [index.translog.durabilty]",
                "index_patterns: [a]\ntemplate:\n  settings: {index.translog.durabilty: request}\n",
                3,
                "unknown setting",
            ),
            (
                "unknown parameter [ignore_abov] on mapper [f]",
                "index_patterns: [a]\ntemplate:\n  mappings:\n    properties:\n      f: {type: keyword, ignore_abov: 5}\n",
                5,
                "did you mean ignore_above?",
            ),
            (
                "DynamicTemplate: Illegal dynamic template parameter",
                "index_patterns: [a]\ntemplate:\n  mappings:\n    dynamic_templates:\n      - t: {matches: a, mapping: {}}\n",
                5,
                "matches is an unknown key",
            ),
            (
                "_meta.managed is Elasticsearch's own mark",
                "index_patterns: [a]\n_meta: {managed: true}\n",
                2,
                "marks its own objects",
            ),
            (
                "private index setting [index.uuid]",
                "index_patterns: [a]\ntemplate:\n  settings:\n    index: {uuid: x}\n",
                4,
                "makes itself",
            ),
            (
                "Failed to parse value [0] for setting [index.number_of_shards]",
                "index_patterns: [a]\ntemplate:\n  settings: {number_of_shards: 0}\n",
                3,
                "write 1 to 1024",
            ),
            (
                "failed to parse setting [index.refresh_interval]",
                "index_patterns: [a]\ntemplate:\n  settings: {refresh_interval: 10sec}\n",
                3,
                "span of time",
            ),
            (
                "No handler for type [keywrd]",
                "index_patterns: [a]\ntemplate:\n  mappings:\n    properties:\n      f: {type: keywrd}\n",
                5,
                "no field type",
            ),
            (
                "unsupported parameters of a root mapping",
                "index_patterns: [a]\ntemplate:\n  mappings:\n    propertes: {}\n",
                4,
                "did you mean properties?",
            ),
            ("DataStreamTemplate is strict", "index_patterns: [a]\ndata_stream: {hiden: true}\n", 2, "did you mean hidden?"),
            (
                "lifecycle on templates without data_stream",
                "index_patterns: [a]\ntemplate:\n  lifecycle: {data_retention: 7d}\n",
                3,
                "is for data streams",
            ),
            (
                "DataStreamLifecycle.Downsampling: 5 minutes",
                "index_patterns: [a]\ndata_stream: {}\ntemplate:\n  lifecycle:\n    downsampling:\n      - {after: 1d, fixed_interval: 1m}\n",
                6,
                "below 5m",
            ),
            (
                "DataStreamLifecycle.Downsampling: after grows",
                "index_patterns: [a]\ndata_stream: {}\ntemplate:\n  lifecycle:\n    downsampling:\n      - {after: 2d, fixed_interval: 1h}\n      - {after: 1d, fixed_interval: 2h}\n",
                7,
                "let after grow",
            ),
            ("index patterns are small letters", "index_patterns: [Logs-*]\n", 1, "no name can be"),
        ],
    );
    refused(
        "templates/components/c.yaml",
        &[
            ("ComponentTemplate: template is required", "version: 1\n", 1, "template is missing"),
            ("component_template is strict", "template: {setings: {}}\n", 1, "did you mean settings?"),
            (
                "DataStreamFailureStore: at least one",
                "template:\n  data_stream_options:\n    failure_store: {}\n",
                3,
                "says nothing",
            ),
        ],
    );
}

#[test]
fn aliases_and_analysis_of_templates() {
    let aliases = |alias: &str| format!("index_patterns: [a]\ntemplate:\n  aliases:\n    x: {alias}\n");
    let analysis = |lines: &str| format!("index_patterns: [a]\ntemplate:\n  settings:\n{lines}");
    let unknown = "is an unknown setting index.analysis.analyser; known: index.analysis.analyzer, index.analysis.char_filter";
    const ALIASES: &str = "Create or update an index template: template.aliases";
    const ANALYSIS: &str = "Create or update an index template: template.settings.analysis";
    const CUSTOM: &str = "Create a custom analyzer: configuration";
    let cases = [
        (ALIASES, aliases("{filters: {term: {a: b}}}"), 4, "did you mean filter?"),
        (ALIASES, aliases("{is_writeindex: true}"), 4, "did you mean is_write_index?"),
        (ALIASES, aliases("{must_exist: true}"), 4, "is an unknown key"),
        (ALIASES, aliases("{filter: a}"), 4, "template.aliases.x.filter is no section"),
        (ALIASES, aliases("{routing: 5}"), 4, "template.aliases.x.routing is 5, which is no text"),
        (ALIASES, aliases("{search_routing: [a]}"), 4, "search_routing is [\"a\"], which is no text"),
        (ALIASES, aliases("{is_hidden: perhaps}"), 4, "write true or false"),
        (ALIASES, aliases("a"), 4, "template.aliases.x is no section"),
        (ALIASES, aliases(""), 4, "template.aliases.x is empty"),
        (ANALYSIS, analysis("    analysis:\n      analyser: {a: {type: stop}}\n"), 5, unknown),
        (ANALYSIS, analysis("    index.analysis.analyser.a.type: stop\n"), 4, unknown),
        (ANALYSIS, analysis("    index:\n      analysis.filter: {a: stop}\n"), 5, "analysis.filter.a is no section"),
        (ANALYSIS, analysis("    analysis: [a]\n"), 4, "analysis is no section"),
        (
            "AnalysisRegistry: must specify",
            analysis("    analysis:\n      filter:\n        f: {stopwords: a}\n"),
            6,
            "the filter \"f\", which has no type",
        ),
        (
            "AnalysisRegistry: must specify",
            analysis("    analysis.tokenizer.t.pattern: a\n"),
            4,
            "the tokenizer \"t\", which has no type",
        ),
        (CUSTOM, analysis("    analysis:\n      analyzer:\n        b: {filter: [lowercase]}\n"), 6, "neither type nor tokenizer"),
        (CUSTOM, analysis("    analysis:\n      analyzer:\n        b: {type: custom}\n"), 6, "has no tokenizer"),
        (CUSTOM, analysis("    analysis:\n      char_filter:\n        c: {}\n"), 6, "says nothing"),
        (CUSTOM, analysis("    analysis:\n      char_filter:\n        c: {type: 5}\n"), 6, "whose type is 5"),
    ];
    let cases: Vec<_> = cases.iter().map(|(source, text, line, part)| (*source, text.as_str(), *line, *part)).collect();
    refused("templates/index/t.yaml", &cases);
    for (source, text) in [
        (ALIASES, aliases("{filter: {term: {a: b}}, index_routing: \"1\", search_routing: \"1,2\", is_write_index: \"true\"}")),
        (ALIASES, aliases("{}")),
        (
            "Create a custom analyzer: example",
            analysis(
                "    analysis: {analyzer: {a: {type: custom, tokenizer: standard, char_filter: [html_strip], filter: [lowercase, f]}}, filter: {f: {type: stop, stopwords: _english_}}}\n",
            ),
        ),
        ("Specify an analyzer: default", analysis("    index.analysis.analyzer.default: {tokenizer: whitespace}\n")),
        (
            "Configuring built-in analyzers",
            analysis("    index: {analysis.analyzer.std: {type: standard, stopwords: _english_}}\n"),
        ),
        (
            "Normalizers: type may be left out",
            analysis(
                "    analysis: {normalizer: {n: {filter: [lowercase]}}, char_filter: {c: {type: mapping, mappings: [a => b]}}}\n",
            ),
        ),
        ("Pattern tokenizer", analysis("    analysis: {tokenizer: {t: {type: pattern, pattern: \",\"}}}\n")),
        (
            "ICU analysis plugin: types of plugins",
            analysis("    analysis.tokenizer.icu: {type: icu_tokenizer, rule_files: \"Latn:a.rbbi\"}\n"),
        ),
    ] {
        assert_eq!(faults("templates/index/t.yaml", &text), Vec::<String>::new(), "{source}: {text}");
    }
}

#[test]
fn pipelines_and_snapshots_that_elasticsearch_refuses() {
    refused(
        "pipelines/p.yaml",
        &[
            ("[processors] required property is missing", "description: a\n", 1, "processors is missing"),
            ("No processor type exists with name [sett]", "processors:\n  - sett: {field: a}\n", 2, "no processor"),
            ("[field] required property is missing", "processors:\n  - set: {value: a}\n", 2, "has no field"),
            ("[value] required property is missing", "processors:\n  - set: {field: a}\n", 2, "has no value or copy_from"),
            ("on_failure must not be empty", "processors: []\non_failure: []\n", 2, "is empty"),
            (
                "processor [set] doesn't support one or more provided configuration parameters",
                "processors:\n  - set: {field: a, value: b, overide: true}\n",
                2,
                "did you mean override?",
            ),
            ("one processor an item", "processors:\n  - set: {field: a, value: b}\n    if: x\n", 2, "not one processor"),
            (
                "a pipeline that is not there fails every document",
                "processors:\n  - pipeline: {name: other}\n",
                1,
                "not declared",
            ),
        ],
    );
    refused(
        "snapshots/repositories/r.yaml",
        &[
            ("[type] is required", "settings: {bucket: b}\n", 1, "type is missing"),
            ("S3Repository: No bucket defined", "type: s3\nsettings: {base_path: a}\n", 2, "settings.bucket is missing"),
            ("repository type [s4] does not exist", "type: s4\nsettings: {}\n", 1, "choose s3"),
            ("secure settings belong into the keystore", "type: s3\nsettings:\n  bucket: b\n  access_key: k\n", 4, "keystore"),
            ("ByteSizeValue", "type: s3\nsettings: {bucket: b, chunk_size: 5}\n", 2, "no size"),
            ("S3 repository settings", "type: s3\nsettings: {bucket: b, base_pth: a}\n", 2, "did you mean base_path?"),
            ("Shared file system repository settings", "type: fs\nsettings: {location: b, bucket: a}\n", 2, "unknown key"),
        ],
    );
    refused(
        "snapshots/policies/s.yaml",
        &[
            ("repository is required", "schedule: 1d\nname: s\n", 1, "repository is missing"),
            (
                "invalid schedule: must be a valid cron expression",
                "schedule: 30 1 * * *\nname: s\nrepository: r\n",
                1,
                "no schedule",
            ),
            ("Quartz: one of the days is ?", "schedule: 0 30 1 * * *\nname: s\nrepository: r\n", 1, "no schedule"),
            (
                "IndicesOptions: No valid expand wildcard value",
                "schedule: 1d\nname: s\nrepository: r\nconfig: {expand_wildcards: opn}\n",
                4,
                "choose of all, open",
            ),
            (
                "managed is Elasticsearch's own mark",
                "schedule: 1d\nname: s\nrepository: r\nconfig: {metadata: {managed: true}}\n",
                4,
                "marks its own objects",
            ),
            ("slm.minimum_interval", "schedule: 5m\nname: s\nrepository: r\n", 1, "below 15m"),
            ("invalid snapshot name: must be lowercase", "schedule: 1d\nname: Nightly\nrepository: r\n", 2, "small letters"),
            (
                "SnapshotRetentionConfiguration: minimum above maximum",
                "schedule: 1d\nname: s\nrepository: r\nretention: {min_count: 5, max_count: 2}\n",
                4,
                "above max_count",
            ),
        ],
    );
    let schedules =
        ["0 30 1 * * ?", "0 0/15 * ? * MON-FRI", "0 0 12 L * ?", "0 0 0 ? * 6#3", "0 0 0 1,15 JAN-MAR ? 2026", "30m", "1d"];
    for schedule in schedules {
        let found = faults("snapshots/policies/s.yaml", &format!("schedule: {schedule}\nname: <s-{{now/d}}>\nrepository: r\n"));
        assert!(found.iter().all(|fault| fault.contains("not declared")), "{schedule}: {found:?}");
    }
}

#[test]
fn streams_and_references() {
    let template =
        "index_patterns: [logs-shop.app-*]\npriority: 200\ndata_stream: {}\ntemplate: {lifecycle: {data_retention: 7d}}\n";
    let load = |template: &str, streams: &str| {
        let files = [("templates/index/t.yaml", template), ("streams.yaml", streams)];
        desired::load(&files.into_iter().map(|(file, text)| (file.to_owned(), text.to_owned())).collect())
    };
    load(template, "streams:\n  logs-shop.app-default: {}\n").unwrap();
    for (template, streams, part) in [
        (template, "streams:\n  logs-other-default: {}\n", "streams.yaml:2: streams.logs-other-default matches no declared"),
        (template, "streams:\n  Logs: {}\n", "holds capitals"),
        (template, "streams:\n  logs-shop.app-x: {budjet: {}}\n", "did you mean budget?"),
        (template, "streams:\n  logs-shop.app-x:\n    budget: {disk_percent: 120, floor: 1d}\n", "streams.yaml:3"),
        (
            template,
            "streams:\n  logs-shop.app-x:\n    protected: true\n    budget: {disk_percent: 20, floor: 1d}\n",
            "would delete from a protected stream",
        ),
        (&template.replace("200", "50"), "streams: {}\n", "own template for logs-*-* has 100"),
        (
            &template.replace("{lifecycle: {data_retention: 7d}}", "{}"),
            "streams:\n  logs-shop.app-x: {}\n",
            "would grow for ever",
        ),
        (
            &template.replace("data_stream: {}\ntemplate: {lifecycle: {data_retention: 7d}}", "template: {}"),
            "streams:\n  logs-shop.app-x: {}\n",
            "makes no data streams",
        ),
        (&format!("{template}composed_of: [missing]\n"), "streams: {}\n", "t.yaml:5: composed_of.0 names \"missing\""),
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
    assert!(told[0].contains("stands in no folder that is read"), "{told:?}");
}

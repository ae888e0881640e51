//! This module tests index lifecycle policies.

use logship::desired;

use super::{faults, refused};

#[test]
fn policies_that_elasticsearch_refuses() {
    const FILE: &str = "policies/p.yaml";
    refused(
        FILE,
        &[
            ("LifecyclePolicy: phases is a constructor argument", "_meta: {a: b}\n", 1, "phases: is missing"),
            ("TimeseriesLifecycleType: does not support phase", "phases:\n  hott: {}\n", 2, "did you mean hot?"),
            ("Phase.PARSER is strict", "phases:\n  hot:\n    min_aeg: 1d\n", 3, "did you mean min_age?"),
            ("TimeValue.parseTimeValue: unit is missing", "phases:\n  warm:\n    min_age: 30\n", 3, "not a duration"),
            ("TimeValue.parseTimeValue: unknown unit", "phases:\n  warm:\n    min_age: 30days\n", 3, "not a duration"),
            ("TimeValue.parseTimeValue: M is no unit", "phases:\n  warm:\n    min_age: 30M\n", 3, "not a duration"),
            ("Phase: Required [actions]", "phases:\n  warm:\n    min_age: 30d\n", 2, "phases.warm.actions: is missing"),
            ("Phase: Expected START_OBJECT", "phases:\n  warm:\n", 2, "phases.warm: is empty"),
            ("an action is null", "phases:\n  warm:\n    actions:\n      readonly:\n", 4, "readonly: is empty"),
            (
                "SearchableSnapshotAction: [replicate_for] must be positive",
                "phases:\n  cold:\n    actions:\n      searchable_snapshot: {snapshot_repository: r, replicate_for: 0d}\n",
                4,
                "replicate_for: is 0",
            ),
            (
                "SearchableSnapshotAction: [force_merge_on_clone] is not allowed",
                "phases:\n  cold:\n    actions:\n      searchable_snapshot: {snapshot_repository: r, force_merge_index: false, force_merge_on_clone: true}\n",
                4,
                "although force_merge_index is false",
            ),
            (
                "ByteSizeValue: more than 64 bits",
                "phases:\n  hot:\n    actions:\n      rollover: {max_size: 9000000tb}\n",
                4,
                "not a size",
            ),
            ("TimeValue.parseTimeValue: fractions", "phases:\n  warm:\n    min_age: 1.5d\n", 3, "not a duration"),
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
                "not an action of the hot phase",
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
                "not an action of the hot phase",
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
                "not a size",
            ),
            (
                "ByteSizeValue.parseBytesSizeValue: unknown unit",
                "phases:\n  hot:\n    actions:\n      rollover:\n        max_size: 50gib\n",
                5,
                "not a size",
            ),
            (
                "ForceMergeAction: [max_num_segments] must be a positive integer",
                "phases:\n  warm:\n    actions:\n      forcemerge: {max_num_segments: 0}\n",
                4,
                "max_num_segments: is 0",
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
                "number_of_shards: is 0",
            ),
            ("AllocateAction: At least one of …", "phases:\n  warm:\n    actions:\n      allocate: {}\n", 4, "is empty"),
            (
                "AllocateAction: [number_of_replicas] must be >= 0",
                "phases:\n  warm:\n    actions:\n      allocate: {number_of_replicas: -1}\n",
                4,
                "number_of_replicas: is -1",
            ),
            (
                "enabled migrate and allocate with rules",
                "phases:\n  warm:\n    actions:\n      migrate: {enabled: true}\n      allocate: {require: {box: warm}}\n",
                4,
                "use only one way",
            ),
            (
                "SetPriorityAction: [priority] must be 0 or greater",
                "phases:\n  hot:\n    actions:\n      set_priority: {priority: -1}\n",
                4,
                "priority: is -1",
            ),
            ("SetPriorityAction: required argument", "phases:\n  hot:\n    actions:\n      set_priority: {}\n", 4, "no priority"),
            ("frozen phase without searchable_snapshot", "phases:\n  frozen:\n    min_age: 1d\n", 2, "no searchable_snapshot"),
            (
                "SearchableSnapshotAction: the snapshot repository must be specified",
                "phases:\n  cold:\n    actions:\n      searchable_snapshot: {}\n",
                4,
                "snapshot_repository: is missing",
            ),
            (
                "validateActionsFollowingSearchableSnapshot",
                "phases:\n  hot:\n    actions:\n      rollover: {max_age: 1d}\n      searchable_snapshot: \
                 {snapshot_repository: a}\n  warm:\n    actions:\n      shrink: {number_of_shards: 1}\n",
                8,
                "after which it is not possible",
            ),
            (
                "validateAllSearchableSnapshotActionsUseSameRepository",
                "phases:\n  cold:\n    actions:\n      searchable_snapshot: {snapshot_repository: a}\n  frozen:\n    \
                 actions:\n      searchable_snapshot: {snapshot_repository: b}\n",
                7,
                "differs from",
            ),
            (
                "validateReplicateFor: only the first",
                "phases:\n  cold:\n    actions:\n      searchable_snapshot: {snapshot_repository: a}\n  frozen:\n    \
                 actions:\n      searchable_snapshot: {snapshot_repository: a, replicate_for: 1d}\n",
                7,
                "later searchable_snapshot",
            ),
            (
                "validateReplicateFor: until the next phase",
                "phases:\n  cold:\n    min_age: 1d\n    actions:\n      searchable_snapshot: {snapshot_repository: a, \
                 replicate_for: 10d}\n  delete:\n    min_age: 5d\n",
                5,
                "longer than the time",
            ),
            (
                "validateDownsamplingIntervals: greater",
                "phases:\n  warm:\n    actions:\n      downsample: {fixed_interval: 1h}\n  cold:\n    actions:\n      \
                 downsample: {fixed_interval: 1h}\n",
                7,
                "not a larger multiple",
            ),
            (
                "validateDownsamplingIntervals: multiple",
                "phases:\n  warm:\n    actions:\n      downsample: {fixed_interval: 2h}\n  cold:\n    actions:\n      \
                 downsample: {fixed_interval: 3h}\n",
                7,
                "not a larger multiple",
            ),
            (
                "DownsampleAction: required argument",
                "phases:\n  warm:\n    actions:\n      downsample: {}\n",
                4,
                "fixed_interval: is missing",
            ),
            (
                "WaitForSnapshotAction: policy must be set",
                "phases:\n  delete:\n    actions:\n      wait_for_snapshot: {}\n",
                4,
                "policy: is missing",
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
            ("FreezeAction is a no-op since 8.0", "phases:\n  cold:\n    actions:\n      freeze: {}\n", 4, "has no effect"),
            ("DuplicateKeyException", "phases:\n  hot: {}\n  hot: {}\n", 3, "twice"),
            ("XContent: an object is expected", "phases: 3\n", 1, "is not a section"),
            ("no YAML", "phases: [\n", 2, "is not valid YAML"),
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
            "{_meta: {description: used for nginx log, project: {name: myProject, department: myDepartment}}, phases: {warm: \
             {min_age: 10d, actions: {forcemerge: {max_num_segments: 1}}}, delete: {min_age: 30d, actions: {delete: {}}}}}",
        ),
        (
            "ILM overview: phases in another order",
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
            "{phases: {warm: {actions: {allocate: {number_of_replicas: 1, total_shards_per_node: 200, require: {box_type: \
             cold, storage: high}}}}}}",
        ),
        (
            "Migrate: disabled together with allocate",
            "{phases: {warm: {actions: {migrate: {enabled: false}, allocate: {include: {rack_id: 'one,two'}}}}}}",
        ),
        (
            "Migrate: enabled together with replicas",
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
            "{phases: {hot: {actions: {rollover: {max_age: 1d}, downsample: {fixed_interval: 5m}}}, warm: {actions: \
             {downsample: {fixed_interval: 1h}}}}}",
        ),
        ("Delete: keep the snapshot", "{phases: {delete: {actions: {delete: {delete_searchable_snapshot: false}}}}}"),
        ("Delete: empty phase", "{phases: {delete: {min_age: 1d, actions: {}}}}"),
        (
            "ilm/10_basic.yml of elasticsearch-clients-tests",
            "{phases: {warm: {min_age: 1000s, actions: {forcemerge: {max_num_segments: 10000}}}, hot: {min_age: 1000s, \
             actions: {}}}}",
        ),
        (
            "Phase.min_age defaults to 0ms",
            "{phases: {hot: {min_age: 0ms, actions: {rollover: {max_age: 30d, max_primary_shard_size: 50gb}}}, warm: \
             {actions: {}}}}",
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
        desired::load_desired(&files.into_iter().map(|(file, text)| (file.to_owned(), text.to_owned())).collect())
    };
    for (source, text) in [
        ("Searchable snapshot", "{phases: {cold: {actions: {searchable_snapshot: {snapshot_repository: backing_repo}}}}}"),
        (
            "Searchable snapshot: replicate_for",
            "{phases: {frozen: {min_age: 1d, actions: {searchable_snapshot: {snapshot_repository: backing_repo, \
             replicate_for: 14d}}}, delete: {min_age: 28d, actions: {delete: {}}}}}",
        ),
        (
            "Searchable snapshot: force_merge_on_clone, 9.2",
            "{phases: {frozen: {actions: {searchable_snapshot: {snapshot_repository: backing_repo, force_merge_index: true, \
             force_merge_on_clone: false, total_shards_per_node: 2}}}}}",
        ),
        (
            "Searchable snapshot in hot, then warm without forcemerge",
            "{phases: {hot: {actions: {rollover: {max_age: 1d}, searchable_snapshot: {snapshot_repository: backing_repo}}}, \
             warm: {actions: {set_priority: {priority: 1}}}}}",
        ),
        ("Wait for snapshot", "{phases: {delete: {actions: {wait_for_snapshot: {policy: slm}, delete: {}}}}}"),
    ] {
        with_repository(text).unwrap_or_else(|faults| panic!("{source}: {faults}"));
    }
    let told = with_repository("{phases: {cold: {actions: {searchable_snapshot: {snapshot_repository: other}}}}}").unwrap_err();
    assert!(told.to_string().contains("add snapshots/repositories/other.yaml"), "{told}");
}

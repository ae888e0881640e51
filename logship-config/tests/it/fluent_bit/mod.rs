//! This module tests the Fluent Bit configuration: as data here, and in Fluent Bit itself where it is installed (`table`).

mod crowd;
mod keys;
mod node;
mod storm;
mod table;

use std::{collections::BTreeSet, path::PathBuf};

use serde_yaml_ng::Value;

pub const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fluent-bit");

pub fn read(file: &str) -> Value {
    let path = PathBuf::from(FOLDER).join(file);
    serde_yaml_ng::from_str(&std::fs::read_to_string(&path).unwrap())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the plugins of a kind: `inputs`, `filters`, `outputs`.
fn plugins(kind: &str) -> Vec<Value> {
    read("fluent-bit.yaml")["pipeline"][kind].as_sequence().unwrap().clone()
}

fn text<'a>(plugin: &'a Value, key: &str) -> &'a str {
    plugin[key].as_str().unwrap_or_else(|| panic!("{key} of {plugin:?} is not a text"))
}

/// Returns one value or a list of values.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Sequence(values) => values.iter().map(|value| value.as_str().unwrap()).collect(),
        Value::Null => Vec::new(),
        value => vec![value.as_str().unwrap()],
    }
}

fn only<'a>(filters: &'a [Value], name: &str, alias: &str) -> (usize, &'a Value) {
    let found: Vec<_> =
        filters.iter().enumerate().filter(|(_, filter)| text(filter, "name") == name && text(filter, "alias") == alias).collect();
    assert_eq!(found.len(), 1, "{name} {alias}");
    found[0]
}

#[test]
fn every_key_is_one_of_its_plugin() {
    let whole = read("fluent-bit.yaml");
    let sections: Vec<_> = whole.as_mapping().unwrap().keys().filter_map(Value::as_str).collect();
    assert_eq!(sections, ["env", "service", "pipeline"]);
    for key in whole["service"].as_mapping().unwrap().keys() {
        assert!(keys::SERVICE.contains(&key.as_str().unwrap()), "{key:?} is not a setting of the service");
    }
    for (kind, common) in [("inputs", keys::INPUT), ("filters", keys::FILTER), ("outputs", keys::OUTPUT)] {
        for plugin in plugins(kind) {
            let name = text(&plugin, "name");
            let own = keys::PLUGINS.iter().find(|(of, plugin, _)| (*of, *plugin) == (kind, name));
            let (_, _, own) = own.unwrap_or_else(|| panic!("{name} is not listed among {kind}"));
            for key in plugin.as_mapping().unwrap().keys() {
                let key = key.as_str().unwrap();
                assert!(common.contains(&key) || own.contains(&key), "{key} is not a key of {name}");
            }
        }
    }
    let parsers = read("parsers.yaml");
    for (section, known) in [("parsers", keys::PARSER), ("multiline_parsers", keys::MULTILINE_PARSER)] {
        for parser in parsers[section].as_sequence().unwrap() {
            for key in parser.as_mapping().unwrap().keys() {
                assert!(known.contains(&key.as_str().unwrap()), "{key:?} is not a key of {section}");
            }
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let service = &read("fluent-bit.yaml")["service"];
    assert!(PathBuf::from(FOLDER).join(text(service, "parsers_file")).is_file());
    let parsers = read("parsers.yaml");
    let names = |section: &str| -> BTreeSet<String> {
        parsers[section].as_sequence().unwrap().iter().map(|parser| text(parser, "name").to_owned()).collect()
    };
    let filters = plugins("filters");
    for filter in &filters {
        match text(filter, "name") {
            "parser" => assert!(names("parsers").contains(text(filter, "parser"))),
            "multiline" => assert!(names("multiline_parsers").contains(text(filter, "multiline.parser"))),
            _ => {}
        }
    }
    // Built into Fluent Bit.
    assert_eq!(plugins("inputs")[0]["multiline.parser"], "cri");
    let every: Vec<Value> = ["inputs", "filters", "outputs"].into_iter().flat_map(plugins).collect();
    let aliases: BTreeSet<&str> = every.iter().map(|plugin| text(plugin, "alias")).collect();
    assert_eq!(aliases.len(), every.len(), "two plugins with one alias share their metrics");

    // Each tag set by a rule is matched by later filters or by exactly one output.
    let outputs = plugins("outputs");
    let matches: Vec<&str> = outputs.iter().map(|output| text(output, "match").strip_suffix('*').unwrap()).collect();
    let given: BTreeSet<String> = filters
        .iter()
        .filter(|filter| text(filter, "name") == "rewrite_tag")
        .flat_map(|filter| texts(&filter["rule"]))
        .map(|rule| rule.split_whitespace().nth_back(1).unwrap().split_inclusive('.').next().unwrap().to_owned())
        .collect();
    for tag in &given {
        assert!(tag == "stderr." || matches.iter().filter(|of| **of == tag.as_str()).count() == 1, "{tag}");
    }
    assert!(matches.iter().all(|of| given.contains(*of)), "no output waits for a tag that no rule sets");
}

/// The tag is set before the line is parsed, so a line cannot select it. Without proof of origin the line is quarantined.
#[test]
fn origin_is_decided_before_the_line_is_parsed() {
    let filters = plugins("filters");
    let (metadata, kubernetes) = only(&filters, "kubernetes", "kubernetes");
    let (programs, _) = only(&filters, "rewrite_tag", "programs");
    let (others, rules) = only(&filters, "rewrite_tag", "others");
    let (aside, _) = only(&filters, "modify", "origin-aside");
    let (parsed, _) = only(&filters, "parser", "ecs");
    let (back, restored) = only(&filters, "modify", "origin-back");
    assert!(metadata < programs && programs < others && others < aside && aside < parsed && parsed < back);
    assert_eq!(texts(&restored["remove"]), ["kubernetes", "event.created", "_dataset"]);
    assert_eq!((text(restored, "remove_wildcard"), text(restored, "hard_rename")), ("kubernetes.", "_origin kubernetes"));
    let (unproved, forged) = only(&filters, "modify", "origin-unproved");
    assert!(parsed < unproved && unproved < back);
    assert_eq!((text(forged, "match"), text(forged, "remove")), ("quarantine.*", "_origin"));
    assert_eq!(kubernetes["buffer_size"], 0);
    let rules = texts(&rules["rule"]);
    assert_eq!(rules[rules.len() - 2], "$kubernetes['pod_id'] . infrastructure.$TAG false");
    // Every record has `log`; a line that the container runtime did not write has no `stream`.
    assert_eq!(rules[rules.len() - 1], "$log ^ quarantine.$TAG false");
}

/// The relay accepts the outputs' requests, and each stream is declared.
#[test]
fn outputs_send_to_the_relay_and_into_declared_streams() {
    let declared = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/elasticsearch/streams.yaml")).unwrap();
    let declared: Value = serde_yaml_ng::from_str(&declared).unwrap();
    let mut streams = BTreeSet::new();
    for output in plugins("outputs") {
        assert_eq!((text(&output, "name"), text(&output, "host"), &output["port"]), ("es", "127.0.0.1", &9651.into()));
        let index = text(&output, "index");
        assert!(declared["streams"].get(index).is_some(), "{index} is not in streams.yaml");
        streams.insert(index.to_owned());
    }
    let shipped = declared["streams"].as_mapping().unwrap().keys().filter_map(Value::as_str);
    let missing: Vec<_> = shipped.filter(|stream| !streams.contains(*stream) && !stream.contains("dead_letter")).collect();
    assert!(missing.is_empty(), "no output ships to {missing:?}");
}

/// The rows of the table of measured cases that depend on the configuration.
#[test]
fn each_measured_case_has_its_setting() {
    let (inputs, filters, outputs) = (plugins("inputs"), plugins("filters"), plugins("outputs"));
    let service = &read("fluent-bit.yaml")["service"];
    let [tail] = inputs.as_slice() else { panic!("one input") };

    // Bulk to a data stream; ids; no renaming; a bounded, counted queue; audit retries without limit, the rest has a limit.
    for output in &outputs {
        let has = |key: &str, value: &str| assert_eq!(text(output, key), value, "{key} of {}", text(output, "alias"));
        has("write_operation", "create");
        has("suppress_type_name", "on");
        has("generate_id", "on");
        has("compress", "gzip");
        assert!(output.get("replace_dots").is_none(), "replace_dots renames log.level");
        assert!(output.get("storage.total_limit_size").is_some());
        if matches!(text(output, "alias"), "exchange-audit" | "quarantine-app") {
            has("retry_limit", "no_limits");
        } else {
            assert!(output["retry_limit"].as_u64().is_some_and(|limit| (1..=1_000).contains(&limit)));
        }
    }

    // Output down and kill -9: chunks and every emitter are on the disk.
    assert_eq!((text(tail, "storage.type"), text(service, "storage.metrics")), ("filesystem", "on"));
    assert!(text(service, "storage.path").starts_with("/var/lib/"));
    let emitters: Vec<_> = filters.iter().filter(|filter| matches!(text(filter, "name"), "rewrite_tag" | "multiline")).collect();
    assert_eq!(emitters.len(), 5);
    assert!(emitters.iter().all(|filter| text(filter, "emitter_storage.type") == "filesystem"));

    // Identical lines: offset and CRI time stay in the record.
    assert_eq!((text(tail, "offset_key"), text(tail, "multiline.parser")), ("log.offset", "cri"));
    let gone: Vec<&str> = filters.iter().flat_map(|filter| texts(&filter["remove"])).collect();
    // `event.created` is the line's own; the outputs add that of the record.
    let expected = ["_origin", "kubernetes", "event.created", "_dataset", "_p", "_cri_time", "_dataset"];
    assert_eq!(gone, expected, "the CRI time stays in the record");
    let set = |key: &str, value: &str| assert_eq!(text(tail, key), value, "{key}");
    // With symlinked paths it deletes every position at a restart.
    assert!(tail.get("db.compare_filename").is_none());
    // If on, it permanently rejects the chunks of a killed process.
    assert_eq!(text(service, "storage.checksum"), "off");
    set("read_from_head", "on");
    set("skip_long_lines", "on");
    assert_eq!((&tail["refresh_interval"], &tail["rotate_wait"]), (&5.into(), &30.into()));

    // Panics: separate the stream first, then multiline.
    let (apart, by_stream) = only(&filters, "rewrite_tag", "standard-error");
    let (joined, multiline) = only(&filters, "multiline", "panics");
    assert!(apart < joined && text(by_stream, "rule").starts_with("$stream ^stderr$"));
    assert_eq!(text(multiline, "match"), "stderr.*");
    let rules = &read("parsers.yaml")["multiline_parsers"][0]["rules"];
    assert_eq!(rules[0]["regex"], r"/^thread '.*' (\(\d+\) )?panicked at/");

    // The mapping flattens labels, and `log` is never both a text and the parent of log.level.
    let mapping = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/elasticsearch/templates/components/logs-ecs@mappings.yaml"
    ));
    let mapping: Value = serde_yaml_ng::from_str(&mapping.unwrap()).unwrap();
    assert_eq!(mapping["template"]["mappings"]["properties"]["kubernetes"]["properties"]["labels"]["type"], "flattened");
    assert_eq!(text(only(&filters, "modify", "text-lines").1, "rename"), "log message");
}

//! This module tests component and index templates: settings, mappings, aliases, analysis.

use super::{faults, refused};

#[test]
fn templates_that_elasticsearch_refuses() {
    refused(
        "templates/index/t.yaml",
        &[
            ("Required one of fields [index_patterns]", "template: {}\n", 1, "index_patterns: is missing"),
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
                "unknown setting index.mapping.total_fields.limt; did you mean index.mapping.total_fields.limit?",
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
                "matches: is an unknown key",
            ),
            (
                "_meta.managed: is Elasticsearch's own mark",
                "index_patterns: [a]\n_meta: {managed: true}\n",
                2,
                "as Elasticsearch's own",
            ),
            (
                "private index setting [index.uuid]",
                "index_patterns: [a]\ntemplate:\n  settings:\n    index: {uuid: x}\n",
                4,
                "sets itself",
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
                "write a duration",
            ),
            (
                "No handler for type [keywrd]",
                "index_patterns: [a]\ntemplate:\n  mappings:\n    properties:\n      f: {type: keywrd}\n",
                5,
                "not a field type",
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
                "index_patterns: [a]\ndata_stream: {}\ntemplate:\n  lifecycle:\n    downsampling:\n      - {after: 1d, \
                 fixed_interval: 1m}\n",
                6,
                "below 5m",
            ),
            (
                "DataStreamLifecycle.Downsampling: after grows",
                "index_patterns: [a]\ndata_stream: {}\ntemplate:\n  lifecycle:\n    downsampling:\n      - {after: 2d, \
                 fixed_interval: 1h}\n      - {after: 1d, fixed_interval: 2h}\n",
                7,
                "use increasing values of after",
            ),
            ("index patterns are lower case", "index_patterns: [Logs-*]\n", 1, "no valid name matches"),
        ],
    );
    refused(
        "templates/components/c.yaml",
        &[
            ("ComponentTemplate: template is required", "version: 1\n", 1, "template: is missing"),
            ("component_template is strict", "template: {setings: {}}\n", 1, "did you mean settings?"),
            ("DataStreamFailureStore: at least one", "template:\n  data_stream_options:\n    failure_store: {}\n", 3, "is empty"),
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
        (ALIASES, aliases("{filter: a}"), 4, "template.aliases.x.filter: is not a section"),
        (ALIASES, aliases("{routing: 5}"), 4, "template.aliases.x.routing: is 5, which is not a text"),
        (ALIASES, aliases("{search_routing: [a]}"), 4, "search_routing: is [\"a\"], which is not a text"),
        (ALIASES, aliases("{is_hidden: perhaps}"), 4, "write true or false"),
        (ALIASES, aliases("a"), 4, "template.aliases.x: is not a section"),
        (ALIASES, aliases(""), 4, "template.aliases.x: is empty"),
        (ANALYSIS, analysis("    analysis:\n      analyser: {a: {type: stop}}\n"), 5, unknown),
        (ANALYSIS, analysis("    index.analysis.analyser.a.type: stop\n"), 4, unknown),
        (ANALYSIS, analysis("    index:\n      analysis.filter: {a: stop}\n"), 5, "analysis.filter.a: is not a section"),
        (ANALYSIS, analysis("    analysis: [a]\n"), 4, "analysis: is not a section"),
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
        (CUSTOM, analysis("    analysis:\n      char_filter:\n        c: {}\n"), 6, "is empty"),
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
                "    analysis: {analyzer: {a: {type: custom, tokenizer: standard, char_filter: [html_strip], filter: \
                 [lowercase, f]}}, filter: {f: {type: stop, stopwords: _english_}}}\n",
            ),
        ),
        ("Specify an analyzer: default", analysis("    index.analysis.analyzer.default: {tokenizer: whitespace}\n")),
        (
            "Configuring built-in analyzers",
            analysis("    index: {analysis.analyzer.std: {type: standard, stopwords: _english_}}\n"),
        ),
        (
            "Normalizers: type may be omitted",
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

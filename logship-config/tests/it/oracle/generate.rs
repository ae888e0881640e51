//! This module generates declarations: mostly valid, with a few odd values, missing or unknown keys and nulls.

use serde_json::{Map, Value, json};

use super::{
    Case,
    samples::{ACTIONS, AGES, PHASES, SCHEDULES, SNAPSHOT_NAMES},
};

/// How a value is chosen.
type Choice = fn(&mut Dice) -> Value;

/// Knuth's linear congruential generator: the cases are equal on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    /// Happens so many times in a hundred.
    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    /// Mostly one of `good`, else one of `odd`.
    fn mostly(&mut self, good: &[Value], odd: &[Value]) -> Value {
        if self.percent(90) { self.pick(good) } else { self.pick(odd) }
    }

    fn duration(&mut self) -> Value {
        let good = ["0ms", "1h", "1d", "24h", "7d", "30d", "90d"].map(Value::from);
        let odd = [
            json!("30D"),
            json!("30m"),
            json!("30 m"),
            json!("30M"),
            json!("1M"),
            json!("1w"),
            json!("30"),
            json!("0"),
            json!("00"),
            json!("-1"),
            json!("-1d"),
            json!("+5d"),
            json!("1.5d"),
            json!(""),
            json!("5ms"),
            json!("5MS"),
            json!("100micros"),
            json!("7nanos"),
            json!(" 7d "),
            json!("30days"),
            json!("0d"),
            json!("99999999999d"),
            json!("106752d"),
            json!("\u{661}d"),
            json!(5),
            json!(0),
            json!(-1),
            json!(1.5),
            json!(true),
            Value::Null,
        ];
        self.mostly(&good, &odd)
    }

    fn size(&mut self) -> Value {
        let odd = [
            json!("50GB"),
            json!("1.5gb"),
            json!("0"),
            json!("0b"),
            json!("-1"),
            json!("-1b"),
            json!("50"),
            json!("50g"),
            json!(" 50gb"),
            json!("50 gb"),
            json!(""),
            json!("0.5b"),
            json!(".5gb"),
            json!("1.gb"),
            json!("50kib"),
            json!("1K"),
            json!("8388608tb"),
            json!("9999999tb"),
            json!("+5gb"),
            json!("1e3gb"),
            json!("0.0gb"),
            json!(5),
            json!(0),
            json!(-1),
            json!(true),
            Value::Null,
        ];
        self.mostly(&["50gb", "10gb", "1tb"].map(Value::from), &odd)
    }

    fn number(&mut self, good: &[i64]) -> Value {
        let good: Vec<Value> = good.iter().map(|number| json!(number)).collect();
        let odd = [
            json!(0),
            json!(-1),
            json!(-5),
            json!(1025),
            json!(2_147_483_647),
            json!(2_147_483_648_i64),
            json!(i64::MAX),
            json!(u64::MAX),
            json!("1"),
            json!("x"),
            json!(" 1"),
            json!("1.0"),
            json!(1.0),
            json!(1.5),
            json!("-1"),
            json!("1e2"),
            json!(""),
            json!(true),
            Value::Null,
        ];
        self.mostly(&good, &odd)
    }

    fn boolean(&mut self) -> Value {
        let odd = [json!("true"), json!("false"), json!("yes"), json!("True"), json!(""), json!(0), json!(" true"), Value::Null];
        self.mostly(&[json!(true), json!(false)], &odd)
    }

    fn text(&mut self, good: &[&str]) -> Value {
        let good: Vec<Value> = good.iter().map(|text| json!(text)).collect();
        self.mostly(&good, &[json!(""), json!("  "), json!(5), json!(true), json!([]), json!({}), Value::Null])
    }

    fn attributes(&mut self) -> Value {
        let odd = [
            json!({}),
            json!({"box": ""}),
            json!({"box": 5}),
            json!({"box": true}),
            json!({"box": null}),
            json!({"box": ["a"]}),
            json!([]),
            json!("x"),
            Value::Null,
        ];
        self.mostly(&[json!({"box": "a"})], &odd)
    }

    /// Each of the values in so many of a hundred cases.
    fn some(&mut self, percent: usize, values: &[(&str, Choice)]) -> Map<String, Value> {
        let mut map = Map::new();
        for (key, value) in values {
            if self.percent(percent) {
                let value = value(self);
                map.insert((*key).to_owned(), value);
            }
        }
        map
    }

    fn action(&mut self, name: &str) -> Value {
        let mut action = match name {
            "set_priority" => {
                self.some(97, &[("priority", |dice| dice.mostly(&[json!(0), json!(5), Value::Null], &[json!(-5)]))])
            }
            "rollover" => self.rollover(),
            "downsample" => {
                let mut action = self.some(97, &[("fixed_interval", |dice| dice.text(&["1h", "2h", "3h", "6h", "1d"]))]);
                action.extend(self.some(
                    15,
                    &[
                        ("wait_timeout", Self::duration),
                        ("sampling_method", |dice| dice.text(&["aggregate", "last_value", "Last_Value", "mean"])),
                        ("force_merge_index", Self::boolean),
                    ],
                ));
                action
            }
            "shrink" if self.percent(50) => self.some(95, &[("number_of_shards", |dice| dice.number(&[1, 2]))]),
            "shrink" => {
                let mut action = self.some(95, &[("max_primary_shard_size", Self::size)]);
                action.extend(
                    self.some(10, &[("number_of_shards", |dice| dice.number(&[1])), ("allow_write_after_shrink", Self::boolean)]),
                );
                action
            }
            "forcemerge" => {
                let mut action = self.some(97, &[("max_num_segments", |dice| dice.number(&[1, 5]))]);
                action.extend(self.some(15, &[("index_codec", |dice| dice.text(&["best_compression", "default"]))]));
                action
            }
            "allocate" => self.some(
                40,
                &[
                    ("number_of_replicas", |dice| dice.number(&[0, 1])),
                    ("total_shards_per_node", |dice| dice.number(&[1, -1])),
                    ("include", Self::attributes),
                    ("exclude", Self::attributes),
                    ("require", Self::attributes),
                ],
            ),
            "migrate" => self.some(50, &[("enabled", Self::boolean)]),
            "searchable_snapshot" => {
                let mut action = self.some(97, &[("snapshot_repository", |dice| dice.text(&["one", "one", "one", "two"]))]);
                action.extend(self.some(
                    20,
                    &[
                        ("force_merge_index", Self::boolean),
                        ("force_merge_on_clone", Self::boolean),
                        ("total_shards_per_node", |dice| dice.number(&[1, 5])),
                        ("replicate_for", Self::duration),
                    ],
                ));
                action
            }
            "wait_for_snapshot" => self.some(97, &[("policy", |dice| dice.text(&["nightly"]))]),
            "delete" => self.some(50, &[("delete_searchable_snapshot", Self::boolean)]),
            _ => Map::new(),
        };
        match self.below(200) {
            0..=3 => return Value::Null,
            4 | 5 => return self.pick(&[json!([]), json!("x"), json!(true)]),
            6 | 7 => drop(action.insert(self.pick(&["on", "Max_age"]).to_owned(), json!(1))),
            _ => {}
        }
        Value::Object(action)
    }

    fn rollover(&mut self) -> Map<String, Value> {
        let mut rollover = self.some(
            35,
            &[
                ("max_age", Self::duration),
                ("max_primary_shard_size", Self::size),
                ("max_size", Self::size),
                ("max_docs", |dice| dice.number(&[1, 1_000])),
                ("max_primary_shard_docs", |dice| dice.number(&[1, 1_000])),
            ],
        );
        rollover.extend(self.some(
            8,
            &[
                ("min_age", Self::duration),
                ("min_primary_shard_size", Self::size),
                ("min_size", Self::size),
                ("min_docs", |dice| dice.number(&[1, 100])),
                ("min_primary_shard_docs", |dice| dice.number(&[1, 100])),
            ],
        ));
        rollover
    }

    fn phase(&mut self, name: &str, allowed: &[&str], age: &str) -> Value {
        let mut actions = Map::new();
        for _ in 0..self.below(4) {
            let action = if self.percent(98) { self.pick(allowed) } else { self.pick(&ACTIONS) };
            let value = self.action(action);
            actions.insert(action.to_owned(), value);
        }
        let required = match name {
            "hot" => Some("rollover"),
            "frozen" => Some("searchable_snapshot"),
            _ => None,
        };
        if let Some(action) = required.filter(|action| !actions.contains_key(*action))
            && self.percent(85)
        {
            let value = self.action(action);
            actions.insert(action.to_owned(), value);
        }
        let mut phase = Map::new();
        if self.percent(60) {
            let odd = self.duration();
            phase.insert("min_age".to_owned(), if self.percent(93) { json!(age) } else { odd });
        }
        match self.below(150) {
            0 => return Value::Null,
            1 | 2 => {}
            3 => drop(phase.insert("actions".to_owned(), Value::Null)),
            4 => phase.extend([("actions".to_owned(), json!(actions)), ("max_age".to_owned(), json!("1d"))]),
            _ => drop(phase.insert("actions".to_owned(), json!(actions))),
        }
        Value::Object(phase)
    }

    fn policy(&mut self) -> Value {
        let mut phases = Map::new();
        let mut age = 0;
        for (name, allowed) in PHASES {
            // Ages mostly grow.
            age = if self.percent(95) { (age + self.below(3)).min(AGES.len() - 1) } else { self.below(AGES.len()) };
            if self.percent(45) {
                let phase = self.phase(name, allowed, AGES[age]);
                phases.insert(name.to_owned(), phase);
            }
        }
        let mut policy = Map::from_iter([("phases".to_owned(), json!(phases))]);
        match self.below(100) {
            0..=8 => drop(policy.insert("_meta".to_owned(), self.pick(&[json!({}), json!({"a": null}), json!({"a": 1})]))),
            9 => drop(policy.insert("_meta".to_owned(), self.pick(&[Value::Null, json!([]), json!("x")]))),
            10 => drop(policy.insert("deprecated".to_owned(), self.boolean())),
            11 => drop(policy.insert("phases".to_owned(), self.pick(&[Value::Null, json!([]), json!({"hott": {}})]))),
            12 => drop(policy.remove("phases")),
            13 => drop(policy.insert("version".to_owned(), json!(1))),
            _ => {}
        }
        Value::Object(policy)
    }

    fn snapshot_policy(&mut self) -> Value {
        let schedule = if self.percent(60) { json!(self.pick(&SCHEDULES)) } else { self.duration() };
        let name = if self.percent(50) { json!("nightly") } else { json!(self.pick(&SNAPSHOT_NAMES)) };
        let repository = if self.percent(97) { json!("one") } else { self.text(&["one"]) };
        let mut policy =
            Map::from_iter([("schedule".to_owned(), schedule), ("name".to_owned(), name), ("repository".to_owned(), repository)]);
        if self.percent(25) {
            let config = self.config();
            policy.insert("config".to_owned(), config);
        }
        if self.percent(40) {
            let retention = self.some(
                60,
                &[
                    ("expire_after", Self::duration),
                    ("min_count", |dice| dice.number(&[1, 5, 60])),
                    ("max_count", |dice| dice.number(&[5, 50])),
                ],
            );
            let odd = self.pick(&[Value::Null, json!([]), json!("x"), json!({})]);
            policy.insert("retention".to_owned(), if self.percent(96) { json!(retention) } else { odd });
        }
        match self.below(100) {
            0 => drop(policy.remove(self.pick(&["schedule", "name", "repository"]))),
            1 => drop(policy.insert("shedule".to_owned(), json!(1))),
            2 => {
                let value = self.duration();
                policy.insert("unhealthy_if_no_snapshot_within".to_owned(), value);
            }
            _ => {}
        }
        Value::Object(policy)
    }

    fn config(&mut self) -> Value {
        let config = self.some(
            30,
            &[
                ("indices", |dice| {
                    dice.mostly(&[json!("a"), json!(["a", "b"]), json!("a,b")], &[json!([]), json!(5), json!([""]), Value::Null])
                }),
                ("ignore_unavailable", Self::boolean),
                ("include_global_state", Self::boolean),
                ("partial", Self::boolean),
                ("allow_no_indices", Self::boolean),
                ("feature_states", |dice| dice.mostly(&[json!(["none"]), json!([])], &[json!(5), Value::Null])),
                ("metadata", |dice| {
                    dice.mostly(&[json!({}), json!({"a": 1})], &[json!("x"), json!({"a": "x".repeat(1_100)}), Value::Null])
                }),
                ("expand_wildcards", |dice| {
                    dice.mostly(
                        &[json!("all"), json!("open,hidden"), json!(["open"])],
                        &[json!("bogus"), json!("ALL"), Value::Null],
                    )
                }),
            ],
        );
        match self.below(40) {
            0 => self.pick(&[Value::Null, json!([]), json!("x")]),
            1 => json!({"include_aliases": true}),
            _ => Value::Object(config),
        }
    }

    fn settings(&mut self) -> Value {
        let settings = self.some(
            12,
            &[
                ("number_of_shards", |dice| dice.number(&[1, 2])),
                ("index.number_of_replicas", |dice| dice.number(&[0, 1])),
                ("index.refresh_interval", |dice| {
                    dice.mostly(&[json!("5s"), json!("-1")], &[json!("30M"), json!("5"), json!("1w")])
                }),
                ("index.codec", |dice| dice.text(&["best_compression", "default"])),
                ("index.lifecycle.name", |dice| dice.mostly(&[json!("30-days@lifecycle")], &[json!("logs@lifecycle")])),
                ("index.lifecycle.prefer_ilm", |dice| dice.mostly(&[json!(true), json!("false")], &[json!("yes")])),
                ("index.mapping.total_fields.limit", |dice| dice.number(&[1_000])),
                ("index.priority", |dice| dice.number(&[1])),
                ("index.hidden", |dice| dice.mostly(&[json!(true)], &[json!("yes"), json!("True")])),
                ("index.translog.durability", |dice| dice.mostly(&[json!("async"), json!("request")], &[json!("later")])),
                ("index.blocks.write", |dice| dice.mostly(&[json!(false)], &[json!("no")])),
                ("index.mode", |dice| dice.mostly(&[json!("standard"), json!("logsdb")], &[json!("fast")])),
                ("index.auto_expand_replicas", |dice| {
                    dice.mostly(&[json!("0-1"), json!("false"), json!("0-all")], &[json!("1"), json!("2-1")])
                }),
                ("index.max_result_window", |dice| dice.number(&[10_000])),
                ("index.bogus", |_| json!(1)),
                ("index.translog.flush_threshold_size", Self::size),
                ("index.unassigned.node_left.delayed_timeout", Self::duration),
            ],
        );
        if self.percent(3) { Value::Null } else { Value::Object(settings) }
    }

    fn template(&mut self) -> Value {
        let mut template = Map::new();
        if self.percent(60) {
            let settings = self.settings();
            template.insert("settings".to_owned(), settings);
        }
        if self.percent(20) {
            let odd = [Value::Null, json!({"enabled": null}), json!({"data_retention": "30M"}), json!({"data_retention": 0})];
            let good =
                [json!({}), json!({"data_retention": "7d"}), json!({"enabled": false}), json!({"frozen_after": self.duration()})];
            template.insert("lifecycle".to_owned(), self.mostly(&good, &odd));
        }
        if self.percent(10) {
            let odd = [json!({"failure_store": {"enabled": "yes"}}), json!({"failure_stor": {}})];
            template.insert("data_stream_options".to_owned(), self.mostly(&[json!({"failure_store": {"enabled": true}})], &odd));
        }
        if self.percent(10) {
            let odd = [Value::Null, json!({"a": {"is_hidden": "yes"}}), json!({"a": {"filtre": {}}})];
            template.insert("aliases".to_owned(), self.mostly(&[json!({"a": {}}), json!({"a": {"is_hidden": true}})], &odd));
        }
        if self.percent(2) {
            template.insert("mappings".to_owned(), Value::Null);
        }
        if self.percent(2) { Value::Null } else { Value::Object(template) }
    }

    fn component(&mut self) -> Value {
        let mut component = Map::from_iter([("template".to_owned(), self.template())]);
        component.extend(self.some(
            8,
            &[
                ("version", |dice| dice.number(&[1])),
                ("_meta", |dice| dice.mostly(&[json!({"a": null})], &[Value::Null, json!("x")])),
                ("deprecated", Self::boolean),
            ],
        ));
        if self.percent(2) {
            component.insert("priority".to_owned(), json!(1));
        }
        Value::Object(component)
    }

    fn index_template(&mut self) -> Value {
        let mut index = Map::from_iter([("template".to_owned(), self.template()), ("data_stream".to_owned(), json!({}))]);
        index.insert(
            "index_patterns".to_owned(),
            self.mostly(&[json!(["logs-shop.app-*"])], &[json!("logs-shop.app-*"), Value::Null]),
        );
        index.insert("priority".to_owned(), self.number(&[200, 500]));
        index.extend(self.some(
            8,
            &[
                ("version", |dice| dice.number(&[1])),
                ("_meta", |dice| dice.mostly(&[json!({"a": null})], &[Value::Null, json!("x")])),
                ("allow_auto_create", Self::boolean),
                ("composed_of", |dice| dice.mostly(&[json!([]), json!(["ecs@mappings"])], &[json!("ecs@mappings"), Value::Null])),
                ("data_stream", |dice| {
                    dice.mostly(&[json!({"hidden": true})], &[Value::Null, json!({"hiden": true}), json!(true)])
                }),
            ],
        ));
        Value::Object(index)
    }
}

/// Returns lifecycle policies, snapshot policies and templates. Every number is a count.
pub fn cases(policies: usize, snapshot_policies: usize, templates: usize) -> Vec<Case> {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut cases = Vec::new();
    let mut add = |kind, name: String, body| cases.push(Case { kind, name, body });
    for number in 0..policies {
        add("lifecycle_policy", format!("p{number}"), dice.policy());
    }
    for number in 0..snapshot_policies {
        add("snapshot_policy", format!("s{number}"), dice.snapshot_policy());
    }
    for number in 0..templates / 2 {
        add("component_template", format!("c{number}"), dice.component());
        add("index_template", format!("t{number}"), dice.index_template());
    }
    for name in ["_a", "a,b", "a#b", "a*b", "A", "a.b", "a@b", ".a"] {
        add("lifecycle_policy", name.to_owned(), json!({"phases": {}}));
        add("snapshot_policy", name.to_owned(), json!({"schedule": "1d", "name": "n", "repository": "one"}));
    }
    cases
}

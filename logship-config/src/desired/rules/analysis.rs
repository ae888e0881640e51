//! This module checks `analysis` in index settings: the components, and the parameters that each one requires. It does not
//! check other parameters: they depend on the type, and plugins add types.
//!
//! Sources: "Create or update an index template" (`settings.analysis`), "Create a custom analyzer", "Normalizers"; AnalysisRegistry.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Checked, checked::At};

const COMPONENTS: [&str; 5] = ["analyzer", "char_filter", "filter", "normalizer", "tokenizer"];

/// A component by its kind and name: its place and its parameters.
type Found<'a> = BTreeMap<(String, String), (Vec<&'a str>, BTreeMap<String, &'a Value>)>;

/// `at` is the place of the settings.
pub fn analysis(at: At, checked: &mut Checked) {
    let mut found = Found::new();
    for (key, value) in checked.section(at).into_iter().flatten() {
        walk(key, value, &mut vec![key], at, &mut found, checked);
    }
    for ((kind, name), (place, parameters)) in found {
        let here: Vec<&str> = at.iter().copied().chain(place).collect();
        let told = format!("the {kind} {name:?}");
        let given = |parameter: &str| parameters.get(parameter).copied();
        if let Some(value) = given("type").filter(|value| !value.is_string()) {
            checked.fault(&here, format!("contains {told} whose type is {value}"), "write the name of a type");
            continue;
        }
        let (wrong, remedy) = match (kind.as_str(), given("type").and_then(Value::as_str)) {
            (_, None) if parameters.is_empty() => ("is empty", "write its type, or remove it"),
            ("analyzer", None) if given("tokenizer").is_none() => {
                ("has neither type nor tokenizer", "write type: custom and a tokenizer, or the name of another type")
            }
            ("analyzer", Some("custom")) if given("tokenizer").is_none() => ("has no tokenizer", "write tokenizer: standard"),
            ("analyzer" | "normalizer", _) | (_, Some(_)) => continue,
            _ => ("has no type", "write its type, such as type: stop"),
        };
        checked.fault(&here, format!("contains {told}, which {wrong}"), remedy);
    }
}

/// Names may be nested, dotted, or a mix of both.
fn walk<'a>(name: &str, value: &'a Value, place: &mut Vec<&'a str>, at: At, found: &mut Found<'a>, checked: &mut Checked<'a>) {
    let short = name.strip_prefix("index.").unwrap_or(name);
    if name != "index" && short != "analysis" && !short.starts_with("analysis.") || value.is_null() {
        return;
    }
    let steps: Vec<&str> = short.splitn(4, '.').skip(1).collect();
    let here = || at.iter().copied().chain(place.iter().copied()).collect::<Vec<_>>();
    if let Some(kind) = steps.first().filter(|kind| !COMPONENTS.contains(*kind)) {
        let known: Vec<_> = COMPONENTS.iter().map(|kind| format!("index.analysis.{kind}")).collect();
        checked.fault(&here(), format!("is an unknown setting index.analysis.{kind}"), format!("known: {}", known.join(", ")));
        return;
    }
    if let [kind, own, parameter @ ..] = steps.as_slice() {
        let key = ((*kind).to_owned(), (*own).to_owned());
        let (_, parameters) = found.entry(key).or_insert_with(|| (place.clone(), BTreeMap::new()));
        if let [parameter] = parameter {
            parameters.insert((*parameter).to_owned(), value);
            return;
        }
    }
    let Some(section) = value.as_object() else {
        checked.fault(&here(), "is not a section", "write names under it, each with its type");
        return;
    };
    for (key, value) in section {
        place.push(key);
        walk(&format!("{name}.{key}"), value, place, at, found, checked);
        place.pop();
    }
}

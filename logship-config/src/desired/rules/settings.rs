//! This module checks index settings of a template: their names. `setting_values` checks the values.

use serde_json::Value;
use service_kit::config::nearest;

use super::{
    Checked, analysis,
    checked::At,
    setting_table::{OPEN_GROUPS, SETTINGS},
    setting_values::{self, ValueRule},
};

/// A whole group that Elasticsearch sets itself.
const OWN_GROUP: &str = "version.";

pub fn check_index_settings(at: At, checked: &mut Checked) {
    let Some(section) = checked.section(at) else { return };
    let mut flat = Flat::new();
    for (key, value) in section {
        flatten(key, value, &mut vec![key], &mut flat);
    }
    for (name, (place, value)) in flat {
        let here: Vec<&str> = at.iter().copied().chain(place.iter().copied()).collect();
        // `index` itself may be omitted.
        let short = name.strip_prefix("index.").unwrap_or(&name);
        match rule(short) {
            Some(ValueRule::Own) => checked.fault(&here, "is a setting that Elasticsearch sets itself", "remove it"),
            Some(rule) => setting_values::check_value(short, rule, value, &here, checked),
            None => {
                let near = nearest(short, SETTINGS.iter().map(|(known, _)| (*known).to_owned()));
                let remedy = near.map_or_else(|| "correct its name".to_owned(), |near| format!("did you mean index.{near}?"));
                checked.fault(&here, format!("is an unknown setting index.{short}"), remedy);
            }
        }
    }
    analysis::analysis(at, checked);
}

/// Returns the rule of the setting `index.<name>`. `None`: Elasticsearch has no such setting.
fn rule(name: &str) -> Option<ValueRule> {
    let known = SETTINGS.binary_search_by_key(&name, |(known, _)| *known).ok().map(|place| SETTINGS[place].1);
    // `analysis` may be one section, whose names are not read here. A similarity has parameters, not a value.
    let open = || match name.strip_prefix("similarity.") {
        Some(own) => own.contains('.'),
        None => OPEN_GROUPS.iter().any(|group| name.starts_with(group)) || name == "analysis",
    };
    let own = || name.starts_with(OWN_GROUP).then_some(ValueRule::Own);
    known.or_else(own).or_else(|| open().then_some(ValueRule::Any))
}

type Flat<'a> = std::collections::BTreeMap<String, (Vec<&'a str>, &'a Value)>;

fn flatten<'a>(name: &str, value: &'a Value, place: &mut Vec<&'a str>, flat: &mut Flat<'a>) {
    // `analysis` reads its own section.
    let own = ["analysis", "index.analysis"].contains(&name);
    match value.as_object().filter(|_| !own) {
        Some(section) => {
            for (key, value) in section {
                place.push(key);
                flatten(&format!("{name}.{key}"), value, place, flat);
                place.pop();
            }
        }
        None => drop(flat.insert(name.to_owned(), (place.clone(), value))),
    }
}

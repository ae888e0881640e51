//! The configuration file: the settings of the environment as nested YAML, and a list of jobs that each have them all.
//!
//! ```yaml
//! store: {endpoint: "https://s3.example", bucket: backups, access_key: a, secret_key_file: /run/secrets/s3}
//! signing_key_file: /run/secrets/signing
//! jobs:
//!   - name: exchange
//!     source_url_file: /run/secrets/exchange
//!     schedule: "0 0 * * * *"
//!   - name: wiki
//!     source_url_file: /run/secrets/wiki
//!     databases: [wiki, wiki_search]
//! ```
//!
//! What stands beside `jobs` holds for each; a job's own word wins.

use std::{collections::BTreeMap, fs, path::Path};

use serde_yaml_ng::Value;

use super::{Faults, PREFIX};

/// The settings of one job, by their names in the environment.
#[derive(Debug)]
pub(super) struct JobSettings {
    /// Where it stands, for a fault: `jobs[1]: `; empty for the only one.
    pub place: String,
    pub settings: Vec<(String, String)>,
}

pub(super) fn read(path: &Path) -> Result<Vec<JobSettings>, Faults> {
    let one = |fault: String| Faults(vec![fault]);
    let text = fs::read_to_string(path).map_err(|error| {
        one(format!("the configuration file {} cannot be read: {error}; correct the path or its permissions", path.display()))
    })?;
    let document: Value = serde_yaml_ng::from_str(&text)
        .map_err(|error| one(format!("the configuration file {} is not YAML: {error}; correct it there", path.display())))?;
    parse(document)
}

fn parse(document: Value) -> Result<Vec<JobSettings>, Faults> {
    let Value::Mapping(mut document) = document else {
        return Err(Faults(vec!["the configuration file is not a mapping of settings; write name: value lines".into()]));
    };
    let jobs = document.remove("jobs");
    let mut faults = Vec::new();
    let mut common = BTreeMap::new();
    flatten(PREFIX, &Value::Mapping(document), &mut common, &mut faults);
    let jobs = match jobs {
        None => vec![JobSettings { place: String::new(), settings: common.into_iter().collect() }],
        Some(Value::Sequence(jobs)) if !jobs.is_empty() => jobs
            .iter()
            .enumerate()
            .map(|(number, job)| {
                let mut settings = BTreeMap::new();
                if !job.is_mapping() {
                    faults.push(format!("jobs[{number}] is not a mapping of settings; write name: value lines"));
                }
                flatten(PREFIX, job, &mut settings, &mut faults);
                JobSettings { place: format!("jobs[{number}]: "), settings: overlaid(&common, settings) }
            })
            .collect(),
        Some(_) => {
            faults.push("jobs is not a list with at least one job; write it as `jobs: [{name: …}]`".into());
            Vec::new()
        }
    };
    if faults.is_empty() { Ok(jobs) } else { Err(Faults(faults)) }
}

/// A job's own secret in a file replaces a common one that was given as a value, and the other way round.
fn overlaid(common: &BTreeMap<String, String>, own: BTreeMap<String, String>) -> Vec<(String, String)> {
    let replaced = |name: &str| {
        own.contains_key(name)
            || own.contains_key(&format!("{name}_FILE"))
            || name.strip_suffix("_FILE").is_some_and(|value| own.contains_key(value))
    };
    let kept = common.iter().filter(|(name, _)| !replaced(name)).map(|(name, value)| (name.clone(), value.clone()));
    let mut settings: Vec<_> = kept.collect();
    settings.extend(own);
    settings
}

fn flatten(name: &str, value: &Value, into: &mut BTreeMap<String, String>, faults: &mut Vec<String>) {
    let text = match value {
        Value::Mapping(mapping) => {
            for (key, value) in mapping {
                match key.as_str() {
                    Some(key) => flatten(&format!("{name}_{}", key.to_uppercase()), value, into, faults),
                    None => faults.push(format!("{name} has a key that is no text; quote it")),
                }
            }
            return;
        }
        Value::Sequence(items) => {
            let items: Option<Vec<_>> = items.iter().map(scalar).collect();
            match items {
                Some(items) => items.join(","),
                None => return faults.push(format!("{name} holds a list of other than plain values; write one value a line")),
            }
        }
        Value::Null => return faults.push(format!("{name} has no value; give it one, or remove the line")),
        other => scalar(other).unwrap_or_default(),
    };
    // An empty list says what an absent one says.
    if !(text.is_empty() && value.is_sequence()) {
        into.insert(name.to_owned(), text);
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<JobSettings>, Faults> {
        parse(serde_yaml_ng::from_str(text).unwrap())
    }

    #[test]
    fn names_nest_and_a_jobs_own_word_wins() {
        let jobs = parsed(
            "store: {bucket: b, secret_key: s}\nworkers: 3\njobs:\n  - name: one\n  - name: two\n    databases: [a, b]\n    store: \
             {secret_key_file: /f}\n    workers: 4\n    exclude_databases: []\n",
        )
        .unwrap();
        let pairs =
            |job: &JobSettings| job.settings.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
        assert_eq!(pairs(&jobs[0]), "BACKUP_STORE_BUCKET=b BACKUP_STORE_SECRET_KEY=s BACKUP_WORKERS=3 BACKUP_NAME=one");
        assert_eq!(
            pairs(&jobs[1]),
            "BACKUP_STORE_BUCKET=b BACKUP_DATABASES=a,b BACKUP_NAME=two BACKUP_STORE_SECRET_KEY_FILE=/f BACKUP_WORKERS=4"
        );
    }

    #[test]
    fn what_is_no_setting_is_told_at_once() {
        let faults = parsed("workers:\nstore: {1: x}\njobs: [3, {name: [[1]]}]").unwrap_err().0;
        assert_eq!(faults.len(), 4, "{faults:?}");
        assert!(parsed("[1]").is_err() && parsed("jobs: []").is_err());
    }
}

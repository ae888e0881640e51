//! This module reads the configuration file: nested YAML with the settings of the environment, and a list of jobs.
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
//! Settings outside `jobs` apply to every job. A job can override them.

use std::{collections::BTreeMap, fs, path::Path};

use serde_yaml_ng::Value;

use super::{Faults, PREFIX};

/// The settings of one job, by their environment names.
#[derive(Debug)]
pub(super) struct JobSettings {
    /// Position of the job for errors, such as `jobs[1]: `; empty for a single job.
    pub place: String,
    pub settings: Vec<(String, String)>,
}

pub(super) fn read(path: &Path) -> Result<Vec<JobSettings>, Faults> {
    let one = |fault: String| Faults(vec![fault]);
    let text = fs::read_to_string(path).map_err(|error| {
        one(format!("failed to read the configuration file {}: {error}; correct the path or its permissions", path.display()))
    })?;
    let document: Value = serde_yaml_ng::from_str(&text).map_err(|error| {
        one(format!("the configuration file {} is not valid YAML: {error}; correct the file at that place", path.display()))
    })?;
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

/// A job's secret file replaces a common secret value, and vice versa.
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
                    None => faults.push(format!("{name} has a key that is not a string; quote it")),
                }
            }
            return;
        }
        Value::Sequence(items) => {
            let items: Option<Vec<_>> = items.iter().map(scalar).collect();
            match items {
                Some(items) => items.join(","),
                None => return faults.push(format!("{name} contains a list with nested values; write one plain value a line")),
            }
        }
        Value::Null => return faults.push(format!("{name} has no value; give it one, or remove the line")),
        other => scalar(other).unwrap_or_default(),
    };
    // An empty list means the same as an absent one.
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
    fn nested_names_are_read_and_a_job_overrides_the_rest() {
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
    fn every_malformed_setting_is_reported_at_once() {
        let faults = parsed("workers:\nstore: {1: x}\njobs: [3, {name: [[1]]}]").unwrap_err().0;
        assert_eq!(faults.len(), 4, "{faults:?}");
        assert!(parsed("[1]").is_err() && parsed("jobs: []").is_err());
    }
}

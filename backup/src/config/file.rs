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
//! Settings outside `jobs` apply to every job. A job can override them. This module must not know which settings exist.

use std::{collections::BTreeMap, fs, path::Path};

use service_kit::yaml::{self, Content, FileFault, Node, YamlEntry};

use super::{ConfigError, PREFIX, Setting, SettingPlace, Settings};

const REMEDY_OF_VALUES: &str = "write `name: value` lines";

/// The settings of one job, and its place in the file.
#[derive(Debug)]
pub(super) struct JobSettings {
    /// Such as `jobs[1].`; empty if the file has no list of jobs.
    pub path: String,
    pub line: usize,
    /// Settings outside `jobs`.
    pub common: Settings,
    pub own: Settings,
}

pub(super) fn read_jobs(path: &Path) -> Result<Vec<JobSettings>, ConfigError> {
    let file = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| {
        ConfigError(vec![format!("{file}: cannot be read ({error}); correct the path or the file's permissions")])
    })?;
    parse(&text).map_err(|faults| ConfigError(faults.iter().map(|fault| fault.in_file(&file).to_string()).collect()))
}

fn parse(text: &str) -> Result<Vec<JobSettings>, Vec<FileFault>> {
    let root = yaml::parse_yaml(text).map_err(|fault| vec![fault])?;
    let mut faults = Vec::new();
    let jobs = match root.content {
        Content::Mapping(entries) => read_document(&entries, &mut faults),
        other => {
            faults.push(FileFault::new(root.line, "", &format!("is {}, not settings", other.kind()), REMEDY_OF_VALUES));
            Vec::new()
        }
    };
    faults.sort_by_key(|fault| fault.line);
    if faults.is_empty() { Ok(jobs) } else { Err(faults) }
}

fn read_document(entries: &[YamlEntry], faults: &mut Vec<FileFault>) -> Vec<JobSettings> {
    let (lists, rest): (Vec<&YamlEntry>, Vec<&YamlEntry>) = entries.iter().partition(|entry| entry.key == "jobs");
    let mut common = Settings::new();
    flatten(PREFIX, "", rest, &mut common, faults);
    if let Some(again) = lists.get(1) {
        faults.push(repeated(again.line, "jobs", lists[0].line));
    }
    match lists.first().map(|list| (list, &list.value.content)) {
        None => vec![JobSettings { path: String::new(), line: 1, common, own: Settings::new() }],
        Some((_, Content::Sequence(jobs))) if !jobs.is_empty() => {
            let job = |(number, job): (usize, &Node)| {
                let path = format!("jobs[{number}]");
                let mut own = Settings::new();
                match &job.content {
                    Content::Mapping(entries) => flatten(PREFIX, &format!("{path}."), entries, &mut own, faults),
                    other => {
                        let wrong = format!("is {}, not settings", other.kind());
                        faults.push(FileFault::new(job.line, &path, &wrong, REMEDY_OF_VALUES));
                    }
                }
                JobSettings { path: format!("{path}."), line: job.line, common: common.clone(), own }
            };
            jobs.iter().enumerate().map(job).collect()
        }
        Some((list, _)) => {
            let remedy = "write it as `jobs: [{name: …}]`, or remove the key";
            faults.push(FileFault::new(list.line, "jobs", "is not a list with at least one job", remedy));
            Vec::new()
        }
    }
}

/// Adds the settings of a mapping. `prefix` is the first part of their environment names, `path` that of their keys.
fn flatten<'a>(
    prefix: &str,
    path: &str,
    entries: impl IntoIterator<Item = &'a YamlEntry>,
    into: &mut Settings,
    faults: &mut Vec<FileFault>,
) {
    for YamlEntry { key, line, value } in entries {
        let (name, path) = (format!("{prefix}_{}", key.to_uppercase()), format!("{path}{key}"));
        let mut fault = |wrong: &str, remedy: &str| faults.push(FileFault::new(*line, &path, wrong, remedy));
        let text = match &value.content {
            Content::Mapping(entries) => {
                flatten(&name, &format!("{path}."), entries, into, faults);
                continue;
            }
            Content::Null => {
                fault("has no value", "set one, or remove the line");
                continue;
            }
            // An empty list means the same as an absent one.
            Content::Sequence(items) if items.is_empty() => continue,
            Content::Sequence(items) => match items.iter().map(item).collect::<Result<Vec<_>, _>>() {
                Ok(items) => items.join(","),
                Err(wrong) => {
                    fault(wrong, "write one plain value a line");
                    continue;
                }
            },
            Content::Scalar(text) => text.clone(),
        };
        let setting = Setting { text: text.into(), place: SettingPlace::File { line: *line, path: path.clone() } };
        if let Some(Setting { place: SettingPlace::File { line: earlier, .. }, .. }) = into.insert(name, setting) {
            faults.push(repeated(*line, &path, earlier));
        }
    }
}

fn item(node: &Node) -> Result<&str, &'static str> {
    match &node.content {
        Content::Scalar(text) if text.contains(',') => Err("has an item with a comma, which separates items"),
        Content::Scalar(text) => Ok(text),
        Content::Null => Err("has an item without a value"),
        Content::Sequence(_) | Content::Mapping(_) => Err("has an item that is not a single value"),
    }
}

fn repeated(line: usize, path: &str, earlier: usize) -> FileFault {
    FileFault::new(line, path, &format!("is set already in line {earlier}"), "remove one of the two lines")
}

/// `upper`'s settings over those of `lower`. A secret's file replaces a value of the same secret, and vice versa.
pub(super) fn overlay(lower: Settings, upper: Settings) -> Settings {
    let replaced = |name: &str| {
        upper.contains_key(&format!("{name}_FILE")) || name.strip_suffix("_FILE").is_some_and(|value| upper.contains_key(value))
    };
    let mut settings: BTreeMap<_, _> = lower.into_iter().filter(|(name, _)| !replaced(name)).collect();
    settings.extend(upper);
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_names_are_read_and_a_job_overrides_the_rest() {
        let jobs = parse(
            "store: {bucket: b, secret_key: s}\nworkers: 3\njobs:\n  - name: one\n  - name: two\n    databases: [a, b]\n    store: \
             {secret_key_file: /f}\n    workers: 4\n    exclude_databases: []\n",
        )
        .unwrap();
        let pairs = |job: &JobSettings| {
            let settings = overlay(job.common.clone(), job.own.clone());
            let pairs = settings.iter().map(|(name, setting)| format!("{name}={}", setting.text.to_string_lossy()));
            pairs.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(pairs(&jobs[0]), "BACKUP_NAME=one BACKUP_STORE_BUCKET=b BACKUP_STORE_SECRET_KEY=s BACKUP_WORKERS=3");
        assert_eq!(
            pairs(&jobs[1]),
            "BACKUP_DATABASES=a,b BACKUP_NAME=two BACKUP_STORE_BUCKET=b BACKUP_STORE_SECRET_KEY_FILE=/f BACKUP_WORKERS=4"
        );
        let place = &jobs[1].own["BACKUP_STORE_SECRET_KEY_FILE"].place;
        assert_eq!(*place, SettingPlace::File { line: 7, path: "jobs[1].store.secret_key_file".into() });
    }

    #[test]
    fn every_malformed_setting_is_reported_with_its_line() {
        let stated = |text: &str| parse(text).unwrap_err().iter().map(|f| f.in_file("b.yaml").to_string()).collect::<Vec<_>>();
        assert_eq!(
            stated(
                "workers:\nstore:\n  part_mib: [[1]]\nworkers: 2\nstore_bucket: a\nstore: {bucket: b}\ndatabases: [\"a,b\"]\njobs: [3, {name: [~]}]"
            ),
            [
                "b.yaml:1: workers: has no value; set one, or remove the line",
                "b.yaml:3: store.part_mib: has an item that is not a single value; write one plain value a line",
                "b.yaml:6: store.bucket: is set already in line 5; remove one of the two lines",
                "b.yaml:7: databases: has an item with a comma, which separates items; write one plain value a line",
                "b.yaml:8: jobs[0]: is a single value, not settings; write `name: value` lines",
                "b.yaml:8: jobs[1].name: has an item without a value; write one plain value a line",
            ]
        );
        for (text, part) in [
            ("[1]", "is a list, not settings"),
            ("", "is empty, not settings"),
            ("jobs: []", "b.yaml:1: jobs: is not a list with at least one job"),
            ("jobs: [{name: a}]\njobs: [{name: b}]", "b.yaml:2: jobs: is set already in line 1"),
            ("workers: 1\n  store: 2", "is not valid YAML"),
            ("workers: &two 2", "anchor"),
        ] {
            assert!(stated(text)[0].contains(part), "{text}: {:?}", stated(text));
        }
    }
}

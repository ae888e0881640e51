//! This module states a fault where a person can correct it: at the key of the file, at the variable, or at `--set`.

use std::path::Path;

use service_kit::{config::Fault, yaml::FileFault};

use super::{PREFIX, SettingPlace, Settings};

/// A job's place in the configuration file.
pub(super) struct FilePlace<'a> {
    /// `None`: the environment is the only source.
    pub file: Option<&'a Path>,
    /// Such as `jobs[1].`.
    pub path: &'a str,
    pub line: usize,
}

/// The fault with the place of its setting: `file:line: key: problem; remedy`, `--set key: …` or `VARIABLE …`.
pub(super) fn state(fault: &Fault, settings: &Settings, job: &FilePlace<'_>) -> String {
    let place = settings.get(&fault.name).map(|setting| &setting.place);
    let Some(key) = key(&fault.name) else { return fault.to_string() };
    let others = |text: &str| named(text, settings, job);
    let in_file = |line: usize, path: &str| {
        let file = job.file.map(|file| file.display().to_string()).unwrap_or_default();
        FileFault::new(line, path, &others(&fault.wrong), &others(&fault.remedy)).in_file(&file).to_string()
    };
    match place {
        Some(SettingPlace::File { line, path }) => in_file(*line, path),
        Some(SettingPlace::CommandLine) => format!("--set {key}: {}; {}", others(&fault.wrong), others(&fault.remedy)),
        None if job.file.is_some() => in_file(job.line, &format!("{}{key}", job.path)),
        None | Some(SettingPlace::Environment) => fault.to_string(),
    }
}

/// `BACKUP_STORE_BUCKET` -> `store_bucket`, the key of the file and of `--set`. `None`: a variable of another program.
fn key(name: &str) -> Option<String> {
    Some(name.strip_prefix(PREFIX)?.strip_prefix('_')?.to_lowercase())
}

/// Replaces the names of variables in a sentence about a file by their keys, unless the environment sets them.
fn named(text: &str, settings: &Settings, job: &FilePlace<'_>) -> String {
    let is_name = |character: char| character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_';
    let mut words = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_name) {
        let (before, from) = rest.split_at(start);
        let (name, after) = from.split_at(from.find(|character| !is_name(character)).unwrap_or(from.len()));
        words += before;
        match (settings.get(name).map(|setting| &setting.place), key(name)) {
            (Some(SettingPlace::File { path, .. }), _) => words += path,
            (None | Some(SettingPlace::CommandLine), Some(key)) if job.file.is_some() => words += &key,
            _ => words += name,
        }
        rest = after;
    }
    words + rest
}

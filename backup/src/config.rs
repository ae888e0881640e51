//! This module reads every setting of the agent. It is the only reader of the environment and of the configuration file.
//!
//! One [`Job`] backs up one PostgreSQL server to one place. It is read from the environment (`BACKUP_*`), or from a
//! YAML file ([`file`]) in which every setting has the same name, nested: `store: {bucket: x}` is `BACKUP_STORE_BUCKET`.

mod choices;
mod faults;
mod file;
mod groups;
mod restoring;
mod source;
mod store;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashSet},
    ffi::OsString,
    fmt,
    path::Path,
};

use service_kit::config::{self as kit, SettingsReader};

pub use groups::{
    DumpShape, EncryptionSettings, Hooks, KeySettings, Process, RetentionSettings, RolePasswords, Schedules, TransferLimits,
};
pub use restoring::{Drill, Restoring};
pub use source::{ClientCertificate, SourceSettings, TlsMode};
pub use store::{Checksums, Credentials, EncryptionMode, LockMode, ObjectStoreSettings, ServerEncryption};

pub const PREFIX: &str = "BACKUP";

/// Settings that a command requires in addition to the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// The server to back up.
    pub source: bool,
    /// The key that signs records.
    pub signing: bool,
}

/// One backup job.
#[derive(Debug, Clone)]
pub struct Job {
    /// Name of the backups' folder in the bucket, of the lock, and of the label of metrics.
    pub name: String,
    pub process: Process,
    /// `None` for commands that do not need it, if it is not set.
    pub source: Option<SourceSettings>,
    /// Server for the backup if the source is a standby that cannot provide one; `None`: the attempt fails.
    pub primary: Option<SourceSettings>,
    /// Databases to back up; empty: all databases that accept connections and are not templates.
    pub databases: Vec<String>,
    pub exclude_databases: Vec<String>,
    pub store: ObjectStoreSettings,
    pub keys: KeySettings,
    pub encryption: EncryptionSettings,
    pub shape: DumpShape,
    pub limits: TransferLimits,
    pub retention: RetentionSettings,
    pub schedules: Schedules,
    pub hooks: Hooks,
    pub restoring: Restoring,
    pub drill: Drill,
}

impl Job {
    /// Reads every setting. The settings in `needs` are required.
    pub fn read(env: &mut SettingsReader, needs: Needs) -> Self {
        let name = env.or("BACKUP_NAME", "default".to_owned(), "name of this job and its backups: letters, digits, - and _");
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || !name.bytes().all(plain) {
            env.fault(
                "BACKUP_NAME",
                "contains characters other than letters, digits, - and _",
                "choose a plain name such as nightly",
            );
        }
        let process = Process::read(env);
        let source =
            SourceSettings::read(env, "BACKUP_SOURCE_URL", needs.source, "server to back up, postgres://user:password@host/");
        let primary = SourceSettings::read(
            env,
            "BACKUP_PRIMARY_URL",
            false,
            "primary for a last attempt if the source is a standby that cannot provide a backup",
        );
        Self {
            name,
            process,
            source,
            primary,
            databases: env
                .list("BACKUP_DATABASES", "databases to back up; empty: all that accept connections and are not templates"),
            exclude_databases: env.list("BACKUP_EXCLUDE_DATABASES", "databases to exclude"),
            store: ObjectStoreSettings::read(env),
            keys: KeySettings::read(env, needs.signing),
            encryption: EncryptionSettings::read(env),
            shape: DumpShape::read(env),
            limits: TransferLimits::read(env),
            retention: RetentionSettings::read(env),
            schedules: Schedules::read(env),
            hooks: Hooks::read(env),
            restoring: Restoring::read(env),
            drill: Drill::read(env),
        }
    }
}

/// Every fault of a configuration. The program prints its `Display` before it exits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "" } else { "s" };
        write!(formatter, "the configuration has {} fault{plural}:", self.0.len())?;
        self.0.iter().try_for_each(|fault| write!(formatter, "\n  {fault}"))
    }
}

/// Where a setting was set.
#[derive(Debug, Clone, PartialEq, Eq)]
enum SettingPlace {
    Environment,
    File {
        line: usize,
        path: String,
    },
    /// `--set`.
    CommandLine,
}

#[derive(Debug, Clone)]
struct Setting {
    text: OsString,
    place: SettingPlace,
}

/// Settings by their environment names.
type Settings = BTreeMap<String, Setting>;

/// Reads the jobs from the environment of the process, or from `file`. `overrides` are settings from the command line, by their
/// environment names. They apply to every job.
///
/// # Errors
/// Returns every fault of every job.
#[expect(clippy::disallowed_methods, reason = "this module is the one reader of the environment")]
pub fn load(file: Option<&Path>, overrides: &[(String, String)], needs: Needs) -> Result<Vec<Job>, ConfigError> {
    load_from(std::env::vars_os().collect(), file, overrides, needs)
}

/// [`load`] from given variables.
///
/// # Errors
/// Returns every fault of every job.
pub fn load_from(
    variables: Vec<(OsString, OsString)>,
    file: Option<&Path>,
    overrides: &[(String, String)],
    needs: Needs,
) -> Result<Vec<Job>, ConfigError> {
    let jobs = match file {
        None => vec![file::JobSettings { path: String::new(), line: 0, common: Settings::new(), own: Settings::new() }],
        Some(path) => file::read_jobs(path)?,
    };
    // A name that is not UTF-8 belongs to another program.
    let variables = variables
        .into_iter()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, Setting { text, place: SettingPlace::Environment })));
    let environment: Settings = variables.collect();
    let command_line =
        |(name, text): &(String, String)| (name.clone(), Setting { text: text.into(), place: SettingPlace::CommandLine });
    let command_line: Settings = overrides.iter().map(command_line).collect();
    let mut read: Vec<Job> = Vec::new();
    let mut faults: Vec<String> = Vec::new();
    for job in jobs {
        // The command line overrides the file, and the file overrides the environment.
        let layers = [job.common, job.own, command_line.clone()];
        let settings = layers.into_iter().fold(environment.clone(), file::overlay);
        let given = settings.iter().map(|(name, setting)| (name, &setting.text));
        let place = faults::FilePlace { file, path: &job.path, line: job.line };
        match kit::load(PREFIX, given, |env| Job::read(env, needs)) {
            Ok(job) => read.push(job),
            Err(wrong) => faults.extend(wrong.iter().map(|fault| faults::state(fault, &settings, &place))),
        }
    }
    faults.extend(repeated_names(&read));
    // Jobs share the environment and the settings outside `jobs`.
    let mut stated = HashSet::new();
    faults.retain(|fault| stated.insert(fault.clone()));
    if faults.is_empty() { Ok(read) } else { Err(ConfigError(faults)) }
}

/// Every setting as a table for `--help`.
pub fn help() -> String {
    kit::reference(PREFIX, |env| Job::read(env, Needs { source: true, signing: true }))
}

fn repeated_names(jobs: &[Job]) -> Vec<String> {
    let repeated = jobs.iter().enumerate().filter(|(place, job)| jobs[..*place].iter().any(|other| other.name == job.name));
    repeated.map(|(_, job)| format!("two jobs are named {:?}; give each job a unique name", job.name)).collect()
}

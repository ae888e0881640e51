//! This module reads every setting. It is the only reader of the environment (`LOGSHIP_*`). It must not contain the declared
//! objects of a cluster: they are in files.

mod relay;

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use service_kit::{
    config::{self as kit, ConfigFaults, SettingsReader},
    telemetry,
};
use url::Url;

pub use relay::{BODIES_IN_MEMORY, RELAY_CHUNKS_AT_ONCE, RELAY_MEMORY, RelaySettings, TlsFiles};

pub const PREFIX: &str = "LOGSHIP";

/// The settings that a command needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// The address of Elasticsearch.
    pub cluster: bool,
    /// The streams of the relay.
    pub relay: bool,
}

#[derive(Debug, Clone)]
pub struct Config {
    pub process: Process,
    /// `None` for a command that does not need it, if it is not set.
    pub cluster: Option<ClusterSettings>,
    /// Folder of the declared files.
    pub declared: PathBuf,
    pub watch: WatchSettings,
    pub relay: RelaySettings,
}

impl Config {
    fn read(env: &mut SettingsReader, needs: Needs) -> Self {
        Self {
            process: Process::read(env),
            cluster: ClusterSettings::read(env, needs.cluster),
            declared: declared(env),
            watch: WatchSettings::read(env),
            relay: RelaySettings::read(env, needs.relay),
        }
    }
}

fn declared(env: &mut SettingsReader) -> PathBuf {
    PathBuf::from(env.or("LOGSHIP_DECLARED", "elasticsearch".to_owned(), "folder of the declared files"))
}

/// Settings that some of the commands use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingGroup {
    Process,
    Cluster,
    Declared,
    Watch,
    StuckAfter,
    Relay,
}

impl SettingGroup {
    fn ask(self, env: &mut SettingsReader) {
        match self {
            Self::Process => drop(Process::read(env)),
            Self::Cluster => drop(ClusterSettings::read(env, true)),
            Self::Declared => drop(declared(env)),
            Self::Watch => drop(WatchSettings::read(env)),
            Self::StuckAfter => drop(stuck_after(env)),
            Self::Relay => drop(RelaySettings::read(env, true)),
        }
    }
}

/// Bounds of limits of time. A limit of zero would fail everything.
const LIMITS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(30 * 24 * 3600);

/// Settings of the process, for every command.
#[derive(Debug, Clone)]
pub struct Process {
    pub telemetry: telemetry::TelemetrySettings,
    /// From SIGTERM until the process ends, even if work is unfinished.
    pub shutdown_deadline: Duration,
    /// `/metrics`, `/livez`, `/readyz` of daemons.
    pub admin_listen: SocketAddr,
}

impl Process {
    fn read(env: &mut SettingsReader) -> Self {
        Self {
            telemetry: telemetry::TelemetrySettings::read(env),
            shutdown_deadline: env.duration_within(
                "LOGSHIP_SHUTDOWN_DEADLINE",
                Duration::from_secs(30),
                LIMITS,
                "time from SIGTERM until the process ends, even if work is unfinished",
            ),
            admin_listen: env.or(
                "LOGSHIP_ADMIN_LISTEN",
                SocketAddr::from(([127, 0, 0, 1], 9650)),
                "address:port of /metrics, /livez and /readyz of `watch` and `relay`",
            ),
        }
    }
}

/// The interval of `watch` and its allowed actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchSettings {
    pub every: Duration,
    /// A lifecycle step that takes longer is stuck, for `watch` and `explain`.
    pub stuck_after: Duration,
    /// Whether stuck steps are retried or moved.
    pub repairs: bool,
    /// Whether budgets delete indices. If not, `watch` only logs the deletions.
    pub budget_deletes: bool,
}

impl WatchSettings {
    fn read(env: &mut SettingsReader) -> Self {
        Self {
            every: env.duration_within(
                "LOGSHIP_WATCH_EVERY",
                Duration::from_secs(60),
                LIMITS,
                "interval between checks of `watch`",
            ),
            stuck_after: stuck_after(env),
            repairs: env.or("LOGSHIP_REPAIRS", true, "whether `watch` retries stuck steps (true or false)"),
            budget_deletes: env.or(
                "LOGSHIP_BUDGET_DELETES",
                false,
                "whether budgets delete indices (true) or only log the deletions (false)",
            ),
        }
    }
}

fn stuck_after(env: &mut SettingsReader) -> Duration {
    const DEFAULT: Duration = Duration::from_secs(12 * 3600);
    env.duration_within("LOGSHIP_STUCK_AFTER", DEFAULT, LIMITS, "duration after which a lifecycle step counts as stuck")
}

/// The address of Elasticsearch and this program's credentials. Files are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSettings {
    /// Scheme, host and port, without credentials.
    pub url: Url,
    pub credentials: CredentialFiles,
    /// PEM certificates of the authority that signed the cluster's certificate. `None`: the operating system's authorities.
    pub ca_file: Option<PathBuf>,
    /// Time limit of one request, including its answer.
    pub timeout: Duration,
}

/// Mounted files with credentials, one value each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialFiles {
    /// For a cluster without security.
    None,
    /// `id:key` or the encoded form that Elasticsearch returns (`encoded`).
    ApiKey(PathBuf),
    Basic {
        username: String,
        password: PathBuf,
    },
}

const URL_HELP: &str = "address of Elasticsearch, such as https://logs-es-http:9200";

impl ClusterSettings {
    fn read(env: &mut SettingsReader, needed: bool) -> Option<Self> {
        const URL: &str = "LOGSHIP_ELASTICSEARCH_URL";
        let url: Option<Url> = env.optional(URL, URL_HELP);
        match &url {
            None if needed => env.fault(URL, "is missing", &format!("set it: {URL_HELP}")),
            Some(url) if !url.username().is_empty() || url.password().is_some() => {
                env.fault(URL, "contains credentials", "set LOGSHIP_API_KEY_FILE or LOGSHIP_PASSWORD_FILE instead");
            }
            Some(url) if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() => {
                env.fault(
                    URL,
                    "is not a plain http or https address",
                    "write scheme, host and port, such as https://logs-es-http:9200",
                );
            }
            _ => {}
        }
        let credentials = CredentialFiles::read(env);
        let ca_file = env.optional(
            "LOGSHIP_CA_FILE",
            "PEM file of the authority that signed Elasticsearch's certificate (ECK: <name>-es-http-certs-public, ca.crt)",
        );
        let timeout = env.duration_within(
            "LOGSHIP_TIMEOUT",
            Duration::from_secs(30),
            LIMITS,
            "time limit of one request to Elasticsearch, including its answer",
        );
        // A path is retained: a cluster behind a proxy may have one.
        let mut url = url?;
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Some(Self { url, credentials, ca_file, timeout })
    }
}

impl CredentialFiles {
    fn read(env: &mut SettingsReader) -> Self {
        let api_key: Option<PathBuf> =
            env.optional("LOGSHIP_API_KEY_FILE", "file with an API key: id:key, or the encoded form that Elasticsearch returns");
        let username: Option<String> = env.optional("LOGSHIP_USERNAME", "user, if there is no API key");
        let password: Option<PathBuf> = env.optional("LOGSHIP_PASSWORD_FILE", "file with that user's password");
        match (api_key, username, password) {
            (None, None, None) => Self::None,
            (Some(file), None, None) => Self::ApiKey(file),
            (None, Some(username), Some(password)) => Self::Basic { username, password },
            (Some(_), ..) => {
                env.fault("LOGSHIP_API_KEY_FILE", "conflicts with a user or password", "use only one kind of credentials");
                Self::None
            }
            (None, Some(_), None) => {
                env.fault("LOGSHIP_PASSWORD_FILE", "is missing", "LOGSHIP_USERNAME needs it: the file with that user's password");
                Self::None
            }
            (None, None, Some(_)) => {
                env.fault("LOGSHIP_USERNAME", "is missing", "LOGSHIP_PASSWORD_FILE needs it: the user of that password");
                Self::None
            }
        }
    }
}

/// Reads the settings from the process's environment.
///
/// # Errors
/// Returns all faults at once.
#[expect(clippy::disallowed_methods, reason = "this module is the only reader of the environment")]
pub fn load(needs: Needs) -> Result<Config, ConfigFaults> {
    kit::load(PREFIX, std::env::vars_os(), |env| Config::read(env, needs))
}

/// Returns the settings of some groups as a table for `--help`.
pub fn help(groups: &[SettingGroup]) -> String {
    kit::reference(PREFIX, |env| groups.iter().for_each(|group| group.ask(env)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_from(variables: &[(&str, &str)]) -> Result<Config, String> {
        kit::load(PREFIX, variables.iter().copied(), |env| Config::read(env, Needs { cluster: true, ..Needs::default() }))
            .map_err(|faults| faults.to_string())
    }

    const URL: (&str, &str) = ("LOGSHIP_ELASTICSEARCH_URL", "https://logs-es-http:9200");

    #[test]
    fn only_one_kind_of_credentials_is_accepted() {
        let key = ("LOGSHIP_API_KEY_FILE", "/key");
        let (user, password) = (("LOGSHIP_USERNAME", "logship"), ("LOGSHIP_PASSWORD_FILE", "/password"));
        let read = |variables: &[_]| load_from(variables).map(|config| config.cluster.unwrap().credentials);
        assert_eq!(read(&[URL]).unwrap(), CredentialFiles::None);
        assert_eq!(read(&[URL, key]).unwrap(), CredentialFiles::ApiKey("/key".into()));
        assert!(matches!(read(&[URL, user, password]).unwrap(), CredentialFiles::Basic { .. }));
        for (variables, named) in [
            (&[URL, key, user][..], "LOGSHIP_API_KEY_FILE conflicts with"),
            (&[URL, user], "LOGSHIP_PASSWORD_FILE is missing"),
            (&[URL, password], "LOGSHIP_USERNAME is missing"),
        ] {
            let told = read(variables).unwrap_err();
            assert!(told.contains(named), "{told}");
        }
    }

    #[test]
    fn an_address_is_plain_and_a_misspelt_setting_named() {
        assert_eq!(load_from(&[URL]).unwrap().cluster.unwrap().url.as_str(), "https://logs-es-http:9200/");
        for (address, part) in [
            ("https://elastic:secret@host:9200", "contains credentials"),
            ("ftp://host", "not a plain http"),
            ("host:9200", "not a plain http"),
            ("https://host/?pretty", "not a plain http"),
        ] {
            let told = load_from(&[("LOGSHIP_ELASTICSEARCH_URL", address)]).unwrap_err();
            assert!(told.contains(part) && !told.contains("secret"), "{told}");
        }
        assert!(load_from(&[]).unwrap_err().contains("LOGSHIP_ELASTICSEARCH_URL is missing"));
        assert!(load_from(&[URL, ("LOGSHIP_CA_FIL", "/ca")]).unwrap_err().contains("LOGSHIP_CA_FIL"));
    }
}

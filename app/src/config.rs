//! This module reads the settings of every role. It must be the only reader of the environment. The struct of a role holds the
//! settings of that role only.
//!
//! All roles may share one environment: a role ignores the settings of another role. An `EXCHANGE_*` name that no role knows is
//! an error.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    str::FromStr,
    time::Duration,
};

use ipnet::IpNet;
use service_kit::{
    config::{self as kit, ConfigFaults, Secret, SecretBytes, SettingsReader},
    telemetry,
};
use sqlx::postgres::PgConnectOptions;

use crate::runtime;

const PREFIX: &str = "EXCHANGE";
/// Well above the clock difference that NTP leaves between two machines, and below the resolution of a client's recvWindow.
pub const CLOCK_BOUND: Duration = Duration::from_millis(500);
/// Below the jitter of a healthy clock no server would lead; above an hour the bound protects nothing.
const CLOCK_BOUNDS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3600);
/// For a span that ends a client's or a task's wait: zero would end every one of them at once.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(600);
/// A shorter interval would load the exchange; a longer one would miss short outages.
const PROBE_INTERVALS: RangeInclusive<Duration> = Duration::from_millis(200)..=Duration::from_secs(300);

/// `exchange serve`.
#[derive(Debug, Clone)]
pub struct ServeSettings {
    pub process: Process,
    pub database: DatabaseSettings,
    /// Read replica for history, used while it is up to date. `None`: all reads go to the primary.
    pub replica: Option<PgConnectOptions>,
    /// The API.
    pub http_listen: SocketAddr,
    /// `/metrics`, `/livez`, `/readyz`.
    pub admin_listen: SocketAddr,
    pub internal_listen: SocketAddr,
    pub internal: Internal,
    /// Encrypts the secrets of API keys at rest.
    pub key_encryption_key: SecretBytes<32>,
    /// Decrypts the secrets of the previous key during a rotation.
    pub key_encryption_key_previous: Option<SecretBytes<32>>,
    pub object_storage: Option<ObjectStorage>,
    /// Queued commands after which new ones are answered -1008; cancels have additional room.
    pub queue_limit: usize,
    /// A follower further behind the journal is not ready.
    pub follower_lag_max: Duration,
    /// Longest time for which a server that shuts down answers on connections that a proxy holds open.
    pub drain: Duration,
    /// Largest clock difference from the database with which this server may lead.
    pub clock_bound: Duration,
    pub rate_limits: RateLimits,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// A log line for every request.
    pub access_log: bool,
    /// A client that reads nothing for this long is disconnected.
    pub write_timeout: Duration,
    /// Concurrent connections of one address that is not a trusted proxy.
    pub connections_per_address: u32,
}

/// `exchange worker`.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    pub process: Process,
    pub database: DatabaseSettings,
    pub admin_listen: SocketAddr,
    pub object_storage: Option<ObjectStorage>,
}

/// `exchange migrate`.
#[derive(Debug, Clone)]
pub struct Migrate {
    pub process: Process,
    pub database: DatabaseSettings,
}

/// `exchange admin`: reads the leader's address from the database and sends the request to the leader's internal listener.
#[derive(Debug, Clone)]
pub struct AdminSettings {
    pub process: Process,
    pub database: DatabaseSettings,
    pub internal: Internal,
}

/// `exchange probe`.
#[derive(Debug, Clone)]
pub struct ProbeSettings {
    pub process: Process,
    pub admin_listen: SocketAddr,
    /// Base address of the API, as users reach it.
    pub url: String,
    pub api_key: Secret,
    pub secret_key: Secret,
    pub symbol: String,
    /// Far from the market, so that the order rests.
    pub price: String,
    pub quantity: String,
    pub interval: Duration,
    /// A request without an answer for this long has failed.
    pub timeout: Duration,
}

/// `exchange publish`.
#[derive(Debug, Clone)]
pub struct Publish {
    pub process: Process,
    pub object_storage: ObjectStorage,
}

/// `exchange recover`.
#[derive(Debug, Clone)]
pub struct Recover {
    pub process: Process,
    pub database: DatabaseSettings,
    pub object_storage: ObjectStorage,
    /// Decrypts the API keys in the bucket.
    pub key_encryption_key: SecretBytes<32>,
    pub key_encryption_key_previous: Option<SecretBytes<32>>,
}

/// Settings that every role has.
#[derive(Debug, Clone)]
pub struct Process {
    pub telemetry: telemetry::TelemetrySettings,
    /// Time from SIGTERM until the process exits, even if tasks still run.
    pub shutdown_deadline: Duration,
    /// Threads that run requests and tasks.
    pub runtime_threads: usize,
}

/// The primary database.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    pub options: PgConnectOptions,
    /// Connections in addition to the journal's own.
    pub pool_size: u32,
}

/// How replicas and operators' commands reach the leader.
#[derive(Debug, Clone)]
pub struct Internal {
    pub token: Secret,
    /// Address that the head row publishes. `None`: the listen address.
    pub advertise: Option<String>,
}

/// An S3-compatible store.
#[derive(Debug, Clone)]
pub struct ObjectStorage {
    pub endpoint: String,
    pub region: String,
    pub bucket: String,
    pub access_key: String,
    pub secret_key: Secret,
    /// Whether requests carry a checksum even if the store may not support it.
    pub checksums: Checksums,
}

/// The API's limits per client address (weight) and account (orders).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    pub weight_1m: u32,
    pub orders_10s: u32,
    pub orders_1d: u32,
}

/// `EXCHANGE_S3_CHECKSUMS`: some S3-compatible stores refuse the newer checksum headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checksums {
    WhenRequired,
    #[default]
    WhenSupported,
}

/// Reads the settings of one role from the environment and reports all errors at once.
#[expect(clippy::disallowed_methods, reason = "this module is the only reader of the environment")]
pub fn load<Settings>(read: fn(&mut SettingsReader) -> Settings) -> Result<Settings, ConfigFaults> {
    load_from(std::env::vars_os(), read)
}

/// [`load`] from given variables.
pub fn load_from<Name: Into<std::ffi::OsString>, Value: Into<std::ffi::OsString>, Settings>(
    variables: impl IntoIterator<Item = (Name, Value)>,
    read: fn(&mut SettingsReader) -> Settings,
) -> Result<Settings, ConfigFaults> {
    kit::load(PREFIX, variables, |env| {
        let settings = read(env);
        for setting in every_role() {
            for name in setting.variables() {
                env.known(&name);
            }
        }
        settings
    })
}

/// The settings of one role as a table for `--help`.
pub fn help<Settings>(read: fn(&mut SettingsReader) -> Settings) -> String {
    kit::reference(PREFIX, read)
}

fn every_role() -> Vec<kit::Setting> {
    let mut settings = kit::settings(PREFIX, ServeSettings::read);
    settings.extend(kit::settings(PREFIX, WorkerSettings::read));
    settings.extend(kit::settings(PREFIX, Migrate::read));
    settings.extend(kit::settings(PREFIX, AdminSettings::read));
    settings.extend(kit::settings(PREFIX, ProbeSettings::read));
    settings.extend(kit::settings(PREFIX, Recover::read));
    settings.extend(kit::settings(PREFIX, Publish::read));
    settings
}

impl ServeSettings {
    pub fn read(env: &mut SettingsReader) -> Self {
        Self {
            process: Process::read(env),
            database: DatabaseSettings::read(env),
            replica: optional_database_url(env, "EXCHANGE_DATABASE_REPLICA_URL", "a read-only replica for history, postgres://…"),
            http_listen: env.or("EXCHANGE_HTTP_LISTEN", SocketAddr::from(([127, 0, 0, 1], 8080)), "address:port of the API"),
            admin_listen: admin_listen(env, 9600),
            internal_listen: env.or(
                "EXCHANGE_INTERNAL_LISTEN",
                SocketAddr::from(([127, 0, 0, 1], 9601)),
                "address:port for the other replicas and `exchange admin`",
            ),
            internal: Internal::read(env),
            key_encryption_key: env.secret_bytes("EXCHANGE_KEY_ENCRYPTION_KEY", "encrypts the secrets of API keys at rest"),
            key_encryption_key_previous: previous_key(env),
            object_storage: ObjectStorage::read(env),
            queue_limit: env.or_within(
                "EXCHANGE_QUEUE_LIMIT",
                4096,
                16..=1_000_000,
                "queued commands after which new ones are refused; cancels have additional room",
            ),
            follower_lag_max: env.duration_within(
                "EXCHANGE_FOLLOWER_LAG_MAX",
                Duration::from_secs(5),
                TIMEOUTS,
                "age of the oldest event not applied beyond which this server is not ready",
            ),
            drain: env.duration_within(
                "EXCHANGE_DRAIN",
                Duration::from_secs(10),
                TIMEOUTS,
                "longest time to answer on open connections after SIGTERM; above the proxy's keepalive_timeout to servers",
            ),
            clock_bound: env.duration_within(
                "EXCHANGE_CLOCK_BOUND",
                CLOCK_BOUND,
                CLOCK_BOUNDS,
                "largest clock difference from the database with which this server may lead",
            ),
            rate_limits: RateLimits::read(env),
            trusted_proxies: env
                .list::<ClientNetwork>(
                    "EXCHANGE_TRUSTED_PROXIES",
                    "proxy addresses or networks (10.0.0.0/8) whose X-Forwarded-For is trusted",
                )
                .into_iter()
                .map(|network| network.0)
                .collect(),
            access_log: env.or(
                "EXCHANGE_ACCESS_LOG",
                false,
                "true: log every API request (event.dataset exchange.access); false: a proxy logs them",
            ),
            write_timeout: env.duration_within(
                "EXCHANGE_HTTP_WRITE_TIMEOUT",
                Duration::from_secs(10),
                TIMEOUTS,
                "time after which a client that reads less than 64 KiB of its answer is disconnected",
            ),
            connections_per_address: env.or_within(
                "EXCHANGE_CONNECTIONS_PER_ADDRESS",
                2048,
                1..=1_000_000,
                "concurrent API connections per client address; trusted proxies are exempt",
            ),
        }
    }
}

impl WorkerSettings {
    pub fn read(env: &mut SettingsReader) -> Self {
        Self {
            process: Process::read(env),
            database: DatabaseSettings::read(env),
            admin_listen: admin_listen(env, 9602),
            object_storage: ObjectStorage::read(env),
        }
    }
}

impl Migrate {
    pub fn read(env: &mut SettingsReader) -> Self {
        Self { process: Process::read(env), database: DatabaseSettings::read(env) }
    }
}

impl AdminSettings {
    pub fn read(env: &mut SettingsReader) -> Self {
        Self { process: Process::read(env), database: DatabaseSettings::read(env), internal: Internal::read(env) }
    }
}

impl ProbeSettings {
    pub fn read(env: &mut SettingsReader) -> Self {
        let url =
            env.or("EXCHANGE_PROBE_URL", "http://127.0.0.1:8080".to_owned(), "http(s)://host:port of the API, as users reach it");
        if !url.starts_with("http://") && !url.starts_with("https://") {
            env.fault("EXCHANGE_PROBE_URL", "does not begin with http:// or https://", "write it as https://api.example.com");
        }
        let price = env.or(
            "EXCHANGE_PROBE_PRICE",
            "30000".to_owned(),
            "limit price of the buy order: below the market, within its price filters",
        );
        let quantity =
            env.or("EXCHANGE_PROBE_QUANTITY", "0.001".to_owned(), "quantity of the order, at least the market's minimum");
        for (setting, amount) in [("EXCHANGE_PROBE_PRICE", &price), ("EXCHANGE_PROBE_QUANTITY", &quantity)] {
            if !exchange_core::money::parse(amount).is_ok_and(|amount| amount > 0) {
                env.fault(setting, &format!("{amount:?} is not a positive number"), "write it as 0.01");
            }
        }
        Self {
            process: Process::read(env),
            admin_listen: admin_listen(env, 9603),
            url: url.trim_end_matches('/').to_owned(),
            api_key: env.secret("EXCHANGE_PROBE_API_KEY", "API key of the probe's account, which nobody else uses"),
            secret_key: env.secret("EXCHANGE_PROBE_SECRET_KEY", "secret of that API key"),
            symbol: env.or("EXCHANGE_PROBE_SYMBOL", "BTCUSDT".to_owned(), "market of the order"),
            price,
            quantity,
            interval: env.duration_within(
                "EXCHANGE_PROBE_INTERVAL",
                Duration::from_secs(5),
                PROBE_INTERVALS,
                "interval between orders",
            ),
            timeout: env.duration_within(
                "EXCHANGE_PROBE_TIMEOUT",
                Duration::from_secs(5),
                TIMEOUTS,
                "time after which a request without an answer has failed",
            ),
        }
    }
}

impl Publish {
    pub fn read(env: &mut SettingsReader) -> Self {
        Self { process: Process::read(env), object_storage: ObjectStorage::read_required(env) }
    }
}

impl Recover {
    pub fn read(env: &mut SettingsReader) -> Self {
        Self {
            process: Process::read(env),
            database: DatabaseSettings::read(env),
            object_storage: ObjectStorage::read_required(env),
            key_encryption_key: env.secret_bytes("EXCHANGE_KEY_ENCRYPTION_KEY", "decrypts the API keys in the bucket"),
            key_encryption_key_previous: previous_key(env),
        }
    }
}

impl Process {
    fn read(env: &mut SettingsReader) -> Self {
        Self {
            telemetry: telemetry::TelemetrySettings::read(env),
            shutdown_deadline: env.duration_within(
                "EXCHANGE_SHUTDOWN_DEADLINE",
                Duration::from_secs(20),
                TIMEOUTS,
                "time from SIGTERM until the process exits, even if tasks still run",
            ),
            runtime_threads: env.or_within(
                "EXCHANGE_RUNTIME_THREADS",
                runtime::default_threads(),
                1..=1024,
                "threads for requests and tasks; unset: processors minus one, at least one",
            ),
        }
    }
}

impl DatabaseSettings {
    fn read(env: &mut SettingsReader) -> Self {
        let options = env.secret("EXCHANGE_DATABASE_URL", "the primary database, postgres://user:password@host:port/name");
        Self {
            options: database_options(env, "EXCHANGE_DATABASE_URL", &options),
            pool_size: env.or_within(
                "EXCHANGE_DATABASE_POOL_SIZE",
                8,
                2..=1000,
                "database connections in addition to the journal's own",
            ),
        }
    }
}

impl Internal {
    fn read(env: &mut SettingsReader) -> Self {
        Self {
            token: env.secret("EXCHANGE_INTERNAL_TOKEN", "token shared by the replicas and `exchange admin`"),
            advertise: env.optional(
                "EXCHANGE_INTERNAL_ADVERTISE",
                "host:port at which other processes reach the internal listener; unset: its listen address",
            ),
        }
    }
}

impl ObjectStorage {
    /// The settings of the store; it is an error if they are missing.
    fn read_required(env: &mut SettingsReader) -> Self {
        Self::read(env).unwrap_or_else(|| {
            env.fault("EXCHANGE_S3_ENDPOINT", "is missing", "set all EXCHANGE_S3_* settings of the exchange's bucket");
            let empty = String::new();
            Self {
                endpoint: empty.clone(),
                region: empty.clone(),
                bucket: empty.clone(),
                access_key: empty.clone(),
                secret_key: empty.into(),
                checksums: Checksums::default(),
            }
        })
    }

    /// All settings of the store, or none.
    fn read(env: &mut SettingsReader) -> Option<Self> {
        let endpoint: Option<String> =
            env.optional("EXCHANGE_S3_ENDPOINT", "http(s)://host:port of an S3-compatible store; unset: no object storage");
        let region = env.or("EXCHANGE_S3_REGION", "us-east-1".to_owned(), "region for request signatures");
        let bucket: Option<String> = env.optional("EXCHANGE_S3_BUCKET", "bucket of snapshots, archives and statements");
        let access_key: Option<String> = env.optional("EXCHANGE_S3_ACCESS_KEY", "access key of the store");
        let secret_key = env.optional_secret("EXCHANGE_S3_SECRET_KEY", "secret key of the store");
        let checksums = env.or(
            "EXCHANGE_S3_CHECKSUMS",
            Checksums::default(),
            "when_supported, or when_required for stores that reject newer checksums",
        );
        let given = [
            ("EXCHANGE_S3_ENDPOINT", endpoint.is_some()),
            ("EXCHANGE_S3_BUCKET", bucket.is_some()),
            ("EXCHANGE_S3_ACCESS_KEY", access_key.is_some()),
            ("EXCHANGE_S3_SECRET_KEY", secret_key.is_some()),
        ];
        if given.iter().any(|(_, given)| *given) {
            for (name, _) in given.iter().filter(|(_, given)| !given) {
                env.fault(name, "is missing while other EXCHANGE_S3_* settings are set", "set all of them, or none");
            }
        }
        if endpoint.as_deref().is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            env.fault("EXCHANGE_S3_ENDPOINT", "does not start with http:// or https://", "write it as http://host:port");
        }
        let (endpoint, bucket, access_key, secret_key) = (endpoint?, bucket?, access_key?, secret_key?);
        Some(Self { endpoint, region, bucket, access_key, secret_key, checksums })
    }
}

impl RateLimits {
    fn read(env: &mut SettingsReader) -> Self {
        Self {
            weight_1m: env.or_within(
                "EXCHANGE_RATE_LIMIT_WEIGHT_1M",
                6000,
                1..=u32::MAX,
                "request weight per minute and client address",
            ),
            orders_10s: env.or_within("EXCHANGE_RATE_LIMIT_ORDERS_10S", 100, 1..=u32::MAX, "orders per ten seconds and account"),
            orders_1d: env.or_within("EXCHANGE_RATE_LIMIT_ORDERS_1D", 200_000, 1..=u32::MAX, "orders per day and account"),
        }
    }
}

fn admin_listen(env: &mut SettingsReader, port: u16) -> SocketAddr {
    env.or("EXCHANGE_ADMIN_LISTEN", SocketAddr::from(([127, 0, 0, 1], port)), "address:port of /metrics, /livez and /readyz")
}

fn previous_key(env: &mut SettingsReader) -> Option<SecretBytes<32>> {
    const NAME: &str = "EXCHANGE_KEY_ENCRYPTION_KEY_PREVIOUS";
    let text = env.optional_secret(NAME, "previous encryption key; decrypts the secrets that it encrypted")?;
    let mut bytes = [0; 32];
    if hex::decode_to_slice(text.expose(), &mut bytes).is_err() {
        env.fault(NAME, "is not 64 hexadecimal digits", "set it to the previous value of EXCHANGE_KEY_ENCRYPTION_KEY");
    }
    Some(bytes.into())
}

fn optional_database_url(env: &mut SettingsReader, name: &str, help: &str) -> Option<PgConnectOptions> {
    let url = env.optional_secret(name, help)?;
    Some(database_options(env, name, &url))
}

/// The error must not repeat the value: it may contain a password.
fn database_options(env: &mut SettingsReader, name: &str, url: &Secret) -> PgConnectOptions {
    let text = url.expose();
    if (text.starts_with("postgres://") || text.starts_with("postgresql://"))
        && let Ok(options) = PgConnectOptions::from_str(text)
    {
        return options;
    }
    env.fault(name, "is not the address of a PostgreSQL database", "write it as postgres://user:password@host:port/name");
    PgConnectOptions::new_without_pgpass()
}

impl FromStr for Checksums {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "when_required" => Ok(Self::WhenRequired),
            "when_supported" => Ok(Self::WhenSupported),
            _ => Err("use when_required or when_supported"),
        }
    }
}

impl std::fmt::Display for Checksums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::WhenRequired => "when_required",
            Self::WhenSupported => "when_supported",
        })
    }
}
/// A network of clients or proxies, or one address: `10.1.2.3` is `10.1.2.3/32`. In the canonical form of a client's address: an IPv4
/// network that is written as IPv6 (`::ffff:10.1.2.3`) is IPv4.
pub struct ClientNetwork(pub IpNet);

impl FromStr for ClientNetwork {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let network =
            network.map_err(|_| format!("{text:?} is not an address or network; write 10.1.2.3, 10.0.0.0/8 or 2001:db8::/32"))?;
        let mapped = match network {
            IpNet::V6(network) if network.prefix_len() >= MAPPED_PREFIX => network.addr().to_ipv4_mapped(),
            IpNet::V4(_) | IpNet::V6(_) => None,
        };
        let canonical = mapped.and_then(|address| IpNet::new(address.into(), network.prefix_len() - MAPPED_PREFIX).ok());
        Ok(Self(canonical.unwrap_or(network).trunc()))
    }
}

/// Length of the prefix before an IPv4 address that is written as IPv6.
const MAPPED_PREFIX: u8 = 96;

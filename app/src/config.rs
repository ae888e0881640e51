//! Every setting of every role: the only reader of the environment. A role's struct is what that role needs, nothing else.
//!
//! All roles may share one environment: a setting of another role is known and not read. A name that no role knows is a fault.

use std::{net::SocketAddr, str::FromStr, time::Duration};

use ipnet::IpNet;
use service_kit::{
    config::{self as kit, ConfigFaults, Reader, Secret, SecretBytes},
    telemetry,
};
use sqlx::postgres::PgConnectOptions;

use crate::runtime;

const PREFIX: &str = "EXCHANGE";
/// Well above what NTP leaves between two machines, and below what a client's recvWindow notices.
pub const CLOCK_BOUND: Duration = Duration::from_millis(500);

/// `exchange serve`.
#[derive(Debug, Clone)]
pub struct Serve {
    pub process: Process,
    pub database: Database,
    /// Where history is read once it has caught up; `None` reads everything from the primary.
    pub replica: Option<PgConnectOptions>,
    /// The API.
    pub http_listen: SocketAddr,
    /// `/metrics`, `/livez`, `/readyz`.
    pub admin_listen: SocketAddr,
    pub internal_listen: SocketAddr,
    pub internal: Internal,
    /// Encrypts the secrets of API keys at rest.
    pub key_encryption_key: SecretBytes<32>,
    /// Still opens what it sealed, while keys are moved to a new encryption key.
    pub key_encryption_key_previous: Option<SecretBytes<32>>,
    pub object_storage: Option<ObjectStorage>,
    /// Commands waiting before new ones are answered -1008; cancels have room beyond it.
    pub queue_limit: usize,
    /// How far this machine's clock may be off the database's for this server to lead.
    pub clock_bound: Duration,
    pub rate_limits: RateLimits,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// A log line for every request.
    pub access_log: bool,
    /// A client that takes no byte of its answers for so long is disconnected.
    pub write_timeout: Duration,
    /// Of one address that is not a trusted proxy, at once.
    pub connections_per_address: u32,
}

/// `exchange worker`.
#[derive(Debug, Clone)]
pub struct Worker {
    pub process: Process,
    pub database: Database,
    pub admin_listen: SocketAddr,
    pub object_storage: Option<ObjectStorage>,
}

/// `exchange migrate`.
#[derive(Debug, Clone)]
pub struct Migrate {
    pub process: Process,
    pub database: Database,
}

/// `exchange admin`: finds the leader in the database, asks it through its internal listener.
#[derive(Debug, Clone)]
pub struct Admin {
    pub process: Process,
    pub database: Database,
    pub internal: Internal,
}

/// What every role has.
#[derive(Debug, Clone)]
pub struct Process {
    pub telemetry: telemetry::Settings,
    /// From SIGTERM until the process ends, whatever still runs.
    pub shutdown_deadline: Duration,
    /// Threads that requests and tasks run on.
    pub runtime_threads: usize,
}

/// The primary database.
#[derive(Debug, Clone)]
pub struct Database {
    pub options: PgConnectOptions,
    /// Connections beside the journal's own.
    pub pool_size: u32,
}

/// How replicas and operators' commands reach the leader.
#[derive(Debug, Clone)]
pub struct Internal {
    pub token: Secret,
    /// Address that the head row shows to others; `None`: the one listened on.
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
    /// Whether requests carry a checksum also where the store may not know it.
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

/// Reads one role's settings from the environment; every fault at once.
#[expect(clippy::disallowed_methods, reason = "this module is the one reader of the environment")]
pub fn load<Settings>(read: fn(&mut Reader) -> Settings) -> Result<Settings, ConfigFaults> {
    load_from(std::env::vars_os(), read)
}

/// [`load`] from given variables.
pub fn load_from<Name: Into<std::ffi::OsString>, Value: Into<std::ffi::OsString>, Settings>(
    variables: impl IntoIterator<Item = (Name, Value)>,
    read: fn(&mut Reader) -> Settings,
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

/// One role's settings as a table for `--help`.
pub fn help<Settings>(read: fn(&mut Reader) -> Settings) -> String {
    kit::reference(PREFIX, read)
}

fn every_role() -> Vec<kit::Setting> {
    let mut settings = kit::settings(PREFIX, Serve::read);
    settings.extend(kit::settings(PREFIX, Worker::read));
    settings.extend(kit::settings(PREFIX, Migrate::read));
    settings.extend(kit::settings(PREFIX, Admin::read));
    settings
}

impl Serve {
    pub fn read(env: &mut Reader) -> Self {
        Self {
            process: Process::read(env),
            database: Database::read(env),
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
                "commands waiting before new ones are refused; cancels have room beyond it",
            ),
            clock_bound: env.duration(
                "EXCHANGE_CLOCK_BOUND",
                CLOCK_BOUND,
                "largest difference between this machine's clock and the database's with which this server leads",
            ),
            rate_limits: RateLimits::read(env),
            trusted_proxies: env.list("EXCHANGE_TRUSTED_PROXIES", "networks (10.0.0.0/8) whose X-Forwarded-For is believed"),
            access_log: env.or(
                "EXCHANGE_ACCESS_LOG",
                false,
                "true: a log line for every request of the API (event.dataset exchange.access); false where a proxy writes them",
            ),
            write_timeout: env.duration(
                "EXCHANGE_HTTP_WRITE_TIMEOUT",
                Duration::from_secs(10),
                "a client that blocks an answer for so long, without reading 64 KiB of it, is disconnected",
            ),
            connections_per_address: env.or_within(
                "EXCHANGE_CONNECTIONS_PER_ADDRESS",
                2048,
                1..=1_000_000,
                "connections to the API at once, per client address; trusted proxies are exempt",
            ),
        }
    }
}

impl Worker {
    pub fn read(env: &mut Reader) -> Self {
        Self {
            process: Process::read(env),
            database: Database::read(env),
            admin_listen: admin_listen(env, 9602),
            object_storage: ObjectStorage::read(env),
        }
    }
}

impl Migrate {
    pub fn read(env: &mut Reader) -> Self {
        Self { process: Process::read(env), database: Database::read(env) }
    }
}

impl Admin {
    pub fn read(env: &mut Reader) -> Self {
        Self { process: Process::read(env), database: Database::read(env), internal: Internal::read(env) }
    }
}

impl Process {
    fn read(env: &mut Reader) -> Self {
        Self {
            telemetry: telemetry::Settings::read(env),
            shutdown_deadline: env.duration(
                "EXCHANGE_SHUTDOWN_DEADLINE",
                Duration::from_secs(20),
                "from SIGTERM until the process ends, whatever still runs",
            ),
            runtime_threads: env.or_within(
                "EXCHANGE_RUNTIME_THREADS",
                runtime::default_threads(),
                1..=1024,
                "threads that requests and tasks run on; unset: the processors less one, at least one",
            ),
        }
    }
}

impl Database {
    fn read(env: &mut Reader) -> Self {
        let options = env.secret("EXCHANGE_DATABASE_URL", "the primary database, postgres://user:password@host:port/name");
        Self {
            options: database_options(env, "EXCHANGE_DATABASE_URL", &options),
            pool_size: env.or_within("EXCHANGE_DATABASE_POOL_SIZE", 8, 2..=1000, "connections beside the journal's own"),
        }
    }
}

impl Internal {
    fn read(env: &mut Reader) -> Self {
        Self {
            token: env.secret("EXCHANGE_INTERNAL_TOKEN", "shared by the replicas and `exchange admin`"),
            advertise: env.optional(
                "EXCHANGE_INTERNAL_ADVERTISE",
                "host:port under which others reach the internal listener; unset: the one listened on",
            ),
        }
    }
}

impl ObjectStorage {
    /// All of its settings or none.
    fn read(env: &mut Reader) -> Option<Self> {
        let endpoint: Option<String> =
            env.optional("EXCHANGE_S3_ENDPOINT", "http(s)://host:port of an S3-compatible store; unset: no object storage");
        let region = env.or("EXCHANGE_S3_REGION", "us-east-1".to_owned(), "region that requests are signed for");
        let bucket: Option<String> = env.optional("EXCHANGE_S3_BUCKET", "bucket of snapshots, archives and statements");
        let access_key: Option<String> = env.optional("EXCHANGE_S3_ACCESS_KEY", "access key of the store");
        let secret_key = env.optional_secret("EXCHANGE_S3_SECRET_KEY", "secret key of the store");
        let checksums = env.or(
            "EXCHANGE_S3_CHECKSUMS",
            Checksums::default(),
            "when_supported, or when_required for stores that refuse newer checksums",
        );
        let given = [
            ("EXCHANGE_S3_ENDPOINT", endpoint.is_some()),
            ("EXCHANGE_S3_BUCKET", bucket.is_some()),
            ("EXCHANGE_S3_ACCESS_KEY", access_key.is_some()),
            ("EXCHANGE_S3_SECRET_KEY", secret_key.is_some()),
        ];
        if given.iter().any(|(_, given)| *given) {
            for (name, _) in given.iter().filter(|(_, given)| !given) {
                env.fault(name, "is missing while other EXCHANGE_S3_* settings are there", "set all of them, or none");
            }
        }
        if endpoint.as_deref().is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            env.fault("EXCHANGE_S3_ENDPOINT", "does not begin with http:// or https://", "write it as http://host:port");
        }
        let (endpoint, bucket, access_key, secret_key) = (endpoint?, bucket?, access_key?, secret_key?);
        Some(Self { endpoint, region, bucket, access_key, secret_key, checksums })
    }
}

impl RateLimits {
    fn read(env: &mut Reader) -> Self {
        Self {
            weight_1m: env.or_within(
                "EXCHANGE_RATE_LIMIT_WEIGHT_1M",
                6000,
                1..=u32::MAX,
                "request weight a minute, per client address",
            ),
            orders_10s: env.or_within("EXCHANGE_RATE_LIMIT_ORDERS_10S", 100, 1..=u32::MAX, "orders in ten seconds, per account"),
            orders_1d: env.or_within("EXCHANGE_RATE_LIMIT_ORDERS_1D", 200_000, 1..=u32::MAX, "orders a day, per account"),
        }
    }
}

fn admin_listen(env: &mut Reader, port: u16) -> SocketAddr {
    env.or("EXCHANGE_ADMIN_LISTEN", SocketAddr::from(([127, 0, 0, 1], port)), "address:port of /metrics, /livez and /readyz")
}

fn previous_key(env: &mut Reader) -> Option<SecretBytes<32>> {
    const NAME: &str = "EXCHANGE_KEY_ENCRYPTION_KEY_PREVIOUS";
    let text = env.optional_secret(NAME, "the encryption key before the present one: still opens what it sealed")?;
    let mut bytes = [0; 32];
    if hex::decode_to_slice(text.expose(), &mut bytes).is_err() {
        env.fault(NAME, "is not 64 hexadecimal digits", "give the key that EXCHANGE_KEY_ENCRYPTION_KEY held before");
    }
    Some(bytes.into())
}

fn optional_database_url(env: &mut Reader, name: &str, help: &str) -> Option<PgConnectOptions> {
    let url = env.optional_secret(name, help)?;
    Some(database_options(env, name, &url))
}

/// The fault does not repeat the text: a password may stand in it.
fn database_options(env: &mut Reader, name: &str, url: &Secret) -> PgConnectOptions {
    let text = url.expose();
    if (text.starts_with("postgres://") || text.starts_with("postgresql://"))
        && let Ok(options) = PgConnectOptions::from_str(text)
    {
        return options;
    }
    env.fault(name, "is no address of a PostgreSQL database", "write it as postgres://user:password@host:port/name");
    PgConnectOptions::new_without_pgpass()
}

impl FromStr for Checksums {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "when_required" => Ok(Self::WhenRequired),
            "when_supported" => Ok(Self::WhenSupported),
            _ => Err("choose when_required or when_supported"),
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

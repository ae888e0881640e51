//! The settings of a job by subject. Every limit is here, with its default and its bounds.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use service_kit::{
    config::{Reader, Secret},
    telemetry,
};

use crate::{
    manifest::sign::{Signing, Trusted},
    schedule::Schedule,
};

const MEBIBYTE: u64 = 1 << 20;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What the process is, whatever the job.
#[derive(Debug, Clone)]
pub struct Process {
    pub telemetry: telemetry::Settings,
    /// From SIGTERM until the process ends, whatever still runs.
    pub shutdown_deadline: Duration,
    /// `/metrics`, `/livez`, `/readyz` of `serve`.
    pub admin_listen: SocketAddr,
    /// Where a one-shot run leaves its metrics for the node exporter.
    pub textfile: Option<PathBuf>,
}

impl Process {
    pub(super) fn read(env: &mut Reader) -> Self {
        Self {
            telemetry: telemetry::Settings::read(env),
            shutdown_deadline: env.duration(
                "BACKUP_SHUTDOWN_DEADLINE",
                Duration::from_secs(30),
                "from SIGTERM until the process ends, whatever still runs",
            ),
            admin_listen: env.or(
                "BACKUP_ADMIN_LISTEN",
                SocketAddr::from(([127, 0, 0, 1], 9640)),
                "address:port of /metrics, /livez and /readyz of `serve`",
            ),
            textfile: env.optional(
                "BACKUP_METRICS_TEXTFILE",
                "file (….prom in the node exporter's textfile folder) that one-shot commands but list and show write their metrics to",
            ),
        }
    }
}

/// `BACKUP_STORE_CHECKSUMS`: some S3-compatible stores refuse the newer checksum headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checksums {
    WhenRequired,
    #[default]
    WhenSupported,
}

/// Who may shorten a lock: those with a special right, or nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    Governance,
    Compliance,
}

/// Whether password verifiers are backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RolePasswords {
    /// When the backup is encrypted and the role may read them.
    #[default]
    Encrypted,
    Never,
    /// Also into a backup that anybody with the bucket can read.
    Always,
}

macro_rules! choices {
    ($type:ty, $remedy:literal, $($text:literal => $value:expr),+) => {
        impl FromStr for $type {
            type Err = &'static str;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok($value),)+
                    _ => Err($remedy),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(if *self == $value { return formatter.write_str($text); })+
                Ok(())
            }
        }
    };
}

choices!(Checksums, "choose when_required or when_supported", "when_required" => Self::WhenRequired, "when_supported" => Self::WhenSupported);
choices!(LockMode, "choose governance or compliance", "governance" => Self::Governance, "compliance" => Self::Compliance);
choices!(RolePasswords, "choose encrypted, never or always", "encrypted" => Self::Encrypted, "never" => Self::Never, "always" => Self::Always);

/// An S3-compatible store.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// `None`: AWS, by region.
    pub endpoint: Option<String>,
    pub region: String,
    pub bucket: String,
    pub prefix: String,
    pub access_key: String,
    pub secret_key: Secret,
    pub session_token: Option<Secret>,
    /// Whether requests carry a checksum also where the store may not know it.
    pub checksums: Checksums,
    /// The bucket in the path, not in the host name: self-hosted stores want it.
    pub path_style: bool,
    /// Where the lease lies: outside a bucket whose objects are locked.
    pub lock_bucket: Option<String>,
    /// Every object gets this lock.
    pub object_lock: Option<(LockMode, Duration)>,
    pub part_bytes: usize,
    pub parts_per_object: u32,
    pub attempts: u32,
    pub connect_timeout: Duration,
    pub request_timeout: Duration,
}

impl StoreSettings {
    pub(super) fn read(env: &mut Reader) -> Self {
        let endpoint: Option<String> =
            env.optional("BACKUP_STORE_ENDPOINT", "http(s)://host:port of an S3-compatible store; unset: AWS");
        if endpoint.as_deref().is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            env.fault("BACKUP_STORE_ENDPOINT", "does not begin with http:// or https://", "write it as https://host:port");
        }
        let mode: Option<LockMode> =
            env.optional("BACKUP_STORE_OBJECT_LOCK", "governance or compliance: every object is locked; unset: none is");
        let span = env.duration("BACKUP_STORE_OBJECT_LOCK_FOR", 30 * DAY, "how long an object stays locked, in hours (720h)");
        Self {
            endpoint,
            region: env.or("BACKUP_STORE_REGION", "us-east-1".to_owned(), "region that requests are signed for"),
            bucket: env.required("BACKUP_STORE_BUCKET", "the bucket of the backups"),
            prefix: env.or("BACKUP_STORE_PREFIX", "backups".to_owned(), "what every key begins with"),
            access_key: env.required("BACKUP_STORE_ACCESS_KEY", "access key of the store"),
            secret_key: env.secret("BACKUP_STORE_SECRET_KEY", "secret key of the store"),
            session_token: env.optional_secret("BACKUP_STORE_SESSION_TOKEN", "session token of temporary credentials"),
            checksums: env.or(
                "BACKUP_STORE_CHECKSUMS",
                Checksums::default(),
                "when_supported, or when_required for stores that refuse newer checksums",
            ),
            path_style: env.or("BACKUP_STORE_PATH_STYLE", true, "true: the bucket stands in the path; false: in the host name"),
            lock_bucket: env.optional("BACKUP_STORE_LOCK_BUCKET", "bucket of the lease; unset: the backups' own"),
            object_lock: mode.map(|mode| (mode, span)),
            part_bytes: usize::try_from(
                env.or_within(
                    "BACKUP_STORE_PART_MIB",
                    6,
                    5..=512,
                    "size of the parts of an object, in MiB (S3 takes 5 and more)",
                ) * MEBIBYTE,
            )
            .unwrap_or(usize::MAX),
            parts_per_object: env.or_within(
                "BACKUP_STORE_PARTS_PER_OBJECT",
                900,
                1..=10_000,
                "parts before a new object is begun; some stores take 1,000",
            ),
            attempts: env.or_within(
                "BACKUP_STORE_ATTEMPTS",
                20,
                1..=50,
                "tries of one request, with waits that grow to 20 s (20: two minutes and more)",
            ),
            connect_timeout: env.duration("BACKUP_STORE_CONNECT_TIMEOUT", Duration::from_secs(5), "to reach the store, each try"),
            request_timeout: env.duration(
                "BACKUP_STORE_REQUEST_TIMEOUT",
                Duration::from_secs(300),
                "one request, body included, each try",
            ),
        }
    }

    pub fn object_bytes(&self) -> u64 {
        self.part_bytes as u64 * u64::from(self.parts_per_object)
    }
}

/// Who signs, and whose signatures are believed.
#[derive(Debug, Clone)]
pub struct Keys {
    pub signing: Option<Signing>,
    /// Holds the signing key's own public key too.
    pub trusted: Trusted,
}

impl Keys {
    pub(super) fn read(env: &mut Reader, required: bool) -> Self {
        const SIGNING: &str = "BACKUP_SIGNING_KEY";
        const TRUSTED: &str = "BACKUP_TRUSTED_KEYS";
        let help = "Ed25519 key that signs records: PEM (openssl genpkey -algorithm ed25519) or a seed in Base64 (openssl rand -base64 32)";
        let text = if required { Some(env.secret(SIGNING, help)) } else { env.optional_secret(SIGNING, help) };
        let signing = text.filter(|text| !text.expose().is_empty()).and_then(|text| {
            let key = Signing::parse(text.expose());
            if key.is_none() {
                env.fault(SIGNING, "is no Ed25519 key", "make one with: openssl genpkey -algorithm ed25519");
            }
            key
        });
        let mut trusted = Trusted::default();
        let listed: Vec<String> =
            env.list(TRUSTED, "public keys (Base64) whose records are believed, beside the signing key's own");
        for key in &listed {
            if !trusted.add(key) {
                env.fault(TRUSTED, "holds what is no Ed25519 public key", "copy it from `backup check`, which prints it");
            }
        }
        if let Some(signing) = &signing {
            trusted.add_own(signing);
        }
        if trusted.is_empty() && !required {
            env.fault(
                TRUSTED,
                "is missing, and so is BACKUP_SIGNING_KEY",
                "set one of them: nothing else says which backups are yours",
            );
        }
        Self { signing, trusted }
    }
}

/// Who can read the backups.
#[derive(Debug, Clone)]
pub struct Encryption {
    /// age public keys; empty: backups are not encrypted.
    pub recipients: Vec<age::x25519::Recipient>,
    /// age private keys, one a line: only for commands that read.
    pub identities: Option<Secret>,
    pub role_passwords: RolePasswords,
}

impl Encryption {
    pub(super) fn read(env: &mut Reader) -> Self {
        const RECIPIENTS: &str = "BACKUP_RECIPIENTS";
        let listed: Vec<String> =
            env.list(RECIPIENTS, "age public keys (age1…), each of which can read the backups alone; empty: not encrypted");
        let recipients: Vec<_> = listed.iter().filter_map(|text| text.parse().ok()).collect();
        if recipients.len() != listed.len() {
            env.fault(RECIPIENTS, "holds what is no age public key", "make a pair with age-keygen and give its age1… line");
        }
        Self {
            recipients,
            identities: env
                .optional_secret("BACKUP_IDENTITIES", "age private keys (AGE-SECRET-KEY-1…), one a line: for restore and verify"),
            role_passwords: env.or(
                "BACKUP_ROLE_PASSWORDS",
                RolePasswords::default(),
                "encrypted (only into encrypted backups), never, or always",
            ),
        }
    }
}

/// How the rows are cut and packed.
#[derive(Debug, Clone)]
pub struct Shape {
    pub workers: u32,
    /// Buffers of one part each, filling or on their way: the bulk of the memory.
    pub parts_in_flight: u32,
    pub compression_level: i32,
    /// How much of a table one COPY reads, measured on its disk pages.
    pub range_bytes: u64,
    /// Where the client tools are; `None`: on the path.
    pub client_folder: Option<PathBuf>,
}

impl Shape {
    pub(super) fn read(env: &mut Reader) -> Self {
        let workers = env.or_within("BACKUP_WORKERS", 2, 1..=64, "connections that read rows at a time");
        let parts_in_flight = env.or_within(
            "BACKUP_PARTS_IN_FLIGHT",
            workers * 2,
            2..=1024,
            "parts in memory, filling or on their way; at least one more than workers",
        );
        if parts_in_flight <= workers {
            env.fault(
                "BACKUP_PARTS_IN_FLIGHT",
                "is not larger than BACKUP_WORKERS",
                "give each worker one part to fill, and one more",
            );
        }
        Self {
            workers,
            parts_in_flight,
            compression_level: env.or_within("BACKUP_COMPRESSION_LEVEL", 1, 1..=19, "zstd's level: 1 is the fastest"),
            range_bytes: env.or_within(
                "BACKUP_RANGE_MIB",
                64,
                1..=65_536,
                "how much of a table one COPY reads, in MiB of its pages",
            ) * MEBIBYTE,
            client_folder: env.optional("BACKUP_CLIENT_FOLDER", "where pg_dump and pg_dumpall are; unset: on the path"),
        }
    }
}

/// What an attempt may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes a second to the store; `None`: as fast as it goes.
    pub bandwidth: Option<u64>,
    pub max_duration: Duration,
    /// Without a byte moved for so long the attempt fails: it holds vacuum back.
    pub stall: Duration,
    /// How long locks on tables are waited for.
    pub lock_wait: Duration,
    /// Attempts of one run, when what failed may pass.
    pub attempts: u32,
    /// How long others wait after an attempt that vanished.
    pub lease: Duration,
    /// How long `check` waits for each thing that it looks at.
    pub check: Duration,
}

impl Limits {
    pub(super) fn read(env: &mut Reader) -> Self {
        let bandwidth: u64 =
            env.or_within("BACKUP_BANDWIDTH_MIB", 0, 0..=1 << 20, "MiB a second to the store; 0: as fast as it goes");
        Self {
            bandwidth: (bandwidth > 0).then_some(bandwidth * MEBIBYTE),
            max_duration: env.duration(
                "BACKUP_MAX_DURATION",
                Duration::from_secs(12 * 3600),
                "an attempt that takes longer fails",
            ),
            stall: env.duration(
                "BACKUP_STALL_LIMIT",
                Duration::from_secs(900),
                "an attempt that moves nothing for so long fails: its snapshot holds vacuum back",
            ),
            lock_wait: env.duration("BACKUP_LOCK_WAIT", Duration::from_secs(60), "how long locks on tables are waited for"),
            attempts: env.or_within(
                "BACKUP_ATTEMPTS",
                3,
                1..=20,
                "attempts of one run when what failed may pass (a table that went, a conflict on a standby); BACKUP_PRIMARY_URL gets one in any case",
            ),
            lease: env.duration("BACKUP_LEASE", Duration::from_secs(300), "how long others wait after an attempt that vanished"),
            check: env.duration(
                "BACKUP_CHECK_TIMEOUT",
                Duration::from_secs(60),
                "how long `check` waits for each thing that it looks at",
            ),
        }
    }
}

/// Which backups stay. A rule of 0 keeps nothing by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// The newest so many.
    pub last: u32,
    /// The newest of each of so many hours, days, … that have one.
    pub hourly: u32,
    pub daily: u32,
    pub weekly: u32,
    pub monthly: u32,
    pub yearly: u32,
    /// Everything younger.
    pub within: Duration,
    /// Never fewer than so many, whatever the rules say.
    pub floor: u32,
    /// Whether `run` and `serve` apply the rules after a backup.
    pub after_run: bool,
}

impl Retention {
    /// How many of the newest stay whatever else is there.
    pub fn always_kept(&self) -> u32 {
        self.last.max(self.floor)
    }

    pub(super) fn read(env: &mut Reader) -> Self {
        let mut keep = |name: &str, default: u32, help: &str| env.or_within(name, default, 0..=100_000, help);
        let last = keep("BACKUP_KEEP_LAST", 3, "the newest so many");
        let hourly = keep("BACKUP_KEEP_HOURLY", 24, "the newest of each of so many hours that have one");
        let daily = keep("BACKUP_KEEP_DAILY", 7, "the newest of each of so many days (UTC) that have one");
        let weekly = keep("BACKUP_KEEP_WEEKLY", 4, "the newest of each of so many weeks (from Monday) that have one");
        let monthly = keep("BACKUP_KEEP_MONTHLY", 12, "the newest of each of so many months that have one");
        let yearly = keep("BACKUP_KEEP_YEARLY", 0, "the newest of each of so many years that have one");
        let within = env.duration("BACKUP_KEEP_WITHIN", Duration::ZERO, "everything younger, in hours (48h)");
        let floor = env.or_within("BACKUP_KEEP_FLOOR", 2, 1..=100_000, "never fewer than so many, whatever the rules say");
        Self {
            last,
            hourly,
            daily,
            weekly,
            monthly,
            yearly,
            within,
            floor,
            after_run: env.or("BACKUP_PRUNE_AFTER_RUN", true, "true: `run` and `serve` remove what no rule keeps after a backup"),
        }
    }
}

/// When `serve` does what: six fields from seconds on, UTC, as cron has them.
#[derive(Debug, Clone, Default)]
pub struct Schedules {
    pub backup: Option<Schedule>,
    pub verify: Option<Schedule>,
    /// `serve` verifies each backup that it has taken.
    pub verify_after_backup: bool,
}

impl Schedules {
    pub(super) fn read(env: &mut Reader) -> Self {
        Self {
            backup: env
                .optional("BACKUP_SCHEDULE", "when `serve` takes a backup: sec min hour day month weekday, UTC (0 30 2 * * *)"),
            verify: env.optional(
                "BACKUP_VERIFY_SCHEDULE",
                "when `serve` restores the newest backup and checks it, written the same way",
            ),
            verify_after_backup: env.or(
                "BACKUP_VERIFY_AFTER_BACKUP",
                false,
                "true: `serve` restores and checks each backup once it is committed",
            ),
        }
    }
}

/// Commands run around an attempt, through `sh -c`.
#[derive(Debug, Clone)]
pub struct Hooks {
    /// Before the first connection; its failure fails the attempt.
    pub before: Option<String>,
    /// After the attempt, with its outcome in the environment.
    pub after: Option<String>,
    pub timeout: Duration,
}

impl Hooks {
    /// What the hook after a backup is told, by the names of its environment.
    pub const TOLD: [&str; 3] = ["BACKUP_ID", "BACKUP_OUTCOME", "BACKUP_REASON"];

    pub(super) fn read(env: &mut Reader) -> Self {
        // A hook may call this program: what it was told is no misspelt setting.
        Self::TOLD.iter().for_each(|name| env.known(name));
        Self {
            before: env.optional("BACKUP_HOOK_BEFORE", "shell command before a backup; when it fails, so does the attempt"),
            after: env.optional(
                "BACKUP_HOOK_AFTER",
                "shell command after a backup: BACKUP_ID, BACKUP_OUTCOME and BACKUP_REASON tell it how it went",
            ),
            timeout: env.duration("BACKUP_HOOK_TIMEOUT", Duration::from_secs(300), "how long a hook may take"),
        }
    }
}

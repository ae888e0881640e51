//! This module defines a job's settings by subject. It contains every limit with its default and its bounds.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use service_kit::{
    config::{Secret, SettingsReader},
    telemetry,
};

use super::choices::choices;
use crate::{
    manifest::sign::{Signing, Trusted},
    schedule::BackupSchedule,
};

const MEBIBYTE: u64 = 1 << 20;

/// Bounds of limits of time. A limit of zero would fail everything, or, as `lock_timeout`, be no limit. PostgreSQL counts
/// milliseconds in 32 bits.
pub(super) const LIMITS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(24 * 24 * 3600);

/// Settings of the process, common to all jobs.
#[derive(Debug, Clone)]
pub struct Process {
    pub telemetry: telemetry::TelemetrySettings,
    /// Maximum time from SIGTERM to the end of the process.
    pub shutdown_deadline: Duration,
    /// `/metrics`, `/livez`, `/readyz` of `serve`.
    pub admin_listen: SocketAddr,
    /// File for the metrics of a one-shot run, for the node exporter.
    pub textfile: Option<PathBuf>,
}

impl Process {
    pub(super) fn read(env: &mut SettingsReader) -> Self {
        Self {
            telemetry: telemetry::TelemetrySettings::read(env),
            shutdown_deadline: env.duration_within(
                "BACKUP_SHUTDOWN_DEADLINE",
                Duration::from_secs(30),
                LIMITS,
                "maximum time from SIGTERM to the end of the process",
            ),
            admin_listen: env.or(
                "BACKUP_ADMIN_LISTEN",
                SocketAddr::from(([127, 0, 0, 1], 9640)),
                "address:port of /metrics, /livez and /readyz of `serve`",
            ),
            textfile: env.optional(
                "BACKUP_METRICS_TEXTFILE",
                "metrics file of one-shot commands, except list and show (….prom in the node exporter's textfile folder)",
            ),
        }
    }
}

/// Whether password verifiers are backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RolePasswords {
    /// If the backup is encrypted and the role may read them.
    #[default]
    Encrypted,
    Never,
    /// Also in an unencrypted backup, which everyone with access to the bucket can read.
    Always,
}

choices!(RolePasswords, "choose encrypted, never or always", "encrypted" => Self::Encrypted, "never" => Self::Never, "always" => Self::Always);

/// The signing key, and the trusted public keys.
#[derive(Debug, Clone)]
pub struct KeySettings {
    pub signing: Option<Signing>,
    /// Includes the public key of the signing key.
    pub trusted: Trusted,
}

impl KeySettings {
    pub(super) fn read(env: &mut SettingsReader, required: bool) -> Self {
        const SIGNING: &str = "BACKUP_SIGNING_KEY";
        const TRUSTED: &str = "BACKUP_TRUSTED_KEYS";
        let help = "Ed25519 key that signs records: PEM (openssl genpkey -algorithm ed25519) or a seed in Base64 (openssl rand -base64 32)";
        let text = if required { Some(env.secret(SIGNING, help)) } else { env.optional_secret(SIGNING, help) };
        let signing = text.filter(|text| !text.expose().is_empty()).and_then(|text| {
            let key = Signing::parse(text.expose());
            if key.is_none() {
                env.fault(SIGNING, "is not an Ed25519 key", "create one with: openssl genpkey -algorithm ed25519");
            }
            key
        });
        let mut trusted = Trusted::default();
        let listed: Vec<String> =
            env.list(TRUSTED, "trusted public keys (Base64) of records, in addition to that of the signing key");
        for key in &listed {
            if !trusted.add(key) {
                env.fault(
                    TRUSTED,
                    "contains a value that is not an Ed25519 public key",
                    "copy it from `backup check`, which prints it",
                );
            }
        }
        if let Some(signing) = &signing {
            trusted.add_own(signing);
        }
        if trusted.is_empty() && !required {
            env.fault(TRUSTED, "is missing, and so is BACKUP_SIGNING_KEY", "set one of them: they identify your backups");
        }
        Self { signing, trusted }
    }
}

/// Keys that can read the backups.
#[derive(Debug, Clone)]
pub struct EncryptionSettings {
    /// age public keys; empty: backups are not encrypted.
    pub recipients: Vec<age::x25519::Recipient>,
    /// age private keys, one a line, for commands that read.
    pub identities: Option<Secret>,
    pub role_passwords: RolePasswords,
}

impl EncryptionSettings {
    pub(super) fn read(env: &mut SettingsReader) -> Self {
        const RECIPIENTS: &str = "BACKUP_RECIPIENTS";
        let listed: Vec<String> =
            env.list(RECIPIENTS, "age public keys (age1…), each sufficient to read the backups; empty: not encrypted");
        let recipients: Vec<_> = listed.iter().filter_map(|text| text.parse().ok()).collect();
        if recipients.len() != listed.len() {
            env.fault(
                RECIPIENTS,
                "contains a value that is not an age public key",
                "create a pair with age-keygen and set its age1… line",
            );
        }
        Self {
            recipients,
            identities: env
                .optional_secret("BACKUP_IDENTITIES", "age private keys (AGE-SECRET-KEY-1…), one a line: for restore and verify"),
            role_passwords: env.or(
                "BACKUP_ROLE_PASSWORDS",
                RolePasswords::default(),
                "back up password verifiers: encrypted (only in encrypted backups), never, or always",
            ),
        }
    }
}

/// How rows are split and packed.
#[derive(Debug, Clone)]
pub struct DumpShape {
    pub workers: u32,
    /// Buffers of one part each, being filled or sent. They are most of the memory.
    pub parts_in_flight: u32,
    pub compression_level: i32,
    /// Amount of a table that one COPY reads, by its disk pages.
    pub range_bytes: u64,
    /// Folder of the client tools; `None`: on the path.
    pub client_folder: Option<PathBuf>,
}

impl DumpShape {
    pub(super) fn read(env: &mut SettingsReader) -> Self {
        let workers = env.or_within("BACKUP_WORKERS", 2, 1..=64, "concurrent connections that read rows");
        let parts_in_flight = env.or_within(
            "BACKUP_PARTS_IN_FLIGHT",
            workers * 2,
            2..=1024,
            "parts in memory, being filled or sent; at least one more than workers",
        );
        if parts_in_flight <= workers {
            env.fault(
                "BACKUP_PARTS_IN_FLIGHT",
                "is not larger than BACKUP_WORKERS",
                "set it to at least one more than BACKUP_WORKERS",
            );
        }
        Self {
            workers,
            parts_in_flight,
            compression_level: env.or_within("BACKUP_COMPRESSION_LEVEL", 1, 1..=19, "level of zstd; 1 is the fastest"),
            range_bytes: env.or_within(
                "BACKUP_RANGE_MIB",
                64,
                1..=65_536,
                "amount of a table that one COPY reads, in MiB of its pages",
            ) * MEBIBYTE,
            client_folder: env.optional("BACKUP_CLIENT_FOLDER", "folder of pg_dump and pg_dumpall; unset: on the path"),
        }
    }
}

/// Limits of an attempt.
#[derive(Debug, Clone)]
pub struct TransferLimits {
    /// Bytes a second to the store; `None`: no limit.
    pub bandwidth: Option<u64>,
    pub max_duration: Duration,
    /// An attempt that moves no byte for this long fails, since it holds vacuum back.
    pub stall: Duration,
    /// Maximum wait for locks on tables.
    pub lock_wait: Duration,
    /// Attempts of one run if the failure can be temporary.
    pub attempts: u32,
    /// How long other runs wait after an attempt vanished.
    pub lease: Duration,
    /// Maximum wait of each check of `check`.
    pub check: Duration,
}

impl TransferLimits {
    pub(super) fn read(env: &mut SettingsReader) -> Self {
        let bandwidth: u64 = env.or_within("BACKUP_BANDWIDTH_MIB", 0, 0..=1 << 20, "MiB a second to the store; 0: no limit");
        Self {
            bandwidth: (bandwidth > 0).then_some(bandwidth * MEBIBYTE),
            max_duration: env.duration_within(
                "BACKUP_MAX_DURATION",
                Duration::from_secs(12 * 3600),
                LIMITS,
                "maximum duration of an attempt",
            ),
            stall: env.duration_within(
                "BACKUP_STALL_LIMIT",
                Duration::from_secs(900),
                LIMITS,
                "maximum time of an attempt without a byte moved; its snapshot holds vacuum back",
            ),
            lock_wait: env.duration_within("BACKUP_LOCK_WAIT", Duration::from_secs(60), LIMITS, "maximum wait for locks on tables"),
            attempts: env.or_within(
                "BACKUP_ATTEMPTS",
                3,
                1..=20,
                "attempts of one run after temporary failures (dropped table, conflict on a standby); BACKUP_PRIMARY_URL always gets one",
            ),
            lease: env.duration_within("BACKUP_LEASE", Duration::from_secs(300), LIMITS, "how long other runs wait after an attempt vanished"),
            check: env.duration_within(
                "BACKUP_CHECK_TIMEOUT",
                Duration::from_secs(60),
                LIMITS,
                "maximum duration of each check of `check`",
            ),
        }
    }
}

/// Retention rules. A rule of 0 retains nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetentionSettings {
    /// The newest backups, this many.
    pub last: u32,
    /// The newest backup of each of this many hours, days, … that have one.
    pub hourly: u32,
    pub daily: u32,
    pub weekly: u32,
    pub monthly: u32,
    pub yearly: u32,
    /// Every backup younger than this.
    pub within: Duration,
    /// Minimum number of backups, regardless of the rules.
    pub floor: u32,
    /// Whether `run` and `serve` apply retention after a backup.
    pub after_run: bool,
}

impl RetentionSettings {
    /// Number of the newest backups that are always retained.
    pub fn always_kept(&self) -> u32 {
        self.last.max(self.floor)
    }

    pub(super) fn read(env: &mut SettingsReader) -> Self {
        let mut keep = |name: &str, default: u32, help: &str| env.or_within(name, default, 0..=100_000, help);
        let last = keep("BACKUP_KEEP_LAST", 3, "newest backups to retain");
        let hourly = keep("BACKUP_KEEP_HOURLY", 24, "hours with a backup whose newest is retained");
        let daily = keep("BACKUP_KEEP_DAILY", 7, "days (UTC) with a backup whose newest is retained");
        let weekly = keep("BACKUP_KEEP_WEEKLY", 4, "weeks (from Monday) with a backup whose newest is retained");
        let monthly = keep("BACKUP_KEEP_MONTHLY", 12, "months with a backup whose newest is retained");
        let yearly = keep("BACKUP_KEEP_YEARLY", 0, "years with a backup whose newest is retained");
        let within =
            env.duration("BACKUP_KEEP_WITHIN", Duration::ZERO, "age up to which every backup is retained, in hours (48h)");
        let floor = env.or_within(
            "BACKUP_KEEP_FLOOR",
            2,
            1..=100_000,
            "minimum number of retained backups, regardless of the other rules",
        );
        Self {
            last,
            hourly,
            daily,
            weekly,
            monthly,
            yearly,
            within,
            floor,
            after_run: env.or("BACKUP_PRUNE_AFTER_RUN", true, "true: `run` and `serve` apply retention after a backup"),
        }
    }
}

/// Schedules of `serve`: six cron fields, starting with seconds, in UTC.
#[derive(Debug, Clone, Default)]
pub struct Schedules {
    pub backup: Option<BackupSchedule>,
    pub verify: Option<BackupSchedule>,
    /// Whether `serve` verifies each backup after the commit.
    pub verify_after_backup: bool,
}

impl Schedules {
    pub(super) fn read(env: &mut SettingsReader) -> Self {
        Self {
            backup: env.optional(
                "BACKUP_SCHEDULE",
                "schedule of backups of `serve`: sec min hour day month weekday, UTC (0 30 2 * * *)",
            ),
            verify: env.optional("BACKUP_VERIFY_SCHEDULE", "schedule of drills of the newest backup, in the same format"),
            verify_after_backup: env.or(
                "BACKUP_VERIFY_AFTER_BACKUP",
                false,
                "true: `serve` verifies each backup after the commit",
            ),
        }
    }
}

/// Commands before and after an attempt, run with `sh -c`.
#[derive(Debug, Clone)]
pub struct Hooks {
    /// Runs before the first connection. If it fails, the attempt fails.
    pub before: Option<String>,
    /// Runs after the attempt, with the outcome in its environment.
    pub after: Option<String>,
    pub timeout: Duration,
}

impl Hooks {
    /// Environment variables of the hook after a backup.
    pub const TOLD: [&str; 3] = ["BACKUP_ID", "BACKUP_OUTCOME", "BACKUP_REASON"];

    pub(super) fn read(env: &mut SettingsReader) -> Self {
        // A hook may call this program. Its variables must not be reported as misspelt settings.
        Self::TOLD.iter().for_each(|name| env.known(name));
        Self {
            before: env.optional("BACKUP_HOOK_BEFORE", "shell command before a backup; if it fails, the attempt fails"),
            after: env
                .optional("BACKUP_HOOK_AFTER", "shell command after a backup; gets BACKUP_ID, BACKUP_OUTCOME and BACKUP_REASON"),
            timeout: env.duration_within("BACKUP_HOOK_TIMEOUT", Duration::from_secs(300), LIMITS, "maximum duration of a hook"),
        }
    }
}

//! This module defines the settings of the object store.

use std::{ops::RangeInclusive, time::Duration};

use service_kit::config::{Secret, SettingsReader};

use super::{choices::choices, groups::LIMITS};

const MEBIBYTE: u64 = 1 << 20;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Bounds of an object's lock; nothing can shorten a lock in the mode `compliance`.
const LOCKS: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(10 * 366 * 24 * 3600);

/// `BACKUP_STORE_CHECKSUMS`: some S3-compatible stores reject the newer checksum headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checksums {
    WhenRequired,
    #[default]
    WhenSupported,
}

/// Who may shorten a lock: holders of a special right, or no user at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    Governance,
    Compliance,
}

choices!(Checksums, "choose when_required or when_supported", "when_required" => Self::WhenRequired, "when_supported" => Self::WhenSupported);
choices!(LockMode, "choose governance or compliance", "governance" => Self::Governance, "compliance" => Self::Compliance);
choices!(CredentialSource, "choose keys or aws", "keys" => Self::Keys, "aws" => Self::Aws);
choices!(EncryptionMode, "choose AES256, aws:kms or aws:kms:dsse", "AES256" => Self::Aes256, "aws:kms" => Self::Kms, "aws:kms:dsse" => Self::KmsDsse);

/// `BACKUP_STORE_CREDENTIALS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum CredentialSource {
    #[default]
    Keys,
    Aws,
}

/// How requests are signed.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// Keys from the settings.
    Keys { access: String, secret: Secret, session_token: Option<Secret> },
    /// AWS's chain, which renews credentials before they expire: environment, web identity, profile, container, instance.
    Aws { profile: Option<String> },
}

impl Credentials {
    fn read(env: &mut SettingsReader) -> Self {
        const ACCESS: &str = "BACKUP_STORE_ACCESS_KEY";
        const SECRET: &str = "BACKUP_STORE_SECRET_KEY";
        const TOKEN: &str = "BACKUP_STORE_SESSION_TOKEN";
        const PROFILE: &str = "BACKUP_STORE_PROFILE";
        let (access_help, secret_help) = ("access key of the store", "secret key of the store");
        let source = env.or(
            "BACKUP_STORE_CREDENTIALS",
            CredentialSource::default(),
            "keys (the three settings below), or aws: web identity, container, profile or instance, renewed before they expire",
        );
        let profile: Option<String> = env.optional(
            PROFILE,
            "profile of AWS's shared files, with BACKUP_STORE_CREDENTIALS=aws; unset: AWS_PROFILE, or default",
        );
        if source == CredentialSource::Keys {
            if profile.is_some() {
                env.fault(
                    PROFILE,
                    "has no effect with BACKUP_STORE_CREDENTIALS=keys",
                    "set BACKUP_STORE_CREDENTIALS=aws, or unset it",
                );
            }
            return Self::Keys {
                access: env.required(ACCESS, access_help),
                secret: env.secret(SECRET, secret_help),
                session_token: env.optional_secret(TOKEN, "session token of temporary credentials"),
            };
        }
        let set: Option<String> = env.optional(ACCESS, access_help);
        let secrets =
            [env.optional_secret(SECRET, secret_help), env.optional_secret(TOKEN, "session token of temporary credentials")];
        if set.is_some() || secrets.iter().any(Option::is_some) {
            let remedy =
                "unset it with BACKUP_STORE_SECRET_KEY and BACKUP_STORE_SESSION_TOKEN, or set BACKUP_STORE_CREDENTIALS=keys";
            env.fault(ACCESS, "has no effect with BACKUP_STORE_CREDENTIALS=aws", remedy);
        }
        Self::Aws { profile }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncryptionMode {
    Aes256,
    Kms,
    KmsDsse,
}

/// Encryption by the store, in addition to our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerEncryption {
    pub mode: EncryptionMode,
    /// `None`: the store's default key.
    pub key: Option<String>,
}

impl ServerEncryption {
    fn read(env: &mut SettingsReader) -> Option<Self> {
        const KEY: &str = "BACKUP_STORE_KMS_KEY";
        let mode: Option<EncryptionMode> = env.optional(
            "BACKUP_STORE_ENCRYPTION",
            "encryption of every object by the store: AES256, aws:kms or aws:kms:dsse; unset: the bucket's default",
        );
        let key: Option<String> = env.optional(KEY, "id or ARN of the KMS key; unset: the store's default key");
        if key.is_some() && !matches!(mode, Some(EncryptionMode::Kms | EncryptionMode::KmsDsse)) {
            env.fault(KEY, "needs BACKUP_STORE_ENCRYPTION=aws:kms or aws:kms:dsse", "set it, or unset BACKUP_STORE_KMS_KEY");
        }
        mode.map(|mode| Self { mode, key })
    }
}

/// Classes whose objects cannot be read before a request that takes hours.
const COLD_CLASSES: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];

fn storage_class(env: &mut SettingsReader) -> Option<String> {
    const NAME: &str = "BACKUP_STORE_STORAGE_CLASS";
    let class: Option<String> =
        env.optional(NAME, "storage class of objects with data, such as STANDARD_IA or GLACIER_IR; unset: the store's default");
    if class.as_deref().is_some_and(|class| COLD_CLASSES.contains(&class)) {
        let wrong = "names a class whose objects cannot be read at once, so neither a drill nor a restore works";
        env.fault(NAME, wrong, "choose GLACIER_IR, or move old objects with a lifecycle rule of the bucket");
    }
    class
}

/// An S3-compatible store.
#[derive(Debug, Clone)]
pub struct ObjectStoreSettings {
    /// `None`: AWS, by region.
    pub endpoint: Option<String>,
    pub region: String,
    pub bucket: String,
    pub prefix: String,
    pub credentials: Credentials,
    /// Whether requests carry a checksum even if the store may not support it.
    pub checksums: Checksums,
    /// Whether the bucket is in the path instead of the host name; self-hosted stores need this.
    pub path_style: bool,
    /// Bucket of the lease: its objects must not be locked.
    pub lock_bucket: Option<String>,
    /// Lock of every object.
    pub object_lock: Option<(LockMode, Duration)>,
    /// Storage class of the objects with data; records and the lease have the store's default.
    pub storage_class: Option<String>,
    /// Encryption by the store, of every object.
    pub encryption: Option<ServerEncryption>,
    pub part_bytes: usize,
    pub parts_per_object: u32,
    pub attempts: u32,
    pub connect_timeout: Duration,
    pub request_timeout: Duration,
}

impl ObjectStoreSettings {
    pub(super) fn read(env: &mut SettingsReader) -> Self {
        let endpoint: Option<String> =
            env.optional("BACKUP_STORE_ENDPOINT", "http(s)://host:port of an S3-compatible store; unset: AWS");
        if endpoint.as_deref().is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            env.fault("BACKUP_STORE_ENDPOINT", "does not begin with http:// or https://", "write it as https://host:port");
        }
        let mode: Option<LockMode> =
            env.optional("BACKUP_STORE_OBJECT_LOCK", "lock of every object: governance or compliance; unset: no lock");
        let span =
            env.duration_within("BACKUP_STORE_OBJECT_LOCK_FOR", 30 * DAY, LOCKS, "duration of an object's lock, in hours (720h)");
        Self {
            endpoint,
            region: env.or("BACKUP_STORE_REGION", "us-east-1".to_owned(), "region in the signature of requests"),
            bucket: env.required("BACKUP_STORE_BUCKET", "bucket of the backups"),
            prefix: env.or("BACKUP_STORE_PREFIX", "backups".to_owned(), "prefix of every key"),
            credentials: Credentials::read(env),
            checksums: env.or(
                "BACKUP_STORE_CHECKSUMS",
                Checksums::default(),
                "when_supported, or when_required for stores that reject newer checksums",
            ),
            path_style: env.or("BACKUP_STORE_PATH_STYLE", true, "true: bucket in the path; false: in the host name"),
            lock_bucket: env.optional("BACKUP_STORE_LOCK_BUCKET", "bucket of the lease; unset: the bucket of the backups"),
            object_lock: mode.map(|mode| (mode, span)),
            storage_class: storage_class(env),
            encryption: ServerEncryption::read(env),
            part_bytes: usize::try_from(
                env.or_within("BACKUP_STORE_PART_MIB", 6, 5..=512, "size of an object's parts, in MiB (minimum of S3: 5)")
                    * MEBIBYTE,
            )
            .unwrap_or(usize::MAX),
            parts_per_object: env.or_within(
                "BACKUP_STORE_PARTS_PER_OBJECT",
                900,
                1..=10_000,
                "parts in an object; some stores allow 1,000",
            ),
            attempts: env.or_within(
                "BACKUP_STORE_ATTEMPTS",
                20,
                1..=50,
                "attempts of one request, with waits that grow to 20 s (20: at least two minutes)",
            ),
            connect_timeout: env.duration_within(
                "BACKUP_STORE_CONNECT_TIMEOUT",
                Duration::from_secs(5),
                LIMITS,
                "maximum time to connect to the store, each attempt",
            ),
            request_timeout: env.duration_within(
                "BACKUP_STORE_REQUEST_TIMEOUT",
                Duration::from_secs(300),
                LIMITS,
                "maximum time of one request with its body, each attempt",
            ),
        }
    }

    pub fn object_bytes(&self) -> u64 {
        self.part_bytes as u64 * u64::from(self.parts_per_object)
    }
}

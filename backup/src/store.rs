//! This module accesses object storage. It is the only user of the S3 client. It must not interpret objects, which
//! [`crate::layout`] and [`crate::manifest`] do, or use the local disk.
//!
//! It retries requests with increasing waits. [`StoreError::Unavailable`] means that a request failed [`ObjectStoreSettings::attempts`]
//! times.

mod credentials;
mod error;
mod multipart;

use std::time::{Duration, SystemTime};

use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Region, RequestChecksumCalculation, ResponseChecksumValidation,
        interceptors::InterceptorContext,
        retry::{ClassifyRetry, RetryAction, RetryConfig, RetryPartition, TokenBucket},
        timeout::TimeoutConfig,
    },
    primitives::{ByteStream, DateTime},
    types::{Delete, ObjectIdentifier, ObjectLockMode, ServerSideEncryption, StorageClass},
};
use bytes::Bytes;
use jiff::Timestamp;

use crate::{
    config::{Checksums, EncryptionMode, LockMode, ObjectStoreSettings, ServerEncryption},
    metrics::ObjectStoreMetrics,
};

pub use error::{StoreError, start_at_zero};
use multipart::DAMAGED_ATTEMPTS;
pub use multipart::{PendingUpload, Upload, UploadedPart};

/// A request fails after this time without a byte read.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
const INITIAL_BACKOFF: Duration = Duration::from_millis(200);
const LARGEST_BACKOFF: Duration = Duration::from_secs(20);
/// Names of requests in messages and metrics.
pub const OPERATIONS: [&str; 13] = [
    "abort_upload",
    "begin_upload",
    "complete_upload",
    "delete",
    "get",
    "get_object_lock",
    "head",
    "head_bucket",
    "list",
    "list_uploads",
    "list_versions",
    "put",
    "upload_part",
];
/// Attempts of a read whose transfer broke, in addition to the client's own retries of a request.
const BROKEN_ATTEMPTS: u32 = 6;
/// Maximum number of objects in one delete request.
const DELETE_AT_ONCE: usize = 1000;

/// Statuses of stores, and of proxies before them, that the client treats as refusals unless the body has a known code.
#[derive(Debug)]
struct Passing;

impl ClassifyRetry for Passing {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response().map(|response| response.status().as_u16()) {
            // The store asks to wait.
            Some(429) => RetryAction::throttling_error(),
            // Not supported, and full: the next response is the same.
            Some(501 | 505 | 507) => RetryAction::NoActionIndicated,
            // A concurrent conditional put, and errors between a proxy and the store, such as 520 to 524.
            Some(408 | 409 | 425 | 500..=599) => RetryAction::server_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "passing statuses"
    }
}

/// Whether a put may replace an existing object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    Yes,
    /// `If-None-Match: *`: the second of two writers gets [`StoreError::Exists`].
    No,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    pub key: String,
    pub bytes: u64,
    pub modified_at: Option<Timestamp>,
}

/// One version of an object, or a deletion marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectVersion {
    pub key: String,
    pub version: String,
    pub latest: bool,
    pub delete_marker: bool,
}

/// One bucket of an S3-compatible store. Clones share connections.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    bucket: String,
    lock: Option<(LockMode, Duration)>,
    /// Of objects with data.
    storage_class: Option<StorageClass>,
    encryption: Option<ServerEncryption>,
    metrics: ObjectStoreMetrics,
}

impl Store {
    /// Opens no connection yet.
    pub fn new(settings: &ObjectStoreSettings, metrics: ObjectStoreMetrics) -> Self {
        let (calculate, validate) = match settings.checksums {
            Checksums::WhenRequired => (RequestChecksumCalculation::WhenRequired, ResponseChecksumValidation::WhenRequired),
            Checksums::WhenSupported => (RequestChecksumCalculation::WhenSupported, ResponseChecksumValidation::WhenSupported),
        };
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(settings.connect_timeout)
            .read_timeout(READ_TIMEOUT)
            .operation_attempt_timeout(settings.request_timeout)
            .build();
        let retries = RetryConfig::standard()
            .with_max_attempts(settings.attempts)
            .with_initial_backoff(INITIAL_BACKOFF)
            .with_max_backoff(LARGEST_BACKOFF);
        let mut config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(settings.region.clone()))
            .force_path_style(settings.path_style)
            .credentials_provider(credentials::provider(settings))
            .request_checksum_calculation(calculate)
            .response_checksum_validation(validate)
            .retry_config(retries)
            .retry_classifier(Passing)
            // The client's default retry budget is meant for interactive services. A backup should wait instead of failing.
            .retry_partition(RetryPartition::custom("backup").token_bucket(TokenBucket::unlimited()).build())
            .timeout_config(timeouts);
        if let Some(endpoint) = &settings.endpoint {
            config = config.endpoint_url(endpoint);
        }
        Self {
            client: Client::from_conf(config.build()),
            bucket: settings.bucket.clone(),
            lock: settings.object_lock,
            storage_class: settings.storage_class.as_deref().map(StorageClass::from),
            encryption: settings.encryption.clone(),
            metrics,
        }
    }

    /// Another bucket of the same store, without object lock.
    pub fn beside(&self, bucket: &str) -> Self {
        Self { bucket: bucket.to_owned(), lock: None, ..self.clone() }
    }

    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Checks that the bucket exists and that these credentials may use it.
    pub async fn check_bucket(&self) -> Result<(), StoreError> {
        let answer = self.client.head_bucket().bucket(&self.bucket).send().await;
        answer.map(drop).map_err(|error| self.failed("head_bucket", &self.bucket, &error))
    }

    /// Whether objects of the bucket can be locked.
    pub async fn can_lock(&self) -> Result<bool, StoreError> {
        let answer = self.client.get_object_lock_configuration().bucket(&self.bucket).send().await;
        match answer.map_err(|error| self.failed("get_object_lock", &self.bucket, &error)) {
            Ok(answer) => Ok(answer.object_lock_configuration.and_then(|lock| lock.object_lock_enabled).is_some()),
            // Stores report this in different ways.
            Err(StoreError::NotFound { .. } | StoreError::Refused { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes a record in one request, with the store's default storage class.
    pub async fn put(&self, key: &str, body: Bytes, replace: Replace) -> Result<(), StoreError> {
        self.put_in(None, key, body, replace).await
    }

    async fn put_in(&self, class: Option<StorageClass>, key: &str, body: Bytes, replace: Replace) -> Result<(), StoreError> {
        let mut attempt = 1;
        loop {
            match self.put_once(class.clone(), key, body.clone(), replace).await {
                Err(error) if error.is_damaged_transfer() && attempt < DAMAGED_ATTEMPTS => attempt += 1,
                put => return put,
            }
        }
    }

    async fn put_once(&self, class: Option<StorageClass>, key: &str, body: Bytes, replace: Replace) -> Result<(), StoreError> {
        let bytes = body.len() as u64;
        let (mode, until) = self.locked();
        let request = self.client.put_object().bucket(&self.bucket).key(key).body(ByteStream::from(body));
        let request = request.set_object_lock_mode(mode).set_object_lock_retain_until_date(until);
        let (encryption, kms_key) = self.encrypted();
        let request = request.set_server_side_encryption(encryption).set_ssekms_key_id(kms_key).set_storage_class(class);
        let request = match replace {
            Replace::Yes => request,
            Replace::No => request.if_none_match("*"),
        };
        request.send().await.map_err(|error| self.failed("put", key, &error))?;
        self.metrics.sent.inc_by(bytes);
        Ok(())
    }

    /// Writes an object with data, whose name no other process writes. If it already exists, a retry after a lost response has found it.
    pub async fn put_own(&self, key: &str, body: Bytes) -> Result<(), StoreError> {
        let bytes = body.len() as u64;
        match self.put_in(self.storage_class.clone(), key, body, Replace::No).await {
            Err(error @ StoreError::Exists { .. }) => self.stands(key, bytes, error).await,
            put => put,
        }
    }

    /// Whether our object exists although the store reported an error. Comparing its size is enough, since its hash is verified
    /// when it is read.
    async fn stands(&self, key: &str, bytes: u64, said: StoreError) -> Result<(), StoreError> {
        match self.head(key).await? {
            Some(object) if object.bytes == bytes => Ok(()),
            _ => Err(said),
        }
    }

    /// Reads a small object. An object larger than `limit` is rejected before it is read. The client retries a request only until
    /// its response begins, so a transfer that breaks later is repeated here.
    pub async fn get(&self, key: &str, limit: usize) -> Result<Bytes, StoreError> {
        let mut attempt = 1;
        loop {
            let answer = self.client.get_object().bucket(&self.bucket).key(key).send().await;
            let object = answer.map_err(|error| self.failed("get", key, &error))?;
            if size(object.content_length()) > limit as u64 {
                return Err(StoreError::TooLarge { key: key.to_owned(), limit });
            }
            match self.collect(key, object.body).await {
                Err(error) if attempt < BROKEN_ATTEMPTS => {
                    tracing::warn!(key, %error, "transfer interrupted; retrying");
                    attempt += 1;
                }
                collected => return collected,
            }
        }
    }

    /// Reads a range of an object, as it arrives. The result is shorter if the object is.
    pub async fn get_range(&self, key: &str, offset: u64, bytes: u64) -> Result<ByteStream, StoreError> {
        if bytes == 0 {
            return Ok(ByteStream::from_static(b""));
        }
        let range = format!("bytes={offset}-{}", offset + bytes - 1);
        let answer = self.client.get_object().bucket(&self.bucket).key(key).range(range).send().await;
        answer.map(|object| object.body).map_err(|error| self.failed("get", key, &error))
    }

    /// Counts the bytes of a body that the caller received.
    pub fn count_received(&self, bytes: u64) {
        self.metrics.received.inc_by(bytes);
    }

    /// Metadata of an object; `None` if it does not exist.
    pub async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, StoreError> {
        match self.client.head_object().bucket(&self.bucket).key(key).send().await {
            Ok(object) => Ok(Some(ObjectInfo {
                key: key.to_owned(),
                bytes: size(object.content_length()),
                modified_at: object.last_modified().and_then(timestamp),
            })),
            Err(error) => match self.failed("head", key, &error) {
                StoreError::NotFound { .. } => Ok(None),
                error => Err(error),
            },
        }
    }

    /// Every object under `prefix`, in the order of their keys.
    pub async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        let mut pages = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.failed("list", prefix, &error))?;
            found.extend(page.contents.unwrap_or_default().into_iter().filter_map(|object| {
                let (bytes, modified_at) = (size(object.size()), object.last_modified().and_then(timestamp));
                Some(ObjectInfo { key: object.key?, bytes, modified_at })
            }));
        }
        found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    /// Every version of every object under `prefix`; empty without versioning.
    pub async fn list_versions(&self, prefix: &str) -> Result<Vec<ObjectVersion>, StoreError> {
        let mut found = Vec::new();
        let (mut key_marker, mut version_marker) = (None, None);
        loop {
            let request = self.client.list_object_versions().bucket(&self.bucket).prefix(prefix);
            let request = request.set_key_marker(key_marker.take()).set_version_id_marker(version_marker.take());
            let page = request.send().await.map_err(|error| self.failed("list_versions", prefix, &error))?;
            let more = page.is_truncated == Some(true);
            (key_marker, version_marker) = (page.next_key_marker, page.next_version_id_marker);
            for version in page.versions.unwrap_or_default() {
                if let (latest, Some(key), Some(id)) = (version.is_latest == Some(true), version.key, version.version_id) {
                    found.push(ObjectVersion { key, version: id, latest, delete_marker: false });
                }
            }
            for marker in page.delete_markers.unwrap_or_default() {
                if let (latest, Some(key), Some(id)) = (marker.is_latest == Some(true), marker.key, marker.version_id) {
                    found.push(ObjectVersion { key, version: id, latest, delete_marker: true });
                }
            }
            if !more || key_marker.is_none() {
                return Ok(found);
            }
        }
    }

    /// Deletes objects, or versions of them. Deleting a missing object is not an error. Returns the keys that the store refused
    /// to delete, with its reason.
    pub async fn delete(&self, keys: &[(String, Option<String>)]) -> Result<Vec<(String, String)>, StoreError> {
        let mut kept = Vec::new();
        for batch in keys.chunks(DELETE_AT_ONCE) {
            let objects = batch
                .iter()
                .filter_map(|(key, version)| ObjectIdentifier::builder().key(key).set_version_id(version.clone()).build().ok());
            let delete = Delete::builder().set_objects(Some(objects.collect())).quiet(true).build();
            let delete = delete.map_err(|error| StoreError::Refused {
                operation: "delete",
                code: "InvalidArgument".into(),
                reason: error.to_string(),
            })?;
            let answer = self.client.delete_objects().bucket(&self.bucket).delete(delete).send().await;
            let answer = answer.map_err(|error| self.failed("delete", &batch[0].0, &error))?;
            kept.extend(answer.errors.unwrap_or_default().into_iter().map(|error| {
                let reason = error.message.or(error.code).unwrap_or_else(|| "no reason given".into());
                (error.key.unwrap_or_default(), reason)
            }));
        }
        Ok(kept)
    }

    /// End of an object's lock according to the store; `None` if it is not locked.
    pub async fn locked_until(&self, key: &str) -> Result<Option<Timestamp>, StoreError> {
        let answer = self.client.head_object().bucket(&self.bucket).key(key).send().await;
        let object = answer.map_err(|error| self.failed("head", key, &error))?;
        Ok(object.object_lock_retain_until_date().and_then(timestamp))
    }

    /// Collects a body.
    pub async fn collect(&self, key: &str, body: ByteStream) -> Result<Bytes, StoreError> {
        let bytes = body.collect().await.map(|body| body.into_bytes()).map_err(|error| {
            let error = StoreError::Unavailable { operation: "get", reason: format!("{key}: {}", error::describe(&error)) };
            self.count(error, "get")
        })?;
        self.metrics.received.inc_by(bytes.len() as u64);
        Ok(bytes)
    }

    /// Encryption by the store, and the id of its key.
    fn encrypted(&self) -> (Option<ServerSideEncryption>, Option<String>) {
        let Some(ServerEncryption { mode, key }) = &self.encryption else { return (None, None) };
        let mode = match mode {
            EncryptionMode::Aes256 => ServerSideEncryption::Aes256,
            EncryptionMode::Kms => ServerSideEncryption::AwsKms,
            EncryptionMode::KmsDsse => ServerSideEncryption::AwsKmsDsse,
        };
        (Some(mode), key.clone())
    }

    /// The mode and end of the lock for an object written now.
    fn locked(&self) -> (Option<ObjectLockMode>, Option<DateTime>) {
        let Some((mode, span)) = self.lock else { return (None, None) };
        let mode = match mode {
            LockMode::Governance => ObjectLockMode::Governance,
            LockMode::Compliance => ObjectLockMode::Compliance,
        };
        (Some(mode), Some(DateTime::from(SystemTime::now() + span)))
    }
}

fn timestamp(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

fn size(length: Option<i64>) -> u64 {
    length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0)
}

//! This module is object storage: snapshots, journal archives, statements, media. It must be the only user of the S3 client and
//! must not write to the local disk.

use std::{collections::HashSet, sync::Arc, time::Duration};

use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
    operation::RequestId,
    presigning::PresigningConfig,
    primitives::ByteStream,
};
use bytes::Bytes;

use parking_lot::Mutex;
use service_kit::telemetry::with_causes;

use crate::{
    config::{Checksums, ObjectStorage},
    foreign::{Foreign, ForeignKind},
    metrics::ObjectStorageMetrics,
};

/// Content types of the objects that this exchange stores.
pub const CSV: &str = "text/csv; charset=utf-8";
pub const ZSTD: &str = "application/zstd";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A request fails if it reads no byte for this long.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Limit for one request, its body included.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(300);
/// Attempts per request. Jobs also retry, with longer pauses.
const ATTEMPTS: u32 = 2;
/// Longest lifetime of a presigned link: the limit of S3.
pub const PRESIGNED_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Why an object was not read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// No answer, or an answer that asks to retry later.
    #[error("object storage is unavailable ({operation}): {reason}")]
    Unavailable { operation: &'static str, reason: String },
    /// The store refused the request: a retry cannot succeed until the settings of the store or of the exchange change.
    #[error("object storage refused {operation}: {code}: {reason}")]
    Refused { operation: &'static str, code: String, reason: String },
    #[error("object {key} does not exist")]
    NotFound { key: String },
    /// A conditional put found an object with that name.
    #[error("object {key} already exists")]
    Exists { key: String },
}

impl MediaError {
    /// A bounded name for metrics.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "unavailable",
            Self::Refused { .. } => "refused",
            Self::NotFound { .. } => "not_found",
            Self::Exists { .. } => "exists",
        }
    }
}

/// Whether a put may replace an object of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    Yes,
    /// `If-None-Match: *`: of two writers one gets [`MediaError::Exists`].
    No,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    pub key: String,
    pub size_bytes: u64,
}

/// One bucket of an S3-compatible store. Clones share connections.
#[derive(Debug, Clone)]
pub struct Media {
    client: Client,
    bucket: String,
    metrics: ObjectStorageMetrics,
    /// Objects of another history that have been logged.
    named: Arc<Mutex<HashSet<String>>>,
}

impl Media {
    /// Does not connect yet.
    pub fn new(settings: &ObjectStorage, metrics: ObjectStorageMetrics) -> Self {
        metrics.start_at_zero();
        let (calculate, validate) = match settings.checksums {
            Checksums::WhenRequired => (RequestChecksumCalculation::WhenRequired, ResponseChecksumValidation::WhenRequired),
            Checksums::WhenSupported => (RequestChecksumCalculation::WhenSupported, ResponseChecksumValidation::WhenSupported),
        };
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .build();
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(settings.region.clone()))
            .endpoint_url(&settings.endpoint)
            // Buckets as host names need DNS entries that self-hosted stores do not have.
            .force_path_style(true)
            .credentials_provider(Credentials::new(
                &settings.access_key,
                settings.secret_key.expose(),
                None,
                None,
                "configuration",
            ))
            .request_checksum_calculation(calculate)
            .response_checksum_validation(validate)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(timeouts)
            .build();
        Self { client: Client::from_conf(config), bucket: settings.bucket.clone(), metrics, named: Arc::default() }
    }

    /// Whether the bucket exists and these credentials may use it.
    pub async fn check_bucket(&self) -> Result<(), MediaError> {
        let answer = self.client.head_bucket().bucket(&self.bucket).send().await;
        answer.map(drop).map_err(|error| self.failed("head_bucket", &self.bucket, &error))
    }

    /// Creates the bucket if it is missing: for a development or test store.
    pub async fn create_bucket(&self) -> Result<(), MediaError> {
        match self.check_bucket().await {
            Err(MediaError::NotFound { .. }) => {}
            checked => return checked,
        }
        let answer = self.client.create_bucket().bucket(&self.bucket).send().await;
        answer.map(drop).map_err(|error| self.failed("create_bucket", &self.bucket, &error))
    }

    pub async fn put(&self, key: &str, body: Bytes, content_type: &str, replace: Replace) -> Result<(), MediaError> {
        let request =
            self.client.put_object().bucket(&self.bucket).key(key).content_type(content_type).body(ByteStream::from(body));
        let request = match replace {
            Replace::Yes => request,
            Replace::No => request.if_none_match("*"),
        };
        request.send().await.map(drop).map_err(|error| self.failed("put", key, &error))
    }

    /// The object's body, as it arrives.
    pub async fn get_stream(&self, key: &str) -> Result<ByteStream, MediaError> {
        let answer = self.client.get_object().bucket(&self.bucket).key(key).send().await;
        answer.map(|object| object.body).map_err(|error| self.failed("get", key, &error))
    }

    /// The whole object.
    pub async fn get(&self, key: &str) -> Result<Bytes, MediaError> {
        let body = self.get_stream(key).await?.collect().await;
        body.map(|body| body.into_bytes())
            .map_err(|error| self.count(MediaError::Unavailable { operation: "get", reason: with_causes(&error) }, "get"))
    }

    /// `None` if the object does not exist.
    pub async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, MediaError> {
        match self.client.head_object().bucket(&self.bucket).key(key).send().await {
            Ok(object) => Ok(Some(ObjectInfo { key: key.to_owned(), size_bytes: size(object.content_length()) })),
            Err(error) => match self.failed("head", key, &error) {
                MediaError::NotFound { .. } => Ok(None),
                error => Err(error),
            },
        }
    }

    /// Every object under `prefix`, in the order of their keys.
    pub async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, MediaError> {
        let mut pages = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.failed("list", prefix, &error))?;
            let objects = page.contents.unwrap_or_default();
            found.extend(
                objects.into_iter().filter_map(|object| Some(ObjectInfo { size_bytes: size(object.size()), key: object.key? })),
            );
        }
        found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    /// Deleting an object that does not exist succeeds.
    pub async fn delete(&self, key: &str) -> Result<(), MediaError> {
        let answer = self.client.delete_object().bucket(&self.bucket).key(key).send().await;
        answer.map(drop).map_err(|error| self.failed("delete", key, &error))
    }

    /// A presigned link: anyone who has it can read the object until it expires. The browser saves the object as `file_name`.
    /// Sends no request.
    pub async fn presigned_get(&self, key: &str, expires: Duration, file_name: &str) -> Result<String, MediaError> {
        let refused = |reason: String| MediaError::Refused { operation: "presign", code: "InvalidArgument".into(), reason };
        let config = PresigningConfig::expires_in(expires.min(PRESIGNED_MAX)).map_err(|error| refused(error.to_string()))?;
        let request = self.client.get_object().bucket(&self.bucket).key(key);
        let request = request.response_content_disposition(format!("attachment; filename=\"{file_name}\""));
        request.presigned(config).await.map(|request| request.uri().to_owned()).map_err(|error| refused(with_causes(&error)))
    }

    /// Counts objects of another history and logs each once.
    pub fn report_foreign(&self, foreign: &[Foreign]) {
        for kind in ForeignKind::ALL {
            let count = foreign.iter().filter(|object| object.kind == kind).count();
            self.metrics.foreign_objects.with_label_values(&[kind.name()]).set(count as i64);
        }
        let mut named = self.named.lock();
        for Foreign { key, sequence, declared, .. } in foreign {
            if named.insert(key.clone()) {
                tracing::warn!(key, sequence, declared, "object belongs to another history; ignoring it");
            }
        }
    }

    fn failed<E>(&self, operation: &'static str, key: &str, error: &SdkError<E>) -> MediaError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.count(classify(operation, key, error), operation)
    }

    fn count(&self, error: MediaError, operation: &'static str) -> MediaError {
        // Jobs check for existence to be idempotent: "not found" and "already exists" are answers, not errors.
        if !matches!(error, MediaError::NotFound { .. } | MediaError::Exists { .. }) {
            self.metrics.errors.with_label_values(&[operation, error.kind()]).inc();
        }
        error
    }
}

fn classify<E>(operation: &'static str, key: &str, error: &SdkError<E>) -> MediaError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let Some(answer) = error.raw_response() else {
        return match error {
            SdkError::ConstructionFailure(_) => {
                MediaError::Refused { operation, code: "InvalidArgument".into(), reason: with_causes(error) }
            }
            _ => MediaError::Unavailable { operation, reason: with_causes(error) },
        };
    };
    let metadata = error.as_service_error().map(ProvideErrorMetadata::meta);
    let code = metadata.and_then(|meta| meta.code()).unwrap_or("no code").to_owned();
    let reason = match metadata.and_then(|meta| meta.message()) {
        Some(message) => format!("HTTP {}: {message}", answer.status().as_u16()),
        None => format!("HTTP {}", answer.status().as_u16()),
    };
    let reason = match metadata.and_then(|meta| meta.request_id()) {
        Some(id) => format!("{reason} (request {id})"),
        None => reason,
    };
    match answer.status().as_u16() {
        404 => MediaError::NotFound { key: key.to_owned() },
        412 => MediaError::Exists { key: key.to_owned() },
        // Too many requests, a conditional put that met a concurrent one, or an internal error of the store.
        409 | 429 | 500.. => MediaError::Unavailable { operation, reason: format!("{code}: {reason}") },
        _ => MediaError::Refused { operation, code, reason },
    }
}

fn size(length: Option<i64>) -> u64 {
    length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0)
}

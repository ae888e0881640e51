//! This module classifies the store's errors by remedy.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::{
    error::{ProvideErrorMetadata, SdkError},
    operation::RequestId,
};
use service_kit::telemetry::with_causes;

use super::Store;
use crate::metrics::ObjectStoreMetrics;

/// Reason why an object was not read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No response, or a request to wait, in every attempt.
    #[error("the object store is unavailable ({operation}): {reason}; check that it runs and can be reached, and run again")]
    Unavailable { operation: &'static str, reason: String },
    /// 401, 403: the credentials are wrong or lack a right.
    #[error(
        "the object store denies {operation} on {key}: {code}: {reason}; correct the credentials, or grant them {}",
        right(operation)
    )]
    Forbidden { operation: &'static str, key: String, code: String, reason: String },
    /// The chain of AWS has no credentials, or failed to renew them.
    #[error(
        "no credentials for the object store ({operation}): {reason}; correct BACKUP_STORE_PROFILE or the role of this machine or pod, \
         or set BACKUP_STORE_CREDENTIALS=keys"
    )]
    NoCredentials { operation: &'static str, reason: String },
    /// The credentials ended during the run, or are not those of this store.
    #[error(
        "the object store no longer accepts the credentials ({operation} on {key}): {code}: {reason}; set new ones, or let \
         BACKUP_STORE_CREDENTIALS=aws renew them"
    )]
    Expired { operation: &'static str, key: String, code: String, reason: String },
    /// Signatures contain the time.
    #[error(
        "the object store denies {operation}, since its clock differs from that of this machine: {code}: {reason}; set the clock"
    )]
    Clock { operation: &'static str, code: String, reason: String },
    /// 507, or a corresponding code.
    #[error("the object store is full ({operation}): {code}: {reason}; free space, or raise its quota")]
    Full { operation: &'static str, code: String, reason: String },
    /// The store refused. A retry is useless until its settings or ours are changed.
    #[error("the object store refused {operation}: {code}: {reason}")]
    Refused { operation: &'static str, code: String, reason: String },
    #[error("object {key} does not exist")]
    NotFound { key: String },
    #[error("bucket {bucket} does not exist; create it, or correct BACKUP_STORE_BUCKET")]
    NoBucket { bucket: String },
    /// A conditional put found an object of that name.
    #[error("object {key} already exists")]
    Exists { key: String },
    #[error("object {key} is larger than {limit} bytes, the maximum size of a record")]
    TooLarge { key: String, limit: usize },
}

/// S3's name of the right that an operation needs.
fn right(operation: &str) -> &'static str {
    match operation {
        "get" | "head" => "s3:GetObject",
        "delete" => "s3:DeleteObject, and s3:DeleteObjectVersion with versioning",
        "head_bucket" | "list" => "s3:ListBucket",
        "list_uploads" => "s3:ListBucketMultipartUploads",
        "list_versions" => "s3:ListBucketVersions",
        "abort_upload" => "s3:AbortMultipartUpload",
        "get_object_lock" => "s3:GetBucketObjectLockConfiguration",
        _ => {
            "s3:PutObject, s3:PutObjectRetention with BACKUP_STORE_OBJECT_LOCK, and kms:GenerateDataKey and kms:Decrypt with a KMS key"
        }
    }
}

impl StoreError {
    /// Values of [`Self::kind`] for errors that are counted.
    pub const KINDS: [&str; 5] = ["unavailable", "forbidden", "full", "refused", "not_found"];

    /// A bounded name for metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "unavailable",
            Self::Forbidden { .. } | Self::NoCredentials { .. } | Self::Expired { .. } | Self::Clock { .. } => "forbidden",
            Self::Full { .. } => "full",
            Self::Refused { .. } | Self::TooLarge { .. } => "refused",
            Self::NotFound { .. } | Self::NoBucket { .. } => "not_found",
            Self::Exists { .. } => "exists",
        }
    }

    /// The store received other bytes than were sent: a retry can succeed, although the response is a refusal.
    pub(super) fn is_damaged_transfer(&self) -> bool {
        const CODES: [&str; 4] = ["BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"];
        matches!(self, Self::Refused { code, .. } if CODES.contains(&code.as_str()))
    }
}

/// Exports every counter of errors with 0 from the start, since a rate needs a first value.
pub fn start_at_zero(metrics: &ObjectStoreMetrics) {
    for operation in super::OPERATIONS {
        for kind in StoreError::KINDS {
            metrics.errors.with_label_values(&[operation, kind]);
        }
    }
}

impl Store {
    pub(super) fn failed<E>(&self, operation: &'static str, key: &str, error: &SdkError<E>) -> StoreError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.count(classify(operation, key, error, self.bucket()), operation)
    }

    pub(super) fn count(&self, error: StoreError, operation: &'static str) -> StoreError {
        debug_assert!(super::OPERATIONS.contains(&operation), "{operation} is not among OPERATIONS");
        // A missing or an already existing object is a result, not an error.
        if !matches!(error, StoreError::NotFound { .. } | StoreError::Exists { .. }) {
            self.metrics.errors.with_label_values(&[operation, error.kind()]).inc();
        }
        error
    }
}

fn classify<E>(operation: &'static str, key: &str, error: &SdkError<E>, bucket: &str) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let Some(answer) = error.raw_response() else {
        if is_about_credentials(error) {
            return StoreError::NoCredentials { operation, reason: describe(error) };
        }
        return match error {
            SdkError::ConstructionFailure(_) => {
                StoreError::Refused { operation, code: "InvalidArgument".into(), reason: describe(error) }
            }
            _ => StoreError::Unavailable { operation, reason: describe(error) },
        };
    };
    let metadata = error.as_service_error().map(ProvideErrorMetadata::meta);
    let code = metadata.and_then(|meta| meta.code()).unwrap_or("no code").to_owned();
    let status = answer.status().as_u16();
    let reason = match metadata.and_then(|meta| meta.message()) {
        Some(message) => format!("HTTP {status}: {message}"),
        None => format!("HTTP {status}"),
    };
    let reason = match metadata.and_then(|meta| meta.request_id()) {
        Some(id) => format!("{reason} (request {id})"),
        None => reason,
    };
    const FULL: [&str; 5] =
        ["QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "EntityTooLargeForQuota", "XMinioAdminBucketQuotaExceeded"];
    /// Services answer these with 400 or 403.
    const ELSEWHERE: [&str; 5] = [
        "PermanentRedirect",
        "TemporaryRedirect",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "IncorrectEndpoint",
    ];
    const EXPIRED: [&str; 4] = ["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken"];
    match status {
        _ if EXPIRED.contains(&code.as_str()) => StoreError::Expired { operation, key: key.to_owned(), code, reason },
        _ if code == "RequestTimeTooSkewed" => StoreError::Clock { operation, code, reason },
        // The client follows no redirect: it would sign for the wrong region again.
        _ if ELSEWHERE.contains(&code.as_str()) || status == 301 => {
            let remedy =
                "the bucket is in another region; correct BACKUP_STORE_REGION, and BACKUP_STORE_ENDPOINT if it names a region";
            StoreError::Refused { operation, code, reason: format!("{reason}; {remedy}") }
        }
        _ if code == "RequestTimeout" => StoreError::Unavailable { operation, reason: format!("{code}: {reason}") },
        _ if code == "NoSuchBucket" => StoreError::NoBucket { bucket: bucket.to_owned() },
        507 => StoreError::Full { operation, code, reason },
        _ if FULL.contains(&code.as_str()) => StoreError::Full { operation, code, reason },
        401 | 403 => StoreError::Forbidden { operation, key: key.to_owned(), code, reason },
        404 if operation == "head_bucket" => StoreError::NoBucket { bucket: bucket.to_owned() },
        404 => StoreError::NotFound { key: key.to_owned() },
        412 => StoreError::Exists { key: key.to_owned() },
        // A retry would get the same response.
        501 => StoreError::Refused { operation, code, reason: format!("{reason}; the store does not support this request") },
        // Too many requests, a conditional put that met a concurrent one, or an internal error of the store.
        408 | 409 | 429 | 500.. => StoreError::Unavailable { operation, reason: format!("{code}: {reason}") },
        _ => StoreError::Refused { operation, code, reason },
    }
}

fn is_about_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |cause| cause.source()).any(|cause| cause.is::<CredentialsError>())
}

/// The error with its causes, on one line.
pub(super) fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    with_causes(error).lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

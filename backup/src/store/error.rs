//! What the store said, sorted by what can be done about it.

use aws_sdk_s3::{
    error::{ProvideErrorMetadata, SdkError},
    operation::RequestId,
};

use super::Store;

/// Why an object was not read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No answer, or one that says "later", after every attempt.
    #[error("the object store is unavailable ({operation}): {reason}; look whether it runs and can be reached, and run again")]
    Unavailable { operation: &'static str, reason: String },
    /// 401, 403: the credentials are wrong or lack a right.
    #[error(
        "the object store forbids {operation} on {key}: {code}: {reason}; correct the credentials, or grant them {}",
        right(operation)
    )]
    Forbidden { operation: &'static str, key: String, code: String, reason: String },
    /// 507, or a code that says so.
    #[error("the object store is full ({operation}): {code}: {reason}; make room, or raise its quota")]
    Full { operation: &'static str, code: String, reason: String },
    /// The store said no: trying again changes nothing until its settings or ours are changed.
    #[error("the object store refused {operation}: {code}: {reason}")]
    Refused { operation: &'static str, code: String, reason: String },
    #[error("there is no object {key}")]
    NotFound { key: String },
    #[error("there is no bucket {bucket}: create it, or correct BACKUP_STORE_BUCKET")]
    NoBucket { bucket: String },
    /// A conditional put met an object of that name.
    #[error("the object {key} is there already")]
    Exists { key: String },
    #[error("the object {key} is larger than {limit} bytes, which no record is")]
    TooLarge { key: String, limit: usize },
}

/// What S3 calls the right that an operation needs.
fn right(operation: &str) -> &'static str {
    match operation {
        "get" | "head" => "s3:GetObject",
        "delete" => "s3:DeleteObject, and s3:DeleteObjectVersion where versions are kept",
        "head_bucket" | "list" => "s3:ListBucket",
        "list_uploads" => "s3:ListBucketMultipartUploads",
        "list_versions" => "s3:ListBucketVersions",
        "abort_upload" => "s3:AbortMultipartUpload",
        "get_object_lock" => "s3:GetBucketObjectLockConfiguration",
        _ => "s3:PutObject, and s3:PutObjectRetention with BACKUP_STORE_OBJECT_LOCK",
    }
}

impl StoreError {
    /// What [`Self::kind`] says of errors that are counted.
    pub const KINDS: [&str; 5] = ["unavailable", "forbidden", "full", "refused", "not_found"];

    /// A bounded name for metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "unavailable",
            Self::Forbidden { .. } => "forbidden",
            Self::Full { .. } => "full",
            Self::Refused { .. } | Self::TooLarge { .. } => "refused",
            Self::NotFound { .. } | Self::NoBucket { .. } => "not_found",
            Self::Exists { .. } => "exists",
        }
    }

    /// What was sent is not what arrived: worth another try, although the answer is a refusal.
    pub(super) fn is_damaged_transfer(&self) -> bool {
        const CODES: [&str; 4] = ["BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"];
        matches!(self, Self::Refused { code, .. } if CODES.contains(&code.as_str()))
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
        // "No such object" and "there already" are answers, not errors.
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
    match status {
        _ if code == "NoSuchBucket" => StoreError::NoBucket { bucket: bucket.to_owned() },
        507 => StoreError::Full { operation, code, reason },
        _ if FULL.contains(&code.as_str()) => StoreError::Full { operation, code, reason },
        401 | 403 => StoreError::Forbidden { operation, key: key.to_owned(), code, reason },
        404 if operation == "head_bucket" => StoreError::NoBucket { bucket: bucket.to_owned() },
        404 => StoreError::NotFound { key: key.to_owned() },
        412 => StoreError::Exists { key: key.to_owned() },
        // It will not know it later either.
        501 => StoreError::Refused { operation, code, reason: format!("{reason}; the store lacks what this request needs") },
        // Too many requests, a conditional put that met another one in flight, or the store's own trouble.
        408 | 409 | 429 | 500.. => StoreError::Unavailable { operation, reason: format!("{code}: {reason}") },
        _ => StoreError::Refused { operation, code, reason },
    }
}

/// The error with its causes, on one line.
pub(super) fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

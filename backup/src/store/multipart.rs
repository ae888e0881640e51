//! This module uploads objects in parts of one size. An upload that is neither completed nor aborted costs money and does not
//! appear in a listing of objects. `doctor` and the next run look for such uploads.

use aws_sdk_s3::{
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart},
};
use bytes::Bytes;
use jiff::Timestamp;

use super::{Store, StoreError, timestamp};

/// Attempts of a part that arrived damaged, in addition to the client's own retries.
pub(super) const DAMAGED_ATTEMPTS: usize = 3;

/// An upload in progress.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upload {
    pub key: String,
    pub id: String,
}

/// A part in the store.
#[derive(Debug, Clone)]
pub struct UploadedPart(CompletedPart);

impl UploadedPart {
    /// From 1.
    pub fn number(&self) -> i32 {
        self.0.part_number().unwrap_or_default()
    }
}

/// An upload in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingUpload {
    pub upload: Upload,
    pub begun_at: Option<Timestamp>,
}

impl Store {
    pub async fn begin_upload(&self, key: &str) -> Result<Upload, StoreError> {
        let (mode, until) = self.locked();
        let request = self.client.create_multipart_upload().bucket(&self.bucket).key(key);
        let request = request.set_object_lock_mode(mode).set_object_lock_retain_until_date(until);
        let (encryption, kms_key) = self.encrypted();
        let request = request.set_server_side_encryption(encryption).set_ssekms_key_id(kms_key);
        let request = request.set_storage_class(self.storage_class.clone());
        let answer = request.send().await.map_err(|error| self.failed("begin_upload", key, &error))?;
        let id = answer.upload_id.ok_or_else(|| StoreError::Refused {
            operation: "begin_upload",
            code: "NoUploadId".into(),
            reason: "the store's response contains no upload id".into(),
        })?;
        Ok(Upload { key: key.to_owned(), id })
    }

    /// `number` counts from 1.
    pub async fn upload_part(&self, upload: &Upload, number: i32, body: Bytes) -> Result<UploadedPart, StoreError> {
        let mut attempt = 1;
        loop {
            let request = self.client.upload_part().bucket(&self.bucket).key(&upload.key).upload_id(&upload.id);
            let answer = request.part_number(number).body(ByteStream::from(body.clone())).send().await;
            match answer.map_err(|error| self.failed("upload_part", &upload.key, &error)) {
                Ok(part) => {
                    self.metrics.sent.inc_by(body.len() as u64);
                    let completed = CompletedPart::builder()
                        .part_number(number)
                        .set_e_tag(part.e_tag)
                        .set_checksum_crc32(part.checksum_crc32)
                        .set_checksum_crc32_c(part.checksum_crc32_c)
                        .set_checksum_crc64_nvme(part.checksum_crc64_nvme)
                        .set_checksum_sha1(part.checksum_sha1)
                        .set_checksum_sha256(part.checksum_sha256);
                    return Ok(UploadedPart(completed.build()));
                }
                Err(error) if error.is_damaged_transfer() && attempt < DAMAGED_ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Combines the parts, in the order of their numbers, to one object of this size, whose name no other process writes.
    pub async fn complete_upload(&self, upload: &Upload, mut parts: Vec<UploadedPart>, bytes: u64) -> Result<(), StoreError> {
        parts.sort_unstable_by_key(UploadedPart::number);
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.into_iter().map(|part| part.0).collect())).build();
        let request = self.client.complete_multipart_upload().bucket(&self.bucket).key(&upload.key).upload_id(&upload.id);
        let answer = request.if_none_match("*").multipart_upload(parts).send().await;
        match answer.map_err(|error| self.failed("complete_upload", &upload.key, &error)) {
            Ok(_) => Ok(()),
            // A retry after a lost response: the upload has already become an object.
            Err(error @ (StoreError::Exists { .. } | StoreError::NotFound { .. })) => {
                self.stands(&upload.key, bytes, error).await
            }
            Err(error) => Err(error),
        }
    }

    /// Aborts an upload; a missing upload is not an error.
    pub async fn abort_upload(&self, upload: &Upload) -> Result<(), StoreError> {
        let request = self.client.abort_multipart_upload().bucket(&self.bucket).key(&upload.key).upload_id(&upload.id);
        match request.send().await.map_err(|error| self.failed("abort_upload", &upload.key, &error)) {
            Ok(_) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Uploads under `prefix` that are neither completed nor aborted.
    pub async fn list_uploads(&self, prefix: &str) -> Result<Vec<PendingUpload>, StoreError> {
        let mut found = Vec::new();
        let (mut key_marker, mut id_marker) = (None, None);
        loop {
            let request = self.client.list_multipart_uploads().bucket(&self.bucket).prefix(prefix);
            let request = request.set_key_marker(key_marker.take()).set_upload_id_marker(id_marker.take());
            let page = request.send().await.map_err(|error| self.failed("list_uploads", prefix, &error))?;
            let more = page.is_truncated == Some(true);
            (key_marker, id_marker) = (page.next_key_marker, page.next_upload_id_marker);
            found.extend(page.uploads.unwrap_or_default().into_iter().filter_map(|upload| {
                let begun_at = upload.initiated.as_ref().and_then(timestamp);
                Some(PendingUpload { upload: Upload { key: upload.key?, id: upload.upload_id? }, begun_at })
            }));
            if !more || key_marker.is_none() {
                return Ok(found);
            }
        }
    }
}

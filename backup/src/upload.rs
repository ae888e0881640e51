//! This module implements a stream: the bytes of one worker, split into parts of one size and objects of a fixed number of parts.
//! A full part is uploaded while the next one is filled.
//!
//! The worker's half ([`UploadStream`]) blocks its thread until a buffer is free. The other half ([`upload`]) is a task that sends full
//! buffers. Only full parts are between them, so the pool bounds the memory.

use std::{
    io::{self, Write},
    sync::Arc,
};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
};

use crate::{
    abort::Abort,
    bandwidth::Bandwidth,
    failure::{Exit, Failure, Result, Stage},
    layout::{BackupId, Layout},
    manifest::LaneObject,
    parts::{Part, Pool},
    progress::Progress,
    store::{Store, StoreError, Upload, UploadedPart},
};

/// Message from the worker's half to the upload task.
enum UploadMessage {
    /// A full part.
    Part(Bytes),
    /// The end of an object, with its last part. That part can be short, and is absent if the previous part completed the object.
    End { last: Option<Bytes>, sha256: String },
}

/// The worker's half. Its data is in the store only after [`Self::finish`] and the end of [`upload`].
pub struct UploadStream {
    pub number: u32,
    offset: u64,
    pool: Pool,
    part: Option<Part>,
    object_hash: Sha256,
    object_written: u64,
    object_bytes: u64,
    told: mpsc::UnboundedSender<UploadMessage>,
}

/// The upload task's half.
pub struct Uploader {
    number: u32,
    told: mpsc::UnboundedReceiver<UploadMessage>,
}

/// Destination of all uploads.
#[derive(Clone)]
pub struct Destination {
    pub store: Store,
    pub layout: Arc<Layout>,
    pub id: BackupId,
    pub bandwidth: Bandwidth,
    pub progress: Progress,
    pub stop: Abort,
}

/// Creates both halves of a stream. `object_bytes` is a multiple of the pool's part size.
pub fn upload_stream(number: u32, pool: Pool, object_bytes: u64) -> (UploadStream, Uploader) {
    // The number of buffers in the pool bounds this channel.
    let (sender, receiver) = mpsc::unbounded_channel();
    let lane = UploadStream {
        number,
        offset: 0,
        pool,
        part: None,
        object_hash: Sha256::new(),
        object_written: 0,
        object_bytes,
        told: sender,
    };
    (lane, Uploader { number, told: receiver })
}

impl UploadStream {
    /// Offset of the next byte.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Sends the remaining bytes and ends the stream.
    pub fn finish(mut self) -> io::Result<()> {
        if self.object_written > 0 { self.end_object() } else { Ok(()) }
    }

    fn end_object(&mut self) -> io::Result<()> {
        let last = self.part.take().filter(|part| !part.is_empty()).map(Part::freeze);
        let sha256 = hex::encode(self.object_hash.finalize_reset());
        self.object_written = 0;
        self.tell(UploadMessage::End { last, sha256 })
    }

    fn tell(&self, told: UploadMessage) -> io::Result<()> {
        self.told.send(told).map_err(|_| io::Error::other("the upload has stopped"))
    }
}

impl Write for UploadStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = match &mut self.part {
            Some(part) => part,
            None => self.part.insert(self.pool.take().ok_or_else(|| io::Error::other("the attempt has stopped"))?),
        };
        let taken = part.fill(bytes);
        self.object_hash.update(&bytes[..taken]);
        self.offset += taken as u64;
        self.object_written += taken as u64;
        if self.object_written == self.object_bytes {
            self.end_object()?;
        } else if self.part.as_ref().is_some_and(Part::is_full)
            && let Some(part) = self.part.take()
        {
            self.tell(UploadMessage::Part(part.freeze()))?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Uploads a stream's parts until the stream ends, and returns its objects. A failure aborts the attempt.
pub async fn upload(mut uploader: Uploader, to: Destination) -> Result<Vec<LaneObject>> {
    let stopped = to.stop.token();
    let result = tokio::select! {
        biased;
        () = stopped.cancelled() => Err(to.stop.stopped(Stage::Upload)),
        result = objects(&mut uploader, &to) => result,
    };
    if let Err(failure) = result {
        // Dropping the receiver returns its buffers to the pool.
        drop(uploader);
        to.stop.stop(failure);
        return Err(to.stop.stopped(Stage::Upload));
    }
    result
}

/// An upload that was begun recently and no longer exists was aborted by another run or the bucket.
fn failed(error: StoreError) -> Failure {
    let gone = matches!(error, StoreError::NotFound { .. });
    let failure = Failure::store(Stage::Upload, error);
    if !gone {
        return failure;
    }
    let told = "an upload of this attempt was removed: another run abandoned the attempt, or a rule of the bucket aborts \
                uploads too early; check `backup list` and the bucket's lifecycle rules";
    Failure { exit: Exit::Busy, ..failure.context(told) }
}

async fn objects(uploader: &mut Uploader, to: &Destination) -> Result<Vec<LaneObject>> {
    let mut objects = Vec::new();
    let mut open: Option<Open> = None;
    let (mut parts, mut bytes) = (0, 0);
    while let Some(told) = uploader.told.recv().await {
        let key = to.layout.lane_object(&to.id, uploader.number, objects.len() as u32);
        let (part, end) = match told {
            UploadMessage::Part(part) => (Some(part), None),
            UploadMessage::End { last, sha256 } => (last, Some(sha256)),
        };
        bytes += part.as_ref().map_or(0, |part| part.len() as u64);
        match (part, &mut open) {
            (Some(part), None) if end.is_some() => {
                let sent = part.len() as u64;
                to.bandwidth.pass(sent).await;
                to.store.put_own(&key, part).await.map_err(failed)?;
                to.progress.sent(sent);
            }
            (Some(part), upload) => {
                let open = match upload {
                    Some(open) => open,
                    none => none.insert(Open { upload: to.store.begin_upload(&key).await.map_err(failed)?, ..Open::default() }),
                };
                parts += 1;
                let (number, upload, to) = (parts, open.upload.clone(), to.clone());
                open.sending.spawn(async move {
                    let sent = part.len() as u64;
                    to.bandwidth.pass(sent).await;
                    let uploaded = to.store.upload_part(&upload, number, part).await;
                    to.progress.sent(sent);
                    uploaded
                });
                // Detects a failed part with the next part, not only at the object's end.
                while let Some(sent) = open.sending.try_join_next() {
                    open.keep(sent)?;
                }
            }
            (None, _) => {}
        }
        if let Some(sha256) = end {
            if let Some(mut open) = open.take() {
                while let Some(sent) = open.sending.join_next().await {
                    open.keep(sent)?;
                }
                to.store.complete_upload(&open.upload, open.sent, bytes).await.map_err(failed)?;
            }
            objects.push(LaneObject { key, bytes: std::mem::take(&mut bytes), sha256 });
            parts = 0;
        }
    }
    Ok(objects)
}

/// An object that is being uploaded in parts.
#[derive(Default)]
struct Open {
    upload: Upload,
    sending: JoinSet<Result<UploadedPart, StoreError>>,
    sent: Vec<UploadedPart>,
}

impl Open {
    fn keep(&mut self, sent: Result<Result<UploadedPart, StoreError>, JoinError>) -> Result<()> {
        let sent = sent.map_err(|error| Failure::new(Stage::Upload, Exit::Failed, error))?;
        self.sent.push(sent.map_err(failed)?);
        Ok(())
    }
}

//! This module fetches the stored bytes of a piece from the objects of its stream. It resumes a broken transfer.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::ReadError;
use crate::{
    manifest::{Manifest, Piece},
    store::{Store, StoreError},
};

/// Stored buffers queued between the network and the decoder; each has the size of one read (tens of kilobytes).
pub(super) const BUFFERS_WAITING: usize = 32;
/// Retries of one range after its transfer broke, in addition to the store's own retries of a request.
const BROKEN_TRANSFERS: u32 = 5;

/// A byte range of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FetchRange {
    key: String,
    offset: u64,
    bytes: u64,
}

/// Location of a piece, for messages.
pub(super) fn place(manifest: &Manifest, piece: &Piece) -> String {
    let object = object_at(manifest, piece.lane, piece.offset).map_or("no object", |(key, _)| key);
    format!("{object} (stream {}, byte {}, {} bytes)", piece.lane, piece.offset, piece.bytes)
}

/// Sends the piece's stored bytes. Ends early if the receiver is dropped.
pub(super) async fn run(store: Store, manifest: Arc<Manifest>, piece: Piece, sender: mpsc::Sender<Result<Bytes, ReadError>>) {
    let sent = async {
        for stretch in stretches(&manifest, &piece)? {
            fetch(&store, stretch, &sender).await?;
        }
        Ok(())
    };
    if let Err(fault) = sent.await {
        let _ = sender.send(Err(fault)).await;
    }
}

async fn fetch(store: &Store, mut stretch: FetchRange, sender: &mpsc::Sender<Result<Bytes, ReadError>>) -> Result<(), ReadError> {
    let mut broken = 0;
    while stretch.bytes > 0 {
        let mut body =
            store.get_range(&stretch.key, stretch.offset, stretch.bytes).await.map_err(|error| shortened(&stretch, error))?;
        let why = loop {
            match body.next().await {
                Some(Ok(bytes)) => {
                    let length = bytes.len() as u64;
                    if length > stretch.bytes {
                        return Err(ReadError::damaged(&stretch.key, "the store sent more than was requested"));
                    }
                    (stretch.offset, stretch.bytes) = (stretch.offset + length, stretch.bytes - length);
                    store.count_received(length);
                    if length > 0 && sender.send(Ok(bytes)).await.is_err() {
                        return Ok(());
                    }
                }
                Some(Err(error)) => break error.to_string(),
                None => break "the transfer ended early".to_owned(),
            }
            if stretch.bytes == 0 {
                return Ok(());
            }
        };
        broken += 1;
        if broken > BROKEN_TRANSFERS {
            let reason = format!("{}: {why}", stretch.key);
            return Err(StoreError::Unavailable { operation: "get", reason }.into());
        }
        tracing::warn!(object = stretch.key, offset = stretch.offset, reason = why, "transfer interrupted; resuming");
    }
    Ok(())
}

/// The store rejects a range beyond the end: the object is shorter than it was.
fn shortened(stretch: &FetchRange, error: StoreError) -> ReadError {
    match error {
        StoreError::Refused { code, .. } if code == "InvalidRange" => {
            ReadError::damaged(&stretch.key, format!("it ends before byte {}", stretch.offset))
        }
        other => other.into(),
    }
}

fn stretches(manifest: &Manifest, piece: &Piece) -> Result<Vec<FetchRange>, ReadError> {
    let (mut offset, end) = (piece.offset, piece.offset.saturating_add(piece.bytes));
    let mut stretches = Vec::new();
    while offset < end {
        let (key, within) = object_at(manifest, piece.lane, offset).ok_or_else(|| {
            ReadError::damaged(&format!("stream {}", piece.lane), format!("no object contains its byte {offset}"))
        })?;
        let bytes = (end - offset).min(manifest.object_bytes - within);
        stretches.push(FetchRange { key: key.to_owned(), offset: within, bytes });
        offset += bytes;
    }
    Ok(stretches)
}

/// The object that contains a byte of a stream, and the offset in it.
fn object_at(manifest: &Manifest, lane: u32, offset: u64) -> Option<(&str, u64)> {
    let number = usize::try_from(offset.checked_div(manifest.object_bytes)?).ok()?;
    let object = manifest.lanes.get(&lane)?.get(number)?;
    let within = offset % manifest.object_bytes;
    (within < object.bytes).then_some((object.key.as_str(), within))
}

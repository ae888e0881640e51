//! This module hashes, decrypts and decompresses stored bytes. It runs on a separate thread, since it only computes.

use std::io::{self, BufReader, Read};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::{Identities, ReadError};
use crate::manifest::Piece;

/// Size of a decoded buffer, large enough that handing it over costs little compared with its bytes.
const BUFFER_BYTES: usize = 256 << 10;
/// A chunk of age's stream with its tag, and room for the header.
const AGE_BUFFER_BYTES: usize = 64 << 10;

/// Decodes a blob that is in memory and whose hash is verified.
pub(super) fn whole(place: &str, key: Option<&Identities>, stored: &[u8], raw_bytes: u64) -> Result<Vec<u8>, ReadError> {
    let mut raw = Vec::new();
    let wrong = |error: io::Error| ReadError::damaged(place, error.to_string());
    let mut decoder = opened(place, key, stored)?;
    // One byte more than allowed: stops a blob that decompresses to more than the manifest's size.
    decoder.by_ref().take(raw_bytes + 1).read_to_end(&mut raw).map_err(wrong)?;
    if raw.len() as u64 != raw_bytes {
        return Err(ReadError::damaged(place, format!("it does not decompress to the {raw_bytes} bytes of the manifest")));
    }
    Ok(raw)
}

/// Decodes a piece as it arrives. Sends an empty buffer last if the piece is correct, or an error.
pub(super) fn stream(
    place: &str,
    key: Option<&Identities>,
    stored: mpsc::Receiver<Result<Bytes, ReadError>>,
    piece: &Piece,
    sender: &mpsc::Sender<Result<Bytes, ReadError>>,
) {
    let mut stored = Stored { receiver: stored, current: Bytes::new(), hash: Sha256::new(), bytes: 0, fault: None };
    let result = decode(place, key, &mut stored, piece, sender);
    // An error of the transfer explains the decoder's error.
    let result = match (stored.fault.take(), result) {
        (Some(fault), _) => Err(fault),
        (None, result) => result,
    };
    let _ = sender.blocking_send(result.map(|()| Bytes::new()));
}

fn decode(
    place: &str,
    key: Option<&Identities>,
    stored: &mut Stored,
    piece: &Piece,
    sender: &mpsc::Sender<Result<Bytes, ReadError>>,
) -> Result<(), ReadError> {
    let mut raw_bytes = 0;
    {
        let mut decoder = opened(place, key, &mut *stored)?;
        loop {
            let mut buffer = Vec::with_capacity(BUFFER_BYTES);
            let read = decoder.by_ref().take(BUFFER_BYTES as u64).read_to_end(&mut buffer);
            let read = read.map_err(|error| ReadError::damaged(place, error.to_string()))?;
            raw_bytes += read as u64;
            if raw_bytes > piece.raw_bytes {
                return Err(ReadError::damaged(place, format!("it decompresses to more than {} bytes", piece.raw_bytes)));
            }
            if read == 0 {
                break;
            }
            if sender.blocking_send(Ok(buffer.into())).is_err() {
                return Ok(());
            }
        }
    }
    // The hash includes all bytes after the frame.
    io::copy(stored, &mut io::sink()).map_err(|error| ReadError::damaged(place, error.to_string()))?;
    if raw_bytes != piece.raw_bytes || stored.bytes != piece.bytes {
        return Err(ReadError::damaged(place, format!("it has {raw_bytes} bytes, but {} were written", piece.raw_bytes)));
    }
    if hex::encode(std::mem::take(&mut stored.hash).finalize()) != piece.sha256 {
        return Err(ReadError::damaged(place, "its SHA-256 differs from the manifest"));
    }
    Ok(())
}

fn opened<'a>(place: &str, key: Option<&Identities>, stored: impl Read + 'a) -> Result<Box<dyn Read + 'a>, ReadError> {
    let damaged = |error: io::Error| ReadError::damaged(place, error.to_string());
    let Some(identities) = key else {
        return Ok(Box::new(zstd::Decoder::new(stored).map_err(damaged)?.single_frame()));
    };
    let decryptor = age::Decryptor::new_buffered(BufReader::with_capacity(AGE_BUFFER_BYTES, stored));
    let decryptor = decryptor.map_err(|error| ReadError::damaged(place, error.to_string()))?;
    let plain = decryptor.decrypt(identities.iter()).map_err(|error| match error {
        age::DecryptError::NoMatchingKeys => ReadError::WrongKey { place: place.to_owned() },
        other => ReadError::damaged(place, other.to_string()),
    })?;
    Ok(Box::new(zstd::Decoder::new(plain).map_err(damaged)?.single_frame()))
}

/// A reader that hashes the bytes from the network.
struct Stored {
    receiver: mpsc::Receiver<Result<Bytes, ReadError>>,
    current: Bytes,
    hash: Sha256,
    bytes: u64,
    fault: Option<ReadError>,
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(Ok(bytes)) => {
                    self.hash.update(&bytes);
                    self.bytes += bytes.len() as u64;
                    self.current = bytes;
                }
                Some(Err(fault)) => {
                    let told = io::Error::other(fault.to_string());
                    self.fault = Some(fault);
                    return Err(told);
                }
            }
        }
        let length = buffer.len().min(self.current.len());
        buffer[..length].copy_from_slice(&self.current.split_to(length));
        Ok(length)
    }
}

//! This module reads the stored objects of a backup: it fetches, hashes, decrypts and decompresses them in bounded memory.
//!
//! It must not interpret the bytes, or report success before the hash is verified. A piece's hash comes last, so a caller that
//! streams its bytes elsewhere must not commit before the end.

mod decode;
mod fetch;

use std::{str::FromStr, sync::Arc};

use bytes::Bytes;
use service_kit::config::Secret;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::{
    manifest::{Blob, Manifest, Piece},
    store::{Store, StoreError},
};

/// Decoded buffers queued between the decoder and the consumer.
const BUFFERS_WAITING: usize = 4;
/// Maximum size of a blob: the table of contents of some million relations.
const LARGEST_BLOB_BYTES: u64 = 2 << 30;

/// Reason why a stored object was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The object differs from the signed manifest.
    #[error("{place} is damaged: {what}; restore another backup, and find out what changed the object")]
    Damaged { place: String, what: String },
    #[error(
        "the backup is encrypted and no private key is configured; set BACKUP_IDENTITIES to a private key of one of its recipients"
    )]
    NoKey,
    #[error(
        "none of the configured private keys decrypts {place}: the backup is encrypted for other recipients, which `backup show` lists"
    )]
    WrongKey { place: String },
    #[error("BACKUP_IDENTITIES contains a line that is not an age private key; each begins with AGE-SECRET-KEY-1")]
    NoIdentity,
}

impl ReadError {
    fn damaged(place: &str, what: impl Into<String>) -> Self {
        Self::Damaged { place: place.to_owned(), what: what.into() }
    }
}

/// Private keys; empty if backups are not encrypted.
#[derive(Clone, Default)]
pub struct Identities(Arc<Vec<age::x25519::Identity>>);

impl Identities {
    /// Reads one key a line. Empty lines and lines that begin with `#` are ignored, as in the files of age-keygen.
    ///
    /// # Errors
    /// Returns an error if a line is not a private key.
    pub fn parse(text: Option<&Secret>) -> Result<Self, ReadError> {
        let lines = text.map(Secret::expose).unwrap_or_default().lines().map(str::trim);
        let keys = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys: Result<Vec<_>, _> = keys.map(age::x25519::Identity::from_str).collect();
        Ok(Self(Arc::new(keys.map_err(|_| ReadError::NoIdentity)?)))
    }

    fn iter(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.0.iter().map(|identity| identity as &dyn age::Identity)
    }
}

/// Reads the objects of one backup. Clones are cheap.
#[derive(Clone)]
pub struct BackupReader {
    store: Store,
    identities: Identities,
    manifest: Arc<Manifest>,
}

impl BackupReader {
    /// The signature of `manifest` is already verified.
    ///
    /// # Errors
    /// Returns an error if the backup is encrypted and there is no private key.
    pub fn new(store: Store, identities: Identities, manifest: Manifest) -> Result<Self, ReadError> {
        if manifest.encryption.is_some() && identities.0.is_empty() {
            return Err(ReadError::NoKey);
        }
        Ok(Self { store, identities, manifest: Arc::new(manifest) })
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// A whole blob, decoded.
    ///
    /// # Errors
    /// Returns an error if it does not exist, differs from the manifest, or cannot be decrypted with these keys.
    pub async fn blob(&self, blob: &Blob) -> Result<Vec<u8>, ReadError> {
        if blob.bytes.max(blob.raw_bytes) > LARGEST_BLOB_BYTES {
            return Err(ReadError::damaged(&blob.key, "it is larger than any table of contents"));
        }
        let stored = self.store.get(&blob.key, usize::try_from(blob.bytes).unwrap_or(usize::MAX)).await?;
        check_hash(&blob.key, &stored, blob.bytes, &blob.sha256)?;
        decode::whole(&blob.key, self.encrypted_for(), &stored, blob.raw_bytes)
    }

    /// The bytes of a piece as they arrive. Ends after the hash is verified, or with an error.
    pub fn piece(&self, piece: &Piece) -> PieceBytes {
        let (sender, receiver) = mpsc::channel(BUFFERS_WAITING);
        let (stored_sender, stored) = mpsc::channel(fetch::BUFFERS_WAITING);
        let place = fetch::place(&self.manifest, piece);
        tokio::spawn(fetch::run(self.store.clone(), Arc::clone(&self.manifest), piece.clone(), stored_sender));
        let (identities, piece) = (self.encrypted_for().cloned(), piece.clone());
        tokio::task::spawn_blocking(move || decode::stream(&place, identities.as_ref(), stored, &piece, &sender));
        PieceBytes(receiver)
    }

    fn encrypted_for(&self) -> Option<&Identities> {
        self.manifest.encryption.as_ref().map(|_| &self.identities)
    }
}

/// The decoded bytes of a piece, one buffer at a time.
#[derive(Debug)]
pub struct PieceBytes(mpsc::Receiver<Result<Bytes, ReadError>>);

impl PieceBytes {
    /// Returns `None` at the end, after the hash is verified.
    ///
    /// # Errors
    /// Returns an error if the piece could not be read completely. The caller must then not use the earlier bytes.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        match self.0.recv().await {
            None => Err(ReadError::damaged("a piece", "its decoder ended without a result")),
            Some(Ok(bytes)) if bytes.is_empty() => Ok(None),
            Some(result) => result.map(Some),
        }
    }
}

fn check_hash(place: &str, stored: &[u8], bytes: u64, sha256: &str) -> Result<(), ReadError> {
    if stored.len() as u64 != bytes {
        return Err(ReadError::damaged(place, format!("it has {} bytes, but {bytes} in the manifest", stored.len())));
    }
    if hex::encode(Sha256::digest(stored)) != sha256 {
        return Err(ReadError::damaged(place, "its SHA-256 differs from the manifest"));
    }
    Ok(())
}

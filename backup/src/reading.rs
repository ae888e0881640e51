//! Reading what a backup stored: fetched, hashed, decrypted, decompressed, in that order, in bounded memory.
//! Never: what the bytes mean, or a byte believed before its hash was right: a piece's last word is its hash, and who
//! streams it elsewhere must not finish before that word.

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

/// Decoded buffers that wait between the decoder and who takes them.
const BUFFERS_WAITING: usize = 4;
/// Largest blob that is read: the table of contents of some million relations.
const LARGEST_BLOB_BYTES: u64 = 2 << 30;

/// Why a stored thing was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadFault {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The object is not what the signed manifest says.
    #[error("{place} is damaged: {what}; restore another backup, and find out who or what changed the object")]
    Damaged { place: String, what: String },
    #[error("the backup is encrypted and no private key was given; set BACKUP_IDENTITIES to a key of one of its recipients")]
    NoKey,
    #[error(
        "none of the given private keys reads {place}: the backup was encrypted for others; `backup show` names its recipients"
    )]
    WrongKey { place: String },
    #[error("BACKUP_IDENTITIES holds a line that is no age private key; each begins with AGE-SECRET-KEY-1")]
    NoIdentity,
}

impl ReadFault {
    fn damaged(place: &str, what: impl Into<String>) -> Self {
        Self::Damaged { place: place.to_owned(), what: what.into() }
    }
}

/// Private keys, none when backups are not encrypted.
#[derive(Clone, Default)]
pub struct Identities(Arc<Vec<age::x25519::Identity>>);

impl Identities {
    /// One a line; empty lines and lines that begin with `#` do not count, as in the files of age-keygen.
    ///
    /// # Errors
    /// When a line is no private key.
    pub fn parse(text: Option<&Secret>) -> Result<Self, ReadFault> {
        let lines = text.map(Secret::expose).unwrap_or_default().lines().map(str::trim);
        let keys = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys: Result<Vec<_>, _> = keys.map(age::x25519::Identity::from_str).collect();
        Ok(Self(Arc::new(keys.map_err(|_| ReadFault::NoIdentity)?)))
    }

    fn iter(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.0.iter().map(|identity| identity as &dyn age::Identity)
    }
}

/// One backup's objects, readable. Clones are cheap.
#[derive(Clone)]
pub struct BackupReader {
    store: Store,
    identities: Identities,
    manifest: Arc<Manifest>,
}

impl BackupReader {
    /// `manifest` was opened with its signature.
    ///
    /// # Errors
    /// When it is encrypted and there is no private key.
    pub fn new(store: Store, identities: Identities, manifest: Manifest) -> Result<Self, ReadFault> {
        if manifest.encryption.is_some() && identities.0.is_empty() {
            return Err(ReadFault::NoKey);
        }
        Ok(Self { store, identities, manifest: Arc::new(manifest) })
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// A whole blob, decoded.
    ///
    /// # Errors
    /// When it is not there, not what the manifest says, or not readable with these keys.
    pub async fn blob(&self, blob: &Blob) -> Result<Vec<u8>, ReadFault> {
        if blob.bytes.max(blob.raw_bytes) > LARGEST_BLOB_BYTES {
            return Err(ReadFault::damaged(&blob.key, "it is larger than any table of contents"));
        }
        let stored = self.store.get(&blob.key, usize::try_from(blob.bytes).unwrap_or(usize::MAX)).await?;
        check_hash(&blob.key, &stored, blob.bytes, &blob.sha256)?;
        decode::whole(&blob.key, self.encrypted_for(), &stored, blob.raw_bytes)
    }

    /// The bytes of a piece as they arrive. Ends after the hash was checked, or with a fault.
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

/// The decoded bytes of a piece, buffer by buffer.
#[derive(Debug)]
pub struct PieceBytes(mpsc::Receiver<Result<Bytes, ReadFault>>);

impl PieceBytes {
    /// `None` at the end, after which the hash was right.
    ///
    /// # Errors
    /// When the piece could not be read to its end; what came before must not be used.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ReadFault> {
        match self.0.recv().await {
            None => Err(ReadFault::damaged("a piece", "its decoder ended without a word")),
            Some(Ok(bytes)) if bytes.is_empty() => Ok(None),
            Some(result) => result.map(Some),
        }
    }
}

fn check_hash(place: &str, stored: &[u8], bytes: u64, sha256: &str) -> Result<(), ReadFault> {
    if stored.len() as u64 != bytes {
        return Err(ReadFault::damaged(place, format!("it has {} bytes, the manifest says {bytes}", stored.len())));
    }
    if hex::encode(Sha256::digest(stored)) != sha256 {
        return Err(ReadFault::damaged(place, "its SHA-256 is not the manifest's"));
    }
    Ok(())
}

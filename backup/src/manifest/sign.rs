//! This module signs records: a JSON line and the Ed25519 signature over it (RFC 8032).
//!
//! age does not authenticate the writer, so anyone with write access to the bucket could put a backup there. The signature proves
//! that the holder of the signing key wrote the record. The signed bytes begin with `CONTEXT` and the record's kind, so that a
//! record of one kind cannot pass as another kind.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey, pkcs8::DecodePrivateKey};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const CONTEXT: &str = "postgresql backup record";
const SEED_BYTES: usize = 32;
/// Records are small. A larger object at a record's key is not a record.
pub const LARGEST_RECORD_BYTES: usize = 64 << 20;

/// Kind of a record. It is part of the signed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedKind {
    Start,
    Outcome,
    Verification,
}

impl SignedKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Outcome => "outcome",
            Self::Verification => "verification",
        }
    }
}

/// Reason why a record is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("it is not two lines of JSON: {0}")]
    Malformed(String),
    #[error("it has format {found}, but this program reads up to {known}; use a newer release")]
    Newer { found: u64, known: u32 },
    #[error("it is signed by key {0}, which is not trusted (BACKUP_TRUSTED_KEYS)")]
    UnknownKey(String),
    #[error("its signature is wrong: the record was changed or replaced")]
    Forged,
}

#[derive(Debug, Serialize, Deserialize)]
struct SignatureLine {
    algorithm: String,
    /// First 16 hexadecimal digits of the SHA-256 of the public key.
    key: String,
    signature: String,
}

/// The signing key. Wiped from memory when dropped.
#[derive(Clone)]
pub struct Signing(SigningKey);

/// The trusted public keys.
#[derive(Debug, Clone, Default)]
pub struct Trusted(Vec<VerifyingKey>);

impl Signing {
    /// A PKCS#8 PEM block (`openssl genpkey -algorithm ed25519`), or the 32-byte seed in Base64.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.starts_with("-----BEGIN") {
            return SigningKey::from_pkcs8_pem(text).ok().map(Self);
        }
        let seed = Zeroizing::new(BASE64.decode(text).ok()?);
        let seed: Zeroizing<[u8; SEED_BYTES]> = Zeroizing::new(seed.as_slice().try_into().ok()?);
        Some(Self(SigningKey::from_bytes(&seed)))
    }

    /// The public key in Base64, for `BACKUP_TRUSTED_KEYS` on other machines.
    pub fn public_key(&self) -> String {
        BASE64.encode(self.0.verifying_key().as_bytes())
    }

    /// The bytes of a signed record.
    ///
    /// # Errors
    /// Returns an error if the record cannot be written as JSON. The records of [`super`] always can.
    pub fn seal<Record: Serialize>(&self, kind: SignedKind, record: &Record) -> serde_json::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec(record)?;
        let line = SignatureLine {
            algorithm: "ed25519".into(),
            key: fingerprint(&self.0.verifying_key()),
            signature: BASE64.encode(self.0.sign(&signed_bytes(kind, &bytes)).to_bytes()),
        };
        bytes.push(b'\n');
        serde_json::to_writer(&mut bytes, &line)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Signing({})", fingerprint(&self.0.verifying_key()))
    }
}

impl Trusted {
    /// Adds a public key: Base64 of its 32 bytes, or a PEM block (`openssl pkey -pubout`). Returns `false` for any other text.
    #[must_use]
    pub fn add(&mut self, text: &str) -> bool {
        use ed25519_dalek::pkcs8::DecodePublicKey;
        let text = text.trim();
        let key = if text.starts_with("-----BEGIN") {
            VerifyingKey::from_public_key_pem(text).ok()
        } else {
            let bytes = BASE64.decode(text).ok();
            bytes.and_then(|bytes| VerifyingKey::try_from(bytes.as_slice()).ok())
        };
        key.is_some_and(|key| {
            if !self.0.contains(&key) {
                self.0.push(key);
            }
            true
        })
    }

    /// Trusts the public key of `signing`.
    pub fn add_own(&mut self, signing: &Signing) {
        let key = signing.0.verifying_key();
        if !self.0.contains(&key) {
            self.0.push(key);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads a record and verifies its writer. The signature is verified before the record is parsed.
    ///
    /// # Errors
    /// Returns an error if it is not a record of this kind, signed by a trusted key.
    pub fn open<Record: DeserializeOwned>(&self, kind: SignedKind, bytes: &[u8]) -> Result<Record, RecordError> {
        let malformed = |what: &str| RecordError::Malformed(what.to_owned());
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(|| malformed("the first line does not end"))?;
        let (record, rest) = (&bytes[..end], &bytes[end + 1..]);
        let line: SignatureLine = serde_json::from_slice(rest).map_err(|error| malformed(&format!("second line: {error}")))?;
        let signature = BASE64.decode(&line.signature).ok().and_then(|bytes| Signature::from_slice(&bytes).ok());
        let signature = signature.ok_or_else(|| malformed("the signature is not 64 bytes in Base64"))?;
        let key = self.0.iter().find(|key| fingerprint(key) == line.key);
        let key = key.ok_or_else(|| RecordError::UnknownKey(line.key.clone()))?;
        key.verify_strict(&signed_bytes(kind, record), &signature).map_err(|_| RecordError::Forged)?;
        let json: serde_json::Value = serde_json::from_slice(record).map_err(|error| malformed(&error.to_string()))?;
        let format = json.get("format").and_then(serde_json::Value::as_u64).unwrap_or(0);
        if format > u64::from(super::FORMAT) {
            return Err(RecordError::Newer { found: format, known: super::FORMAT });
        }
        serde_json::from_value(json).map_err(|error| malformed(&error.to_string()))
    }
}

fn fingerprint(key: &VerifyingKey) -> String {
    const BYTES: usize = 8;
    hex::encode(&Sha256::digest(key.as_bytes())[..BYTES])
}

fn signed_bytes(kind: SignedKind, record: &[u8]) -> Vec<u8> {
    [CONTEXT.as_bytes(), b"\0", kind.name().as_bytes(), b"\0", record].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{layout::BackupId, manifest::Abandoned};

    fn signing(seed: u8) -> Signing {
        Signing::parse(&BASE64.encode([seed; SEED_BYTES])).unwrap()
    }

    fn record() -> Abandoned {
        let at = "2026-01-31T23:59:59Z".parse().unwrap();
        let id = BackupId::new(at, 7);
        Abandoned { format: super::super::FORMAT, id, sequence: Some(7), at, reason: "the store went away".into() }
    }

    #[test]
    fn a_reader_that_trusts_the_writer_reads_the_record() {
        let mut trusted = Trusted::default();
        assert!(trusted.add(&signing(1).public_key()) && !trusted.add("x"));
        let bytes = signing(1).seal(SignedKind::Outcome, &record()).unwrap();
        assert_eq!(trusted.open(SignedKind::Outcome, &bytes), Ok(record()));
    }

    #[test]
    fn a_changed_record_is_rejected() {
        let mut trusted = Trusted::default();
        trusted.add_own(&signing(1));
        let bytes = signing(1).seal(SignedKind::Outcome, &record()).unwrap();
        let open = |kind, bytes: &[u8]| trusted.open::<Abandoned>(kind, bytes).unwrap_err();
        assert_eq!(open(SignedKind::Start, &bytes), RecordError::Forged, "a record of another kind");
        let changed = String::from_utf8(bytes.clone()).unwrap().replacen("went", "came", 1);
        assert_eq!(open(SignedKind::Outcome, changed.as_bytes()), RecordError::Forged, "a changed record");
        let other = signing(2).seal(SignedKind::Outcome, &record()).unwrap();
        assert!(matches!(open(SignedKind::Outcome, &other), RecordError::UnknownKey(_)), "a stranger's record");
        for cut in 0..bytes.len() - 2 {
            assert!(matches!(open(SignedKind::Outcome, &bytes[..cut]), RecordError::Malformed(_)), "cut at {cut}");
        }
        let newer = signing(1).seal(SignedKind::Outcome, &Abandoned { format: 9, ..record() }).unwrap();
        assert_eq!(open(SignedKind::Outcome, &newer), RecordError::Newer { found: 9, known: super::super::FORMAT });
    }

    #[test]
    fn keys_are_read_from_what_openssl_writes() {
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
        let signing = Signing::parse(pem).unwrap();
        assert_eq!(signing.public_key(), "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
        assert!(Signing::parse("").is_none() && Signing::parse("AAAA").is_none());
    }
}

//! This module checks a signature with one key, in constant time. It must not know what the signature covers.

use crate::api_key::KeyFault;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use service_kit::config::Secret;
use sha2::Sha256;
use subtle::ConstantTimeEq;

const ED25519_SIGNATURE_LENGTH: usize = 64;
const HMAC_LENGTH: usize = 32;

/// Checks the signatures of one key.
pub enum Verifier {
    /// The state after hashing the key: a request clones it instead of hashing the key again.
    Hmac(Box<Hmac<Sha256>>),
    Ed25519(Box<VerifyingKey>),
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Hmac(_) => "Hmac(hidden)",
            Self::Ed25519(_) => "Ed25519",
        })
    }
}

impl Verifier {
    pub fn hmac(secret: &Secret) -> Self {
        #[expect(clippy::expect_used, reason = "RFC 2104 takes a key of any length")]
        let mac = Hmac::new_from_slice(secret.expose().as_bytes()).expect("any length");
        Self::Hmac(Box::new(mac))
    }

    /// # Errors
    /// Returns an error if the bytes are not a point of the curve.
    pub fn ed25519(public_key: &[u8; 32]) -> Result<Self, KeyFault> {
        VerifyingKey::from_bytes(public_key).map(|key| Self::Ed25519(Box::new(key))).map_err(|_| KeyFault::PublicKey)
    }

    pub const fn is_ed25519(&self) -> bool {
        matches!(self, Self::Ed25519(_))
    }

    /// Whether `signature` (as decoded from its parameter) signs the concatenation of `payload`.
    pub fn verify(&self, payload: &[&[u8]], signature: &str) -> bool {
        match self {
            Self::Hmac(keyed) => {
                let mut given = [0; HMAC_LENGTH];
                if hex::decode_to_slice(signature, &mut given).is_err() {
                    return false;
                }
                let mut mac = (**keyed).clone();
                payload.iter().for_each(|part| mac.update(part));
                mac.finalize().into_bytes().as_slice().ct_eq(&given).into()
            }
            Self::Ed25519(key) => {
                // A base64 `+` without an escape arrives as a blank.
                let given =
                    if signature.contains(' ') { BASE64.decode(signature.replace(' ', "+")) } else { BASE64.decode(signature) };
                let Ok(given) = given else { return false };
                let Ok(given) = <[u8; ED25519_SIGNATURE_LENGTH]>::try_from(given) else { return false };
                key.verify_strict(&payload.concat(), &Signature::from_bytes(&given)).is_ok()
            }
        }
    }
}

//! This module defines an API key: its kinds and permissions, how to create one, and how to encrypt an HMAC secret at rest. It
//! must not use SQL or HTTP.
//!
//! A signature check needs the HMAC secret itself, so the secret is stored encrypted (ChaCha20-Poly1305, RFC 8439). The
//! encryption key comes from the configuration; the ciphertext is bound to the id of its API key. Of an Ed25519 key the exchange
//! receives only the public half.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::DecodePublicKey;
use hmac::{Hmac, Mac};
use rand::RngExt;
use rand::distr::Alphanumeric;
use service_kit::config::{Secret, SecretBytes};
use sha2::{Digest, Sha256};

/// Letters and digits of an API key and of an HMAC secret: 64, as at Binance.
pub const KEY_LENGTH: usize = 64;
const NONCE_LENGTH: usize = 12;
/// Hexadecimal digits with which a stored secret names its encryption key.
const ENCRYPTION_KEY_ID_LENGTH: usize = 16;

/// Permissions of a key. A key without any permission is harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions {
    pub read: bool,
    pub trade: bool,
    pub withdraw: bool,
}

/// Why a key cannot be created or used. The text must not contain the secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyFault {
    #[error(
        "its secret was encrypted with key {0}, which is not configured: set EXCHANGE_KEY_ENCRYPTION_KEY_PREVIOUS to that key"
    )]
    UnknownEncryptionKey(String),
    #[error("its stored secret cannot be decrypted: the row was altered or moved; revoke the key and create a new one")]
    Altered,
    #[error("the public key is not an Ed25519 key: pass its PEM (`openssl pkey -pubout`) or 32 bytes in hexadecimal")]
    PublicKey,
    #[error("its row contains neither a secret nor a public key")]
    Incomplete,
}

/// A new API key's id.
pub fn new_id() -> String {
    random_text()
}

/// A new HMAC secret: shown to its owner once, then stored only in encrypted form.
pub fn new_secret() -> Secret {
    random_text().into()
}

fn random_text() -> String {
    rand::rng().sample_iter(Alphanumeric).take(KEY_LENGTH).map(char::from).collect()
}

/// Parses an Ed25519 public key: PEM (SubjectPublicKeyInfo) or 32 bytes in hexadecimal.
pub fn public_key(text: &str) -> Result<[u8; 32], KeyFault> {
    let key = match VerifyingKey::from_public_key_pem(text.trim()) {
        Ok(key) => key,
        Err(_) => {
            let mut bytes = [0; 32];
            hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| KeyFault::PublicKey)?;
            VerifyingKey::from_bytes(&bytes).map_err(|_| KeyFault::PublicKey)?
        }
    };
    if key.is_weak() { Err(KeyFault::PublicKey) } else { Ok(key.to_bytes()) }
}

/// Encrypts secrets with one encryption key. Also decrypts with earlier keys, so that the key can be rotated.
#[derive(Clone)]
pub struct Vault {
    /// The first one encrypts.
    keys: Vec<(String, ChaCha20Poly1305)>,
    /// For listen keys, by encryption key.
    listen_secrets: Vec<[u8; 32]>,
}

/// A secret in its stored, encrypted form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecret {
    pub encryption_key: String,
    /// Nonce, ciphertext, tag.
    pub bytes: Vec<u8>,
}

impl Vault {
    pub fn new(current: &SecretBytes<32>, previous: &[SecretBytes<32>]) -> Self {
        let all = || std::iter::once(current).chain(previous);
        Self {
            keys: all().map(|key| (encryption_key_id(key), ChaCha20Poly1305::new(key.expose().into()))).collect(),
            listen_secrets: all()
                .map(|key| Sha256::new_with_prefix(b"listen key secret").chain_update(key.expose()).finalize().into())
                .collect(),
        }
    }

    /// The authentication codes of a listen key's statement: of the current encryption key first, then of earlier ones.
    pub fn listen_key_macs(&self, stated: &[u8]) -> impl Iterator<Item = [u8; 32]> {
        self.listen_secrets.iter().filter_map(move |secret| {
            let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(secret).ok()?;
            mac.update(stated);
            Some(mac.finalize().into_bytes().into())
        })
    }

    /// # Errors
    ///
    /// Encryption does not fail for a secret of ordinary size.
    pub fn seal(&self, api_key: &str, secret: &Secret) -> Result<SealedSecret, KeyFault> {
        self.seal_bytes(api_key, secret.expose().as_bytes())
    }

    /// # Errors
    ///
    /// Returns an error if the encryption key is not configured, or if the bytes were not encrypted for this API key.
    pub fn open(&self, api_key: &str, sealed: &SealedSecret) -> Result<Secret, KeyFault> {
        String::from_utf8(self.open_bytes(api_key, sealed)?).map(Secret::from).map_err(|_| KeyFault::Altered)
    }

    /// Encrypts bytes that only [`Self::open_bytes`] with the same `name` decrypts.
    ///
    /// # Errors
    ///
    /// As [`Self::seal`].
    pub fn seal_bytes(&self, name: &str, bytes: &[u8]) -> Result<SealedSecret, KeyFault> {
        let (id, cipher) = self.keys.first().ok_or(KeyFault::Altered)?;
        let nonce: [u8; NONCE_LENGTH] = rand::rng().random();
        let payload = Payload { msg: bytes, aad: name.as_bytes() };
        let ciphertext = cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| KeyFault::Altered)?;
        Ok(SealedSecret { encryption_key: id.clone(), bytes: [nonce.as_slice(), &ciphertext].concat() })
    }

    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_bytes(&self, name: &str, sealed: &SealedSecret) -> Result<Vec<u8>, KeyFault> {
        let (_, cipher) = self
            .keys
            .iter()
            .find(|(id, _)| *id == sealed.encryption_key)
            .ok_or_else(|| KeyFault::UnknownEncryptionKey(sealed.encryption_key.clone()))?;
        let (nonce, ciphertext) = sealed.bytes.split_first_chunk::<NONCE_LENGTH>().ok_or(KeyFault::Altered)?;
        let payload = Payload { msg: ciphertext, aad: name.as_bytes() };
        cipher.decrypt(&Nonce::from(*nonce), payload).map_err(|_| KeyFault::Altered)
    }
}

/// A one-way fingerprint of the encryption key: it identifies the key without revealing it.
fn encryption_key_id(key: &SecretBytes<32>) -> String {
    let digest = Sha256::new_with_prefix(b"api key encryption key").chain_update(key.expose()).finalize();
    hex::encode(digest)[..ENCRYPTION_KEY_ID_LENGTH].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_only_for_its_own_key_and_survives_rotation() {
        let (old, new) = (SecretBytes::from([7; 32]), SecretBytes::from([8; 32]));
        let sealed = Vault::new(&old, &[]).seal("id", &"secret".to_owned().into()).unwrap();
        assert!(!sealed.bytes.windows(6).any(|window| window == b"secret"));
        let rotated = Vault::new(&new, &[old]);
        assert_eq!(rotated.open("id", &sealed).unwrap().expose(), "secret");
        assert!(matches!(rotated.open("another", &sealed), Err(KeyFault::Altered)), "moved to another row");
        assert!(matches!(Vault::new(&new, &[]).open("id", &sealed), Err(KeyFault::UnknownEncryptionKey(_))));
        let mut altered = sealed;
        *altered.bytes.last_mut().unwrap() ^= 1;
        assert!(matches!(rotated.open("id", &altered), Err(KeyFault::Altered)));
    }

    #[test]
    fn public_keys_are_read_from_pem_and_hexadecimal() {
        // RFC 8410, section 10.1.
        let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        let hexadecimal = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
        assert_eq!(public_key(pem).unwrap(), public_key(hexadecimal).unwrap());
        for wrong in ["", "19bf", &"00".repeat(32), "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"] {
            assert!(public_key(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn new_keys_are_64_letters_and_digits() {
        let (one, other) = (new_id(), new_secret());
        assert!(one.len() == KEY_LENGTH && one.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert!(other.expose() != one && other.expose().len() == KEY_LENGTH);
    }
}

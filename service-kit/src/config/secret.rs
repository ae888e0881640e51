//! This module holds values that must never be printed. They are wiped from memory when dropped and compared in
//! constant time.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const HIDDEN: &str = "(hidden)";

/// A secret text.
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The value itself: for the place that uses it, never for a log line or an error.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares `candidate` with this secret in constant time, so that the time does not show how much of it matches.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(candidate).into()
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(Zeroizing::new(value))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(HIDDEN)
    }
}

/// A secret key of `N` bytes.
#[derive(Clone)]
pub struct SecretBytes<const N: usize>(Zeroizing<[u8; N]>);

impl<const N: usize> SecretBytes<N> {
    /// The key itself: for the cipher that uses it.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    pub(super) fn from_hex(text: &Secret) -> Option<Self> {
        let mut bytes = Self::default();
        hex::decode_to_slice(text.expose(), bytes.0.as_mut_slice()).ok()?;
        Some(bytes)
    }
}

impl<const N: usize> From<[u8; N]> for SecretBytes<N> {
    fn from(bytes: [u8; N]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl<const N: usize> Default for SecretBytes<N> {
    fn default() -> Self {
        Self(Zeroizing::new([0; N]))
    }
}

impl<const N: usize> fmt::Debug for SecretBytes<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(HIDDEN)
    }
}

//! This module computes the identity of a history: a SHA-256 chain over the batches of a journal.
//!
//! - Readers derive it from the rows, so that a leader of any release can write them.
//! - Two journals have the same chain at a sequence only if every batch up to there is the same. Sequences and epochs do not
//!   identify a history: a database that lost its tail claims the same epoch at the same sequence again.

use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};

/// The chain after some batch.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chain([u8; Self::BYTES]);

impl Chain {
    pub const BYTES: usize = 32;
    /// Before the first batch of every journal.
    pub const GENESIS: Self = Self([0; Self::BYTES]);

    /// The chain after the next batch: SHA-256 of this chain, first and last sequence, epoch (i64, little-endian) and payload.
    #[must_use]
    pub fn next(&self, first_sequence: i64, last_sequence: i64, epoch: i64, payload: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        for number in [first_sequence, last_sequence, epoch] {
            hash.update(number.to_le_bytes());
        }
        hash.update(payload);
        Self(hash.finalize().into())
    }

    pub const fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Chain {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; Self::BYTES];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_every_batch_changes_the_chain() {
        let chain = Chain::GENESIS.next(1, 3, 7, b"abc");
        for other in [
            Chain::GENESIS.next(2, 3, 7, b"abc"),
            Chain::GENESIS.next(1, 4, 7, b"abc"),
            Chain::GENESIS.next(1, 3, 8, b"abc"),
            Chain::GENESIS.next(1, 3, 7, b"abd"),
            Chain::GENESIS,
        ] {
            assert_ne!(chain, other);
            // An identical later batch does not make the histories equal again.
            assert_ne!(chain.next(4, 9, 7, b"same"), other.next(4, 9, 7, b"same"));
        }
        assert_eq!(chain, Chain::GENESIS.next(1, 3, 7, b"abc"));
        assert_eq!(chain.to_string().parse(), Ok(chain));
    }
}

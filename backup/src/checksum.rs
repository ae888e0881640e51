//! This module computes a checksum of a set of rows that does not depend on their order. A restored table returns its rows in
//! another order, and a parallel dump reads them in any order.
//!
//! The checksum is the sum of the XXH3 hashes (128 bits) of all rows, modulo 2¹²⁸. It detects loss, repetition and damage, but
//! not malice; SHA-256 and the signature protect against that. A row is one line of COPY text, including the line feed, under the
//! settings that [`crate::session`] sets.

use twox_hash::XxHash3_128;

/// The rows seen so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowChecksum {
    pub rows: u64,
    sum: u128,
}

impl RowChecksum {
    #[inline]
    pub fn add(&mut self, row: &[u8]) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(XxHash3_128::oneshot(row));
    }

    /// Adds a row by its hash.
    pub fn add_hash(&mut self, hash: u128) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(hash);
    }

    pub fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        self.sum = self.sum.wrapping_add(other.sum);
    }

    /// Parses the result of [`Self::text`]; `None` if `text` is not such a result.
    pub fn parse(rows: u64, text: &str) -> Option<Self> {
        Some(Self { rows, sum: u128::from_str_radix(text, 16).ok()? })
    }

    /// 32 hexadecimal digits; 0 for no rows.
    pub fn text(&self) -> String {
        format!("{:032x}", self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[&str]) -> RowChecksum {
        let mut checksum = RowChecksum::default();
        rows.iter().for_each(|row| checksum.add(row.as_bytes()));
        checksum
    }

    #[test]
    fn the_checksum_ignores_only_the_order() {
        let whole = of(&["1\ta\n", "2\tb\n", "2\tb\n"]);
        assert_eq!(whole, of(&["2\tb\n", "1\ta\n", "2\tb\n"]));
        for other in [&["1\ta\n", "2\tb\n"][..], &["1\ta\n", "1\ta\n", "2\tb\n"], &["1\tb\n", "2\ta\n", "2\tb\n"]] {
            assert_ne!(whole.text(), of(other).text(), "{other:?}");
        }
        let mut merged = of(&["2\tb\n"]);
        merged.merge(of(&["2\tb\n", "1\ta\n"]));
        assert_eq!(merged, whole);
        assert_eq!(RowChecksum::default().text(), "0".repeat(32));
        assert_eq!(RowChecksum::parse(whole.rows, &whole.text()), Some(whole));
    }
}

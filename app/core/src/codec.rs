//! This module encodes the journal and snapshots: LEB128 variable-length integers and length-prefixed text. It must not interpret
//! the values.

use crate::money::Amount;
use std::fmt;

/// Invalid bytes; `at` counts from the start of the buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    pub at: usize,
    pub expected: &'static str,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: expected {}", self.at, self.expected)
    }
}

impl std::error::Error for DecodeError {}

/// Destination of a [`ByteEncoder`].
pub trait Sink {
    /// The first `length` (at most 8) bytes of `word`.
    fn word(&mut self, word: [u8; 8], length: usize);
    fn bytes(&mut self, bytes: &[u8]);
}

impl Sink for &mut Vec<u8> {
    #[inline]
    fn word(&mut self, word: [u8; 8], length: usize) {
        self.extend_from_slice(&word[..length]);
    }

    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Bytes of an event of bounded size, assembled in place: no growth check between two fields.
pub struct Fixed {
    bytes: [u8; Self::ROOM],
    length: usize,
}

impl Fixed {
    /// The largest is an order placed: 17 integers and a client order id, at most 136 bytes. The writer stores whole words.
    const ROOM: usize = 160;

    pub const fn new() -> Self {
        Self { bytes: [0; Self::ROOM], length: 0 }
    }

    pub fn written(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Sink for &mut Fixed {
    #[inline]
    fn word(&mut self, word: [u8; 8], length: usize) {
        self.bytes[self.length..self.length + 8].copy_from_slice(&word);
        self.length += length;
    }

    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }
}

/// Appends values to a sink.
pub struct ByteEncoder<S>(pub S);

impl<S: Sink> ByteEncoder<S> {
    #[inline]
    pub fn u8(&mut self, value: u8) {
        self.0.word([value, 0, 0, 0, 0, 0, 0, 0], 1);
    }

    #[inline]
    pub fn bool(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    /// Unsigned LEB128 without a branch per byte: lengths are random, and a failed branch prediction costs more than the work.
    #[inline]
    pub fn u64(&mut self, value: u64) {
        if value >> 56 != 0 {
            return self.long(value.into());
        }
        let length = (70 - (value | 1).leading_zeros()) / 7;
        let mut spread = (value & 0x0fff_ffff) | (value & 0x00ff_ffff_f000_0000) << 4;
        spread = (spread & 0x0000_3fff_0000_3fff) | (spread & 0x0fff_c000_0fff_c000) << 2;
        spread = (spread & 0x007f_007f_007f_007f) | (spread & 0x3f80_3f80_3f80_3f80) << 1;
        let more = 0x8080_8080_8080_8080 & ((1 << (8 * (length - 1))) - 1);
        self.0.word((spread | more).to_le_bytes(), length as usize);
    }

    /// As [`Self::u64`], for values that are nearly always below 128: here the prediction succeeds.
    #[inline]
    pub fn small(&mut self, value: u64) {
        if value < 0x80 { self.u8(value as u8) } else { self.u64(value) }
    }

    #[cold]
    fn long(&mut self, mut value: u128) {
        while value >= 0x80 {
            self.u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.u8(value as u8);
    }

    /// Zigzag, then LEB128: small magnitudes of either sign are short.
    #[inline]
    pub fn i64(&mut self, value: i64) {
        self.u64(((value << 1) ^ (value >> 63)) as u64);
    }

    /// As [`Self::i64`] for values that nearly always fit.
    #[inline]
    pub fn amount(&mut self, value: Amount) {
        match i64::try_from(value) {
            Ok(value) => self.i64(value),
            Err(_) => self.long(((value << 1) ^ (value >> 127)) as u128),
        }
    }

    /// As [`Self::i64`], for fields that most orders do not have.
    #[inline]
    pub fn i64_mostly_zero(&mut self, value: i64) {
        if value == 0 { self.u8(0) } else { self.i64(value) }
    }

    /// As [`Self::amount`], for fields that most orders do not have.
    #[inline]
    pub fn amount_mostly_zero(&mut self, value: Amount) {
        if value == 0 { self.u8(0) } else { self.amount(value) }
    }

    pub fn u128(&mut self, value: u128) {
        self.0.bytes(&value.to_le_bytes());
    }

    #[inline]
    pub fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    /// Text that is known to be ASCII, in the format of [`Self::text`].
    #[inline]
    pub fn bytes(&mut self, value: &[u8]) {
        self.u64(value.len() as u64);
        self.0.bytes(value);
    }
}

/// Reads the output of [`ByteEncoder`]; every read checks its bounds.
pub struct ByteDecoder<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> ByteDecoder<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub const fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub const fn error(&self, expected: &'static str) -> DecodeError {
        DecodeError { at: self.at, expected }
    }

    #[inline]
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        let byte = *self.bytes.get(self.at).ok_or(self.error("one more byte"))?;
        self.at += 1;
        Ok(byte)
    }

    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.error("a boolean, 0 or 1")),
        }
    }

    #[inline]
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.error("an integer of at most 64 bits"))
    }

    #[inline]
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        let zigzag = self.u64()?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        u32::try_from(self.u64()?).map_err(|_| self.error("an integer of at most 32 bits"))
    }

    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        u16::try_from(self.u64()?).map_err(|_| self.error("an integer of at most 16 bits"))
    }

    #[inline]
    pub fn amount(&mut self) -> Result<Amount, DecodeError> {
        let mut zigzag = 0u128;
        for shift in (0..128).step_by(7) {
            let byte = self.u8()?;
            let bits = u128::from(byte & 0x7f);
            if shift == 126 && bits > 3 {
                break;
            }
            zigzag |= bits << shift;
            if byte < 0x80 {
                return Ok((zigzag >> 1) as Amount ^ -((zigzag & 1) as Amount));
            }
        }
        Err(self.error("an integer of at most 128 bits"))
    }

    pub fn u128(&mut self) -> Result<u128, DecodeError> {
        let bytes = self.take(16)?;
        Ok(u128::from_le_bytes(bytes.try_into().map_err(|_| self.error("16 bytes"))?))
    }

    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        let length = usize::try_from(self.u64()?).map_err(|_| self.error("a length"))?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.error("UTF-8 text"))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len()).ok_or(self.error("more bytes"))?;
        let bytes = &self.bytes[self.at..end];
        self.at = end;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_written_is_read(a: u64, b: i64, c: i128, d: u128, e: bool, f in ".{0,40}") {
            let mut bytes = Vec::new();
            let mut w = ByteEncoder(&mut bytes);
            w.u64(a); w.i64(b); w.amount(c); w.u128(d); w.bool(e); w.text(&f);
            let mut r = ByteDecoder::new(&bytes);
            prop_assert_eq!((r.u64(), r.i64(), r.amount(), r.u128(), r.bool(), r.text()), (Ok(a), Ok(b), Ok(c), Ok(d), Ok(e), Ok(f.as_str())));
            prop_assert!(r.is_empty());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let mut r = ByteDecoder::new(&bytes);
            while !r.is_empty() {
                if r.text().is_err() || r.amount().is_err() || r.u64().is_err() { break; }
            }
        }
    }
}

//! This module converts [`Amount`]s to PostgreSQL's `numeric` and back, exactly, in the binary format. It must not handle
//! fractions.
//!
//! The format (`numeric_send` in PostgreSQL's numeric.c): count of digits, weight of the first, sign, display scale, each two
//! bytes, then the digits in base 10,000.

use exchange_core::money::Amount;
use sqlx::{
    Decode, Encode, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef, types::Oid},
};

/// An amount in a `numeric` column, in units of 10⁻⁸.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numeric(pub Amount);

const BASE: u128 = 10_000;
/// An i128 has at most 39 decimal digits.
const DIGITS_MAX: usize = 10;
const NEGATIVE: u16 = 0x4000;
/// OIDs of `numeric` and `numeric[]` in pg_type, which never change.
const OID: Oid = Oid(1700);
const ARRAY_OID: Oid = Oid(1231);

impl Numeric {
    /// Appends the value without its length.
    pub fn write(self, out: &mut Vec<u8>) {
        let mut digits = [0u16; DIGITS_MAX];
        let (mut rest, mut first) = (self.0.unsigned_abs(), DIGITS_MAX);
        while rest > 0 {
            first -= 1;
            // The high half is nearly always zero, and 64-bit division is several times cheaper.
            let digit = match u64::try_from(rest) {
                Ok(small) => {
                    rest = u128::from(small / BASE as u64);
                    small % BASE as u64
                }
                Err(_) => {
                    let digit = rest % BASE;
                    rest /= BASE;
                    digit as u64
                }
            };
            digits[first] = digit as u16;
        }
        let weight = (DIGITS_MAX - first).saturating_sub(1);
        // The weight implies trailing zeros; the server would strip them anyway.
        let digits = &digits[first..];
        let digits = &digits[..digits.iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1)];
        let sign = if self.0 < 0 { NEGATIVE } else { 0 };
        for word in [digits.len() as u16, weight as u16, sign, 0].iter().chain(digits) {
            out.extend_from_slice(&word.to_be_bytes());
        }
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut words = bytes.chunks_exact(2).map(|word| u16::from_be_bytes([word[0], word[1]]));
        let (count, weight, sign, _scale) = (usize::from(words.next()?), words.next()? as i16, words.next()?, words.next()?);
        let mut magnitude = 0u128;
        for _ in 0..count {
            magnitude = magnitude.checked_mul(BASE)?.checked_add(u128::from(words.next()?))?;
        }
        if count == 0 {
            return Some(Self(0));
        }
        // Digits below the point would be a fraction, and no column here has one.
        let implied = usize::try_from(weight).ok()?.checked_sub(count - 1)?;
        for _ in 0..implied {
            magnitude = magnitude.checked_mul(BASE)?;
        }
        let magnitude = Amount::try_from(magnitude).ok()?;
        match sign {
            0 => Some(Self(magnitude)),
            NEGATIVE => Some(Self(-magnitude)),
            _ => None,
        }
    }
}

impl Type<Postgres> for Numeric {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(OID)
    }
}

impl PgHasArrayType for Numeric {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(ARRAY_OID)
    }
}

impl Encode<'_, Postgres> for Numeric {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        self.write(buffer);
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for Numeric {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        match value.format() {
            PgValueFormat::Binary => {
                Self::read(value.as_bytes()?).ok_or_else(|| "a numeric that is not a 128-bit integer".into())
            }
            PgValueFormat::Text => Ok(Self(value.as_str()?.parse()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bytes_are_postgresqls() {
        let rows: [(Amount, &[u16]); 6] = [
            (0, &[0, 0, 0, 0]),
            (7, &[1, 0, 0, 0, 7]),
            (10_000, &[1, 1, 0, 0, 1]),
            (-1_0002_0000, &[2, 2, NEGATIVE, 0, 1, 2]),
            (9999_0001, &[2, 1, 0, 0, 9999, 1]),
            (1_0000_0000_0000_0000_0000, &[1, 5, 0, 0, 1]),
        ];
        for (amount, words) in rows {
            let mut bytes = Vec::new();
            Numeric(amount).write(&mut bytes);
            let expected: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            assert_eq!(bytes, expected, "{amount}");
        }
    }

    #[test]
    fn a_fraction_is_refused() {
        let half: Vec<u8> = [1u16, 0xffff, 0, 1, 5000].iter().flat_map(|word| word.to_be_bytes()).collect();
        assert_eq!(Numeric::read(&half), None);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(amount in -Amount::MAX..=Amount::MAX) {
            let mut bytes = Vec::new();
            Numeric(amount).write(&mut bytes);
            prop_assert_eq!(Numeric::read(&bytes), Some(Numeric(amount)));
        }
    }
}

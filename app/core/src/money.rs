//! This module represents money as integers: the fixed-point units and their text form. It must not contain a float or an
//! undocumented rounding rule.
//!
//! A [`Price`] is quote units per base unit, a [`Quantity`] is base units, an [`Amount`] is units of any one asset. Each is an
//! integer count of 10⁻⁸. Tick and lot are filters of a market and not part of the unit, so changing a filter never changes the
//! meaning of an old number.

/// Units in one: 10⁸.
pub const SCALE: i64 = 100_000_000;
/// Decimal places of every number of this API.
pub const DECIMALS: usize = 8;

/// Quote units per base unit, in 10⁻⁸. Zero stands for "none" (a MARKET order's price).
pub type Price = i64;
/// Units of the base asset, in 10⁻⁸.
pub type Quantity = i64;
/// Units of one asset, in 10⁻⁸. Wider than a price or a quantity, so that sums over a whole asset cannot overflow.
pub type Amount = i128;
/// A fraction in 10⁻⁸: 0.001 (ten basis points) is 100_000.
pub type Rate = i64;
/// Microseconds since the Unix epoch, UTC: journal time.
pub type Time = i64;

/// The cost of `quantity` at `price`, rounded down to 10⁻⁸.
///
/// The product of a market's tick and lot must be a whole number of 10⁻⁸ (see [`crate::market::Filters::check`]), so an order
/// that passed the filters is never rounded.
#[inline]
pub fn notional(price: Price, quantity: Quantity) -> Amount {
    unscale(Amount::from(price) * Amount::from(quantity))
}

/// `product` / 10⁸. 10⁸ is 2⁸ × 390,625. Shifting out eight bits first lets nearly every product be divided in 64 bits by a
/// constant (rounding down twice equals rounding down once). A division of 128 bits is ten times slower.
#[inline]
fn unscale(product: Amount) -> Amount {
    const { assert!(SCALE == 390_625 << 8) };
    match u64::try_from(product >> 8) {
        Ok(small) => Amount::from(small / 390_625),
        Err(_) => product / Amount::from(SCALE),
    }
}

/// `amount × rate`, rounded down: a fee never exceeds its rate.
#[inline]
pub fn commission(amount: Amount, rate: Rate) -> Amount {
    if rate == 0 {
        return 0;
    }
    unscale(amount * Amount::from(rate))
}

/// The largest multiple of `step` that is at most `value`. A step of zero allows any value.
#[inline]
pub fn floor_to(value: i64, step: i64) -> i64 {
    if step <= 0 { value } else { value - value % step }
}

/// Why a text is not a valid number of this API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseError {
    /// Empty, or with a sign, an exponent, or a character other than digits and one point.
    Malformed,
    /// More than eight decimal places, apart from trailing zeros.
    Precision,
    /// Above the integer's range.
    Overflow,
}

/// Parses a plain decimal (`12`, `0.5`, `.5`, `1.`) into units of 10⁻⁸.
pub fn parse(text: &str) -> Result<i64, ParseError> {
    i64::try_from(parse_amount(text)?).map_err(|_| ParseError::Overflow)
}

/// As [`parse`], into the wide [`Amount`].
pub fn parse_amount(text: &str) -> Result<Amount, ParseError> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() && fraction.is_empty() {
        return Err(ParseError::Malformed);
    }
    let mut value: Amount = 0;
    for byte in whole.bytes() {
        value = push_digit(value, byte)?;
    }
    for place in 0..DECIMALS {
        value = push_digit(value, fraction.as_bytes().get(place).copied().unwrap_or(b'0'))?;
    }
    for byte in fraction.bytes().skip(DECIMALS) {
        match byte {
            b'0' => {}
            b'1'..=b'9' => return Err(ParseError::Precision),
            _ => return Err(ParseError::Malformed),
        }
    }
    Ok(value)
}

fn push_digit(value: Amount, byte: u8) -> Result<Amount, ParseError> {
    if !byte.is_ascii_digit() {
        return Err(ParseError::Malformed);
    }
    value.checked_mul(10).and_then(|v| v.checked_add(Amount::from(byte - b'0'))).ok_or(ParseError::Overflow)
}

/// A number in the API's format: always eight decimal places (`0.00100000`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal(pub Amount);

impl Decimal {
    /// Writes the text into `buffer` and returns it; no allocation.
    pub fn write(self, buffer: &mut [u8; 48]) -> &str {
        let negative = self.0 < 0;
        let mut rest = self.0.unsigned_abs();
        let mut at = buffer.len();
        let mut place = 0;
        while place <= DECIMALS || rest > 0 {
            if place == DECIMALS {
                at -= 1;
                buffer[at] = b'.';
            }
            // The high half is nearly always zero, and 64-bit division is several times cheaper.
            let digit = match u64::try_from(rest) {
                Ok(small) => {
                    rest = u128::from(small / 10);
                    (small % 10) as u8
                }
                Err(_) => {
                    let digit = (rest % 10) as u8;
                    rest /= 10;
                    digit
                }
            };
            at -= 1;
            buffer[at] = b'0' + digit;
            place += 1;
        }
        if negative {
            at -= 1;
            buffer[at] = b'-';
        }
        std::str::from_utf8(&buffer[at..]).unwrap_or_default()
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.write(&mut [0; 48]))
    }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        Self(Amount::from(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_to_units_and_back() {
        let rows: [(&str, Result<i64, ParseError>); 14] = [
            ("1", Ok(SCALE)),
            ("0.00000001", Ok(1)),
            (".5", Ok(SCALE / 2)),
            ("1.", Ok(SCALE)),
            ("0.100000000000", Ok(SCALE / 10)),
            ("0.000000001", Err(ParseError::Precision)),
            ("", Err(ParseError::Malformed)),
            (".", Err(ParseError::Malformed)),
            ("-1", Err(ParseError::Malformed)),
            ("+1", Err(ParseError::Malformed)),
            ("1e3", Err(ParseError::Malformed)),
            ("1.2.3", Err(ParseError::Malformed)),
            ("92233720368.54775807", Ok(i64::MAX)),
            ("92233720368.54775808", Err(ParseError::Overflow)),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(text), expected, "{text}");
        }
        assert_eq!(Decimal(-5).to_string(), "-0.00000005");
        assert_eq!(Decimal::from(i64::MAX).to_string(), "92233720368.54775807");
        assert_eq!(Decimal(i128::from(u64::MAX) * 1000).to_string(), "184467440737095.51615000");
    }

    #[test]
    fn products_round_down() {
        assert_eq!(notional(3, 50_000_000), 1);
        for product in
            [0, 1, 255, 256, 99_999_999, 100_000_000, 100_000_001, (1 << 72) - 1, 1 << 72, -1, -99_999_999, -100_000_001]
        {
            assert_eq!(unscale(product), product / Amount::from(SCALE), "{product}");
        }
        assert_eq!(notional(i64::MAX, i64::MAX), Amount::from(i64::MAX) * Amount::from(i64::MAX) / Amount::from(SCALE));
        assert_eq!(commission(999, 100_000), 0);
        assert_eq!(commission(1_000, 100_000), 1);
        assert_eq!(floor_to(17, 5), 15);
    }
}

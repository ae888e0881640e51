//! This module reads the parameters of a request: query string and body as `application/x-www-form-urlencoded`. Reading is a
//! single hand-written pass and copies only values that contain an escape. It must not know the meaning of a parameter.
//!
//! A parameter in both query and body counts once, with the query's value. Ranges and texts are those of Binance.

use super::error::ApiError;
use exchange_core::money::{self, Amount, ParseError, Time};
use exchange_core::order::ClientId;
use smallvec::SmallVec;
use std::borrow::Cow;

/// More than any endpoint has; a longer list is rejected before it is read.
const COUNT_MAX: usize = 64;
const INLINE: usize = 16;
/// From here on a time is in microseconds: in milliseconds it would be in the year 33658.
const MICROSECONDS_FROM: i64 = 1_000_000_000_000_000;

const SYMBOL_RANGE: &str = "^[\\w\\-._&&[^a-z]]{1,50}$";
const SYMBOL_LENGTH_MAX: usize = 50;
const SYMBOLS_RANGE: &str = "^\\[(\"[\\w\\-._&&[^a-z]]{1,50}\"(,\"[\\w\\-._&&[^a-z]]{1,50}\"){0,}){0,1}\\]$";
const DECIMAL_RANGE: &str = "^([0-9]{1,20})(\\.[0-9]{1,20})?$";
const WINDOW_RANGE: &str = "^([0-9]{1,20})(\\.[0-9]{1,3})?$";
const INTEGER_RANGE: &str = "^[0-9]{1,20}$";
const DIGITS_MAX: usize = 20;
const CLIENT_ID_RANGE: &str = "^[a-zA-Z0-9-_]{1,36}$";
const BOOLEAN_RANGE: &str = "^(true|false)$";

/// The parameters of a request.
#[derive(Debug, Default)]
pub struct Parameters<'a> {
    entries: SmallVec<[(Cow<'a, str>, Cow<'a, str>); INLINE]>,
}

impl<'a> Parameters<'a> {
    /// Reads query and body.
    ///
    /// # Errors
    ///
    /// Returns -1100 for bytes that are not URL-encoded UTF-8, -1101 for a repeated name in one place or for too many names.
    pub fn read(query: &'a [u8], body: &'a [u8]) -> Result<Self, ApiError> {
        let mut parameters = Self::default();
        parameters.read_part(query, 0)?;
        let from_query = parameters.entries.len();
        parameters.read_part(body, from_query)?;
        Ok(parameters)
    }

    /// Names before `first_own` come from the query and take precedence.
    fn read_part(&mut self, part: &'a [u8], first_own: usize) -> Result<(), ApiError> {
        for pair in part.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let name = decode(&pair[..equals])?;
            let value = decode(pair.get(equals + 1..).unwrap_or_default())?;
            match self.entries.iter().position(|(known, _)| *known == name) {
                Some(at) if at >= first_own => return Err(ApiError::DUPLICATE),
                Some(_) => {}
                None if self.entries.len() == COUNT_MAX => return Err(ApiError::too_many(COUNT_MAX, COUNT_MAX + 1)),
                None => self.entries.push((name, value)),
            }
        }
        Ok(())
    }

    /// Adds a parameter of a request that is not URL-encoded.
    ///
    /// # Errors
    ///
    /// Returns -1101 for a repeated name or for too many names.
    pub fn add(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) -> Result<(), ApiError> {
        if self.has(&name) {
            return Err(ApiError::DUPLICATE);
        }
        if self.entries.len() == COUNT_MAX {
            return Err(ApiError::too_many(COUNT_MAX, COUNT_MAX + 1));
        }
        self.entries.push((name, value));
        Ok(())
    }

    /// Takes a parameter out.
    pub fn remove(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let index = self.entries.iter().position(|(known, _)| known == name)?;
        Some(self.entries.remove(index).1)
    }

    /// `name=value` of all parameters but one, by name, joined with `&`: the signed text of the WebSocket API.
    pub fn sorted_without(&self, omitted: &str) -> String {
        let mut pairs: SmallVec<[(&str, &str); INLINE]> =
            self.entries.iter().filter(|(name, _)| name != omitted).map(|(name, value)| (&**name, &**value)).collect();
        pairs.sort_unstable();
        let mut text = String::with_capacity(256);
        for (name, value) in pairs {
            if !text.is_empty() {
                text.push('&');
            }
            text.push_str(name);
            text.push('=');
            text.push_str(value);
        }
        text
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of sent names that are in `known`.
    pub fn count_known(&self, known: &[&str]) -> usize {
        self.entries.iter().filter(|(name, _)| known.contains(&name.as_ref())).count()
    }

    /// The value as sent, empty or not.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.entries.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_ref())
    }

    pub fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    pub fn has_prefix(&self, prefix: &str) -> bool {
        self.entries.iter().any(|(name, _)| name.starts_with(prefix))
    }

    /// # Errors
    ///
    /// Returns -1105 if it is present and empty.
    pub fn text(&self, name: &str) -> Result<Option<&str>, ApiError> {
        match self.raw(name) {
            Some("") => Err(ApiError::empty(name)),
            value => Ok(value),
        }
    }

    /// # Errors
    ///
    /// Returns -1102 if it is absent or empty.
    pub fn mandatory(&self, name: &str) -> Result<&str, ApiError> {
        self.raw(name).filter(|value| !value.is_empty()).ok_or_else(|| ApiError::mandatory(name))
    }

    /// # Errors
    ///
    /// Returns -1102 if it is absent, -1100 if it cannot be a symbol.
    pub fn symbol(&self) -> Result<&str, ApiError> {
        check_symbol("symbol", self.mandatory("symbol")?)
    }

    /// As [`Self::symbol`] for an endpoint that does not require one.
    pub fn symbol_if_sent(&self) -> Result<Option<&str>, ApiError> {
        self.text("symbol")?.map(|text| check_symbol("symbol", text)).transpose()
    }

    /// `symbols=["BTCUSDT","ETHUSDT"]`, without blanks.
    ///
    /// # Errors
    ///
    /// Returns -1100 for any other form.
    pub fn symbols(&self) -> Result<Option<Vec<&str>>, ApiError> {
        let Some(text) = self.text("symbols")? else { return Ok(None) };
        let illegal = || ApiError::illegal("symbols", SYMBOLS_RANGE);
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).ok_or_else(illegal)?;
        if inner.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let items: Option<Vec<&str>> =
            inner.split(',').map(|item| item.strip_prefix('"')?.strip_suffix('"').filter(|symbol| is_symbol(symbol))).collect();
        items.map(Some).ok_or_else(illegal)
    }

    /// A price or quantity in units of 10⁻⁸.
    ///
    /// # Errors
    ///
    /// Returns -1105 if empty, -1100 if not a plain decimal, -1111 for more than eight decimal places, -1108 if too large.
    pub fn decimal(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.amount(name)?.map(|amount| i64::try_from(amount).map_err(|_| ApiError::overflow(name))).transpose()
    }

    /// As [`Self::decimal`], with a wider range.
    pub fn amount(&self, name: &str) -> Result<Option<Amount>, ApiError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        if !is_digits(whole) || !is_digits(fraction) {
            return Err(ApiError::illegal(name, DECIMAL_RANGE));
        }
        match money::parse_amount(text) {
            Ok(amount) => Ok(Some(amount)),
            Err(ParseError::Precision) => Err(ApiError::precision(name)),
            Err(ParseError::Overflow) => Err(ApiError::overflow(name)),
            Err(ParseError::Malformed) => Err(ApiError::illegal(name, DECIMAL_RANGE)),
        }
    }

    /// A whole number, such as an order's id.
    ///
    /// # Errors
    ///
    /// Returns -1105 if empty, -1100 if not digits, -1108 if too large.
    pub fn integer(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        if !is_digits(text) {
            return Err(ApiError::illegal(name, INTEGER_RANGE));
        }
        text.parse().map(Some).map_err(|_| ApiError::overflow(name))
    }

    /// `limit`: `default` if not sent; a value above `max` counts as `max`.
    ///
    /// # Errors
    ///
    /// As [`Self::integer`]; -1130 for 0.
    pub fn limit(&self, default: usize, max: usize) -> Result<usize, ApiError> {
        match self.integer("limit")? {
            None => Ok(default),
            Some(0) => Err(ApiError::invalid("limit")),
            Some(limit) => Ok(usize::try_from(limit).unwrap_or(max).min(max)),
        }
    }

    /// A time in milliseconds or microseconds, as [`Time`].
    ///
    /// # Errors
    /// As [`Self::integer`].
    pub fn time(&self, name: &str) -> Result<Option<Time>, ApiError> {
        let Some(value) = self.integer(name)? else { return Ok(None) };
        let value = i64::try_from(value).map_err(|_| ApiError::overflow(name))?;
        Ok(Some(if value >= MICROSECONDS_FROM { value } else { value * 1000 }))
    }

    /// `recvWindow` in microseconds: milliseconds with at most three decimal places.
    ///
    /// # Errors
    ///
    /// Returns -1105 if empty, -1100 if malformed.
    pub fn window(&self, name: &str) -> Result<Option<Time>, ApiError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        if !is_digits(whole) || !is_digits(fraction) || fraction.len() > 3 {
            return Err(ApiError::illegal(name, WINDOW_RANGE));
        }
        let thousandths = match money::parse_amount(text) {
            Ok(amount) => amount / Amount::from(money::SCALE / 1000),
            Err(_) => return Err(ApiError::illegal(name, WINDOW_RANGE)),
        };
        Ok(Some(Time::try_from(thousandths).unwrap_or(Time::MAX)))
    }

    /// `true` or `false`, in any case.
    ///
    /// # Errors
    ///
    /// Returns -1105 if empty, -1100 for anything else.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.text(name)? {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(ApiError::illegal(name, BOOLEAN_RANGE)),
        }
    }

    /// A client order id chosen by the caller.
    ///
    /// # Errors
    ///
    /// Returns -1118 (`new…`), -1119 (`orig…`) or -1105 if empty, -1100 if too long or with other characters.
    pub fn client_id(&self, name: &str) -> Result<Option<ClientId>, ApiError> {
        let Some(text) = self.raw(name) else { return Ok(None) };
        if text.is_empty() {
            return Err(match name {
                "newClientOrderId" => ApiError::NEW_CLIENT_ID_EMPTY,
                "origClientOrderId" => ApiError::ORIGINAL_CLIENT_ID_EMPTY,
                _ => ApiError::empty(name),
            });
        }
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        text.bytes()
            .all(legal)
            .then(|| ClientId::new(text))
            .flatten()
            .map(Some)
            .ok_or_else(|| ApiError::illegal(name, CLIENT_ID_RANGE))
    }

    /// One of a closed set of values.
    ///
    /// # Errors
    ///
    /// Returns -1105 if empty, `fault` if it is not in the set.
    pub fn choice<T>(
        &self,
        name: &str,
        from_text: impl FnOnce(&str) -> Option<T>,
        fault: ApiError,
    ) -> Result<Option<T>, ApiError> {
        match self.text(name)? {
            None => Ok(None),
            Some(text) => from_text(text).map(Some).ok_or(fault),
        }
    }
}

fn is_digits(text: &str) -> bool {
    (1..=DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_symbol(text: &str) -> bool {
    let legal = |c: char| match c {
        '-' | '.' | '_' => true,
        'a'..='z' => false,
        c => c.is_alphanumeric(),
    };
    !text.is_empty() && text.chars().count() <= SYMBOL_LENGTH_MAX && text.chars().all(legal)
}

fn check_symbol<'s>(name: &str, text: &'s str) -> Result<&'s str, ApiError> {
    if is_symbol(text) { Ok(text) } else { Err(ApiError::illegal(name, SYMBOL_RANGE)) }
}

/// Decodes `%xx` and `+`. Borrows if there is neither. Bytes outside ASCII must be escaped.
fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, ApiError> {
    let mut escaped = false;
    for byte in bytes {
        match byte {
            b'%' | b'+' => escaped = true,
            0x20..=0x7e => {}
            _ => return Err(ApiError::ILLEGAL),
        }
    }
    if !escaped {
        return std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| ApiError::ILLEGAL);
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        rest = tail;
        decoded.push(match first {
            b'+' => b' ',
            b'%' => {
                let [high, low, tail @ ..] = rest else { return Err(ApiError::ILLEGAL) };
                rest = tail;
                let digit = |byte: &u8| char::from(*byte).to_digit(16).ok_or(ApiError::ILLEGAL);
                (digit(high)? * 16 + digit(low)?) as u8
            }
            byte => *byte,
        });
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| ApiError::ILLEGAL)
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

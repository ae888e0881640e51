//! This module authenticates a signed request and checks its permission. It must not know the endpoint's parameters.
//!
//! Order of checks:
//!
//! - The API key's form (-2014).
//! - `timestamp`, `recvWindow` and `signature` are present and well-formed (-1102, -1100, -1131).
//! - Timing (-1021).
//! - The key is known and may be used from the address (-2015).
//! - The signature (-1022).
//! - The permission (-2015).

use super::endpoint::Security;
use super::error::ApiError;
use super::keys::{Key, Keys};
use super::parameters::Parameters;
use crate::api_key::KEY_LENGTH;
use axum::http::HeaderMap;
use exchange_core::money::Time;
use exchange_core::order::AccountId;
use std::net::IpAddr;
use std::sync::Arc;

pub const API_KEY_HEADER: &str = "x-mbx-apikey";
/// Longest text that is looked up as a key.
const API_KEY_MAX: usize = 2 * KEY_LENGTH;
/// Limit by which a timestamp may be in the future.
const AHEAD_MAX: Time = 1_000_000;
const WINDOW_DEFAULT: Time = 5_000_000;
const WINDOW_MAX: Time = 60_000_000;

/// An authenticated request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed {
    pub account: AccountId,
    /// End of its recvWindow, raw clock.
    pub valid_until: Time,
}

/// A key, and the text that it should have signed, in parts.
pub struct SignatureProof<'a, 'p> {
    pub api_key: &'a str,
    pub payload: &'a [&'a [u8]],
    pub parameters: &'a Parameters<'p>,
    pub address: IpAddr,
    /// Raw clock.
    pub received: Time,
}

/// The input of a signature check.
pub struct SignedRequest<'a, 'p> {
    pub headers: &'a HeaderMap,
    pub query: &'a [u8],
    pub body: &'a [u8],
    pub parameters: &'a Parameters<'p>,
    pub address: IpAddr,
    /// Raw clock.
    pub received: Time,
}

/// # Errors
///
/// Returns the first failure in the order of the module's documentation.
pub fn authenticate(keys: &Keys, security: Security, request: &SignedRequest<'_, '_>) -> Result<Signed, ApiError> {
    let api_key = request.headers.get(API_KEY_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (query, body) = (without_signature(request.query), without_signature(request.body));
    let payload = &[query[0], query[1], body[0], body[1]];
    let proof =
        SignatureProof { api_key, payload, parameters: request.parameters, address: request.address, received: request.received };
    verify(keys, security, &proof).map(|(_, signed)| signed)
}

/// Checks a key and its signature.
///
/// # Errors
///
/// As [`authenticate`].
pub fn verify(keys: &Keys, security: Security, proof: &SignatureProof<'_, '_>) -> Result<(Arc<Key>, Signed), ApiError> {
    check_form(proof.api_key)?;
    let valid_until = check_time(proof.parameters, proof.received, true)?;
    let signature = proof.parameters.mandatory("signature")?;
    let key = known(keys, proof.api_key)?;
    if !key.allows(proof.address) {
        return Err(ApiError::KEY_REJECTED);
    }
    if !key.verifier.verify(proof.payload, signature) {
        return Err(ApiError::SIGNATURE);
    }
    if !permits(&key, security) {
        return Err(ApiError::KEY_REJECTED);
    }
    let account = key.account;
    Ok((key, Signed { account, valid_until }))
}

/// A request of a session whose key was verified earlier: the key must still be usable.
///
/// # Errors
///
/// Returns -2015 for a key that was revoked or may not be used for this, and the errors of the time.
pub fn in_session(
    keys: &Keys,
    security: Security,
    api_key: &str,
    address: IpAddr,
    parameters: &Parameters<'_>,
    received: Time,
) -> Result<Signed, ApiError> {
    let valid_until = check_time(parameters, received, false)?;
    let key = keys.get(api_key).filter(|key| key.allows(address) && permits(key, security)).ok_or(ApiError::KEY_REJECTED)?;
    Ok(Signed { account: key.account, valid_until })
}

/// The account of a key that is sent without a signature (USER_STREAM).
///
/// # Errors
///
/// Returns -2014 or -2015.
pub fn unsigned(keys: &Keys, api_key: &str, address: IpAddr) -> Result<Arc<Key>, ApiError> {
    check_form(api_key)?;
    let key = known(keys, api_key)?;
    if key.allows(address) && permits(&key, Security::UserStream) { Ok(key) } else { Err(ApiError::KEY_REJECTED) }
}

fn check_form(api_key: &str) -> Result<(), ApiError> {
    let well_formed = (1..=API_KEY_MAX).contains(&api_key.len()) && api_key.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if well_formed { Ok(()) } else { Err(ApiError::KEY_FORMAT) }
}

fn known(keys: &Keys, api_key: &str) -> Result<Arc<Key>, ApiError> {
    keys.get(api_key).ok_or_else(|| {
        if keys.is_loaded() { ApiError::KEY_REJECTED } else { ApiError::unavailable("the API keys are not loaded yet") }
    })
}

const fn permits(key: &Key, security: Security) -> bool {
    match security {
        Security::None => true,
        Security::UserData | Security::UserStream => key.permissions.read,
        Security::Trade => key.permissions.trade,
        Security::Withdraw => key.permissions.withdraw,
    }
}

/// Returns the end of the window.
fn check_time(parameters: &Parameters<'_>, received: Time, signed: bool) -> Result<Time, ApiError> {
    parameters.mandatory("timestamp")?;
    let timestamp = parameters.time("timestamp")?.ok_or_else(|| ApiError::mandatory("timestamp"))?;
    let window = parameters.window("recvWindow")?.unwrap_or(WINDOW_DEFAULT);
    if window > WINDOW_MAX {
        return Err(ApiError::WINDOW_TOO_LARGE);
    }
    if signed {
        parameters.mandatory("signature")?;
    }
    let valid_until = timestamp.saturating_add(window);
    if timestamp >= received + AHEAD_MAX {
        Err(ApiError::AHEAD)
    } else if received > valid_until {
        Err(ApiError::OUTSIDE_WINDOW)
    } else {
        Ok(valid_until)
    }
}

/// The bytes before and after the `signature` parameter: the signed text.
fn without_signature(part: &[u8]) -> [&[u8]; 2] {
    const NAME: &[u8] = b"signature=";
    let mut start = 0;
    loop {
        let end = part[start..].iter().position(|byte| *byte == b'&').map_or(part.len(), |length| start + length);
        if part[start..end].starts_with(NAME) {
            // Drops one `&` too: the one before the parameter, or the one after if it is the first parameter.
            return match start {
                0 => [b"", part.get(end + 1..).unwrap_or_default()],
                start => [&part[..start - 1], &part[end..]],
            };
        }
        if end == part.len() {
            return [part, b""];
        }
        start = end + 1;
    }
}

#[cfg(test)]
mod tests;

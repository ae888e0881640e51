//! This module serves listen keys, the older way to an account's events: `POST`, `PUT` and `DELETE /api/v3/userDataStream`, and the
//! stream `/ws/<listenKey>`. It must not send an event.
//!
//! - A listen key is a sealed statement of its API key and its time, so every server accepts it without a table.
//! - It is valid for 24 hours, with or without `PUT`, and ends with its API key.
//! - `DELETE` takes effect on the server that receives it.

use super::App;
use super::edge::raw_now;
use super::endpoint::{Call, EndpointResult, Reply};
use super::error::ApiError;
use super::keys::{Key, Keys, PRINT_LENGTH, Print, print};
use crate::api_key::Vault;
use exchange_core::money::Time;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Parameters of `PUT` and `DELETE`.
pub const PARAMETERS: &[&str] = &["listenKey"];

const SECOND: Time = 1_000_000;
/// Validity of a key.
pub const LIFE: Time = 24 * 60 * 60 * SECOND;
/// Closed keys that one server remembers. Beyond it, closing is refused until some expire.
const CLOSED_MAX: usize = 65_536;

const STATED_LENGTH: usize = PRINT_LENGTH + 4;
const LENGTH: usize = 32;

/// Listen keys that were closed, with their end.
#[derive(Debug, Default)]
pub struct Closed(Mutex<FxHashMap<Box<str>, Time>>);

/// A listen key in use.
#[derive(Debug, Clone)]
pub struct OpenListenKey {
    pub key: Arc<Key>,
    pub print: Print,
    /// End of its validity.
    pub until: Time,
}

/// `POST /api/v3/userDataStream`
pub async fn create(app: &App, call: &Call<'_>) -> EndpointResult {
    let api_key = call.api_key.as_deref().ok_or(ApiError::KEY_REJECTED)?;
    let text = seal(app.keys.vault(), api_key, call.received);
    Ok(Reply::written(96, |json| json.object(|json| json.key("listenKey").text(&text))))
}

/// `PUT /api/v3/userDataStream`
pub async fn extend(app: &App, call: &Call<'_>) -> EndpointResult {
    own(app, call)?;
    Ok(Reply::bytes(&b"{}"[..]))
}

/// `DELETE /api/v3/userDataStream`
pub async fn close(app: &App, call: &Call<'_>) -> EndpointResult {
    let (text, opened) = own(app, call)?;
    let mut closed = app.closed_listen_keys.0.lock();
    if closed.len() >= CLOSED_MAX {
        closed.retain(|_, until| *until > call.received);
    }
    if closed.len() >= CLOSED_MAX {
        return Err(ApiError { cause: Some("too many closed listen keys".into()), ..ApiError::BUSY });
    }
    closed.insert(text.into(), opened.until);
    Ok(Reply::bytes(&b"{}"[..]))
}

fn own<'c>(app: &App, call: &'c Call<'_>) -> Result<(&'c str, OpenListenKey), ApiError> {
    let text = call.parameters.mandatory("listenKey")?;
    let opened = open_listen_key(app, text).ok_or(ApiError::LISTEN_KEY)?;
    if call.api_key.as_deref().map(print) == Some(opened.print) { Ok((text, opened)) } else { Err(ApiError::LISTEN_KEY) }
}

/// Whether a stream's name has the form of a listen key.
pub fn is_listen_key(name: &str) -> bool {
    name.len() == 2 * LENGTH && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The API key that may be used by a listen key now.
pub fn open_listen_key(app: &App, text: &str) -> Option<OpenListenKey> {
    if app.closed_listen_keys.0.lock().contains_key(text) {
        return None;
    }
    unseal(&app.keys, text, raw_now())
}

fn seal(vault: &Vault, api_key: &str, now: Time) -> String {
    let mut bytes = [0; LENGTH];
    bytes[..PRINT_LENGTH].copy_from_slice(&print(api_key));
    let seconds = u32::try_from(now / SECOND).unwrap_or(u32::MAX);
    bytes[PRINT_LENGTH..STATED_LENGTH].copy_from_slice(&seconds.to_be_bytes());
    let (stated, mac) = bytes.split_at_mut(STATED_LENGTH);
    if let Some(full) = vault.listen_key_macs(stated).next() {
        mac.copy_from_slice(&full[..LENGTH - STATED_LENGTH]);
    }
    hex::encode(bytes)
}

fn unseal(keys: &Keys, text: &str, now: Time) -> Option<OpenListenKey> {
    let mut bytes = [0; LENGTH];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    let (stated, mac) = bytes.split_at(STATED_LENGTH);
    let genuine = keys.vault().listen_key_macs(stated).any(|full| bool::from(full[..LENGTH - STATED_LENGTH].ct_eq(mac)));
    if !genuine {
        return None;
    }
    let (print, seconds) = stated.split_first_chunk::<PRINT_LENGTH>()?;
    let until = Time::from(u32::from_be_bytes(seconds.try_into().ok()?)) * SECOND + LIFE;
    let key = keys.by_print(print).filter(|key| key.permissions.read)?;
    (now < until).then_some(OpenListenKey { key, print: *print, until })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_key::Permissions;
    use crate::http::verifier::Verifier;
    use service_kit::config::SecretBytes;

    #[test]
    fn a_listen_key_is_valid_for_a_day_and_cannot_be_forged() {
        let (old, new) = (SecretBytes::from([7; 32]), SecretBytes::from([8; 32]));
        let (api_key, begun) = ("abc", 1_700_000_000 * SECOND);
        let keys_of = |current: &SecretBytes<32>, previous: &[SecretBytes<32>]| {
            let keys = Keys::new(Vault::new(current, previous));
            let permissions = Permissions { read: true, ..Permissions::default() };
            keys.insert(api_key, Key::new(7, permissions, Verifier::hmac(&"secret".to_owned().into()), Vec::new()));
            keys
        };
        let keys = keys_of(&old, &[]);
        let text = seal(keys.vault(), api_key, begun);
        assert!(is_listen_key(&text), "{text}");
        let opened = unseal(&keys, &text, begun + LIFE - 1).unwrap();
        assert_eq!((opened.key.account, opened.print, opened.until), (7, print(api_key), begun + LIFE));
        assert!(unseal(&keys, &text, begun + LIFE).is_none(), "expired");
        assert!(unseal(&keys_of(&new, &[old]), &text, begun).is_some(), "the encryption key was rotated");
        assert!(unseal(&keys_of(&new, &[]), &text, begun).is_none());
        for index in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[index] = if forged[index] == b'0' { b'1' } else { b'0' };
            assert!(unseal(&keys, &String::from_utf8(forged).unwrap(), begun).is_none(), "{index}");
        }
    }
}

//! This module builds a request's bytes, signed as the public API requires (rest-api.md, "SIGNED Endpoint security"). It must not
//! use a connection.

use anyhow::{Result, ensure};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// An API key and its secret, ready to sign.
#[derive(Clone)]
pub struct Credentials {
    api_key: Box<str>,
    /// The state after hashing the secret: cloned for each signature.
    keyed: Hmac<Sha256>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("api_key", &self.api_key).finish_non_exhaustive()
    }
}

impl Credentials {
    /// # Errors
    /// Returns an error if a header cannot contain the key.
    pub fn new(api_key: &str, secret: &str) -> Result<Self> {
        let plain = !api_key.is_empty() && api_key.bytes().all(|byte| byte.is_ascii_alphanumeric());
        ensure!(plain, "an API key must contain only letters and digits");
        let keyed = Hmac::new_from_slice(secret.as_bytes())?;
        Ok(Self { api_key: api_key.into(), keyed })
    }

    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// Lower-case hexadecimal HMAC-SHA256 of `payload`.
    pub fn sign(&self, payload: &[u8]) -> [u8; 64] {
        let mut mac = self.keyed.clone();
        mac.update(payload);
        let mut text = [0; 64];
        // The lengths fit by their types.
        let _ = hex::encode_to_slice(mac.finalize().into_bytes(), &mut text);
        text
    }
}

/// The API's methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpMethod {
    Get,
    Post,
    Delete,
}

impl HttpMethod {
    const fn text(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// Builds requests one after the other in reused buffers.
#[derive(Debug, Default)]
pub struct ApiRequest {
    bytes: Vec<u8>,
    parameters: Vec<u8>,
}

impl ApiRequest {
    /// A request without a key. `parameters` are encoded already (`symbol=BTCUSDT&limit=5`).
    pub fn public(&mut self, path: &str, parameters: &str) -> &[u8] {
        self.parameters.clear();
        self.parameters.extend_from_slice(parameters.as_bytes());
        self.finish(HttpMethod::Get, path, None)
    }

    /// A signed request at `timestamp` (ms). A POST carries its parameters in the body, the others in the query.
    pub fn signed(
        &mut self,
        method: HttpMethod,
        path: &str,
        parameters: &str,
        credentials: &Credentials,
        timestamp: u64,
    ) -> &[u8] {
        self.parameters.clear();
        self.parameters.extend_from_slice(parameters.as_bytes());
        if !parameters.is_empty() {
            self.parameters.push(b'&');
        }
        // Writing to a vector cannot fail.
        let _ = write!(self.parameters, "timestamp={timestamp}");
        let signature = credentials.sign(&self.parameters);
        self.parameters.extend_from_slice(b"&signature=");
        self.parameters.extend_from_slice(&signature);
        self.finish(method, path, Some(credentials))
    }

    fn finish(&mut self, method: HttpMethod, path: &str, credentials: Option<&Credentials>) -> &[u8] {
        let Self { bytes, parameters } = self;
        bytes.clear();
        bytes.extend_from_slice(method.text().as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(path.as_bytes());
        let in_body = method == HttpMethod::Post;
        if !in_body && !parameters.is_empty() {
            bytes.push(b'?');
            bytes.extend_from_slice(parameters);
        }
        bytes.extend_from_slice(b" HTTP/1.1\r\nHost: exchange\r\n");
        if let Some(credentials) = credentials {
            bytes.extend_from_slice(b"X-MBX-APIKEY: ");
            bytes.extend_from_slice(credentials.api_key.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        if in_body {
            bytes.extend_from_slice(b"Content-Type: application/x-www-form-urlencoded\r\n");
            let _ = write!(bytes, "Content-Length: {}\r\n", parameters.len());
        }
        bytes.extend_from_slice(b"\r\n");
        if in_body {
            bytes.extend_from_slice(parameters);
        }
        bytes
    }
}

/// Milliseconds since the Unix epoch, the API's time unit.
pub fn now_milliseconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of the public API documentation (rest-api.md, HMAC keys, request body).
    #[test]
    fn the_documented_example_gives_the_documented_signature() {
        let key = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
        let secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";
        let credentials = Credentials::new(key, secret).unwrap();
        let parameters = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000";
        let mut request = ApiRequest::default();
        let bytes = request.signed(HttpMethod::Post, "/api/v3/order", parameters, &credentials, 1_499_827_319_559);
        let text = std::str::from_utf8(bytes).unwrap();
        assert!(text.ends_with("&signature=c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"), "{text}");
        assert!(text.starts_with("POST /api/v3/order HTTP/1.1\r\n") && text.contains(&format!("X-MBX-APIKEY: {key}\r\n")));
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
    }
}

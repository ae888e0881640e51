//! This module defines an endpoint, and the input and output of its handler. It must not list the endpoints.

use super::App;
use super::error::ApiError;
use super::parameters::Parameters;
use crate::json::Json;
pub use crate::json::TimeUnit;
use axum::body::Bytes;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use exchange_core::money::Time;
use exchange_core::order::AccountId;
use serde::Serialize;
use smallvec::SmallVec;
use std::future::Future;
use std::pin::Pin;

/// The credentials that a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// No credentials.
    None,
    /// A signature of a key with the read permission (USER_DATA).
    UserData,
    /// A key with the read permission, without a signature (USER_STREAM).
    UserStream,
    /// A signature of a key with the trade permission.
    Trade,
    /// A signature of a key with the withdraw permission.
    Withdraw,
}

/// The weight that a request charges to its client's address.
#[derive(Clone, Copy)]
pub enum EndpointWeight {
    Fixed(u32),
    /// Depends on the parameters.
    Of(fn(&Parameters<'_>) -> u32),
}

/// The result of a handler: 200 with a body, or an error.
pub type EndpointResult = Result<Reply, ApiError>;
pub type Handling<'a> = Pin<Box<dyn Future<Output = EndpointResult> + Send + 'a>>;

/// One row of the table of routes.
pub struct Endpoint {
    pub method: Method,
    pub path: &'static str,
    /// Metric label from a bounded set.
    pub group: &'static str,
    pub weight: EndpointWeight,
    pub security: Security,
    /// Parameters that it reads, apart from `timestamp`, `recvWindow` and `signature`.
    pub parameters: &'static [&'static str],
    /// One-line summary for the reference.
    pub summary: &'static str,
    pub handle: for<'a, 'p> fn(&'a App, &'a Call<'p>) -> Handling<'a>,
}

/// One request on its way to a handler: parameters read, weight charged, signature checked.
#[derive(Debug)]
pub struct Call<'a> {
    pub parameters: Parameters<'a>,
    pub time_unit: TimeUnit,
    /// Time of arrival, by the raw clock.
    pub received: Time,
    /// End of its recvWindow by the raw clock; `None` if it is not signed.
    pub valid_until: Option<Time>,
    pub(super) account: Option<AccountId>,
    /// The key of a request without a signature (USER_STREAM).
    pub(super) api_key: Option<Box<str>>,
}

impl Call<'_> {
    /// The account whose key signed the request.
    ///
    /// # Errors
    ///
    /// Returns -2015 if the endpoint does not require a signature, because then the request has no account.
    pub fn account(&self) -> Result<AccountId, ApiError> {
        self.account.ok_or(ApiError::KEY_REJECTED)
    }
}

/// A JSON body and its headers.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub body: Bytes,
    pub headers: SmallVec<[(HeaderName, HeaderValue); 2]>,
}

impl Reply {
    /// JSON that is already serialized.
    pub fn bytes(body: impl Into<Bytes>) -> Self {
        Self { status: StatusCode::OK, body: body.into(), headers: SmallVec::new() }
    }

    /// JSON that `write` produces.
    pub fn written(capacity: usize, write: impl FnOnce(&mut Json)) -> Self {
        let mut json = Json::with_capacity(capacity);
        write(&mut json);
        Self::bytes(json.into_bytes())
    }

    /// # Errors
    ///
    /// Returns -1000 if the value cannot be serialized as JSON.
    pub fn json(value: &impl Serialize) -> EndpointResult {
        serde_json::to_vec(value).map(Self::bytes).map_err(ApiError::internal)
    }
}

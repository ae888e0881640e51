//! What an endpoint is, what its handler gets and gives. Never: which endpoints there are.

use super::App;
use super::error::ApiError;
use super::json::Json;
use super::parameters::Parameters;
use axum::body::Bytes;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use exchange_core::money::Time;
use exchange_core::order::AccountId;
use serde::Serialize;
use smallvec::SmallVec;
use std::future::Future;
use std::pin::Pin;

/// What a request must prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Nothing.
    None,
    /// A signature of a key that may read (USER_DATA).
    UserData,
    /// A signature of a key that may trade.
    Trade,
    /// A signature of a key that may withdraw.
    Withdraw,
}

/// What a request costs its client's address.
#[derive(Clone, Copy)]
pub enum Weight {
    Fixed(u32),
    /// By what was asked.
    Of(fn(&Parameters<'_>) -> u32),
}

/// What a handler gives: 200 and a body, or an error.
pub type Answer = Result<Reply, ApiError>;
pub type Handling<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// One row of the table of routes.
pub struct Endpoint {
    pub method: Method,
    pub path: &'static str,
    /// Metric label: a bounded set.
    pub group: &'static str,
    pub weight: Weight,
    pub security: Security,
    /// Names that it reads, apart from `timestamp`, `recvWindow` and `signature`.
    pub parameters: &'static [&'static str],
    /// One line for the reference.
    pub summary: &'static str,
    pub handle: for<'a, 'p> fn(&'a App, &'a Call<'p>) -> Handling<'a>,
}

/// In what unit a client wants times (`X-MBX-TIME-UNIT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeUnit {
    #[default]
    Millisecond,
    Microsecond,
}

impl TimeUnit {
    /// The number that stands in a reply for `time`.
    pub const fn show(self, time: Time) -> i64 {
        match self {
            Self::Millisecond => time.div_euclid(1000),
            Self::Microsecond => time,
        }
    }
}

/// One request on its way to a handler: parameters read, weight charged, signature checked.
#[derive(Debug)]
pub struct Call<'a> {
    pub parameters: Parameters<'a>,
    pub time_unit: TimeUnit,
    /// When it came, by the raw clock.
    pub received: Time,
    /// End of its recvWindow by the raw clock; `None` when it is not signed.
    pub valid_until: Option<Time>,
    pub(super) account: Option<AccountId>,
}

impl Call<'_> {
    /// Whose key signed it.
    ///
    /// # Errors
    /// -2015 on an endpoint that asks for no signature: such an endpoint has no account to speak of.
    pub fn account(&self) -> Result<AccountId, ApiError> {
        self.account.ok_or(ApiError::KEY_REJECTED)
    }
}

/// A body of JSON and the headers that go with it.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub body: Bytes,
    pub headers: SmallVec<[(HeaderName, HeaderValue); 2]>,
}

impl Reply {
    /// JSON that is already written.
    pub fn bytes(body: impl Into<Bytes>) -> Self {
        Self { status: StatusCode::OK, body: body.into(), headers: SmallVec::new() }
    }

    /// What `write` writes.
    pub fn written(capacity: usize, write: impl FnOnce(&mut Json)) -> Self {
        let mut json = Json::with_capacity(capacity);
        write(&mut json);
        Self::bytes(json.into_bytes())
    }

    /// # Errors
    /// -1000 when the value cannot be JSON.
    pub fn json(value: &impl Serialize) -> Answer {
        serde_json::to_vec(value).map(Self::bytes).map_err(ApiError::internal)
    }
}

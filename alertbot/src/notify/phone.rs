//! What a provider of SMS and voice calls can do. The providers are in `sms/`.

use std::{fmt, future::Future, pin::Pin};

use axum::http::{HeaderMap, Method};
use serde::{Deserialize, Serialize};

use super::Outcome;

/// How a telephone is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Medium {
    Sms,
    Voice,
}

/// One message to one telephone.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    /// Ours, the same at every attempt: an idempotency key where the provider takes one.
    pub id: i64,
    pub medium: Medium,
    /// As E.164, `+989121234567`. Personal data: never logged.
    pub number: String,
    /// Ready to be sent: counted and shortened already.
    pub text: String,
}

impl fmt::Debug for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Call").field("id", &self.id).field("medium", &self.medium).finish_non_exhaustive()
    }
}

pub type Sending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A provider of SMS and voice calls.
pub trait Phone: Send + Sync {
    /// One attempt. `Delivered` means accepted by the provider; whether the telephone has it comes by a [`Report`].
    fn send<'a>(&'a self, call: &'a Call) -> Sending<'a, Outcome>;

    /// Makes the request of a message without sending it, where the configuration has a say in its form.
    ///
    /// # Errors
    /// When it cannot be made: what is wrong, without a secret.
    fn try_out(&self) -> Result<(), String> {
        Ok(())
    }

    /// Asks for something that changes nothing, to learn whether the provider answers at all.
    fn probe(&self) -> Sending<'_, bool>;

    /// Reads what the provider calls back with: delivery reports and messages of people. Authentic requests only: a
    /// provider that signs has its signature checked here.
    fn callback(&self, request: &CallbackRequest) -> Result<Vec<Callback>, CallbackFault>;
}

/// A request of a provider to the bot. Its path holds a secret, which was checked already.
#[derive(Debug, Clone)]
pub struct CallbackRequest {
    pub method: Method,
    /// As the provider called it, for signatures that cover the address.
    pub url: String,
    /// Without the question mark; empty when there is none.
    pub query: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// What a provider tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callback {
    Delivery {
        /// As in [`Outcome::Delivered`].
        reference: String,
        report: Report,
    },
    /// Somebody wrote to the bot's number, for instance `ACK 1234`.
    Message { from: String, text: String },
}

/// How far an accepted message came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// On its way; a later report says more.
    Underway,
    /// The telephone has it, or the call was answered.
    Arrived,
    /// It will not arrive.
    Failed { reason: String },
}

/// Why a callback was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallbackFault {
    #[error("the signature is missing or wrong")]
    Unauthentic,
    #[error("{0}")]
    Malformed(String),
}

//! This module defines the interface of SMS and call providers. `sms/` contains the providers.

use std::{fmt, future::Future, pin::Pin};

use alertbot_core::delivery::{DeliveryOutcome, DeliveryReport, Medium};
use axum::http::{HeaderMap, Method};

/// One message to one phone.
#[derive(Clone, PartialEq, Eq)]
pub struct PhoneMessage {
    /// The bot's id, equal in every attempt. It is the idempotency key if the provider supports one.
    pub id: i64,
    pub medium: Medium,
    /// In E.164 format, `+989121234567`. Personal data: must not be logged.
    pub number: String,
    /// Final text, already counted and shortened.
    pub text: String,
}

impl fmt::Debug for PhoneMessage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PhoneMessage").field("id", &self.id).field("medium", &self.medium).finish_non_exhaustive()
    }
}

pub type Sending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A provider of SMS and voice calls.
pub trait Phone: Send + Sync {
    /// Makes one attempt. `Delivered` means accepted by the provider. A [`DeliveryReport`] states whether the phone received it.
    fn send<'a>(&'a self, call: &'a PhoneMessage) -> Sending<'a, DeliveryOutcome>;

    /// Renders the request of a message without sending it, if the configuration determines its form.
    ///
    /// # Errors Returns what is wrong, without a secret, if the request cannot be rendered.
    fn try_out(&self) -> Result<(), String> {
        Ok(())
    }

    /// Sends a request that changes nothing, to find out whether the provider answers.
    fn probe(&self) -> Sending<'_, bool>;

    /// Parses a provider's callback: delivery reports and messages of people. A provider that signs must verify the signature
    /// here.
    fn callback(&self, request: &CallbackRequest) -> Result<Vec<Callback>, CallbackFault>;
}

/// A request of a provider to the bot. The caller has already verified the secret in its path.
#[derive(Debug, Clone)]
pub struct CallbackRequest {
    pub method: Method,
    /// Address as called by the provider, for signatures that cover it.
    pub url: String,
    /// Without the question mark. Empty if there is none.
    pub query: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// The content of a callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callback {
    Delivery {
        /// As in [`DeliveryOutcome::Delivered`].
        reference: String,
        report: DeliveryReport,
    },
    /// A person sent an SMS to the bot's number, for instance `ACK 1234`.
    Message { from: String, text: String },
}

/// Why a callback was rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallbackFault {
    #[error("the signature is missing or wrong")]
    Unauthentic,
    #[error("{0}")]
    Malformed(String),
}

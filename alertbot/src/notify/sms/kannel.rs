//! Kannel's SMS box (<https://www.kannel.org/download/1.4.5/userguide-1.4.5/userguide.html>, "Using the HTTP interface").
//!
//! Its answer contains no message id. The bot's own reference is part of the address for the delivery report.

use alertbot_core::{
    delivery::{DeliveryOutcome, DeliveryReport, Medium},
    message::sms::Alphabet,
};
use reqwest::Url;
use service_kit::config::Secret;

use super::{
    fields::{form, pairs, text},
    wire::Wire,
};
use crate::notify::{Callback, CallbackFault, CallbackRequest, Phone, PhoneMessage, phone::Sending};

/// Every kind of report: delivered, failed, buffered, accepted and rejected by the network.
const REPORTS: &str = "31";

pub(super) struct Kannel {
    pub wire: Wire,
    pub url: Url,
    pub username: String,
    pub password: Secret,
    pub from: Option<String>,
    pub smsc: Option<String>,
    pub callback_url: Option<String>,
}

impl Kannel {
    /// The request for one message.
    fn request(&self, call: &PhoneMessage) -> Url {
        let mut url = self.url.clone();
        let mut query = url.query_pairs_mut();
        query.append_pair("username", &self.username).append_pair("password", self.password.expose());
        query.append_pair("to", &call.number).append_pair("text", &call.text).append_pair("charset", "UTF-8");
        if Alphabet::of(&call.text) == Alphabet::Ucs2 {
            // Without this, Persian text becomes "????".
            query.append_pair("coding", "2");
        }
        for (name, value) in [("from", &self.from), ("smsc", &self.smsc)] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        if let Some(callback) = &self.callback_url {
            // Kannel replaces %d with the kind of report.
            query.append_pair("dlr-mask", REPORTS).append_pair("dlr-url", &format!("{callback}?id={}&report=%d", call.id));
        }
        drop(query);
        url
    }

    async fn send_one(&self, call: &PhoneMessage) -> DeliveryOutcome {
        if call.medium == Medium::Voice {
            return DeliveryOutcome::Refused { reason: "Kannel does not support calls".to_owned(), dead: false };
        }
        let answer = match self.wire.ask(self.wire.client.get(self.request(call))).await {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        match answer.status {
            // "0: Accepted for delivery", "3: Queued for later delivery".
            200..300 => DeliveryOutcome::Delivered { reference: call.id.to_string() },
            _ => answer.failure(answer.body.trim()),
        }
    }
}

impl Phone for Kannel {
    fn send<'a>(&'a self, call: &'a PhoneMessage) -> Sending<'a, DeliveryOutcome> {
        Box::pin(self.send_one(call))
    }

    fn probe(&self) -> Sending<'_, bool> {
        // Kannel rejects a request without a receiver, which is an answer.
        Box::pin(self.wire.answers(self.wire.client.get(self.url.clone())))
    }

    fn callback(&self, request: &CallbackRequest) -> Result<Vec<Callback>, CallbackFault> {
        let body = form(request);
        let all: Vec<_> = pairs(&request.query).chain(pairs(&body)).collect();
        let named = |name: &str| all.iter().find(|(given, _)| given == name).map(|(_, value)| value.clone());
        let missing = |name: &str| CallbackFault::Malformed(format!("missing {name}"));
        if let Some(report) = named("report") {
            let report = match text(report).as_str() {
                "1" => DeliveryReport::Arrived,
                "2" => DeliveryReport::Failed { reason: "not delivered".to_owned() },
                "16" => DeliveryReport::Failed { reason: "rejected by the network".to_owned() },
                "4" | "8" => DeliveryReport::Underway,
                other => return Err(CallbackFault::Malformed(format!("unknown kind of report {other:?}"))),
            };
            let reference = text(named("id").ok_or_else(|| missing("id"))?);
            return Ok(vec![Callback::Delivery { reference, report }]);
        }
        let from = text(named("from").ok_or_else(|| missing("from"))?);
        let written = named("text").ok_or_else(|| missing("text"))?;
        let is_ucs2 = named("coding").is_some_and(|coding| coding == b"2");
        Ok(vec![Callback::Message { from, text: if is_ucs2 { utf16(&written) } else { text(written) } }])
    }
}

/// For UCS-2, Kannel forwards the bytes from the network: big-endian UTF-16.
fn utf16(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units)
}

//! This module supports Twilio: messages (<https://www.twilio.com/docs/messaging/api/message-resource>) and calls that speak the
//! text (<https://www.twilio.com/docs/voice/api/call-resource>).

use std::{collections::BTreeMap, time::Duration};

use alertbot_core::delivery::{DeliveryOutcome, DeliveryReport, Medium};
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use service_kit::config::Secret;
use sha1::Sha1;

use super::{
    fields::{Fields, form, pairs},
    wire::{Wire, scalar_text},
};
use crate::notify::{Callback, CallbackFault, CallbackRequest, Phone, PhoneMessage, phone::Sending};

/// Errors of the number: invalid, not mobile, opted out, unreachable or not allowed from here
/// (<https://www.twilio.com/docs/api/errors>).
const DEAD: &[i64] = &[21211, 21214, 21217, 21408, 21610, 21612, 21614, 13223, 13224, 21215, 21216];
/// Limits of rate, queue or concurrency, with any HTTP status.
const TOO_MANY: &[i64] = &[10004, 14107, 20429, 21611, 30001, 63018];
const RETRY_AFTER: Duration = Duration::from_secs(30);
const SIGNATURE: &str = "x-twilio-signature";

pub(super) struct Twilio {
    pub wire: Wire,
    pub api_url: String,
    pub account_sid: String,
    pub auth_token: Secret,
    pub from: String,
    pub callback_url: Option<String>,
}

impl Twilio {
    async fn send_one(&self, call: &PhoneMessage) -> DeliveryOutcome {
        let (resource, words) = match call.medium {
            Medium::Sms => ("Messages.json", ("Body", call.text.clone())),
            Medium::Voice => ("Calls.json", ("Twiml", spoken(&call.text))),
        };
        // A messaging service chooses the sending number.
        let from = if self.from.starts_with("MG") && call.medium == Medium::Sms { "MessagingServiceSid" } else { "From" };
        let mut form = vec![("To", call.number.clone()), (from, self.from.clone()), words];
        form.extend(self.callback_url.clone().map(|url| ("StatusCallback", url)));
        let url = format!("{}/2010-04-01/Accounts/{}/{resource}", self.api_url, self.account_sid);
        let request = self.wire.client.post(url).basic_auth(&self.account_sid, Some(self.auth_token.expose())).form(&form);
        let answer = match self.wire.ask(request).await {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        let json = answer.json().unwrap_or_default();
        if (200..300).contains(&answer.status) {
            return match scalar_text(&json["sid"]) {
                Some(reference) => DeliveryOutcome::Delivered { reference },
                None => DeliveryOutcome::Unknown { reason: "accepted, but the answer has no sid".to_owned() },
            };
        }
        let code = json["code"].as_i64().unwrap_or_default();
        if DEAD.contains(&code) {
            return DeliveryOutcome::Refused { reason: format!("Twilio error {code}"), dead: true };
        }
        if TOO_MANY.contains(&code) && answer.status < 500 && answer.status != 429 {
            return DeliveryOutcome::RateLimited { retry_after: RETRY_AFTER };
        }
        // Its message may contain the number.
        answer.failure(&if code == 0 { String::new() } else { format!("Twilio error {code}") })
    }

    /// <https://www.twilio.com/docs/usage/security#validating-requests>: the address, then every field of the form, sorted by
    /// name.
    fn is_authentic(&self, request: &CallbackRequest) -> Result<bool, CallbackFault> {
        let Some(given) = request.headers.get(SIGNATURE).and_then(|value| BASE64_STANDARD.decode(value).ok()) else {
            return Ok(false);
        };
        let sorted: BTreeMap<_, _> = pairs(&form(request)).collect();
        let mut mac = Hmac::<Sha1>::new_from_slice(self.auth_token.expose().as_bytes()).expect("HMAC takes a key of any length");
        mac.update(request.url.as_bytes());
        for (name, value) in sorted {
            mac.update(name.as_bytes());
            mac.update(&value);
        }
        Ok(mac.verify_slice(&given).is_ok())
    }
}

/// Spoken twice, because a person who wakes up misses the first words.
fn spoken(words: &str) -> String {
    let escaped = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<Response><Pause length=\"1\"/><Say loop=\"2\">{escaped}</Say></Response>")
}

impl Phone for Twilio {
    fn send<'a>(&'a self, call: &'a PhoneMessage) -> Sending<'a, DeliveryOutcome> {
        Box::pin(self.send_one(call))
    }

    fn probe(&self) -> Sending<'_, bool> {
        let url = format!("{}/2010-04-01/Accounts/{}.json", self.api_url, self.account_sid);
        Box::pin(self.wire.answers(self.wire.client.get(url).basic_auth(&self.account_sid, Some(self.auth_token.expose()))))
    }

    fn callback(&self, request: &CallbackRequest) -> Result<Vec<Callback>, CallbackFault> {
        if !self.is_authentic(request)? {
            return Err(CallbackFault::Unauthentic);
        }
        let fields = Fields::read(request)?;
        if let Some(written) = fields.any(&["body"]) {
            return Ok(vec![Callback::Message { from: fields.needed(&["from"])?.to_owned(), text: written.to_owned() }]);
        }
        let reference = fields.needed(&["messagesid", "callsid"])?.to_owned();
        let status = fields.needed(&["messagestatus", "callstatus"])?;
        let report = match status {
            "delivered" | "read" | "completed" => DeliveryReport::Arrived,
            "undelivered" | "failed" | "busy" | "no-answer" | "canceled" => {
                let code = fields.any(&["errorcode"]).map(|code| format!(", Twilio error {code}")).unwrap_or_default();
                DeliveryReport::Failed { reason: format!("{status}{code}") }
            }
            _ => DeliveryReport::Underway,
        };
        Ok(vec![Callback::Delivery { reference, report }])
    }
}

/// The signature that Twilio would send, for tests.
#[cfg(test)]
pub(super) fn signature(token: &str, url: &str, body: &str) -> String {
    let sorted: BTreeMap<_, _> = pairs(body).map(|(name, value)| (name, super::fields::text(value))).collect();
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(url.as_bytes());
    sorted.iter().for_each(|(name, value)| mac.update(format!("{name}{value}").as_bytes()));
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

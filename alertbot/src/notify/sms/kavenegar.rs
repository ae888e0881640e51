//! Kavenegar (<https://kavenegar.com/rest.html>): messages, and calls that speak the text. The key is in the address; `localid`
//! makes a repeated request the same message.

use reqwest::RequestBuilder;
use service_kit::config::Secret;

use super::{
    fields::Fields,
    wire::{Wire, told},
};
use crate::notify::{Call, Callback, CallbackFault, CallbackRequest, Medium, Outcome, Phone, Report, phone::Sending};

/// The receiver is invalid.
const INVALID_RECEIVER: i64 = 411;
/// The server cannot answer now.
const BUSY: i64 = 409;

pub(super) struct Kavenegar {
    pub wire: Wire,
    pub api_url: String,
    pub api_key: Secret,
    pub from: Option<String>,
}

impl Kavenegar {
    fn request(&self, method: &str, form: &[(&str, String)]) -> RequestBuilder {
        self.wire.client.post(format!("{}/v1/{}/{method}.json", self.api_url, self.api_key.expose())).form(form)
    }

    async fn send_one(&self, call: &Call) -> Outcome {
        let mut form =
            vec![("receptor", receptor(&call.number)), ("message", call.text.clone()), ("localid", call.id.to_string())];
        let method = match call.medium {
            Medium::Voice => "call/maketts",
            Medium::Sms => {
                form.extend(self.from.clone().map(|from| ("sender", from)));
                "sms/send"
            }
        };
        let answer = match self.wire.ask(self.request(method, &form)).await {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        let json = answer.json().unwrap_or_default();
        let status = json["return"]["status"].as_i64();
        match status {
            Some(200) => match told(&json["entries"][0]["messageid"]) {
                Some(reference) => Outcome::Delivered { reference },
                None => Outcome::Unknown { reason: "accepted, and the answer names no messageid".to_owned() },
            },
            Some(INVALID_RECEIVER) => Outcome::Refused { reason: "Kavenegar status 411".to_owned(), dead: true },
            Some(BUSY) => Outcome::TryAgain { reason: "Kavenegar status 409".to_owned() },
            // Its own statuses from 400 to 600 are refusals, whatever HTTP would make of them.
            Some(status) => Outcome::Refused { reason: format!("Kavenegar status {status}"), dead: false },
            None => answer.failure(""),
        }
    }
}

/// Within Iran as people write it there, abroad with 00.
fn receptor(number: &str) -> String {
    match number.strip_prefix("+98") {
        Some(rest) => format!("0{rest}"),
        None => format!("00{}", number.trim_start_matches('+')),
    }
}

/// As E.164 again.
fn number(receptor: &str) -> String {
    let digits = receptor.trim_start_matches('+');
    match (digits.strip_prefix("00"), digits.strip_prefix('0')) {
        (Some(abroad), _) => format!("+{abroad}"),
        (None, Some(within)) => format!("+98{within}"),
        (None, None) if digits.len() == 10 && digits.starts_with('9') => format!("+98{digits}"),
        _ => format!("+{digits}"),
    }
}

impl Phone for Kavenegar {
    fn send<'a>(&'a self, call: &'a Call) -> Sending<'a, Outcome> {
        Box::pin(self.send_one(call))
    }

    fn probe(&self) -> Sending<'_, bool> {
        Box::pin(self.wire.answers(self.request("account/info", &[])))
    }

    fn callback(&self, request: &CallbackRequest) -> Result<Vec<Callback>, CallbackFault> {
        let fields = Fields::read(request)?;
        if let Some(from) = fields.any(&["from"]) {
            return Ok(vec![Callback::Message { from: number(from), text: fields.needed(&["message"])?.to_owned() }]);
        }
        let reference = fields.needed(&["messageid"])?.to_owned();
        let report = match fields.needed(&["status"])? {
            "10" => Report::Arrived,
            status @ ("6" | "11" | "13" | "14" | "100") => {
                Report::Failed { reason: format!("Kavenegar delivery status {status}") }
            }
            _ => Report::Underway,
        };
        Ok(vec![Callback::Delivery { reference, report }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_in_the_country_and_read_back() {
        for (e164, local) in [("+989121234567", "09121234567"), ("+4915112345678", "004915112345678")] {
            assert_eq!((receptor(e164).as_str(), number(local).as_str()), (local, e164));
        }
        assert_eq!(number("9121234567"), "+989121234567");
        assert_eq!(number("989121234567"), "+989121234567");
    }
}

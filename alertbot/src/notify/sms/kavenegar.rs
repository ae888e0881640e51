//! This module supports Kavenegar (<https://kavenegar.com/rest.html>): messages, and calls that speak the text. The key is in the
//! address. `localid` makes a repeated request idempotent.

use std::time::Duration;

use alertbot_core::delivery::{DeliveryOutcome, DeliveryReport, Medium};
use reqwest::RequestBuilder;
use service_kit::config::Secret;

use super::{
    fields::Fields,
    wire::{Wire, scalar_text},
};
use crate::notify::{Callback, CallbackFault, CallbackRequest, Phone, PhoneMessage, phone::Sending};

/// The receiver is invalid. Every documented status (<https://kavenegar.com/rest.html#result-general>) not listed here needs a
/// person: parameters, key, account, credit, sender, text, template.
const INVALID_RECEIVER: i64 = 411;
/// The operation failed, the server cannot answer now, or an internal error.
const BUSY: [i64; 3] = [402, 409, 500];
/// Too many requests from this address, or too many for this method or number in a fixed period.
const TOO_MANY: [i64; 2] = [429, 451];
/// The period is not documented.
const PERIOD: Duration = Duration::from_secs(60);

/// Limits of tokens of `verify/lookup`: no space in `token`, five in `token10`, eight in `token20`, and 100 characters in each. A
/// token with an underscore, a line break or a control character is answered 431.
const TOKEN_CHARACTERS: usize = 100;
const TOKEN10_WORDS: usize = 6;
const TOKEN20_WORDS: usize = 9;

pub(super) struct Kavenegar {
    pub wire: Wire,
    pub api_url: String,
    pub api_key: Secret,
    pub from: Option<String>,
    /// Name of a template in Kavenegar's panel. It reaches numbers that block advertising lines.
    pub template: Option<String>,
}

impl Kavenegar {
    fn request(&self, method: &str, form: &[(&str, String)]) -> RequestBuilder {
        self.wire.client.post(format!("{}/v1/{}/{method}.json", self.api_url, self.api_key.expose())).form(form)
    }

    async fn send_one(&self, call: &PhoneMessage) -> DeliveryOutcome {
        let mut form = vec![("receptor", receptor(&call.number))];
        let method = match (call.medium, &self.template) {
            (Medium::Sms, Some(template)) => {
                form.push(("template", template.clone()));
                form.extend(tokens(&call.text));
                "verify/lookup"
            }
            (medium, _) => {
                form.extend([("message", call.text.clone()), ("localid", call.id.to_string())]);
                match medium {
                    Medium::Voice => "call/maketts",
                    Medium::Sms => {
                        form.extend(self.from.clone().map(|from| ("sender", from)));
                        "sms/send"
                    }
                }
            }
        };
        let answer = match self.wire.ask(self.request(method, &form)).await {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        let json = answer.json().unwrap_or_default();
        let status = scalar_text(&json["return"]["status"]).and_then(|status| status.parse::<i64>().ok());
        match status {
            Some(200) => match scalar_text(&json["entries"][0]["messageid"]) {
                Some(reference) => DeliveryOutcome::Delivered { reference },
                None => DeliveryOutcome::Unknown { reason: "accepted, but the answer has no messageid".to_owned() },
            },
            Some(INVALID_RECEIVER) => DeliveryOutcome::Refused { reason: "Kavenegar status 411".to_owned(), dead: true },
            Some(status) if TOO_MANY.contains(&status) => DeliveryOutcome::RateLimited { retry_after: PERIOD },
            Some(status) if BUSY.contains(&status) => DeliveryOutcome::TryAgain { reason: format!("Kavenegar status {status}") },
            // Its own statuses from 400 to 600 are refusals, independent of their meaning in HTTP.
            Some(status) => DeliveryOutcome::Refused { reason: format!("Kavenegar status {status}"), dead: false },
            None => answer.failure(""),
        }
    }
}

/// Splits a text into the tokens of a template. Its last word (the reply code) is `token`, the others fill `token20` and
/// `token10`. The rest is cut.
fn tokens(text: &str) -> Vec<(&'static str, String)> {
    let text: String = text.chars().filter(|character| !character.is_control() || character.is_whitespace()).collect();
    let text = text.replace('_', "-");
    let mut words: Vec<&str> = text.split_whitespace().collect();
    let last = words.pop().unwrap_or("-");
    let cut = |text: String| text.chars().take(TOKEN_CHARACTERS).collect::<String>();
    let mut rest = words.into_iter().peekable();
    let mut next = |most: usize| {
        let (mut token, mut count) = (String::new(), 0);
        while let Some(word) = rest.peek().filter(|_| count < most) {
            if count > 0 && token.chars().count() + 1 + word.chars().count() > TOKEN_CHARACTERS {
                break;
            }
            if count > 0 {
                token.push(' ');
            }
            token.push_str(word);
            count += 1;
            rest.next();
        }
        if token.is_empty() { "-".to_owned() } else { cut(token) }
    };
    vec![("token20", next(TOKEN20_WORDS)), ("token10", next(TOKEN10_WORDS)), ("token", cut(last.to_owned()))]
}

/// In national format within Iran, with 00 for other countries.
fn receptor(number: &str) -> String {
    match number.strip_prefix("+98") {
        Some(rest) => format!("0{rest}"),
        None => format!("00{}", number.trim_start_matches('+')),
    }
}

/// Converts to E.164.
fn number(receptor: &str) -> String {
    let digits = receptor.trim_start_matches('+');
    match (digits.strip_prefix("00"), digits.strip_prefix('0')) {
        (Some(abroad), _) => format!("+{abroad}"),
        (None, Some(within)) => format!("+98{within}"),
        (None, None) if digits.len() == 10 && digits.starts_with('9') => format!("+98{digits}"),
        _ => format!("+{digits}"),
    }
}

/// A report, or a message of a person.
fn one(fields: &Fields) -> Result<Callback, CallbackFault> {
    if let Some(from) = fields.any(&["from"]) {
        return Ok(Callback::Message { from: number(from), text: fields.needed(&["message"])?.to_owned() });
    }
    let reference = fields.needed(&["messageid"])?.to_owned();
    let report = match fields.needed(&["status"])? {
        "10" => DeliveryReport::Arrived,
        status @ ("6" | "11" | "13" | "14" | "100") => {
            DeliveryReport::Failed { reason: format!("Kavenegar delivery status {status}") }
        }
        _ => DeliveryReport::Underway,
    };
    Ok(Callback::Delivery { reference, report })
}

impl Phone for Kavenegar {
    fn send<'a>(&'a self, call: &'a PhoneMessage) -> Sending<'a, DeliveryOutcome> {
        Box::pin(self.send_one(call))
    }

    fn probe(&self) -> Sending<'_, bool> {
        Box::pin(self.wire.answers(self.request("account/info", &[])))
    }

    fn callback(&self, request: &CallbackRequest) -> Result<Vec<Callback>, CallbackFault> {
        Fields::read_all(request)?.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_respect_the_limit_of_spaces() {
        let text = "CRITICAL DiskFull db-1: The disk of db-1 is 97 % full and fills up fast Reply ACK 4711";
        let tokens = tokens(text);
        let words = |name: &str| tokens.iter().find(|(known, _)| *known == name).unwrap().1.as_str();
        assert_eq!(words("token20"), "CRITICAL DiskFull db-1: The disk of db-1 is 97");
        assert_eq!((words("token10"), words("token")), ("% full and fills up fast", "4711"));
        let underscores = super::tokens("CRITICAL node_exporter_down pod_1\nis down\u{7f} ACK_1 47_11");
        assert_eq!(underscores[0].1, "CRITICAL node-exporter-down pod-1 is down ACK-1");
        assert_eq!(underscores[2].1, "47-11");
        assert_eq!(super::tokens("").iter().map(|(_, token)| token.as_str()).collect::<Vec<_>>(), ["-", "-", "-"]);
        assert!(super::tokens(&"ک".repeat(500)).iter().all(|(_, token)| token.chars().count() <= TOKEN_CHARACTERS));
    }

    #[test]
    fn numbers_convert_to_national_format_and_back() {
        for (e164, local) in [("+989121234567", "09121234567"), ("+4915112345678", "004915112345678")] {
            assert_eq!((receptor(e164).as_str(), number(local).as_str()), (local, e164));
        }
        assert_eq!(number("9121234567"), "+989121234567");
        assert_eq!(number("989121234567"), "+989121234567");
    }
}

//! This module supports any provider with one HTTP request per message: templates build the request, and rules parse the answer.
//! A preset provides missing settings.
//!
//! A callback is a query, a form or JSON: `reference` (or `id`, `messageid`, `message-id`) with `status`; or `from` (or `msisdn`)
//! with `text` (or `message`). It may contain several of them.

use std::collections::BTreeMap;

use alertbot_core::{
    delivery::{DeliveryOutcome, DeliveryReport, Medium},
    message::sms::Alphabet,
};
use anyhow::Context;
use minijinja::{Environment, UndefinedBehavior, context};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{
    Method, RequestBuilder,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use service_kit::config::Secret;

use super::{
    fields::Fields,
    preset,
    wire::{ProviderAnswer, Wire, scalar_text},
};
use crate::{
    config,
    notify::{Callback, CallbackFault, CallbackRequest, Phone, PhoneMessage, phone::Sending},
};

const URL: &str = "url";
const BODY: &str = "body";
const HEADER: &str = "header ";
const SUCCESS: &[u16] = &[200, 201, 202];
/// Maximum instructions of a template. Templates are small, so a longer one is broken.
const FUEL: u64 = 50_000;
const REFERENCE: &[&str] = &["reference", "messageid", "message-id", "message_id", "id"];
const FROM: &[&str] = &["from", "msisdn", "sender"];
const TEXT: &[&str] = &["text", "message", "body"];

pub(super) struct GenericProvider {
    wire: Wire,
    templates: Environment<'static>,
    headers: Vec<String>,
    method: Method,
    has_body: bool,
    from: Option<String>,
    secrets: BTreeMap<String, Secret>,
    callback_url: Option<String>,
    rules: ReplyRules,
    voice: bool,
}

/// Meaning of an answer.
#[derive(Debug)]
struct ReplyRules {
    success_statuses: Vec<u16>,
    success_pointer: Option<String>,
    success_values: Vec<String>,
    id_pointer: Option<String>,
    retry_statuses: Vec<u16>,
    retry_values: Vec<String>,
    dead_values: &'static [&'static str],
}

impl GenericProvider {
    pub fn new(wire: Wire, settings: &config::Generic, callback_url: Option<String>) -> anyhow::Result<Self> {
        let known = settings.preset.map(preset::known);
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_fuel(Some(FUEL));
        templates.add_filter("urlencode", |text: String| utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string());
        let mut add = |name: String, template: String| {
            let context = format!("the template of {name}");
            templates.add_template_owned(name, template).context(context)
        };
        let url = settings.url.clone().or_else(|| known.map(|known| known.url.to_owned())).context("missing url")?;
        add(URL.to_owned(), url)?;
        let body = settings.body.clone().or_else(|| known.map(|known| known.body.to_owned()));
        let has_body = body.is_some();
        add(BODY.to_owned(), body.unwrap_or_default())?;
        let mut headers: BTreeMap<String, String> =
            known.iter().flat_map(|known| known.headers).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        headers.extend(settings.headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone())));
        for (name, value) in &headers {
            HeaderName::try_from(name).with_context(|| format!("{name:?} is not a valid header name"))?;
            add(format!("{HEADER}{name}"), value.clone())?;
        }
        let method = settings.method.clone().unwrap_or_else(|| if has_body { "POST" } else { "GET" }.to_owned());
        let method =
            Method::from_bytes(method.to_uppercase().as_bytes()).with_context(|| format!("{method:?} is not an HTTP method"))?;
        Ok(Self {
            wire,
            templates,
            headers: headers.into_keys().collect(),
            method,
            has_body,
            from: settings.from.clone(),
            secrets: settings.secrets.clone(),
            callback_url,
            rules: ReplyRules::new(settings, known),
            voice: settings.voice,
        })
    }

    /// An error of a template names its place and must not contain a value.
    fn rendered(&self, name: &str, call: &PhoneMessage) -> Result<String, DeliveryOutcome> {
        let secrets: BTreeMap<String, String> =
            self.secrets.iter().map(|(name, secret)| (name.clone(), secret.expose().to_owned())).collect();
        let digits = call.number.trim_start_matches('+');
        let values = context! {
            number => call.number.clone(),
            digits => digits,
            local => digits.strip_prefix("98").map_or_else(|| format!("00{digits}"), |rest| format!("0{rest}")),
            text => call.text.clone(),
            unicode => Alphabet::of(&call.text) == Alphabet::Ucs2,
            id => call.id,
            from => self.from.clone(),
            callback_url => self.callback_url.clone(),
            secrets => secrets,
        };
        let rendered = self.templates.get_template(name).and_then(|template| template.render(values));
        rendered.map_err(|error| DeliveryOutcome::Refused {
            reason: format!("the template of {name} failed: {}", error.kind()),
            dead: false,
        })
    }

    async fn send_one(&self, call: &PhoneMessage) -> DeliveryOutcome {
        match self.request(call).await {
            Ok(answer) => self.rules.outcome(&answer),
            Err(outcome) => outcome,
        }
    }

    async fn request(&self, call: &PhoneMessage) -> Result<ProviderAnswer, DeliveryOutcome> {
        self.wire.ask(self.prepared(call)?).await
    }

    fn prepared(&self, call: &PhoneMessage) -> Result<RequestBuilder, DeliveryOutcome> {
        if self.voice != (call.medium == Medium::Voice) {
            let reason = if self.voice { "this provider supports calls only" } else { "this provider does not support calls" };
            return Err(DeliveryOutcome::Refused { reason: reason.to_owned(), dead: false });
        }
        let mut headers = HeaderMap::new();
        for name in &self.headers {
            let value = HeaderValue::try_from(self.rendered(&format!("{HEADER}{name}"), call)?);
            let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), value) else {
                return Err(DeliveryOutcome::Refused {
                    reason: format!("the header {name} has invalid characters"),
                    dead: false,
                });
            };
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let mut request = self.wire.client.request(self.method.clone(), self.rendered(URL, call)?).headers(headers);
        if self.has_body {
            request = request.body(self.rendered(BODY, call)?);
        }
        Ok(request)
    }
}

impl ReplyRules {
    fn new(settings: &config::Generic, known: Option<&preset::KnownProvider>) -> Self {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let or_known = |own: &Vec<String>, of: fn(&preset::KnownProvider) -> &'static [&'static str]| match known {
            Some(known) if own.is_empty() => owned(of(known)),
            _ => own.clone(),
        };
        let pointer = |own: &Option<String>, of: fn(&preset::KnownProvider) -> &'static str| {
            own.clone().or_else(|| known.map(|known| of(known).to_owned()))
        };
        Self {
            success_statuses: if settings.success_statuses.is_empty() {
                SUCCESS.to_vec()
            } else {
                settings.success_statuses.clone()
            },
            success_pointer: pointer(&settings.success_pointer, |known| known.success_pointer),
            success_values: or_known(&settings.success_values, |known| known.success_values),
            id_pointer: pointer(&settings.id_pointer, |known| known.id_pointer),
            retry_statuses: settings.retry_statuses.clone(),
            retry_values: or_known(&settings.retry_values, |known| known.retry_values),
            dead_values: known.map_or(&[], |known| known.dead_values),
        }
    }

    fn outcome(&self, answer: &ProviderAnswer) -> DeliveryOutcome {
        let json = answer.json();
        let at = |pointer: &Option<String>| scalar_text(find(json.as_ref()?, pointer.as_ref()?)?);
        let value = at(&self.success_pointer);
        if value.as_ref().is_some_and(|value| self.retry_values.contains(value)) || self.retry_statuses.contains(&answer.status) {
            return DeliveryOutcome::TryAgain {
                reason: format!("HTTP {}, value {}", answer.status, value.as_deref().unwrap_or("none")),
            };
        }
        if let Some(value) = value.as_deref().filter(|value| self.dead_values.contains(value)) {
            return DeliveryOutcome::Refused { reason: format!("HTTP {}, value {value}", answer.status), dead: true };
        }
        if !self.success_statuses.contains(&answer.status) {
            return answer.failure("");
        }
        let accepted = self.success_pointer.is_none() || value.as_ref().is_some_and(|value| self.success_values.contains(value));
        if accepted {
            return DeliveryOutcome::Delivered { reference: at(&self.id_pointer).unwrap_or_default() };
        }
        match value {
            Some(value) => DeliveryOutcome::Refused { reason: format!("HTTP {}, value {value}", answer.status), dead: false },
            None => DeliveryOutcome::Unknown {
                reason: format!("HTTP {}, but the answer has no status of the provider", answer.status),
            },
        }
    }
}

/// Looks up a JSON pointer. Ghasedak documents `IsSuccess` and answers `isSuccess`. If no name matches exactly, case is ignored.
fn find<'a>(json: &'a serde_json::Value, pointer: &str) -> Option<&'a serde_json::Value> {
    json.pointer(pointer).or_else(|| {
        pointer.split('/').skip(1).try_fold(json, |value, name| match value {
            serde_json::Value::Object(fields) => {
                fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, found)| found)
            }
            other => other.get(name.parse::<usize>().ok()?),
        })
    })
}

/// A report, or a message of a person. States are those of providers and of SMPP 3.4, appendix B.
fn one(fields: &Fields) -> Result<Callback, CallbackFault> {
    if let Some(status) = fields.any(&["status"]) {
        let reference = fields.needed(REFERENCE)?.to_owned();
        let report = match status.to_lowercase().as_str() {
            "delivered" | "delivery" | "delivrd" | "arrived" | "ok" => DeliveryReport::Arrived,
            "failed" | "undelivered" | "undeliverable" | "undeliv" | "expired" | "rejected" | "rejectd" | "deleted"
            | "unreachable" => DeliveryReport::Failed { reason: status.to_owned() },
            _ => DeliveryReport::Underway,
        };
        return Ok(Callback::Delivery { reference, report });
    }
    let from = fields.needed(FROM)?;
    let from = format!("+{}", from.trim_start_matches('+').trim_start_matches("00"));
    Ok(Callback::Message { from, text: fields.needed(TEXT)?.to_owned() })
}

impl Phone for GenericProvider {
    fn send<'a>(&'a self, call: &'a PhoneMessage) -> Sending<'a, DeliveryOutcome> {
        Box::pin(self.send_one(call))
    }

    fn try_out(&self) -> Result<(), String> {
        let medium = if self.voice { Medium::Voice } else { Medium::Sms };
        let sample = PhoneMessage { id: 1, medium, number: "+15550100000".to_owned(), text: "Test".to_owned() };
        match self.prepared(&sample).map(RequestBuilder::build) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err("the address is malformed".to_owned()),
            Err(DeliveryOutcome::Refused { reason, .. }) => Err(reason),
            Err(outcome) => Err(outcome.name().to_owned()),
        }
    }

    fn probe(&self) -> Sending<'_, bool> {
        // Requests the bare host, which sends no message.
        let nobody = PhoneMessage { id: 0, medium: Medium::Sms, number: "+0".to_owned(), text: String::new() };
        Box::pin(async move {
            let Ok(url) = self.rendered(URL, &nobody) else { return false };
            let Ok(mut url) = reqwest::Url::parse(&url) else { return false };
            url.set_path("/");
            url.set_query(None);
            self.wire.answers(self.wire.client.get(url)).await
        })
    }

    fn callback(&self, request: &CallbackRequest) -> Result<Vec<Callback>, CallbackFault> {
        Fields::read_all(request)?.iter().map(one).collect()
    }
}

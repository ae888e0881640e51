//! This module reads the settings of SMS and call providers. `notify/sms` implements their protocols.

use std::{collections::BTreeMap, time::Duration};

use service_kit::config::Secret;

use super::{
    document::{HttpAddress, Section, Value},
    names::Names,
};

#[derive(Debug, Clone)]
pub struct Provider {
    pub name: String,
    /// Line in the file.
    pub line: usize,
    pub kind: ProviderKind,
    /// Longest text, in parts. A longer text is shortened and marked.
    pub parts: u32,
    pub per_minute: u32,
    pub timeout: Duration,
    /// Part of the path `/phone/<name>/<token>` at which the provider reports deliveries and inbound messages.
    pub callback_token: Option<Secret>,
}

#[derive(Debug, Clone)]
pub enum ProviderKind {
    /// <https://www.twilio.com/docs/messaging/api/message-resource>; also calls.
    Twilio { api_url: String, account_sid: String, auth_token: Secret, from: String },
    /// <https://kavenegar.com/rest.html>; also calls by text to speech. The key is in the URL: it must not be logged.
    Kavenegar {
        api_url: String,
        api_key: Secret,
        from: Option<String>,
        /// Name of a template for `verify/lookup`, which is then used instead of `sms/send`.
        template: Option<String>,
    },
    /// A Kannel SMS box (`sendsms`).
    Kannel { url: String, username: String, password: Secret, from: Option<String>, smsc: Option<String> },
    /// Any API with one HTTP request per message.
    Generic(Box<Generic>),
}

/// A request per message. The templates `url`, `headers` and `body` can use `number`, `digits` (the number without its plus),
/// `text`, `id`, `from`, `callback_url` and `secrets.<name>`.
#[derive(Debug, Clone)]
pub struct Generic {
    /// `vonage`, `sms_ir` or `ghasedak`: the preset provides the settings that are missing below.
    pub preset: Option<Preset>,
    pub from: Option<String>,
    pub secrets: BTreeMap<String, Secret>,
    pub method: Option<String>,
    pub url: Option<String>,
    pub headers: BTreeMap<String, String>,
    pub body: Option<String>,
    /// HTTP statuses of an accepted message.
    pub success_statuses: Vec<u16>,
    /// JSON pointer (RFC 6901) into the answer, and the values there of an accepted message.
    pub success_pointer: Option<String>,
    pub success_values: Vec<String>,
    /// JSON pointer to the provider's message id.
    pub id_pointer: Option<String>,
    /// HTTP statuses, and values at `success_pointer`, after which a retry makes sense.
    pub retry_statuses: Vec<u16>,
    pub retry_values: Vec<String>,
    /// Whether it calls and speaks the text instead of sending it.
    pub voice: bool,
}

/// A provider with a known request format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    Vonage,
    SmsIr,
    Ghasedak,
}

const KINDS: [&str; 7] = ["twilio", "kavenegar", "kannel", "vonage", "sms_ir", "ghasedak", "generic"];

struct KindName(&'static str);

impl Value for KindName {
    const SHAPE: &'static str = "twilio, kavenegar, kannel, vonage, sms_ir, ghasedak or generic";

    fn parse(text: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| *kind == text).map(Self)
    }

    fn stand_in() -> Self {
        Self("")
    }
}

pub(super) fn providers(root: &Section) -> (Vec<Provider>, Names) {
    let sections = root.sections("providers");
    let names = Names::of("provider", "providers", &sections);
    let list = sections.iter().enumerate().filter_map(|(index, section)| Provider::read(section, names.at(index))).collect();
    (list, names)
}

impl Provider {
    fn read(section: &Section, name: String) -> Option<Self> {
        let kind: KindName = section.required("kind", KindName::SHAPE);
        let address = |key, default: &str| section.or(key, HttpAddress(default.to_owned())).0;
        let kind = match kind.0 {
            "twilio" => ProviderKind::Twilio {
                api_url: address("api_url", "https://api.twilio.com"),
                account_sid: section.required("account_sid", "the account's SID, which begins with AC"),
                auth_token: section.secret("auth_token", "the account's auth token"),
                from: section.required("from", "the sending number, or a messaging service's SID"),
            },
            "kavenegar" => ProviderKind::Kavenegar {
                api_url: address("api_url", "https://api.kavenegar.com"),
                api_key: section.secret("api_key", "the API key"),
                from: section.optional("from"),
                template: section.optional("template"),
            },
            "kannel" => ProviderKind::Kannel {
                url: section.required::<HttpAddress>("url", "the SMS box, as http://127.0.0.1:13013/cgi-bin/sendsms").0,
                username: section.required("username", "as in Kannel's sendsms-user group"),
                password: section.secret("password", "as in Kannel's sendsms-user group"),
                from: section.optional("from"),
                smsc: section.optional("smsc"),
            },
            "vonage" => ProviderKind::Generic(Box::new(Generic::read(section, Some(Preset::Vonage)))),
            "sms_ir" => ProviderKind::Generic(Box::new(Generic::read(section, Some(Preset::SmsIr)))),
            "ghasedak" => ProviderKind::Generic(Box::new(Generic::read(section, Some(Preset::Ghasedak)))),
            "generic" => ProviderKind::Generic(Box::new(Generic::read(section, None))),
            _ => {
                section.any_key();
                return None;
            }
        };
        Some(Self {
            name,
            line: section.line(),
            kind,
            parts: section.or_within("parts", 3, 1..=10),
            per_minute: section.or_within("per_minute", 30, 1..=6000),
            timeout: section.or_within("timeout", Duration::from_secs(10), Duration::from_secs(1)..=Duration::from_secs(60)),
            callback_token: section.optional_secret("callback_token", "secret part of the address that the provider calls"),
        })
    }
}

impl Generic {
    fn read(section: &Section, preset: Option<Preset>) -> Self {
        let texts = |key| section.list::<String>(key).into_iter().map(|(text, _)| text).collect();
        let statuses = |key| section.list::<u16>(key).into_iter().map(|(status, _)| status).collect();
        let url = match preset {
            Some(_) => section.optional("url"),
            None => Some(section.required("url", "address of the API, a template")),
        };
        Self {
            preset,
            from: section.optional("from"),
            secrets: secrets(section),
            method: section.optional("method"),
            url,
            headers: headers(section),
            body: section.optional("body"),
            success_statuses: statuses("success_statuses"),
            success_pointer: section.optional("success_pointer"),
            success_values: texts("success_values"),
            id_pointer: section.optional("id_pointer"),
            retry_statuses: statuses("retry_statuses"),
            retry_values: texts("retry_values"),
            voice: section.or("voice", false),
        }
    }
}

fn secrets(section: &Section) -> BTreeMap<String, Secret> {
    let Some(listed) = section.section("secrets") else { return BTreeMap::new() };
    listed.any_key();
    let names = listed.keys();
    names.filter_map(|(name, _)| Some((name.to_owned(), listed.data_secret(name, "secret of the provider")?))).collect()
}

fn headers(section: &Section) -> BTreeMap<String, String> {
    let Some(listed) = section.section("headers") else { return BTreeMap::new() };
    listed.any_key();
    listed.keys().filter_map(|(name, _)| Some((name.to_owned(), listed.data(name)?))).collect()
}

//! This module contains presets: requests of known providers, used where the configuration sets nothing.

use crate::config::Preset;

/// A generic provider's settings, from a preset.
pub(super) struct KnownProvider {
    pub url: &'static str,
    pub headers: &'static [(&'static str, &'static str)],
    pub body: &'static str,
    pub success_pointer: &'static str,
    pub success_values: &'static [&'static str],
    pub id_pointer: &'static str,
    pub retry_values: &'static [&'static str],
    /// Values after which no message to this number will arrive.
    pub dead_values: &'static [&'static str],
}

const JSON: (&str, &str) = ("content-type", "application/json");

/// <https://developer.vonage.com/en/api/sms>: HTTP is always 200; the body has the status. 1 is throttled, 5 an internal error,
/// 10 too many connections, 13 a failed communication. 7, 33 and 34 concern the number. The others need a person.
const VONAGE: KnownProvider = KnownProvider {
    url: "https://rest.nexmo.com/sms/json",
    headers: &[JSON],
    body: r#"{"api_key": {{ secrets.api_key|tojson }}, "api_secret": {{ secrets.api_secret|tojson }}, "from": {{ from|tojson }},
              "to": {{ digits|tojson }}, "text": {{ text|tojson }}, "type": "{{ "unicode" if unicode else "text" }}",
              "client-ref": "{{ id }}"{% if callback_url %}, "callback": {{ callback_url|tojson }}{% endif %}}"#,
    success_pointer: "/messages/0/status",
    success_values: &["0"],
    id_pointer: "/messages/0/message-id",
    retry_values: &["1", "5", "10", "13"],
    dead_values: &["7", "33", "34"],
};

/// <https://apidocs.sms.ir>: 1 is success, 20 too many requests, 0 a fault of the provider. 104 is an invalid number, 115 one
/// that blocks such messages. The others need a person.
const SMS_IR: KnownProvider = KnownProvider {
    url: "https://api.sms.ir/v1/send/bulk",
    headers: &[JSON, ("x-api-key", "{{ secrets.api_key }}")],
    body: r#"{"lineNumber": {{ from|tojson }}, "messageText": {{ text|tojson }}, "mobiles": [{{ digits|tojson }}], "sendDateTime": null}"#,
    success_pointer: "/status",
    success_values: &["1"],
    id_pointer: "/data/messageIds/0",
    retry_values: &["0", "20"],
    dead_values: &["104", "115"],
};

/// <https://ghasedak.me/docs>: `clientReferenceId` is the bot's id. Names in its answers and in its documentation differ in case.
/// HTTP status 429 is a rate limit; the other refusals need a person.
const GHASEDAK: KnownProvider = KnownProvider {
    url: "https://gateway.ghasedak.me/rest/api/v1/WebService/SendSingleSMS",
    headers: &[JSON, ("apikey", "{{ secrets.api_key }}")],
    body: r#"{"lineNumber": {{ from|tojson }}, "receptor": {{ local|tojson }}, "message": {{ text|tojson }},
              "clientReferenceId": "{{ id }}", "udh": false}"#,
    success_pointer: "/isSuccess",
    success_values: &["true"],
    id_pointer: "/data/messageId",
    retry_values: &[],
    dead_values: &[],
};

pub(super) fn known(preset: Preset) -> &'static KnownProvider {
    match preset {
        Preset::Vonage => &VONAGE,
        Preset::SmsIr => &SMS_IR,
        Preset::Ghasedak => &GHASEDAK,
    }
}

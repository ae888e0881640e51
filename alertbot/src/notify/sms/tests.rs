//! Tests of each provider's requests, answers and callbacks, against a server with the documented behaviour.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use alertbot_core::delivery::{DeliveryOutcome, DeliveryReport, Medium};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::IntoResponse,
};
use service_kit::config::Secret;
use tokio::{io::AsyncReadExt, net::TcpListener, sync::Mutex};

use super::*;
use crate::{
    config::{Generic, Preset},
    notify::{Callback, CallbackFault, CallbackRequest, PhoneMessage},
};

const KEY: &str = "key-that-must-not-be-told";
const CALLBACK: &str = "https://alerts.example.org/phone/own/token";

/// A provider's server: one answer, and the received requests.
struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Clone)]
struct Seen {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
}

type Given = (Arc<Mutex<Vec<Seen>>>, u16, &'static str);

impl Server {
    async fn answering(status: u16, body: &'static str) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(take).with_state((Arc::clone(&seen), status, body));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, seen }
    }

    async fn request(&self) -> Seen {
        self.seen.lock().await.last().cloned().expect("a request")
    }
}

async fn take(
    State((seen, status, answer)): State<Given>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    let body = String::from_utf8_lossy(&body).into_owned();
    seen.lock().await.push(Seen { method, uri, headers, body });
    (StatusCode::from_u16(status).unwrap(), answer)
}

fn secret() -> Secret {
    Secret::from(KEY.to_owned())
}

fn provider(kind: ProviderKind) -> Arc<dyn Phone> {
    let name = "own".to_owned();
    let provider =
        Provider { name, line: 1, kind, parts: 3, per_minute: 30, timeout: Duration::from_secs(5), callback_token: None };
    build(&provider, Some(CALLBACK.to_owned())).unwrap()
}

fn twilio(url: &str) -> Arc<dyn Phone> {
    let from = "+15550100000".to_owned();
    provider(ProviderKind::Twilio { api_url: url.to_owned(), account_sid: "AC1".to_owned(), auth_token: secret(), from })
}

fn kavenegar(url: &str) -> Arc<dyn Phone> {
    kavenegar_with(url, None)
}

fn kavenegar_with(url: &str, template: Option<&str>) -> Arc<dyn Phone> {
    provider(ProviderKind::Kavenegar {
        api_url: url.to_owned(),
        api_key: secret(),
        from: Some("1000".to_owned()),
        template: template.map(str::to_owned),
    })
}

fn kannel(url: &str) -> Arc<dyn Phone> {
    let (username, password) = ("bot".to_owned(), secret());
    provider(ProviderKind::Kannel { url: url.to_owned(), username, password, from: None, smsc: None })
}

fn generic(preset: Option<Preset>, change: impl FnOnce(&mut Generic)) -> Generic {
    let secrets = ["api_key", "api_secret"].map(|name| (name.to_owned(), secret()));
    let mut settings = Generic {
        preset,
        from: Some("1000".to_owned()),
        secrets: BTreeMap::from(secrets),
        method: None,
        url: None,
        headers: BTreeMap::new(),
        body: None,
        success_statuses: Vec::new(),
        success_pointer: None,
        success_values: Vec::new(),
        id_pointer: None,
        retry_statuses: Vec::new(),
        retry_values: Vec::new(),
        voice: false,
    };
    change(&mut settings);
    settings
}

fn preset(url: &str, preset: Preset) -> Arc<dyn Phone> {
    provider(ProviderKind::Generic(Box::new(generic(Some(preset), |settings| settings.url = Some(url.to_owned())))))
}

fn call(text: &str) -> PhoneMessage {
    PhoneMessage { id: 42, medium: Medium::Sms, number: "+989121234567".to_owned(), text: text.to_owned() }
}

fn delivered(reference: &str) -> DeliveryOutcome {
    DeliveryOutcome::Delivered { reference: reference.to_owned() }
}

/// The name of an outcome, and whether the address is dead.
fn kind(outcome: &DeliveryOutcome) -> (&'static str, bool) {
    (outcome.name(), matches!(outcome, DeliveryOutcome::Refused { dead: true, .. }))
}

/// Long enough for a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);
/// First byte of a TLS connection: a record of the handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 0x16;

#[tokio::test]
async fn an_https_address_uses_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    for phone in [twilio(&url), kavenegar(&url), kannel(&url), preset(&url, Preset::SmsIr)] {
        let sending = tokio::spawn(async move { phone.send(&call("text")).await });
        let (mut stream, _) = tokio::time::timeout(DEADLINE, listener.accept()).await.expect("it calls").unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), HANDSHAKE);
        drop(stream);
        assert!(matches!(sending.await.unwrap(), DeliveryOutcome::TryAgain { .. }), "nothing was sent");
    }
}

#[tokio::test]
async fn each_provider_answer_has_its_documented_outcome() {
    type Make = fn(&str) -> Arc<dyn Phone>;
    let vonage: Make = |url| preset(url, Preset::Vonage);
    let sms_ir: Make = |url| preset(url, Preset::SmsIr);
    let ghasedak: Make = |url| preset(url, Preset::Ghasedak);
    let lookup: Make = |url| kavenegar_with(url, Some("alert"));
    type Row = (&'static str, Make, u16, &'static str, (&'static str, bool));
    let rows: &[Row] = &[
        ("twilio", twilio, 201, r#"{"sid": "SM1"}"#, ("delivered", false)),
        ("twilio", twilio, 400, r#"{"code": 21211}"#, ("refused", true)),
        ("twilio", twilio, 401, r#"{"code": 20003}"#, ("refused", false)),
        ("twilio", twilio, 429, r#"{"code": 20429}"#, ("rate_limited", false)),
        ("twilio", twilio, 500, "", ("try_again", false)),
        ("twilio", twilio, 502, "<html>", ("unknown", false)),
        ("kavenegar", kavenegar, 200, r#"{"return": {"status": 200}, "entries": [{"messageid": 8}]}"#, ("delivered", false)),
        ("kavenegar", kavenegar, 411, r#"{"return": {"status": 411}}"#, ("refused", true)),
        ("kavenegar", kavenegar, 409, r#"{"return": {"status": 409}}"#, ("try_again", false)),
        ("kavenegar", kavenegar, 418, r#"{"return": {"status": 418}}"#, ("refused", false)),
        ("kavenegar", kavenegar, 451, r#"{"return": {"status": 451}}"#, ("rate_limited", false)),
        ("kavenegar", kavenegar, 429, r#"{"return": {"status": 429}}"#, ("rate_limited", false)),
        ("kavenegar", kavenegar, 402, r#"{"return": {"status": 402}}"#, ("try_again", false)),
        ("kavenegar", kavenegar, 424, r#"{"return": {"status": 424}}"#, ("refused", false)),
        ("twilio", twilio, 400, r#"{"code": 14107}"#, ("rate_limited", false)),
        ("twilio", twilio, 429, r#"{"code": 20429}"#, ("rate_limited", false)),
        ("vonage", vonage, 200, r#"{"messages": [{"status": "10"}]}"#, ("try_again", false)),
        ("vonage", vonage, 200, r#"{"messages": [{"status": "7"}]}"#, ("refused", true)),
        ("vonage", vonage, 200, r#"{"messages": [{"status": "9"}]}"#, ("refused", false)),
        ("kavenegar", kavenegar, 503, "", ("try_again", false)),
        ("vonage", vonage, 200, r#"{"messages": [{"status": "0", "message-id": "V1"}]}"#, ("delivered", false)),
        ("vonage", vonage, 200, r#"{"messages": [{"status": "1"}]}"#, ("try_again", false)),
        ("vonage", vonage, 200, r#"{"messages": [{"status": "4"}]}"#, ("refused", false)),
        ("vonage", vonage, 200, "not JSON", ("unknown", false)),
        ("sms_ir", sms_ir, 200, "{}", ("unknown", false)),
        ("sms_ir", sms_ir, 200, r#"{"status": 1, "data": {"messageIds": [77]}}"#, ("delivered", false)),
        ("sms_ir", sms_ir, 400, r#"{"status": 20}"#, ("try_again", false)),
        ("sms_ir", sms_ir, 401, r#"{"status": 10}"#, ("refused", false)),
        ("ghasedak", ghasedak, 200, r#"{"isSuccess": true, "data": {"messageId": "G1"}}"#, ("delivered", false)),
        ("ghasedak", ghasedak, 200, r#"{"isSuccess": false, "statusCode": 402}"#, ("refused", false)),
        ("ghasedak", ghasedak, 200, r#"{"IsSuccess": true, "Data": {"MessageId": "G2"}}"#, ("delivered", false)),
        ("ghasedak", ghasedak, 429, r#"{"isSuccess": false, "statusCode": 429}"#, ("rate_limited", false)),
        ("sms_ir", sms_ir, 400, r#"{"status": 0}"#, ("try_again", false)),
        ("sms_ir", sms_ir, 429, r#"{"status": 20}"#, ("try_again", false)),
        ("sms_ir", sms_ir, 400, r#"{"status": 102}"#, ("refused", false)),
        ("sms_ir", sms_ir, 400, r#"{"status": 104}"#, ("refused", true)),
        ("sms_ir", sms_ir, 400, r#"{"status": 115}"#, ("refused", true)),
        ("kannel", kannel, 202, "0: Accepted for delivery", ("delivered", false)),
        ("kannel", kannel, 202, "3: Queued for later delivery", ("delivered", false)),
        ("kannel", kannel, 403, "Not routable. Do not try again.", ("refused", false)),
        ("kannel", kannel, 503, "Temporal failure, try again later.", ("try_again", false)),
        ("lookup", lookup, 200, r#"{"return": {"status": 451}, "entries": null}"#, ("rate_limited", false)),
        ("lookup", lookup, 424, r#"{"return": {"status": 424}, "entries": null}"#, ("refused", false)),
    ];
    for (name, make, status, answer, meant) in rows {
        let server = Server::answering(*status, answer).await;
        let outcome = make(&server.url).send(&call("Disk full")).await;
        assert_eq!(kind(&outcome), *meant, "{name} {status} {answer}");
        assert!(!format!("{outcome:?}").contains(KEY), "{outcome:?}");
        let probed = make(&server.url).probe().await;
        assert_eq!(probed, *status < 500, "{name} {status}: a probe succeeds with any answer of the provider");
    }
}

/// Every status that a provider documents for a message, by what follows: a retry, a number that no message reaches, or a person
/// who must fix the account, the settings or the text.
#[tokio::test]
async fn every_documented_status_is_classified() {
    type Make = fn(&str) -> Arc<dyn Phone>;
    type Table = (&'static str, Make, fn(u32) -> String, &'static [u32], &'static [u32], &'static [u32]);
    let tables: [Table; 3] = [
        // developer.vonage.com/en/api-errors/sms
        (
            "vonage",
            |url| preset(url, Preset::Vonage),
            |status| format!(r#"{{"messages": [{{"status": "{status}"}}]}}"#),
            &[1, 5, 10, 13],
            &[7, 33, 34],
            &[2, 3, 4, 6, 8, 9, 11, 12, 14, 15, 22, 23, 29, 32],
        ),
        // kavenegar.com/rest.html#result-general
        (
            "kavenegar",
            kavenegar,
            |status| format!(r#"{{"return": {{"status": {status}}}, "entries": null}}"#),
            &[402, 409, 429, 451, 500],
            &[411],
            &[
                400, 401, 403, 404, 405, 406, 407, 408, 412, 413, 414, 415, 416, 417, 418, 419, 420, 422, 424, 426, 427, 428,
                431, 432, 501, 502, 503, 504, 505, 506, 507, 607,
            ],
        ),
        // sms.ir/rest-api
        (
            "sms_ir",
            |url| preset(url, Preset::SmsIr),
            |status| format!(r#"{{"status": {status}, "data": null}}"#),
            &[0, 20],
            &[104, 115],
            &[10, 11, 12, 13, 14, 101, 102, 103, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 116, 117, 118, 119, 123],
        ),
    ];
    for (name, make, body, retried, dead, fixed) in tables {
        for (statuses, expected) in [(retried, "retry"), (dead, "dead"), (fixed, "fix")] {
            for status in statuses {
                let server = Server::answering(200, body(*status).leak()).await;
                let outcome = make(&server.url).send(&call("Disk full")).await;
                let found = match &outcome {
                    DeliveryOutcome::TryAgain { .. } | DeliveryOutcome::RateLimited { .. } => "retry",
                    DeliveryOutcome::Refused { dead: true, .. } => "dead",
                    DeliveryOutcome::Refused { dead: false, .. } => "fix",
                    _ => "other",
                };
                assert_eq!(found, expected, "{name} {status}: {outcome:?}");
            }
        }
    }
}

/// A proxy's page, a captive portal, an answer that broke off: none is a refusal by the provider.
#[tokio::test]
async fn a_success_without_the_providers_status_is_unknown() {
    type Make = fn(&str) -> Arc<dyn Phone>;
    let makes: [Make; 5] = [
        twilio,
        kavenegar,
        |url| preset(url, Preset::Vonage),
        |url| preset(url, Preset::SmsIr),
        |url| preset(url, Preset::Ghasedak),
    ];
    for (number, make) in makes.into_iter().enumerate() {
        for body in ["", "<html>Welcome</html>", "{}", "null", "[]", "{\"return\": nu"] {
            let server = Server::answering(200, body).await;
            let outcome = make(&server.url).send(&call("Disk full")).await;
            assert!(matches!(outcome, DeliveryOutcome::Unknown { .. }), "{number}, {body:?}: {outcome:?}");
        }
        for (status, expected) in [(408, true), (425, true), (503, true), (302, false), (403, false)] {
            let server = Server::answering(status, "<html>").await;
            let outcome = make(&server.url).send(&call("Disk full")).await;
            assert_eq!(matches!(outcome, DeliveryOutcome::TryAgain { .. }), expected, "{number}, HTTP {status}: {outcome:?}");
        }
    }
    let server = Server::answering(200, r#"{"return": {"status": "200"}, "entries": [{"messageid": "7"}]}"#).await;
    assert_eq!(kavenegar(&server.url).send(&call("Disk full")).await, delivered("7"));
}

#[tokio::test]
async fn a_missing_answer_is_not_sent_or_unknown() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = format!("http://{}", taken.local_addr().unwrap());
    drop(taken);
    assert_eq!(kavenegar(&gone).send(&call("x")).await, DeliveryOutcome::TryAgain { reason: "no connection".to_owned() });
    assert!(!kavenegar(&gone).probe().await);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let breaking = tokio::spawn(async move { drop(listener.accept().await) });
    assert_eq!(kavenegar(&url).send(&call("x")).await, DeliveryOutcome::Unknown { reason: "the connection broke".to_owned() });
    breaking.await.unwrap();
}

#[tokio::test]
async fn requests_have_each_providers_format() {
    let server = Server::answering(201, r#"{"sid": "SM1"}"#).await;
    assert_eq!(twilio(&server.url).send(&call("Disk & full")).await, delivered("SM1"));
    let seen = server.request().await;
    assert_eq!(seen.uri.path(), "/2010-04-01/Accounts/AC1/Messages.json");
    assert!(seen.headers["authorization"].to_str().unwrap().starts_with("Basic "));
    let expected = format!(
        "To=%2B989121234567&From=%2B15550100000&Body=Disk+%26+full&StatusCallback={}",
        CALLBACK.replace(':', "%3A").replace('/', "%2F")
    );
    assert_eq!(seen.body, expected);
    let voice = PhoneMessage { medium: Medium::Voice, ..call("CPU > 90 % & more") };
    assert_eq!(twilio(&server.url).send(&voice).await, delivered("SM1"));
    let seen = server.request().await;
    assert_eq!(seen.uri.path(), "/2010-04-01/Accounts/AC1/Calls.json");
    assert!(seen.body.contains("CPU+%26gt%3B+90+%25+%26amp%3B+more"), "{}", seen.body);

    let server = Server::answering(200, r#"{"return": {"status": 200}, "entries": [{"messageid": 8}]}"#).await;
    assert_eq!(kavenegar(&server.url).send(&call("x")).await, delivered("8"));
    let seen = server.request().await;
    assert_eq!(seen.uri.path(), format!("/v1/{KEY}/sms/send.json"));
    assert_eq!(seen.body, "receptor=09121234567&message=x&localid=42&sender=1000");

    let server = Server::answering(200, r#"{"messages": [{"status": "0", "message-id": "V1"}]}"#).await;
    assert_eq!(preset(&server.url, Preset::Vonage).send(&call("دیسک \"پر\"")).await, delivered("V1"));
    let body: serde_json::Value = serde_json::from_str(&server.request().await.body).unwrap();
    let expected = serde_json::json!({
        "api_key": KEY, "api_secret": KEY, "from": "1000", "to": "989121234567", "text": "دیسک \"پر\"", "type": "unicode",
        "client-ref": "42", "callback": CALLBACK,
    });
    assert_eq!(body, expected);
    let server = Server::answering(200, r#"{"isSuccess": true, "data": {"messageId": "G1"}}"#).await;
    assert_eq!(preset(&server.url, Preset::Ghasedak).send(&call("x")).await, delivered("G1"));
    let seen = server.request().await;
    let body: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!((&body["receptor"], seen.headers["apikey"].to_str().unwrap()), (&"09121234567".into(), KEY));
    let server = Server::answering(200, r#"{"status": 1, "data": {"messageIds": [77]}}"#).await;
    assert_eq!(preset(&server.url, Preset::SmsIr).send(&call("x")).await, delivered("77"));
    let body: serde_json::Value = serde_json::from_str(&server.request().await.body).unwrap();
    assert_eq!((&body["mobiles"], &body["lineNumber"]), (&serde_json::json!(["989121234567"]), &"1000".into()));
}

/// `verify/lookup` as documented by Kavenegar: a template, and tokens with at most 100 characters and a limit of spaces each. The
/// test fails where Kavenegar would answer 431.
#[tokio::test]
async fn kavenegar_templates_get_the_text_as_tokens() {
    let server = Server::answering(200, r#"{"return": {"status": 200}, "entries": [{"messageid": 9}]}"#).await;
    let text = "بحرانی DiskFull db-1: دیسک پایگاه داده ٪۹۷ پر است و تا ۴۰ دقیقه دیگر پر می‌شود پاسخ ACK 4711";
    assert_eq!(kavenegar_with(&server.url, Some("alert")).send(&call(text)).await, delivered("9"));
    let seen = server.request().await;
    assert_eq!((seen.method, seen.uri.path()), (Method::POST, format!("/v1/{KEY}/verify/lookup.json").as_str()));
    assert_eq!(seen.headers["content-type"], "application/x-www-form-urlencoded");
    let fields: BTreeMap<String, String> = fields::pairs(&seen.body).map(|(name, value)| (name, fields::text(value))).collect();
    assert_eq!(fields["receptor"], "09121234567");
    assert_eq!(fields["template"], "alert");
    let known = ["receptor", "template", "token", "token10", "token20"];
    assert!(fields.keys().map(String::as_str).eq(known), "{fields:?}");
    for (token, spaces) in [("token", 0), ("token10", 5), ("token20", 8)] {
        let value = &fields[token];
        assert!(!value.is_empty() && value.chars().count() <= 100, "{token}: {value}");
        assert!(value.matches(char::is_whitespace).count() <= spaces, "{token}: {value}");
    }
    assert_eq!(fields["token"], "4711", "the reply code");
    let spoken = PhoneMessage { medium: Medium::Voice, ..call("x") };
    kavenegar_with(&server.url, Some("alert")).send(&spoken).await;
    assert_eq!(server.request().await.uri.path(), format!("/v1/{KEY}/call/maketts.json"), "a call needs no template");
}

#[tokio::test]
async fn a_generic_provider_uses_templates_and_rules() {
    let server = Server::answering(202, r#"{"message": {"id": "O1"}, "state": "later"}"#).await;
    let settings = |later: &str| {
        generic(None, |settings| {
            settings.method = Some("put".to_owned());
            settings.url = Some(format!("{}/send/{{{{ number|urlencode }}}}?n={{{{ id }}}}", server.url));
            settings.headers.insert("Authorization".to_owned(), "Bearer {{ secrets.api_key }}".to_owned());
            settings.body = Some("{{ text }}".to_owned());
            settings.id_pointer = Some("/message/id".to_owned());
            settings.success_pointer = Some("/state".to_owned());
            settings.success_values = vec![later.to_owned()];
        })
    };
    let send = async |settings| provider(ProviderKind::Generic(Box::new(settings))).send(&call("a\nb")).await;
    assert_eq!(send(settings("later")).await, delivered("O1"));
    let seen = server.request().await;
    assert_eq!((seen.method, seen.uri.to_string()), (Method::PUT, "/send/%2B989121234567?n=42".to_owned()));
    assert_eq!((seen.headers["authorization"].to_str().unwrap(), seen.body.as_str()), (format!("Bearer {KEY}").as_str(), "a\nb"));
    assert_eq!(kind(&send(settings("now")).await), ("refused", false));
    let retried = Generic { retry_statuses: vec![202], ..settings("later") };
    assert_eq!(kind(&send(retried).await), ("try_again", false));
    let missing = Generic { body: Some("{{ nothing }}".to_owned()), ..settings("later") };
    assert_eq!(kind(&send(missing).await), ("refused", false));
    let spoken = Generic { voice: true, ..settings("later") };
    assert_eq!(kind(&send(spoken).await), ("refused", false));
    let broken = Generic { body: Some("{{ text".to_owned()), ..settings("later") };
    let wire = Wire::new(Duration::from_secs(1)).unwrap();
    assert!(generic::GenericProvider::new(wire, &broken, None).is_err());
}

fn called_back(query: &str, body: &str, headers: &[(&'static str, &str)]) -> CallbackRequest {
    let mut request = CallbackRequest {
        method: Method::POST,
        url: CALLBACK.to_owned(),
        query: query.to_owned(),
        headers: HeaderMap::new(),
        body: body.as_bytes().to_vec(),
    };
    for (name, value) in headers {
        request.headers.insert(*name, value.parse().unwrap());
    }
    request
}

fn report(reference: &str, report: DeliveryReport) -> Vec<Callback> {
    vec![Callback::Delivery { reference: reference.to_owned(), report }]
}

fn message(from: &str, text: &str) -> Vec<Callback> {
    vec![Callback::Message { from: from.to_owned(), text: text.to_owned() }]
}

fn failed(reason: &str) -> DeliveryReport {
    DeliveryReport::Failed { reason: reason.to_owned() }
}

#[test]
fn twilio_callbacks_need_a_valid_signature() {
    let twilio = twilio("http://127.0.0.1:9");
    let signed = |body: &str| {
        let signature = twilio::signature(KEY, CALLBACK, body);
        twilio.callback(&called_back("", body, &[("x-twilio-signature", &signature)]))
    };
    assert_eq!(signed("MessageSid=SM1&MessageStatus=delivered").unwrap(), report("SM1", DeliveryReport::Arrived));
    assert_eq!(
        signed("MessageSid=SM1&MessageStatus=undelivered&ErrorCode=30003").unwrap(),
        report("SM1", failed("undelivered, Twilio error 30003"))
    );
    assert_eq!(signed("CallSid=CA1&CallStatus=no-answer").unwrap(), report("CA1", failed("no-answer")));
    assert_eq!(signed("MessageSid=SM2&From=%2B49151&Body=ACK+1234").unwrap(), message("+49151", "ACK 1234"));
    let forged = called_back("", "MessageSid=SM2&From=%2B49151&Body=ACK+1234", &[("x-twilio-signature", "AAAA")]);
    assert_eq!(twilio.callback(&forged), Err(CallbackFault::Unauthentic));
    assert_eq!(twilio.callback(&called_back("", "MessageSid=SM2", &[])), Err(CallbackFault::Unauthentic));
}

/// The example in Twilio's documentation.
#[test]
fn the_signature_matches_the_published_example() {
    let body = "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212";
    let signature = twilio::signature("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", body);
    assert_eq!(signature, "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
}

#[test]
fn other_providers_reports_and_replies_are_parsed() {
    let kavenegar = kavenegar("http://127.0.0.1:9");
    let read = |query: &str| kavenegar.callback(&called_back(query, "", &[])).unwrap();
    assert_eq!(read("messageid=8&status=10"), report("8", DeliveryReport::Arrived));
    assert_eq!(read("messageid=8&status=11"), report("8", failed("Kavenegar delivery status 11")));
    assert_eq!(read("messageid=8&status=4"), report("8", DeliveryReport::Underway));
    assert_eq!(read("messageid=9&from=09121234567&to=1000&message=ACK%201234"), message("+989121234567", "ACK 1234"));

    let kannel = provider(ProviderKind::Kannel {
        url: "http://127.0.0.1:9/cgi-bin/sendsms".to_owned(),
        username: "u".to_owned(),
        password: secret(),
        from: None,
        smsc: None,
    });
    let read = |query: &str| kannel.callback(&called_back(query, "", &[]));
    assert_eq!(read("id=42&report=1").unwrap(), report("42", DeliveryReport::Arrived));
    assert_eq!(read("id=42&report=8").unwrap(), report("42", DeliveryReport::Underway));
    assert_eq!(read("id=42&report=16").unwrap(), report("42", failed("rejected by the network")));
    assert!(matches!(read("id=42&report=99"), Err(CallbackFault::Malformed(_))));
    assert!(matches!(read("text=ACK"), Err(CallbackFault::Malformed(_))));
    assert_eq!(read("from=%2B49&to=1000&text=ACK+1234&coding=0").unwrap(), message("+49", "ACK 1234"));
    assert_eq!(read("from=%2B49&to=1000&text=%063%06D%06'%06E&coding=2").unwrap(), message("+49", "سلام"));

    let vonage = preset("http://127.0.0.1:9", Preset::Vonage);
    let json = [("content-type", "application/json")];
    let read = |body: &str| vonage.callback(&called_back("", body, &json));
    assert_eq!(
        read(r#"{"msisdn": "49151", "messageId": "V1", "status": "delivered"}"#).unwrap(),
        report("V1", DeliveryReport::Arrived)
    );
    assert_eq!(read(r#"{"msisdn": "49151", "messageId": "V1", "status": "expired"}"#).unwrap(), report("V1", failed("expired")));
    assert_eq!(read(r#"{"msisdn": "49151", "messageId": "V2", "text": "ACK 1234"}"#).unwrap(), message("+49151", "ACK 1234"));
    assert!(matches!(read("{"), Err(CallbackFault::Malformed(_))));
}

/// One call may contain several reports, in every format and spelling of its type.
#[test]
fn several_reports_in_one_callback_are_all_read() {
    let (kavenegar, vonage) = (kavenegar("http://127.0.0.1:9"), preset("http://127.0.0.1:9", Preset::Vonage));
    let both = [report("8", DeliveryReport::Arrived), report("9", failed("Kavenegar delivery status 11"))].concat();
    let json = r#"[{"messageid": 8, "status": 10}, {"messageid": "9", "status": "11"}]"#;
    for (query, body, kind) in [
        ("messageid=8&status=10&messageid=9&status=11", "", ""),
        ("", "messageid[]=8&status[]=10&messageid[]=9&status[]=11\r\n", "application/x-www-form-urlencoded"),
        ("", json, "Application/JSON; charset=UTF-8"),
        ("", json, "text/json"),
        ("", json, ""),
        (
            "",
            r#"{"return": {"status": 200}, "entries": [{"messageid": 8, "status": 10}, {"messageid": 9, "status": 11}]}"#,
            "application/json",
        ),
        (
            "token=x",
            "\u{feff}[{\"messageid\": 8, \"status\": 10}, {\"messageid\": 9, \"status\": 11}]",
            "application/problem+json",
        ),
    ] {
        let headers: &[_] = if kind.is_empty() { &[] } else { &[("content-type", kind)] };
        assert_eq!(kavenegar.callback(&called_back(query, body, headers)).as_ref(), Ok(&both), "{query} {body} {kind}");
    }
    // A GET with a type and without a body.
    let headers = [("content-type", "application/json")];
    assert_eq!(
        kavenegar.callback(&called_back("messageid=8&status=10", "", &headers)).unwrap(),
        report("8", DeliveryReport::Arrived)
    );
    let nested = r#"{"results": [{"messageId": "V1", "status": {"groupId": 3, "groupName": "DELIVERED"}}, {"messageId": "V2", "status": {"name": "EXPIRED"}}]}"#;
    let expected = [report("V1", DeliveryReport::Arrived), report("V2", failed("EXPIRED"))].concat();
    assert_eq!(vonage.callback(&called_back("", nested, &headers)).unwrap(), expected);
    assert_eq!(vonage.callback(&called_back("id=1&status=DELIVRD", "", &[])).unwrap(), report("1", DeliveryReport::Arrived));
    assert_eq!(vonage.callback(&called_back("id=1&status=UNDELIV", "", &[])).unwrap(), report("1", failed("UNDELIV")));
    for body in ["[]", "[1]", "7"] {
        assert!(matches!(vonage.callback(&called_back("", body, &headers)), Err(CallbackFault::Malformed(_))), "{body}");
    }
}

/// Windows-1256 in a reply: the code is ASCII, and the rest is not needed.
#[test]
fn a_reply_that_is_not_utf8_keeps_its_code() {
    let kavenegar = kavenegar("http://127.0.0.1:9");
    for (body, kind) in [
        (&b"from=09121234567&message=ACK 1234 \xd3\xe1\xc7\xe3"[..], "application/x-www-form-urlencoded"),
        (&b"{\"from\": \"09121234567\", \"message\": \"ACK 1234 \xd3\xe1\"}"[..], "application/json"),
    ] {
        let mut request = called_back("", "", &[("content-type", kind)]);
        request.body = body.to_vec();
        let read = kavenegar.callback(&request).unwrap();
        let [Callback::Message { from, text }] = read.as_slice() else { panic!("{read:?}") };
        assert!(from == "+989121234567" && text.starts_with("ACK 1234 "), "{text}");
    }
}

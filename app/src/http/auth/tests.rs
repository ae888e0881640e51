//! Tests with the documentation's worked signatures, and of each check before and after the signature in order.

use super::*;
use crate::api_key::{Permissions, Vault};
use crate::http::verifier::Verifier;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use ipnet::IpNet;
use service_kit::config::SecretBytes;
use sha2::Sha256;

/// rest-api.md, "SIGNED Endpoint Examples for POST /api/v3/order", HMAC keys.
const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";
const API_KEY: &str = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
const ASCII: (&str, &str) = (
    "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
    "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
);
const NOT_ASCII: (&str, &str) = (
    "symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
    "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3",
);
/// The documentation's payloads for Ed25519, signed with a test key by `openssl pkeyutl -rawin`. The signatures printed in the
/// documentation under that heading have 256 bytes: they belong to its RSA example.
const ED25519: &str = "f37a74049bd3e24a65604ac781bf49ffb497d7b47a8e5f40bf6b0550b787179c";
const ED25519_SIGNED: [(&str, &str); 2] = [
    (
        "symbol=BTCUSDT&side=SELL&type=LIMIT&timeInForce=GTC&quantity=1&price=0.2&timestamp=1668481559918&recvWindow=5000",
        "Y8EKE+aXYrXUkor7WlCis6CSX+wfb/G+sy3nLAF1LkI7l9yNpieb7qYrFyHuV3SLcXkM1+q+7xlOyhR8+TTSBw==",
    ),
    (
        "symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96&side=SELL&type=LIMIT&timeInForce=GTC&quantity=1&price=0.2&timestamp=1668481559918&recvWindow=5000",
        "eE+RojA3ULRC4ZpU2OsI1X5D2SLmXhEc+mya1hRh6GJ7J8/7he22eLy/HVRusXqQQOKR6i6AG9wGXhZ5q0v5Bw==",
    ),
];

fn hmac() -> Verifier {
    Verifier::hmac(&SECRET.to_owned().into())
}

fn ed25519() -> Verifier {
    let mut key = [0; 32];
    hex::decode_to_slice(ED25519, &mut key).unwrap();
    Verifier::ed25519(&key).unwrap()
}

#[test]
fn the_documented_signatures_verify() {
    for (payload, signature) in [ASCII, NOT_ASCII] {
        assert!(hmac().verify(&[payload.as_bytes()], signature));
        assert!(hmac().verify(&[payload.as_bytes()], &signature.to_uppercase()), "not case-sensitive");
        assert!(!hmac().verify(&[payload.to_lowercase().as_bytes()], signature), "the payload is");
    }
    assert!(!hmac().verify(&[ASCII.0.as_bytes()], NOT_ASCII.1));
    for (payload, signature) in ED25519_SIGNED {
        assert!(ed25519().verify(&[payload.as_bytes()], signature));
        assert!(ed25519().verify(&[payload.as_bytes()], &signature.replace('+', " ")), "a `+` that is not escaped");
        assert!(!ed25519().verify(&[payload.as_bytes()], &signature.to_lowercase()), "case-sensitive");
    }
    assert!(!ed25519().verify(&[ED25519_SIGNED[1].0.as_bytes()], ED25519_SIGNED[0].1));
}

#[test]
fn no_text_at_all_is_a_signature() {
    for text in ["", "0", "zz", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), "AAAA", "====", "\u{0}", "ééé"] {
        assert!(!hmac().verify(&[b"a=1"], text) && !ed25519().verify(&[b"a=1"], text), "{text}");
    }
}

/// RFC 8032, section 7.1, test 2. The second signature is by the point of small order: a lax check accepts it for any message.
#[test]
fn ed25519_is_checked_strictly() {
    let mut key = [0; 32];
    hex::decode_to_slice("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", &mut key).unwrap();
    let signature = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
    let signature = BASE64.encode(hex::decode(signature).unwrap());
    assert!(Verifier::ed25519(&key).unwrap().verify(&[&[0x72]], &signature));
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut forged = [0; 64];
    forged[0] = 1;
    assert!(!Verifier::ed25519(&identity).unwrap().verify(&[b"anything"], &BASE64.encode(forged)));
}

#[test]
fn the_payload_is_everything_but_the_signature() {
    let rows = [
        ("", ["", ""]),
        ("a=1&b=2", ["a=1&b=2", ""]),
        ("a=1&signature=x", ["a=1", ""]),
        ("signature=x&a=1", ["", "a=1"]),
        ("signature=x", ["", ""]),
        ("a=1&signature=x&b=2", ["a=1", "&b=2"]),
        ("a=1&mysignature=x", ["a=1&mysignature=x", ""]),
        ("a=signature=x", ["a=signature=x", ""]),
    ];
    for (part, expected) in rows {
        assert_eq!(without_signature(part.as_bytes()), expected.map(str::as_bytes), "{part}");
    }
}

/// A key store with the documentation's key, read permission only, and the given `networks`.
fn keys(networks: &[IpNet]) -> Keys {
    let keys = Keys::new(Vault::new(&SecretBytes::from([1; 32]), &[]));
    let permissions = Permissions { read: true, ..Permissions::default() };
    keys.insert(API_KEY, Key::new(7, permissions, hmac(), networks.to_vec()));
    keys
}

const NOW: Time = 1_499_827_319_559_000;
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7));

struct Attempt<'a> {
    api_key: Option<&'a str>,
    query: String,
    body: &'a str,
    security: Security,
    received: Time,
    networks: Vec<IpNet>,
}

impl Attempt<'_> {
    /// The documented request as it should be.
    fn good() -> Self {
        Self {
            api_key: Some(API_KEY),
            query: format!("{}&signature={}", ASCII.0, ASCII.1),
            body: "",
            security: Security::UserData,
            received: NOW,
            networks: vec![],
        }
    }

    fn outcome(&self) -> Result<Signed, i32> {
        let mut headers = HeaderMap::new();
        if let Some(api_key) = self.api_key {
            headers.insert("X-MBX-APIKEY", api_key.parse().unwrap());
        }
        let (query, body) = (self.query.as_bytes(), self.body.as_bytes());
        let parameters = Parameters::read(query, body).unwrap();
        let request =
            SignedRequest { headers: &headers, query, body, parameters: &parameters, address: CLIENT, received: self.received };
        authenticate(&keys(&self.networks), self.security, &request).map_err(|error| error.code)
    }
}

#[test]
fn a_documented_request_passes_wherever_its_parameters_stand() {
    assert_eq!(Attempt::good().outcome(), Ok(Signed { account: 7, valid_until: NOW + 5_000_000 }));
    let body = format!("{}&signature={}", ASCII.0, ASCII.1);
    assert!(Attempt { query: String::new(), body: &body, ..Attempt::good() }.outcome().is_ok());
    // Mixed: no `&` between query and body in what is signed (the documentation's own example).
    let (query, body) = ASCII.0.split_once("&quantity").unwrap();
    let signature = hex_signature(&format!("{query}quantity{body}"));
    let body = format!("quantity{body}&signature={signature}");
    assert!(Attempt { query: query.to_owned(), body: &body, ..Attempt::good() }.outcome().is_ok());
}

fn hex_signature(payload: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(payload.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

fn signed(payload: &str) -> String {
    format!("{payload}&signature={}", hex_signature(payload))
}

#[test]
fn faults_are_found_in_order() {
    let long = "a".repeat(API_KEY_MAX + 1);
    let elsewhere = vec!["198.51.100.0/24".parse().unwrap()];
    let good = Attempt::good;
    let query = |text: &str| Attempt { query: text.to_owned(), ..good() };
    let rows = [
        ("no key", Attempt { api_key: None, query: String::new(), ..good() }, -2014),
        ("empty key", Attempt { api_key: Some(""), ..good() }, -2014),
        ("key with other characters", Attempt { api_key: Some("abc-def"), ..good() }, -2014),
        ("overlong key", Attempt { api_key: Some(&long), ..good() }, -2014),
        ("no timestamp, unknown key", Attempt { api_key: Some("abc"), query: String::new(), ..good() }, -1102),
        ("empty timestamp", query("timestamp=&signature=x"), -1102),
        ("malformed timestamp", query("timestamp=soon&signature=x"), -1100),
        ("malformed recvWindow", query("timestamp=1499827319559&recvWindow=1.2345&signature=x"), -1100),
        ("recvWindow too large before a signature is missed", query("timestamp=1499827319559&recvWindow=60000.001"), -1131),
        ("no signature", query("timestamp=1499827319559"), -1102),
        ("stale, before the key is looked at", Attempt { api_key: Some("abc"), received: NOW + 5_000_001, ..good() }, -1021),
        ("ahead", Attempt { received: NOW - 1_000_000, ..good() }, -1021),
        ("unknown key", Attempt { api_key: Some("abc"), ..good() }, -2015),
        (
            "address not allowed, before the signature",
            Attempt { networks: elsewhere, ..query("timestamp=1499827319559&signature=x") },
            -2015,
        ),
        ("wrong signature", query("timestamp=1499827319559&signature=x"), -1022),
        (
            "wrong signature, before the permission",
            Attempt { security: Security::Trade, ..query("timestamp=1499827319559&signature=x") },
            -1022,
        ),
        ("no permission to trade", Attempt { security: Security::Trade, ..good() }, -2015),
        ("no permission to withdraw", Attempt { security: Security::Withdraw, ..good() }, -2015),
    ];
    for (name, attempt, code) in rows {
        assert_eq!(attempt.outcome(), Err(code), "{name}");
    }
}

#[test]
fn windows_end_where_they_say() {
    let attempt = |payload: &str, received| Attempt { query: signed(payload), received, ..Attempt::good() }.outcome();
    assert!(attempt("timestamp=1499827319559", NOW + 5_000_000).is_ok(), "5000 ms by default");
    assert_eq!(attempt("timestamp=1499827319559", NOW + 5_000_001), Err(-1021));
    assert!(attempt("timestamp=1499827319559&recvWindow=0.5", NOW + 500).is_ok());
    assert_eq!(attempt("timestamp=1499827319559&recvWindow=0.5", NOW + 501), Err(-1021));
    assert!(attempt("timestamp=1499827319559&recvWindow=60000", NOW + 60_000_000).is_ok());
    assert!(attempt("timestamp=1499827319559123&recvWindow=1", NOW + 1_123).is_ok(), "microseconds");
    assert!(attempt("timestamp=1499827319559", NOW - 999_999).is_ok(), "less than a second ahead");
    assert_eq!(attempt("timestamp=1499827319559", NOW - 1_000_000), Err(-1021));
}

#[test]
fn an_allowed_network_lets_pass() {
    let networks = vec!["198.51.100.0/24".parse().unwrap(), "203.0.113.7/32".parse().unwrap()];
    assert!(Attempt { networks, ..Attempt::good() }.outcome().is_ok());
}

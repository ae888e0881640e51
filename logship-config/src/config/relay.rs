//! This module reads the settings of `logship relay`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use service_kit::config::{Secret, SettingsReader};

/// The relay's address, its streams and limits, and the time it retries.
#[derive(Debug, Clone)]
pub struct RelaySettings {
    pub listen: SocketAddr,
    /// `None`: no TLS, on the loopback address only.
    pub tls: Option<TlsFiles>,
    /// The shipper's credential. `None` is allowed only on the loopback address.
    pub token: Option<Secret>,
    /// Data streams that may be written.
    pub streams: Vec<String>,
    /// The data stream of permanently refused documents.
    pub dead_letters: String,
    /// Largest body in bytes, compressed or not.
    pub body_limit: usize,
    /// Bytes of all chunks, arriving or in progress.
    pub memory: usize,
    pub chunks_at_once: usize,
    /// Open connections, three quarters of them of one address.
    pub connections: u32,
    /// Time in which a client sends the head of its next request, or accepts a byte of an answer.
    pub client_timeout: Duration,
    /// Time that a chunk waits for memory and a place before it is refused.
    pub wait: Duration,
    /// From a chunk's complete arrival to its answer.
    pub deadline: Duration,
}

/// PEM files of the listener. They are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// With the chain up to the authority.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Names of the limits that a refusal mentions.
pub const RELAY_MEMORY: &str = "LOGSHIP_RELAY_MEMORY";
pub const RELAY_CHUNKS_AT_ONCE: &str = "LOGSHIP_RELAY_CHUNKS_AT_ONCE";

const LISTEN: &str = "LOGSHIP_RELAY_LISTEN";
const STREAMS: &str = "LOGSHIP_RELAY_STREAMS";
const DEAD_LETTERS: &str = "LOGSHIP_RELAY_DEAD_LETTERS";
const TOKEN: &str = "LOGSHIP_RELAY_TOKEN";
const CERTIFICATE: &str = "LOGSHIP_RELAY_CERTIFICATE_FILE";
const KEY: &str = "LOGSHIP_RELAY_KEY_FILE";
const STREAMS_HELP: &str = "data streams that may be written, such as logs-exchange.app-default,logs-exchange.audit-default";
/// A chunk of Fluent Bit is about 2 MiB; its JSON is rarely larger than three times that.
const DEFAULT_BODY_LIMIT: usize = 8 << 20;
/// Elasticsearch's own limit of a body (`http.max_content_length`) is 100 MiB unless it was changed.
const HIGHEST_BODY_LIMIT: usize = 100 << 20;
/// Four bodies of the largest size while they arrive and inflate, or hundreds of the usual size (one pod, one second).
const DEFAULT_MEMORY: usize = 64 << 20;
/// Each chunk is one request to Elasticsearch. Fluent Bit sends one per pod and second.
const DEFAULT_CHUNKS_AT_ONCE: usize = 64;
const HIGHEST_CHUNKS_AT_ONCE: usize = 1024;
/// Fluent Bit closes an idle connection after 30 s itself: a shorter limit would close connections that it is about to use.
const DEFAULT_CLIENT_TIMEOUT: Duration = Duration::from_secs(60);
/// Each output of Fluent Bit opens a connection per chunk that it sends at once. A connection needs up to 64 KiB of memory.
const DEFAULT_CONNECTIONS: u32 = 2_048;
const HIGHEST_CONNECTIONS: u32 = 65_536;
/// Fluent Bit retries 3 to 31 s after a refusal: a wait of this length costs less.
const DEFAULT_WAIT: Duration = Duration::from_secs(10);
/// The smallest allowed memory holds one arriving body (a quarter) and its plain form twice.
pub const BODIES_IN_MEMORY: usize = 4;
const HIGHEST_MEMORY: usize = 4 << 30;

impl RelaySettings {
    /// `needed`: for the command `relay`. The other commands accept missing values.
    pub(super) fn read(env: &mut SettingsReader, needed: bool) -> Self {
        let listen = env.or(
            LISTEN,
            SocketAddr::from(([127, 0, 0, 1], 9651)),
            "address:port for the shipper; any address other than loopback needs LOGSHIP_RELAY_TOKEN and a certificate",
        );
        let tls = tls(env);
        let token =
            env.optional_secret(TOKEN, "token that the shipper sends as `Authorization: ApiKey …` (Fluent Bit: http_api_key)");
        if !listen.ip().is_loopback() && (tls.is_none() || token.is_none()) {
            let wrong = format!("is {listen}, which other machines may reach");
            let remedy = format!("listen on 127.0.0.1 in the shipper's pod, or set {CERTIFICATE}, {KEY} and {TOKEN}[_FILE]");
            env.fault(LISTEN, &wrong, &remedy);
        }
        let streams: Vec<String> = env.list(STREAMS, STREAMS_HELP);
        if streams.is_empty() && needed {
            env.fault(STREAMS, "is missing", &format!("set it: {STREAMS_HELP}"));
        }
        if let Some(wrong) = streams.iter().find(|name| !is_stream_name(name)) {
            env.fault(STREAMS, &format!("contains {wrong:?}, which is not a data stream name"), NAME_REMEDY);
        }
        let dead_letters =
            env.or(DEAD_LETTERS, "logs-logship.dead_letter-default".to_owned(), "data stream of permanently refused documents");
        if !is_stream_name(&dead_letters) {
            env.fault(DEAD_LETTERS, &format!("is {dead_letters:?}, which is not a data stream name"), NAME_REMEDY);
        }
        if streams.contains(&dead_letters) {
            env.fault(DEAD_LETTERS, &format!("is listed in {STREAMS} too"), "use a separate stream for dead letters");
        }
        let body_limit = env.or_within(
            "LOGSHIP_RELAY_BODY_LIMIT",
            DEFAULT_BODY_LIMIT,
            1 << 10..=HIGHEST_BODY_LIMIT,
            "largest chunk in bytes, compressed or not; LOGSHIP_RELAY_MEMORY must hold four of them",
        );
        let least = body_limit * BODIES_IN_MEMORY;
        Self {
            listen,
            tls,
            token,
            streams,
            dead_letters,
            body_limit,
            memory: env.or_within(
                RELAY_MEMORY,
                DEFAULT_MEMORY.max(least),
                least..=HIGHEST_MEMORY,
                "memory in bytes for all chunks, arriving or in progress; at least four times LOGSHIP_RELAY_BODY_LIMIT",
            ),
            chunks_at_once: env.or_within(
                RELAY_CHUNKS_AT_ONCE,
                DEFAULT_CHUNKS_AT_ONCE,
                1..=HIGHEST_CHUNKS_AT_ONCE,
                "chunks sent to Elasticsearch concurrently; further chunks wait",
            ),
            connections: env.or_within(
                "LOGSHIP_RELAY_CONNECTIONS",
                DEFAULT_CONNECTIONS,
                4..=HIGHEST_CONNECTIONS,
                "open connections of shippers, three quarters of them from one address; further ones wait or are closed",
            ),
            client_timeout: env.duration_within(
                "LOGSHIP_RELAY_CLIENT_TIMEOUT",
                DEFAULT_CLIENT_TIMEOUT,
                super::LIMITS,
                "time in which a client must send its next head, a body (at most 30s), or accept a byte of its answer",
            ),
            wait: env.duration(
                "LOGSHIP_RELAY_WAIT",
                DEFAULT_WAIT,
                "time that a chunk waits for memory and a place before the relay answers 429",
            ),
            deadline: env.duration_within(
                "LOGSHIP_RELAY_DEADLINE",
                Duration::from_secs(30),
                super::LIMITS,
                "time from a chunk's complete arrival until the relay answers 503; must be below the shipper's own time limit",
            ),
        }
    }
}

const NAME_REMEDY: &str = "write <type>-<dataset>-<namespace> in lower case, such as logs-exchange.app-default";

/// A name according to the data stream naming scheme: no pattern, no list, no character that JSON or a path would have to
/// escape.
fn is_stream_name(name: &str) -> bool {
    const LIMIT: usize = 255;
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
    name.len() <= LIMIT && name.bytes().all(allowed) && name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
}

fn tls(env: &mut SettingsReader) -> Option<TlsFiles> {
    let certificate: Option<PathBuf> = env.optional(CERTIFICATE, "PEM file of the listener's certificate and its chain");
    let key: Option<PathBuf> = env.optional(KEY, "PEM file of that certificate's private key");
    match (certificate, key) {
        (Some(certificate), Some(key)) => return Some(TlsFiles { certificate, key }),
        (Some(_), None) => env.fault(KEY, "is missing", &format!("{CERTIFICATE} needs it")),
        (None, Some(_)) => env.fault(CERTIFICATE, "is missing", &format!("{KEY} needs it")),
        (None, None) => {}
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(variables: &[(&str, &str)]) -> Result<RelaySettings, String> {
        let read = |env: &mut SettingsReader| RelaySettings::read(env, true);
        service_kit::config::load("LOGSHIP", variables.iter().copied(), read).map_err(|faults| faults.to_string())
    }

    const NAMES: (&str, &str) = (STREAMS, "logs-exchange.app-default, logs-exchange.audit-default");

    #[test]
    fn listens_elsewhere_only_with_tls_and_a_token() {
        let (certificate, key, token) = ((CERTIFICATE, "/c"), (KEY, "/k"), (TOKEN, "t"));
        assert!(load(&[NAMES]).unwrap().listen.ip().is_loopback());
        for listen in ["0.0.0.0:9651", "10.0.0.1:9651", "[::]:9651"] {
            let listen = (LISTEN, listen);
            for variables in [&[NAMES, listen][..], &[NAMES, listen, token], &[NAMES, listen, certificate, key]] {
                let told = load(variables).unwrap_err();
                assert!(told.contains("other machines may reach") && told.contains("listen on 127.0.0.1"), "{told}");
            }
            assert!(load(&[NAMES, listen, certificate, key, token]).is_ok());
        }
        assert!(load(&[NAMES, (LISTEN, "[::1]:9651")]).is_ok());
        assert!(load(&[NAMES, certificate]).unwrap_err().contains("LOGSHIP_RELAY_KEY_FILE is missing"));
    }

    #[test]
    fn invalid_stream_names_are_refused() {
        assert_eq!(load(&[NAMES]).unwrap().streams.len(), 2);
        assert!(load(&[]).unwrap_err().contains("LOGSHIP_RELAY_STREAMS is missing"));
        for wrong in ["logs-*", "Logs-a-b", ".ds-logs", "_all", "a\"b", "logs a"] {
            assert!(load(&[(STREAMS, wrong)]).unwrap_err().contains("which is not a data stream"), "{wrong}");
        }
        let told = load(&[NAMES, (DEAD_LETTERS, "logs-exchange.app-default")]).unwrap_err();
        assert!(told.contains("is listed in LOGSHIP_RELAY_STREAMS too"), "{told}");
    }
}

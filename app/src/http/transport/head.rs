//! This module finds and checks one head, and rewrites it in a form that hyper accepts. It must not use the socket.

use crate::http::error::ApiError;
use axum::body::Bytes;
use axum::http::{HeaderName, Method, StatusCode, Uri};
use bytes::{Buf, BytesMut};

/// Bytes of a request's head.
const HEAD_MAX: usize = 64 * 1024;
/// Bytes of a request's target. Its encoded form is at most three times as long, which is below the limit of `http::Uri`.
const TARGET_MAX: usize = 20 * 1024;
/// Maximum size of a head in the form that hyper reads.
pub const REWRITTEN_MAX: usize = HEAD_MAX + 2 * TARGET_MAX;
/// Maximum number of headers, as in hyper.
const HEADERS_MAX: usize = 100;

/// Why input did not become a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadFault {
    Malformed,
    Lengths,
    TargetTooLong,
    HeadTooLarge,
    Slow,
}

impl HeadFault {
    /// Value in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Lengths => "lengths",
            Self::TargetTooLong => "target_too_long",
            Self::HeadTooLarge => "head_too_large",
            Self::Slow => "slow_head",
        }
    }

    pub const fn answer(self) -> ApiError {
        match self {
            Self::Malformed => ApiError::bad(-1000, "Request line or a header is malformed."),
            Self::Lengths => ApiError::bad(-1000, "Content-Length or Transfer-Encoding is malformed or ambiguous."),
            Self::TargetTooLong => ApiError::new(StatusCode::URI_TOO_LONG, -1013, "Request target is longer than 20480 bytes."),
            Self::HeadTooLarge => ApiError::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                -1013,
                "Request headers are larger than 65536 bytes or more than 100.",
            ),
            Self::Slow => ApiError::new(StatusCode::REQUEST_TIMEOUT, -1013, "Request headers were not received in time."),
        }
    }
}

pub enum Body {
    Length(u64),
    Chunked,
}

pub struct RequestHead {
    /// The query as received, if it had to be encoded.
    pub raw_query: Option<Bytes>,
    pub body: Body,
}

/// Takes one head off `input` and appends it to `output`. `None`: the head is incomplete.
///
/// # Errors
///
/// Returns an error if the input cannot become a head.
pub fn read_request_head(
    input: &mut BytesMut,
    scanned: &mut usize,
    output: &mut BytesMut,
) -> Result<Option<RequestHead>, HeadFault> {
    if *scanned == 0 {
        // Skip empty lines before a request, as RFC 9112 requires.
        let empty = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        input.advance(empty);
        // Another protocol, such as TLS, is answered before its sender waits for the end of a head.
        if input.first().is_some_and(|first| !first.is_ascii_alphabetic()) {
            return Err(HeadFault::Malformed);
        }
    }
    let Some(end) = end(input, *scanned) else {
        *scanned = input.len();
        if input.len() < HEAD_MAX {
            return Ok(None);
        }
        // Once per head: a scan at each partial read would make the cost quadratic.
        let has_line = input.iter().take(TARGET_MAX * 2).any(|byte| *byte == b'\n');
        return Err(if has_line { HeadFault::HeadTooLarge } else { HeadFault::TargetTooLong });
    };
    *scanned = 0;
    let head = input.split_to(end);
    if head.len() > HEAD_MAX {
        return Err(HeadFault::HeadTooLarge);
    }
    let line = head.iter().position(|byte| *byte == b'\n').ok_or(HeadFault::Malformed)?;
    let from = head[..line].iter().position(|byte| *byte == b' ').ok_or(HeadFault::Malformed)? + 1;
    let to = from + head[from..line].iter().position(|byte| *byte == b' ').ok_or(HeadFault::Malformed)?;
    let target = &head[from..to];
    if target.len() > TARGET_MAX {
        return Err(HeadFault::TargetTooLong);
    }
    let rewritten = target.iter().any(|byte| must_encode(*byte));
    let start = output.len();
    output.extend_from_slice(&head[..from]);
    for byte in target {
        if must_encode(*byte) {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            output.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        } else {
            output.extend_from_slice(&[*byte]);
        }
    }
    output.extend_from_slice(&head[to..]);
    let body = check(&output[start..]).inspect_err(|_| output.truncate(start))?;
    let raw_query = rewritten.then(|| raw_query(target)).flatten();
    Ok(Some(RequestHead { raw_query, body }))
}

/// Bytes that clients send raw in a query and that `http::Uri` rejects or reads differently.
const fn must_encode(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | b'[' | b']' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80..)
}

fn raw_query(target: &[u8]) -> Option<Bytes> {
    let start = target.iter().position(|byte| *byte == b'?')? + 1;
    let end = target.iter().position(|byte| *byte == b'#').unwrap_or(target.len());
    target.get(start..end).map(Bytes::copy_from_slice)
}

/// End of the head, after the empty line. The bytes before `scanned` contain no end, except one that is split there.
fn end(input: &[u8], scanned: usize) -> Option<usize> {
    let from = scanned.saturating_sub(3);
    let mut rest = from;
    while let Some(found) = input[rest..].iter().position(|byte| *byte == b'\n') {
        rest += found + 1;
        match &input[rest..] {
            [b'\n', ..] => return Some(rest + 1),
            [b'\r', b'\n', ..] => return Some(rest + 2),
            _ => {}
        }
    }
    None
}

/// Rejects every input that hyper would reject with an empty answer.
fn check(head: &[u8]) -> Result<Body, HeadFault> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(HeadFault::HeadTooLarge),
        Ok(_) | Err(_) => return Err(HeadFault::Malformed),
    }
    let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
    if Method::from_bytes(method.as_bytes()).is_err() || method == "CONNECT" || target.parse::<Uri>().is_err() {
        return Err(HeadFault::Malformed);
    }
    let (mut length, mut chunked) = (None, false);
    for header in request.headers.iter() {
        if HeaderName::from_bytes(header.name.as_bytes()).is_err() {
            return Err(HeadFault::Malformed);
        }
        if header.name.eq_ignore_ascii_case("content-length") {
            let digits = std::str::from_utf8(header.value).map_err(|_| HeadFault::Lengths)?;
            let value: u64 = Some(digits)
                .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|digits| digits.parse().ok())
                // hyper reserves the largest values.
                .filter(|value| *value < u64::MAX - 2)
                .ok_or(HeadFault::Lengths)?;
            if length.is_some_and(|before| before != value) {
                return Err(HeadFault::Lengths);
            }
            length = Some(value);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if chunked || !header.value.eq_ignore_ascii_case(b"chunked") || request.version != Some(1) {
                return Err(HeadFault::Lengths);
            }
            chunked = true;
        }
    }
    match (length, chunked) {
        (Some(_), true) => Err(HeadFault::Lengths),
        (None, true) => Ok(Body::Chunked),
        (length, false) => Ok(Body::Length(length.unwrap_or(0))),
    }
}

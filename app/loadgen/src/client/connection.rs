//! This module is a keep-alive connection: it sends the bytes of a request and returns status and body of its response. It must
//! not interpret them.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Headers of one response; more is an error.
const HEADERS_MAX: usize = 48;
/// Buffer for a typical response, and minimum size of each read.
const BUFFER: usize = 8 * 1024;
/// Largest accepted response.
const RESPONSE_MAX: usize = 64 << 20;

/// A response; its body is borrowed from the connection.
#[derive(Debug, Clone, Copy)]
pub struct Response<'a> {
    pub status: u16,
    /// Seconds, if the server sends Retry-After.
    pub retry_after: Option<u64>,
    /// The server closes the connection after this response.
    pub closes: bool,
    pub body: &'a [u8],
}

/// An open connection. It must not be used after an error.
#[derive(Debug)]
pub struct HttpConnection {
    stream: TcpStream,
    received: Vec<u8>,
}

struct Head {
    status: u16,
    retry_after: Option<u64>,
    closes: bool,
    start: usize,
    length: usize,
}

impl HttpConnection {
    /// Connects.
    ///
    /// # Errors
    ///
    /// Returns the system's error.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(BUFFER) })
    }

    /// Sends one request and waits for its response.
    ///
    /// # Errors Returns an error if the connection is lost (the request may have been executed), or the response is not HTTP/1.1
    /// with a length.
    pub async fn ask(&mut self, request: &[u8]) -> Result<Response<'_>> {
        self.received.clear();
        self.stream.write_all(request).await?;
        let head = loop {
            self.read_more().await?;
            if let Some(head) = parse(&self.received)? {
                break head;
            }
        };
        let end = head.start + head.length;
        while self.received.len() < end {
            self.read_more().await?;
        }
        let Head { status, retry_after, closes, .. } = head;
        Ok(Response { status, retry_after, closes, body: &self.received[head.start..end] })
    }

    async fn read_more(&mut self) -> Result<()> {
        self.received.reserve(BUFFER);
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err(Error::new(ErrorKind::UnexpectedEof, "the server closed the connection")),
            _ if self.received.len() > RESPONSE_MAX => Err(invalid("the response is too large")),
            _ => Ok(()),
        }
    }
}

fn invalid(text: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, text)
}

/// The head, once it is complete.
fn parse(received: &[u8]) -> Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let start = match response.parse(received).map_err(|_| invalid("the response is not HTTP/1.1"))? {
        httparse::Status::Complete(start) => start,
        httparse::Status::Partial => return Ok(None),
    };
    let number = |name: &str| {
        let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()?.trim().parse().ok()
    };
    let status = response.code.unwrap_or_default();
    let length = match number("content-length") {
        Some(length) if length <= RESPONSE_MAX as u64 => length as usize,
        None if status == 204 || status == 304 => 0,
        _ => return Err(invalid("the response has no usable Content-Length")),
    };
    let closes = response
        .headers
        .iter()
        .any(|header| header.name.eq_ignore_ascii_case("connection") && header.value.trim_ascii().eq_ignore_ascii_case(b"close"));
    Ok(Some(Head { status, retry_after: number("retry-after"), closes, start, length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let text = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
        for end in 0..text.len() - 2 {
            assert!(parse(&text[..end]).unwrap().is_none(), "{end}");
        }
        let head = parse(text).unwrap().unwrap();
        assert_eq!((head.status, head.retry_after, head.closes, head.length), (429, Some(7), true, 2));
        let stays = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap().unwrap();
        assert!(!stays.closes);
        assert_eq!(&text[head.start..], b"{}");
        assert!(parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    }
}

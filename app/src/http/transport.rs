//! This module is the read side of a connection, between the socket and hyper. It checks every head first, so that a transport
//! error is answered in the shape of every other error. It must not interpret a request.
//!
//! - A target may contain raw bytes that RFC 3986 forbids and clients send (`"`, `[`, `{`, bytes outside ASCII): hyper receives
//!   them percent-encoded, and the query as sent is passed along for the signature.
//! - An error becomes a substitute request with the refusal in [`Sent`]: its answer follows those of the earlier requests.
//! - The module reads nothing after an error, because the start of the next request is unknown.
//! - A body whose chunks are malformed ends for hyper as one that was cut off, which its reader answers.
//! - After an upgrade ([`Switch`]) bytes pass unchanged in both directions.
//! - Each byte of a head is scanned a fixed number of times, for any number of reads.

mod chunked;
mod head;

use axum::body::Bytes;
use bytes::{Buf, BytesMut};
use chunked::{ChunkProgress, Chunked};
use head::{Body, RequestHead};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

pub use head::{HeadFault, REWRITTEN_MAX};

/// Time limit for a request's head; it also closes an idle connection.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
const READ_SIZE: usize = 8 * 1024;
/// Time after a refusal in which input is read and dropped, so that the kernel does not reset the connection before the client
/// reads the answer. `LINGER_BYTES_MAX` bounds it too.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 1024 * 1024;
/// A client that reads this much within the write timeout is slow, not stuck.
const WRITE_PROGRESS: usize = 64 * 1024;
/// Substitute that hyper reads instead of a refused head.
const REFUSED: &[u8] = b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n";

/// Data about a request that hyper does not have.
#[derive(Debug)]
pub enum Sent {
    /// The target as received.
    Plain,
    /// The query as received, before its bytes were encoded.
    Raw(Bytes),
    Refused(HeadFault),
}

/// One entry per request, in order.
pub type SentQueue = Arc<Mutex<VecDeque<Sent>>>;

/// Set when a request was answered 101: what follows is another protocol.
pub type Switch = Arc<AtomicBool>;

enum State {
    Head,
    Length(u64),
    Chunked(Chunked),
    Refused {
        dropped: usize,
    },
    /// The body was malformed: hyper reads the end of the input.
    Broken,
    Ended,
    /// Another protocol.
    Switched,
}

pub struct Transport<S> {
    stream: S,
    /// For the log.
    peer: SocketAddr,
    state: State,
    /// Received, not parsed yet.
    input: BytesMut,
    /// Prefix of `input` without the end of a head, already scanned.
    scanned: usize,
    /// Output for hyper.
    output: BytesMut,
    queue: SentQueue,
    switch: Switch,
    head_timer: Pin<Box<Sleep>>,
    write_timeout: Duration,
    write_timer: Option<(Pin<Box<Sleep>>, usize)>,
    linger_timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Transport<S> {
    pub fn new(stream: S, peer: SocketAddr, queue: SentQueue, switch: Switch, write_timeout: Duration) -> Self {
        Self {
            stream,
            peer,
            state: State::Head,
            input: BytesMut::new(),
            scanned: 0,
            output: BytesMut::new(),
            queue,
            switch,
            head_timer: Box::pin(tokio::time::sleep(HEAD_TIMEOUT)),
            write_timeout,
            write_timer: None,
            linger_timer: None,
        }
    }

    fn refuse(&mut self, fault: HeadFault) {
        self.input.clear();
        self.output.extend_from_slice(REFUSED);
        self.queue.lock().push_back(Sent::Refused(fault));
        self.state = State::Refused { dropped: 0 };
    }

    fn begin_head(&mut self) {
        self.state = State::Head;
        self.scanned = 0;
        self.head_timer.as_mut().reset(Instant::now() + HEAD_TIMEOUT);
    }

    /// Moves parsed bytes from `input` to `output`.
    fn advance(&mut self) {
        while !self.input.is_empty() {
            match &mut self.state {
                State::Head => match head::read_request_head(&mut self.input, &mut self.scanned, &mut self.output) {
                    Ok(None) => return,
                    Ok(Some(RequestHead { raw_query, body })) => {
                        self.queue.lock().push_back(raw_query.map_or(Sent::Plain, Sent::Raw));
                        match body {
                            Body::Length(0) => self.begin_head(),
                            Body::Length(length) => self.state = State::Length(length),
                            Body::Chunked => self.state = State::Chunked(Chunked::default()),
                        }
                    }
                    Err(fault) => self.refuse(fault),
                },
                State::Length(left) => {
                    let taken = self.input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    self.output.extend_from_slice(&self.input[..taken]);
                    self.input.advance(taken);
                    *left -= taken as u64;
                    if *left == 0 {
                        self.begin_head();
                    }
                }
                State::Chunked(chunked) => {
                    let (taken, progress) = chunked.advance(&self.input);
                    self.output.extend_from_slice(&self.input[..taken]);
                    self.input.advance(taken);
                    match progress {
                        ChunkProgress::More => {}
                        ChunkProgress::Ended => self.begin_head(),
                        ChunkProgress::Broken => {
                            tracing::info!(reason = "chunks", client.address = %self.peer, "refused malformed input on a connection");
                            self.state = State::Broken;
                        }
                    }
                }
                State::Refused { .. } | State::Broken | State::Ended => self.input.clear(),
                State::Switched => {
                    self.output.extend_from_slice(&self.input);
                    self.input.clear();
                }
            }
        }
    }
}

impl<S: AsyncRead + Unpin> Transport<S> {
    /// Drops input after a refusal; ready when the input ends or the limit is reached.
    fn poll_drop(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut room = [0; 4096];
        while let State::Refused { dropped } = &mut self.state {
            let mut read = ReadBuf::new(&mut room);
            match Pin::new(&mut self.stream).poll_read(cx, &mut read) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !read.filled().is_empty() => *dropped += read.filled().len(),
                Poll::Ready(_) => self.state = State::Ended,
            }
            if matches!(self.state, State::Refused { dropped } if dropped > LINGER_BYTES_MAX) {
                self.state = State::Ended;
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Transport<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.state, State::Head) && this.switch.load(Ordering::Acquire) {
            this.state = State::Switched;
            this.advance();
        }
        loop {
            if !this.output.is_empty() {
                let taken = this.output.len().min(buffer.remaining());
                buffer.put_slice(&this.output[..taken]);
                this.output.advance(taken);
                return Poll::Ready(Ok(()));
            }
            if matches!(this.state, State::Broken) {
                return Poll::Ready(Ok(()));
            }
            // hyper closes the connection once the refusal is written: an end of input would cut that short.
            if matches!(this.state, State::Refused { .. } | State::Ended) {
                return Poll::Pending;
            }
            if matches!(this.state, State::Switched) {
                return Pin::new(&mut this.stream).poll_read(cx, buffer);
            }
            let mut room = [MaybeUninit::uninit(); READ_SIZE];
            let mut read = ReadBuf::uninit(&mut room);
            match Pin::new(&mut this.stream).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if read.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {
                    this.input.extend_from_slice(read.filled());
                    this.advance();
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if matches!(this.state, State::Head) => {
                    std::task::ready!(this.head_timer.as_mut().poll(cx));
                    if this.input.is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                    this.refuse(HeadFault::Slow);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> Transport<S> {
    /// Closes a connection whose client does not read.
    fn watch(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending => {
                let timeout = self.write_timeout;
                let (timer, _) = self.write_timer.get_or_insert_with(|| (Box::pin(tokio::time::sleep(timeout)), 0));
                std::task::ready!(timer.as_mut().poll(cx));
                tracing::info!("closing a connection because the client does not read its answers");
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Ready(Ok(count)) => {
                if let Some((_, progress)) = &mut self.write_timer {
                    *progress += count;
                    if *progress >= WRITE_PROGRESS {
                        self.write_timer = None;
                    }
                }
                if self.input.is_empty() && matches!(self.state, State::Head) {
                    self.head_timer.as_mut().reset(Instant::now() + HEAD_TIMEOUT);
                }
                Poll::Ready(Ok(count))
            }
            failed => failed,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Transport<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.watch(cx, written)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, parts);
        this.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes after it has written everything.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.write_timer = None;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        std::task::ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        if matches!(this.state, State::Broken) {
            this.state = State::Refused { dropped: 0 };
        }
        let timer = this.linger_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        this.poll_drop(cx).map(Ok)
    }
}

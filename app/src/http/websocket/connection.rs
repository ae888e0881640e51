//! This module is the life of one WebSocket: reading, writing, pings, limits, the end. It must not interpret a message.
//!
//! - The client is pinged every 20 s, and disconnected if no ping was answered for a minute.
//! - A connection lives at most 24 hours.
//! - The client is disconnected if it sends more than the allowed number of messages per second.
//! - The end is a close frame with a code and a reason, whatever its cause.

use super::rate::MessageRate;
use crate::metrics::{Connected, StreamMetrics};
use crate::streams::outlet::{Outlet, OutletEnd};
use futures::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};
use tokio_util::sync::CancellationToken;

/// Longest message of a client, in one frame or several. 1,024 names of streams fit.
pub const MESSAGE_MAX: usize = 64 * 1024;
const PING_EVERY: Duration = Duration::from_secs(20);
/// Time without an answer to a ping after which a connection counts as dead.
const SILENCE_MAX: Duration = Duration::from_secs(60);
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Time limit of the closing handshake.
const CLOSING: Duration = Duration::from_secs(1);
/// Messages written between two looks at the socket's input.
const BATCH: usize = 256;
/// Queued bytes above which no further request of this connection is read.
const BACKLOG_MAX: usize = 1 << 20;

pub type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// What a connection is for.
pub trait Serve: Send {
    fn serve(self: Box<Self>, socket: Socket, shutdown: CancellationToken) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Why the server closes a connection.
#[derive(Debug, Clone)]
pub struct CloseReason {
    pub code: CloseCode,
    pub text: &'static str,
    /// Value of the metric's label; `None`: expected.
    pub reason: Option<&'static str>,
}

impl CloseReason {
    const fn new(code: CloseCode, text: &'static str, reason: Option<&'static str>) -> Self {
        Self { code, text, reason }
    }

    pub const RATE: Self = Self::new(CloseCode::Policy, "Too many messages; at most 5 per second are allowed.", Some("rate"));
    pub const BANNED: Self = Self::new(CloseCode::Policy, "Way too much request weight used; IP banned.", Some("rate"));
    const BINARY: Self =
        Self::new(CloseCode::Unsupported, "Binary frames are not supported; send JSON in text frames.", Some("protocol"));
    const TOO_LARGE: Self = Self::new(CloseCode::Size, "Message is larger than 65536 bytes.", Some("protocol"));
    const NOT_UTF8: Self = Self::new(CloseCode::Invalid, "Text message is not valid UTF-8.", Some("protocol"));
    const PROTOCOL: Self = Self::new(CloseCode::Protocol, "WebSocket protocol violation.", Some("protocol"));
    const SILENT: Self = Self::new(CloseCode::Policy, "No pong received within a minute.", Some("silent"));
    const OLD: Self = Self::new(CloseCode::Normal, "The connection is 24 hours old; please reconnect.", Some("age"));
    const SLOW: Self = Self::new(CloseCode::Policy, "The client reads too slowly.", Some("slow"));
    const LOST: Self = Self::new(CloseCode::Restart, "Events were lost; please reconnect.", Some("lost"));
    const SHUTDOWN: Self = Self::new(CloseCode::Away, "The server is shutting down; please reconnect.", None);
}

/// The content of a connection.
pub trait Session: Send {
    /// Label of the metrics.
    const KIND: &'static str;
    /// Whether text messages count for the limit of messages per second.
    const LIMITS_TEXT: bool;

    fn outlet(&self) -> &Arc<Outlet>;
    /// Handles one message. It must not wait.
    fn text(&mut self, text: Utf8Bytes) -> Result<(), CloseReason>;
    /// Continues the requests in progress; pending while there are none. Safe to drop.
    fn progress(&mut self) -> impl Future<Output = ()> + Send;
    /// False: enough requests are in progress.
    fn has_room(&self) -> bool;
    /// Called each second: whether what was allowed still is.
    fn check(&mut self);
    /// The server stops: the last message.
    fn shutdown(&mut self);
    /// Ends every subscription.
    fn end(&mut self);
}

/// Serves a connection until its end.
pub async fn serve_session<S: Session>(
    mut socket: Socket,
    session: &mut S,
    metrics: &StreamMetrics,
    shutdown: CancellationToken,
) {
    let _connected = Connected::enter(&metrics.connections.with_label_values(&[S::KIND]));
    let closing = Connection::new(session).run(&mut socket, &shutdown).await;
    session.end();
    if let Some(closing) = closing {
        if let Some(reason) = closing.reason {
            metrics.ended.with_label_values(&[reason]).inc();
            tracing::debug!(reason, kind = S::KIND, "closing a WebSocket connection");
        }
        close(&mut socket, closing).await;
    }
}

struct Connection<'s, S> {
    session: &'s mut S,
    outlet: Arc<Outlet>,
    rate: MessageRate,
    /// When the oldest unanswered ping was sent.
    unanswered: Option<Instant>,
    pings: u64,
    messages: Vec<Utf8Bytes>,
}

/// `None`: the client closed the connection or it broke.
type Ended = Option<CloseReason>;

impl<'s, S: Session> Connection<'s, S> {
    fn new(session: &'s mut S) -> Self {
        let outlet = Arc::clone(session.outlet());
        Self { session, outlet, rate: MessageRate::new(Instant::now()), unanswered: None, pings: 0, messages: Vec::new() }
    }

    async fn run(mut self, socket: &mut Socket, shutdown: &CancellationToken) -> Ended {
        let begun = Instant::now();
        let mut pings = tokio::time::interval_at(begun + PING_EVERY, PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut checks = tokio::time::interval(CHECK_EVERY);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut life = std::pin::pin!(tokio::time::sleep_until(begun + LIFE));
        loop {
            let reads = self.session.has_room() && self.outlet.bytes() < BACKLOG_MAX;
            tokio::select! {
                () = self.outlet.ready() => match self.write(socket).await {
                    Ok(None) => {}
                    Ok(end) => return end.map(closing_of),
                    Err(error) => return closing_of_error(&error),
                },
                message = socket.next(), if reads => match message {
                    Some(Ok(message)) => if let Err(closing) = self.read(message) {
                        // The reply that explains it.
                        let _ = self.write(socket).await;
                        return closing;
                    },
                    Some(Err(error)) => return closing_of_error(&error),
                    None => return None,
                },
                () = self.session.progress() => {}
                _ = checks.tick() => self.session.check(),
                _ = pings.tick() => {
                    let now = Instant::now();
                    if self.unanswered.is_some_and(|since| now - since >= SILENCE_MAX) {
                        return Some(CloseReason::SILENT);
                    }
                    self.unanswered.get_or_insert(now);
                    self.pings += 1;
                    let ping = Message::Ping(Bytes::copy_from_slice(self.pings.to_string().as_bytes()));
                    if socket.send(ping).await.is_err() {
                        return None;
                    }
                }
                () = &mut life => return Some(CloseReason::OLD),
                () = shutdown.cancelled() => {
                    self.session.shutdown();
                    return match self.write(socket).await {
                        Ok(None) => Some(CloseReason::SHUTDOWN),
                        Ok(end) => end.map(closing_of),
                        Err(_) => None,
                    };
                }
            }
        }
    }

    /// Handles a client's message.
    fn read(&mut self, message: Message) -> Result<(), Ended> {
        let limited = match &message {
            Message::Text(_) => S::LIMITS_TEXT,
            Message::Ping(_) | Message::Pong(_) => true,
            _ => false,
        };
        if limited && !self.rate.allows(Instant::now()) {
            return Err(Some(CloseReason::RATE));
        }
        match message {
            Message::Text(text) => self.session.text(text).map_err(Some),
            Message::Binary(_) => Err(Some(CloseReason::BINARY)),
            Message::Pong(payload) => {
                // A pong that answers no ping does not prove that the client reads.
                if payload == self.pings.to_string().as_bytes() {
                    self.unanswered = None;
                }
                Ok(())
            }
            // The library answers pings and close frames.
            Message::Ping(_) | Message::Close(_) | Message::Frame(_) => Ok(()),
        }
    }

    /// Writes everything that is queued.
    async fn write(&mut self, socket: &mut Socket) -> Result<Option<OutletEnd>, Error> {
        loop {
            if let Some(end) = self.outlet.take(BATCH, &mut self.messages) {
                return Ok(Some(end));
            }
            if self.messages.is_empty() {
                return Ok(None);
            }
            let writing = async {
                for message in self.messages.drain(..) {
                    socket.feed(Message::Text(message)).await?;
                }
                socket.flush().await
            };
            // A reader that is cut off must not hold its connection until the write times out.
            tokio::select! {
                written = writing => written?,
                () = cut(&self.outlet) => {}
            }
            self.messages.clear();
        }
    }
}

async fn cut(outlet: &Outlet) {
    while !outlet.is_ended() {
        outlet.ready().await;
    }
}

const fn closing_of(end: OutletEnd) -> CloseReason {
    match end {
        OutletEnd::Slow => CloseReason::SLOW,
        OutletEnd::Lost => CloseReason::LOST,
    }
}

fn closing_of_error(error: &Error) -> Ended {
    match error {
        Error::Capacity(_) => Some(CloseReason::TOO_LARGE),
        Error::Utf8(_) => Some(CloseReason::NOT_UTF8),
        Error::Protocol(_) => Some(CloseReason::PROTOCOL),
        // Of the transport: the client took nothing for the whole write timeout.
        Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => Some(CloseReason::SLOW),
        _ => None,
    }
}

/// The closing handshake; input is read and dropped meanwhile, so that the client receives the close frame.
async fn close(socket: &mut Socket, closing: CloseReason) {
    let frame = CloseFrame { code: closing.code, reason: Utf8Bytes::from_static(closing.text) };
    let handshake = async {
        if socket.close(Some(frame)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    let _ = tokio::time::timeout(CLOSING, handshake).await;
}

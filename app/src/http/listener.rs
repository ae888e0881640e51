//! This module accepts the API's connections, limits their number and time, and drains them at the end. It must not interpret
//! requests.

mod handshake;

use super::edge::{AsSent, Peer};
use super::error::ApiError;
use super::transport::{REWRITTEN_MAX, Sent, SentQueue, Switch, Transport};
use super::websocket::Admitted;
use crate::address_key::AddressKey;
use crate::metrics::Connected;
use axum::Router;
use axum::body::Body;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use service_kit::metrics::{IntCounter, IntGauge};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::Service;

/// Concurrent connections; further ones wait in the accept queue.
const CONNECTIONS_MAX: u32 = 16_384;
/// Pause after accept failed for lack of a resource (file handles).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Wait for handshakes in progress while the server ends: longer than a round trip, shorter than the repetition of a SYN.
const HANDSHAKE_WAIT: Duration = Duration::from_millis(300);
/// Wait for the first request of a connection while the server ends.
const FIRST_REQUEST_WAIT: Duration = Duration::from_secs(1);

/// Answers input that did not become a request.
pub type Refuse = Arc<dyn Fn(Request<Body>, ApiError) -> Pin<Box<dyn Future<Output = Response> + Send>> + Send + Sync>;

/// Limits per client.
pub struct ListenerBounds {
    pub write_timeout: Duration,
    /// Concurrent connections.
    pub per_address: u32,
    /// Exempt networks: a proxy has the connections of many clients.
    pub exempt: Vec<IpNet>,
    /// Connections closed immediately because their address has too many.
    pub over: IntCounter,
}

/// Parts that a connection needs.
pub struct Serving {
    pub router: Router,
    pub refuse: Refuse,
    pub bounds: ListenerBounds,
    pub connections: IntGauge,
}

/// The two steps in which the API ends.
#[derive(Clone)]
pub struct Closing {
    /// Each answer closes its connection. Idle connections stay open: a proxy may be sending a request on one, and never sends a
    /// POST again that it has sent.
    pub asked: CancellationToken,
    /// No further connection is accepted, and each open one ends with its request in progress.
    pub last: CancellationToken,
}

/// Serves `serving` until `closing.last`, then waits for every request in progress.
///
/// # Errors
///
/// Returns none at present: a failed accept is logged and retried.
pub async fn serve_connections(listener: TcpListener, serving: Serving, closing: Closing) -> io::Result<()> {
    let Serving { router, refuse, bounds, connections } = serving;
    let addresses = Arc::default();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
    let mut server = hyper::server::conn::http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(REWRITTEN_MAX).pipeline_flush(true);
    // The end of the time for handshakes in progress.
    let mut end = None;
    loop {
        let accepted = tokio::select! {
            // Connections that the kernel has accepted are served first: closing the listener would reset them.
            biased;
            accepted = accept(&listener, &places) => accepted,
            () = closing.last.cancelled(), if end.is_none() => {
                if let Err(error) = handshake::ignore_new(&listener) {
                    tracing::warn!(%error, "failed to ignore new connections; some may be reset");
                }
                end = Some(Instant::now() + HANDSHAKE_WAIT);
                continue;
            }
            () = at(end) => break,
        };
        let (stream, peer, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection; retrying");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(counted) = CountedConnection::enter(&addresses, &bounds, peer.ip()) else {
            bounds.over.inc();
            tracing::debug!(client.ip = %peer.ip(), "closing a connection because its address has too many");
            continue;
        };
        // A reply is one small write: waiting to fill a segment would only delay it.
        let _ = stream.set_nodelay(true);
        let (router, refuse, queue, switch) = (router.clone(), Arc::clone(&refuse), SentQueue::default(), Switch::default());
        let stream = Transport::new(stream, peer, Arc::clone(&queue), Arc::clone(&switch), bounds.write_timeout);
        let held = Arc::new((place, counted, Connected::enter(&connections)));
        let asked = closing.asked.clone();
        // A WebSocket ends at once: its client connects again, to another server.
        let admitted = Admitted::new(held.clone(), asked.clone());
        let used = Arc::new(AtomicBool::new(false));
        let using = Arc::clone(&used);
        let service = service_fn(move |mut request: Request<Incoming>| {
            using.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(Peer(peer));
            request.extensions_mut().insert(admitted.clone());
            let request = request.map(Body::new);
            let answering = answer(&mut router.clone(), &refuse, queue.lock().pop_front(), request);
            finished(answering, asked.clone(), Arc::clone(&switch))
        });
        let connection = server.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let ending = closing.last.clone();
        tokio::spawn(async move {
            let mut connection = std::pin::pin!(connection);
            // A client that disconnects or does not speak HTTP is not logged.
            let _ = tokio::select! {
                ended = &mut connection => ended,
                () = may_end(&ending, &used) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            // An upgraded connection holds another clone.
            drop(held);
        });
    }
    drop(listener);
    // All permits are free once every connection has ended.
    places.acquire_many(CONNECTIONS_MAX).await.map(drop).map_err(io::Error::other)
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Completes when the connection ends at its next idle moment. A proxy may have sent the first request of a connection that this
/// server has accepted and not read; it never sends a POST again.
async fn may_end(last: &CancellationToken, used: &AtomicBool) {
    last.cancelled().await;
    if !used.load(Ordering::Relaxed) {
        tokio::time::sleep(FIRST_REQUEST_WAIT).await;
    }
}

/// The answer. It closes its connection if the server shuts down, and an upgrade takes the connection from the transport.
async fn finished(
    answering: impl Future<Output = Result<Response, std::convert::Infallible>>,
    asked: CancellationToken,
    switch: Switch,
) -> Result<Response, std::convert::Infallible> {
    let mut response = answering.await?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        switch.store(true, Ordering::Release);
    } else if asked.is_cancelled() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// The answer to a request, or to a refusal of the transport.
fn answer(
    router: &mut Router,
    refuse: &Refuse,
    sent: Option<Sent>,
    mut request: Request<Body>,
) -> Pin<Box<dyn Future<Output = Result<Response, std::convert::Infallible>> + Send>> {
    match sent {
        Some(Sent::Refused(fault)) => {
            let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
            tracing::info!(reason = fault.name(), client.address = ?peer, "refused malformed input on a connection");
            let answer = refuse(request, fault.answer());
            Box::pin(async move { Ok(answer.await) })
        }
        Some(Sent::Raw(query)) => {
            request.extensions_mut().insert(AsSent(query));
            Box::pin(router.call(request))
        }
        Some(Sent::Plain) | None => Box::pin(router.call(request)),
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(tokio::net::TcpStream, std::net::SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, place))
}

type ConnectionCounts = Arc<Mutex<FxHashMap<AddressKey, u32>>>;

/// One connection of an address; contains `None` for an exempt address.
struct CountedConnection(Option<(ConnectionCounts, AddressKey)>);

impl CountedConnection {
    /// `None`: the address is at its limit.
    fn enter(addresses: &ConnectionCounts, bounds: &ListenerBounds, peer: IpAddr) -> Option<Self> {
        let address = peer.to_canonical();
        if bounds.exempt.iter().any(|network| network.contains(&address)) {
            return Some(Self(None));
        }
        let address = AddressKey::new(address);
        let mut table = addresses.lock();
        let count = table.entry(address).or_default();
        if *count >= bounds.per_address {
            return None;
        }
        *count += 1;
        Some(Self(Some((Arc::clone(addresses), address))))
    }
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        let Some((addresses, address)) = &self.0 else { return };
        let mut table = addresses.lock();
        if let Some(count) = table.get_mut(address) {
            *count -= 1;
            if *count == 0 {
                table.remove(address);
            }
        }
    }
}

#[cfg(test)]
mod tests;

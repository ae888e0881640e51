//! This module accepts the relay's connections, limits their number, memory and time, and ends them. It must not interpret
//! requests.
//!
//! | client | bound |
//! |---|---|
//! | sends nothing, or a head byte by byte | `LOGSHIP_RELAY_CLIENT_TIMEOUT` |
//! | sends a large head, or large extensions of chunks | [`HEAD_BYTES`], and a limit of the library |
//! | sends a body byte by byte | a time limit of the handler |
//! | does not read its answers | `LOGSHIP_RELAY_CLIENT_TIMEOUT` |
//! | does not finish its TLS handshake | [`HANDSHAKE_TIMEOUT`] |
//! | opens many connections | `LOGSHIP_RELAY_CONNECTIONS`, three quarters of them for one address |

use std::{
    collections::HashMap,
    error::Error as _,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use service_kit::metrics::{IntCounterVec, IntGauge};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::{tls::MountedTls, write_limit::WriteLimit};
use crate::metrics::RelayMetrics;

/// Largest head, and largest part of a body that waits in a connection's buffer.
const HEAD_BYTES: usize = 32 << 10;
/// A client that needs longer for its handshake has stopped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept, for example because of missing file descriptors.
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);
/// Wait for a head that is arriving while the relay ends.
const LAST_HEAD_WAIT: Duration = Duration::from_secs(1);
/// Prefix of the addresses of one IPv6 client.
const IPV6_CLIENT: u32 = 64;

/// Reasons for closing a connection without an answer.
pub const CLOSED: [&str; 5] = ["too_many", "no_request", "not_read", "handshake", "malformed"];

/// Limits and counters of connections. Clones share them.
#[derive(Debug, Clone)]
pub struct Connections {
    places: Arc<Semaphore>,
    most: u32,
    /// From the end of a request, or of the handshake, to the end of the next head. Also for each byte of an answer.
    timeout: Duration,
    addresses: Arc<Mutex<HashMap<IpAddr, u32>>>,
    open: IntGauge,
    closed: IntCounterVec,
}

impl Connections {
    pub fn new(most: u32, timeout: Duration, metrics: &RelayMetrics) -> Self {
        Self {
            places: Arc::new(Semaphore::new(most as usize)),
            most,
            timeout,
            addresses: Arc::default(),
            open: metrics.connections.clone(),
            closed: metrics.closed_connections.clone(),
        }
    }

    fn of_one_address(&self) -> u32 {
        self.most - self.most / 4
    }

    fn close(&self, reason: &'static str) {
        self.closed.with_label_values(&[reason]).inc();
    }

    /// `None`: the address is at its limit.
    fn enter(&self, place: OwnedSemaphorePermit, address: IpAddr) -> Option<OpenConnection> {
        let address = client(address);
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let count = addresses.entry(address).or_default();
        if *count >= self.of_one_address() {
            return None;
        }
        *count += 1;
        self.open.inc();
        Some(OpenConnection { of: self.clone(), address, _place: place })
    }
}

/// The addresses that one client may choose from count as one.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (u128::BITS - IPV6_CLIENT))))
        }
        address => address,
    }
}

/// A connection is counted until this is dropped.
struct OpenConnection {
    of: Connections,
    address: IpAddr,
    _place: OwnedSemaphorePermit,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.of.open.dec();
        let mut addresses = self.of.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = addresses.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&self.address);
            }
        }
    }
}

/// Serves until `stop` is cancelled and all pending requests are answered.
///
/// # Errors
/// Returns none at present: a failed accept is logged and retried.
pub async fn serve(
    listener: TcpListener,
    mut tls: Option<MountedTls>,
    router: Router,
    connections: Connections,
    stop: CancellationToken,
) -> io::Result<()> {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(connections.timeout).max_buf_size(HEAD_BYTES);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &connections.places) => accepted,
        };
        let (stream, peer, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection; retrying");
                tokio::time::sleep(AFTER_A_FAILURE).await;
                continue;
            }
        };
        let Some(open) = connections.enter(place, peer.ip()) else {
            connections.close("too_many");
            tracing::debug!(client.ip = %peer.ip(), "closing a connection because its address has too many");
            continue;
        };
        // An answer is one small write: waiting to fill a segment would only delay it.
        let _ = stream.set_nodelay(true);
        let (server, router, stop) = (server.clone(), router.clone(), stop.clone());
        match tls.as_mut().map(MountedTls::acceptor) {
            None => drop(tokio::spawn(converse(server, stream, router, open, stop))),
            Some(acceptor) => drop(tokio::spawn(async move {
                if let Some(stream) = handshake(acceptor, stream, &open.of).await {
                    converse(server, stream, router, open, stop).await;
                }
            })),
        }
    }
    drop(listener);
    // All permits are free once every connection has ended.
    connections.places.acquire_many(connections.most).await.map(drop).map_err(io::Error::other)
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, place))
}

async fn handshake(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    connections: &Connections,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake timed out"),
    }
    connections.close("handshake");
    None
}

/// Answers the requests of one connection.
async fn converse<Stream>(server: http1::Builder, stream: Stream, router: Router, open: OpenConnection, stop: CancellationToken)
where
    Stream: AsyncRead + AsyncWrite + Unpin + Send,
{
    let pending = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&pending);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let request_pending = Pending::begin(&counted);
        let request: Request = request.map(Body::new);
        let answering = router.clone().call(request);
        async move {
            let answer = answering.await;
            drop(request_pending);
            answer
        }
    });
    let stream = WriteLimit::new(stream, open.of.timeout);
    let mut connection = std::pin::pin!(server.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = &mut connection => ended,
                // Half a head would delay the end of the process.
                () = no_request(&pending) => Ok(()),
            }
        }
    };
    if let Err(error) = ended
        && let Some(reason) = reason(&error)
    {
        tracing::debug!(%error, reason, "closed a connection");
        open.of.close(reason);
    }
}

/// A request of the connection is in progress until this is dropped.
struct Pending(Arc<AtomicUsize>);

impl Pending {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

async fn no_request(pending: &AtomicUsize) {
    loop {
        tokio::time::sleep(LAST_HEAD_WAIT).await;
        if pending.load(Relaxed) == 0 {
            return;
        }
    }
}

/// `None`: the client closed the connection itself.
fn reason(error: &hyper::Error) -> Option<&'static str> {
    if error.is_timeout() {
        return Some("no_request");
    }
    if error.is_parse() {
        return Some("malformed");
    }
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    io.filter(|error| error.kind() == io::ErrorKind::TimedOut).map(|_| "not_read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_uses_three_quarters_of_the_connections() {
        let metrics = service_kit::metrics::Metrics::new("logship", "0", None);
        let metrics = RelayMetrics::register(&metrics).unwrap();
        let connections = Connections::new(8, Duration::from_secs(1), &metrics);
        let enter = async |address: &str| {
            let place = Arc::clone(&connections.places).acquire_owned().await.unwrap();
            connections.enter(place, address.parse().unwrap())
        };
        let mut open = Vec::new();
        for number in 0..6 {
            open.extend(enter(["10.0.0.1", "::ffff:10.0.0.1"][number % 2]).await);
        }
        assert_eq!((open.len(), metrics.connections.get()), (6, 6));
        assert!(enter("10.0.0.1").await.is_none() && enter("::ffff:10.0.0.1").await.is_none());
        open.extend(enter("2001:db8::1").await);
        open.extend(enter("2001:db8::2").await);
        assert_eq!(open.len(), 8);
        assert_eq!(connections.addresses.lock().unwrap().len(), 2, "one client has many IPv6 addresses");
        drop(open);
        assert!(enter("10.0.0.1").await.is_some());
        assert_eq!(metrics.connections.get(), 0);
        assert!(connections.addresses.lock().unwrap().is_empty());
    }
}

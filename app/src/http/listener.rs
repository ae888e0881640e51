//! Connections of the API: accepted, bounded in number and time, drained at the end. Never: what is asked on them.

use super::edge::Peer;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use service_kit::metrics::IntGauge;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::Service;

/// Connections at once; more wait to be accepted.
const CONNECTIONS_MAX: u32 = 16_384;
/// For a request's head to arrive, which also ends a connection that is idle for so long.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// Bytes of a request's head.
const HEAD_MAX: usize = 64 * 1024;
/// After accept failed for want of something (file handles): until the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` until `shutdown`, then lets every request that has begun end.
///
/// # Errors
/// None at present: a failed accept is logged and tried again.
pub async fn serve(listener: TcpListener, router: Router, connections: IntGauge, shutdown: CancellationToken) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
    let mut server = hyper::server::conn::http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_MAX).pipeline_flush(true);
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let (stream, peer, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Replies are one small write each: waiting to fill a segment would only delay them.
        let _ = stream.set_nodelay(true);
        let router = router.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            router.clone().call(request.map(Body::new))
        });
        let connection = server.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let counted = Connected::enter(&connections);
        let ending = shutdown.clone();
        tokio::spawn(async move {
            let mut connection = std::pin::pin!(connection);
            // A client that goes away or speaks no HTTP is not our fault to log.
            let _ = tokio::select! {
                ended = &mut connection => ended,
                () = ending.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            drop((place, counted));
        });
    }
    drop(listener);
    // Every place is free once every connection has ended.
    places.acquire_many(CONNECTIONS_MAX).await.map(drop).map_err(io::Error::other)
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(tokio::net::TcpStream, std::net::SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, place))
}

struct Connected(IntGauge);

impl Connected {
    fn enter(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    /// One that sends its head a byte a minute, and one that says nothing after its first request, would each hold a place.
    #[tokio::test(start_paused = true)]
    async fn a_head_that_does_not_arrive_and_an_idle_connection_are_ended() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(|| async { "here" }));
        let connections = IntGauge::new("connections", "open").unwrap();
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, router, connections.clone(), shutdown.clone()));
        for sent in ["GET / HTTP/1.1\r\nHost: exch", "GET / HTTP/1.1\r\nHost: exchange\r\n\r\n"] {
            let mut client = TcpStream::connect(address).await.unwrap();
            let begun = tokio::time::Instant::now();
            client.write_all(sent.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            assert_eq!(begun.elapsed().as_secs(), HEAD_TIMEOUT.as_secs(), "{sent}");
            assert_eq!(
                answer.starts_with(b"HTTP/1.1 200 OK"),
                sent.ends_with("\r\n\r\n"),
                "{}",
                String::from_utf8_lossy(&answer)
            );
        }
        shutdown.cancel();
        serving.await.unwrap().unwrap();
        assert_eq!(connections.get(), 0);
    }
}

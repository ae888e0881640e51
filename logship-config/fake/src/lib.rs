//! This crate is a stateful fake of the part of Elasticsearch 9 that `logship` uses: for tests in one process, and for a
//! first try on one machine. Errors have Elasticsearch's shape and texts. Index lifecycles move with the clock.
//!
//! - [`Cluster`] is pure: a call and the time come in, an answer goes out. [`Fake`] is the HTTP server around it.
//! - It refuses unmodelled calls with 501. It must not answer with a success that Elasticsearch would refuse.
//! - It writes nothing to disk.
//!
//! ```no_run
//! # async fn show() -> anyhow::Result<()> {
//! use elasticsearch_fake::{Cluster, Fake};
//!
//! let fake = Fake::start(Cluster::default()).await?;
//! // … a client is pointed at fake.url() …
//! let streams = fake.look(|cluster| cluster.data_streams.len());
//! # Ok(()) }
//! ```

mod answer;
mod call;
mod cluster;
mod fault;
mod filter;
mod pattern;
mod server;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub use answer::FakeAnswer;
pub use call::ReceivedCall;
pub use cluster::{Cluster, DataStream, Disk, Document, Index, LifecycleProgress, Mode, Policy, SnapshotPolicy, StepFailure};
pub use fault::{InjectedFault, InjectedFaults, InjectedKind as FaultKind};

struct Shared {
    cluster: Mutex<Cluster>,
    /// How far the fake's clock is ahead of the wall's.
    ahead: Mutex<SignedDuration>,
    /// `None`: none is kept.
    calls: Option<Mutex<Vec<(ReceivedCall, u16)>>>,
}

impl Shared {
    fn now(&self) -> Timestamp {
        let ahead = *self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        Timestamp::now().checked_add(ahead).unwrap_or(Timestamp::MAX)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Cluster) -> T) -> T {
        change(&mut self.cluster.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A running fake. Dropping it ends it.
pub struct Fake {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

/// Calls kept for tests to look at; later ones are not.
const CALLS_KEPT: usize = 100_000;
/// Of the body of a `_bulk`, which may be large, so much is kept.
const BULK_KEPT_BYTES: usize = 4 << 10;

impl Fake {
    /// On a free port of the loopback address, keeping calls for tests to look at.
    pub async fn start(cluster: Cluster) -> Result<Self> {
        Self::begin((Ipv4Addr::LOCALHOST, 0).into(), cluster, Some(Mutex::default())).await
    }

    /// Keeping no calls: for as long as one likes.
    ///
    /// # Errors
    /// When the address is taken.
    pub async fn start_on(address: SocketAddr, cluster: Cluster) -> Result<Self> {
        Self::begin(address, cluster, None).await
    }

    async fn begin(address: SocketAddr, cluster: Cluster, calls: Option<Mutex<Vec<(ReceivedCall, u16)>>>) -> Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
        let address = listener.local_addr().context("reading the address")?;
        let shared = Arc::new(Shared { cluster: Mutex::new(cluster), ahead: Mutex::new(SignedDuration::ZERO), calls });
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server::serve(listener, Arc::clone(&shared), stop.clone()));
        Ok(Self { shared, address, stop, serving })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn look<T>(&self, look: impl FnOnce(&Cluster) -> T) -> T {
        self.shared.change(|cluster| look(cluster))
    }

    pub fn change<T>(&self, change: impl FnOnce(&mut Cluster) -> T) -> T {
        self.shared.change(change)
    }

    /// The fake's time.
    pub fn now(&self) -> Timestamp {
        self.shared.now()
    }

    /// Sets the fake's clock forward. Due actions happen at the next call.
    pub fn advance(&self, by: SignedDuration) {
        let mut ahead = self.shared.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        *ahead = ahead.checked_add(by).unwrap_or(SignedDuration::MAX);
    }

    /// Every call so far with the status of its answer, in order; none where they are not kept.
    pub fn calls(&self) -> Vec<(ReceivedCall, u16)> {
        let kept = self.shared.calls.as_ref();
        kept.map_or_else(Vec::new, |calls| calls.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    pub fn forget_calls(&self) {
        if let Some(calls) = &self.shared.calls {
            calls.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// Returns when the server ends, which happens only on an error.
    pub async fn serve(mut self) {
        // A panic in it has been printed.
        let _ = (&mut self.serving).await;
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

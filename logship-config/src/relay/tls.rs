//! This module is the listener with TLS, for relays that shippers of other pods or machines reach. Certificates are read
//! again when they change.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::config::TlsFiles;

/// A client that needs longer for its handshake has stopped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Finished handshakes that wait to be served.
const WAITING: usize = 64;
/// Interval between checks of the files for changes.
const LOOK_AT_FILES_EVERY: Duration = Duration::from_secs(5);
/// Pause after a failed accept, for example because of missing file descriptors.
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);

/// Accepts connections. Each handshake runs in its own task, so that a slow one does not delay others.
#[derive(Debug)]
pub struct TlsListener {
    address: SocketAddr,
    shaken: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl TlsListener {
    /// # Errors
    /// Returns an error if the files contain no matching certificate and key.
    pub fn start(listener: TcpListener, files: TlsFiles) -> anyhow::Result<Self> {
        let address = listener.local_addr().context("reading the address")?;
        let mounted = MountedTls::read(files)?;
        let (sender, shaken) = mpsc::channel(WAITING);
        tokio::spawn(accept(listener, mounted, sender));
        Ok(Self { address, shaken })
    }
}

async fn accept(listener: TcpListener, mut mounted: MountedTls, shaken: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>) {
    loop {
        let (stream, peer) = tokio::select! {
            () = shaken.closed() => return,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(AFTER_A_FAILURE).await;
                    continue;
                }
            },
        };
        let (acceptor, shaken) = (mounted.acceptor(), shaken.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
                // Fails if the listener is ending.
                Ok(Ok(stream)) => drop(shaken.send((stream, peer)).await),
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake timed out"),
            }
        });
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.shaken.recv().await {
            Some(accepted) => accepted,
            // The accepting task ends only after this listener.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}

/// The contents of the files.
struct MountedTls {
    files: TlsFiles,
    changed: [Option<SystemTime>; 2],
    looked: tokio::time::Instant,
    acceptor: TlsAcceptor,
}

impl MountedTls {
    fn read(files: TlsFiles) -> anyhow::Result<Self> {
        let (changed, acceptor) = (changed(&files), acceptor(&files)?);
        Ok(Self { files, changed, looked: tokio::time::Instant::now(), acceptor })
    }

    fn acceptor(&mut self) -> TlsAcceptor {
        if self.looked.elapsed() >= LOOK_AT_FILES_EVERY {
            self.looked = tokio::time::Instant::now();
            let now = changed(&self.files);
            if now != self.changed {
                match acceptor(&self.files) {
                    Ok(acceptor) => {
                        (self.changed, self.acceptor) = (now, acceptor);
                        tracing::info!("the listener's certificate changed and was read again");
                    }
                    Err(error) => {
                        tracing::warn!(
                            error = format!("{error:#}"),
                            "failed to read the listener's certificate; the previous one stays in use"
                        );
                    }
                }
            }
        }
        self.acceptor.clone()
    }
}

/// Checks that the files contain a matching certificate and key.
pub fn check_files(files: &TlsFiles) -> anyhow::Result<()> {
    acceptor(files).map(drop)
}

fn changed(files: &TlsFiles) -> [Option<SystemTime>; 2] {
    [&files.certificate, &files.key].map(|path| std::fs::metadata(path).ok()?.modified().ok())
}

fn acceptor(files: &TlsFiles) -> anyhow::Result<TlsAcceptor> {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(&files.certificate).and_then(Iterator::collect).with_context(|| {
            format!("LOGSHIP_RELAY_CERTIFICATE_FILE: {} contains no PEM certificate", files.certificate.display())
        })?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| format!("LOGSHIP_RELAY_KEY_FILE: {} contains no PEM private key", files.key.display()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("choosing TLS versions")?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("LOGSHIP_RELAY_CERTIFICATE_FILE and LOGSHIP_RELAY_KEY_FILE do not match")?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

//! This module has the listener's certificate, for relays that shippers of other pods or machines reach. It is read again when
//! it changes.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFiles;

/// Interval between checks of the files for changes.
const LOOK_AT_FILES_EVERY: Duration = Duration::from_secs(5);
/// The contents of the files.
pub struct MountedTls {
    files: TlsFiles,
    changed: [Option<SystemTime>; 2],
    looked: tokio::time::Instant,
    acceptor: TlsAcceptor,
}

impl MountedTls {
    /// # Errors
    /// Returns an error if the files contain no matching certificate and key.
    pub fn read(files: TlsFiles) -> anyhow::Result<Self> {
        let (changed, acceptor) = (changed(&files), acceptor(&files)?);
        Ok(Self { files, changed, looked: tokio::time::Instant::now(), acceptor })
    }

    /// Returns the present certificate for one connection.
    pub fn acceptor(&mut self) -> TlsAcceptor {
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

//! This module implements TLS with the modes of libpq's `sslmode`.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
};

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};

use super::{Result, Stream, WireError};
use crate::config::{SourceSettings, TlsMode};

/// Encrypts the stream as the source requires.
pub(super) fn negotiate(mut stream: TcpStream, source: &SourceSettings) -> Result<Stream> {
    if source.tls == TlsMode::Disable {
        return Ok(Stream::Tcp(stream));
    }
    let mut message = BytesMut::new();
    frontend::ssl_request(&mut message);
    stream.write_all(&message)?;
    // Reads exactly one byte, so that bytes injected after it are not treated as the server's.
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    match answer[0] {
        b'S' => {
            let name = ServerName::try_from(source.host.clone()).map_err(|_| {
                WireError::Refused(format!("{:?} is not a host name that a certificate can contain", source.host))
            })?;
            let session = ClientConnection::new(Arc::new(config(source)?), name).map_err(io::Error::other)?;
            Ok(Stream::Tls(Box::new(StreamOwned::new(session, stream))))
        }
        b'N' if source.tls == TlsMode::Prefer => Ok(Stream::Tcp(stream)),
        b'N' => Err(WireError::Refused(format!(
            "the server does not support TLS, but the address requires sslmode={}",
            source.tls.name()
        ))),
        _ => Err(WireError::Protocol("an invalid response to the request for TLS".into())),
    }
}

fn config(source: &SourceSettings) -> Result<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(io::Error::other)?;
    // As in libpq, `require` with configured certificates trusts only those.
    let verifier: Arc<dyn ServerCertVerifier> = match (source.tls, &source.root_certificates) {
        (TlsMode::VerifyFull, _) => roots(source, &provider)?,
        (TlsMode::VerifyCa, _) | (TlsMode::Require, Some(_)) => {
            Arc::new(AnyName { authorities: Some(roots(source, &provider)?), provider })
        }
        _ => Arc::new(AnyName { authorities: None, provider }),
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let Some(own) = &source.client_certificate else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates("sslcert", &own.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&own.key).map_err(|error| unreadable("sslkey", &own.key, &error))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| unreadable("sslcert", &own.certificate, &error))
}

fn unreadable(setting: &str, path: &Path, error: &dyn std::fmt::Display) -> WireError {
    WireError::Refused(format!("{setting} {}: {error}; correct the path or the file", path.display()))
}

fn certificates(setting: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    read.map_err(|error| unreadable(setting, path, &error))
}

fn roots(source: &SourceSettings, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &source.root_certificates {
        for certificate in certificates("sslrootcert", path)? {
            roots.add(certificate).map_err(|error| unreadable("sslrootcert", path, &error))?;
        }
    } else {
        let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if added == 0 {
            return Err(WireError::Refused("this system has no trusted certificates; set sslrootcert".into()));
        }
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| io::Error::other(error).into())
}

type Verified<T> = std::result::Result<T, rustls::Error>;

/// Accepts a certificate of a trusted authority for any host name (`verify-ca`). Without authorities it accepts every certificate
/// (`require`, `prefer`): this protects against eavesdroppers, not against impostors.
#[derive(Debug)]
struct AnyName {
    authorities: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Verified<ServerCertVerified> {
        let Some(authorities) = &self.authorities else { return Ok(ServerCertVerified::assertion()) };
        match authorities.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Verified<HandshakeSignatureValid> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Verified<HandshakeSignatureValid> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

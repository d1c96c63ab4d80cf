//! TLS towards a target's server: what is trusted, the request for it, and the channel binding of its certificate.
//!
//! It must never fall back to plain text: a server without TLS is an error.

use std::sync::Arc;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme,
    WantsVerifier,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, TlsStream};

use super::{Error, unreachable};
use crate::{
    error::TlsError,
    settings::{Host, ServerTls, Target},
    stream::Stream,
};

/// Encrypts connections to one target.
#[derive(Clone)]
pub(crate) struct Connector {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Connector")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Connector {
    /// The connector a target asks for; `None` without TLS, and for Unix sockets, which have none.
    pub(crate) fn new(target: &Target) -> Result<Option<Self>, TlsError> {
        let Host::Tcp(host) = &target.host else {
            return Ok(None);
        };
        match &target.tls {
            ServerTls::Off => Ok(None),
            ServerTls::Require => {
                let provider = Arc::new(ring::default_provider());
                let config = builder(&provider)?
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(AnyCertificate { provider }))
                    .with_no_client_auth();
                Self::with(config, host).map(Some)
            }
            ServerTls::VerifyFull { roots } => Self::verifying(host, roots).map(Some),
        }
    }

    /// The connector to a server whose certificate must lead to these roots and name the host.
    pub(super) fn verifying(host: &Arc<str>, roots: &[u8]) -> Result<Self, TlsError> {
        let config = builder(&Arc::new(ring::default_provider()))?
            .with_root_certificates(root_store(roots)?)
            .with_no_client_auth();
        Self::with(config, host)
    }

    fn with(mut config: ClientConfig, host: &Arc<str>) -> Result<Self, TlsError> {
        // A session that is taken up again shows no certificate: it would be bound to the one of the first.
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from(host.to_string()).map_err(|_| TlsError::ServerName {
            host: Arc::clone(host),
        })?;
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name,
        })
    }

    /// Asks for TLS and shakes hands.
    pub(crate) async fn connect(&self, mut stream: TcpStream) -> Result<Stream, Error> {
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        stream.write_all(&request).await.map_err(unreachable)?;
        // Exactly one byte is read: whatever an attacker put behind it goes into the handshake and breaks it
        // (CVE-2021-23222).
        let mut answer = [0_u8; 1];
        stream.read_exact(&mut answer).await.map_err(unreachable)?;
        if answer != *b"S" {
            return Err(Error::NoTls);
        }
        let stream = self
            .connector
            .connect(self.name.clone(), stream)
            .await
            .map_err(|source| Error::TlsHandshake { source })?;
        Ok(Stream::Tls(Box::new(TlsStream::Client(stream))))
    }
}

fn builder(
    provider: &Arc<CryptoProvider>,
) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(Arc::clone(provider)).with_safe_default_protocol_versions()
}

fn root_store(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|cause| TlsError::Pem { cause })?)?;
    }
    if roots.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    Ok(roots)
}

/// `tls = "require"`: encrypts towards whoever answers. Handshake signatures are still checked, so the session is at
/// least with the holder of the certificate's key, which SCRAM's channel binding then names.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// The `tls-server-end-point` binding of a connection: the hash of the server's certificate under the hash of its own
/// signature. `None` where there is no TLS, or a signature algorithm that names no hash we know.
///
/// # Source
/// RFC 5929, section 4.1.
pub(super) fn end_point(stream: &Stream) -> Option<Vec<u8>> {
    let Stream::Tls(stream) = stream else {
        return None;
    };
    let (_, connection) = stream.get_ref();
    end_point_of(connection.peer_certificates()?.first()?)
}

fn end_point_of(certificate: &[u8]) -> Option<Vec<u8>> {
    // DER: 2a 86 48 86 f7 0d 01 01 xx is PKCS #1, 2a 86 48 ce 3d 04 xx is ANSI X9.62 ECDSA.
    const PKCS1: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
    let algorithm = signature_algorithm(certificate)?;
    let hash = match (
        algorithm.strip_prefix(&PKCS1),
        algorithm.strip_prefix(&ECDSA),
    ) {
        // MD5 and SHA-1 are replaced by SHA-256 (RFC 5929).
        (Some([0x04 | 0x05 | 0x0b]), _) | (_, Some([0x02])) => Sha256::digest(certificate).to_vec(),
        (Some([0x0c]), _) | (_, Some([0x03])) => Sha384::digest(certificate).to_vec(),
        (Some([0x0d]), _) | (_, Some([0x04])) => Sha512::digest(certificate).to_vec(),
        _ => return None,
    };
    Some(hash)
}

/// The object identifier in `Certificate.signatureAlgorithm`.
///
/// # Source
/// RFC 5280, section 4.1: `SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { OID, ... }, signature }`.
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    const OBJECT_IDENTIFIER: u8 = 0x06;
    let (content, _) = element(certificate, SEQUENCE)?;
    let (_, rest) = element(content, SEQUENCE)?;
    let (algorithm, _) = element(rest, SEQUENCE)?;
    let (oid, _) = element(algorithm, OBJECT_IDENTIFIER)?;
    Some(oid)
}

/// One DER element of this tag: its content, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    if *found != tag {
        return None;
    }
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(*first & 0x7f))?;
        let length = digits.iter().try_fold(0_usize, |sum, digit| {
            sum.checked_mul(256)?.checked_add(usize::from(*digit))
        })?;
        (length, rest)
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256, Sha384};

    use super::end_point_of;

    fn certificate(algorithm: &'static rcgen::SignatureAlgorithm) -> Vec<u8> {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        parameters.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn binds_by_the_hash_of_the_certificates_own_signature() {
        let sha256 = certificate(&rcgen::PKCS_ECDSA_P256_SHA256);
        assert_eq!(
            end_point_of(&sha256),
            Some(Sha256::digest(&sha256).to_vec())
        );
        let sha384 = certificate(&rcgen::PKCS_ECDSA_P384_SHA384);
        assert_eq!(
            end_point_of(&sha384),
            Some(Sha384::digest(&sha384).to_vec())
        );
        // Ed25519 names no hash: RFC 5929 leaves the binding undefined.
        assert_eq!(end_point_of(&certificate(&rcgen::PKCS_ED25519)), None);
    }

    #[test]
    fn a_cut_certificate_binds_nothing_and_does_not_panic() {
        let whole = certificate(&rcgen::PKCS_ECDSA_P256_SHA256);
        for length in 0..whole.len() {
            assert_eq!(end_point_of(&whole[..length]), None, "cut at {length}");
        }
    }
}

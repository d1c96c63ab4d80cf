//! TLS towards clients of any kind: a certificate with its key, shown in handshakes, and replaced while the gateway serves.
//!
//! It must never offer a version or a cipher that rustls does not call safe, nor show a certificate whose key is another's.

use std::sync::Arc;

use rustls::{
    ServerConfig,
    crypto::ring,
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;

use crate::{
    error::TlsError,
    glance::Shared,
    settings::{ClientTls, Secret},
};

/// The most that one TLS record carries: what PostgreSQL puts into one.
///
/// # Source
/// `PQ_SEND_BUFFER_SIZE` of the server's `pqcomm.c`. libpq has room for that much whenever it reads (`pqReadData`); of a longer record
/// the rest may stay within its TLS library, where a client that waits on the socket (pg_basebackup, pgbench, asynchronous drivers)
/// does not see it, and waits for ever.
const RECORD_BYTES_MAX: usize = 8_192;
/// rustls counts a record's header with it.
const RECORD_HEADER_BYTES: usize = 5;

/// A certificate chain with the key that belongs to it.
#[derive(Debug, Clone)]
pub struct Certificate {
    certified: Arc<CertifiedKey>,
    fingerprint: Arc<str>,
}

impl Certificate {
    /// Reads both from PEM, the chain with the gateway's own certificate first.
    ///
    /// # Errors
    /// [`TlsError`], where one can't be read or the key is of another certificate.
    pub fn read(chain: &[u8], key: &Secret) -> Result<Self, TlsError> {
        let pem = |cause| TlsError::Pem { cause };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(pem)?;
        let own = chain.first().ok_or(TlsError::NoCertificate)?;
        let digest = Sha256::digest(own);
        let fingerprint: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let key = PrivateKeyDer::from_pem_slice(key.reveal()).map_err(pem)?;
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider())?;
        Ok(Self {
            certified: Arc::new(certified),
            fingerprint: fingerprint.into(),
        })
    }

    /// SHA-256 of the gateway's own certificate, in hex: what `openssl x509 -fingerprint -sha256` prints, without colons.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

impl PartialEq for Certificate {
    /// The same chain: the key is the one that belongs to it.
    fn eq(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert
    }
}

/// The certificate that is shown to clients of one protocol. Handshakes that begin later than a replacement see the later one;
/// connections that are there stay as they are.
#[derive(Debug)]
pub struct CertificateHandle {
    shown: Arc<Shown>,
    config: Arc<ServerConfig>,
}

#[derive(Debug)]
struct Shown(Shared<Certificate>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current().certified)
    }
}

impl CertificateHandle {
    /// Shows the certificate of the settings; `None` where TLS is off. A client may ask for `protocol` by ALPN or say nothing of it; a
    /// handshake that asks for other protocols only, fails: bytes of one protocol are never taken for another's.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(crate) fn start(tls: &ClientTls, protocol: &[u8]) -> Result<Option<Arc<Self>>, TlsError> {
        let ClientTls::Required {
            certificate_chain,
            key,
        } = tls
        else {
            return Ok(None);
        };
        let certificate = Certificate::read(certificate_chain, key)?;
        let shown = Arc::new(Shown(Shared::new(certificate)));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![protocol.to_vec()];
        // A session that is taken up again shows no certificate: whoever trusted a replaced one would go on with it. PostgreSQL's servers
        // take none up again either.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_fragment_size = Some(RECORD_BYTES_MAX + RECORD_HEADER_BYTES);
        Ok(Some(Arc::new(Self {
            shown,
            config: Arc::new(config),
        })))
    }

    /// What takes connections.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// The certificate that is shown now.
    #[must_use]
    pub fn current(&self) -> Certificate {
        self.shown.0.current()
    }

    /// Shows another one from here on.
    pub fn replace(&self, certificate: Certificate) {
        self.shown.0.replace(certificate);
    }
}

#[cfg(test)]
mod tests {
    use rustls::{
        ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConnection,
        pki_types::ServerName,
    };

    use super::*;

    /// A self-signed certificate for `localhost` and its key, PEM.
    fn pair() -> (Vec<u8>, Secret) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = made.signing_key.serialize_pem().into_bytes();
        (made.cert.pem().into_bytes(), Secret::new(key))
    }

    fn handle((chain, key): &(Vec<u8>, Secret)) -> Arc<CertificateHandle> {
        let tls = ClientTls::Required {
            certificate_chain: chain.clone(),
            key: key.clone(),
        };
        CertificateHandle::start(&tls, b"postgresql")
            .unwrap()
            .unwrap()
    }

    fn client(root: &[u8]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(root).unwrap())
            .unwrap();
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }

    /// A handshake with a client that trusts this root, and how it went.
    fn shake(
        handle: &CertificateHandle,
        config: &Arc<ClientConfig>,
    ) -> Result<HandshakeKind, rustls::Error> {
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = ClientConnection::new(Arc::clone(config), name).unwrap();
        let mut server = ServerConnection::new(Arc::clone(&handle.config)).unwrap();
        while client.wants_write() || server.wants_write() || client.is_handshaking() {
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).unwrap();
            server.read_tls(&mut bytes.as_slice()).unwrap();
            server.process_new_packets()?;
            let mut bytes = Vec::new();
            server.write_tls(&mut bytes).unwrap();
            client.read_tls(&mut bytes.as_slice()).unwrap();
            client.process_new_packets()?;
        }
        Ok(client.handshake_kind().unwrap())
    }

    #[test]
    fn who_comes_later_sees_the_later_certificate() {
        let (old, new) = (pair(), pair());
        let handle = handle(&old);
        let (trusts_old, trusts_new) = (client(&old.0), client(&new.0));
        assert_eq!(shake(&handle, &trusts_old), Ok(HandshakeKind::Full));
        assert!(shake(&handle, &trusts_new).is_err());
        handle.replace(Certificate::read(&new.0, &new.1).unwrap());
        // Nothing of the first handshake lets its client in by the old certificate.
        assert!(shake(&handle, &trusts_old).is_err());
        for _ in 0..2 {
            assert_eq!(shake(&handle, &trusts_new), Ok(HandshakeKind::Full));
        }
    }

    #[test]
    fn what_does_not_fit_is_no_certificate() {
        let ((chain, key), (other, _)) = (pair(), pair());
        let cut = &chain[..chain.len() / 2];
        for (chain, key, expected) in [
            (&chain[..], Secret::new(*b"nothing"), "PEM"),
            (&b""[..], key.clone(), "no certificate in the PEM text"),
            (cut, key.clone(), "PEM"),
            (&other[..], key.clone(), "keys may not be consistent"),
        ] {
            let error = Certificate::read(chain, &key).unwrap_err().to_string();
            assert!(
                error.contains(expected),
                "{error}, and not with `{expected}`"
            );
        }
        let read = Certificate::read(&chain, &key).unwrap();
        let der = CertificateDer::from_pem_slice(&chain).unwrap();
        let digest = Sha256::digest(&der);
        assert_eq!(read.fingerprint(), format!("{digest:x}"));
    }
}

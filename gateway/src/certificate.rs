//! The gateway's own certificate, ready to serve TLS with.

use std::sync::Arc;

use rustls::{ServerConfig, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

use crate::{error::TlsError, settings::Secret};

/// TLS 1.2 and 1.3 with a chain and its key (PEM), for connections of one application protocol.
///
/// A handshake that asks for other protocols only, fails: bytes of one protocol are never taken for another's.
///
/// # Errors
/// [`TlsError`].
pub(crate) fn server_config(
    (chain, key): (&[u8], &Secret),
    protocol: &[u8],
) -> Result<ServerConfig, TlsError> {
    let pem = |cause| TlsError::Pem { cause };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(pem)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key.reveal()).map_err(pem)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(config)
}

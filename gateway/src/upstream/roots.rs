//! The roots that a target's server must lead to, replaced while the gateway serves.
//!
//! It must never trust less than was asked for: roots that can't be read leave those that are there.

use std::sync::Arc;

use super::{Connector, Upstream};
use crate::{
    error::TlsError,
    settings::{Host, ServerTls},
};

/// The roots of a target whose server's certificate is verified. Connections that are made later than a replacement must lead to the
/// later ones; sessions that are there stay.
#[derive(Debug, Clone)]
pub struct RootsHandle {
    upstream: Arc<Upstream>,
    host: Arc<str>,
    first: Vec<u8>,
}

/// Roots that can be trusted, and are not yet.
#[derive(Debug)]
pub struct Roots(Connector);

impl RootsHandle {
    pub(crate) fn of(upstream: &Arc<Upstream>) -> Option<Self> {
        let (Host::Tcp(host), ServerTls::VerifyFull { roots }) =
            (&upstream.target.host, &upstream.target.tls)
        else {
            return None;
        };
        Some(Self {
            upstream: Arc::clone(upstream),
            host: Arc::clone(host),
            first: roots.clone(),
        })
    }

    /// What was trusted at the start, PEM.
    #[must_use]
    pub fn first(&self) -> &[u8] {
        &self.first
    }

    /// Reads roots from PEM.
    ///
    /// # Errors
    /// [`TlsError`], where they can't be read, or there is none.
    pub fn read(&self, pem: &[u8]) -> Result<Roots, TlsError> {
        Connector::verifying(&self.host, pem).map(Roots)
    }

    /// Trusts these from here on, and no others. Connections that were made ahead end: nobody verified them by these.
    pub fn replace(&self, roots: Roots) {
        self.upstream.connect_by(roots.0);
    }
}

//! What keeps the gateway from starting or running, for the operator. What a client is told is never made from these.

use std::{io, net::SocketAddr, sync::Arc};

/// Why the gateway could not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address could not be listened on.
    #[error(
        "can't listen on `{address}`: {source}; is another program using the port? choose another `listen` address"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The certificate or its key can't be used.
    #[error("the TLS certificate or key can't be used: {source}")]
    Tls {
        /// What is wrong with them.
        #[from]
        source: TlsError,
    },
    /// No target is configured.
    #[error("no target is configured: add at least one `[[targets]]` with a host and a database")]
    NoTarget,
    /// Two targets have one name.
    #[error("two targets are called `{name}`: names are what clients ask for, make them unique")]
    TargetTwice {
        /// The name.
        name: Arc<str>,
    },
    /// A target can't be used at start.
    #[error("target `{target}`: {source}")]
    Target {
        /// Its name.
        target: Arc<str>,
        /// Why.
        source: crate::upstream::Error,
    },
    /// A target's catalog could not be read at start.
    #[error("target `{target}`: {source}")]
    Catalog {
        /// Its name.
        target: Arc<str>,
        /// Why.
        source: crate::catalog::Error,
    },
    /// No message can be sent.
    #[error("webhooks can't be called: {source}")]
    Webhooks {
        /// Why.
        source: openidconnect::reqwest::Error,
    },
    /// No mail can be sent.
    #[error("mail can't be sent by `{host}`: {source}")]
    Mail {
        /// The server.
        host: Arc<str>,
        /// Why.
        source: crate::approvals::MailError,
    },
    /// A thread could not be started, or the runtime on it.
    #[error("can't start a thread: {source}; is the process's limit of threads or files too low?")]
    Thread {
        /// What the operating system says.
        source: io::Error,
    },
    /// The evidence log refused a record: nothing may go on without it.
    #[error(
        "the evidence log failed: {source}; check the evidence folder's disk, then start again"
    )]
    Log {
        /// What it says.
        #[from]
        source: provost_evidence::Error,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness: {cause}")]
    Randomness {
        /// Why not (no `source`: the crate's error implements `std::error::Error` only with its `std` feature).
        cause: getrandom::Error,
    },
}

/// Why certificates or keys can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The PEM text holds no certificate.
    #[error("no certificate in the PEM text: it must hold `-----BEGIN CERTIFICATE-----`")]
    NoCertificate,
    /// The PEM text can't be read.
    #[error("the PEM text can't be read: {cause}")]
    Pem {
        /// What the reader says.
        cause: rustls_pki_types::pem::Error,
    },
    /// The library refuses them.
    #[error("{source}")]
    Rustls {
        /// What it says.
        #[from]
        source: rustls::Error,
    },
    /// The server name is neither a DNS name nor an address.
    #[error("`{host}` is neither a DNS name nor an address, so no certificate can name it")]
    ServerName {
        /// The name.
        host: Arc<str>,
    },
}

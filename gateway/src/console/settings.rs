//! What the console is told at start.

use std::{net::SocketAddr, time::Duration};

use super::Roles;
use crate::settings::{ClientTls, Secret};

/// What the console is told at start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address to listen on; port 0 takes a free one (see [`super::Console::address`]).
    pub listen: SocketAddr,
    /// Encryption. Tokens travel here: `Off` is for loopback, and for what something in front encrypts.
    pub tls: ClientTls,
    /// Scheme, host and port by which people reach it; `None`: the address listened on. A request from a page of another origin is
    /// refused.
    pub origin: Option<String>,
    /// Who sees more than what concerns them. No role lets anybody vote.
    pub roles: Roles,
    /// How people log in with a browser; without it there are no pages, only the API.
    pub login: Option<LoginSettings>,
    /// How long callers may take.
    pub times: Times,
}

/// What the issuer knows the console's pages as.
#[derive(Debug, Clone)]
pub struct LoginSettings {
    /// The client's id; ID tokens are for it.
    pub client_id: String,
    /// Its secret, where it has one. PKCE is used in any case.
    pub client_secret: Option<Secret>,
    /// What is asked for, `openid` among it.
    pub scopes: Vec<String>,
}

/// How long callers may take. What happens then is written beside each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// A TLS handshake; then the connection closes.
    pub handshake: Duration,
    /// A request's head, the wait for it included; then the connection closes.
    pub head: Duration,
    /// A request, its body and its answer's making; then 408.
    pub request: Duration,
    /// A connection; then it ends after the answer under way.
    pub connection: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(20),
            request: Duration::from_secs(30),
            connection: Duration::from_secs(300),
        }
    }
}

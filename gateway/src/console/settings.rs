//! What the console is told at start.

use std::{net::SocketAddr, sync::Arc, time::Duration};

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
    /// Whose buttons in Slack are votes; without it nobody's.
    pub slack: Option<SlackSettings>,
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

/// Whose buttons in Slack are votes. Slack proves which of its users pressed; who that is, and in which groups, stands here alone.
#[derive(Debug, Clone)]
pub struct SlackSettings {
    /// What the app's requests are signed with.
    pub signing_secret: Secret,
    /// The workspace's id: users of others are refused, whatever their id.
    pub team: String,
    /// The app's id; `None`: any that has the secret.
    pub app: Option<String>,
    /// Who may vote; users unique.
    pub people: Vec<SlackPerson>,
}

/// Who somebody in Slack is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlackPerson {
    /// Slack's id of them.
    pub user: String,
    /// The id that the issuer's tokens have for them.
    pub id: Arc<str>,
    /// Their groups, as the issuer's tokens would have them, exact bytes.
    pub groups: Vec<Arc<str>>,
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

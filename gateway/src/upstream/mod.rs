//! Connections to a target's server: connect, encrypt, log in with the credential that only the gateway knows.
//!
//! It must never send a client's bytes, and never give the credential to a server that did not prove itself: see
//! `login` for which authentication methods are answered.

mod aside;
mod credential;
mod login;
mod query;
mod roots;
pub mod sandbox;
mod tls;
mod warm;

use std::{io, sync::Arc, time::Duration};

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::{
    error::TlsError,
    glance::Shared,
    settings::{Host, Secret, Target, Tcp},
    stream::{Stream, set_up},
};

pub(crate) use aside::{Answer, Tried};
pub use credential::{Asked, Credential, Source, Unavailable};
pub use login::Unfit;
pub(crate) use query::{definitions, one_text};
pub use roots::{Roots, RootsHandle};
pub(crate) use tls::Connector;
pub(crate) use warm::{Occasion, Parameters, Warm};

/// How long a cancel request may take, connecting included; then it is given up.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server may take to take a goodbye.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// SQLSTATE `invalid_password`, and what some servers say in its place.
const INVALID_PASSWORD: &str = "28P01";
/// SQLSTATE `invalid_authorization_specification`.
const INVALID_AUTHORIZATION: &str = "28000";
/// SQLSTATE `too_many_connections`.
const TOO_MANY: &str = "53300";

/// Why there is no connection to a target's server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server can't be reached.
    #[error(
        "the server can't be reached: {source}; check that it runs, and the target's `host` and `port`"
    )]
    Unreachable {
        /// What the operating system says.
        source: io::Error,
    },
    /// Connecting and logging in took too long.
    #[error("the server did not answer within {timeout_ms} ms")]
    Timeout {
        /// The limit.
        timeout_ms: u64,
    },
    /// The server speaks no TLS, which the configuration requires.
    #[error(
        "the server does not offer TLS: configure a certificate on it, or `tls = \"off\"` for this target"
    )]
    NoTls,
    /// The TLS handshake failed.
    #[error("the TLS handshake with the server failed: {source}")]
    TlsHandshake {
        /// What the library says.
        source: io::Error,
    },
    /// The configured roots or host name can't be used.
    #[error("the target's TLS settings can't be used: {source}")]
    TlsSettings {
        /// What is wrong.
        source: TlsError,
    },
    /// The server reported an error while the gateway logged in or asked.
    #[error("the server said {sqlstate}: {message}")]
    Refused {
        /// Its SQLSTATE.
        sqlstate: String,
        /// Its MESSAGE.
        message: String,
    },
    /// The server wants an authentication method that the gateway does not answer.
    #[error(
        "the server asks for {method} authentication, which is refused here: set `password_encryption = scram-sha-256` and use `scram-sha-256` in pg_hba.conf"
    )]
    Method {
        /// Its name.
        method: &'static str,
    },
    /// The server let the gateway in without a proof of itself.
    #[error(
        "the server did not ask for the configured password, so it did not prove that it is the right one: use `scram-sha-256` in pg_hba.conf, or remove `password` for a Unix socket that the server trusts"
    )]
    Unproven,
    /// SCRAM failed.
    #[error("SCRAM authentication with the server failed: {source}")]
    Scram {
        /// What the library says.
        source: io::Error,
    },
    /// The password's source gave none.
    #[error("its password could not be had: {source}")]
    Password {
        /// Why.
        #[from]
        source: Unavailable,
    },
    /// The server's settings don't allow what is analysed to be what runs.
    #[error("the server is unfit: {source}")]
    Unfit {
        /// Which setting.
        #[from]
        source: Unfit,
    },
    /// A start-up setting of the gateway's own did not reach the session.
    #[error(
        "the session's `{name}` is not what it was started with: what stands between the gateway and the server must pass start-up parameters on"
    )]
    Unworn {
        /// Which.
        name: &'static str,
    },
    /// The server sent something that the protocol does not allow there.
    #[error("the server broke the protocol: {what}")]
    Protocol {
        /// What it did.
        what: &'static str,
    },
    /// What the session would start with is more than a server takes.
    #[error("the start-up message has {bytes} bytes, and a server takes {max}", max = login::STARTUP_BYTES_MAX)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A name or value to be sent holds a NUL byte.
    #[error("a start-up value holds a NUL byte: {source}")]
    Value {
        /// What the library says.
        source: io::Error,
    },
}

/// The key that cancels a server session's statements.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct CancelKey {
    /// The server's process id.
    pub(crate) process_id: i32,
    /// Its secret.
    pub(crate) secret: i32,
}

/// A logged-in connection to a server, idle.
pub(crate) struct Server {
    /// The connection.
    pub(crate) stream: Stream,
    /// Bytes read past the last message that was looked at; they belong to what comes next.
    pub(crate) read: BytesMut,
    /// ParameterStatus as the server sent it, in order.
    pub(crate) parameters: Vec<(String, String)>,
    /// Its cancel key.
    pub(crate) key: CancelKey,
}

impl Server {
    /// Says goodbye, and waits for the server's end of it: then its place there is free.
    pub(crate) async fn leave(mut self) {
        let goodbye = async {
            let mut out = BytesMut::new();
            frontend::terminate(&mut out);
            self.stream.write_all(&out).await?;
            self.stream.shutdown().await?;
            let mut rest = [0_u8; 256];
            while self.stream.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        // A server that is gone needs no goodbye.
        let _ = timeout(GOODBYE_TIMEOUT, goodbye).await;
    }

    /// Whether its settings are still what they must be.
    ///
    /// # Errors
    /// [`Error::Unfit`].
    pub(crate) fn check(&self) -> Result<(), Error> {
        Ok(login::check_parameters(&self.parameters)?)
    }

    /// The server tells that a parameter is another now.
    fn tell(&mut self, name: &str, value: &str) {
        let has_room = self.parameters.len() < login::PARAMETERS_MAX;
        match self.parameters.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => value.clone_into(known),
            None if has_room => self.parameters.push((name.to_owned(), value.to_owned())),
            None => {}
        }
    }
}

/// A target with what connecting to it needs.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    /// The target.
    pub(crate) target: Target,
    connector: Option<Arc<Shared<Connector>>>,
    timeout_ms: u64,
    tcp: Tcp,
    warm: Arc<Warm>,
}

impl Upstream {
    /// Prepares connecting to `target`; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::TlsSettings`] when its roots or its host name can't be used.
    pub(crate) fn new(target: Target, timeout_ms: u64) -> Result<Self, Error> {
        let connector = Connector::new(&target).map_err(|source| Error::TlsSettings { source })?;
        Ok(Self {
            warm: Arc::new(Warm::new(target.warm)),
            target,
            connector: connector.map(|connector| Arc::new(Shared::new(connector))),
            timeout_ms,
            tcp: Tcp::default(),
        })
    }

    /// With connections over TCP set up like this.
    pub(crate) fn with_tcp(self, tcp: Tcp) -> Self {
        Self { tcp, ..self }
    }

    /// Encrypts like this from here on; those that were made ahead end. A target without TLS stays without.
    fn connect_by(&self, connector: Connector) {
        if let Some(shared) = &self.connector {
            shared.replace(connector);
            self.warm.drop_all();
        }
    }

    /// Connections made ahead.
    pub(crate) const fn warm(&self) -> &Arc<Warm> {
        &self.warm
    }

    /// Connects and logs in for a session that is there. Where the server has no room, those that were made ahead give way.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) async fn connect_now(&self, settings: &[(String, String)]) -> Result<Server, Error> {
        match self.connect(settings).await {
            Err(Error::Refused { sqlstate, message }) if sqlstate == TOO_MANY => {
                let idle = self.warm.take_all();
                if idle.is_empty() {
                    return Err(Error::Refused { sqlstate, message });
                }
                for server in idle {
                    server.leave().await;
                }
                self.connect(settings).await
            }
            outcome => outcome,
        }
    }

    /// Connects and logs in. `settings` go into the start-up message beside the gateway's own parameters.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) async fn connect(&self, settings: &[(String, String)]) -> Result<Server, Error> {
        timeout(
            Duration::from_millis(self.timeout_ms),
            self.attempt(settings),
        )
        .await
        .unwrap_or(Err(Error::Timeout {
            timeout_ms: self.timeout_ms,
        }))
    }

    /// Logs in, once more with another password where the server refuses the one that was held: it was changed.
    async fn attempt(&self, settings: &[(String, String)]) -> Result<Server, Error> {
        let Some(credential) = &self.target.password else {
            return self.log_in(None, settings).await;
        };
        let password = credential.current().await?;
        match self.log_in(Some(&password), settings).await {
            Err(Error::Refused { sqlstate, message })
                if [INVALID_PASSWORD, INVALID_AUTHORIZATION].contains(&&*sqlstate) =>
            {
                // What was logged in with it is not to outlive it.
                self.warm.drop_all();
                match credential.instead(&password).await? {
                    Some(password) => self.log_in(Some(&password), settings).await,
                    None => Err(Error::Refused { sqlstate, message }),
                }
            }
            outcome => outcome,
        }
    }

    async fn log_in(
        &self,
        password: Option<&Secret>,
        settings: &[(String, String)],
    ) -> Result<Server, Error> {
        let stream = self.open().await?;
        login::log_in(stream, &self.target, password, settings).await
    }

    /// Asks the server to cancel what the session of `key` is running. The server never answers such a request.
    ///
    /// # Errors
    /// [`Error`] when the request could not be sent.
    pub(crate) async fn cancel(&self, key: &CancelKey) -> Result<(), Error> {
        let attempt = async {
            let mut stream = self.open().await?;
            let mut request = BytesMut::new();
            frontend::cancel_request(key.process_id, key.secret, &mut request);
            stream.write_all(&request).await.map_err(unreachable)?;
            stream.flush().await.map_err(unreachable)?;
            // The server closes once it has acted: waiting for that keeps a later statement from being hit.
            let mut nothing = [0_u8; 1];
            let _ = stream.read(&mut nothing).await;
            Ok(())
        };
        timeout(CANCEL_TIMEOUT, attempt)
            .await
            .unwrap_or(Err(Error::Timeout {
                timeout_ms: u64::try_from(CANCEL_TIMEOUT.as_millis()).unwrap_or(u64::MAX),
            }))
    }

    /// Opens the connection, encrypted where the target says so.
    async fn open(&self) -> Result<Stream, Error> {
        match &self.target.host {
            Host::Unix(folder) => {
                let path = folder.join(format!(".s.PGSQL.{}", self.target.port));
                let stream = UnixStream::connect(path).await.map_err(unreachable)?;
                Ok(Stream::Unix(stream))
            }
            Host::Tcp(host) => {
                let stream = TcpStream::connect((host.as_ref(), self.target.port))
                    .await
                    .map_err(unreachable)?;
                set_up(&stream, self.tcp).map_err(unreachable)?;
                match &self.connector {
                    None => Ok(Stream::Tcp(stream)),
                    Some(connector) => connector.current().connect(stream).await,
                }
            }
        }
    }

    /// The target's name.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.target.name
    }
}

fn unreachable(source: io::Error) -> Error {
    Error::Unreachable { source }
}

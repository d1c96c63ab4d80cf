//! The listener: TLS, limits on connections, shutdown.
//!
//! It must never let one client's connection, slow or silent, take more than its share of memory or time.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};

use super::{
    LoginSettings, Roles, Room, Settings, SlackSettings, Sources, Times, api,
    door::Door,
    pages::{self, Login},
    slack::Slack,
};
use crate::{
    approvals::Approvals, certificate::CertificateHandle, error::TlsError, identity::Issuer,
    record::console::Peer,
};

/// Connections at once; the next one waits in the system's queue until one ends.
const CONNECTIONS_MAX: usize = 256;
/// How long a connection that is to end may take for the answer under way; then it is cut.
const END_GRACE: Duration = Duration::from_secs(10);
/// Bytes of a connection's read buffer, which a request's head must fit into: the longest token and some more. A longer head is refused
/// with 431.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Lines of a head; more are refused with 431.
const HEADERS_MAX: usize = 64;
/// Pause after an accept that failed (too many open files): the listener must not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What TLS connections speak.
const APPLICATION_PROTOCOL: &[u8] = b"http/1.1";

/// Why there is no console.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address could not be listened on.
    #[error(
        "the console can't listen on `{address}`: {source}; is another program using the port? choose another `console.listen` address"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The certificate or its key can't be used.
    #[error("the console's TLS certificate or key can't be used: {source}")]
    Tls {
        /// What is wrong with them.
        #[from]
        source: TlsError,
    },
    /// The OpenAPI document can't be written.
    #[error("the console's OpenAPI document can't be written: {source}")]
    Document {
        /// Why.
        source: serde_json::Error,
    },
}

/// A console that listens and does not serve yet.
pub struct Console {
    listener: TcpListener,
    address: SocketAddr,
    certificate: Option<Arc<CertificateHandle>>,
    origin: String,
    roles: Roles,
    times: Times,
    login: Option<LoginSettings>,
    slack: Option<SlackSettings>,
    document: String,
}

impl Console {
    /// Listens.
    ///
    /// # Errors
    /// [`Error`]; nothing is left running.
    pub async fn bind(settings: Settings) -> Result<Self, Error> {
        let certificate = CertificateHandle::start(&settings.tls, APPLICATION_PROTOCOL)?;
        let document = api::document()
            .to_json()
            .map_err(|source| Error::Document { source })?;
        let listen = |source| Error::Listen {
            address: settings.listen,
            source,
        };
        let listener = TcpListener::bind(settings.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let scheme = if certificate.is_some() {
            "https"
        } else {
            "http"
        };
        let origin = settings
            .origin
            .unwrap_or_else(|| format!("{scheme}://{address}"));
        Ok(Self {
            listener,
            address,
            certificate,
            origin,
            roles: settings.roles,
            times: settings.times,
            login: settings.login,
            slack: settings.slack,
            document,
        })
    }

    /// The address listened on, with the port taken.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Scheme, host and port by which people reach it.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The certificate that its callers are shown; `None` where it does not encrypt by itself.
    #[must_use]
    pub fn certificate(&self) -> Option<Arc<CertificateHandle>> {
        self.certificate.clone()
    }

    /// Serves until `shutdown` resolves; answers under way then have some seconds.
    pub async fn run(
        self,
        approvals: Arc<Approvals>,
        issuer: Arc<Issuer>,
        sources: Sources,
        shutdown: impl Future<Output = ()>,
    ) {
        // It ends with us: pages that are live end then.
        let (beat, pulse) = watch::channel(0);
        let mut beating = JoinSet::new();
        beating.spawn(pages::beat(Arc::clone(&approvals), beat));
        let door = Arc::new(Door::new(Arc::clone(&sources.log)));
        beating.spawn(Arc::clone(&door).watch());
        let router = api::router(Arc::new(Room {
            door: Arc::clone(&door),
            approvals,
            issuer,
            roles: self.roles,
            sources,
            pulse,
            live: Arc::new(Semaphore::new(pages::LIVE_MAX)),
            origin: self.origin,
            request_time: self.times.request,
            login: self.login.map(Login::new),
            slack: self.slack.map(Slack::new),
            document: self.document,
        }));
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let (stop, stopped) = watch::channel(());
        let mut connections = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let ((stream, address), permit) = tokio::select! {
                () = &mut shutdown => break,
                Some(ended) = connections.join_next(), if !connections.is_empty() => {
                    tell(ended);
                    continue;
                }
                accepted = accept(&self.listener, &permits) => accepted,
            };
            let acceptor = self.certificate.as_ref().map(|shown| shown.acceptor());
            let router = router.clone();
            let peer = Peer {
                address: address.ip().to_canonical(),
                tls: acceptor.is_some(),
            };
            let (times, stopped) = (self.times, stopped.clone());
            connections.spawn(async move {
                match acceptor {
                    None => talk(stream, (router, peer), times, stopped).await,
                    Some(acceptor) => match timeout(times.handshake, acceptor.accept(stream)).await
                    {
                        Ok(Ok(stream)) => talk(stream, (router, peer), times, stopped).await,
                        Ok(Err(error)) => {
                            tracing::debug!(%error, "no TLS with a client of the console");
                        }
                        Err(_) => tracing::debug!("a client of the console took too long for TLS"),
                    },
                }
                drop(permit);
            });
        }
        drop(self.listener);
        beating.shutdown().await;
        drop(stop);
        let all = async {
            while let Some(ended) = connections.join_next().await {
                tell(ended);
            }
        };
        if timeout(END_GRACE + Duration::from_secs(1), all)
            .await
            .is_err()
        {
            tracing::warn!("some connections of the console did not end in time");
        }
        door.close().await;
    }
}

fn tell(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection of the console broke off: this is a defect");
    }
}

/// The next connection, once there is room for one.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> ((TcpStream, SocketAddr), Option<OwnedSemaphorePermit>) {
    // It is never closed.
    let permit = Arc::clone(permits).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok(accepted) => return (accepted, permit),
            Err(error) => {
                tracing::warn!(%error, "a connection to the console could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Requests and answers, until the client has no more, or time is up, or the console stops.
async fn talk<S>(
    stream: S,
    (router, peer): (Router, Peer),
    times: Times,
    mut stopped: watch::Receiver<()>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        service.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(times.head)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = stopped.changed() => None,
        () = sleep(times.connection) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            match timeout(END_GRACE, connection).await {
                Ok(ended) => ended,
                Err(_) => return tracing::debug!("a connection of the console was cut"),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of the console ended early");
    }
}

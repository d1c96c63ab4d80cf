//! One client connection from accept to close.

use std::{
    cell::RefCell,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::BytesMut;
use provost_engine::principal::Session;
use provost_evidence::Durability;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{
    ahead,
    count::{Connection, Seat},
    farewell,
    first::{self, First},
    house::House,
    login::{Attempt, Failure, LoggedIn},
    relay::{Canceller, Relay, Scratch},
};
use crate::{
    cancel::{Found, Issued},
    judge::Fatal,
    judgement::Cache,
    record::{self, SessionId},
    roster::Place,
    stream::{Stream, set_up},
    under_way::Met,
    upstream::{Occasion, Parameters, Upstream},
};

/// How long a cancel request that finds a session at rest waits for what its client sent before it: that may not have been read yet. A server
/// takes about as long to begin with a request.
const UNREAD: Duration = Duration::from_millis(5);

/// What a serving thread has for all its connections.
#[derive(Clone)]
pub(super) struct Desk {
    /// What all sessions share.
    pub(super) house: Arc<House>,
    /// The thread's analyses.
    pub(super) cache: Rc<RefCell<Cache>>,
    /// The thread's read buffer.
    pub(super) scratch: Rc<Scratch>,
}

/// How a log-in ended.
enum Opening {
    Session(Stream, Box<LoggedIn>),
    Refused(Stream, Fatal),
    /// Nothing is owed to the client.
    Done,
}

/// What is held while a session lives, and what its end is recorded by.
struct Kept {
    id: SessionId,
    session: Arc<Session>,
    again: Option<(Arc<Upstream>, Parameters)>,
    _issued: Issued,
    _seat: Seat,
    _place: Place,
}

impl Desk {
    /// Serves one connection until it ends. `_counted` is held as long.
    pub(super) async fn serve(self, stream: TcpStream, address: SocketAddr, _counted: Connection) {
        // Without it everything still works.
        let _ = set_up(&stream, self.house.tcp);
        // In places of their own: what a log-in needs is large and given back before the session begins.
        let opening = Box::pin(timeout(
            self.house.startup_timeout(),
            self.open(stream, address),
        ));
        match opening.await {
            Ok(Opening::Session(stream, logged_in)) => {
                Box::pin(self.carry(stream, logged_in)).await;
            }
            Ok(Opening::Refused(stream, fatal)) => {
                tracing::info!(%address, sqlstate = fatal.sqlstate, message = %fatal.message, "log-in refused");
                let mut out = BytesMut::new();
                farewell::write(&mut out, &fatal);
                farewell::close(stream, &out).await;
            }
            Ok(Opening::Done) => {}
            Err(_) => tracing::info!(%address, "log-in took too long"),
        }
    }

    async fn open(&self, stream: TcpStream, address: SocketAddr) -> Opening {
        let certificate = self.house.certificate.as_ref();
        let acceptor = certificate.map(|shown| shown.acceptor());
        let first = tokio::select! {
            first = first::read(stream, acceptor.as_ref()) => first,
            () = self.house.stopped() => First::Gone,
        };
        let (mut stream, startup) = match first {
            First::Session(stream, startup) => (stream, startup),
            First::Refused(stream, fatal) => return Opening::Refused(stream, fatal),
            First::Cancel {
                stream,
                process_id,
                secret,
            } => {
                self.cancel(process_id, &secret, address).await;
                // Over TLS a close without a goodbye is an error to libpq.
                farewell::close(stream, b"").await;
                return Opening::Done;
            }
            First::Gone => return Opening::Done,
        };
        let attempt = Attempt {
            house: &self.house,
            cache: &self.cache,
            startup: &startup,
            address: address.ip(),
        };
        match attempt.run(&mut stream).await {
            Ok(logged_in) => Opening::Session(stream, Box::new(logged_in)),
            Err(Failure::Refused(fatal)) => Opening::Refused(stream, fatal),
            Err(Failure::Gone) => Opening::Done,
        }
    }

    /// Passes a cancel request on; a wrong key is ignored, as it would be by a server.
    async fn cancel(&self, process_id: i32, secret: &[u8], address: SocketAddr) {
        match self.house.cancel_keys.find(process_id, secret) {
            None => tracing::info!(%address, "a cancel request with an unknown key was ignored"),
            // Its server is at nothing: what is to end is the waiting.
            Some(Found {
                awaited: Some(id), ..
            }) => {
                let approvals = Arc::clone(&self.house.bench.approvals);
                // By itself: what it does is recorded, however soon this connection ends.
                tokio::spawn(async move {
                    if let Err(error) = approvals.cancel(&id, "its client canceled it").await {
                        tracing::warn!(%id, error = &error as &dyn std::error::Error, "an approval could not be withdrawn");
                    }
                });
            }
            Some(Found {
                upstream,
                key,
                under_way,
                ..
            }) => match under_way.cancel() {
                Met::Server => {
                    if let Err(error) = upstream.cancel(&key).await {
                        tracing::warn!(target_name = %upstream.name(), %error, "a cancel request could not be passed on");
                    }
                }
                // The session asks the server, once that has what the request is for.
                Met::Gateway => {}
                Met::Nothing => {
                    sleep(UNREAD).await;
                    under_way.forget();
                }
            },
        }
    }

    async fn carry(&self, stream: Stream, logged_in: Box<LoggedIn>) {
        let (relay, kept) = self.begin(stream, logged_in);
        let ending = relay.run(self.house.stopping.clone()).await;
        let (id, session) = (&kept.id, &kept.session);
        let closed = record::session_closed(SystemTime::now(), id, session, ending.as_deref());
        // A log that failed is told to the next statement of every session, and was told to this one's.
        let _ = self.house.bench.append(&closed, Durability::Process).await;
        if let Some((upstream, parameters)) = &kept.again {
            ahead::make(&self.house, upstream, parameters, Occasion::Ended);
        }
    }

    /// The session's carrier, and what is kept beside it; what only the log-in needed is given back when this returns.
    fn begin(&self, stream: Stream, logged_in: Box<LoggedIn>) -> (Box<Relay>, Kept) {
        let LoggedIn {
            server,
            core,
            greeting,
            id,
            session,
            issued,
            again,
            seat,
        } = *logged_in;
        let canceller = self
            .house
            .cancel_keys
            .find(issued.process_id, &issued.secret)
            .map(Canceller::from);
        let (place, dismissal) = self.house.roster.enter(id.as_str(), &session);
        let relay = Relay::new(
            stream,
            // The log-in's buffer has room for much more than is in it.
            (server.stream, BytesMut::from(&*server.read)),
            core,
            greeting,
            Rc::clone(&self.scratch),
            self.house.idle_timeouts(),
        )
        .with_canceller(canceller)
        .with_dismissal(dismissal);
        let kept = Kept {
            id,
            session,
            again,
            _issued: issued,
            _seat: seat,
            _place: place,
        };
        (Box::new(relay), kept)
    }
}

//! From a start-up message to a session: who it is, what it asks for, a server connection of its own, a record.
//!
//! It must never tell a client that it is in before the log says so, nor say of targets or roles to somebody who proved
//! nothing.

use std::{
    cell::RefCell,
    io,
    net::IpAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::{Bytes, BytesMut};
use pgwire::{
    error::{PgWireError, PgWireResult},
    messages::{
        Message as _,
        response::{ReadyForQuery, TransactionStatus},
        startup::{self, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey},
    },
};
use provost_engine::{
    principal::{Authentication, Principal, Session},
    reason::StatedReason,
};
use provost_evidence::Durability;
use tokio::time::timeout;

use super::{
    ahead,
    count::Seat,
    farewell::fatal,
    house::{House, Room},
    packet::Startup,
    password, replication, search_path, server_failed, start_settings,
};
use crate::{
    badge::Badge,
    cancel::{Issued, SecretLength},
    judge::Fatal,
    judgement::{Aside, Awaited, Cache, Manners, SearchPath, SessionJudge},
    record::{self, Client, SessionId},
    session::{Core, Limits, Token},
    stream::Stream,
    upstream::{self, Occasion, Parameters, Server, Upstream},
};

/// From this minor version of protocol 3 on, clients take cancel keys of more than four bytes.
///
/// # Source
/// PostgreSQL manual, "Message Formats", BackendKeyData.
const LONG_KEYS_MINOR: u16 = 2;
/// How long a connection that was made ahead may take for its first answer; then it counts as lost.
const WARM_ANSWER: Duration = Duration::from_secs(2);

/// A session that is logged in and logged.
pub(super) struct LoggedIn {
    /// Its server connection.
    pub(super) server: Server,
    /// Its state.
    pub(super) core: Core<SessionJudge>,
    /// AuthenticationOk to ReadyForQuery, not yet sent.
    pub(super) greeting: BytesMut,
    /// Its id in evidence.
    pub(super) id: SessionId,
    /// What is constant for it.
    pub(super) session: Arc<Session>,
    /// Its cancel key, held while it lives.
    pub(super) issued: Issued,
    /// What the next session of its kind starts with, and where; `None`: nothing is made ahead for it.
    pub(super) again: Option<(Arc<Upstream>, Parameters)>,
    /// Held while it lives.
    pub(super) seat: Seat,
}

/// Why there is no session.
pub(super) enum Failure {
    /// The client went away.
    Gone,
    /// It is refused; the refusal is logged.
    Refused(Fatal),
}

impl From<io::Error> for Failure {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl From<Fatal> for Failure {
    fn from(fatal: Fatal) -> Self {
        Self::Refused(fatal)
    }
}

/// A log-in on its way.
pub(super) struct Attempt<'a> {
    /// What all sessions share.
    pub(super) house: &'a Arc<House>,
    /// The thread's analyses.
    pub(super) cache: &'a Rc<RefCell<Cache>>,
    /// What the client asked for.
    pub(super) startup: &'a Startup,
    /// Its address.
    pub(super) address: IpAddr,
}

impl Attempt<'_> {
    /// Logs in; a refusal is in the log when this returns.
    pub(super) async fn run(&self, stream: &mut Stream) -> Result<LoggedIn, Failure> {
        let id = SessionId::random().map_err(|_| no_randomness())?;
        let tls = stream.is_encrypted();
        let mut principal = None;
        let outcome = self.steps(stream, &id, &mut principal).await;
        if let Err(Failure::Refused(refused)) = &outcome {
            let client = Client {
                address: Some(self.address),
                application: Some(&self.startup.application),
                tls,
                target: self
                    .house
                    .rooms
                    .get_key_value(&self.startup.database)
                    .map(|(name, _)| name.as_ref()),
                database: Some(&self.startup.database),
            };
            let refusal = record::login_refused(
                SystemTime::now(),
                &id,
                &client,
                principal.as_ref(),
                &refused.message,
                refused.sqlstate,
            );
            self.house.bench.append(&refusal, Durability::Power).await?;
        }
        outcome
    }

    async fn steps(
        &self,
        stream: &mut Stream,
        id: &SessionId,
        known: &mut Option<Principal>,
    ) -> Result<LoggedIn, Failure> {
        if let Some(options) = &self.startup.negotiate {
            let negotiation = negotiation(self.startup.minor, options)?;
            tokio::io::AsyncWriteExt::write_all(stream, &negotiation).await?;
        }
        let token = tokio::select! {
            token = password::ask(stream) => token??,
            () = self.house.stopped() => return Err(Failure::Gone),
        };
        let (principal, expires_at) = self.authenticate(&token, known).await?;
        let seat = self
            .house
            .counts
            .seat(
                &principal.id,
                self.house.limits.connections_per_principal_max,
            )
            .ok_or_else(|| {
                fatal(
                    "53300",
                    format!(
                        "too many sessions of `{}`: close one, then connect again",
                        principal.id
                    ),
                )
            })?;
        let room = replication::room(&self.house.rooms, self.startup)?;
        let target = &room.upstream.target;
        let role = target.roles.of(&principal);
        let badge = Badge::of(&principal, role);
        let session = Arc::new(Session {
            target: Arc::clone(room.upstream.name()),
            database: Arc::clone(&self.startup.database),
            role: Arc::clone(role.unwrap_or(&target.user)),
            application: Arc::clone(&self.startup.application),
            client_address: Some(self.address),
            tls: stream.is_encrypted(),
            authentication: Authentication::TokenAsPassword,
            principal,
        });
        let settings = start_settings::decide(
            &self.house.bench,
            &room.keeper,
            &session,
            &self.startup.settings,
        )?;
        let mut neighbours = Vec::new();
        if self.startup.replication.is_some() {
            neighbours = replication::neighbours(&self.house.rooms, room, &session);
            let stated = settings.reason.as_ref().map(StatedReason::as_str);
            replication::admit(&self.house.bench, room, &session, &neighbours, stated)?;
        }
        let mut began_with: Vec<String> = settings
            .sent
            .iter()
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        began_with.sort_unstable();
        let parameters: Parameters = badge.parameters().chain(settings.sent).collect();
        let (server, learned) = match self.startup.replication {
            None => server(room, &parameters, &badge)
                .await
                .map_err(|error| server_failed::told(target, role, &error))?,
            Some(replicated) => {
                Box::pin(replication::connect(room, &parameters, replicated, &badge))
                    .await
                    .map_err(|error| {
                        replication::unprivileged(target, &error)
                            .unwrap_or_else(|| server_failed::told(target, role, &error))
                    })?
            }
        };
        let awaited = Awaited::default();
        let secret_length = if self.startup.minor >= LONG_KEYS_MINOR {
            SecretLength::Long
        } else {
            SecretLength::Four
        };
        let issued = self
            .house
            .cancel_keys
            .issue(
                &room.upstream,
                (server.key.clone(), &awaited),
                secret_length,
            )
            .ok()
            .flatten()
            .ok_or_else(no_randomness)?;
        let learned_badge = learned.1.clone();
        let judge = SessionJudge::new(
            Arc::clone(&self.house.bench),
            Arc::clone(&room.keeper),
            Rc::clone(self.cache),
            (id.clone(), Arc::clone(&session)),
            learned,
            Manners {
                wait: settings.wait,
                reason: settings.reason,
                awaited,
                settings: began_with,
                aside: Aside {
                    upstream: Arc::clone(&room.upstream),
                    parameters: Arc::clone(&parameters),
                    badge: learned_badge,
                },
            },
            expires_at,
        )
        .with_neighbours(neighbours);
        let core = self.core(judge, &server)?;
        let replicated = self.startup.replication;
        let opened = record::session_opened(SystemTime::now(), id, &session, replicated);
        self.house.bench.append(&opened, Durability::Power).await?;
        let again = replicated
            .is_none()
            .then(|| (Arc::clone(&room.upstream), parameters));
        if let Some((upstream, parameters)) = &again {
            ahead::make(self.house, upstream, parameters, Occasion::Began);
        }
        Ok(LoggedIn {
            again,
            greeting: greeting(&server, &issued)?,
            server,
            core,
            id: id.clone(),
            session,
            issued,
            seat,
        })
    }

    async fn authenticate(
        &self,
        token: &str,
        known: &mut Option<Principal>,
    ) -> Result<(Principal, SystemTime), Fatal> {
        let verified = match self.house.issuer.verify(token, SystemTime::now()).await {
            Ok(verified) => verified,
            Err(refused) => {
                *known = refused.principal.map(|principal| *principal);
                return Err(fatal(
                    refused.error.sqlstate(),
                    refused.error.client_message(),
                ));
            }
        };
        *known = Some(verified.principal.clone());
        if verified.principal.id != self.startup.user {
            return Err(fatal(
                "28000",
                format!(
                    "the token is of `{}`, so the user can't be another: connect with user `{0}`",
                    verified.principal.id
                ),
            ));
        }
        Ok((verified.principal, verified.expires_at))
    }

    fn core(&self, judge: SessionJudge, server: &Server) -> Result<Core<SessionJudge>, Fatal> {
        let limits = Limits {
            client_message_bytes_max: self.house.limits.message_bytes_max,
            ..Limits::default()
        };
        let parameters = server
            .parameters
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        Ok(Core::new(
            judge,
            Token::random().map_err(|_| no_randomness())?,
            limits,
            parameters,
        )
        .with_mask_keys(self.house.mask_keys.clone())
        .with_replication(self.startup.replication))
    }
}

/// A session's server connection: one that was made ahead for it, or a new one; with what was learned of it, in one round trip.
async fn server(
    room: &Room,
    parameters: &Parameters,
    badge: &Badge,
) -> Result<(Server, (SearchPath, Badge)), upstream::Error> {
    // Each is had once, and only so many wait.
    while let Some(mut server) = room.upstream.warm().take(parameters) {
        let answer = async {
            server.stream.move_here().ok()?;
            let learned = search_path::learn(&mut server, &room.keeper, badge).await;
            learned.ok()
        };
        // One that its server has left, or that is not what it was, is replaced without a word.
        if let Ok(Some(learned)) = timeout(WARM_ANSWER, answer).await {
            return Ok((server, learned));
        }
    }
    let mut server = room.upstream.connect_now(parameters).await?;
    let learned = search_path::learn(&mut server, &room.keeper, badge).await?;
    Ok((server, learned))
}

/// NegotiateProtocolVersion: the version that is spoken, in full, as libpq reads it; and the protocol options that are not known,
/// which is all of them.
fn negotiation(minor: u16, options: &[String]) -> Result<BytesMut, Fatal> {
    let mut out = BytesMut::new();
    NegotiateProtocolVersion::new((3 << 16) | i32::from(minor), options.to_vec())
        .encode(&mut out)
        .map_err(too_large)?;
    Ok(out)
}

/// Everything from AuthenticationOk to ReadyForQuery: the server's parameters, a cancel key of ours.
fn greeting(server: &Server, issued: &Issued) -> Result<BytesMut, Fatal> {
    let mut out = BytesMut::new();
    let mut written = || -> PgWireResult<()> {
        startup::Authentication::Ok.encode(&mut out)?;
        for (name, value) in &server.parameters {
            ParameterStatus::new(name.clone(), value.clone()).encode(&mut out)?;
        }
        let secret = SecretKey::Bytes(Bytes::copy_from_slice(&issued.secret));
        BackendKeyData::new(issued.process_id, secret).encode(&mut out)?;
        ReadyForQuery::new(TransactionStatus::Idle).encode(&mut out)
    };
    written().map_err(too_large)?;
    Ok(out)
}

/// A start-up answer that the protocol has no room for.
fn too_large(error: PgWireError) -> Fatal {
    tracing::warn!(%error, "a start-up answer could not be written");
    fatal(
        "08P01",
        "the gateway's answer to the start-up message is too large: send fewer start-up parameters",
    )
}

fn no_randomness() -> Fatal {
    fatal(
        "58000",
        "the operating system gave no randomness: tell the gateway's operator",
    )
}

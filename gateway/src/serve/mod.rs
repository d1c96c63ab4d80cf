//! The gateway as a whole: binds, reads the targets' catalogs, serves until it is told to stop, and stops cleanly.
//!
//! It must never take a connection before every target's catalog is read and the start is in the log.
//!
//! | room | holds |
//! |---|---|
//! | `house` | what all sessions share |
//! | `threads` | the serving threads, one runtime each |
//! | `connection` | one connection from accept to close |
//! | `first`, `packet`, `options` | a client's first packets: I/O, their reading, settings in `options` |
//! | `password`, `login`, `start_settings`, `search_path` | who it is, what it asks for, its server connection |
//! | `replication` | connections that replicate: which target, who may |
//! | `ahead` | server connections made before sessions ask for them |
//! | `server_failed` | what a client is told where there is none |
//! | `relay` | bytes between the two sides |
//! | `alarm` | what wakes a session besides its sockets |
//! | `farewell` | how a connection that can't go on ends |
//! | `count` | how many connections and sessions there are |

mod ahead;
mod alarm;
mod connection;
mod count;
mod farewell;
mod first;
mod house;
mod login;
mod options;
mod packet;
mod password;
mod relay;
mod replication;
mod search_path;
mod server_failed;
mod start_settings;
mod threads;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::BytesMut;
use provost_engine::graph::Policy;
use provost_evidence::{Durability, Leases, Log, approvals::Docket};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinSet, spawn_blocking},
    time::{Instant, sleep, sleep_until},
};

use self::{
    count::{Connection, Counts},
    farewell::fatal,
    house::{House, Room, Stopping},
    threads::Threads,
};
use crate::{
    approvals::{Approvals, mail, webhook},
    cancel::CancelKeys,
    catalog::{self, Keeper, Reader},
    certificate::CertificateHandle,
    console::{Furnishing, Sources, Target},
    error::Error,
    identity::Issuer,
    judgement::Bench,
    policy::PolicyHandle,
    record::{self, EvidenceKey},
    settings::Settings,
    upstream::{RootsHandle, Upstream},
};

/// Pause after an accept that failed (too many open files): the listener must not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often the end of the last sessions is looked for while stopping.
const DRAIN_PAUSE: Duration = Duration::from_millis(20);
/// How long sessions that were told to end may take for it: their ends go to the log.
const CUT_GRACE: Duration = Duration::from_secs(5);

/// What the gateway is built from, besides its settings.
pub struct Parts {
    /// The policy in force; whoever keeps the handle may swap it.
    pub policy: Arc<PolicyHandle>,
    /// The evidence log.
    pub log: Arc<Log>,
    /// Slices of hourly budgets, in the store that all gateways share.
    pub leases: Leases,
    /// What people are asked and say, in the same store.
    pub approvals: Docket,
    /// The key of evidence's digests.
    pub key: EvidenceKey,
    /// Verifies tokens.
    pub issuer: Issuer,
}

/// A gateway that listens and does not serve yet.
pub struct Gateway {
    settings: Settings,
    listener: TcpListener,
    address: SocketAddr,
    bench: Arc<Bench>,
    house: Arc<House>,
    stopping: watch::Sender<Stopping>,
    readers: Vec<Reader>,
}

impl Gateway {
    /// Listens, reads every target's catalog, and logs the start.
    ///
    /// # Errors
    /// [`Error`]; nothing is left running.
    pub async fn bind(settings: Settings, parts: Parts) -> Result<Self, Error> {
        check_targets(&settings)?;
        let certificate = CertificateHandle::start(&settings.tls, first::APPLICATION_PROTOCOL)?;
        let listener =
            TcpListener::bind(settings.listen)
                .await
                .map_err(|source| Error::Listen {
                    address: settings.listen,
                    source,
                })?;
        let address = listener.local_addr().map_err(|source| Error::Listen {
            address: settings.listen,
            source,
        })?;
        let Parts {
            policy,
            log,
            leases,
            approvals,
            key,
            issuer,
        } = parts;
        let approvals = Arc::new(Approvals::new(approvals, Arc::clone(&log)));
        let shared = (leases, approvals);
        let bench = Arc::new(
            Bench::new(policy, log, Arc::new(key), shared, &settings)
                .map_err(|source| Error::Thread { source })?,
        );
        let (rooms, readers) = rooms(&settings).await?;
        log_start(&bench, address, &rooms).await?;
        let (stopping, watched) = watch::channel(Stopping::No);
        let house = House {
            bench: Arc::clone(&bench),
            issuer: Arc::new(issuer),
            rooms,
            certificate,
            limits: settings.limits,
            tcp: settings.tcp,
            mask_keys: settings.mask_keys.clone(),
            cancel_keys: Arc::new(CancelKeys::default()),
            counts: Arc::new(Counts::default()),
            roster: Arc::default(),
            stopping: watched,
        };
        Ok(Self {
            settings,
            listener,
            address,
            bench,
            house: Arc::new(house),
            stopping,
            readers,
        })
    }

    /// The address listened on, with the port taken.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What people are asked and say of held statements: for whoever takes what they say.
    #[must_use]
    pub fn approvals(&self) -> Arc<Approvals> {
        Arc::clone(&self.bench.approvals)
    }

    /// What the console reads of the gateway.
    #[must_use]
    pub fn sources(&self, furnishing: Furnishing) -> Sources {
        let mut targets: Vec<Target> = self
            .settings
            .targets
            .iter()
            .filter_map(|target| {
                Some(Target {
                    name: Arc::clone(&target.name),
                    database: Arc::clone(&target.database),
                    keeper: Arc::clone(&self.house.rooms.get(&target.name)?.keeper),
                })
            })
            .collect();
        targets.sort_by(|one, other| one.name.cmp(&other.name));
        Sources {
            furnishing,
            log: Arc::clone(&self.bench.log),
            policy: Arc::clone(&self.bench.policy),
            roster: Arc::clone(&self.house.roster),
            targets,
            witness: self.bench.witness,
            started_at: SystemTime::now(),
            drawn: Arc::default(),
        }
    }

    /// Verifies tokens, for whoever else is given some.
    #[must_use]
    pub fn issuer(&self) -> Arc<Issuer> {
        Arc::clone(&self.house.issuer)
    }

    /// The certificate that clients are shown; `None` where TLS is off.
    #[must_use]
    pub fn certificate(&self) -> Option<Arc<CertificateHandle>> {
        self.house.certificate.clone()
    }

    /// The roots that a target's server must lead to; `None` where its certificate is not verified, or there is no such target.
    #[must_use]
    pub fn roots(&self, target: &str) -> Option<RootsHandle> {
        RootsHandle::of(&self.house.rooms.get(target)?.upstream)
    }

    /// Serves until `shutdown` resolves or the log fails, then drains, cuts and logs the stop.
    ///
    /// # Errors
    /// [`Error::Thread`] when the serving threads can't be started, [`Error::Log`] when the log failed.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let Self {
            settings,
            listener,
            bench,
            house,
            stopping,
            readers,
            ..
        } = self;
        let mut threads =
            Threads::start(&house, settings.threads).map_err(|source| Error::Thread { source })?;
        let mut background = JoinSet::new();
        for reader in readers {
            background.spawn(reader.run(Arc::clone(&bench)));
        }
        for room in house.rooms.values() {
            background.spawn(Arc::clone(room.upstream.warm()).run());
        }
        background.spawn(Arc::clone(&bench.approvals).run());
        for webhook in settings.webhooks {
            let client = webhook::client().map_err(|source| Error::Webhooks { source })?;
            background.spawn(webhook::run(Arc::clone(&bench.approvals), webhook, client));
        }
        for told in settings.mails {
            let host = Arc::clone(&told.host);
            let recipients = mail::recipients(&told);
            for recipient in recipients.map_err(|source| Error::Mail { host, source })? {
                background.spawn(mail::run(Arc::clone(&bench.approvals), recipient));
            }
        }
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                () = bench.failed.notified() => break,
                accepted = listener.accept() => take(accepted, &house, &mut threads).await,
            }
        }
        drop(listener);
        for room in house.rooms.values() {
            room.upstream.warm().close().await;
        }
        drain(
            &house.counts,
            &stopping,
            Duration::from_millis(settings.shutdown_grace_ms),
        )
        .await;
        // Every session ended or was cut; what a thread still runs is a farewell.
        let joined = spawn_blocking(move || threads.join());
        if joined.await.is_err() {
            tracing::error!("the serving threads could not be waited for");
        }
        background.shutdown().await;
        let stop = record::change(SystemTime::now(), "stop", None, None);
        bench.log.append(&stop, Durability::Power).await?;
        Ok(())
    }
}

/// [`Gateway::bind`] and [`Gateway::run`] in one.
///
/// # Errors
/// [`Error`].
pub async fn serve(
    settings: Settings,
    parts: Parts,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    Gateway::bind(settings, parts).await?.run(shutdown).await
}

fn check_targets(settings: &Settings) -> Result<(), Error> {
    if settings.targets.is_empty() {
        return Err(Error::NoTarget);
    }
    let mut names = std::collections::HashSet::new();
    match settings
        .targets
        .iter()
        .find(|target| !names.insert(&target.name))
    {
        Some(twice) => Err(Error::TargetTwice {
            name: Arc::clone(&twice.name),
        }),
        None => Ok(()),
    }
}

/// Connects to every target and reads its catalog.
async fn rooms(settings: &Settings) -> Result<(HashMap<Arc<str>, Room>, Vec<Reader>), Error> {
    let age_max = Duration::from_millis(settings.catalog_age_max_ms);
    let mut rooms = HashMap::new();
    let mut readers = Vec::new();
    for target in &settings.targets {
        let name = Arc::clone(&target.name);
        let upstream = Upstream::new(target.clone(), settings.limits.connect_timeout_ms).map_err(
            |source| Error::Target {
                target: Arc::clone(&name),
                source,
            },
        )?;
        let upstream = Arc::new(upstream.with_tcp(settings.tcp));
        let (keeper, reader) = Keeper::start(Arc::clone(&upstream), age_max)
            .await
            .map_err(|source| Error::Catalog {
                target: Arc::clone(&name),
                source,
            })?;
        readers.push(reader);
        rooms.insert(name, Room { upstream, keeper });
    }
    Ok((rooms, readers))
}

/// Logs the start: the address, the policy in force, each catalog relied on.
async fn log_start(
    bench: &Bench,
    address: SocketAddr,
    rooms: &HashMap<Arc<str>, Room>,
) -> Result<(), Error> {
    let now = SystemTime::now();
    let policy: Arc<Policy> = bench.policy.current();
    let start = record::change(now, "start", Some(&address.to_string()), None);
    bench.log.append(&start, Durability::Process).await?;
    for (name, room) in rooms {
        let loaded = catalog::loaded(name, &room.keeper.current().catalog);
        bench.log.append(&loaded, Durability::Process).await?;
    }
    let bundle = record::change(
        now,
        "bundle-loaded",
        bench.policy.first(),
        Some(&policy.digest().0),
    );
    bench.log.append(&bundle, Durability::Power).await?;
    Ok(())
}

/// Gives an accepted connection to a thread, or refuses one too many.
async fn take(
    accepted: std::io::Result<(TcpStream, SocketAddr)>,
    house: &House,
    threads: &mut Threads,
) {
    let (stream, address) = match accepted {
        Ok(accepted) => accepted,
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            sleep(ACCEPT_PAUSE).await;
            return;
        }
    };
    match house.counts.connect(house.limits.connections_max) {
        Some(counted) => give(threads, stream, address, counted).await,
        None => refuse(&stream),
    }
}

async fn give(threads: &mut Threads, stream: TcpStream, address: SocketAddr, counted: Connection) {
    if let Err(error) = threads.give(stream, address, counted).await {
        tracing::warn!(%address, %error, "a connection could not be handed over");
    }
}

/// Tells one connection too many, without waiting for it: it may be one of thousands.
fn refuse(stream: &TcpStream) {
    let mut out = BytesMut::new();
    farewell::write(
        &mut out,
        &fatal("53300", "sorry, too many clients already: try again later"),
    );
    // The system's buffer takes it at once or not at all.
    let _ = stream.try_write(&out);
}

/// Lets sessions finish for `grace`, then ends them.
async fn drain(counts: &Counts, stopping: &watch::Sender<Stopping>, grace: Duration) {
    for (stage, time) in [(Stopping::Drain, grace), (Stopping::Now, CUT_GRACE)] {
        if stopping.send(stage).is_err() {
            return;
        }
        let deadline = Instant::now() + time;
        while counts.connections() > 0 && Instant::now() < deadline {
            sleep_until(deadline.min(Instant::now() + DRAIN_PAUSE)).await;
        }
        if counts.connections() == 0 {
            return;
        }
    }
    tracing::warn!(
        connections = counts.connections(),
        "some connections did not end in time"
    );
}

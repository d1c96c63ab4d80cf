//! `provost serve`: policy, evidence log, issuer and targets to a running gateway, and its sealing. The demo starts the same way.
//!
//! It must never start with a policy that is not valid, nor without an evidence log that it may write.

use std::{
    future::Future,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use object_store::ObjectStore;
use provost_dsl::drawing::{Picture, Wanted};
use provost_engine::graph::Policy;
use provost_evidence::{
    Archive, Keeping, Leases, Log, LogOptions, ObjectLock, PublicKey, Retention, Sealer,
    SigningKey,
    approvals::{ApprovalId, Docket},
};
use provost_gateway::{
    approvals::{Approvals, HISTORY},
    console::{Console, Furnishing, Sources},
    identity::Issuer,
    record::micros,
    serve::{Gateway, Parts},
    settings::Secret,
};
use tokio::sync::{oneshot, watch};

use super::{block_on, renewal::Renewal, report::catalogues, stamping::Stamping};
use crate::{
    cli,
    config::{self, Config},
    error::Error,
    policy::Keeper,
    signals::{Hangups, Signals},
};

/// Room kept on the log's disk for the last record of a gateway whose disk is full, and for the seal that makes room: one takes 16 MiB of log, and
/// is smaller.
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;

/// What is open besides sessions: the log, what is sealed, policies, the console's and the gateway's own connections.
const OPEN_FILES_BESIDES: u64 = 256;

/// How often legal holds are looked at, and what is over its time is deleted: a day is the smallest unit of it.
const KEEPING_INTERVAL: Duration = Duration::from_secs(3_600);

/// A gateway that listens and doesn't serve yet.
pub(crate) struct Started {
    gateway: Gateway,
    console: Option<Console>,
    keeper: Keeper,
    renewal: Renewal,
    sealer: Arc<Sealer>,
    seal_interval: Duration,
    keeping: Keeping,
    stamping: Option<Stamping>,
    sources: Option<Sources>,
}

/// Runs the command.
///
/// # Errors
/// [`Error`]: nothing is served then.
pub(crate) fn run(command: &cli::Serve) -> Result<(), Error> {
    trace("info");
    block_on(async {
        let mut signals = Signals::listen().map_err(Error::Runtime)?;
        let started = tokio::select! {
            started = start(&command.config) => started?,
            () = signals.wait() => return Ok(()),
        };
        let reload = Signals::reload().map_err(Error::Runtime)?;
        started.run(signals.wait(), Some(reload)).await
    })
}

/// Writes the program's own log to standard error; `PROVOST_LOG` says how much (`info`, `debug`, `provost_gateway=trace`).
pub(crate) fn trace(default: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("PROVOST_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    // A subscriber that is there already was set by this same function.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(crate::output::colours_on_errors())
        .with_target(false)
        .try_init();
}

/// Raises the limit of open files as far as it goes: many systems begin with 1,024, where a session takes two. Warns where that is not
/// enough for the sessions that the configuration allows.
fn raise_open_files(connections_max: usize) {
    let needed = u64::try_from(connections_max).unwrap_or(u64::MAX);
    let needed = needed.saturating_mul(2).saturating_add(OPEN_FILES_BESIDES);
    let (limit, error) = match rlimit::increase_nofile_limit(rlimit::INFINITY) {
        Ok(limit) => (limit, None),
        Err(error) => (
            rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(0, |(soft, _)| soft),
            Some(error),
        ),
    };
    if limit < needed {
        tracing::warn!(
            limit,
            needed,
            connections_max,
            error = error.map(tracing::field::display),
            "the limit of open files is below what `connections_max` may take: raise it (`ulimit -n`, `LimitNOFILE=`), or lower `connections_max`"
        );
    }
}

/// Reads everything the configuration names and binds the gateway.
///
/// # Errors
/// [`Error`], for the first thing that is missing.
pub(crate) async fn start(path: &Path) -> Result<Started, Error> {
    let config = config::load(path)?;
    let resolved = config::resolve(&config, path)?;
    raise_open_files(config.limits.connections_max);
    let log = open_log(&config)?;
    let keeper = Keeper::start(
        &config.policy,
        config.rego,
        resolved.trusted_keys,
        &log,
        &config.evidence.folder,
    )
    .await?;
    let key = std::str::from_utf8(resolved.signing_key.reveal()).map_err(|_| Error::SigningKey)?;
    let store = open_store(&config, &resolved.store_settings, None)?;
    let (shown, read) = (Arc::clone(&store), Arc::clone(&log));
    let leases = Leases::new(Arc::clone(&store), &config.evidence.gateway);
    let key = SigningKey::from_pem(key)?;
    let own = (config.evidence.gateway.as_str(), key.clone());
    let approvals = approvals(own, store, resolved.trusted_gateways);
    let locking = open_store(
        &config,
        &resolved.store_settings,
        config.evidence.object_lock,
    )?;
    let public = key.public(&config.evidence.gateway);
    let stamped = Arc::clone(&locking);
    let sealer = Arc::new(Sealer::open(Arc::clone(&log), locking, key).await?);
    let stamps = config.evidence.stamps.as_ref();
    let stamping = stamps.map(|stamps| Stamping::new(stamps, stamped, public, Arc::clone(&log)));
    let stamping = stamping.transpose()?;
    let keeping = Keeping::new(Arc::clone(&sealer), retention(&config));
    let issuer = Issuer::discover(resolved.issuer).await?;
    let console = match resolved.console {
        None => None,
        Some(settings) => Some(Console::bind(settings).await?),
    };
    let (rules, files) = keeper.counts();
    let gateway = Gateway::bind(
        resolved.settings,
        Parts {
            policy: keeper.handle(),
            log,
            leases,
            approvals,
            key: resolved.digest_key,
            issuer,
        },
    )
    .await?;
    let renewal = Renewal::new(&config, (&gateway, console.as_ref()), &read);
    let mut sources = None;
    if let Some(console) = &console {
        let archive = Archive::new(Arc::clone(&shown), &read).map_err(Error::Runtime)?;
        sources = Some(gateway.sources(furnishing(archive, &config)));
        tracing::info!(address = %console.address(), url = console.origin(), "the console listens");
    }
    tracing::info!(
        address = %gateway.address(),
        targets = config.targets.len(),
        rules,
        files,
        "ready"
    );
    Ok(Started {
        gateway,
        console,
        keeper,
        renewal,
        sealer,
        seal_interval: Duration::from_millis(config.seal_interval_ms),
        keeping,
        stamping,
        sources,
    })
}

impl Started {
    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    /// Where the console is, if there is one.
    pub(crate) fn console(&self) -> Option<&str> {
        self.console.as_ref().map(Console::origin)
    }

    /// Serves until `shutdown` resolves; later policies come into force by themselves and on `reload`, later certificates on
    /// `reload`, the log is sealed on a timer and once more at the end.
    ///
    /// # Errors
    /// [`Error::Gateway`], [`Error::Evidence`].
    pub(crate) async fn run(
        self,
        shutdown: impl Future<Output = ()>,
        reload: Option<Hangups>,
    ) -> Result<(), Error> {
        let (stop, stopped) = watch::channel(());
        let (fail, failed) = oneshot::channel();
        let (policy, certificates) = reload.map(|each| (each.policy, each.certificates)).unzip();
        let keeping = self.keeper.run(policy, stopped.clone());
        let renewing = self.renewal.run(certificates, stopped.clone());
        let keeping = tokio::spawn(async move {
            let kept = tokio::try_join!(keeping, renewing).map(|_| ());
            if kept.is_err() {
                // A gateway that is gone already needs no telling.
                let _ = fail.send(());
            }
            kept
        });
        let sealing = tokio::spawn(seal_on_a_timer(
            Arc::clone(&self.sealer),
            self.seal_interval,
            stopped.clone(),
        ));
        let retaining = tokio::spawn(keep_on_a_timer(self.keeping, stopped.clone()));
        let stamping = self
            .stamping
            .map(|stamping| tokio::spawn(stamping.run(stopped.clone())));
        let console = self.console.zip(self.sources).map(|(console, sources)| {
            let parts = (self.gateway.approvals(), self.gateway.issuer(), sources);
            tokio::spawn(run_console(console, parts, stopped.clone()))
        });
        let served = self
            .gateway
            .run(async {
                tokio::select! {
                    () = shutdown => {}
                    Ok(()) = failed => {}
                }
            })
            .await;
        drop(stop);
        let kept = keeping.await;
        // Votes go to the log: the last of them before its last seal.
        if let Some(console) = console
            && let Err(error) = console.await
        {
            tracing::error!(%error, "the console broke off: this is a defect");
        }
        // The timer never panics; a seal under way is waited for.
        let _ = sealing.await;
        if let Err(error) = retaining.await {
            tracing::error!(%error, "the look at holds and retention broke off: this is a defect");
        }
        if let Some(stamping) = stamping
            && let Err(error) = stamping.await
        {
            tracing::error!(%error, "time stamping broke off: this is a defect");
        }
        let sealed = self.sealer.seal_now(micros(SystemTime::now())).await;
        served?;
        kept.map_err(Error::Compiler)??;
        let sealed = sealed?;
        tracing::info!(rows = sealed.tree_size, "stopped; evidence is sealed");
        Ok(())
    }
}

/// Serves the console until the sender is dropped.
async fn run_console(
    console: Console,
    (approvals, issuer, sources): (Arc<Approvals>, Arc<Issuer>, Sources),
    mut stopped: watch::Receiver<()>,
) {
    let stop = async {
        // It is never sent to: it ends.
        let _ = stopped.changed().await;
    };
    console.run(approvals, issuer, sources, stop).await;
}

/// Seals until the sender is dropped. A failure is said and tried again at the next turn: the log keeps what isn't sealed.
async fn seal_on_a_timer(
    sealer: Arc<Sealer>,
    interval: Duration,
    mut stopped: watch::Receiver<()>,
) {
    let mut timer = tokio::time::interval(interval);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = timer.tick() => {}
            _ = stopped.changed() => return,
        }
        if let Err(error) = sealer.seal_now(micros(SystemTime::now())).await {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(%error, source, "evidence could not be sealed; it stays in the log and is tried again");
        }
    }
}

/// Looks after what is sealed until the sender is dropped. A failure deletes nothing, is said, and is tried again at the next turn.
async fn keep_on_a_timer(mut keeping: Keeping, mut stopped: watch::Receiver<()>) {
    let mut timer = tokio::time::interval(KEEPING_INTERVAL);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = timer.tick() => {}
            _ = stopped.changed() => return,
        }
        match keeping.turn(micros(SystemTime::now())).await {
            Ok(kept) if kept.announced + kept.deleted + kept.held > 0 => tracing::info!(
                deleted = kept.deleted,
                held = kept.held,
                "retention: objects whose time is over"
            ),
            Ok(_) => {}
            Err(error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, source, "legal holds and retention could not be looked at; nothing more is deleted, and it is tried again");
            }
        }
    }
}

/// The retention that is configured.
pub(super) fn retention(config: &Config) -> Option<Retention> {
    let days = config.evidence.retention_days?;
    Some(Retention {
        days,
        actor: "gateway".to_owned(),
    })
}

/// What people are asked and say, from some time before now on.
fn approvals(
    own: (&str, SigningKey),
    store: Arc<dyn ObjectStore>,
    others: Vec<PublicKey>,
) -> Docket {
    let from = SystemTime::now().checked_sub(HISTORY);
    let from = micros(from.unwrap_or(SystemTime::UNIX_EPOCH));
    Docket::new(store, own, others, ApprovalId::first_of(from))
}

/// What the console shows that the gateway itself knows nothing of.
fn furnishing(archive: Archive, config: &Config) -> Furnishing {
    Furnishing {
        archive,
        catalogues: catalogues(&["nist-800-53", "ffiec-is"]),
        draw,
        log_bytes_max: config.evidence.log_bytes_max,
    }
}

/// The whole decision graph.
fn draw(policy: &Policy) -> Result<String, String> {
    let wanted = Wanted {
        group: None,
        relation: None,
    };
    let picture = Picture::new(policy, &wanted);
    picture.svg().map_err(|too_large| too_large.to_string())
}

pub(super) fn open_store(
    config: &Config,
    settings: &[(String, Secret)],
    lock: Option<ObjectLock>,
) -> Result<Arc<dyn ObjectStore>, Error> {
    let texts = settings.iter().map(|(name, value)| {
        let text = std::str::from_utf8(value.reveal());
        text.map(|text| (name.clone(), text.to_owned()))
    });
    let texts: Vec<_> = texts
        .collect::<Result<_, _>>()
        .map_err(|_| Error::StoreSetting)?;
    Ok(config.evidence.store.open_locking(&texts, lock)?)
}

pub(super) fn open_log(config: &Config) -> Result<Arc<Log>, Error> {
    let folder = &config.evidence.folder;
    let options = LogOptions {
        bytes_warn: config.evidence.log_bytes_warn,
        bytes_max: config.evidence.log_bytes_max,
        reserve_bytes: RESERVE_BYTES,
        ..LogOptions::new(folder, &config.evidence.gateway)
    };
    let (log, recovery) = Log::open(options).map_err(|source| Error::Log {
        folder: folder.clone(),
        source: Box::new(source),
    })?;
    if recovery.cut_bytes > 0 || recovery.statements_open > 0 {
        tracing::warn!(
            cut_bytes = recovery.cut_bytes,
            statements_open = recovery.statements_open,
            "the gateway did not stop cleanly last time; what was open is recorded as unknown"
        );
    }
    Ok(log)
}

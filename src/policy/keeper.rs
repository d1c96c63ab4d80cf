//! Keeps the policy in force: the first at the start, later ones by polling or on SIGHUP, none after its expiry.
//!
//! INVARIANT: the highest sequence is on disk and the change in the log before a policy is swapped in.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use provost_dsl::{
    bundle::{Line, Place, TrustedKey},
    rego::RegoLimits,
};
use provost_engine::graph::Policy;
use provost_evidence::{
    Durability, Log,
    record::{ChangeRecord, Record},
};
use provost_gateway::{policy::PolicyHandle, record::micros};
use tokio::{
    signal::unix::Signal,
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    Location, accepted,
    candidate::{self, Candidate, Refusal},
    source::{Fetched, Source},
};
use crate::{config, error::Error, signals::hangup};

/// How often the clock is looked at at least, for it may be set while we sleep.
const CLOCK_INTERVAL: Duration = Duration::from_secs(10);

/// Keeps the policy in force.
pub(crate) struct Keeper {
    supply: Supply,
    handle: Arc<PolicyHandle>,
    log: Arc<Log>,
    in_force: InForce,
    /// What was refused last and why, so that a lasting refusal is recorded once.
    refused: Option<(String, Option<String>)>,
}

/// What is known of the policy in force.
struct InForce {
    description: String,
    digest: String,
    expiry: Option<(Timestamp, Arc<Policy>)>,
    rules: usize,
    files: usize,
}

enum Supply {
    Folder(PathBuf, RegoLimits),
    Bundles(Box<Bundles>),
}

struct Bundles {
    source: Source,
    trusted: Arc<[TrustedKey]>,
    line: Line,
    in_force: Option<Place>,
    /// Where the highest place is kept.
    folder: PathBuf,
    poll_interval: Duration,
    limits: RegoLimits,
}

impl Keeper {
    /// Gets the first policy. A refusal is recorded; then the bundle accepted last decides, if there is one that is still good, and
    /// otherwise nothing starts.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) async fn start(
        policy: &config::Policy,
        limits: RegoLimits,
        trusted: Vec<TrustedKey>,
        log: &Arc<Log>,
        folder: &Path,
    ) -> Result<Self, Error> {
        let mut supply = Supply::open(policy, limits, trusted, folder)?;
        let candidate = match supply.first().await {
            Ok(candidate) => candidate,
            Err(refusal) => {
                log.append(&refused(None, &refusal), Durability::Power)
                    .await?;
                let Some(copy) = supply.copy().await else {
                    return Err(*refusal.error);
                };
                tracing::error!(
                    error = %refusal.error,
                    policy = %copy.description,
                    "no policy could be had from its source: the bundle accepted last decides"
                );
                copy
            }
        };
        let handle =
            PolicyHandle::described(Arc::clone(&candidate.policy), candidate.description.clone());
        Ok(Self {
            supply,
            handle: Arc::new(handle),
            log: Arc::clone(log),
            in_force: InForce::of(candidate),
            refused: None,
        })
    }

    /// What the gateway decides by.
    pub(crate) fn handle(&self) -> Arc<PolicyHandle> {
        Arc::clone(&self.handle)
    }

    /// How many rules and files are in force.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.in_force.rules, self.in_force.files)
    }

    /// Looks for later policies until `stopped` changes: bundles at every poll, any supply on `reload`.
    ///
    /// # Errors
    /// [`Error::Evidence`]: what can't be recorded must not happen, so the gateway must stop.
    pub(crate) async fn run(
        mut self,
        mut reload: Option<Signal>,
        mut stopped: watch::Receiver<()>,
    ) -> Result<(), Error> {
        let mut poll = self.supply.poll_from(Instant::now());
        loop {
            let clock = Instant::now() + CLOCK_INTERVAL;
            let wake = [poll, self.expiry()]
                .into_iter()
                .flatten()
                .fold(clock, Instant::min);
            let mut asked = false;
            tokio::select! {
                () = sleep_until(wake) => {}
                () = hangup(&mut reload) => asked = true,
                _ = stopped.changed() => return Ok(()),
            }
            self.expire().await?;
            if asked || poll.is_some_and(|poll| poll <= Instant::now()) {
                self.turn().await?;
                poll = self.supply.poll_from(Instant::now());
            }
        }
    }

    /// One look for a later policy.
    async fn turn(&mut self) -> Result<(), Error> {
        let refusal = match self.supply.next().await {
            Ok(None) => {
                self.refused = None;
                return Ok(());
            }
            Ok(Some(candidate)) if candidate.policy.digest().0.as_ref() == self.in_force.digest => {
                return Ok(());
            }
            Ok(Some(candidate)) => match self.supply.accept(&candidate) {
                Ok(()) => return self.swap(candidate).await,
                Err(refusal) => refusal,
            },
            Err(refusal) => refusal,
        };
        let error = refusal.error.to_string();
        let cause = (error.clone(), refusal.digest.clone());
        if self.refused.as_ref() == Some(&cause) {
            return Ok(());
        }
        let source = std::error::Error::source(&*refusal.error).map(ToString::to_string);
        tracing::error!(error, source, in_force = %self.in_force.description, "a policy was refused; the one in force stays");
        let record = refused(Some(&self.in_force.description), &refusal);
        self.log.append(&record, Durability::Power).await?;
        self.refused = Some(cause);
        Ok(())
    }

    /// Records the change, then makes it.
    async fn swap(&mut self, candidate: Candidate) -> Result<(), Error> {
        let policy = Arc::clone(&candidate.policy);
        let next = InForce::of(candidate);
        let record = change(
            "bundle-loaded",
            Some(&self.in_force.description),
            &next.description,
            Some(&next.digest),
        );
        self.log.append(&record, Durability::Power).await?;
        self.handle.swap(policy);
        tracing::info!(policy = %next.description, rules = next.rules, files = next.files, "a policy came into force");
        self.in_force = next;
        self.refused = None;
        Ok(())
    }

    /// When the policy in force expires; already expired ones have no expiry any more.
    fn expiry(&self) -> Option<Instant> {
        let (at, _) = self.in_force.expiry.as_ref()?;
        let left = at.duration_since(Timestamp::now());
        Some(
            Instant::now()
                + Duration::try_from(left)
                    .unwrap_or_default()
                    .min(CLOCK_INTERVAL),
        )
    }

    /// Puts the policy that denies everything in force once the expiry is reached.
    async fn expire(&mut self) -> Result<(), Error> {
        let now = Timestamp::now();
        let Some((at, expired)) = self.in_force.expiry.take_if(|(at, _)| *at <= now) else {
            return Ok(());
        };
        let record = change(
            "bundle-expired",
            Some(&self.in_force.description),
            "every statement is denied until a bundle that has not expired is loaded",
            Some(&self.in_force.digest),
        );
        self.log.append(&record, Durability::Power).await?;
        self.handle.swap(expired);
        tracing::error!(
            %at,
            policy = %self.in_force.description,
            "the policy bundle expired: every statement is denied until a newer one is published"
        );
        Ok(())
    }
}

impl InForce {
    fn of(candidate: Candidate) -> Self {
        Self {
            digest: candidate.policy.digest().0.to_string(),
            description: candidate.description,
            expiry: candidate.expiry,
            rules: candidate.rules,
            files: candidate.files,
        }
    }
}

impl Supply {
    fn open(
        policy: &config::Policy,
        limits: RegoLimits,
        trusted: Vec<TrustedKey>,
        folder: &Path,
    ) -> Result<Self, Error> {
        match policy {
            config::Policy::UnsignedFolder(folder) => Ok(Self::Folder(folder.clone(), limits)),
            config::Policy::Bundle(bundle) => Ok(Self::Bundles(Box::new(Bundles {
                source: Source::open(bundle.location.clone())?,
                trusted: trusted.into(),
                line: Line {
                    minimum: bundle.minimum_sequence,
                    highest: accepted::read(folder)?,
                },
                in_force: None,
                folder: folder.to_owned(),
                poll_interval: Duration::from_millis(bundle.poll_interval_ms),
                limits,
            }))),
        }
    }

    /// The first policy of a start, accepted.
    async fn first(&mut self) -> Result<Candidate, Refusal> {
        // Nothing was fetched before and nothing is in force: there is one or a refusal.
        let found = self.next().await?.ok_or(super::SourceError::NotFound);
        let candidate = found.map_err(Error::from)?;
        self.accept(&candidate)?;
        Ok(candidate)
    }

    /// The bundle accepted last, from its copy, checked like any other; `None` where there is none or it is not good any more.
    async fn copy(&mut self) -> Option<Candidate> {
        let Self::Bundles(bundles) = self else {
            return None;
        };
        let highest = bundles.line.highest.clone()?;
        let path = accepted::copy(&bundles.folder);
        let bytes = std::fs::read(&path).ok()?;
        let (line, trusted) = (bundles.line.clone(), Arc::clone(&bundles.trusted));
        let (location, limits) = (Location::File(path), bundles.limits);
        let found =
            blocking(move || candidate::of_bundle(bytes, &location, &trusted, &line, None, limits))
                .await;
        let candidate = match found {
            Ok(candidate) => candidate?,
            Err(refusal) => {
                tracing::error!(error = %refusal.error, "the bundle accepted last can't be used");
                return None;
            }
        };
        // A copy that a crash left above its place was never in force.
        if candidate
            .bundle
            .as_ref()
            .is_none_or(|(place, _)| *place != highest)
        {
            return None;
        }
        bundles.in_force = Some(highest);
        Some(candidate)
    }

    /// When it is looked at next by itself; a folder is only on request.
    fn poll_from(&self, now: Instant) -> Option<Instant> {
        match self {
            Self::Folder(..) => None,
            Self::Bundles(bundles) => Some(now + bundles.poll_interval),
        }
    }

    /// The policy that is there now; `None` when it is the one in force. Compiling may take seconds, on a thread of its own.
    async fn next(&mut self) -> Result<Option<Candidate>, Refusal> {
        match self {
            Self::Folder(folder, limits) => {
                let (folder, limits) = (folder.clone(), *limits);
                blocking(move || candidate::of_folder(&folder, limits).map(Some)).await
            }
            Self::Bundles(bundles) => {
                let bytes = match bundles.source.fetch().await.map_err(Error::from)? {
                    Fetched::Unchanged => return Ok(None),
                    Fetched::Bytes(bytes) => bytes,
                };
                let location = bundles.source.location().clone();
                let trusted = Arc::clone(&bundles.trusted);
                let (line, in_force) = (bundles.line.clone(), bundles.in_force.clone());
                let limits = bundles.limits;
                blocking(move || {
                    let in_force = in_force.as_ref();
                    candidate::of_bundle(bytes, &location, &trusted, &line, in_force, limits)
                })
                .await
            }
        }
    }

    /// Makes the candidate the highest one, on disk first.
    fn accept(&mut self, candidate: &Candidate) -> Result<(), Refusal> {
        let (Self::Bundles(bundles), Some((place, bytes))) = (self, &candidate.bundle) else {
            return Ok(());
        };
        if bundles.line.highest.as_ref() != Some(place)
            && let Err(error) = accepted::write(&bundles.folder, place, bytes)
        {
            // The disk may be well again at the next poll.
            bundles.source.forget();
            return Err(Error::from(error).into());
        }
        bundles.line.highest = Some(place.clone());
        bundles.in_force = Some(place.clone());
        Ok(())
    }
}

async fn blocking(
    work: impl FnOnce() -> Result<Option<Candidate>, Refusal> + Send + 'static,
) -> Result<Option<Candidate>, Refusal> {
    match tokio::task::spawn_blocking(work).await {
        Ok(found) => found,
        // A bug in the compiler must not take the gateway down: the policy in force stays.
        Err(error) => Err(Error::Compiler(error).into()),
    }
}

fn refused(in_force: Option<&str>, refusal: &Refusal) -> Record {
    let reason = format!("refused: {}", refusal.error);
    change(
        "bundle-refused",
        in_force,
        &reason,
        refusal.digest.as_deref(),
    )
}

fn change(what: &str, before: Option<&str>, after: &str, digest: Option<&str>) -> Record {
    Record::Change(ChangeRecord {
        at: micros(SystemTime::now()),
        actor: "gateway".to_owned(),
        what: what.to_owned(),
        before: before.map(str::to_owned),
        after: Some(after.to_owned()),
        digest: digest.map(str::to_owned),
    })
}

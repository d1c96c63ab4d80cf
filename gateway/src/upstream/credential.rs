//! A target's password: kept as it was last given, asked for anew when it is old, or when the server refuses it.
//!
//! It must never show in a log, and a wrong one must not make every connection ask anew.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use tokio::{sync::Mutex, time::Instant};

use crate::settings::Secret;

/// After a password was asked for, how long the same one may be refused before it is asked for again.
const PAUSE: Duration = Duration::from_secs(1);

/// Why there is no password; never holds one.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Unavailable {
    /// What went wrong, for the operator.
    pub what: String,
}

/// A password on its way.
pub type Asked<'a> = Pin<Box<dyn Future<Output = Result<Secret, Unavailable>> + Send + 'a>>;

/// Where a password comes from: a file, a command, a signer of tokens.
pub trait Source: fmt::Debug + Send + Sync {
    /// The password as it is now.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn password(&self) -> Asked<'_>;
}

/// The password of a target's role.
#[derive(Clone)]
pub struct Credential {
    /// `None`: it never changes.
    source: Option<Arc<dyn Source>>,
    /// How long a password is good; `None`: until the server refuses it.
    age_max: Option<Duration>,
    /// [`PAUSE`], or what a test wants.
    pause: Duration,
    held: Arc<Mutex<Option<Held>>>,
}

struct Held {
    password: Secret,
    since: Instant,
}

impl Credential {
    /// Asks `source` when a password is wanted and there is none, or the last one is older than `age_max`, or the server
    /// refused it. `first` is the password so far, where it was asked for already.
    #[must_use]
    pub fn asked(
        source: Arc<dyn Source>,
        age_max: Option<Duration>,
        first: Option<Secret>,
    ) -> Self {
        let held = first.map(|password| Held {
            password,
            since: Instant::now(),
        });
        Self {
            source: Some(source),
            age_max,
            pause: PAUSE,
            held: Arc::new(Mutex::new(held)),
        }
    }

    /// The password to log in with.
    pub(super) async fn current(&self) -> Result<Secret, Unavailable> {
        let mut held = self.held.lock().await;
        let is_good = |held: &&Held| {
            self.age_max
                .is_none_or(|age_max| held.since.elapsed() < age_max)
        };
        match (held.as_ref().filter(is_good), &self.source) {
            (Some(held), _) => Ok(held.password.clone()),
            (None, Some(source)) => ask(source.as_ref(), &mut held).await,
            (None, None) => Err(Unavailable {
                what: "there is none".to_owned(),
            }),
        }
    }

    /// Another password than one that the server refused; `None` where there is no other.
    pub(super) async fn instead(&self, refused: &Secret) -> Result<Option<Secret>, Unavailable> {
        let Some(source) = &self.source else {
            return Ok(None);
        };
        let mut held = self.held.lock().await;
        if let Some(held) = held.as_ref() {
            // Another connection asked meanwhile.
            if held.password != *refused {
                return Ok(Some(held.password.clone()));
            }
            if held.since.elapsed() < self.pause {
                return Ok(None);
            }
        }
        let password = ask(source.as_ref(), &mut held).await?;
        Ok(Some(password).filter(|password| password != refused))
    }
}

async fn ask(source: &dyn Source, held: &mut Option<Held>) -> Result<Secret, Unavailable> {
    let password = source.password().await?;
    *held = Some(Held {
        password: password.clone(),
        since: Instant::now(),
    });
    Ok(password)
}

impl From<Secret> for Credential {
    /// A password that never changes.
    fn from(password: Secret) -> Self {
        let since = Instant::now();
        Self {
            source: None,
            age_max: None,
            pause: PAUSE,
            held: Arc::new(Mutex::new(Some(Held { password, since }))),
        }
    }
}

/// Shows where it comes from, never what it is.
impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credential")
            .field("source", &self.source)
            .field("age_max", &self.age_max)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Gives `p0`, `p1`, ...: the changes of a password that it was told, and counts how often it is asked.
    #[derive(Debug, Default)]
    struct Vault {
        asked: AtomicUsize,
        version: AtomicUsize,
    }

    impl Source for Vault {
        fn password(&self) -> Asked<'_> {
            Box::pin(async {
                self.asked.fetch_add(1, Ordering::Relaxed);
                Ok(secret(self.version.load(Ordering::Relaxed)))
            })
        }
    }

    fn secret(version: usize) -> Secret {
        Secret::new(format!("p{version}").into_bytes())
    }

    /// A vault, and the credential that asks it; `pause` in place of [`PAUSE`].
    fn world(pause: Duration, age_max: Option<Duration>) -> (Arc<Vault>, Credential) {
        let vault = Arc::new(Vault::default());
        let mut credential =
            Credential::asked(Arc::<Vault>::clone(&vault), age_max, Some(secret(7)));
        credential.pause = pause;
        (vault, credential)
    }

    #[tokio::test]
    async fn a_refused_password_is_not_asked_for_again_at_once() {
        let (vault, credential) = world(Duration::from_secs(3600), None);
        assert_eq!(credential.current().await.unwrap(), secret(7));
        assert_eq!(credential.instead(&secret(7)).await.unwrap(), None);
        // Another connection logged in with an older one.
        let instead = credential.instead(&secret(6)).await.unwrap();
        assert_eq!(instead, Some(secret(7)));
        assert_eq!(vault.asked.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_changed_password_is_asked_for_once() {
        let (vault, credential) = world(Duration::ZERO, None);
        let asked = || vault.asked.load(Ordering::Relaxed);
        vault.version.store(7, Ordering::Relaxed);
        assert_eq!(credential.instead(&secret(7)).await.unwrap(), None);
        assert_eq!(asked(), 1);
        vault.version.store(8, Ordering::Relaxed);
        for _ in 0..2 {
            let instead = credential.instead(&secret(7)).await.unwrap();
            assert_eq!(instead, Some(secret(8)));
        }
        assert_eq!(credential.current().await.unwrap(), secret(8));
        assert_eq!(asked(), 2);
    }

    #[tokio::test]
    async fn a_password_grows_old() {
        let (_, credential) = world(PAUSE, Some(Duration::ZERO));
        assert_eq!(credential.current().await.unwrap(), secret(0));
        let (_, credential) = world(PAUSE, Some(Duration::from_secs(3600)));
        assert_eq!(credential.current().await.unwrap(), secret(7));
    }

    #[tokio::test]
    async fn a_fixed_password_stays_and_is_not_shown() {
        let credential = Credential::from(secret(3));
        assert_eq!(credential.current().await.unwrap(), secret(3));
        assert_eq!(credential.instead(&secret(3)).await.unwrap(), None);
        assert!(!format!("{credential:?}").contains("p3"));
    }
}

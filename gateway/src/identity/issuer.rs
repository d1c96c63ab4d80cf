//! An issuer: its discovery document, its keys, and when they are fetched again.
//!
//! It must never let a client make it hammer the issuer, never follow a redirect, and never trust keys without end.

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use openidconnect::{core::CoreProviderMetadata, reqwest};
use tokio::sync::Mutex;
use url::{Host, Url};

use super::{
    error::{Error, FetchError, Refused, shown},
    keys::KeySet,
    settings::IssuerSettings,
    token::{Unverified, Verified},
};

/// The largest document read from an issuer, in bytes; a larger one is refused.
const DOCUMENT_BYTES_MAX: usize = 512 * 1024;
/// Connecting to the issuer may take this long; then the fetch fails.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A whole fetch may take this long; then it fails.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Keys older than this are fetched again at the next login, so that a withdrawn key stops working.
const KEYS_FRESH: Duration = Duration::from_secs(10 * 60);
/// Keys older than this are trusted no more: an issuer that is away for longer stops logins.
const KEYS_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Between two fetches at least this much time passes, whatever clients send; until then an unknown key stays unknown.
const REFETCH_INTERVAL: Duration = Duration::from_secs(10);

/// The keys and when they came.
struct Cached {
    keys: KeySet,
    fetched_at: SystemTime,
}

/// Where people log in with a browser.
#[derive(Debug, Clone)]
pub(crate) struct LoginUrls {
    /// The page.
    pub(crate) authorization: Url,
    /// Where its code becomes tokens.
    pub(crate) token: Url,
}

/// A trusted issuer whose discovery document and keys were read.
pub struct Issuer {
    settings: IssuerSettings,
    client: reqwest::Client,
    keys_url: Url,
    /// Where people log in, and where what they bring from there is exchanged; `None` where the issuer has no such place that can be trusted.
    login: Option<LoginUrls>,
    cached: RwLock<Arc<Cached>>,
    /// When a fetch was last tried; held while one runs.
    last_fetch: Mutex<SystemTime>,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Issuer")
            .field("url", &self.settings.url)
            .finish_non_exhaustive()
    }
}

impl Issuer {
    /// Reads the issuer's discovery document and keys.
    ///
    /// # Errors
    /// [`Error::IssuerUrl`], [`Error::ExtraCa`], [`Error::Unreachable`], [`Error::IssuerMismatch`].
    ///
    /// # Source
    /// OpenID Connect Discovery 1.0, 4.
    pub async fn discover(settings: IssuerSettings) -> Result<Self, Error> {
        let issuer_url = trusted_url(&settings.url)?;
        let client = client(&settings, &issuer_url)?;
        let document_url = format!(
            "{}/.well-known/openid-configuration",
            settings.url.trim_end_matches('/')
        );
        let unreachable = |url: &str, source| Error::Unreachable {
            url: url.to_owned(),
            source,
        };
        let document = fetch(&client, &document_url)
            .await
            .map_err(|source| unreachable(&document_url, source))?;
        let metadata: CoreProviderMetadata = serde_json::from_slice(&document)
            .map_err(|source| unreachable(&document_url, FetchError::Json(source)))?;
        if metadata.issuer().as_str() != settings.url {
            return Err(Error::IssuerMismatch {
                expected: settings.url,
                found: shown(metadata.issuer().as_str()),
            });
        }
        let keys_url = trusted_url(metadata.jwks_uri().as_str())?;
        let is_near = |url: &Url| is_loopback(url) && !is_loopback(&issuer_url);
        if is_near(&keys_url) {
            return Err(Error::IssuerUrl {
                url: shown(keys_url.as_str()),
            });
        }
        let login = metadata.token_endpoint().and_then(|token| {
            let authorization = trusted_url(metadata.authorization_endpoint().as_str()).ok()?;
            let token = trusted_url(token.as_str()).ok()?;
            let urls = LoginUrls {
                authorization,
                token,
            };
            (!is_near(&urls.authorization) && !is_near(&urls.token)).then_some(urls)
        });
        let keys = fetch_keys(&client, &keys_url, &settings)
            .await
            .map_err(|source| unreachable(keys_url.as_str(), source))?;
        let now = SystemTime::now();
        Ok(Self {
            settings,
            client,
            keys_url,
            login,
            cached: RwLock::new(Arc::new(Cached {
                keys,
                fetched_at: now,
            })),
            last_fetch: Mutex::new(now),
        })
    }

    /// The issuer's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.settings.url
    }

    /// Checks a token at a time; may fetch the keys again (an unknown key, or keys that are no longer fresh).
    ///
    /// # Errors
    /// [`Refused`], with the principal where the token is genuine.
    pub async fn verify(&self, token: &str, now: SystemTime) -> Result<Verified, Refused> {
        self.check(token, &self.settings, now).await
    }

    /// Checks a token that must be meant for this audience, and for no other of ours.
    ///
    /// # Errors
    /// As [`Issuer::verify`].
    pub(crate) async fn verify_for(
        &self,
        audience: &str,
        token: &str,
        now: SystemTime,
    ) -> Result<Verified, Refused> {
        let mut settings = self.settings.clone();
        settings.audiences = vec![audience.to_owned()];
        self.check(token, &settings, now).await
    }

    /// Where people log in.
    pub(crate) fn login(&self) -> Option<&LoginUrls> {
        self.login.as_ref()
    }

    /// Sends a form to the token endpoint; gives its answer, if that is a success.
    ///
    /// # Errors
    /// [`FetchError`].
    pub(crate) async fn redeem(
        &self,
        urls: &LoginUrls,
        form: String,
        (client_id, secret): (&str, Option<&str>),
    ) -> Result<Vec<u8>, FetchError> {
        let request = self.client.post(urls.token.clone());
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let request = match secret {
            Some(secret) => request.basic_auth(client_id, Some(secret)),
            None => request,
        };
        read(request.body(form)).await
    }

    async fn check(
        &self,
        token: &str,
        settings: &IssuerSettings,
        now: SystemTime,
    ) -> Result<Verified, Refused> {
        let unverified = Unverified::read(token, settings)?;
        let mut cached = self.cached();
        if age(&cached, now) > KEYS_FRESH {
            // Whoever comes second goes on with the keys there are: one slow issuer must not queue all logins.
            if let Ok(last_fetch) = self.last_fetch.try_lock() {
                cached = self.refetch(last_fetch, now).await;
            }
        }
        if matches!(
            unverified.key(&cached.keys, settings),
            Err(Error::UnknownKey { .. })
        ) {
            let last_fetch = self.last_fetch.lock().await;
            cached = self.refetch(last_fetch, now).await;
        }
        if age(&cached, now) > KEYS_AGE_MAX {
            return Err(Refused::from(Error::KeysStale {
                hours: age(&cached, now).as_secs() / 3600,
            }));
        }
        let key = unverified.key(&cached.keys, settings)?;
        unverified.verify(key, settings, now)
    }

    /// Fetches the keys unless that was tried just now; a failure keeps the old ones.
    async fn refetch(
        &self,
        mut last_fetch: tokio::sync::MutexGuard<'_, SystemTime>,
        now: SystemTime,
    ) -> Arc<Cached> {
        let since = now.duration_since(*last_fetch).unwrap_or_default();
        if since < REFETCH_INTERVAL {
            return self.cached();
        }
        *last_fetch = now;
        match fetch_keys(&self.client, &self.keys_url, &self.settings).await {
            Ok(keys) => {
                let cached = Arc::new(Cached {
                    keys,
                    fetched_at: now,
                });
                *self.cached.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&cached);
                cached
            }
            Err(error) => {
                tracing::warn!(url = %self.keys_url, %error, "could not fetch the issuer's keys again; the known ones are used");
                self.cached()
            }
        }
    }

    fn cached(&self) -> Arc<Cached> {
        Arc::clone(&self.cached.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same with a place to log in.
    #[cfg(test)]
    pub(crate) fn with_login(mut self, login: LoginUrls) -> Self {
        self.login = Some(login);
        self
    }

    /// An issuer whose keys are given and that nobody can reach: for tests of other rooms.
    #[cfg(test)]
    pub(crate) fn with_keys(settings: IssuerSettings, keys: &[u8], now: SystemTime) -> Self {
        Self {
            client: reqwest::Client::new(),
            keys_url: Url::parse("http://127.0.0.1:1/keys").unwrap(),
            login: None,
            cached: RwLock::new(Arc::new(Cached {
                keys: KeySet::from_json(keys, &settings.algorithms).unwrap(),
                fetched_at: now,
            })),
            last_fetch: Mutex::new(now),
            settings,
        }
    }
}

fn age(cached: &Cached, now: SystemTime) -> Duration {
    now.duration_since(cached.fetched_at).unwrap_or_default()
}

fn client(settings: &IssuerSettings, issuer_url: &Url) -> Result<reqwest::Client, Error> {
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(FETCH_TIMEOUT)
        // Connections are not kept: the client is shared by runtimes, and a kept one belongs to the runtime that made it.
        .pool_max_idle_per_host(0);
    if is_loopback(issuer_url) {
        builder = builder.no_proxy();
    }
    if let Some(pem) = &settings.extra_ca {
        let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(Error::ExtraCa)?;
        for certificate in certificates {
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build().map_err(Error::Client)
}

async fn fetch_keys(
    client: &reqwest::Client,
    url: &Url,
    settings: &IssuerSettings,
) -> Result<KeySet, FetchError> {
    let document = fetch(client, url.as_str()).await?;
    KeySet::from_json(&document, &settings.algorithms)
}

/// Reads a document, no more than [`DOCUMENT_BYTES_MAX`] of it.
async fn fetch(client: &reqwest::Client, url: &str) -> Result<Vec<u8>, FetchError> {
    read(client.get(url)).await
}

/// Sends a request, and reads no more than [`DOCUMENT_BYTES_MAX`] of its answer.
async fn read(request: reqwest::RequestBuilder) -> Result<Vec<u8>, FetchError> {
    let mut response = request.send().await.map_err(FetchError::Http)?;
    let status = response.status().as_u16();
    if status != 200 {
        return Err(FetchError::Status { status });
    }
    let mut document = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(FetchError::Http)? {
        if document.len() + chunk.len() > DOCUMENT_BYTES_MAX {
            return Err(FetchError::TooLarge {
                bytes_max: DOCUMENT_BYTES_MAX,
            });
        }
        document.extend_from_slice(&chunk);
    }
    Ok(document)
}

/// `https`, or `http` to this machine itself: anything else would let the network choose the keys.
fn trusted_url(text: &str) -> Result<Url, Error> {
    Url::parse(text)
        .ok()
        .filter(|url| url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url)))
        .ok_or_else(|| Error::IssuerUrl { url: shown(text) })
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_or_loopback_is_trusted() {
        let cases = [
            ("https://login.example.com", true),
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:8080/realm", true),
            ("http://localhost:9000", true),
            ("http://login.example.com", false),
            ("http://127.0.0.1.example.com", false),
            ("http://localhost.example.com", false),
            ("http://10.0.0.1", false),
            ("ftp://127.0.0.1", false),
            ("file:///etc/passwd", false),
            ("login.example.com", false),
            ("", false),
        ];
        for (url, trusted) in cases {
            assert_eq!(trusted_url(url).is_ok(), trusted, "{url}");
        }
    }
}

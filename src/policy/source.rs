//! Where bundles come from: a file, a folder with one in it, or an object of an S3-compatible store. An object whose ETag did
//! not change is not fetched again.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use object_store::{
    GetOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    client::ClientConfigKey,
    local::LocalFileSystem,
    path::Path as Key,
};
use provost_dsl::bundle::BUNDLE_BYTES_MAX;
use provost_evidence::store::is_loopback;

/// A bundle's name in a folder.
const FILE: &str = "bundle.tar.gz";
/// How long one fetch may take, retries included.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a request is repeated before the fetch fails; the next poll tries again.
const RETRIES_MAX: usize = 3;
/// How long requests are repeated at most.
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);

/// Where bundles come from, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// A bundle, or a folder that holds one as `bundle.tar.gz`.
    File(PathBuf),
    /// `s3://bucket/key`.
    S3 {
        /// The bucket.
        bucket: String,
        /// The object's key.
        key: String,
    },
}

impl Location {
    /// Reads `s3://bucket/key` or a path, taken from `folder`; `None` for any other URL.
    pub(crate) fn parse(text: &str, folder: &Path) -> Option<Self> {
        match text.split_once("://") {
            None => Some(Self::File(folder.join(text))),
            Some(("s3", rest)) => {
                let (bucket, key) = rest.split_once('/')?;
                (!bucket.is_empty() && !key.is_empty()).then(|| Self::S3 {
                    bucket: bucket.to_owned(),
                    key: key.to_owned(),
                })
            }
            Some(_) => None,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::S3 { bucket, key } => write!(formatter, "s3://{bucket}/{key}"),
        }
    }
}

/// Why nothing could be fetched. Each variant's words are the same every time, so that a lasting cause is recorded once.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The store's settings make no sense.
    #[error("the store's settings can't be used")]
    Settings(#[source] object_store::Error),
    /// There is none.
    #[error("there is no bundle at its source")]
    NotFound,
    /// The store says no.
    #[error("the store refuses to give it")]
    Denied(#[source] object_store::Error),
    /// It is too large.
    #[error("it is larger than {BUNDLE_BYTES_MAX} bytes")]
    TooLarge,
    /// It takes too long.
    #[error("it could not be fetched within {} s", FETCH_TIMEOUT.as_secs())]
    Timeout,
    /// Anything else.
    #[error("it could not be fetched")]
    Store(#[source] object_store::Error),
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::NotFound,
            object_store::Error::PermissionDenied { .. }
            | object_store::Error::Unauthenticated { .. } => Self::Denied(error),
            other => Self::Store(other),
        }
    }
}

/// What a fetch gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// The object is what it was at the last fetch.
    Unchanged,
    /// The whole object.
    Bytes(Vec<u8>),
}

/// A place that bundles are fetched from.
pub(super) struct Source {
    location: Location,
    /// For S3; a file's is made at each fetch, because the folder it lies in may be replaced.
    store: Option<Arc<dyn ObjectStore>>,
    /// The ETag of the object fetched last, whatever came of it.
    seen: Option<String>,
}

impl Source {
    /// Opens the place; nothing is fetched yet. Credentials, region and endpoint of S3 come from `AWS_*` variables.
    ///
    /// # Errors
    /// [`Error::Settings`].
    pub(super) fn open(location: Location) -> Result<Self, Error> {
        let store = match &location {
            Location::File(_) => None,
            Location::S3 { bucket, .. } => Some(s3(bucket)?),
        };
        Ok(Self {
            location,
            store,
            seen: None,
        })
    }

    /// Where it is.
    pub(super) fn location(&self) -> &Location {
        &self.location
    }

    /// Fetches the object, unless it is the one fetched last.
    ///
    /// # Errors
    /// [`Error`].
    pub(super) async fn fetch(&mut self) -> Result<Fetched, Error> {
        match tokio::time::timeout(FETCH_TIMEOUT, self.get()).await {
            Ok(fetched) => fetched,
            Err(_) => Err(Error::Timeout),
        }
    }

    /// Fetches the object at the next time even if it is the same: what came of it may be another thing then.
    pub(super) fn forget(&mut self) {
        self.seen = None;
    }

    async fn get(&mut self) -> Result<Fetched, Error> {
        let (store, key) = self.object()?;
        let options = GetOptions {
            if_none_match: self.seen.clone(),
            ..GetOptions::default()
        };
        let found = match store.get_opts(&key, options).await {
            Ok(found) => found,
            Err(object_store::Error::NotModified { .. }) => return Ok(Fetched::Unchanged),
            Err(error) => return Err(error.into()),
        };
        if found.meta.size > BUNDLE_BYTES_MAX as u64 {
            return Err(Error::TooLarge);
        }
        let tag = found.meta.e_tag.clone();
        let bytes = found.bytes().await?;
        self.seen = tag;
        Ok(Fetched::Bytes(bytes.into()))
    }

    fn object(&self) -> Result<(Arc<dyn ObjectStore>, Key), Error> {
        match (&self.location, &self.store) {
            (Location::S3 { key, .. }, Some(store)) => {
                Ok((Arc::clone(store), Key::from(key.as_str())))
            }
            (Location::File(path), _) => file(path),
            (Location::S3 { bucket, key }, None) => Ok((s3(bucket)?, Key::from(key.as_str()))),
        }
    }
}

fn file(path: &Path) -> Result<(Arc<dyn ObjectStore>, Key), Error> {
    let path = if path.is_dir() {
        path.join(FILE)
    } else {
        path.to_owned()
    };
    let (Some(folder), Some(name)) = (
        path.parent(),
        path.file_name().and_then(|name| name.to_str()),
    ) else {
        return Err(Error::NotFound);
    };
    if !path.is_file() {
        return Err(Error::NotFound);
    }
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let store = LocalFileSystem::new_with_prefix(folder)?;
    Ok((Arc::new(store), Key::from(name)))
}

fn s3(bucket: &str) -> Result<Arc<dyn ObjectStore>, Error> {
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_retry(RetryConfig {
            max_retries: RETRIES_MAX,
            retry_timeout: RETRY_TIMEOUT,
            ..RetryConfig::default()
        });
    // A store on this machine may do without TLS; any other only where `AWS_ALLOW_HTTP` says so.
    let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
    if endpoint.is_some_and(|endpoint| is_loopback(&endpoint)) {
        let key = AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp);
        builder = builder.with_config(key, "true");
    }
    let store = builder.build().map_err(Error::Settings)?;
    Ok(Arc::new(store))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_paths_or_s3() {
        let check = |text: &str, expected: Option<&str>| {
            let shown =
                Location::parse(text, Path::new("/etc/provost")).map(|found| found.to_string());
            assert_eq!(shown.as_deref(), expected, "{text}");
        };
        check("bundle.tar.gz", Some("/etc/provost/bundle.tar.gz"));
        check("/run/policy", Some("/run/policy"));
        check(
            "s3://policies/prod/bundle.tar.gz",
            Some("s3://policies/prod/bundle.tar.gz"),
        );
        check("s3://policies", None);
        check("s3://policies/", None);
        check("s3:///key", None);
        check("https://example.com/bundle.tar.gz", None);
    }

    #[tokio::test]
    async fn a_file_is_fetched_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle.tar.gz");
        for location in [path.clone(), folder.path().to_owned()] {
            let mut source = Source::open(Location::File(location)).unwrap();
            assert!(matches!(source.fetch().await, Err(Error::NotFound)));
            std::fs::write(&path, "one").unwrap();
            assert_eq!(
                source.fetch().await.unwrap(),
                Fetched::Bytes(b"one".to_vec())
            );
            assert_eq!(source.fetch().await.unwrap(), Fetched::Unchanged);
            std::fs::write(folder.path().join("new"), "two!").unwrap();
            std::fs::rename(folder.path().join("new"), &path).unwrap();
            assert_eq!(
                source.fetch().await.unwrap(),
                Fetched::Bytes(b"two!".to_vec())
            );
            std::fs::remove_file(&path).unwrap();
            assert!(matches!(source.fetch().await, Err(Error::NotFound)));
        }
        std::fs::File::create(&path)
            .unwrap()
            .set_len(BUNDLE_BYTES_MAX as u64 + 1)
            .unwrap();
        let mut source = Source::open(Location::File(path)).unwrap();
        assert!(matches!(source.fetch().await, Err(Error::TooLarge)));
    }
}

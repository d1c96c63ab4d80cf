//! Where a store is: a folder, or a bucket by its URL. Must never print a credential, nor speak to a bucket without TLS unless it is on this
//! machine or a variable says so.
//!
//! Credentials, region and endpoint come from the environment (`AWS_*`, `GOOGLE_*`, `AZURE_*`, by `object_store`'s names), else from the
//! provider's own chain (the machine's role, a workload identity); settings given to [`Location::open`] go before both.

use std::fmt;
use std::path::{Path as FilePath, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum, S3ConditionalPut};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::client::ClientConfigKey;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path;
use object_store::{ObjectStore, RetryConfig};
use url::Url;

use crate::error::Error;
use crate::store::lock::{LockingConnector, ObjectLock};
use crate::store::{DurableFolder, prefixed::Prefixed};

/// How often a request is repeated before it fails; sealing tries again at its next turn.
const RETRIES_MAX: usize = 3;
/// How long requests are repeated at most.
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long one request may take, unless the setting `timeout` says otherwise. The largest object has some megabytes.
const REQUEST_TIMEOUT: &str = "60 seconds";
/// How long connecting may take.
const CONNECT_TIMEOUT: &str = "5 seconds";

/// The region of a bucket of which nobody says another: `object_store`'s own default.
const REGION: &str = "us-east-1";

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder.
    Folder(PathBuf),
    /// `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.
    Bucket {
        /// Whose.
        provider: Provider,
        /// The bucket, or the container.
        bucket: String,
        /// What each key begins with; may be empty.
        prefix: String,
    },
}

/// Who keeps a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// Amazon S3, or what speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage.
    Azure,
}

/// What is wrong with a location.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The scheme is none of ours.
    #[error("is no folder, and no URL that begins with `s3://`, `gs://` or `az://`")]
    Scheme,
    /// A bucket and a prefix, nothing else.
    #[error(
        "must be a bucket and a prefix, like `s3://bucket/prefix`: no user, port, query or fragment"
    )]
    Shape,
    /// A prefix must be the same before and after it is encoded.
    #[error("has a prefix that can't begin an object's key: {source}")]
    Prefix {
        /// Why.
        source: object_store::path::Error,
    },
    /// The provider has no such setting.
    #[error("`{name}` is no setting of such a store")]
    Setting {
        /// The setting's name.
        name: String,
    },
    /// Only S3 has locks that are asked for by a put.
    #[error(
        "has no object lock that a put could ask for: that is S3's; give the container, bucket or file system a retention of its own"
    )]
    Lock,
    /// Settings are for buckets.
    #[error("is a folder, which has no settings")]
    Folder,
    /// The provider's settings make no sense together.
    #[error("its settings can't be used: {source}")]
    Settings {
        /// Why.
        source: object_store::Error,
    },
}

impl Provider {
    const ALL: [Self; 3] = [Self::S3, Self::Google, Self::Azure];

    fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Google => "gs",
            Self::Azure => "az",
        }
    }

    fn knows(self, setting: &str) -> bool {
        match self {
            Self::S3 => AmazonS3ConfigKey::from_str(setting).is_ok(),
            Self::Google => GoogleConfigKey::from_str(setting).is_ok(),
            Self::Azure => AzureConfigKey::from_str(setting).is_ok(),
        }
    }
}

impl Location {
    /// Reads a URL, or a path, which is taken from `folder`.
    ///
    /// # Errors
    /// [`Problem`].
    pub fn parse(text: &str, folder: &FilePath) -> Result<Self, Problem> {
        let Some((scheme, _)) = text.split_once("://") else {
            return Ok(Self::Folder(folder.join(text)));
        };
        let known = Provider::ALL
            .into_iter()
            .find(|known| known.scheme() == scheme);
        let provider = known.ok_or(Problem::Scheme)?;
        let url = Url::parse(text).map_err(|_| Problem::Shape)?;
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.port().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let bucket = url
            .host_str()
            .filter(|bucket| is_plain && !bucket.is_empty());
        let bucket = bucket.ok_or(Problem::Shape)?.to_owned();
        let prefix =
            Path::from_url_path(url.path()).map_err(|source| Problem::Prefix { source })?;
        Ok(Self::Bucket {
            provider,
            bucket,
            prefix: prefix.to_string(),
        })
    }

    /// Whether a store here may have this setting.
    ///
    /// # Errors
    /// [`Problem::Folder`], [`Problem::Setting`].
    pub fn check_setting(&self, name: &str) -> Result<(), Problem> {
        match self {
            Self::Folder(_) => Err(Problem::Folder),
            Self::Bucket { provider, .. } if provider.knows(name) => Ok(()),
            Self::Bucket { .. } => Err(Problem::Setting {
                name: name.to_owned(),
            }),
        }
    }

    /// Opens the store; a folder is created if missing, a bucket is asked nothing yet. `settings` are names and values as
    /// `object_store` has them (`aws_secret_access_key`); they go before the environment's.
    ///
    /// # Errors
    /// [`Error::Location`]; [`Error::File`] and [`Error::Store`] for a folder.
    pub fn open(&self, settings: &[(String, String)]) -> Result<Arc<dyn ObjectStore>, Error> {
        self.open_locking(settings, None)
    }

    /// Whether what is created here can be locked by its put.
    ///
    /// # Errors
    /// [`Problem::Lock`].
    pub fn check_lock(&self) -> Result<(), Problem> {
        match self {
            Self::Bucket {
                provider: Provider::S3,
                ..
            } => Ok(()),
            Self::Bucket { .. } | Self::Folder(_) => Err(Problem::Lock),
        }
    }

    /// As [`Location::open`]; what is created is locked, where a lock is given.
    ///
    /// # Errors
    /// As [`Location::open`].
    pub fn open_locking(
        &self,
        settings: &[(String, String)],
        lock: Option<ObjectLock>,
    ) -> Result<Arc<dyn ObjectStore>, Error> {
        let failed = |problem| Error::Location {
            location: self.to_string(),
            problem,
        };
        for (name, _) in settings {
            self.check_setting(name).map_err(failed)?;
        }
        if lock.is_some() {
            self.check_lock().map_err(failed)?;
        }
        let (provider, bucket, prefix) = match self {
            Self::Folder(folder) => return DurableFolder::open(folder),
            Self::Bucket {
                provider,
                bucket,
                prefix,
            } => (provider, bucket, prefix),
        };
        let opened = match provider {
            Provider::S3 => s3(bucket, settings, lock),
            Provider::Google => google(bucket, settings),
            Provider::Azure => azure(bucket, settings),
        };
        let store = opened.map_err(|source| failed(Problem::Settings { source }))?;
        Ok(match prefix.as_str() {
            "" => store,
            prefix => Arc::new(Prefixed::new(store, prefix)),
        })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(formatter, "{}", folder.display()),
            Self::Bucket {
                provider,
                bucket,
                prefix,
            } => {
                let slash = if prefix.is_empty() { "" } else { "/" };
                write!(formatter, "{}://{bucket}{slash}{prefix}", provider.scheme())
            }
        }
    }
}

type Opened = Result<Arc<dyn ObjectStore>, object_store::Error>;

/// Create-only puts are what exactly-once rests on, and no variable turns them off; the digest lets S3 refuse what was changed on its way,
/// and object lock demands one.
fn s3(bucket: &str, settings: &[(String, String)], lock: Option<ObjectLock>) -> Opened {
    use AmazonS3ConfigKey::{Client, Endpoint, Region, S3Endpoint};
    let mut builder = AmazonS3Builder::from_env()
        .with_config(Client(ClientConfigKey::Timeout), REQUEST_TIMEOUT)
        .with_config(Client(ClientConfigKey::ConnectTimeout), CONNECT_TIMEOUT);
    for (name, value) in settings {
        builder = builder.with_config(name.parse()?, value);
    }
    let endpoint = builder
        .get_config_value(&S3Endpoint)
        .or_else(|| builder.get_config_value(&Endpoint));
    if endpoint.is_some_and(|endpoint| is_loopback(&endpoint)) {
        builder = builder.with_config(Client(ClientConfigKey::AllowHttp), "true");
    }
    let builder = builder
        .with_bucket_name(bucket)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_checksum_algorithm(Checksum::SHA256)
        .with_retry(retries());
    let Some(lock) = lock else {
        return Ok(Arc::new(builder.build()?));
    };
    // The region is said, so that both sign for the same one.
    let region = builder.get_config_value(&Region);
    let region = region.unwrap_or_else(|| REGION.to_owned());
    let builder = builder.with_region(&region);
    let credentials = builder.clone().build()?.credentials().clone();
    let connector = LockingConnector {
        lock,
        region,
        credentials: credentials.clone(),
    };
    let builder = builder.with_credentials(credentials);
    Ok(Arc::new(builder.with_http_connector(connector).build()?))
}

fn google(bucket: &str, settings: &[(String, String)]) -> Opened {
    use GoogleConfigKey::{BaseUrl, Client};
    let mut builder = GoogleCloudStorageBuilder::from_env()
        .with_config(Client(ClientConfigKey::Timeout), REQUEST_TIMEOUT)
        .with_config(Client(ClientConfigKey::ConnectTimeout), CONNECT_TIMEOUT);
    for (name, value) in settings {
        builder = builder.with_config(name.parse()?, value);
    }
    let endpoint = builder.get_config_value(&BaseUrl);
    if endpoint.is_some_and(|endpoint| is_loopback(&endpoint)) {
        builder = builder.with_config(Client(ClientConfigKey::AllowHttp), "true");
    }
    let store = builder
        .with_bucket_name(bucket)
        .with_retry(retries())
        .build()?;
    Ok(Arc::new(store))
}

fn azure(container: &str, settings: &[(String, String)]) -> Opened {
    use AzureConfigKey::{Client, Endpoint};
    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_config(Client(ClientConfigKey::Timeout), REQUEST_TIMEOUT)
        .with_config(Client(ClientConfigKey::ConnectTimeout), CONNECT_TIMEOUT);
    for (name, value) in settings {
        builder = builder.with_config(name.parse()?, value);
    }
    let endpoint = builder.get_config_value(&Endpoint);
    if endpoint.is_some_and(|endpoint| is_loopback(&endpoint)) {
        builder = builder.with_config(Client(ClientConfigKey::AllowHttp), "true");
    }
    let store = builder
        .with_container_name(container)
        .with_retry(retries())
        .build()?;
    Ok(Arc::new(store))
}

fn retries() -> RetryConfig {
    RetryConfig {
        max_retries: RETRIES_MAX,
        retry_timeout: RETRY_TIMEOUT,
        ..RetryConfig::default()
    }
}

/// Whether an endpoint is on this machine, and may do without TLS.
pub fn is_loopback(endpoint: &str) -> bool {
    let host = endpoint.strip_prefix("http://").unwrap_or_default();
    let host = host.split('/').next().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _port)| host);
    match host.trim_matches(['[', ']']).parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_folders_or_buckets() {
        let check = |text: &str, expected: &str| {
            let shown = match Location::parse(text, FilePath::new("/etc/provost")) {
                Ok(location) => location.to_string(),
                Err(problem) => format!("{problem:?}"),
            };
            assert!(shown.starts_with(expected), "{text}: {shown}");
        };
        check("evidence", "/etc/provost/evidence");
        check("/var/lib/provost", "/var/lib/provost");
        check("s3://bucket", "s3://bucket");
        check("s3://bucket/", "s3://bucket");
        check("s3://bucket/a/b/", "s3://bucket/a/b");
        check("gs://bucket/a", "gs://bucket/a");
        check("az://container/a", "az://container/a");
        check("s3://", "Shape");
        check("s3:///a", "Shape");
        check("s3://id:key@bucket/a", "Shape");
        check("s3://bucket:9000/a", "Shape");
        check("s3://bucket/a?x=1", "Shape");
        check("s3://bucket/a#x", "Shape");
        check("s3://bucket/a//b", "Prefix");
        check("https://bucket.s3.amazonaws.com", "Scheme");
        check("file:///tmp", "Scheme");
    }

    #[test]
    fn only_s3_is_asked_for_locks() {
        let lock = "compliance 1d".parse().ok();
        for (location, expected) in [
            ("s3://b/a", true),
            ("gs://b/a", false),
            ("az://b/a", false),
            ("folder", false),
        ] {
            let location = Location::parse(location, FilePath::new("/nowhere")).unwrap();
            assert_eq!(location.check_lock().is_ok(), expected, "{location}");
            let opened = location.open_locking(&[], lock);
            assert_eq!(opened.is_ok(), expected, "{location}");
        }
    }

    #[test]
    fn settings_are_the_provider_s_own() {
        let check = |location: &str, name: &str, expected: Result<(), &str>| {
            let location = Location::parse(location, FilePath::new("/")).unwrap();
            let found = location
                .check_setting(name)
                .map_err(|problem| problem.to_string());
            assert_eq!(found, expected.map_err(str::to_owned), "{location} {name}");
            // What is not the store's is refused however it is opened.
            let settings = [(name.to_owned(), "x".to_owned())];
            assert_eq!(found.is_err(), location.open(&settings).is_err(), "{name}");
        };
        check("s3://b", "aws_region", Ok(()));
        check(
            "s3://b",
            "azure_storage_account_key",
            Err("`azure_storage_account_key` is no setting of such a store"),
        );
        check("/", "aws_region", Err("is a folder, which has no settings"));
    }

    /// Answers each connection's one request; the heads that came.
    fn answering(answers: Vec<String>) -> (String, std::thread::JoinHandle<Vec<String>>) {
        use std::io::{Read as _, Write as _};
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let serve = move || {
            let one = |answer: String| {
                let (mut client, _) = listener.accept().unwrap();
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") {
                    client.read_exact(&mut byte).unwrap();
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap().to_lowercase();
                let length = head
                    .lines()
                    .find_map(|l| l.strip_prefix("content-length: "));
                let length = length.map_or(0, |length| length.parse().unwrap());
                client.read_exact(&mut vec![0; length]).unwrap();
                client.write_all(answer.as_bytes()).unwrap();
                head
            };
            answers.into_iter().map(one).collect()
        };
        (endpoint, std::thread::spawn(serve))
    }

    /// Google's rule of creation, of which no emulator knows: what is asked, and what comes of a refusal.
    #[tokio::test]
    async fn google_is_asked_to_create_only_and_a_refusal_is_looked_into() {
        let close = "Connection: close";
        let taken =
            format!("HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n{close}\r\n\r\n");
        let there = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: \"1\"\r\nLast-Modified: Fri, 20 Nov 2026 00:00:00 GMT\r\n{close}\r\n\r\none"
        );
        for (bytes, is_same) in [("one", true), ("two", false)] {
            let (endpoint, requests) = answering(vec![taken.clone(), there.clone()]);
            let account = r#"{"disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}"#;
            let settings = [
                ("google_base_url".to_owned(), endpoint),
                ("google_service_account_key".to_owned(), account.to_owned()),
            ];
            let location = Location::parse("gs://bucket/a", FilePath::new("/")).unwrap();
            let store = location.open(&settings).unwrap();
            let put = crate::store::put_once(store.as_ref(), "key", bytes.into()).await;
            match put {
                Ok(()) => assert!(is_same),
                Err(Error::Conflict { key }) => assert_eq!((key.as_str(), is_same), ("key", false)),
                Err(other) => panic!("{other:?}"),
            }
            let requests = requests.join().unwrap();
            assert!(
                requests[0].starts_with("put /bucket/a%2fkey "),
                "{}",
                requests[0]
            );
            assert!(
                requests[0].contains("x-goog-if-generation-match: 0\r\n"),
                "{}",
                requests[0]
            );
            assert!(
                requests[1].starts_with("get /bucket/a%2fkey "),
                "{}",
                requests[1]
            );
        }
    }

    #[test]
    fn only_this_machine_does_without_tls() {
        for (endpoint, expected) in [
            ("http://127.0.0.1:5000", true),
            ("http://[::1]:5000/", true),
            ("http://localhost", true),
            ("http://127.0.0.1.example.com", false),
            ("http://user@127.0.0.1:1@example.com", false),
            ("http://localhost.example.com", false),
            ("https://127.0.0.1", false),
            ("", false),
        ] {
            assert_eq!(is_loopback(endpoint), expected, "{endpoint}");
        }
    }
}

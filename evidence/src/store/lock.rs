//! Object lock of S3: what is written once is put with a retention of its own, in the same request. Must never let such a put go without it.
//!
//! `object_store` has no word for the headers, but lets its requests be sent by others: here each put that creates gets them, and is signed
//! again with the same credentials. Where the store refuses them, it refuses the put.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use jiff::Timestamp;
use object_store::ClientOptions;
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};

use crate::hex;

const MODE: &str = "x-amz-object-lock-mode";
const UNTIL: &str = "x-amz-object-lock-retain-until-date";
/// Such a put must say that it carries a checksum, which `object_store` gives it.
///
/// # Source
/// Amazon S3 API reference, PutObject: required to upload an object with a retention period.
const CHECKSUM: &str = "x-amz-sdk-checksum-algorithm";
const PAYLOAD_SHA256: &str = "x-amz-content-sha256";
const SECONDS_PER_DAY: u64 = 86_400;
/// A hundred years, as S3 has it.
const DAYS_MAX: u32 = 36_500;

/// Who may end a lock before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// Who has the right to (`s3:BypassGovernanceRetention`).
    Governance,
    /// Nobody.
    Compliance,
}

/// How long objects are locked: `governance 400d`, `compliance 400d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectLock {
    /// Who may end it.
    pub mode: LockMode,
    /// From the put on.
    pub days: u32,
}

/// What is no lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a mode and days, such as `governance 400d` or `compliance 400d`, up to 36500d")]
pub struct NoLock;

impl FromStr for ObjectLock {
    type Err = NoLock;

    fn from_str(text: &str) -> Result<Self, NoLock> {
        let (mode, days) = text.split_once(' ').ok_or(NoLock)?;
        let mode = match mode {
            "governance" => LockMode::Governance,
            "compliance" => LockMode::Compliance,
            _ => return Err(NoLock),
        };
        let days: u32 = days
            .strip_suffix('d')
            .and_then(|days| days.parse().ok())
            .ok_or(NoLock)?;
        match (1..=DAYS_MAX).contains(&days) {
            true => Ok(Self { mode, days }),
            false => Err(NoLock),
        }
    }
}

impl ObjectLock {
    /// Until when an object is locked that is put now; `None` when the clock is off the calendar.
    fn until(self, now: SystemTime) -> Option<String> {
        let life = Duration::from_secs(u64::from(self.days) * SECONDS_PER_DAY);
        let until = Timestamp::try_from(now.checked_add(life)?).ok()?;
        Some(until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
    }

    fn word(self) -> &'static str {
        match self.mode {
            LockMode::Governance => "GOVERNANCE",
            LockMode::Compliance => "COMPLIANCE",
        }
    }
}

/// Makes clients that lock what they create.
#[derive(Debug)]
pub(super) struct LockingConnector {
    pub(super) lock: ObjectLock,
    pub(super) region: String,
    pub(super) credentials: AwsCredentialProvider,
}

impl HttpConnector for LockingConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Locking {
            inner: ReqwestConnector::default().connect(options)?,
            lock: self.lock,
            region: self.region.clone(),
            credentials: self.credentials.clone(),
        }))
    }
}

#[derive(Debug)]
struct Locking {
    inner: HttpClient,
    lock: ObjectLock,
    region: String,
    credentials: AwsCredentialProvider,
}

#[async_trait]
impl HttpService for Locking {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // Only what is created: a copy of a checkpoint is replaced, and everything else changes nothing.
        let creates = request.method().as_str() == "PUT"
            && request.headers().contains_key("if-none-match")
            && request.uri().query().is_none();
        if creates {
            self.lock(&mut request).await?;
        }
        self.inner.execute(request).await
    }
}

impl Locking {
    async fn lock(&self, request: &mut HttpRequest) -> Result<(), HttpError> {
        let failed =
            |why: &'static str| HttpError::new(HttpErrorKind::Unknown, std::io::Error::other(why));
        let until = self.lock.until(SystemTime::now());
        let until = until.and_then(|until| until.parse().ok());
        let until =
            until.ok_or_else(|| failed("the clock is off the calendar: no lock can be told"))?;
        let mode = self.lock.word().parse();
        let mode = mode.map_err(|_| failed("no header can name the mode of the lock"))?;
        let checksum = "SHA256".parse();
        let checksum = checksum.map_err(|_| failed("no header can name the checksum"))?;
        let digest = request.headers().get(PAYLOAD_SHA256);
        let digest = digest
            .and_then(|digest| hex::parse(digest.to_str().ok()?))
            .ok_or_else(|| failed("the put is not signed, so no lock can be asked for"))?;
        let headers = request.headers_mut();
        headers.insert(MODE, mode);
        headers.insert(UNTIL, until);
        headers.insert(CHECKSUM, checksum);
        headers.remove("authorization");
        let credential = self.credentials.get_credential().await;
        let credential =
            credential.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        AwsAuthorizer::new(&credential, "s3", &self.region).authorize(request, Some(&digest));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_are_a_mode_and_days() {
        let check = |text: &str, expected: Option<(&str, u32)>| {
            let found = text.parse::<ObjectLock>().ok();
            let found = found.map(|lock| (lock.word(), lock.days));
            assert_eq!(found, expected, "{text}");
        };
        check("governance 400d", Some(("GOVERNANCE", 400)));
        check("compliance 1d", Some(("COMPLIANCE", 1)));
        check("compliance 36500d", Some(("COMPLIANCE", 36_500)));
        check("compliance 36501d", None);
        check("compliance 0d", None);
        check("compliance -1d", None);
        check("compliance 400", None);
        check("Compliance 400d", None);
        check("400d", None);
        check("", None);
    }

    #[test]
    fn a_lock_lasts_from_the_put_on() {
        let lock: ObjectLock = "governance 400d".parse().unwrap();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let until = lock.until(at(1_795_132_800)); // 2026-11-20
        assert_eq!(until.as_deref(), Some("2027-12-25T00:00:00Z"));
        assert_eq!(lock.until(at(u64::from(u32::MAX) * 1_000)), None);
    }
}

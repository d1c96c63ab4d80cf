//! Time stamps (RFC 3161) of checkpoints: an authority that has nothing to do with us says that a checkpoint, and with it everything that it
//! covers, existed before some time. Must never keep a stamp that doesn't hold, nor ask an authority itself: whoever does hands bytes over.
//!
//! | module | what it holds |
//! |---|---|
//! | `elements` | DER, element by element |
//! | `request` | what is asked |
//! | `token` | what is answered, and its check |
//! | `certificate` | the authority's certificate, and roots |
//! | `signature` | which signatures are taken |

mod certificate;
mod elements;
mod request;
mod signature;
#[cfg(test)]
mod tests;
mod token;

pub use certificate::Roots;

use bytes::Bytes;
use object_store::ObjectStore;

use crate::error::Error;
use crate::key::PublicKey;
use crate::ledger::{self, checkpoint};
use crate::record::Micros;
use crate::store;
use request::Request;
use token::Token;

/// The largest answer that is taken, in bytes: with its certificates one has 4 to 10 KB.
pub const RESPONSE_BYTES_MAX: usize = 64 * 1024;

/// What is wrong with a time stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It isn't one.
    #[error("is not an answer of a time stamp authority in DER (RFC 3161)")]
    Malformed,
    /// It is too large.
    #[error("has more than {RESPONSE_BYTES_MAX} bytes")]
    TooLarge,
    /// The authority gave none.
    #[error("was refused by the authority, with status {status}")]
    Refused {
        /// The status (RFC 3161, `PKIStatus`).
        status: u8,
    },
    /// It is for something else.
    #[error("is for other bytes than the checkpoint's")]
    Imprint,
    /// It answers another request.
    #[error("answers another request: its nonce is not ours")]
    Nonce,
    /// A digest or signature algorithm that isn't taken.
    #[error("has a signature that is neither RSA nor ECDSA on P-256 or P-384, with SHA-2")]
    Algorithm,
    /// The signature is wrong.
    #[error("has a wrong signature")]
    Signature,
    /// The signer's certificate isn't there, or isn't the one that was signed with.
    #[error("has not the certificate that it was signed with")]
    Certificate,
    /// The certificate is for something else.
    #[error("was signed with a certificate that is not for time stamps alone")]
    Usage,
    /// The certificate wasn't valid then.
    #[error("was signed with a certificate that was not valid at that time")]
    Expired,
    /// No root stands behind the certificate.
    #[error("was signed with a certificate that the given roots do not lead to")]
    Chain,
    /// Roots can't be read.
    #[error("roots are not certificates in PEM")]
    Roots,
    /// There is no such checkpoint.
    #[error("is for a checkpoint that is not there, or does not hold")]
    NoCheckpoint,
}

impl Problem {
    fn into_error(self) -> Error {
        Error::Stamp { problem: self }
    }
}

/// A stamp that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stamp {
    /// The gateway.
    pub gateway: String,
    /// The seal whose checkpoint is stamped.
    pub seal: u64,
    /// Rows that existed before `at`.
    pub rows: u64,
    /// When, by the authority's clock.
    pub at: Micros,
    /// What the authority's certificate calls it. Whoever made the certificate chose it.
    pub authority: String,
    /// Whether roots that were given stand behind that certificate.
    pub is_chain_checked: bool,
}

impl std::fmt::Display for Stamp {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            rows,
            at,
            authority,
            is_chain_checked,
            ..
        } = self;
        let at = jiff::Timestamp::from_microsecond(at.0).map_err(|_| std::fmt::Error)?;
        write!(
            formatter,
            "the first {rows} rows existed before {at}: stamped by {authority}"
        )?;
        match is_chain_checked {
            true => Ok(()),
            false => write!(formatter, ", whose certificate was not checked"),
        }
    }
}

/// Where the stamps of a gateway's checkpoints are.
pub(crate) fn prefix(gateway: &str) -> String {
    format!("{}/stamps/", ledger::prefix(gateway))
}

/// Where the stamp of a seal's checkpoint is.
fn key(gateway: &str, seal: u64) -> String {
    format!("{}{seal:020}.tsr", prefix(gateway))
}

/// The seal whose stamp is there.
pub(crate) fn seal_of(gateway: &str, object: &str) -> Option<u64> {
    let name = object.strip_prefix(&prefix(gateway))?;
    let seal = name.strip_suffix(".tsr")?.parse().ok()?;
    (key(gateway, seal) == object).then_some(seal)
}

/// Checks the stamp of a checkpoint.
///
/// # Errors
/// [`Problem`].
pub(crate) fn check(
    response: &[u8],
    content: &[u8],
    public: &PublicKey,
    roots: Option<&Roots>,
) -> Result<Stamp, Problem> {
    let statement = checkpoint::open(content, public).map_err(|_| Problem::NoCheckpoint)?;
    let token = read(response, content)?;
    if let Some(roots) = roots {
        token.check_chain(roots)?;
    }
    let at = i64::try_from(token.at.as_micros()).map_err(|_| Problem::Malformed)?;
    // What can't be told to anybody is no time: the year 10000 and later.
    jiff::Timestamp::from_microsecond(at).map_err(|_| Problem::Malformed)?;
    Ok(Stamp {
        gateway: public.gateway().to_owned(),
        seal: statement.seal,
        rows: statement.size,
        at: Micros(at),
        authority: token.signer.subject()?,
        is_chain_checked: roots.is_some(),
    })
}

fn read<'a>(response: &'a [u8], content: &[u8]) -> Result<Token<'a>, Problem> {
    match response.len() > RESPONSE_BYTES_MAX {
        true => Err(Problem::TooLarge),
        false => Token::read(response, content),
    }
}

/// A checkpoint that has no stamp yet, and what to ask an authority for it.
#[derive(Debug, Clone)]
pub struct Due {
    checkpoint: Bytes,
    public: PublicKey,
    key: String,
    request: Request,
}

/// The newest checkpoint of a gateway, where it has no stamp yet.
///
/// # Errors
/// [`Error::Store`], [`Error::Stamp`] when the checkpoint there isn't the gateway's own, [`Error::Randomness`].
pub async fn due(store: &dyn ObjectStore, public: &PublicKey) -> Result<Option<Due>, Error> {
    let gateway = public.gateway();
    let Some(checkpoint) = store::read(store, &checkpoint::latest_key(gateway)).await? else {
        return Ok(None);
    };
    let statement = checkpoint::open(&checkpoint, public);
    let statement = statement.map_err(|_| Problem::NoCheckpoint.into_error())?;
    let key = key(gateway, statement.seal);
    if store::read(store, &key).await?.is_some() {
        return Ok(None);
    }
    let request = Request::of(&checkpoint)?;
    Ok(Some(Due {
        checkpoint,
        public: public.clone(),
        key,
        request,
    }))
}

impl Due {
    /// What an authority is asked, in DER: `application/timestamp-query`.
    #[must_use]
    pub fn request(&self) -> &[u8] {
        &self.request.bytes
    }

    /// Checks what the authority answered, and puts it beside the checkpoint.
    ///
    /// # Errors
    /// [`Error::Stamp`] when it doesn't hold: nothing is kept then; [`Error::Store`], [`Error::Conflict`].
    pub async fn keep(self, store: &dyn ObjectStore, response: Bytes) -> Result<Stamp, Error> {
        let stamp = self.check(&response).map_err(Problem::into_error)?;
        store::put_once(store, &self.key, response).await?;
        Ok(stamp)
    }

    fn check(&self, response: &[u8]) -> Result<Stamp, Problem> {
        read(response, &self.checkpoint)?.check_nonce(&self.request.nonce)?;
        check(response, &self.checkpoint, &self.public, None)
    }
}

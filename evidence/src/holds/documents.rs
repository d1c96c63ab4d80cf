//! A hold's two documents and their signed form. Must never read what it would not itself have written.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use signed_note::{Note, StandardVerifier, VerifierList};

use crate::dataset::Dataset;
use crate::error::Error;
use crate::key::SigningKey;
use crate::record::Micros;

const FORMAT: &str = "provost-hold-v1";
/// Characters of a name.
const NAME_MAX: usize = 64;

/// What is wrong with a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A name is part of an object's key.
    #[error(
        "is not `holds/<name>/placed` or `holds/<name>/released` with a name of 1 to 64 of a-z, 0-9 and `-`"
    )]
    Name,
    /// It isn't in its one documented form.
    #[error("is not in its one documented form")]
    Malformed,
    /// The signature is missing or wrong.
    #[error("is not signed by the key that it names")]
    Signature,
    /// There is nothing that it could release.
    #[error("there is no such hold")]
    Unplaced,
    /// Only who placed it may release it.
    #[error("the hold was placed with another key: only that one releases it")]
    OtherKey,
    /// It releases something else.
    #[error("releases another hold than the one that stands under its name")]
    OtherHold,
    /// A document is written once.
    #[error("is there already: a name is used once, and a hold is released once")]
    Taken,
    /// A hold that was seen before.
    #[error("was seen before, and is gone or another now: somebody took it away or replaced it")]
    Gone,
    /// Names of keys are lines of a note.
    #[error("a key's name must not be empty, nor hold spaces or `+`: such as `legal@example.com`")]
    KeyName,
}

/// A day of UTC, `YYYY-MM-DD`, of the years 1970 to 9999: texts of days are in their order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(String);

impl Day {
    /// Reads a day; `None` when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let date: jiff::civil::Date = text.parse().ok()?;
        let is_plain = date.year() >= 1970 && date.to_string() == text;
        is_plain.then(|| Self(text.to_owned()))
    }

    /// The day of a time.
    pub(crate) fn of(time: Micros) -> Option<Self> {
        Self::parse(&crate::seal::date::of(time))
    }

    /// The day of an object, by its key.
    pub(crate) fn of_key(key: &str) -> Option<Self> {
        let (_, rest) = key.split_once("/date=")?;
        Self::parse(rest.split('/').next()?)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for Day {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not a day")
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.0
    }
}

/// What is kept, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Its name, never used again.
    pub name: String,
    /// Why.
    pub reason: String,
    /// When it was placed.
    pub placed_at: Micros,
    /// The first day whose objects are kept; absent: from the beginning.
    pub from: Option<Day>,
    /// The last day whose objects are kept; absent: from there on.
    pub to: Option<Day>,
    /// The gateways whose objects are kept; none named: all.
    pub gateways: Vec<String>,
    /// The datasets that are kept, by the first part of their keys; none named: all.
    pub datasets: Vec<String>,
    /// Who placed it, as a signed note's verifier key: the only one who releases it.
    pub key: String,
}

/// The end of a hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Which.
    pub name: String,
    /// Why.
    pub reason: String,
    /// When.
    pub released_at: Micros,
    /// SHA-256 of the hold's document, hex.
    pub placed_sha256: String,
}

/// The private key of somebody who places holds, and the name that it goes by.
#[derive(Debug, Clone)]
pub struct HoldKey {
    name: String,
    inner: SigningKey,
}

impl HoldKey {
    /// Reads a PKCS#8 PEM of an Ed25519 key.
    ///
    /// # Errors
    /// [`Error::Key`]; [`Error::Hold`] when the name can't be a key's.
    pub fn from_pem(name: &str, pem: &str) -> Result<Self, Error> {
        if !signed_note::is_key_name_valid(name) {
            return Err(Error::Hold {
                key: name.to_owned(),
                problem: Problem::KeyName,
            });
        }
        Ok(Self {
            name: name.to_owned(),
            inner: SigningKey::from_pem(pem)?,
        })
    }

    /// The verifier key.
    #[must_use]
    pub fn public(&self) -> String {
        self.inner.verifier_key(&self.name)
    }

    fn sign(&self, kind: &str, document: &impl Serialize, at: &str) -> Result<Vec<u8>, Error> {
        self.note(FORMAT, kind, document, at)
    }

    /// A signed note: a line that says what it is, and one of JSON.
    pub(crate) fn note(
        &self,
        format: &str,
        kind: &str,
        document: &impl Serialize,
        at: &str,
    ) -> Result<Vec<u8>, Error> {
        let refused = || Error::Hold {
            key: at.to_owned(),
            problem: Problem::Malformed,
        };
        let json = serde_json::to_string(document).map_err(|source| Error::Encode { source })?;
        let text = format!("{format} {kind}\n{json}\n");
        let mut note = Note::new(text.as_bytes(), &[]).map_err(|_| refused())?;
        note.add_sigs(&[&self.inner.signer_as(&self.name)])
            .map_err(|_| refused())?;
        Ok(note.to_bytes())
    }
}

impl Hold {
    /// Who placed it: the name of the key.
    #[must_use]
    pub fn by(&self) -> &str {
        self.key.split('+').next().unwrap_or_default()
    }

    /// Whether it is about this object, in force or not. An object whose day can't be told is, and so is everything where it names a dataset
    /// that this version doesn't know.
    #[must_use]
    pub fn covers(&self, gateway: &str, key: &str) -> bool {
        let dataset = key.split('/').next().unwrap_or_default();
        let known = |name: &String| {
            Dataset::ALL.iter().any(|known| known.name() == name) || name == "results"
        };
        let is_of_dataset = self.datasets.is_empty()
            || self
                .datasets
                .iter()
                .any(|name| name == dataset || !known(name));
        let is_of_gateway =
            self.gateways.is_empty() || self.gateways.iter().any(|name| name == gateway);
        let is_of_days = Day::of_key(key).is_none_or(|day| {
            self.from.as_ref().is_none_or(|from| *from <= day)
                && self.to.as_ref().is_none_or(|to| day <= *to)
        });
        is_of_dataset && is_of_gateway && is_of_days
    }

    pub(super) fn key_in_store(&self) -> String {
        format!("{}{}/placed", super::PREFIX, self.name)
    }

    pub(super) fn sign(&self, key: &HoldKey) -> Result<Vec<u8>, Error> {
        let at = self.key_in_store();
        let refused = |problem| Error::Hold {
            key: at.clone(),
            problem,
        };
        if !is_name(&self.name) {
            return Err(refused(Problem::Name));
        }
        if self.key != key.public() {
            return Err(refused(Problem::OtherKey));
        }
        key.sign("placed", self, &at)
    }

    /// Reads the document under a name.
    pub(super) fn open(name: &str, bytes: &[u8]) -> Result<Self, Problem> {
        if !is_name(name) {
            return Err(Problem::Name);
        }
        let (note, hold) = opened::<Self>(FORMAT, "placed", bytes)?;
        verified(&note, &hold.key)?;
        match hold.name == name {
            true => Ok(hold),
            false => Err(Problem::Malformed),
        }
    }
}

impl Release {
    pub(super) fn key_in_store(&self) -> String {
        format!("{}{}/released", super::PREFIX, self.name)
    }

    pub(super) fn sign(&self, key: &HoldKey) -> Result<Vec<u8>, Error> {
        key.sign("released", self, &self.key_in_store())
    }

    /// Reads the document that ends this hold.
    pub(super) fn open(hold: &Hold, placed_sha256: &str, bytes: &[u8]) -> Result<Self, Problem> {
        let (note, release) = opened::<Self>(FORMAT, "released", bytes)?;
        verified(&note, &hold.key)?;
        match release.name == hold.name && release.placed_sha256 == placed_sha256 {
            true => Ok(release),
            false => Err(Problem::OtherHold),
        }
    }
}

fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(is_plain)
}

/// Reads a note of this sort, and nothing that we would not have written.
pub(crate) fn opened<T: Serialize + DeserializeOwned>(
    format: &str,
    kind: &str,
    bytes: &[u8],
) -> Result<(Note, T), Problem> {
    let read = || -> Option<(Note, T)> {
        let note = Note::from_bytes(bytes).ok()?;
        let text = std::str::from_utf8(note.text()).ok()?;
        let (head, json) = text.split_once('\n')?;
        let json = json.strip_suffix('\n')?;
        let document: T = serde_json::from_str(json).ok()?;
        // Bytes that don't round-trip are places to hide something in.
        let is_plain = head.strip_prefix(format)?.strip_prefix(' ')? == kind
            && serde_json::to_string(&document).ok()? == json
            && note.to_bytes() == bytes;
        is_plain.then_some((note, document))
    };
    read().ok_or(Problem::Malformed)
}

/// That a note has one signature, by this verifier key.
pub(crate) fn verified(note: &Note, key: &str) -> Result<(), Problem> {
    let verifier = StandardVerifier::new(key).map_err(|_| Problem::Signature)?;
    let verified = note.verify(&VerifierList::new(vec![Box::new(verifier)]));
    match verified {
        Ok((verified, others)) if verified.len() == 1 && others.is_empty() => Ok(()),
        Ok(_) | Err(_) => Err(Problem::Signature),
    }
}

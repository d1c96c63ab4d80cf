//! Witnesses: independent parties that verified a ledger and put their cosignature to its checkpoint, so that a store rolled back behind it
//! is found out. Must never cosign what wasn't verified, nor a ledger that doesn't continue the one cosigned before.
//!
//! A cosigned checkpoint is the store's checkpoint with one more line, and is kept by the witness, not in the store.

use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::{Signer as _, VerifyingKey};
use object_store::ObjectStore;
use signed_note::{Note, Signature, Verifier, VerifierList};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::error::Error;
use crate::key::PublicKey;
use crate::ledger::checkpoint::{self, Statement};
use crate::store;
use crate::verify::{LedgerReport, Report};

/// The number of Ed25519 cosignatures in keys and key ids.
///
/// # Source
/// C2SP tlog-cosignature, "Format".
const ALGORITHM: u8 = 4;
/// Bytes of the time before the signature.
const TIME_BYTES: usize = 8;

/// What is wrong with a witness's key or a cosigned checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Not a PKCS#8 PEM of an Ed25519 private key.
    #[error(
        "witness key is no Ed25519 private key in PKCS#8 PEM; make one with `openssl genpkey -algorithm ed25519`"
    )]
    Private,
    /// Spaces and pluses are not for names of keys.
    #[error(
        "witness name must not be empty, nor hold spaces or `+`: a host and a path, such as `witness.example.com/w1`"
    )]
    Name,
    /// Not a verifier key of a witness.
    #[error(
        "witness's public key is not of the form `<name>+<hash>+<base64>` with an Ed25519 cosignature key"
    )]
    Public,
    /// It isn't one.
    #[error("is not a checkpoint with a cosignature")]
    Malformed,
    /// Its cosignature is missing or wrong.
    #[error("the cosignature does not match the witness's public key")]
    Cosignature,
    /// The gateway's signature is missing or wrong.
    #[error("the checkpoint's signature does not match the gateway's public key")]
    Signature,
    /// The store is older than what was cosigned, or another.
    #[error(
        "the store does not hold the cosigned checkpoint: it was rolled back, or is another ledger"
    )]
    NotHeld,
    /// What isn't intact is not cosigned, and anchors nothing.
    #[error("the ledger is not intact or empty: there is nothing to cosign")]
    NotIntact,
}

impl Problem {
    fn into_error(self) -> Error {
        Error::Witness { problem: self }
    }
}

/// A witness's private key.
pub struct WitnessKey {
    name: String,
    inner: ed25519_dalek::SigningKey,
}

/// A witness: its name and public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    name: String,
    key: VerifyingKey,
}

/// What a cosignature says: at that time the ledger had these leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cosigned {
    /// The witness's name.
    pub witness: String,
    /// The gateway.
    pub gateway: String,
    /// Leaves.
    pub size: u64,
    /// Seconds since 1970, by the witness's clock.
    pub at_seconds: u64,
}

impl std::fmt::Debug for WitnessKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "WitnessKey({}, ..)", self.name)
    }
}

impl WitnessKey {
    /// Reads a PKCS#8 PEM.
    ///
    /// # Errors
    /// [`Error::Witness`].
    pub fn from_pem(name: &str, pem: &str) -> Result<Self, Error> {
        if !signed_note::is_key_name_valid(name) {
            return Err(Problem::Name.into_error());
        }
        match ed25519_dalek::SigningKey::from_pkcs8_pem(pem) {
            Ok(inner) => Ok(Self {
                name: name.to_owned(),
                inner,
            }),
            Err(_reason_may_quote_the_key) => Err(Problem::Private.into_error()),
        }
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> Witness {
        Witness {
            name: self.name.clone(),
            key: self.inner.verifying_key(),
        }
    }

    fn sign(&self, text: &[u8], at_seconds: u64) -> Result<Signature, Error> {
        let signature = self.inner.try_sign(&message(text, at_seconds));
        let signature = signature.map_err(|_| Problem::Cosignature.into_error())?;
        let bytes = [at_seconds.to_be_bytes().as_slice(), &signature.to_bytes()].concat();
        Signature::new(self.name.clone(), self.public().key_id(), bytes)
            .map_err(|_| Problem::Name.into_error())
    }
}

/// What is signed.
///
/// # Source
/// C2SP tlog-cosignature, "Ed25519 signed message".
fn message(text: &[u8], at_seconds: u64) -> Vec<u8> {
    let mut message = format!("cosignature/v1\ntime {at_seconds}\n").into_bytes();
    message.extend_from_slice(text);
    message
}

impl Witness {
    /// Reads `<name>+<hash>+<base64>`.
    ///
    /// # Errors
    /// [`Error::Witness`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let witness = Self::read(text.trim()).ok_or_else(|| Problem::Public.into_error())?;
        match witness.text() == text.trim() {
            true => Ok(witness),
            false => Err(Problem::Public.into_error()),
        }
    }

    fn read(text: &str) -> Option<Self> {
        // Base64 may hold a plus, a name doesn't.
        let mut parts = text.splitn(3, '+');
        let (name, _hash, key) = (parts.next()?, parts.next()?, parts.next()?);
        let bytes = BASE64.decode(key).ok()?;
        let (algorithm, key) = bytes.split_first()?;
        let key = VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
        let is_fit = *algorithm == ALGORITHM && signed_note::is_key_name_valid(name);
        is_fit.then(|| Self {
            name: name.to_owned(),
            key,
        })
    }

    /// Its one line: what others check its cosignatures with.
    #[must_use]
    pub fn text(&self) -> String {
        let encoded = BASE64.encode(self.encoded());
        format!("{}+{:08x}+{encoded}", self.name, self.key_id())
    }

    fn encoded(&self) -> Vec<u8> {
        let mut encoded = vec![ALGORITHM];
        encoded.extend_from_slice(self.key.as_bytes());
        encoded
    }
}

impl Verifier for Witness {
    fn name(&self) -> &str {
        &self.name
    }

    fn key_id(&self) -> u32 {
        signed_note::key_id(&self.name, &self.encoded())
    }

    fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        let Some((time, signature)) = signature.split_first_chunk::<TIME_BYTES>() else {
            return false;
        };
        let Ok(signature) = ed25519_dalek::Signature::from_slice(signature) else {
            return false;
        };
        let message = message(text, u64::from_be_bytes(*time));
        self.key.verify_strict(&message, &signature).is_ok()
    }
}

/// Cosigns the newest checkpoint of a ledger that `report` found intact. `kept` is what the witness cosigned before: the ledger must still hold it.
///
/// # Errors
/// [`Error::Witness`], [`Error::Store`], [`Error::Ledger`].
pub async fn cosign(
    store: &dyn ObjectStore,
    report: &Report,
    public: &PublicKey,
    witness: &WitnessKey,
    kept: Option<&[u8]>,
    at_seconds: u64,
) -> Result<(Vec<u8>, Cosigned), Error> {
    let ledger = intact(report, public)?;
    if let Some(kept) = kept {
        held(store, public, kept, &witness.public()).await?;
    }
    let last = ledger
        .seals
        .checked_sub(1)
        .ok_or_else(|| Problem::NotIntact.into_error())?;
    let bytes = store::read(store, &checkpoint::key(public.gateway(), last)).await?;
    let bytes = bytes.ok_or_else(|| Problem::NotIntact.into_error())?;
    let statement =
        checkpoint::open(&bytes, public).map_err(|_| Problem::Signature.into_error())?;
    // What is cosigned is what was recomputed.
    if Some(statement.root.to_string()) != ledger.root || statement.size != ledger.rows {
        return Err(Problem::NotIntact.into_error());
    }
    let note = Note::from_bytes(&bytes).map_err(|_| Problem::Malformed.into_error())?;
    let line = witness.sign(note.text(), at_seconds)?.to_bytes();
    let cosigned = Cosigned {
        witness: witness.name.clone(),
        gateway: public.gateway().to_owned(),
        size: statement.size,
        at_seconds,
    };
    Ok(([bytes.as_ref(), line.as_slice()].concat(), cosigned))
}

/// Checks that a ledger which `report` found intact holds a checkpoint that a witness cosigned: it was not rolled back behind it.
///
/// # Errors
/// [`Error::Witness`], [`Error::Store`].
pub async fn anchor(
    store: &dyn ObjectStore,
    report: &Report,
    public: &PublicKey,
    cosigned: &[u8],
    witness: &Witness,
) -> Result<Cosigned, Error> {
    intact(report, public)?;
    held(store, public, cosigned, witness).await
}

fn intact<'a>(report: &'a Report, public: &PublicKey) -> Result<&'a LedgerReport, Error> {
    let mut ledgers = report.ledgers.iter();
    let ledger = ledgers.find(|ledger| ledger.gateway == public.gateway());
    ledger
        .filter(|_| report.is_intact())
        .ok_or_else(|| Problem::NotIntact.into_error())
}

/// That the store has the very checkpoint.
async fn held(
    store: &dyn ObjectStore,
    public: &PublicKey,
    cosigned: &[u8],
    witness: &Witness,
) -> Result<Cosigned, Error> {
    let (bytes, statement, at_seconds) =
        opened(cosigned, public, witness).map_err(Problem::into_error)?;
    let key = checkpoint::key(public.gateway(), statement.seal);
    match store::read(store, &key).await? {
        Some(there) if there == bytes => Ok(Cosigned {
            witness: witness.name.clone(),
            gateway: public.gateway().to_owned(),
            size: statement.size,
            at_seconds,
        }),
        Some(_) | None => Err(Problem::NotHeld.into_error()),
    }
}

/// The checkpoint as the store has it, what it says, and when it was cosigned.
fn opened(
    cosigned: &[u8],
    public: &PublicKey,
    witness: &Witness,
) -> Result<(Vec<u8>, Statement, u64), Problem> {
    let note = Note::from_bytes(cosigned).map_err(|_| Problem::Malformed)?;
    let known = VerifierList::new(vec![Box::new(witness.clone())]);
    let (cosignatures, others) = note.verify(&known).map_err(|_| Problem::Cosignature)?;
    let [cosignature] = cosignatures.as_slice() else {
        return Err(Problem::Malformed);
    };
    let time = cosignature.signature().first_chunk::<TIME_BYTES>();
    let at_seconds = time
        .map(|time| u64::from_be_bytes(*time))
        .ok_or(Problem::Malformed)?;
    let own = Note::new(note.text(), &others).map_err(|_| Problem::Malformed)?;
    let bytes = own.to_bytes();
    if [bytes.as_slice(), &cosignature.to_bytes()].concat() != cosigned {
        return Err(Problem::Malformed);
    }
    let statement = checkpoint::open(&bytes, public).map_err(|_| Problem::Signature)?;
    Ok((bytes, statement, at_seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{GATEWAY, filled, key, store};
    use crate::verify::verify;

    const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    const AT: u64 = 1_795_132_800;

    fn witness() -> WitnessKey {
        WitnessKey::from_pem("witness.example/w1", PEM).unwrap()
    }

    #[tokio::test]
    async fn a_store_rolled_back_behind_a_cosignature_is_found_out() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path()).await;
        let store = store(folder.path());
        let (public, witness) = (key().public(GATEWAY), witness());
        let report = verify(store.as_ref(), std::slice::from_ref(&public), None)
            .await
            .unwrap();
        let (bytes, said) = cosign(store.as_ref(), &report, &public, &witness, None, AT)
            .await
            .unwrap();
        assert_eq!(said.at_seconds, AT);
        let anchored = anchor(store.as_ref(), &report, &public, &bytes, &witness.public())
            .await
            .unwrap();
        assert_eq!(anchored, said);
        // Nothing was added: it is cosigned again.
        cosign(
            store.as_ref(),
            &report,
            &public,
            &witness,
            Some(&bytes),
            AT + 1,
        )
        .await
        .unwrap();

        let last = report.ledgers[0].seals - 1;
        let newest = folder
            .path()
            .join("store")
            .join(checkpoint::key(GATEWAY, last));
        std::fs::remove_file(newest).unwrap();
        let problem = |error: Error| match error {
            Error::Witness { problem } => problem,
            other => panic!("{other:?}"),
        };
        let anchored = anchor(store.as_ref(), &report, &public, &bytes, &witness.public()).await;
        assert_eq!(problem(anchored.unwrap_err()), Problem::NotHeld);
        let again = cosign(store.as_ref(), &report, &public, &witness, Some(&bytes), AT).await;
        assert_eq!(problem(again.unwrap_err()), Problem::NotHeld);
    }

    #[tokio::test]
    async fn what_is_not_intact_is_not_cosigned() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path()).await;
        let store = store(folder.path());
        let public = key().public(GATEWAY);
        let report = verify(store.as_ref(), &[], None).await.unwrap();
        let cosigned = cosign(store.as_ref(), &report, &public, &witness(), None, AT).await;
        assert!(matches!(
            cosigned,
            Err(Error::Witness {
                problem: Problem::NotIntact
            })
        ));
    }

    #[tokio::test]
    async fn every_flipped_byte_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path()).await;
        let store = store(folder.path());
        let (public, witness) = (key().public(GATEWAY), witness());
        let report = verify(store.as_ref(), std::slice::from_ref(&public), None)
            .await
            .unwrap();
        let (bytes, _) = cosign(store.as_ref(), &report, &public, &witness, None, AT)
            .await
            .unwrap();
        let witness = witness.public();
        assert!(opened(&bytes, &public, &witness).is_ok());
        for position in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[position] ^= 1;
            assert!(
                opened(&flipped, &public, &witness).is_err(),
                "byte {position}"
            );
            assert!(
                opened(&bytes[..position], &public, &witness).is_err(),
                "cut at {position}"
            );
        }
    }

    #[test]
    fn public_keys_are_read_as_they_are_written_and_no_others() {
        let text = witness().public().text();
        assert_eq!(
            Witness::parse(&format!("{text}\n")).unwrap(),
            witness().public()
        );
        let gateway = key().public(GATEWAY);
        for bad in [
            "",
            "a+b+c",
            gateway.text(),
            &text.replace("w1", "w2"),
            &text.replace("witness", "wit ness"),
        ] {
            assert!(Witness::parse(bad).is_err(), "{bad}");
        }
        for name in ["", "a b", "a+b"] {
            assert!(WitnessKey::from_pem(name, PEM).is_err(), "{name}");
        }
        assert!(WitnessKey::from_pem("w", "").is_err());
    }
}

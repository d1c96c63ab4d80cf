//! Cancel keys: ours, given to clients, and the servers' own behind them.
//!
//! A client never learns a server's key, and a guess of ours tells nothing: requests are never answered. Secrets are kept as
//! their hashes only.
//!
//! Servers are asked for protocol 3.0, so their own secrets have four bytes; what a client gets depends on its protocol alone.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use provost_evidence::approvals::ApprovalId;

use crate::{
    judgement::Awaited,
    upstream::{CancelKey, Upstream},
};

/// How often a free process id is looked for before a session is refused: with ids of 31 bits it never happens.
const ATTEMPTS_MAX: usize = 64;

/// How long a secret is.
///
/// # Source
/// PostgreSQL 18, `MAX_CANCEL_KEY_LENGTH` in `src/include/storage/procsignal.h`, and `PostgresMain` for which client gets which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecretLength {
    /// Four bytes, all that protocol 3.0 has room for.
    Four,
    /// 32 bytes, as PostgreSQL 18 gives to clients of protocol 3.2.
    Long,
}

/// The keys of all open sessions. As many as there are sessions, each removed with its session.
#[derive(Default)]
pub(crate) struct CancelKeys {
    entries: Mutex<HashMap<i32, Entry>>,
}

struct Entry {
    secret_hash: blake3::Hash,
    upstream: Arc<Upstream>,
    key: CancelKey,
    awaited: Awaited,
}

/// What a cancel request is to end.
pub(crate) struct Found {
    /// Where the session's server is.
    pub(crate) upstream: Arc<Upstream>,
    /// The server's own key.
    pub(crate) key: CancelKey,
    /// What the session waits for; while it does, its server is at nothing.
    pub(crate) awaited: Option<ApprovalId>,
}

/// A session's entry; dropping it takes the key back.
pub(crate) struct Issued {
    keys: Arc<CancelKeys>,
    /// What BackendKeyData tells the client.
    pub(crate) process_id: i32,
    /// Its secret.
    pub(crate) secret: Box<[u8]>,
}

impl CancelKeys {
    /// Makes a key for a session of `upstream`; `None` when no free id was found.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub(crate) fn issue(
        self: &Arc<Self>,
        upstream: &Arc<Upstream>,
        (key, awaited): (CancelKey, &Awaited),
        length: SecretLength,
    ) -> Result<Option<Issued>, getrandom::Error> {
        let secret = length.random()?;
        for _ in 0..ATTEMPTS_MAX {
            let process_id = i32::try_from(getrandom::u32()? >> 1).unwrap_or(0);
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            if process_id == 0 || entries.contains_key(&process_id) {
                continue;
            }
            entries.insert(
                process_id,
                Entry {
                    secret_hash: blake3::hash(&secret),
                    upstream: Arc::clone(upstream),
                    key,
                    awaited: Arc::clone(awaited),
                },
            );
            return Ok(Some(Issued {
                keys: Arc::clone(self),
                process_id,
                secret,
            }));
        }
        Ok(None)
    }

    /// The server session that this key stands for, if the secret is right too, to its length.
    pub(crate) fn find(&self, process_id: i32, secret: &[u8]) -> Option<Found> {
        let secret_hash = blake3::hash(secret);
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(&process_id)?;
        // Hashes are compared in constant time: how long it takes says nothing of how much was right.
        (entry.secret_hash == secret_hash).then(|| Found {
            upstream: Arc::clone(&entry.upstream),
            key: entry.key.clone(),
            awaited: entry
                .awaited
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        })
    }
}

impl SecretLength {
    fn random(self) -> Result<Box<[u8]>, getrandom::Error> {
        let mut secret = match self {
            Self::Four => vec![0; 4],
            Self::Long => vec![0; 32],
        };
        getrandom::fill(&mut secret)?;
        Ok(secret.into())
    }
}

impl Drop for Issued {
    fn drop(&mut self) {
        self.keys
            .entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.process_id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Awaited, CancelKeys, SecretLength};
    use crate::{
        settings::{Host, Roles, ServerTls, Target, Warm},
        upstream::{CancelKey, Upstream},
    };

    #[test]
    fn a_key_is_found_by_both_halves_until_its_session_ends() {
        let target = Target {
            name: "shop".into(),
            host: Host::Unix("/nowhere".into()),
            port: 5432,
            database: "shop".into(),
            user: "gateway".into(),
            roles: Roles::default(),
            warm: Warm::OFF,
            replication: false,
            password: None,
            tls: ServerTls::Off,
        };
        let upstream = Arc::new(Upstream::new(target, 1).unwrap());
        let keys = Arc::new(CancelKeys::default());
        let server = |process_id| CancelKey {
            process_id,
            secret: 9,
        };
        let issue = |server_id, length| {
            let issued = keys.issue(&upstream, (server(server_id), &Awaited::default()), length);
            issued.unwrap().unwrap()
        };
        let server_of = |process_id, secret: &[u8]| {
            let found = keys.find(process_id, secret);
            found.map(|found| found.key.process_id)
        };
        let one = issue(1, SecretLength::Four);
        let other = issue(2, SecretLength::Long);
        assert_eq!((one.secret.len(), other.secret.len()), (4, 32));
        assert_eq!(server_of(one.process_id, &one.secret), Some(1));
        assert_eq!(server_of(other.process_id, &other.secret), Some(2));
        assert_eq!(server_of(one.process_id ^ 1, &one.secret), None);
        assert_eq!(server_of(one.process_id, &other.secret), None);
        for issued in [&one, &other] {
            for place in 0..issued.secret.len() {
                let mut wrong = issued.secret.to_vec();
                wrong[place] ^= 1;
                assert_eq!(server_of(issued.process_id, &wrong), None);
                // The right beginning of a secret is no secret, nor is one with more behind it.
                let start = &issued.secret[..place];
                assert_eq!(server_of(issued.process_id, start), None);
            }
            let longer = [&issued.secret, &b"\0"[..]].concat();
            assert_eq!(server_of(issued.process_id, &longer), None);
        }
        let (process_id, secret) = (one.process_id, one.secret.clone());
        drop(one);
        let replayed = server_of(process_id, &secret);
        assert_eq!(replayed, None, "a replayed key finds nothing");
    }
}

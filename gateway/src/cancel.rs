//! Cancel keys: ours, given to clients, and the servers' own behind them.
//!
//! A client never learns a server's secret, and a guess of ours tells nothing: requests are never answered. Secrets are kept as
//! their hashes only. The process id is the server's own: clients compare it with that of notifications and of
//! `pg_stat_activity`, to know what is their own doing.
//!
//! Servers are asked for protocol 3.0, so their own secrets have four bytes; what a client gets depends on its protocol alone.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use provost_evidence::approvals::ApprovalId;

use crate::{
    judgement::Awaited,
    under_way::UnderWay,
    upstream::{CancelKey, Upstream},
};

/// How often a free key is looked for before a session is refused. Targets on several servers may have sessions of one process id, whose
/// secrets then differ: that two of four bytes are the same never happens often.
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
    entries: Mutex<HashMap<Key, Entry>>,
}

/// The server's process id, and the hash of a secret of ours. How long it takes to look for one says nothing of how much of a secret was right.
type Key = (i32, blake3::Hash);

struct Entry {
    upstream: Arc<Upstream>,
    key: CancelKey,
    awaited: Awaited,
    under_way: Arc<UnderWay>,
}

/// What a cancel request is to end.
pub(crate) struct Found {
    /// Where the session's server is.
    pub(crate) upstream: Arc<Upstream>,
    /// The server's own key.
    pub(crate) key: CancelKey,
    /// What the session waits for; while it does, its server is at nothing.
    pub(crate) awaited: Option<ApprovalId>,
    /// What the session has that its server does not have yet.
    pub(crate) under_way: Arc<UnderWay>,
}

/// A session's entry; dropping it takes the key back.
pub(crate) struct Issued {
    keys: Arc<CancelKeys>,
    entry: Key,
    /// What BackendKeyData tells the client.
    pub(crate) process_id: i32,
    /// Its secret.
    pub(crate) secret: Box<[u8]>,
}

impl CancelKeys {
    /// Makes a key for a session of `upstream`; `None` when no free one was found.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub(crate) fn issue(
        self: &Arc<Self>,
        upstream: &Arc<Upstream>,
        (key, awaited): (CancelKey, &Awaited),
        length: SecretLength,
    ) -> Result<Option<Issued>, getrandom::Error> {
        let process_id = key.process_id;
        for _ in 0..ATTEMPTS_MAX {
            let secret = length.random()?;
            let place = (process_id, blake3::hash(&secret));
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            if entries.contains_key(&place) {
                continue;
            }
            entries.insert(
                place,
                Entry {
                    upstream: Arc::clone(upstream),
                    key,
                    awaited: Arc::clone(awaited),
                    under_way: Arc::default(),
                },
            );
            return Ok(Some(Issued {
                keys: Arc::clone(self),
                entry: place,
                process_id,
                secret,
            }));
        }
        Ok(None)
    }

    /// The server session that this key stands for, if the secret is right too, to its length.
    pub(crate) fn find(&self, process_id: i32, secret: &[u8]) -> Option<Found> {
        let place = (process_id, blake3::hash(secret));
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(&place)?;
        Some(Found {
            upstream: Arc::clone(&entry.upstream),
            key: entry.key.clone(),
            under_way: Arc::clone(&entry.under_way),
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
            .remove(&self.entry);
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
        // The servers' own secrets tell the sessions apart.
        let issue = |process_id, secret, length| {
            let key = CancelKey { process_id, secret };
            let issued = keys.issue(&upstream, (key, &Awaited::default()), length);
            issued.unwrap().unwrap()
        };
        let server_of = |process_id, secret: &[u8]| {
            let found = keys.find(process_id, secret);
            found.map(|found| found.key.secret)
        };
        let one = issue(71, 1, SecretLength::Four);
        // Of another server, by chance.
        let other = issue(71, 2, SecretLength::Long);
        assert_eq!((one.process_id, other.process_id), (71, 71));
        assert_eq!((one.secret.len(), other.secret.len()), (4, 32));
        assert_eq!(server_of(one.process_id, &one.secret), Some(1));
        assert_eq!(server_of(other.process_id, &other.secret), Some(2));
        assert_eq!(server_of(one.process_id ^ 1, &one.secret), None);
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
        assert_eq!(server_of(71, &other.secret), Some(2));
        let replayed = server_of(process_id, &secret);
        assert_eq!(replayed, None, "a replayed key finds nothing");
    }
}

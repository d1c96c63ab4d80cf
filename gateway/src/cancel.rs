//! Cancel keys: ours, given to clients, and the servers' own behind them.
//!
//! A client never learns a server's key, and a guess of ours tells nothing: requests are never answered.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::upstream::{CancelKey, Upstream};

/// How often a free process id is looked for before a session is refused: with ids of 31 bits it never happens.
const ATTEMPTS_MAX: usize = 64;

/// The keys of all open sessions. As many as there are sessions, each removed with its session.
#[derive(Default)]
pub(crate) struct CancelKeys {
    entries: Mutex<HashMap<i32, Entry>>,
}

struct Entry {
    secret: i32,
    upstream: Arc<Upstream>,
    key: CancelKey,
}

/// A session's entry; dropping it takes the key back.
pub(crate) struct Issued {
    keys: Arc<CancelKeys>,
    /// What BackendKeyData tells the client.
    pub(crate) process_id: i32,
    /// Its secret.
    pub(crate) secret: i32,
}

impl CancelKeys {
    /// Makes a key for a session of `upstream`; `None` when no free id was found.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub(crate) fn issue(
        self: &Arc<Self>,
        upstream: &Arc<Upstream>,
        key: CancelKey,
    ) -> Result<Option<Issued>, getrandom::Error> {
        for _ in 0..ATTEMPTS_MAX {
            let process_id = i32::try_from(getrandom::u32()? >> 1).unwrap_or(0);
            let secret = getrandom::u32()?.cast_signed();
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            if process_id == 0 || entries.contains_key(&process_id) {
                continue;
            }
            entries.insert(
                process_id,
                Entry {
                    secret,
                    upstream: Arc::clone(upstream),
                    key,
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

    /// The server session that this key stands for, if the secret is right too.
    pub(crate) fn find(&self, process_id: i32, secret: i32) -> Option<(Arc<Upstream>, CancelKey)> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(&process_id)?;
        // One comparison of whole words: how long it takes says nothing of how much was right.
        (entry.secret ^ secret == 0).then(|| (Arc::clone(&entry.upstream), entry.key.clone()))
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

    use super::CancelKeys;
    use crate::{
        settings::{Host, ServerTls, Target},
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
            password: None,
            tls: ServerTls::Off,
        };
        let upstream = Arc::new(Upstream::new(target, 1).unwrap());
        let keys = Arc::new(CancelKeys::default());
        let server = |process_id| CancelKey {
            process_id,
            secret: 9,
        };
        let one = keys.issue(&upstream, server(1)).unwrap().unwrap();
        let other = keys.issue(&upstream, server(2)).unwrap().unwrap();
        assert!(
            keys.find(one.process_id, one.secret)
                .is_some_and(|(_, key)| key.process_id == 1)
        );
        assert!(
            keys.find(other.process_id, other.secret)
                .is_some_and(|(_, key)| key.process_id == 2)
        );
        assert!(keys.find(one.process_id, one.secret ^ 1).is_none());
        assert!(keys.find(one.process_id ^ 1, one.secret).is_none());
        let (process_id, secret) = (one.process_id, one.secret);
        drop(one);
        assert!(
            keys.find(process_id, secret).is_none(),
            "a replayed key finds nothing"
        );
    }
}

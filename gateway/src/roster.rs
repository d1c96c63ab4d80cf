//! The sessions that are open now, and the word that ends one of them.
//!
//! It must never keep a session that ended, nor end one whose end is not in the log yet.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use provost_engine::principal::Session;
use tokio::sync::oneshot;

/// The sessions of this gateway. As many as there are connections.
#[derive(Debug, Default)]
pub struct Roster(Mutex<HashMap<String, Member>>);

/// A session that is open.
#[derive(Debug, Clone)]
pub struct Present {
    /// Its id in evidence.
    pub id: String,
    /// What is constant for it.
    pub session: Arc<Session>,
    /// Since when.
    pub since: SystemTime,
}

#[derive(Debug)]
struct Member {
    present: Present,
    /// Taken by whoever ends it.
    dismiss: Option<oneshot::Sender<String>>,
}

/// A place on the roster; it is left when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    roster: Arc<Roster>,
    id: String,
}

/// Resolves with the words for the client when somebody ends the session.
pub(crate) type Dismissal = oneshot::Receiver<String>;

impl Roster {
    fn members(&self) -> MutexGuard<'_, HashMap<String, Member>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a session.
    pub(crate) fn enter(self: &Arc<Self>, id: &str, session: &Arc<Session>) -> (Place, Dismissal) {
        let (dismiss, dismissal) = oneshot::channel();
        let present = Present {
            id: id.to_owned(),
            session: Arc::clone(session),
            since: SystemTime::now(),
        };
        let member = Member {
            present,
            dismiss: Some(dismiss),
        };
        self.members().insert(id.to_owned(), member);
        let place = Place {
            roster: Arc::clone(self),
            id: id.to_owned(),
        };
        (place, dismissal)
    }

    /// Who is there, the newest first.
    pub(crate) fn present(&self) -> Vec<Present> {
        let members = self.members();
        let mut present: Vec<Present> = members.values().map(|one| one.present.clone()).collect();
        drop(members);
        present.sort_by(|one, other| (other.since, &other.id).cmp(&(one.since, &one.id)));
        present
    }

    /// The session of this id, if it is there.
    pub(crate) fn find(&self, id: &str) -> Option<Present> {
        self.members().get(id).map(|member| member.present.clone())
    }

    /// Ends a session with these words for its client; whether it was there to be ended.
    pub(crate) fn dismiss(&self, id: &str, words: String) -> bool {
        let dismiss = self
            .members()
            .get_mut(id)
            .and_then(|member| member.dismiss.take());
        dismiss.is_some_and(|dismiss| dismiss.send(words).is_ok())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.roster.members().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use provost_engine::principal::{Authentication, Principal, PrincipalKind};

    use super::*;

    fn session() -> Arc<Session> {
        Arc::new(Session {
            principal: Principal {
                id: "devin@corp".into(),
                kind: PrincipalKind::Agent,
                groups: Vec::new(),
                on_behalf_of: None,
                issuer: "https://login.example.com".into(),
                claims: BTreeMap::new(),
            },
            target: "shop".into(),
            database: "shop".into(),
            role: "provost".into(),
            application: "psql".into(),
            client_address: None,
            tls: true,
            authentication: Authentication::TokenAsPassword,
        })
    }

    #[test]
    fn who_leaves_is_forgotten_and_who_is_dismissed_hears_it_once() {
        let roster = Arc::new(Roster::default());
        let (place, mut dismissal) = roster.enter("a", &session());
        let (other, _kept) = roster.enter("b", &session());
        assert_eq!(roster.present().len(), 2);
        assert!(!roster.dismiss("c", "x".to_owned()));
        assert!(roster.dismiss("a", "go".to_owned()));
        assert!(!roster.dismiss("a", "again".to_owned()));
        assert_eq!(dismissal.try_recv().as_deref(), Ok("go"));
        drop(place);
        assert!(roster.find("a").is_none() && roster.find("b").is_some());
        drop(other);
        assert!(roster.present().is_empty());
    }
}

//! Sessions of browsers, and their cookies.
//!
//! It must never keep a session beyond the token that it rests on, nor let its name be guessed or read by scripts.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use axum::http::{HeaderMap, HeaderValue, header};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use provost_engine::principal::Principal;

use crate::console::role::{Onlooker, Role};

/// The cookie that names a session. The prefix binds it to this host, by HTTPS, for every path (RFC 6265bis, 4.1.3.2).
pub(super) const COOKIE: &str = "__Host-provost";
/// Sessions at once; at the limit nobody logs in until one ends.
const SESSIONS_MAX: usize = 10_000;
/// Bytes of what must not be guessed.
const SECRET_BYTES: usize = 32;

/// Somebody who is logged in.
#[derive(Debug)]
pub(in crate::console) struct Session {
    /// Who, as their token said.
    pub(super) principal: Principal,
    /// What they may do.
    pub(super) role: Role,
    /// What our forms carry.
    pub(super) csrf: String,
    /// When it ends.
    expires_at: SystemTime,
}

impl Session {
    pub(super) fn onlooker(&self) -> Onlooker<'_> {
        Onlooker {
            id: &self.principal.id,
            role: self.role,
        }
    }

    /// Whether a form carries what ours do; takes as long either way.
    pub(super) fn is_csrf(&self, given: &str) -> bool {
        // Their equality is the kind that does not tell by its time.
        blake3::hash(given.as_bytes()) == blake3::hash(self.csrf.as_bytes())
    }
}

/// Everybody who is logged in, by the digests of their cookies.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<[u8; 32], Arc<Session>>>);

impl Sessions {
    fn open(&self) -> MutexGuard<'_, HashMap<[u8; 32], Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins one; gives its cookie. `None` where there are too many, or no randomness.
    pub(super) fn begin(
        &self,
        (principal, role): (Principal, Role),
        (now, expires_at): (SystemTime, SystemTime),
    ) -> Option<HeaderValue> {
        let (name, csrf) = (secret()?, secret()?);
        let mut open = self.open();
        if open.len() >= SESSIONS_MAX {
            open.retain(|_, session| session.expires_at > now);
        }
        if open.len() >= SESSIONS_MAX {
            return None;
        }
        let session = Session {
            principal,
            role,
            csrf,
            expires_at,
        };
        open.insert(digest(&name), Arc::new(session));
        let seconds = expires_at.duration_since(now).unwrap_or_default().as_secs();
        cookie(COOKIE, &name, seconds)
    }

    /// The one that a request names.
    pub(super) fn find(&self, headers: &HeaderMap, now: SystemTime) -> Option<Arc<Session>> {
        let key = digest(cookie_of(headers, COOKIE)?);
        let mut open = self.open();
        let session = Arc::clone(open.get(&key)?);
        if session.expires_at <= now {
            open.remove(&key);
            return None;
        }
        Some(session)
    }

    /// Ends the one that a request names.
    pub(super) fn end(&self, headers: &HeaderMap) {
        if let Some(name) = cookie_of(headers, COOKIE) {
            self.open().remove(&digest(name));
        }
    }
}

fn digest(name: &str) -> [u8; 32] {
    *blake3::hash(name.as_bytes()).as_bytes()
}

/// What nobody guesses, in letters that fit a cookie and a URL.
pub(super) fn secret() -> Option<String> {
    let mut bytes = [0_u8; SECRET_BYTES];
    getrandom::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// A cookie for this host alone, out of the reach of scripts; it goes along when people follow a link here, and with no form of others.
pub(super) fn cookie(name: &str, value: &str, seconds: u64) -> Option<HeaderValue> {
    let text = format!("{name}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax");
    HeaderValue::from_str(&text).ok()
}

/// Takes a cookie back.
pub(super) fn no_cookie(name: &'static str) -> HeaderValue {
    cookie(name, "", 0).unwrap_or(HeaderValue::from_static(""))
}

/// The value of the one cookie of this name.
pub(super) fn cookie_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter();
    let mut values = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(found, _)| *found == name)
        .map(|(_, value)| value);
    let value = values.next().filter(|value| !value.is_empty())?;
    values.next().is_none().then_some(value)
}

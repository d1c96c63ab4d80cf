//! What the gateway asks a session's own connection, because nobody else can see it: what the search path comes to, which
//! temporary objects there are, the catalog with the session's uncommitted changes, and views as they are while it holds them.
//!
//! Every name in the questions is qualified, operators too: the session's own path must not decide what they mean.

use std::{collections::BTreeSet, sync::Arc};

pub(crate) use provost_engine::catalog::TEMP_SCHEMA as TEMP;
use provost_engine::catalog::{OWN_PAST_LOCKS_STATEMENT, OWN_STATEMENT};
use serde::Deserialize;

pub use crate::pin::Pin;
use crate::{
    judgement::SearchPath,
    pin::{HOLD_QUESTION, READ_QUESTION},
};

/// Asks for the schemas in effect, the settings they come from, the role that `$user` stands for, what the session says of itself
/// ([`crate::badge`]), and a fingerprint of the session's temporary objects: NULL where it has none.
pub(crate) const PATH_QUESTION: &str = "SELECT pg_catalog.json_build_object(\
     'effective', pg_catalog.current_schemas(true), \
     'search_path', pg_catalog.current_setting('search_path'), \
     'jit', pg_catalog.current_setting('jit'), \
     'lock_timeout', pg_catalog.current_setting('lock_timeout'), \
     'role', CURRENT_USER, \
     'granted', pg_catalog.pg_has_role(SESSION_USER, CURRENT_USER, 'MEMBER'), \
     'own', pg_catalog.json_build_array(pg_catalog.current_setting('provost.principal', true), \
       pg_catalog.current_setting('provost.kind', true), pg_catalog.current_setting('provost.person', true), \
       pg_catalog.current_setting('provost.groups', true)), \
     'temp_schema', (SELECT n.nspname FROM pg_catalog.pg_namespace AS n \
       WHERE n.oid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()), \
     'temp', CASE WHEN pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.<>) 0::pg_catalog.oid THEN \
       (SELECT pg_catalog.string_agg(x.mark, ',' ORDER BY x.mark) FROM (\
         SELECT pg_catalog.concat_ws(':', 'c', c.oid, c.xmin, (\
           SELECT pg_catalog.sum(a.xmin::pg_catalog.text::pg_catalog.int8) FROM pg_catalog.pg_attribute AS a \
           WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid)) AS mark \
         FROM pg_catalog.pg_class AS c WHERE c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema() \
         UNION ALL SELECT pg_catalog.concat_ws(':', 't', t.oid, t.xmin) \
         FROM pg_catalog.pg_type AS t WHERE t.typnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema() \
         UNION ALL SELECT pg_catalog.concat_ws(':', 'f', p.oid, p.xmin) \
         FROM pg_catalog.pg_proc AS p WHERE p.pronamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()\
       ) AS x) END)::pg_catalog.text";

/// Before the catalog is asked for: the path under which its definitions come out qualified and its own operators are the
/// server's, no compilation, which would take seconds, and how long to wait for a lock.
const BEFORE_CATALOG: &str = "SELECT pg_catalog.set_config('search_path', 'pg_catalog', true), \
     pg_catalog.set_config('jit', 'off', true), pg_catalog.set_config('lock_timeout', $1, true)";

/// After it: all as they were. For the rest of the transaction only, as they might have been set: what holds at its end is
/// beneath.
const AFTER_CATALOG: &str = "SELECT pg_catalog.set_config('search_path', $1, true), pg_catalog.set_config('jit', $2, true), \
     pg_catalog.set_config('lock_timeout', $3, true)";

/// Before a question is asked again: whoever is in its way gets time, and nothing is locked meanwhile.
const PAUSE: &str = "SELECT pg_catalog.pg_sleep($1::pg_catalog.float8 OPERATOR(pg_catalog./) 1000)";

/// How long a question under a savepoint waits for a lock. What it waits for may be held by somebody who waits for the client, and
/// then the server ends one of the two: it looks for that when somebody waited `deadlock_timeout` (1 s), and must not find the
/// question waiting.
const LOCK_TIMEOUT_BRIEF: &str = "5ms";
/// How long one waits in the midst of the client's transaction, where it can't be asked again: below `deadlock_timeout`.
const LOCK_TIMEOUT_ONCE: &str = "500ms";

/// A question to the session's own connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// What its search path comes to, and whether it has temporary objects.
    Path,
    /// The catalog as it sees it.
    Catalog(Arc<Reading>),
    /// Relations, locked to the end of the transaction and then read. Asked outside of a transaction it opens one, for the frame
    /// that waits for it.
    Pin(Pin),
}

/// A reading of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What it sets is set back to this.
    restore: Arc<Restore>,
    /// The views whose definitions are wanted, as the server reads an array.
    views: String,
    /// Milliseconds to wait before it is asked: it was before, in vain.
    pause_ms: String,
    locked: Locked,
}

/// What becomes of texts (rules, policies, checks) of what another session has locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locked {
    /// They are waited for.
    Awaited,
    /// They are left out.
    LeftOut,
}

impl Reading {
    pub(crate) fn new(
        restore: &Arc<Restore>,
        views: &BTreeSet<u32>,
        pause_ms: u64,
        locked: Locked,
    ) -> Self {
        let views: Vec<String> = views.iter().map(u32::to_string).collect();
        Self {
            restore: Arc::clone(restore),
            views: format!("{{{}}}", views.join(",")),
            pause_ms: pause_ms.to_string(),
            locked,
        }
    }

    /// How long it may wait for a lock. Definitions lock what the client's statement locks too: where neither can be asked again,
    /// both wait alike.
    fn lock_timeout(&self, footing: Footing) -> &str {
        match footing {
            Footing::Savepoint => LOCK_TIMEOUT_BRIEF,
            Footing::Midst if self.views == "{}" => LOCK_TIMEOUT_ONCE,
            Footing::Midst | Footing::Own => &self.restore.lock_timeout,
        }
    }
}

/// What a question is asked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Footing {
    /// A transaction of its own.
    Own,
    /// The client's, under a savepoint that is gone back to.
    Savepoint,
    /// The client's, in the midst of its frames.
    Midst,
}

/// Settings as a session has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restore {
    /// `search_path`.
    pub search_path: String,
    /// `jit`.
    pub jit: String,
    /// `lock_timeout`.
    pub lock_timeout: String,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    /// What the server said; XX000 where it said nothing.
    pub sqlstate: String,
}

impl Look {
    /// Its statements in order, each with its values.
    pub(crate) fn steps(&self, footing: Footing) -> Vec<(&'static str, Vec<&[u8]>)> {
        match self {
            Self::Path => vec![(PATH_QUESTION, Vec::new())],
            Self::Catalog(reading) => {
                let restore = &reading.restore;
                let lock_timeout = reading.lock_timeout(footing);
                let mut steps = vec![
                    (BEFORE_CATALOG, vec![lock_timeout.as_bytes()]),
                    (self.answer(), vec![reading.views.as_bytes()]),
                ];
                match footing {
                    Footing::Savepoint if reading.pause_ms != "0" => {
                        steps.insert(0, (PAUSE, vec![reading.pause_ms.as_bytes()]));
                    }
                    // What is gone back takes the settings along.
                    Footing::Savepoint | Footing::Own => {}
                    Footing::Midst => steps.push((
                        AFTER_CATALOG,
                        vec![
                            restore.search_path.as_bytes(),
                            restore.jit.as_bytes(),
                            restore.lock_timeout.as_bytes(),
                        ],
                    )),
                }
                steps
            }
            Self::Pin(pin) => vec![
                (HOLD_QUESTION, vec![pin.array().as_bytes()]),
                (READ_QUESTION, vec![pin.array().as_bytes()]),
            ],
        }
    }

    /// Which statement gives the answer.
    pub(crate) fn answer(&self) -> &'static str {
        match self {
            Self::Path => PATH_QUESTION,
            Self::Catalog(reading) => match reading.locked {
                Locked::Awaited => OWN_STATEMENT,
                Locked::LeftOut => OWN_PAST_LOCKS_STATEMENT,
            },
            Self::Pin(_) => READ_QUESTION,
        }
    }
}

/// The answer to [`PATH_QUESTION`].
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PathAnswer {
    effective: Vec<Arc<str>>,
    search_path: String,
    jit: String,
    lock_timeout: String,
    /// The role that the session is in.
    pub(crate) role: String,
    /// Whether whoever logged in may be of it still.
    pub(crate) granted: bool,
    /// The values of [`crate::badge::SETTINGS`].
    pub(crate) own: [Option<String>; 4],
    temp_schema: Option<Arc<str>>,
    /// A fingerprint of the session's temporary objects.
    pub(crate) temp: Option<String>,
}

impl PathAnswer {
    /// Reads it.
    pub(crate) fn from_json(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// What a reading of the catalog sets back.
    pub(crate) fn restore(&self) -> Restore {
        Restore {
            search_path: self.search_path.clone(),
            jit: self.jit.clone(),
            lock_timeout: self.lock_timeout.clone(),
        }
    }

    /// The path. A schema that is not in effect and not in the catalog (`has_schema`) may come to be.
    pub(crate) fn search_path(&self, has_schema: impl Fn(&str) -> bool) -> SearchPath {
        let is_temp = |name: &str| Some(name) == self.temp_schema.as_deref();
        let named = names(&self.search_path, &self.role);
        let names_temp = named.iter().any(|name| name == TEMP);
        let absent = named
            .into_iter()
            .filter(|name| {
                // A schema that is there and not in effect may not be used: that is no matter of time.
                let in_effect = self.effective.iter().any(|effective| **effective == **name);
                !in_effect && name != TEMP && !has_schema(name)
            })
            .map(Arc::from)
            .collect();
        let effective = self
            .effective
            .iter()
            // An empty temporary schema finds nothing.
            .filter(|name| self.temp.is_some() || !is_temp(name))
            .map(|name| {
                if is_temp(name) {
                    TEMP.into()
                } else {
                    Arc::clone(name)
                }
            })
            .collect();
        SearchPath {
            effective,
            absent,
            names_temp,
        }
    }
}

/// The names of a path: unquoted ones folded, `$user` replaced.
///
/// # Source
/// PostgreSQL's `SplitIdentifierString`; the server checked the text when it was set.
fn names(setting: &str, role: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut name = String::new();
    let mut quoted = false;
    let mut characters = setting.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, quoted) {
            ('"', true) if characters.peek() == Some(&'"') => name.extend(characters.next()),
            ('"', _) => quoted = !quoted,
            (',', false) => names.push(std::mem::take(&mut name)),
            (space, false) if space.is_ascii_whitespace() => {}
            (other, false) => name.push(other.to_ascii_lowercase()),
            (other, true) => name.push(other),
        }
    }
    names.push(name);
    names.retain(|name| !name.is_empty());
    for name in &mut names {
        if name == "$user" {
            role.clone_into(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::{OWN_PAST_LOCKS_STATEMENT, OWN_STATEMENT, PathAnswer, names};

    fn check(setting: &str, expected: &[&str]) {
        assert_eq!(names(setting, "Ann"), expected, "{setting}");
    }

    #[test]
    fn names_are_read_as_the_server_reads_them() {
        check("", &[]);
        check(r#""$user", public"#, &["Ann", "public"]);
        check("Shop,HR", &["shop", "hr"]);
        check(
            r#""Shop" , "a,b", "say ""x""" "#,
            &["Shop", "a,b", r#"say "x""#],
        );
        check(r#""""#, &[]);
    }

    #[test]
    fn the_catalogs_question_is_one_statement() {
        for statement in [OWN_STATEMENT, OWN_PAST_LOCKS_STATEMENT] {
            assert!(statement.trim_start().starts_with("WITH"));
            assert!(!statement.contains(';'));
        }
    }

    #[test]
    fn a_temporary_schema_goes_by_one_name_and_counts_only_where_something_is_in_it() {
        let answer = |temp: &str| {
            let json = format!(
                r#"{{"effective": ["pg_temp_7", "pg_catalog", "public"], "search_path": "later, public, pg_temp", "jit": "on",
                    "lock_timeout": "0", "role": "ann", "granted": true, "own": [null, null, null, null], "temp_schema": "pg_temp_7", "temp": {temp}}}"#
            );
            PathAnswer::from_json(json.as_bytes())
                .unwrap()
                .search_path(|_| false)
        };
        let path = answer("null");
        assert_eq!(
            path.effective
                .iter()
                .map(|name| &**name)
                .collect::<Vec<_>>(),
            ["pg_catalog", "public"]
        );
        assert_eq!(path.absent, ["later".into()]);
        let path = answer("\"c:1:2:3\"");
        assert_eq!(
            path.effective
                .iter()
                .map(|name| &**name)
                .collect::<Vec<_>>(),
            ["pg_temp", "pg_catalog", "public"]
        );
    }
}

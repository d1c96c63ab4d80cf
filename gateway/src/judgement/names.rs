//! The session's names as analysis asks for them, and SQL's own as the protocol's tables keep them.

use std::{collections::BTreeMap, rc::Rc, sync::Arc};

use provost_engine::{
    facts::CatalogVersion,
    sql::{self, Named, SessionNames, Temporary},
};

use provost_evidence::record::Phase;

use super::{Bound, NamedBy, Prepared, Recollection, Sent, Step, Values};
use crate::judge::{Given, Parameters};

/// What stands for a statement that can't be told from the text that named it: no grammar takes it.
const NOTHING: &str = "provost";
/// A parameter's type that PREPARE names: of no account, so that nothing is concluded from it.
const SOME_TYPE: u32 = 1;

/// No names: a session's temporary objects are followed nevertheless.
pub(super) static NO_NAMES: SessionNames = SessionNames {
    prepared: BTreeMap::new(),
    cursors: BTreeMap::new(),
    temporary: Temporary::Followed,
};

/// A session's names at one moment.
#[derive(Debug)]
pub(super) struct NamesGiven {
    /// As analysis wants them.
    pub(super) names: Arc<SessionNames>,
    prepared_at: BTreeMap<Arc<str>, CatalogVersion>,
    opened: BTreeMap<Arc<str>, Opened>,
}

/// When and where the server looked up the names of a cursor.
#[derive(Debug)]
struct Opened {
    made_at: CatalogVersion,
    path: Arc<[Arc<str>]>,
}

impl NamesGiven {
    /// Names that are no UTF-8 are none that SQL could write.
    pub(super) fn new(given: Given<Rc<Prepared>, Bound>) -> Self {
        let mut names = SessionNames {
            temporary: Temporary::Followed,
            ..SessionNames::default()
        };
        let (mut prepared_at, mut opened) = (BTreeMap::new(), BTreeMap::new());
        for (name, prepared) in given.statements {
            let Some((name, named)) = known(&name).zip(prepared.named(None)) else {
                continue;
            };
            prepared_at.insert(Arc::clone(&name), prepared.made_at);
            names.prepared.insert(name, named);
        }
        for (name, prepared, bound) in given.portals {
            let named = prepared.named(Some(Arc::clone(&bound.path)));
            let Some((name, named)) = known(&name).zip(named) else {
                continue;
            };
            let Bound { made_at, path, .. } = bound;
            opened.insert(Arc::clone(&name), Opened { made_at, path });
            names.cursors.insert(name, named);
        }
        Self {
            names: Arc::new(names),
            prepared_at,
            opened,
        }
    }

    /// By which catalogs the server may have read what has this name.
    pub(super) fn made_at(&self, name: &str) -> impl Iterator<Item = CatalogVersion> {
        let opened = self.opened.get(name).map(|opened| opened.made_at);
        self.prepared_at
            .get(name)
            .copied()
            .into_iter()
            .chain(opened)
    }

    /// Where the names of the cursor were looked up.
    pub(super) fn path(&self, cursor: &str) -> Option<&Arc<[Arc<str>]>> {
        self.opened.get(cursor).map(|opened| &opened.path)
    }

    /// Whether a cursor or portal has this name.
    pub(super) fn is_cursor(&self, name: &str) -> bool {
        self.opened.contains_key(name)
    }
}

fn known(name: &[u8]) -> Option<Arc<str>> {
    let name = std::str::from_utf8(name).ok()?;
    (!name.is_empty()).then(|| name.into())
}

impl Prepared {
    /// What SQL names by this. A statement that SQL made is read from the text that made it.
    fn named(&self, search_path: Option<Arc<[Arc<str>]>>) -> Option<Named> {
        let (text, parameter_types) = match &self.whole {
            Some(whole) => (Arc::clone(whole), Arc::from([])),
            None => (
                std::str::from_utf8(&self.text).ok()?.into(),
                Arc::clone(&self.types),
            ),
        };
        Some(Named {
            text,
            parameter_types,
            search_path,
        })
    }

    /// Whether it is what a Parse of this text, with these types, prepares.
    pub(super) fn is_of(&self, (text, types): (&[u8], &[u32])) -> bool {
        *self.text == *text && *self.types == *types && self.whole.is_none()
    }

    /// The Parse of it.
    pub(super) fn parse(&self) -> Step<'_> {
        Step {
            types: &self.types,
            values: Values::NotBound,
            memory: Some(&self.memory),
            ..Step::bare(Phase::Prepare, &self.text)
        }
    }

    /// A Bind of it.
    pub(super) fn step<'a>(&'a self, parameters: Parameters<'a>) -> Step<'a> {
        Step {
            types: &self.types,
            parameters: match parameters.count {
                0 => Sent::Nothing,
                _ => Sent::Raw(parameters.raw),
            },
            values: Values::Bound(parameters.raw),
            made_at: Some(self.made_at),
            named_by: self.named_by(),
            memory: Some(&self.memory),
            ..Step::bare(Phase::Execute, &self.text)
        }
    }

    /// Who gave it its name.
    pub(super) const fn named_by(&self) -> NamedBy {
        match self.whole {
            Some(_) => NamedBy::Sql,
            None => NamedBy::Protocol,
        }
    }

    /// What the protocol binds by a name that SQL gave.
    pub(super) fn of_sql(named: &Named, made_at: CatalogVersion) -> Self {
        let (text, types) = sql::named_statement(&named.text).unwrap_or((NOTHING, 0));
        Self {
            text: Arc::from(text.as_bytes()),
            types: vec![SOME_TYPE; types].into(),
            made_at,
            whole: Some(Arc::clone(&named.text)),
            memory: Recollection::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CatalogVersion, Named, Prepared};

    fn check(text: &str, expected: &str, types: usize) {
        let named = Named {
            text: text.into(),
            parameter_types: [].into(),
            search_path: None,
        };
        let prepared = Prepared::of_sql(&named, CatalogVersion(1));
        let inner = std::str::from_utf8(&prepared.text).unwrap();
        assert_eq!(
            (inner.trim(), prepared.types.len()),
            (expected, types),
            "{text}"
        );
        assert_eq!(prepared.named(None).unwrap().text, named.text);
    }

    #[test]
    fn the_protocol_binds_what_sql_named() {
        check("PREPARE p AS SELECT 1", "SELECT 1", 0);
        check(
            "/* AS x */ PREPARE \"AS\" (int, numeric(10, 2)) AS SELECT $1 AS a, $2",
            "SELECT $1 AS a, $2",
            2,
        );
        check(
            "DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT a FROM t FOR UPDATE",
            "SELECT a FROM t FOR UPDATE",
            0,
        );
        check("SELECT 1", "provost", 0);
    }
}

//! Views' definitions, which are the costliest of all to read: the server opens every relation that a view is over. A catalog
//! can do without those that nobody asked for: analysis names them and refuses
//! ([`Refusal::lacking`](crate::sql::Refusal::lacking)). Must never let a definition stand for another one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::Arc,
};

use super::{Attribute, Catalog, Error, content, stamp_query, wire::Lines};

/// How long the catalog's keeper waits for a lock: whoever holds one for longer (a schema change in an open transaction, LOCK
/// TABLE) must not keep everybody's catalog from being read.
macro_rules! briefly {
    () => {
        "SET LOCAL search_path = pg_catalog; SET LOCAL jit = off; SET LOCAL lock_timeout = 200;\n"
    };
}

/// Every text is read, whoever has locked its relation.
macro_rules! none_locked {
    () => {
        "locked AS MATERIALIZED (SELECT NULL::pg_catalog.oid AS relation WHERE false),\n"
    };
}
pub(super) use none_locked;

/// Texts of what another session has locked are not read.
macro_rules! others_locked {
    () => {
        "locked AS MATERIALIZED (SELECT l.relation FROM pg_catalog.pg_locks AS l \
           WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.granted AND l.pid <> pg_backend_pid() \
             AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database())),\n"
    };
}

/// No view's definition: the keeper asks for those by themselves.
macro_rules! none_wanted {
    () => {
        "WITH RECURSIVE wanted AS MATERIALIZED (SELECT NULL::pg_catalog.oid AS oid WHERE false),\n"
    };
}

/// What comes behind the views that are wanted: the names that these of them call (`asked`), which texts are not read, and the
/// reading.
macro_rules! catalog_of {
    ($asked:literal, $locked:expr) => {
        concat!(
            "asked AS MATERIALIZED (SELECT oid FROM wanted WHERE ",
            $asked,
            "),\n",
            include_str!("calls.sql"),
            ",\n",
            $locked,
            include_str!("catalog.sql")
        )
    };
}
pub(super) use catalog_of;

/// The views that a session wants, and all beneath.
macro_rules! own_wanted {
    () => {
        "WITH RECURSIVE below AS (\
           SELECT x.oid FROM unnest($1::pg_catalog.oid[]) AS x(oid) \
           UNION \
           SELECT c.oid \
           FROM below AS b JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = b.oid \
             JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid \
               AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass \
             JOIN pg_catalog.pg_class AS c ON c.oid = d.refobjid AND c.relkind IN ('v', 'm')\
         ), wanted AS MATERIALIZED (SELECT oid FROM below),\n"
    };
}

/// Reads the catalog as [`super::CATALOG_QUERY`] does, but for views' definitions, for [`Catalog::from_answer`].
pub const OUTLINE_QUERY: &str = concat!(
    briefly!(),
    none_wanted!(),
    catalog_of!("false", none_locked!())
);

/// The same without the texts of what another session has locked (rules, policies, checks, defaults of generated columns): what
/// rests on one is refused. It is what the catalog is only until the lock is gone.
pub const OUTLINE_PAST_LOCKS_QUERY: &str = concat!(
    briefly!(),
    none_wanted!(),
    catalog_of!("false", others_locked!())
);

/// The first reading: [`OUTLINE_QUERY`] in a transaction that stays open for [`FIRST_STAMP_QUERY`].
pub const FIRST_QUERY: &str = concat!(
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = pg_catalog; SET LOCAL jit = off;\n",
    none_wanted!(),
    catalog_of!("false", none_locked!())
);

/// The stamp of what [`FIRST_QUERY`] gave, after it: in its snapshot, so that whatever changed since shows next time. Ends its
/// transaction.
pub const FIRST_STAMP_QUERY: &str = concat!(stamp_query!(), ";\nCOMMIT");

/// Asks for the definitions of views, and of all views beneath them: three rows with one text column each, for
/// [`Catalog::with_definitions`]. [`for_views`] puts the views' numbers in.
///
/// Deparsing locks what a view reads until the transaction's end: it has nothing else to do. The server deparses by the names of
/// the moment, whatever the statement's snapshot; so the names are asked for before and after it, each in a snapshot of its own.
pub const DEFINITIONS_QUERY: &str = concat!(
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED;",
    briefly!(),
    include_str!("below.sql"),
    ", ",
    include_str!("calls.sql"),
    include_str!("called.sql"),
    ";\n",
    include_str!("below.sql"),
    include_str!("definitions.sql"),
    ";\n",
    include_str!("below.sql"),
    ", ",
    include_str!("calls.sql"),
    include_str!("called.sql")
);

/// The catalog as a session's own transaction sees it, with the definitions of the views that its one parameter numbers (an array),
/// and of all views beneath them. Like [`super::CATALOG_STATEMENT`], for whoever sets `search_path` and `jit` otherwise. A
/// definition locks what its view reads, for a moment: that is why there are no others in it.
pub const OWN_STATEMENT: &str = concat!(own_wanted!(), catalog_of!("true", none_locked!()));

/// The same without the texts that [`OUTLINE_PAST_LOCKS_QUERY`] leaves out.
pub const OWN_PAST_LOCKS_STATEMENT: &str =
    concat!(own_wanted!(), catalog_of!("true", others_locked!()));

/// What stands for a text that was not read because another session has locked its relation: no SQL.
pub(crate) const LOCKED_TEXT: &str = "locked by another session";

/// Where the numbers go.
const NUMBERS: &str = "'{}'";

/// [`DEFINITIONS_QUERY`] about these views.
#[must_use]
pub fn for_views(views: &BTreeSet<u32>) -> String {
    let numbers: Vec<String> = views.iter().map(u32::to_string).collect();
    DEFINITIONS_QUERY.replace(NUMBERS, &format!("'{{{}}}'", numbers.join(",")))
}

/// What a definition's text calls by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sort {
    Relation,
    Function,
    Operator,
    Type,
}

/// What a definition's text calls by name, and how: `6:public6:people|1:2:id`, lengths in characters.
#[derive(Debug, Default, PartialEq, Eq)]
struct Called {
    objects: BTreeMap<(Sort, u32), Arc<str>>,
    /// It says something besides that may become another word, and no catalog tells.
    says_more: bool,
}

/// A definition that was read by itself.
#[derive(Debug)]
pub(super) struct Deparsed {
    /// [`Relation::definition_mark`](super::Relation::definition_mark) as it was then.
    mark: u32,
    definition: Arc<str>,
    called: Called,
}

impl Called {
    /// Reads them by view: first what each calls, then each object's name.
    fn read(answer: &[u8]) -> Result<BTreeMap<u32, Self>, Error> {
        let section = "names";
        let malformed = || Error::Line { section };
        let mut lines = Lines::new(section, text(section, answer)?);
        let mut uses: Vec<(u32, Sort, u32)> = Vec::new();
        let mut names: BTreeMap<(Sort, u32), Arc<str>> = BTreeMap::new();
        let mut views: BTreeMap<u32, Self> = BTreeMap::new();
        while lines.more() {
            let is_name = match lines.letter()? {
                'n' => true,
                'u' => false,
                _ => return Err(malformed()),
            };
            let view = if is_name { 0 } else { lines.number()? };
            let sort = match lines.letter()? {
                'r' => Some(Sort::Relation),
                'f' => Some(Sort::Function),
                'o' => Some(Sort::Operator),
                't' => Some(Sort::Type),
                'x' => None,
                _ => return Err(malformed()),
            };
            let oid = lines.number()?;
            match sort {
                Some(sort) if is_name => drop(names.insert((sort, oid), lines.text()?.into())),
                Some(sort) => uses.push((view, sort, oid)),
                None if is_name => return Err(malformed()),
                None => views.entry(view).or_default().says_more = true,
            }
        }
        for (view, sort, oid) in uses {
            // An object without a name is another session's, or gone.
            let name = names.get(&(sort, oid)).cloned().unwrap_or_default();
            let objects = &mut views.entry(view).or_default().objects;
            objects.insert((sort, oid), name);
        }
        Ok(views)
    }

    /// Whether everything is called so in this catalog.
    fn fits(&self, catalog: &Catalog) -> bool {
        let mut known = String::new();
        self.objects.iter().all(|((sort, oid), called)| {
            let (schema, name, columns) = match sort {
                Sort::Relation => match catalog.relations.get(oid) {
                    Some(one) => (&one.schema, &one.name, &*one.attributes),
                    None => return false,
                },
                Sort::Function => match catalog.functions_by_oid.get(oid) {
                    Some(one) => (&one.schema, &one.name, &[][..]),
                    None => return false,
                },
                Sort::Operator => match catalog.operators_by_oid.get(oid) {
                    Some(one) => (&one.schema, &one.name, &[][..]),
                    None => return false,
                },
                Sort::Type => match catalog.types_by_oid.get(oid) {
                    Some(one) => (&one.schema, &one.name, &[][..]),
                    None => return false,
                },
            };
            known.clear();
            // A text takes everything.
            for name in [schema, name] {
                let _ = write!(known, "{}:{name}", name.chars().count());
            }
            for Attribute { number, name, .. } in columns {
                let _ = write!(known, "|{number}:{}:{name}", name.chars().count());
            }
            *known == **called
        })
    }
}

fn text<'a>(section: &'static str, answer: &'a [u8]) -> Result<&'a str, Error> {
    str::from_utf8(answer).map_err(|_| Error::Line { section })
}

impl Catalog {
    /// The views whose definitions are here.
    #[must_use]
    pub fn defined(&self) -> BTreeSet<u32> {
        let views = self.relations.values();
        let defined = views.filter(|one| one.definition.is_some());
        defined.map(|one| one.oid).collect()
    }

    /// This catalog with definitions that [`DEFINITIONS_QUERY`] gave, in its three rows, before or after this catalog was read.
    /// One that is another one in this catalog, or calls something by another name than this catalog does, is left out.
    ///
    /// # Errors
    /// [`Error::Line`] for anything else than such an answer.
    pub fn with_definitions(&self, answer: &[Vec<u8>]) -> Result<Self, Error> {
        let section = "definitions";
        let [before, texts, after] = answer else {
            return Err(Error::Line { section });
        };
        let (mut before, after) = (Called::read(before)?, Called::read(after)?);
        let mut lines = Lines::new(section, text(section, texts)?);
        let mut catalog = self.clone();
        while lines.more() {
            let (oid, mark): (u32, u32) = (lines.number()?, lines.number()?);
            let definition = lines.text()?.into();
            // By which of two names it was deparsed can't be told.
            let Some(called) = before
                .remove(&oid)
                .filter(|called| after.get(&oid) == Some(called))
            else {
                continue;
            };
            let deparsed = Deparsed {
                mark,
                definition,
                called,
            };
            catalog.define(oid, &Arc::new(deparsed));
        }
        catalog.count_definitions();
        Ok(catalog)
    }

    /// This catalog, which was read after another one and has no definitions yet, with those of the other's that
    /// [`Self::with_definitions`] gave it and that would be deparsed to the same text now.
    #[must_use]
    pub fn with_definitions_of(mut self, earlier: &Self) -> Self {
        for (oid, deparsed) in &earlier.deparsed {
            if !deparsed.called.says_more {
                self.define(*oid, deparsed);
            }
        }
        self.count_definitions();
        self
    }

    fn define(&mut self, oid: u32, deparsed: &Arc<Deparsed>) {
        let Some(known) = self.relations.get(&oid) else {
            return;
        };
        if known.definition_mark != Some(deparsed.mark) || !deparsed.called.fits(self) {
            return;
        }
        let mut view = (**known).clone();
        view.definition = Some(Arc::clone(&deparsed.definition));
        let view = Arc::new(view);
        let names = self.by_name.entry(Arc::clone(&view.schema)).or_default();
        names.insert(Arc::clone(&view.name), Arc::clone(&view));
        self.relations.insert(oid, view);
        self.deparsed.insert(oid, Arc::clone(deparsed));
    }

    /// Makes the version that of the definitions that are here now.
    fn count_definitions(&mut self) {
        let definitions: BTreeMap<u32, &str> = self
            .relations
            .iter()
            .filter_map(|(oid, one)| Some((*oid, &**one.definition.as_ref()?)))
            .collect();
        self.version = content::version(&self.outline, definitions);
    }
}

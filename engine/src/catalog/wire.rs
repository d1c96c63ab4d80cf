//! What the server answers [`super::CATALOG_STATEMENT`] with, read into a [`Content`]. Never repairs anything: a line that is
//! not as it should be is an error.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use rustc_hash::FxHashMap;
use serde::Deserialize;

use super::{
    Attribute, Cascade, Cast, Content, Error, EventTrigger, ForeignKey, Function, Operator,
    Relation, RelationKind, RowPolicy, RowSecurity, Rule, Trigger, TypeKind, UserType,
    null_is_empty,
};

/// The answer as it comes.
#[derive(Deserialize)]
pub(super) struct Wire {
    server_version_num: u32,
    database: Arc<str>,
    temp_schema: Option<Arc<str>>,
    schemas: HashMap<u32, Arc<str>>,
    relations: Text,
    /// Behind the JSON.
    #[serde(skip)]
    attributes: Text,
    defaults: Text,
    checked: Text,
    foreign_keys: Text,
    indexes: Text,
    index_columns: Text,
    partition_keys: Text,
    parents: Text,
    views: Text,
    #[serde(default, deserialize_with = "null_is_empty")]
    torn: BTreeSet<u32>,
    view_marks: Text,
    types: Text,
    #[serde(deserialize_with = "null_is_empty")]
    write_expressions: Vec<(u32, Arc<str>)>,
    #[serde(deserialize_with = "null_is_empty")]
    triggers: Vec<(u32, Trigger)>,
    #[serde(deserialize_with = "null_is_empty")]
    rules: Vec<(u32, Rule)>,
    #[serde(deserialize_with = "null_is_empty")]
    policies: Vec<(u32, RowPolicy)>,
    #[serde(deserialize_with = "null_is_empty")]
    functions: Vec<Function>,
    #[serde(deserialize_with = "null_is_empty")]
    called: BTreeMap<u32, Arc<str>>,
    #[serde(deserialize_with = "null_is_empty")]
    operators: Vec<Operator>,
    #[serde(deserialize_with = "null_is_empty")]
    server_domains: HashSet<u32>,
    #[serde(deserialize_with = "null_is_empty")]
    domain_checks: Vec<(u32, Option<Arc<str>>)>,
    #[serde(deserialize_with = "null_is_empty")]
    support: HashMap<u32, Vec<u32>>,
    #[serde(deserialize_with = "null_is_empty")]
    casts: Vec<Cast>,
    #[serde(deserialize_with = "null_is_empty")]
    event_triggers: Vec<EventTrigger>,
    #[serde(default, deserialize_with = "null_is_empty")]
    comparisons: BTreeSet<u32>,
    #[serde(deserialize_with = "null_is_empty")]
    builtins: BTreeSet<Arc<str>>,
}

/// Lines; NULL is none.
type Text = Option<String>;

fn text(lines: &Text) -> &str {
    lines.as_deref().unwrap_or_default()
}

/// Reads lines of words with single spaces between them, some with a text at their end.
pub(super) struct Lines<'a> {
    section: &'static str,
    rest: &'a str,
}

impl<'a> Lines<'a> {
    pub(super) const fn new(section: &'static str, text: &'a str) -> Self {
        Self {
            section,
            rest: text,
        }
    }

    fn malformed(&self) -> Error {
        Error::Line {
            section: self.section,
        }
    }

    /// Whether there is another line.
    pub(super) const fn more(&self) -> bool {
        !self.rest.is_empty()
    }

    fn word(&mut self) -> Result<&'a str, Error> {
        let is_end = |byte: u8| matches!(byte, b' ' | b'\n');
        let end = self.rest.bytes().position(is_end);
        let end = end.unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..).unwrap_or_default();
        if word.is_empty() {
            return Err(self.malformed());
        }
        Ok(word)
    }

    pub(super) fn number<T: std::str::FromStr>(&mut self) -> Result<T, Error> {
        self.word()?.parse().map_err(|_| self.malformed())
    }

    /// An oid as the signed number of the same bits, which the server writes in less time.
    fn oid(&mut self) -> Result<u32, Error> {
        self.number::<i32>().map(i32::cast_unsigned)
    }

    pub(super) fn letter(&mut self) -> Result<char, Error> {
        let word = self.word()?;
        let mut letters = word.chars();
        match (letters.next(), letters.next()) {
            (Some(letter), None) => Ok(letter),
            _ => Err(self.malformed()),
        }
    }

    /// Numbers with commas between them.
    fn list(&mut self) -> Result<Vec<i16>, Error> {
        let word = self.word()?;
        let numbers = word.split(',').map(str::parse);
        numbers
            .collect::<Result<_, _>>()
            .map_err(|_| self.malformed())
    }

    /// The text at the line's end, behind its length in characters.
    pub(super) fn text(&mut self) -> Result<&'a str, Error> {
        let length: usize = self.number()?;
        // What begins with so many ASCII characters needs no counting.
        let plain = self.rest.as_bytes().get(..length);
        let end = match plain.filter(|bytes| bytes.is_ascii()) {
            Some(_) => length,
            None => (self.rest.char_indices().nth(length)).map_or(self.rest.len(), |(at, _)| at),
        };
        let (text, rest) = self.rest.split_at(end);
        let whole = rest.is_empty() || rest.starts_with('\n');
        if !whole || (rest.is_empty() && text.chars().count() != length) {
            return Err(self.malformed());
        }
        self.rest = rest.get(1..).unwrap_or_default();
        Ok(text)
    }
}

/// A line of an index.
struct Index<'a> {
    relation: u32,
    properties: u8,
    /// How many of the columns are its key.
    key_length: usize,
    /// 0 for an expression.
    columns: Vec<i16>,
    name: &'a str,
}

impl<'a> Index<'a> {
    const UNIQUE: u8 = 1;
    const EXCLUSION: u8 = 2;
    const VALID: u8 = 4;
    const IMMEDIATE: u8 = 8;
    const PARTIAL: u8 = 16;
    const ON_EXPRESSIONS: u8 = 32;

    fn read(lines: &mut Lines<'a>) -> Result<Self, Error> {
        let relation = lines.oid()?;
        let properties = lines.number()?;
        let (key_length, columns): (usize, usize) = (lines.number()?, lines.number()?);
        Ok(Self {
            relation,
            properties,
            key_length,
            columns: (0..columns)
                .map(|_| lines.number())
                .collect::<Result<_, _>>()?,
            name: lines.text()?,
        })
    }

    const fn has(&self, property: u8) -> bool {
        self.properties & property != 0
    }

    /// Its columns, where they alone tell of every row at once whether there is another one like it.
    fn unique_key(&self) -> Option<BTreeSet<i16>> {
        let whole = [Self::UNIQUE, Self::VALID, Self::IMMEDIATE]
            .into_iter()
            .all(|property| self.has(property));
        let part = self.has(Self::PARTIAL) || self.has(Self::ON_EXPRESSIONS);
        (whole && !part).then(|| self.columns.iter().take(self.key_length).copied().collect())
    }
}

/// Relations by oid.
type Relations = FxHashMap<u32, Relation>;

/// The first oid that is not the server's own: PostgreSQL's `FirstNormalObjectId`.
const FIRST_OF_USERS: u32 = 16_384;

/// The text's own allocation, shared by all that are equal.
#[derive(Default)]
struct Names<'a>(HashMap<&'a str, Arc<str>>);

impl<'a> Names<'a> {
    fn share(&mut self, name: &'a str) -> Arc<str> {
        Arc::clone(self.0.entry(name).or_insert_with(|| name.into()))
    }
}

impl Wire {
    /// Reads an answer: JSON, behind it the columns' lines, and a mark of the end.
    pub(super) fn read(answer: &[u8]) -> Result<Self, Error> {
        let mut values = serde_json::Deserializer::from_slice(answer).into_iter::<Self>();
        let mut wire = match values.next() {
            Some(wire) => wire?,
            None => serde_json::from_slice(answer)?,
        };
        let behind = answer.get(values.byte_offset()..).unwrap_or_default();
        let attributes = str::from_utf8(behind).ok();
        let attributes = attributes
            .and_then(|text| text.strip_prefix('\n'))
            .and_then(|text| text.strip_suffix("\n."));
        let malformed = || Error::Line {
            section: "attributes",
        };
        wire.attributes = Some(attributes.ok_or_else(malformed)?.to_owned());
        Ok(wire)
    }

    /// The content, everything in an order of its own.
    pub(super) fn content(self) -> Result<Content, Error> {
        let (mut relations, mut types) = self.relations()?;
        self.columns(&mut relations)?;
        self.keys(&mut relations)?;
        self.types(&mut types)?;
        self.constrain(&mut relations, &types)?;
        for (oid, expression) in self.write_expressions {
            on(&mut relations, oid, |one| {
                one.write_expressions.push(expression)
            });
        }
        for (oid, trigger) in self.triggers {
            on(&mut relations, oid, |one| one.triggers.push(trigger));
        }
        for (oid, rule) in self.rules {
            on(&mut relations, oid, |one| one.rules.push(rule));
        }
        for (oid, policy) in self.policies {
            on(&mut relations, oid, |one| one.policies.push(policy));
        }
        let mut content = Content {
            server_version_num: self.server_version_num,
            database: self.database,
            temp_schema: self.temp_schema,
            schemas: self.schemas.into_values().collect(),
            relations: relations.into_values().collect(),
            functions: self.functions,
            called: self.called,
            operators: self.operators,
            types,
            casts: self.casts,
            event_triggers: self.event_triggers,
            comparisons: self.comparisons,
            builtins: self.builtins,
        };
        content.arrange();
        Ok(content)
    }

    fn schema(&self, oid: u32, lines: &Lines<'_>) -> Result<Arc<str>, Error> {
        self.schemas
            .get(&oid)
            .cloned()
            .ok_or_else(|| lines.malformed())
    }

    /// Relations and their row types, which have their names and schemas: the server renames and moves both together.
    fn relations(&self) -> Result<(Relations, Vec<UserType>), Error> {
        let mut relations = Relations::default();
        let mut types = Vec::new();
        let mut lines = Lines::new("relations", text(&self.relations));
        while lines.more() {
            let oid = lines.oid()?;
            let schema = lines.oid()?;
            let schema = self.schema(schema, &lines)?;
            let kind = lines.letter()?;
            let row_security = lines.number::<u8>()?;
            let row_type = lines.oid()?;
            let name: Arc<str> = lines.text()?.into();
            let kind = match kind {
                'r' => RelationKind::Table,
                'p' => RelationKind::Partitioned,
                'v' => RelationKind::View,
                'm' => RelationKind::MaterialisedView,
                'f' => RelationKind::Foreign,
                'S' => RelationKind::Sequence,
                'c' => RelationKind::Composite,
                _ => return Err(lines.malformed()),
            };
            let row_security = match row_security {
                1 => RowSecurity::Enabled,
                3 => RowSecurity::Forced,
                _ => RowSecurity::Off,
            };
            if row_type >= FIRST_OF_USERS {
                types.push(UserType {
                    oid: row_type,
                    schema: Arc::clone(&schema),
                    name: Arc::clone(&name),
                    kind: TypeKind::Composite,
                    element: 0,
                    relation: oid,
                    constrained: false,
                    checks: Vec::new(),
                    support: self.support.get(&row_type).cloned().unwrap_or_default(),
                });
            }
            let relation = Relation {
                row_security,
                ..Relation::new(oid, schema, name, kind)
            };
            relations.insert(oid, relation);
        }
        Ok((relations, types))
    }

    /// Columns and their defaults, parents, definitions of views.
    fn columns(&self, relations: &mut Relations) -> Result<(), Error> {
        let mut expressions: HashMap<(u32, i16), &str> = HashMap::new();
        let mut lines = Lines::new("defaults", text(&self.defaults));
        while lines.more() {
            expressions.insert((lines.oid()?, lines.number()?), lines.text()?);
        }
        let mut names = Names::default();
        let mut lines = Lines::new("attributes", text(&self.attributes));
        while lines.more() {
            let oid = lines.oid()?;
            let packed: i32 = lines.number()?;
            let number = i16::try_from(packed >> 5).map_err(|_| lines.malformed())?;
            let type_oid = lines.oid()?;
            let name = names.share(lines.text()?);
            let has = |bit: i32| packed & bit != 0;
            let default = match expressions.get(&(oid, number)) {
                Some(expression) => Some(names.share(expression)),
                None => has(16).then(|| names.share("NULL")),
            };
            on(relations, oid, |one| {
                one.attributes.push(Attribute {
                    number,
                    name,
                    type_oid,
                    not_null: has(1) && !one.is_system(),
                    constrained: false,
                    default,
                    generated: has(2),
                    identity: has(4),
                    nondeterministic: has(8),
                });
            });
        }
        let mut lines = Lines::new("parents", text(&self.parents));
        let mut parents: BTreeSet<(u32, i32, u32)> = BTreeSet::new();
        while lines.more() {
            let (child, parent) = (lines.oid()?, lines.oid()?);
            parents.insert((child, lines.number()?, parent));
        }
        for (child, _, parent) in parents {
            on(relations, child, |one| one.parents.push(parent));
        }
        let mut lines = Lines::new("partition_keys", text(&self.partition_keys));
        while lines.more() {
            let (oid, number) = (lines.oid()?, lines.number()?);
            on(relations, oid, |one| {
                one.partition_key.insert(number);
            });
        }
        let mut lines = Lines::new("views", text(&self.views));
        while lines.more() {
            let (oid, definition) = (lines.oid()?, lines.text()?);
            if self.torn.contains(&oid) {
                continue;
            }
            on(relations, oid, |one| {
                one.definition = Some(definition.into())
            });
        }
        let mut lines = Lines::new("view_marks", text(&self.view_marks));
        while lines.more() {
            let (oid, mark) = (lines.number()?, lines.number()?);
            on(relations, oid, |one| one.definition_mark = Some(mark));
        }
        Ok(())
    }

    /// Indexes, foreign keys, and what cascades through them.
    fn keys(&self, relations: &mut Relations) -> Result<(), Error> {
        let mut lines = Lines::new("indexes", text(&self.indexes));
        while lines.more() {
            let index = Index::read(&mut lines)?;
            on(relations, index.relation, |one| {
                one.indexes.push(index.name.into());
                if let Some(key) = index.unique_key() {
                    one.unique_keys.push(key);
                }
            });
        }
        let mut lines = Lines::new("foreign_keys", text(&self.foreign_keys));
        let mut keys = BTreeMap::new();
        while lines.more() {
            let constraint = lines.oid()?;
            let (from, to) = (lines.oid()?, lines.oid()?);
            let (on_delete, on_update) = (lines.letter()?, lines.letter()?);
            let key = ForeignKey(to, lines.list()?, lines.list()?);
            keys.insert(constraint, (from, on_delete, on_update, key));
        }
        for (from, on_delete, on_update, key) in keys.into_values() {
            on(relations, key.0, |one| {
                one.cascades.push(Cascade {
                    oid: from,
                    on_delete,
                    on_update,
                });
            });
            on(relations, from, |one| one.foreign_keys.push(key));
        }
        Ok(())
    }

    /// Says of columns whether a constraint, a unique index or a domain speaks about them.
    fn constrain(&self, relations: &mut Relations, types: &[UserType]) -> Result<(), Error> {
        let domains: HashSet<u32> = types
            .iter()
            .filter(|found| found.kind == TypeKind::Domain)
            .map(|found| found.oid)
            .chain(self.server_domains.iter().copied())
            .collect();
        let mut columns: HashMap<u32, BTreeSet<i16>> = HashMap::new();
        let mut lines = Lines::new("checked", text(&self.checked));
        while lines.more() {
            (columns.entry(lines.oid()?).or_default()).extend(lines.list()?);
        }
        let mut lines = Lines::new("index_columns", text(&self.index_columns));
        while lines.more() {
            (columns.entry(lines.oid()?).or_default()).insert(lines.number()?);
        }
        // Primary keys and unique and exclusion constraints are indexes.
        let mut lines = Lines::new("indexes", text(&self.indexes));
        while lines.more() {
            let index = Index::read(&mut lines)?;
            if index.has(Index::UNIQUE) || index.has(Index::EXCLUSION) {
                (columns.entry(index.relation).or_default()).extend(index.columns);
            }
        }
        for relation in relations.values() {
            for ForeignKey(_, of_key, _) in &relation.foreign_keys {
                (columns.entry(relation.oid).or_default()).extend(of_key);
            }
        }
        for relation in relations.values_mut().filter(|one| !one.is_system()) {
            let own = columns.get(&relation.oid);
            for attribute in &mut relation.attributes {
                attribute.constrained = domains.contains(&attribute.type_oid)
                    || own.is_some_and(|own| own.contains(&attribute.number));
            }
        }
        Ok(())
    }

    /// Types that are no relation's.
    fn types(&self, types: &mut Vec<UserType>) -> Result<(), Error> {
        let mut checks: HashMap<u32, Vec<Option<Arc<str>>>> = HashMap::new();
        for (oid, check) in &self.domain_checks {
            checks.entry(*oid).or_default().push(check.clone());
        }
        let mut lines = Lines::new("types", text(&self.types));
        while lines.more() {
            let oid = lines.oid()?;
            let schema = lines.oid()?;
            let schema = self.schema(schema, &lines)?;
            let kind = match lines.letter()? {
                'b' => TypeKind::Base,
                'd' => TypeKind::Domain,
                'e' => TypeKind::Enum,
                'p' => TypeKind::Pseudo,
                'r' => TypeKind::Range,
                'm' => TypeKind::Multirange,
                'a' => TypeKind::Array,
                _ => return Err(lines.malformed()),
            };
            let element = lines.oid()?;
            let not_null = lines.number::<u8>()? == 1;
            let checks = checks.remove(&oid);
            types.push(UserType {
                oid,
                schema,
                name: lines.text()?.into(),
                kind,
                element,
                relation: 0,
                constrained: kind == TypeKind::Domain && (not_null || checks.is_some()),
                checks: checks.into_iter().flatten().flatten().collect(),
                support: self.support.get(&oid).cloned().unwrap_or_default(),
            });
        }
        Ok(())
    }
}

/// Changes a relation; one that is not listed is another session's, or made since.
fn on(relations: &mut Relations, oid: u32, change: impl FnOnce(&mut Relation)) {
    if let Some(relation) = relations.get_mut(&oid) {
        change(relation);
    }
}

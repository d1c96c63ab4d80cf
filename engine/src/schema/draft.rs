//! What has been read of a schema so far: relations with their constraints, types, functions. Turned into a [`Catalog`]
//! by `finish`, whenever a view needs one, and at the end.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    Problem,
    server::{FIRST_OID, SERVER},
};
use crate::{
    catalog::{
        Attribute, Cast, Catalog, EventTrigger, Function, FunctionKind, Operator, RelationKind,
        RowPolicy, Rule, Trigger, TypeKind, UserType,
    },
    facts::CatalogVersion,
};

/// The type of a view's column whose expression's type is not known: no type of the server, no plain value, and
/// analysis takes the careful way with it.
pub(super) const UNKNOWN_TYPE: u32 = u32::MAX;

/// What a constraint or an index speaks about.
#[derive(Debug, Clone)]
pub(super) enum Speaks {
    /// `CHECK`.
    Check {
        /// Whether children have it too.
        inherited: bool,
        /// The expression, where it calls a function or an operator of users.
        expression: Option<Arc<str>>,
    },
    /// A unique index, with or without a constraint.
    Unique {
        /// The key, where it is whole, immediate and on plain columns.
        key: Option<BTreeSet<i16>>,
        /// `PRIMARY KEY`: the columns in order.
        primary: Option<Vec<i16>>,
    },
    /// `EXCLUDE`.
    Exclusion,
    /// Any other index.
    Index,
    /// `FOREIGN KEY`.
    Foreign {
        to: u32,
        from: Vec<i16>,
        referenced: Vec<i16>,
        on_delete: char,
        on_update: char,
    },
}

/// A constraint or an index.
#[derive(Debug, Clone)]
pub(super) struct Constraint {
    pub(super) name: String,
    pub(super) speaks: Speaks,
    /// Every column it is about, expressions and predicates included.
    pub(super) columns: BTreeSet<i16>,
    /// Expressions and predicates of an index that call a function or an operator of users.
    pub(super) expressions: Vec<Arc<str>>,
}

/// A view's query.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// Names qualified, as the server gives it.
    pub(super) definition: Arc<str>,
    /// It has a `*` that was left as it is.
    pub(super) starred: bool,
    /// The relations that it names.
    pub(super) reads: BTreeSet<u32>,
}

/// How a relation came to its parents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ancestry {
    /// `INHERITS`, or none.
    Inherits,
    /// `PARTITION OF`, `ATTACH PARTITION`.
    Partition,
}

/// A relation.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) oid: u32,
    pub(super) schema: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) kind: RelationKind,
    pub(super) columns: Vec<Attribute>,
    pub(super) parents: Vec<u32>,
    pub(super) ancestry: Ancestry,
    /// The columns that decide which partition a row is in.
    pub(super) partition_key: BTreeSet<i16>,
    pub(super) view: Option<View>,
    pub(super) triggers: Vec<Trigger>,
    /// Triggers that `ALTER TABLE ... DISABLE TRIGGER` switched off.
    pub(super) disabled: BTreeSet<Arc<str>>,
    /// Triggers for each row, which partitions have too.
    pub(super) row_triggers: BTreeSet<Arc<str>>,
    pub(super) rules: Vec<Rule>,
    pub(super) policies: Vec<RowPolicy>,
    /// `ENABLE ROW LEVEL SECURITY`.
    pub(super) row_security: bool,
    /// `FORCE ROW LEVEL SECURITY`.
    pub(super) row_security_forced: bool,
    pub(super) constraints: Vec<Constraint>,
    /// The attribute number that the next column gets.
    next: i16,
}

impl Table {
    /// The column of this exact name.
    pub(super) fn column(&self, name: &str) -> Option<&Attribute> {
        self.columns.iter().find(|column| &*column.name == name)
    }

    pub(super) fn column_mut(&mut self, name: &str) -> Option<&mut Attribute> {
        self.columns.iter_mut().find(|column| &*column.name == name)
    }

    /// Takes all columns away, so that the next one is the first.
    pub(super) fn clear(&mut self) {
        self.columns.clear();
        self.next = 1;
    }

    /// Adds a column with the next number.
    pub(super) fn add(&mut self, column: Attribute) {
        self.columns.push(Attribute {
            number: self.next,
            ..column
        });
        self.next = self.next.saturating_add(1);
    }
}

/// What has been read so far.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) database: Arc<str>,
    next_oid: u32,
    pub(super) schemas: BTreeSet<Arc<str>>,
    pub(super) tables: BTreeMap<u32, Table>,
    names: HashMap<(Arc<str>, Arc<str>), u32>,
    pub(super) types: BTreeMap<u32, UserType>,
    /// Users' functions, with what they give where all of a name give the same.
    pub(super) functions: BTreeMap<(Arc<str>, Arc<str>), Option<u32>>,
    /// Users' operators, with what they give where all of a name give the same.
    pub(super) operators: BTreeMap<(Arc<str>, Arc<str>), Option<u32>>,
    /// Users' functions, by oid.
    pub(super) routines: BTreeMap<u32, Function>,
    /// Functions of the server's own that users' objects call; their oids are made up too.
    pub(super) called: BTreeMap<u32, Arc<str>>,
    pub(super) user_operators: Vec<Operator>,
    pub(super) casts: Vec<Cast>,
    /// Event triggers, and whether they are enabled.
    pub(super) event_triggers: Vec<(EventTrigger, bool)>,
    /// Collations that call texts equal that differ in their bytes.
    pub(super) loose_collations: BTreeSet<(Arc<str>, Arc<str>)>,
    /// Domains with such a collation.
    pub(super) loose_domains: BTreeSet<u32>,
    /// `search_path`, without `$user`.
    pub(super) path: Vec<Arc<str>>,
    catalog: Option<Arc<Catalog>>,
}

impl Draft {
    /// A new database.
    pub(super) fn new(database: &str) -> Self {
        Self {
            database: database.into(),
            next_oid: FIRST_OID,
            schemas: SERVER.schemas.iter().cloned().collect(),
            tables: BTreeMap::new(),
            names: HashMap::new(),
            types: BTreeMap::new(),
            functions: BTreeMap::new(),
            operators: BTreeMap::new(),
            routines: BTreeMap::new(),
            called: BTreeMap::new(),
            user_operators: Vec::new(),
            casts: Vec::new(),
            event_triggers: Vec::new(),
            loose_collations: BTreeSet::new(),
            loose_domains: BTreeSet::new(),
            path: vec!["public".into()],
            catalog: None,
        }
    }

    fn oid(&mut self) -> u32 {
        let oid = self.next_oid;
        self.next_oid = oid.saturating_add(1);
        oid
    }

    /// The schema that an object without one is made in.
    pub(super) fn creation_schema(&self, written: &str) -> Result<Arc<str>, Problem> {
        if !written.is_empty() {
            return match self.schemas.get(written) {
                Some(schema) => Ok(Arc::clone(schema)),
                None => Err(Problem::new(format!("schema `{written}` does not exist"))
                    .help("write CREATE SCHEMA before it")),
            };
        }
        let first = self
            .path
            .iter()
            .find(|schema| self.schemas.contains(*schema));
        first.cloned().ok_or_else(|| {
            Problem::new("there is no schema on the search path to make it in".to_owned())
                .help("write its name with a schema")
        })
    }

    /// The schemas that bare names are looked up in, in order.
    pub(super) fn lookup_path(&self) -> Vec<Arc<str>> {
        let mut path = self.path.clone();
        if !path.iter().any(|schema| &**schema == "pg_catalog") {
            path.insert(0, "pg_catalog".into());
        }
        path
    }

    /// The relation that a name means.
    pub(super) fn find(&self, schema: &str, name: &str) -> Option<&Table> {
        let named = |schema: &Arc<str>| {
            self.names
                .get(&(Arc::clone(schema), Arc::from(name)))
                .and_then(|oid| self.tables.get(oid))
        };
        if schema.is_empty() {
            self.path.iter().find_map(named)
        } else {
            named(&Arc::from(schema))
        }
    }

    /// The oid of a relation that a statement names.
    pub(super) fn relation(&self, schema: &str, name: &str) -> Result<u32, Problem> {
        self.find(schema, name)
            .map(|table| table.oid)
            .ok_or_else(|| {
                let dot = if schema.is_empty() { "" } else { "." };
                Problem::new(format!("relation `{schema}{dot}{name}` does not exist"))
            })
    }

    pub(super) fn table(&self, oid: u32) -> Result<&Table, Problem> {
        self.tables.get(&oid).ok_or_else(Problem::lost)
    }

    /// A relation that is about to be changed.
    pub(super) fn table_mut(&mut self, oid: u32) -> Result<&mut Table, Problem> {
        self.catalog = None;
        self.tables.get_mut(&oid).ok_or_else(Problem::lost)
    }

    /// Makes a relation without columns, and the types of its rows.
    pub(super) fn create(
        &mut self,
        schema: &str,
        name: &str,
        kind: RelationKind,
    ) -> Result<u32, Problem> {
        let schema = self.creation_schema(schema)?;
        let name: Arc<str> = name.into();
        if self
            .names
            .contains_key(&(Arc::clone(&schema), Arc::clone(&name)))
        {
            return Err(Problem::new(format!(
                "relation `{schema}.{name}` already exists"
            )));
        }
        self.catalog = None;
        let oid = self.oid();
        self.names
            .insert((Arc::clone(&schema), Arc::clone(&name)), oid);
        self.tables.insert(
            oid,
            Table {
                oid,
                schema: Arc::clone(&schema),
                name: Arc::clone(&name),
                kind,
                columns: Vec::new(),
                parents: Vec::new(),
                ancestry: Ancestry::Inherits,
                partition_key: BTreeSet::new(),
                view: None,
                triggers: Vec::new(),
                disabled: BTreeSet::new(),
                row_triggers: BTreeSet::new(),
                rules: Vec::new(),
                policies: Vec::new(),
                row_security: false,
                row_security_forced: false,
                constraints: Vec::new(),
                next: 1,
            },
        );
        // Since PostgreSQL 14 a sequence has no row type.
        if kind != RelationKind::Sequence {
            self.add_type(&schema, &name, TypeKind::Composite, 0, oid);
        }
        Ok(oid)
    }

    /// Forgets a relation and the types of its rows.
    pub(super) fn remove(&mut self, oid: u32) {
        self.catalog = None;
        if let Some(table) = self.tables.remove(&oid) {
            self.names.remove(&(table.schema, table.name));
        }
        let rows: Vec<u32> = self
            .types
            .values()
            .filter(|found| found.relation == oid)
            .map(|found| found.oid)
            .collect();
        rows.into_iter().for_each(|oid| self.remove_type(oid));
    }

    /// Forgets a type and its arrays.
    pub(super) fn remove_type(&mut self, oid: u32) {
        self.catalog = None;
        self.types.retain(|own, found| {
            *own != oid && (found.kind != TypeKind::Array || found.element != oid)
        });
    }

    /// Gives a relation another place, and the types of its rows.
    pub(super) fn rename(
        &mut self,
        oid: u32,
        schema: &Arc<str>,
        name: &str,
    ) -> Result<(), Problem> {
        let name: Arc<str> = name.into();
        let key = (Arc::clone(schema), Arc::clone(&name));
        if self.names.contains_key(&key) {
            return Err(Problem::new(format!(
                "relation `{schema}.{name}` already exists"
            )));
        }
        let table = self.table_mut(oid)?;
        let old = (Arc::clone(&table.schema), Arc::clone(&table.name));
        table.schema = Arc::clone(schema);
        table.name = Arc::clone(&name);
        self.names.remove(&old);
        self.names.insert(key, oid);
        let row = self
            .types
            .values()
            .find(|found| found.relation == oid)
            .map(|found| found.oid);
        if let Some(row) = row {
            self.rename_type(row, schema, &name);
        }
        Ok(())
    }

    /// Gives a type another place, and its arrays.
    pub(super) fn rename_type(&mut self, oid: u32, schema: &Arc<str>, name: &str) {
        self.catalog = None;
        for found in self.types.values_mut() {
            if found.oid == oid {
                found.schema = Arc::clone(schema);
                found.name = name.into();
            } else if found.kind == TypeKind::Array && found.element == oid {
                found.schema = Arc::clone(schema);
                found.name = format!("_{name}").into();
            }
        }
    }

    /// Makes a type and the type of its arrays. Returns its oid.
    pub(super) fn add_type(
        &mut self,
        schema: &Arc<str>,
        name: &str,
        kind: TypeKind,
        element: u32,
        relation: u32,
    ) -> u32 {
        self.catalog = None;
        let own = self.oid();
        let array = self.oid();
        for (oid, name, kind, element, relation) in [
            (own, name.to_owned(), kind, element, relation),
            (array, format!("_{name}"), TypeKind::Array, own, 0),
        ] {
            self.types.insert(
                oid,
                UserType {
                    oid,
                    schema: Arc::clone(schema),
                    name: name.into(),
                    kind,
                    element,
                    relation,
                    constrained: false,
                    checks: Vec::new(),
                    support: Vec::new(),
                },
            );
        }
        own
    }

    /// A function of users, in place of the one with the same arguments. Its oid is given here.
    pub(super) fn add_routine(&mut self, function: Function) {
        let gives = (function.result != UNKNOWN_TYPE).then_some(function.result);
        let is_aggregate = function.kind == FunctionKind::Aggregate;
        self.add_function(
            &function.schema,
            &function.name,
            gives.filter(|_| !is_aggregate),
        );
        let same = self
            .routines
            .values()
            .find(|one| {
                (&one.schema, &one.name) == (&function.schema, &function.name)
                    && one
                        .inputs()
                        .map(|input| input.type_oid)
                        .eq(function.inputs().map(|input| input.type_oid))
            })
            .map(|one| one.oid);
        let oid = same.unwrap_or_else(|| self.oid());
        self.routines.insert(oid, Function { oid, ..function });
    }

    /// The user function with this oid.
    pub(super) fn routine(&self, oid: u32) -> Option<&Function> {
        self.routines.get(&oid)
    }

    /// A user function that is about to be changed.
    pub(super) fn routine_mut(&mut self, oid: u32) -> Option<&mut Function> {
        self.catalog = None;
        self.routines.get_mut(&oid)
    }

    /// An oid for a function of the server's own.
    pub(super) fn server_function(&mut self, name: &str) -> u32 {
        let known = self.called.iter().find(|(_, one)| ***one == *name);
        if let Some((oid, _)) = known {
            return *oid;
        }
        self.catalog = None;
        let oid = self.oid();
        self.called.insert(oid, name.into());
        oid
    }

    /// Whether a user function is compiled and only computes.
    pub(super) fn is_trusted(&self, oid: u32) -> bool {
        self.routines.get(&oid).is_some_and(Function::is_trusted)
    }

    /// A user operator. Its oid is given here.
    pub(super) fn add_operator(&mut self, operator: Operator) {
        self.catalog = None;
        let gives =
            (operator.result != 0 && operator.result != UNKNOWN_TYPE).then_some(operator.result);
        let key = (Arc::clone(&operator.schema), Arc::clone(&operator.name));
        let known = self.operators.entry(key).or_insert(gives);
        if *known != gives {
            *known = None;
        }
        let oid = self.oid();
        self.user_operators.push(Operator { oid, ..operator });
    }

    /// A function of users; `gives` is the type of its result.
    pub(super) fn add_function(&mut self, schema: &Arc<str>, name: &str, gives: Option<u32>) {
        self.catalog = None;
        let known = self
            .functions
            .entry((Arc::clone(schema), name.into()))
            .or_insert(gives);
        if *known != gives {
            *known = None;
        }
    }

    /// The first schema of the path that has a function of users of this name.
    pub(super) fn function_schema(&self, name: &str) -> Option<&Arc<str>> {
        self.path.iter().find(|schema| {
            self.functions
                .contains_key(&(Arc::clone(schema), Arc::from(name)))
        })
    }

    /// The first schema of the path that has an operator of users of this name.
    pub(super) fn operator_schema(&self, name: &str) -> Option<&Arc<str>> {
        self.path.iter().find(|schema| {
            self.operators
                .contains_key(&(Arc::clone(schema), Arc::from(name)))
        })
    }

    /// The views that read a relation.
    pub(super) fn views_over(&self, oid: u32) -> impl Iterator<Item = &Table> {
        self.tables.values().filter(move |table| {
            table
                .view
                .as_ref()
                .is_some_and(|view| view.reads.contains(&oid))
        })
    }

    /// The relations that inherit from this one or are its partitions.
    pub(super) fn children(&self, oid: u32) -> impl Iterator<Item = &Table> {
        self.tables
            .values()
            .filter(move |table| table.parents.contains(&oid))
    }

    /// Something other than a relation changed.
    pub(super) fn touch(&mut self) {
        self.catalog = None;
    }

    /// The catalog as it is now.
    pub(super) fn catalog(&mut self) -> Arc<Catalog> {
        if let Some(catalog) = &self.catalog {
            return Arc::clone(catalog);
        }
        let catalog = Arc::new(self.assemble(CatalogVersion(0)));
        self.catalog = Some(Arc::clone(&catalog));
        catalog
    }
}

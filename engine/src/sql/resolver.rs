//! The resolver's state and the lookups that every room of it uses: relations and stored definitions.
//! Must never let a name through that it did not look up.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pg_query::{
    NodeEnum,
    protobuf::{Node, RangeVar},
};

use super::{
    Context, Refusal,
    book::{Book, Descend, Keep, Origin, Value},
    equality::Parameters,
    expanded::Expanded,
    extent::Extent,
    query::Rows,
    routine::{Active, Pending, Texts},
    scope::{Base, Field, Item, Scope},
    session_names::{Binding, SessionNames},
    sweep::Seen,
    utility::Executed,
};
use crate::{
    catalog::{Catalog, LOCKED_TEXT, Relation, RelationKind, TEMP_SCHEMA},
    copy::CopyOut,
    facts::{How, Operation, SessionEffect},
    reason::Stating,
};

/// Deepest nesting of nodes that is followed; deeper is refused.
pub(super) const DEPTH_MAX: usize = 1000;
/// Most work that one statement may ask for: nodes read, columns looked through, sources gathered. A statement over it is
/// refused; the largest honest ones (inserts of 65,535 parameters) ask for a fifth of it.
pub(super) const WORK_MAX: usize = 500_000;
/// Deepest chain of views over views.
const VIEW_DEPTH_MAX: usize = 32;

/// Reads one statement into a [`Book`].
pub(super) struct Resolver<'a> {
    pub(super) catalog: &'a Catalog,
    /// The schemas that bare names are looked up in, pg_catalog included, in order.
    pub(super) path: Vec<Arc<str>>,
    pub(super) book: Book,
    pub(super) seen: Seen,
    pub(super) depth: usize,
    /// What was asked for so far.
    pub(super) work: usize,
    /// What may be asked for: [`WORK_MAX`], or less where the caller wants to wait for less.
    pub(super) work_max: usize,
    /// The innermost view being expanded, `schema.name`.
    pub(super) via: Option<Arc<str>>,
    pub(super) views: Vec<u32>,
    /// How many of `views` were being read where the statement began whose outputs count.
    pub(super) outputs_from: usize,
    pub(super) expanded: Expanded,
    /// Names of relations that the statement itself writes, for the witness.
    pub(super) named: BTreeSet<String>,
    /// What the statement's parameters are.
    pub(super) parameters: Parameters<'a>,
    /// The WHERE of the statement itself: known by its address, it is only compared.
    pub(super) top: Option<*const Node>,
    /// The literal LIMIT of the statement itself.
    pub(super) limit: Option<u64>,
    /// A target list is being read: for the rows that it is computed for, what WHERE says holds.
    pub(super) where_held: bool,
    /// The text of the statement.
    pub(super) text: &'a str,
    /// What the session has given names to.
    pub(super) names: &'a SessionNames,
    /// What the statement does to them.
    pub(super) binding: Option<Binding>,
    /// What it does to the reason that the session states.
    pub(super) states: Option<Stating>,
    /// The form of its data, where it is a `COPY ... TO STDOUT`.
    pub(super) copy_out: Option<CopyOut>,
    /// Names of the session's that were looked up.
    pub(super) rests_on: BTreeSet<Arc<str>>,
    /// Whether relations that FROM names are accesses though nothing of them is used: not so below a view that is written.
    pub(super) keep: Keep,
    /// The schema that CREATE SCHEMA is making, for the objects that it is made with.
    pub(super) new_schema: Option<Arc<str>>,
    /// The parameters of the statement behind a name, while it is read.
    pub(super) executed: Option<Executed>,
    /// The path that bodies of functions are read with when they have none of their own: the session's.
    pub(super) runtime_path: Vec<Arc<str>>,
    /// The outermost of `active` that was met again: what it gives may grow.
    pub(super) met_again: usize,
    /// The function of a cast that the statement does not ask for, and the server may or may not find.
    pub(super) unasked: Option<u32>,
    /// The functions of the casts that are being read, outermost first.
    pub(super) casting: Vec<u32>,
    /// Texts of bodies as they were parsed.
    pub(super) texts: Texts,
    /// The functions that are being read, outermost first.
    pub(super) active: Vec<Active>,
    /// Writes whose triggers and rules are still to be read.
    pub(super) pending: BTreeSet<Pending>,
    /// Writes whose foreign keys may cascade, and through what they were reached.
    pub(super) cascading: BTreeMap<(u32, Operation), Option<Arc<str>>>,
    /// Relations whose row-level security is being read.
    pub(super) policies_active: Vec<u32>,
    /// What statements inside bodies do to the session.
    pub(super) session_effect: SessionEffect,
    /// Views whose definitions were needed and are not in the catalog. Whatever became of that within: the statement is refused.
    pub(super) lacking: BTreeSet<u32>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(context: &Context<'a>, parameters: Parameters<'a>, text: &'a str) -> Self {
        let path = effective_path(context.search_path);
        Self {
            parameters,
            top: None,
            limit: None,
            where_held: false,
            text,
            names: context.names,
            binding: None,
            states: None,
            copy_out: None,
            rests_on: BTreeSet::new(),
            executed: None,
            keep: Keep::Always,
            runtime_path: path.clone(),
            active: Vec::new(),
            texts: Texts::default(),
            unasked: None,
            casting: Vec::new(),
            met_again: usize::MAX,
            pending: BTreeSet::new(),
            cascading: BTreeMap::new(),
            policies_active: Vec::new(),
            session_effect: SessionEffect::None,
            lacking: BTreeSet::new(),
            new_schema: None,
            catalog: context.catalog,
            path,
            book: Book::default(),
            seen: Seen::with_room(text.len()),
            depth: 0,
            work: 0,
            work_max: WORK_MAX,
            via: None,
            views: Vec::new(),
            outputs_from: 0,
            expanded: Expanded::default(),
            named: BTreeSet::new(),
        }
    }

    /// Runs `inner` one level deeper.
    ///
    /// # Errors
    /// 54001 beyond [`DEPTH_MAX`].
    pub(super) fn nested<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        if self.depth >= DEPTH_MAX {
            return Err(Refusal::new("54001", "statement nests too deeply")
                .hint(format!("the limit is {DEPTH_MAX} levels")));
        }
        self.work(1)?;
        self.depth = self.depth.saturating_add(1);
        let result = inner(self);
        self.depth = self.depth.saturating_sub(1);
        result
    }

    /// Counts work.
    ///
    /// # Errors
    /// 54001 beyond what may be asked for.
    pub(super) fn work(&mut self, amount: usize) -> Result<(), Refusal> {
        self.work = self.work.saturating_add(amount);
        if self.work > self.work_max {
            return Err(
                Refusal::new("54001", "statement is too complex to be analysed")
                    .hint("send it in parts, or its values as parameters"),
            );
        }
        Ok(())
    }

    /// The major version of the server.
    pub(super) fn major(&self) -> u32 {
        self.catalog.server_version_num() / 10_000
    }

    /// Refuses a production that the server does not have.
    pub(super) fn since(&self, major: u32, what: &str) -> Result<(), Refusal> {
        if self.major() < major {
            Err(Refusal::newer(what, major))
        } else {
            Ok(())
        }
    }

    /// The relation that a name means.
    pub(super) fn relation(&mut self, name: &RangeVar) -> Result<Arc<Relation>, Refusal> {
        if !name.catalogname.is_empty() && *name.catalogname != **self.catalog.database() {
            return Err(
                Refusal::new("0A000", "cross-database references are not implemented")
                    .at(name.location),
            );
        }
        if self.views.is_empty() {
            self.named.insert(name.relname.clone());
        }
        let found = if name.schemaname.is_empty() {
            self.path
                .iter()
                .find_map(|schema| self.catalog.relation_named(schema, &name.relname))
        } else {
            self.catalog.relation_named(&name.schemaname, &name.relname)
        };
        found.cloned().ok_or_else(|| {
            let qualified = if name.schemaname.is_empty() {
                name.relname.clone()
            } else {
                format!("{}.{}", name.schemaname, name.relname)
            };
            Refusal::unknown("42P01", format!("relation \"{qualified}\" does not exist"))
                .at(name.location)
        })
    }

    /// A range item over a relation that is read, views expanded.
    pub(super) fn relation_item(
        &mut self,
        relation: &Arc<Relation>,
        descend: Descend,
        keep: Keep,
    ) -> Result<Item, Refusal> {
        // Each column is a field with sources of its own.
        self.work(relation.columns.len())?;
        let via = self.via.clone();
        let entry = self.book.relation(
            self.catalog,
            relation,
            Operation::Read,
            via.as_ref(),
            (descend, keep),
        );
        self.row_policies(relation, 'r', entry)?;
        let mut fields = self.base_fields(relation, entry)?;
        let mut control = Value::default();
        if relation.lacks_definition() {
            // The statement is refused at its end: until then it is read on, for what else is lacking.
            self.lacking.insert(relation.oid);
        } else if relation.kind.is_view() && !relation.is_system() {
            let rows = self.view_rows(relation)?;
            let inner = rows.fields;
            control = rows.control;
            if inner.len() != fields.len() {
                return Err(Refusal::unknown(
                    "0A000",
                    format!(
                        "the definition of view \"{}\" does not fit its columns",
                        relation.name
                    ),
                ));
            }
            for (field, inner) in fields.iter_mut().zip(inner) {
                field.value.add(&inner.value);
                field.value.row = inner.value.row;
            }
        }
        if keep == Keep::Always {
            self.of_one_partition(entry, relation);
        }
        let place = self.place_of(relation, &fields);
        let mut item = Item::new(Some(relation.name.clone()), fields);
        item.schema = Some(relation.schema.clone());
        item.control = control;
        item.base = Some(Base {
            relation: relation.clone(),
            entry,
            place,
        });
        self.generated_columns(relation, &mut item)?;
        Ok(item)
    }

    /// The columns of a relation as values; inheritance relatives' columns of the same name are sources too.
    fn base_fields(
        &mut self,
        relation: &Arc<Relation>,
        entry: usize,
    ) -> Result<Vec<Field>, Refusal> {
        // What is done with a column is done with its ancestors' of the name, whose classes it is in; descendants have entries of
        // their own.
        let descendants = self.catalog.descendants(relation.oid);
        let ancestors = self.catalog.ancestors(relation.oid);
        let relatives: Vec<_> = descendants
            .iter()
            .map(|relative| (relative, None))
            .chain(ancestors.iter().map(|relative| (relative, Some(entry))))
            .collect();
        let field = |column: &Arc<crate::facts::Column>| {
            let mut value = Value {
                sources: super::sources::Sources::default(),
                described: Some((relation.oid, column.attribute)),
                row: None,
                plain: self.is_plain_oid(column.type_oid),
                extent: Extent::ONE,
                literal: false,
            };
            value.sources.insert(Origin {
                column: column.clone(),
                how: How::Direct,
                entry: Some(entry),
            });
            for (relative, entry) in &relatives {
                let Some(relative) = relative.column(&column.name) else {
                    continue;
                };
                value.sources.insert(Origin {
                    column: relative.clone(),
                    how: How::Direct,
                    entry: *entry,
                });
            }
            Field {
                name: column.name.clone(),
                value,
            }
        };
        let mut fields: Vec<Field> = relation.columns.iter().map(field).collect();
        for (field, column) in fields.iter_mut().zip(&relation.columns) {
            self.stored_row(&mut field.value, column.type_oid, entry)?;
        }
        Ok(fields)
    }

    /// A generated column is computed from its siblings: so is its value.
    fn generated_columns(
        &mut self,
        relation: &Arc<Relation>,
        item: &mut Item,
    ) -> Result<(), Refusal> {
        if relation.is_system()
            || !relation
                .attributes
                .iter()
                .any(|attribute| attribute.generated)
        {
            return Ok(());
        }
        let plain = Item {
            name: Some(relation.name.clone()),
            ..item.clone()
        };
        let mut fields = item.fields.as_ref().clone();
        for (attribute, field) in relation
            .attributes
            .iter()
            .zip(fields.iter_mut())
            .filter(|(attribute, _)| attribute.generated)
        {
            let Some(expression) = &attribute.default else {
                return Err(Refusal::not_understood(
                    "a generated column without an expression",
                ));
            };
            let scope = Scope {
                items: vec![plain.clone()],
                ..Scope::default()
            };
            // Reading it evaluates nothing: the value is stored.
            let outer = self.book.set_quiet(true);
            let value = self.stored_expression(expression, &scope);
            self.book.set_quiet(outer);
            field.value.taint(&value?);
        }
        item.fields = Arc::new(fields);
        Ok(())
    }

    /// An expression that the catalog stores, deparsed with only pg_catalog in the path.
    pub(super) fn stored_expression(
        &mut self,
        expression: &str,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        let text = format!("SELECT ({expression})");
        self.stored(&text, |resolver, node| {
            let NodeEnum::SelectStmt(select) = node else {
                return Err(Refusal::not_understood("a stored expression"));
            };
            let target = select
                .target_list
                .first()
                .and_then(|node| node.node.as_ref());
            let Some(NodeEnum::ResTarget(target)) = target else {
                return Err(Refusal::not_understood("a stored expression"));
            };
            resolver.seen.mark(select.as_ref());
            resolver.seen.mark(target.as_ref());
            resolver.optional(target.val.as_deref(), scope)
        })
    }

    fn view_rows(&mut self, view: &Arc<Relation>) -> Result<Rows, Refusal> {
        let definition = self.definition_of(view)?;
        if self.views.len() >= VIEW_DEPTH_MAX || self.views.contains(&view.oid) {
            return Err(Refusal::new(
                "54001",
                format!("views nest too deeply at \"{}\"", view.name),
            ));
        }
        match view.kind {
            RelationKind::View => self.expanded.view(view.oid),
            // Its rows are those of its last refresh: a view that it reads may have been another one then.
            _ => self.expanded.other(),
        }
        let outer = self
            .via
            .replace(format!("{}.{}", view.schema, view.name).into());
        self.views.push(view.oid);
        let rows = self.stored(&definition, |resolver, node| match node {
            NodeEnum::SelectStmt(select) => resolver.select(select, &Scope::default()),
            _ => Err(Refusal::not_understood("a view that is no query")),
        });
        self.views.pop();
        self.via = outer;
        rows
    }

    /// A view's query. One that the catalog lacks is noted.
    pub(super) fn definition_of(&mut self, view: &Relation) -> Result<Arc<str>, Refusal> {
        if view.lacks_definition() {
            self.lacking.insert(view.oid);
        }
        view.definition.clone().ok_or_else(|| {
            Refusal::not_understood(&format!(
                "view \"{}\", whose definition is not known,",
                view.name
            ))
        })
    }

    /// Parses a text of the catalog and reads its one statement with pg_catalog alone in the path; behind it temporary objects,
    /// whose names the server never qualifies.
    pub(super) fn stored<T>(
        &mut self,
        text: &str,
        read: impl FnOnce(&mut Self, &NodeEnum) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let no_position = |mut refusal: Refusal| {
            refusal.position = None;
            refusal
        };
        // An expression comes within a query.
        let bare = text
            .strip_prefix("SELECT (")
            .and_then(|rest| rest.strip_suffix(')'));
        if bare.unwrap_or(text) == LOCKED_TEXT {
            return Err(Refusal::locked());
        }
        // Parsing costs more than reading.
        self.work(text.len())?;
        let tree = super::authority::parse(text).map_err(no_position)?;
        let [statement] = tree.stmts.as_slice() else {
            return Err(Refusal::not_understood("a stored definition"));
        };
        let Some(node) = statement.stmt.as_ref().and_then(|node| node.node.as_ref()) else {
            return Err(Refusal::not_understood("a stored definition"));
        };
        let mut own: Vec<Arc<str>> = vec!["pg_catalog".into()];
        if self.catalog.temp_schema().is_some() {
            own.push(TEMP_SCHEMA.into());
        }
        let path = std::mem::replace(&mut self.path, own);
        let seen = std::mem::take(&mut self.seen);
        let result = read(self, node).map_err(no_position);
        let missing = if result.is_ok() {
            self.seen.missing(&tree)
        } else {
            None
        };
        self.path = path;
        self.seen = seen;
        match missing {
            Some(missing) => Err(Refusal::not_understood(&format!(
                "{missing} in a stored definition"
            ))),
            None => result,
        }
    }

    /// A node that must be a constant or a list of them.
    pub(super) fn constant(&mut self, node: &Node) -> Result<(), Refusal> {
        match &node.node {
            Some(NodeEnum::AConst(_) | NodeEnum::Integer(_) | NodeEnum::String(_)) => Ok(()),
            _ => {
                self.optional(Some(node), &Scope::default())?;
                Ok(())
            }
        }
    }
}

/// The schemas that bare names are looked up in: pg_catalog first unless it is named.
pub(super) fn effective_path(search_path: &[Arc<str>]) -> Vec<Arc<str>> {
    let mut path = search_path.to_vec();
    if !path.iter().any(|schema| &**schema == "pg_catalog") {
        path.insert(0, "pg_catalog".into());
    }
    path
}

/// The strings of a name list.
///
/// # Errors
/// Anything but strings.
pub(crate) fn strings(nodes: &[Node]) -> Result<Vec<&str>, Refusal> {
    let mut names = Vec::with_capacity(nodes.len());
    for node in nodes {
        let Some(NodeEnum::String(name)) = &node.node else {
            return Err(Refusal::not_understood("this name"));
        };
        names.push(name.sval.as_str());
    }
    Ok(names)
}

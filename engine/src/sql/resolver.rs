//! The resolver's state and the lookups that every room of it uses: relations, types, functions, operators, predicates.
//! Must never let a name through that it did not look up.

use std::{collections::BTreeSet, sync::Arc};

use pg_query::{
    NodeEnum,
    protobuf::{AExpr, Node, RangeVar, TypeName},
};

use super::{
    Context, Refusal,
    book::{Book, Descend, Keep, Origin, Value},
    equality::Parameters,
    functions::{self, Effect},
    scope::{Base, Field, Item, Scope},
    sweep::Seen,
};
use crate::{
    catalog::{Catalog, Relation, RelationKind, TypeKind, UserType},
    facts::{How, Object, Operation},
};

/// Deepest nesting of nodes that is followed; deeper is refused.
pub(super) const DEPTH_MAX: usize = 1000;
/// Most work that one statement may ask for: nodes read, columns looked through, sources gathered. A statement over it is
/// refused; the largest honest ones (inserts of 65,535 parameters) ask for a fifth of it.
const WORK_MAX: usize = 500_000;
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
    /// What was asked for so far, of [`WORK_MAX`].
    work: usize,
    /// The innermost view being expanded, `schema.name`.
    pub(super) via: Option<Arc<str>>,
    pub(super) views: Vec<u32>,
    pub(super) through_views: bool,
    /// Names of relations that the statement itself writes, for the witness.
    pub(super) named: BTreeSet<String>,
    /// What the statement's parameters are.
    pub(super) parameters: Parameters<'a>,
    /// The WHERE of the statement itself: known by its address, it is only compared.
    pub(super) top: Option<*const Node>,
}

/// What a predicate says of the accesses that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// It holds for every row of theirs that the statement shows or changes.
    Always,
    /// Rows come in by other ways too.
    Sometimes,
}

/// Where a predicate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is the WHERE of the statement itself.
    Top,
    /// Anywhere else.
    Inside,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(context: &Context<'a>, parameters: Parameters<'a>) -> Self {
        Self {
            parameters,
            top: None,
            catalog: context.catalog,
            path: effective_path(context.search_path),
            book: Book::default(),
            seen: Seen::default(),
            depth: 0,
            work: 0,
            via: None,
            views: Vec::new(),
            through_views: false,
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
    /// 54001 beyond [`WORK_MAX`].
    pub(super) fn work(&mut self, amount: usize) -> Result<(), Refusal> {
        self.work = self.work.saturating_add(amount);
        if self.work > WORK_MAX {
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
        let mut fields = self.base_fields(relation, entry);
        if matches!(
            relation.kind,
            RelationKind::View | RelationKind::MaterialisedView
        ) && !relation.is_system()
        {
            let inner = self.view_fields(relation)?;
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
            }
        }
        let mut item = Item::new(Some(relation.name.clone()), fields);
        item.schema = Some(relation.schema.clone());
        item.base = Some(Base {
            relation: relation.clone(),
            entry,
        });
        self.generated_columns(relation, &mut item)?;
        Ok(item)
    }

    /// The columns of a relation as values; inheritance relatives' columns of the same name are sources too.
    fn base_fields(&self, relation: &Arc<Relation>, entry: usize) -> Vec<Field> {
        let mut relatives = self.catalog.descendants(relation.oid);
        relatives.extend(self.catalog.ancestors(relation.oid));
        let field = |column: &Arc<crate::facts::Column>| {
            let mut value = Value {
                sources: [].into(),
                described: Some((relation.oid, column.attribute)),
            };
            value.sources.insert(Origin {
                column: column.clone(),
                how: How::Direct,
                entry: Some(entry),
            });
            for relative in relatives
                .iter()
                .filter_map(|relative| relative.column(&column.name))
            {
                value.sources.insert(Origin {
                    column: relative.clone(),
                    how: How::Direct,
                    entry: None,
                });
            }
            Field {
                name: column.name.clone(),
                value,
            }
        };
        relation.columns.iter().map(field).collect()
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

    fn view_fields(&mut self, view: &Arc<Relation>) -> Result<Vec<Field>, Refusal> {
        let Some(definition) = view.definition.clone() else {
            return Err(Refusal::not_understood(&format!(
                "view \"{}\", whose definition is not known,",
                view.name
            )));
        };
        if self.views.len() >= VIEW_DEPTH_MAX || self.views.contains(&view.oid) {
            return Err(Refusal::new(
                "54001",
                format!("views nest too deeply at \"{}\"", view.name),
            ));
        }
        self.through_views = true;
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
        Ok(rows?.fields)
    }

    /// Parses a text of the catalog and reads its one statement with pg_catalog alone in the path.
    fn stored<T>(
        &mut self,
        text: &str,
        read: impl FnOnce(&mut Self, &NodeEnum) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let no_position = |mut refusal: Refusal| {
            refusal.position = None;
            refusal
        };
        // Parsing costs more than reading.
        self.work(text.len())?;
        let tree = super::authority::parse(text).map_err(no_position)?;
        let [statement] = tree.stmts.as_slice() else {
            return Err(Refusal::not_understood("a stored definition"));
        };
        let Some(node) = statement.stmt.as_ref().and_then(|node| node.node.as_ref()) else {
            return Err(Refusal::not_understood("a stored definition"));
        };
        let path = std::mem::replace(&mut self.path, vec!["pg_catalog".into()]);
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

    /// A type that is named: notes what is not the server's own.
    pub(super) fn type_name(&mut self, name: &TypeName) -> Result<(), Refusal> {
        self.seen.mark(name);
        if name.pct_type || name.setof {
            return Err(Refusal::not_understood("%TYPE and SETOF here").at(name.location));
        }
        for modifier in name.typmods.iter().chain(&name.array_bounds) {
            self.constant(modifier)?;
        }
        let names = strings(&name.names)?;
        let (schema, base) = match names.as_slice() {
            [base] => (None, *base),
            [schema, base] => (Some(*schema), *base),
            [_, schema, base] => (Some(*schema), *base),
            _ => return Err(Refusal::not_understood("this type name").at(name.location)),
        };
        if schema == Some("pg_catalog") {
            return Ok(());
        }
        let in_reach = |found: &&Arc<UserType>| match schema {
            Some(schema) => *found.schema == *schema,
            None => self.path.contains(&found.schema),
        };
        let found: Vec<Arc<UserType>> = self
            .catalog
            .types_named(base)
            .iter()
            .filter(in_reach)
            .cloned()
            .collect();
        if found.is_empty() && !(schema.is_none() && functions::is_builtin_type(base)) {
            return Err(
                Refusal::unknown("42704", format!("type \"{base}\" does not exist"))
                    .at(name.location),
            );
        }
        for user_type in found {
            self.user_type(&user_type);
        }
        Ok(())
    }

    fn user_type(&mut self, user_type: &Arc<UserType>) {
        let element = self.catalog.type_by_oid(user_type.element).cloned();
        match user_type.kind {
            TypeKind::Enum | TypeKind::Composite => {}
            TypeKind::Domain if !user_type.constrained => self.each_element(element),
            TypeKind::Array => self.each_element(element),
            TypeKind::Domain => {
                self.domain_checks(user_type);
                self.each_element(element);
            }
            TypeKind::Base | TypeKind::Pseudo | TypeKind::Range | TypeKind::Multirange => {
                self.book.opaque(
                    &user_type.name,
                    "a type whose input and casts run code that is not the server's own",
                );
            }
        }
        if self.catalog.has_user_casts() {
            self.book
                .opaque(&user_type.name, "a cast might run a user-defined function");
        }
    }

    /// Notes the functions that a domain's checks call; a domain whose checks can't be read is opaque.
    fn domain_checks(&mut self, domain: &UserType) {
        let value = Item::new(
            None,
            vec![Field {
                name: "value".into(),
                value: Value::default(),
            }],
        );
        let scope = Scope {
            items: vec![value],
            ..Scope::default()
        };
        for check in &domain.checks {
            if self.stored_expression(check, &scope).is_err() {
                self.book.opaque(
                    &domain.name,
                    "a domain whose constraints run expressions of their own",
                );
            }
        }
    }

    /// What assigning to a type evaluates.
    pub(super) fn type_checks(&mut self, type_oid: u32) {
        let Some(user_type) = self.catalog.type_by_oid(type_oid).cloned() else {
            return;
        };
        match user_type.kind {
            TypeKind::Domain => {
                self.domain_checks(&user_type);
                self.type_checks(user_type.element);
            }
            TypeKind::Array => self.type_checks(user_type.element),
            TypeKind::Base
            | TypeKind::Composite
            | TypeKind::Enum
            | TypeKind::Pseudo
            | TypeKind::Range
            | TypeKind::Multirange => {}
        }
    }

    fn each_element(&mut self, element: Option<Arc<UserType>>) {
        // An element type is older than its array and a base older than its domain: this ends.
        if let Some(element) = element {
            self.user_type(&element);
        }
    }

    /// An operator that is named.
    pub(super) fn operator(&mut self, name: &[Node]) -> Result<(), Refusal> {
        match strings(name)?.as_slice() {
            [operator] => self.bare_operator(operator),
            ["pg_catalog", _] => {}
            [.., operator] => {
                self.book.opaque(
                    operator,
                    "a user-defined operator runs a function that analysis does not follow",
                );
            }
            [] => {}
        }
        Ok(())
    }

    /// An operator without schema.
    pub(super) fn bare_operator(&mut self, operator: &str) {
        if self
            .catalog
            .operator_schemas(operator)
            .iter()
            .any(|schema| self.path.contains(schema))
        {
            self.book.opaque(
                operator,
                "a user-defined operator of this name is in the search path",
            );
        }
    }

    /// A function that is named. `Some`: pure, and in FROM it gives these columns.
    pub(super) fn function(&mut self, names: &[&str]) -> Option<&'static [&'static str]> {
        let (schema, name) = match names {
            [name] => (None, *name),
            [.., schema, name] => (Some(*schema), *name),
            [] => (None, ""),
        };
        let users = self
            .catalog
            .function_schemas(name)
            .iter()
            .find(|found| match schema {
                Some(schema) => ***found == *schema,
                None => self.path.contains(found),
            });
        let owner: Arc<str> = users
            .cloned()
            .or_else(|| schema.map(Arc::from))
            .unwrap_or_else(|| "pg_catalog".into());
        let effect = if users.is_none() && &*owner == "pg_catalog" {
            functions::effect(name)
        } else {
            None
        };
        let call = Object::Function {
            schema: owner.clone(),
            name: name.into(),
        };
        match effect {
            Some(Effect::Pure(columns)) => return Some(columns),
            Some(Effect::Sequence) => self.book.plain(call, Operation::Call),
            // The caller notes which setting.
            Some(Effect::Setting) => return Some(&[]),
            None => {
                self.book.plain(call, Operation::Call);
                self.book.opaque(
                    &format!("{owner}.{name}"),
                    "a function that is not known to be pure",
                );
            }
        }
        None
    }

    /// Reads WHERE: the columns it is about are filters; top-level equalities with constants may bound an access.
    pub(super) fn predicate(
        &mut self,
        node: Option<&Node>,
        scope: &Scope<'_>,
        holds: Holds,
    ) -> Result<Value, Refusal> {
        let Some(node) = node else {
            return Ok(Value::default());
        };
        let place = match self.top {
            Some(top) if std::ptr::eq(top, node) => Place::Top,
            Some(_) | None => Place::Inside,
        };
        let mut control = Value::default();
        for conjunct in conjuncts(node, &mut self.seen) {
            let value = self.expression(conjunct, scope)?;
            self.book.used(&value, crate::facts::Use::Filter);
            if !is_always_true(conjunct) {
                self.book.filtered(&value);
            }
            self.fixed(conjunct, scope, holds, place);
            control.add(&value);
        }
        Ok(control.derived())
    }

    /// Notes the columns that a conjunct fixes to constants.
    fn fixed(&mut self, conjunct: &Node, scope: &Scope<'_>, holds: Holds, place: Place) {
        let Some(NodeEnum::AExpr(comparison)) = &conjunct.node else {
            return;
        };
        let Some(column) = fixed_column(comparison) else {
            return;
        };
        let Ok(names) = strings(&column.fields) else {
            return;
        };
        let meaning = match names.as_slice() {
            [name] => scope.bare(name),
            [item, name] => scope.qualified(None, item, name),
            [schema, item, name] => scope.qualified(Some(schema), item, name),
            _ => return,
        };
        let Ok(super::scope::Meaning::Column(value)) = meaning else {
            return;
        };
        let equal_to = self.equal_to(comparison);
        for origin in &value.sources {
            let Some(entry) = origin.entry else { continue };
            let mine = scope
                .items
                .iter()
                .filter_map(|item| item.base.as_ref())
                .find(|base| base.entry == entry);
            let described = Some((origin.column.relation_oid, origin.column.attribute));
            let Some(base) = mine else { continue };
            if origin.how != How::Direct || value.described != described {
                continue;
            }
            self.book.fixed(entry, origin.column.attribute);
            let Some(constant) = equal_to else { continue };
            if place == Place::Top {
                self.book.looked_up(&origin.column);
            }
            if holds == Holds::Always
                && let Some(constant) = self.exact(&base.relation, &origin.column, constant)
            {
                self.book.equals(entry, &origin.column, &constant);
            }
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
fn effective_path(search_path: &[Arc<str>]) -> Vec<Arc<str>> {
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

/// The parts of a predicate that are ANDed at its top.
fn conjuncts<'n>(node: &'n Node, seen: &mut Seen) -> Vec<&'n Node> {
    let mut found = Vec::new();
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        match &node.node {
            Some(NodeEnum::BoolExpr(expression))
                if expression.boolop() == pg_query::protobuf::BoolExprType::AndExpr =>
            {
                seen.mark(expression.as_ref());
                open.extend(expression.args.iter().rev());
            }
            _ => found.push(node),
        }
    }
    found
}

/// Whether a predicate holds for every row whatever the data: `true`, `1 = 1`, `id = id`.
pub(super) fn is_always_true(node: &Node) -> bool {
    use pg_query::protobuf::{AExprKind, BoolExprType, a_const::Val};
    match &node.node {
        Some(NodeEnum::AConst(constant)) => match &constant.val {
            Some(Val::Boolval(value)) => value.boolval,
            // A string literal may be read as true.
            Some(Val::Sval(_)) => true,
            _ => false,
        },
        Some(NodeEnum::TypeCast(cast)) => cast.arg.as_deref().is_some_and(is_always_true),
        Some(NodeEnum::BoolExpr(expression)) => match expression.boolop() {
            BoolExprType::AndExpr => expression.args.iter().all(is_always_true),
            BoolExprType::OrExpr => {
                expression.args.iter().any(is_always_true)
                    || expression.args.iter().any(is_null_test)
            }
            _ => false,
        },
        Some(NodeEnum::NullTest(_)) => false,
        Some(NodeEnum::AExpr(comparison)) if comparison.kind() == AExprKind::AexprOp => {
            let constant = |node: Option<&Node>| node.is_some_and(is_constant);
            (constant(comparison.lexpr.as_deref()) && constant(comparison.rexpr.as_deref()))
                || matches!((column_of(comparison.lexpr.as_deref()), column_of(comparison.rexpr.as_deref())),
                    (Some(left), Some(right)) if left.fields.last() == right.fields.last())
        }
        _ => is_constant(node),
    }
}

/// `x IS NULL OR ...` and `x IS NOT NULL OR ...` may hold for every row: no limit is claimed.
fn is_null_test(node: &Node) -> bool {
    matches!(&node.node, Some(NodeEnum::NullTest(_)))
}

/// The column that a comparison fixes to constants: `column = constant`, `column IN (constants)`.
fn fixed_column(comparison: &AExpr) -> Option<&pg_query::protobuf::ColumnRef> {
    use pg_query::protobuf::AExprKind;
    let equals = matches!(strings(&comparison.name).ok()?.as_slice(), ["="]);
    let (left, right) = (comparison.lexpr.as_deref(), comparison.rexpr.as_deref());
    match comparison.kind() {
        AExprKind::AexprOp if equals => match (column_of(left), column_of(right)) {
            (Some(column), None) if right.is_some_and(is_constant) => Some(column),
            (None, Some(column)) if left.is_some_and(is_constant) => Some(column),
            _ => None,
        },
        AExprKind::AexprIn if equals => {
            let Some(Some(NodeEnum::List(list))) = right.map(|node| &node.node) else {
                return None;
            };
            if list.items.iter().all(is_constant) {
                column_of(left)
            } else {
                None
            }
        }
        _ => None,
    }
}

pub(super) fn column_of(node: Option<&Node>) -> Option<&pg_query::protobuf::ColumnRef> {
    match &node?.node {
        Some(NodeEnum::ColumnRef(column)) => Some(column),
        _ => None,
    }
}

/// Literals, parameters and casts of them.
pub(super) fn is_constant(node: &Node) -> bool {
    match &node.node {
        Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_)) => true,
        Some(NodeEnum::TypeCast(cast)) => cast.arg.as_deref().is_some_and(is_constant),
        _ => false,
    }
}

//! Expressions: what a value is computed from. Every kind of node has an arm of its own or is refused.

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, AExprKind, Node, SqlValueFunctionOp, SubLinkType},
};

use super::{
    Refusal,
    book::Value,
    functions,
    resolver::{Resolver, strings},
    scope::{Item, Meaning, Scope},
};
use crate::facts::Use;

impl Resolver<'_> {
    /// An expression that may be absent.
    pub(super) fn optional(
        &mut self,
        node: Option<&Node>,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        node.map_or_else(|| Ok(Value::default()), |node| self.expression(node, scope))
    }

    /// The union of several expressions, each as derived.
    pub(super) fn all<'n>(
        &mut self,
        nodes: impl IntoIterator<Item = &'n Node>,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        let mut value = Value::default();
        for node in nodes {
            value.taint(&self.expression(node, scope)?);
        }
        Ok(value)
    }

    /// What an expression's value is computed from.
    pub(super) fn expression(&mut self, node: &Node, scope: &Scope<'_>) -> Result<Value, Refusal> {
        self.nested(|resolver| resolver.node(node, scope))
    }

    fn node(&mut self, node: &Node, scope: &Scope<'_>) -> Result<Value, Refusal> {
        let Some(node) = &node.node else {
            return Ok(Value::default());
        };
        match node {
            NodeEnum::ColumnRef(column) => self.column(column, scope),
            NodeEnum::AConst(_) | NodeEnum::AStar(_) => Ok(Value::default()),
            NodeEnum::ParamRef(parameter) => {
                self.seen.mark(parameter);
                let index = usize::try_from(parameter.number)
                    .ok()
                    .and_then(|number| number.checked_sub(1));
                let given = self.executed.as_ref().zip(index);
                let value = given.and_then(|(executed, index)| executed.values.get(index));
                Ok(value.cloned().unwrap_or_default())
            }
            NodeEnum::SetToDefault(default) => {
                self.seen.mark(default.as_ref());
                Ok(Value::default())
            }
            NodeEnum::List(list) => self.all(&list.items, scope),
            NodeEnum::AExpr(expression) => self.operation(expression, scope),
            NodeEnum::BoolExpr(expression) => {
                self.seen.mark(expression.as_ref());
                let value = self.all(&expression.args, scope)?;
                // `x OR NULL` is true or null.
                if expression.boolop() != pg::BoolExprType::NotExpr {
                    self.book.computed(&value);
                }
                Ok(value)
            }
            NodeEnum::NullTest(test) => {
                self.seen.mark(test.as_ref());
                Ok(self.optional(test.arg.as_deref(), scope)?.derived())
            }
            NodeEnum::BooleanTest(test) => {
                self.seen.mark(test.as_ref());
                Ok(self.optional(test.arg.as_deref(), scope)?.derived())
            }
            NodeEnum::TypeCast(cast) => {
                self.seen.mark(cast.as_ref());
                let mut total = false;
                if let Some(name) = &cast.type_name {
                    self.type_name(name)?;
                    total = is_text(name);
                }
                let constant = cast
                    .arg
                    .as_deref()
                    .is_none_or(super::predicate::is_constant);
                if !constant && self.catalog.has_user_casts() {
                    self.book
                        .opaque("cast", "a cast might run a user-defined function");
                }
                let value = self.optional(cast.arg.as_deref(), scope)?.derived();
                if !total {
                    self.book.computed(&value);
                }
                Ok(value)
            }
            NodeEnum::CollateClause(collate) => {
                self.seen.mark(collate.as_ref());
                Ok(self.optional(collate.arg.as_deref(), scope)?.derived())
            }
            NodeEnum::FuncCall(call) => self.call(call, scope),
            NodeEnum::NamedArgExpr(argument) => {
                self.seen.mark(argument.as_ref());
                self.optional(argument.arg.as_deref(), scope)
            }
            NodeEnum::AIndirection(indirection) => self.indirection(indirection, scope),
            NodeEnum::AArrayExpr(array) => {
                self.seen.mark(array);
                self.all(&array.elements, scope)
            }
            NodeEnum::RowExpr(row) => {
                self.seen.mark(row.as_ref());
                self.row(&row.args, scope)
            }
            NodeEnum::CoalesceExpr(coalesce) => {
                self.seen.mark(coalesce.as_ref());
                self.all(&coalesce.args, scope)
            }
            NodeEnum::MinMaxExpr(expression) => {
                self.seen.mark(expression.as_ref());
                self.all(&expression.args, scope)
            }
            NodeEnum::CaseExpr(case) => self.case(case, scope),
            NodeEnum::SubLink(link) => self.sub_link(link, scope),
            NodeEnum::SqlvalueFunction(function) => {
                self.seen.mark(function.as_ref());
                match function.op() {
                    SqlValueFunctionOp::SqlvalueFunctionOpUndefined => {
                        Err(Refusal::not_understood("this function").at(function.location))
                    }
                    _ => Ok(Value::default()),
                }
            }
            NodeEnum::GroupingFunc(grouping) => {
                self.seen.mark(grouping.as_ref());
                self.all(&grouping.args, scope)
            }
            NodeEnum::XmlExpr(expression) => {
                self.seen.mark(expression.as_ref());
                let mut value = self.all(&expression.args, scope)?;
                for argument in &expression.named_args {
                    let Some(NodeEnum::ResTarget(target)) = &argument.node else {
                        return Err(Refusal::not_understood("this XML expression"));
                    };
                    self.seen.mark(target.as_ref());
                    value.taint(&self.optional(target.val.as_deref(), scope)?);
                }
                self.book.computed(&value);
                Ok(value)
            }
            NodeEnum::XmlSerialize(serialize) => {
                self.seen.mark(serialize.as_ref());
                if let Some(name) = &serialize.type_name {
                    self.type_name(name)?;
                }
                let value = self.optional(serialize.expr.as_deref(), scope)?.derived();
                self.book.computed(&value);
                Ok(value)
            }
            NodeEnum::MultiAssignRef(assign) => {
                self.seen.mark(assign.as_ref());
                Ok(self.optional(assign.source.as_deref(), scope)?.derived())
            }
            NodeEnum::MergeSupportFunc(function) => {
                self.since(17, "MERGE_ACTION()")?;
                self.seen.mark(function.as_ref());
                Ok(Value::default())
            }
            NodeEnum::JsonIsPredicate(predicate) => {
                self.since(16, "IS JSON")?;
                self.seen.mark(predicate.as_ref());
                Ok(self.optional(predicate.expr.as_deref(), scope)?.derived())
            }
            NodeEnum::CurrentOfExpr(_) => Err(Refusal::not_understood("WHERE CURRENT OF")),
            other => Err(Refusal::not_understood(&format!(
                "{} in an expression",
                variant_name(other)
            ))),
        }
    }

    /// A column reference.
    pub(super) fn column(
        &mut self,
        column: &pg::ColumnRef,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        self.seen.mark(column);
        let at = |refusal: Refusal| refusal.at(column.location);
        if matches!(
            column.fields.last().map(|node| &node.node),
            Some(Some(NodeEnum::AStar(_)))
        ) {
            // `count(t.*)`, `ROW(t.*)`, `t.* IS NULL`: the whole row.
            let (_, names) = column
                .fields
                .split_last()
                .unwrap_or((&Node { node: None }, &[]));
            let names = strings(names)?;
            return match self.star_item(&names, scope).map_err(at)? {
                Some(item) => {
                    let row = item.whole_row();
                    self.work(row.sources.len())?;
                    Ok(row)
                }
                None => Err(Refusal::not_understood("a bare * here").at(column.location)),
            };
        }
        let names = strings(&column.fields)?;
        let meaning = match names.as_slice() {
            [name] => scope.bare(name),
            [item, name] => scope.qualified(None, item, name),
            [schema, item, name] => scope.qualified(Some(schema), item, name),
            [database, schema, item, name] if **database == **self.catalog.database() => {
                scope.qualified(Some(schema), item, name)
            }
            _ => Err(Refusal::new(
                "0A000",
                "cross-database references are not implemented",
            )),
        };
        let value = match meaning.map_err(at)? {
            Meaning::Column(value) => Ok(value),
            Meaning::Row(item) => Ok(item.whole_row()),
            Meaning::Functional(item) => self
                .functional(item, names.last().copied().unwrap_or_default())
                .map_err(at),
        }?;
        // Looking a name up walks the items and their fields.
        self.user_cast_from(&value);
        let looked_through: usize = scope.items.iter().map(|item| item.fields.len()).sum();
        self.work(
            looked_through
                .div_ceil(16)
                .saturating_add(value.sources.len()),
        )?;
        Ok(value)
    }

    /// A value of a type that a user-defined cast starts from may be cast wherever it goes, without being asked.
    fn user_cast_from(&mut self, value: &Value) {
        let casts = self.catalog.user_casts();
        let cast = value.sources.iter().any(|origin| {
            casts
                .iter()
                .any(|(from, _)| *from == origin.column.type_oid)
        });
        if cast {
            self.book
                .opaque("cast", "a cast might run a user-defined function");
        }
    }

    /// `item.name` where `name` is no column: the server tries `name(item)`.
    fn functional(&mut self, item: &Item, name: &str) -> Result<Value, Refusal> {
        if self.overloads("pg_catalog", name, Some(1)).next().is_none()
            && self.catalog.function_schemas(name).is_empty()
        {
            let item = item.name.as_deref().unwrap_or_default();
            return Err(Refusal::unknown(
                "42703",
                format!("column {item}.{name} does not exist"),
            ));
        }
        let row = item.whole_row();
        self.functional_call(name, &row)?;
        Ok(row)
    }

    /// The item that `item.*` is about; `None` for a bare `*`.
    pub(super) fn star_item<'s>(
        &self,
        names: &[&str],
        scope: &'s Scope<'s>,
    ) -> Result<Option<&'s Item>, Refusal> {
        let (schema, name) = match names {
            [] => return Ok(None),
            [name] => (None, *name),
            [schema, name] => (Some(*schema), *name),
            [database, schema, name] if **database == **self.catalog.database() => {
                (Some(*schema), *name)
            }
            _ => {
                return Err(Refusal::new(
                    "0A000",
                    "cross-database references are not implemented",
                ));
            }
        };
        let found = scope.item(schema, name)?;
        found.map(Some).ok_or_else(|| {
            Refusal::unknown(
                "42P01",
                format!("missing FROM-clause entry for table \"{name}\""),
            )
        })
    }

    fn operation(&mut self, expression: &pg::AExpr, scope: &Scope<'_>) -> Result<Value, Refusal> {
        self.seen.mark(expression);
        match expression.kind() {
            AExprKind::AexprBetween
            | AExprKind::AexprNotBetween
            | AExprKind::AexprBetweenSym
            | AExprKind::AexprNotBetweenSym => {
                for operator in ["<", "<=", ">", ">="] {
                    self.bare_operator(operator);
                }
            }
            AExprKind::Undefined => {
                return Err(Refusal::not_understood("this operator").at(expression.location));
            }
            _ => self.operator(&expression.name)?,
        }
        let mut value = self.optional(expression.lexpr.as_deref(), scope)?.derived();
        value.taint(&self.optional(expression.rexpr.as_deref(), scope)?);
        if !is_total(expression, &value) {
            self.book.computed(&value);
        }
        Ok(value)
    }

    fn row(&mut self, elements: &[Node], scope: &Scope<'_>) -> Result<Value, Refusal> {
        let mut value = Value::default();
        for element in elements {
            value.taint(&self.expression(element, scope)?);
        }
        Ok(value)
    }

    fn indirection(
        &mut self,
        indirection: &pg::AIndirection,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        self.seen.mark(indirection);
        let Some(argument) = indirection.arg.as_deref() else {
            return Err(Refusal::not_understood("this selection"));
        };
        // `(t).column` is the column itself.
        if let (Some(NodeEnum::ColumnRef(column)), [first]) =
            (&argument.node, indirection.indirection.as_slice())
            && let (Some(NodeEnum::String(field)), [only]) = (
                &first.node,
                strings(&column.fields).unwrap_or_default().as_slice(),
            )
            && let Meaning::Row(item) = scope
                .bare(only)
                .map_err(|refusal| refusal.at(column.location))?
        {
            self.seen.mark(column);
            return match item.field(&field.sval)? {
                Some(value) => Ok(value),
                None => self.functional(item, &field.sval),
            };
        }
        let mut value = self.expression(argument, scope)?.derived();
        for step in &indirection.indirection {
            match &step.node {
                Some(NodeEnum::String(name)) => {
                    // A field, or a function in functional notation: `('/etc/passwd'::text).pg_read_file`.
                    if self.catalog.is_function(&name.sval) {
                        self.functional_call(&name.sval, &value)?;
                    }
                }
                Some(NodeEnum::AIndices(indices)) => {
                    self.seen.mark(indices.as_ref());
                    value.taint(&self.optional(indices.lidx.as_deref(), scope)?);
                    value.taint(&self.optional(indices.uidx.as_deref(), scope)?);
                    // An element that is not there is null.
                    self.book.computed(&value);
                }
                Some(NodeEnum::AStar(_)) | None => {
                    return Err(Refusal::not_understood(
                        "the expansion of a composite value",
                    ));
                }
                Some(other) => return Err(Refusal::not_understood(variant_name(other))),
            }
        }
        Ok(value)
    }

    fn case(&mut self, case: &pg::CaseExpr, scope: &Scope<'_>) -> Result<Value, Refusal> {
        self.seen.mark(case);
        let mut control = Value::default();
        let mut value = Value::default();
        if let Some(argument) = case.arg.as_deref() {
            self.bare_operator("=");
            control.taint(&self.expression(argument, scope)?);
        }
        for when in &case.args {
            let Some(NodeEnum::CaseWhen(when)) = &when.node else {
                return Err(Refusal::not_understood("this CASE"));
            };
            self.seen.mark(when.as_ref());
            control.taint(&self.optional(when.expr.as_deref(), scope)?);
            value.taint(&self.optional(when.result.as_deref(), scope)?);
        }
        value.taint(&self.optional(case.defresult.as_deref(), scope)?);
        self.book.used(&control, Use::Filter);
        value.add(&control);
        Ok(value)
    }

    fn sub_link(&mut self, link: &pg::SubLink, scope: &Scope<'_>) -> Result<Value, Refusal> {
        self.seen.mark(link);
        let mut value = self.optional(link.testexpr.as_deref(), scope)?.derived();
        match link.sub_link_type() {
            SubLinkType::AnySublink if link.oper_name.is_empty() => self.bare_operator("="),
            SubLinkType::AnySublink | SubLinkType::AllSublink | SubLinkType::RowcompareSublink => {
                self.operator(&link.oper_name)?
            }
            SubLinkType::ExistsSublink
            | SubLinkType::ExprSublink
            | SubLinkType::ArraySublink
            | SubLinkType::MultiexprSublink => {}
            _ => return Err(Refusal::not_understood("this subquery").at(link.location)),
        }
        let Some(Some(NodeEnum::SelectStmt(select))) =
            link.subselect.as_deref().map(|node| &node.node)
        else {
            return Err(Refusal::not_understood("this subquery").at(link.location));
        };
        let rows = self.select(select, scope)?;
        value.taint(&rows.control);
        if link.sub_link_type() != SubLinkType::ExistsSublink {
            for field in &rows.fields {
                value.taint(&field.value);
            }
        }
        if matches!(
            link.sub_link_type(),
            SubLinkType::AnySublink | SubLinkType::AllSublink | SubLinkType::RowcompareSublink
        ) {
            // `x IN (SELECT ...)` is true, false or null.
            self.book.computed(&value);
        }
        Ok(value)
    }
}

/// Whether an operator never fails, and is null only if an operand is: comparisons and concatenation of plain values.
fn is_total(expression: &pg::AExpr, value: &Value) -> bool {
    let row = |operand: Option<&Node>| {
        matches!(
            operand.and_then(|node| node.node.as_ref()),
            Some(NodeEnum::RowExpr(_) | NodeEnum::List(_))
        )
    };
    let plain = !row(expression.lexpr.as_deref()) && !row(expression.rexpr.as_deref());
    match expression.kind() {
        AExprKind::AexprDistinct | AExprKind::AexprNotDistinct => true,
        AExprKind::AexprOp => match strings(&expression.name).unwrap_or_default().as_slice() {
            ["=" | "<>" | "!=" | "<" | "<=" | ">" | ">="] => plain,
            // Of arrays and documents it can fail.
            ["||"] => {
                plain
                    && value
                        .sources
                        .iter()
                        .all(|origin| functions::is_scalar(origin.column.type_oid))
            }
            _ => false,
        },
        _ => false,
    }
}

/// A type that every value can be cast to.
fn is_text(name: &pg::TypeName) -> bool {
    name.array_bounds.is_empty()
        && matches!(
            strings(&name.names).unwrap_or_default().as_slice(),
            ["text"] | ["pg_catalog", "text" | "varchar" | "bpchar"] | ["varchar"]
        )
}

/// The grammar's name of a node, for messages.
pub(super) fn variant_name(node: &NodeEnum) -> &'static str {
    match node {
        NodeEnum::JsonObjectConstructor(_)
        | NodeEnum::JsonArrayConstructor(_)
        | NodeEnum::JsonArrayQueryConstructor(_) => "a JSON constructor",
        NodeEnum::JsonObjectAgg(_) | NodeEnum::JsonArrayAgg(_) => "a JSON aggregate",
        NodeEnum::JsonFuncExpr(_)
        | NodeEnum::JsonParseExpr(_)
        | NodeEnum::JsonScalarExpr(_)
        | NodeEnum::JsonSerializeExpr(_) => "an SQL/JSON function",
        NodeEnum::JsonTable(_) => "JSON_TABLE",
        _ => "this construct",
    }
}

//! Expressions: what a value is computed from. Every kind of node has an arm of its own or is refused.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, AExprKind, Node, SqlValueFunctionOp, SubLinkType},
};

use super::{
    Refusal,
    book::{Keep, Value},
    extent::Extent,
    functions,
    nodes::{parts, planned, queries, ranges, schema_commands, server_commands, session_commands},
    resolver::{Resolver, strings},
    routine::Towards,
    scalar,
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

    /// The union of several expressions, each as derived, and how many of them are surely plain values.
    fn several(&mut self, nodes: &[Node], scope: &Scope<'_>) -> Result<(Value, usize), Refusal> {
        let mut value = Value::default();
        let mut plain: usize = 0;
        let mut extent = Extent::ONE;
        for node in nodes {
            let one = self.expression(node, scope)?;
            plain = plain.saturating_add(usize::from(one.plain));
            extent = extent.or(one.extent);
            value.taint(&one);
        }
        value.extent = extent;
        Ok((value, plain))
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
            NodeEnum::AStar(_) => Ok(Value::default()),
            NodeEnum::AConst(constant) => Ok(Value {
                plain: scalar::is_plain_literal(constant),
                extent: Extent::of_literal(constant),
                literal: scalar::is_untyped(constant),
                ..Value::default()
            }),
            NodeEnum::ParamRef(parameter) => {
                self.seen.mark(parameter);
                let index = usize::try_from(parameter.number)
                    .ok()
                    .and_then(|number| number.checked_sub(1));
                let given = self.executed.as_ref().zip(index);
                let value = given.and_then(|(executed, index)| executed.values.get(index));
                // It is of the type that PREPARE declares.
                Ok(Value {
                    literal: false,
                    ..value.cloned().unwrap_or_default()
                })
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
                Ok(truth(value))
            }
            NodeEnum::NullTest(test) => {
                self.seen.mark(test.as_ref());
                Ok(truth(self.optional(test.arg.as_deref(), scope)?))
            }
            NodeEnum::BooleanTest(test) => {
                self.seen.mark(test.as_ref());
                Ok(truth(self.optional(test.arg.as_deref(), scope)?))
            }
            NodeEnum::TypeCast(cast) => {
                self.seen.mark(cast.as_ref());
                let mut total = false;
                if let Some(name) = &cast.type_name {
                    self.type_name(name)?;
                    total = is_text(name) && self.is_plain_type(name);
                }
                let argument = self.optional(cast.arg.as_deref(), scope)?;
                let given = match &cast.type_name {
                    Some(name) => self.written_cast(&argument, name)?,
                    None => Value::default(),
                };
                let mut value = argument.derived();
                value.taint(&given);
                if !total {
                    self.book.computed(&value);
                }
                let composite = cast
                    .type_name
                    .as_ref()
                    .and_then(|name| self.composite_named(name));
                value.row = composite.and_then(|oid| self.fields_of_type(oid, &value));
                let name = cast.type_name.as_ref();
                value.plain = name.is_some_and(|name| self.is_plain_type(name));
                if !value.plain {
                    value.extent = Extent::Unknown;
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
                let (value, plain) = self.several(&array.elements, scope)?;
                // Elements that are arrays must be of one shape.
                if plain < array.elements.len() {
                    self.book.computed(&value);
                }
                Ok(value)
            }
            NodeEnum::RowExpr(row) => {
                self.seen.mark(row.as_ref());
                self.row(&row.args, scope)
            }
            NodeEnum::CoalesceExpr(coalesce) => {
                self.seen.mark(coalesce.as_ref());
                let (mut value, plain) = self.several(&coalesce.args, scope)?;
                value.plain = plain > 0;
                Ok(value)
            }
            NodeEnum::MinMaxExpr(expression) => {
                self.seen.mark(expression.as_ref());
                let (mut value, plain) = self.several(&expression.args, scope)?;
                if plain == 0 {
                    self.book.computed(&value);
                }
                value.plain = plain > 0;
                Ok(value)
            }
            NodeEnum::CaseExpr(case) => self.case(case, scope),
            NodeEnum::SubLink(link) => self.sub_link(link, scope),
            NodeEnum::SqlvalueFunction(function) => {
                self.seen.mark(function.as_ref());
                match function.op() {
                    SqlValueFunctionOp::SqlvalueFunctionOpUndefined => {
                        Err(Refusal::not_understood("this function").at(function.location))
                    }
                    _ => Ok(truth(Value::default())),
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
            NodeEnum::MultiAssignRef(assign) => self.multiple_assignment(assign, scope),
            NodeEnum::MergeSupportFunc(function) => {
                self.since(17, "MERGE_ACTION()")?;
                self.seen.mark(function.as_ref());
                Ok(Value::default())
            }
            NodeEnum::JsonIsPredicate(predicate) => {
                self.since(16, "IS JSON")?;
                self.seen.mark(predicate.as_ref());
                let value = self.optional(predicate.expr.as_deref(), scope)?.derived();
                self.book.computed(&value);
                Ok(value)
            }
            NodeEnum::JsonValueExpr(value) => self.json_value(Some(value), scope),
            NodeEnum::JsonObjectConstructor(object) => self.json_object(object, scope),
            NodeEnum::JsonArrayConstructor(array) => self.json_array(array, scope),
            NodeEnum::JsonArrayQueryConstructor(array) => self.json_array_query(array, scope),
            NodeEnum::JsonObjectAgg(aggregate) => self.json_object_aggregate(aggregate, scope),
            NodeEnum::JsonArrayAgg(aggregate) => self.json_array_aggregate(aggregate, scope),
            NodeEnum::JsonFuncExpr(function) => self.json_function(function, scope),
            NodeEnum::JsonParseExpr(parse) => self.json_parse(parse, scope),
            NodeEnum::JsonScalarExpr(scalar) => self.json_scalar(scalar, scope),
            NodeEnum::JsonSerializeExpr(serialize) => self.json_serialize(serialize, scope),
            NodeEnum::CurrentOfExpr(current) => {
                self.seen.mark(current.as_ref());
                // The row that a cursor of this session stands on: it is found by its place.
                let target = scope
                    .items
                    .first()
                    .and_then(|item| item.field("ctid").transpose());
                target.unwrap_or_else(|| Err(Refusal::not_understood("WHERE CURRENT OF here")))
            }
            queries!()
            | session_commands!()
            | schema_commands!()
            | server_commands!()
            | ranges!()
            | parts!()
            | planned!() => Err(Refusal::not_understood("this construct in an expression")),
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
        // A value of a type that a cast starts from may be cast wherever it goes, without being asked.
        self.user_casts(&value, Towards::Anywhere)?;
        let looked_through: usize = scope.items.iter().map(|item| item.fields.len()).sum();
        self.work(
            looked_through
                .div_ceil(16)
                .saturating_add(value.sources.len()),
        )?;
        Ok(value)
    }

    /// `item.name` where `name` is no column: the server tries `name(item)`.
    pub(super) fn functional(&mut self, item: &Item, name: &str) -> Result<Value, Refusal> {
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
        let mut value = row.clone().derived();
        value.taint(&self.functional_call(name, &row)?);
        Ok(value)
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
        let mut compared: &[&str] = &[];
        match expression.kind() {
            AExprKind::AexprBetween
            | AExprKind::AexprNotBetween
            | AExprKind::AexprBetweenSym
            | AExprKind::AexprNotBetweenSym => {
                compared = &["<", "<=", ">", ">="];
            }
            AExprKind::Undefined => {
                return Err(Refusal::not_understood("this operator").at(expression.location));
            }
            _ => {}
        }
        let left = self.optional(expression.lexpr.as_deref(), scope)?;
        let right = self.optional(expression.rexpr.as_deref(), scope)?;
        let plain = left.plain || right.plain;
        let cast = self.casts_of_operands(expression, [&left, &right])?;
        // A literal is read as what the other operand asks for.
        let fits = |node: Option<&Node>, value: &Value| {
            let literal = |node: &Node| matches!(node.node, Some(NodeEnum::AConst(_)));
            value.plain || node.is_none_or(literal)
        };
        let all_plain = plain
            && fits(expression.lexpr.as_deref(), &left)
            && fits(expression.rexpr.as_deref(), &right);
        let gives_plain = self.operator_gives_plain(expression, all_plain);
        let extent = self.operator_extent(expression, [&left, &right]);
        let [left, right] = [left.derived(), right.derived()];
        let mut value = left.clone();
        value.taint(&right);
        let operands = match (&expression.lexpr, &expression.rexpr) {
            (Some(_), Some(_)) => vec![left, right],
            _ => vec![value.clone()],
        };
        if compared.is_empty() {
            value.taint(&self.operator(&expression.name, &operands)?);
        }
        for operator in compared {
            value.taint(&self.user_operators(None, operator, &operands)?);
        }
        if !plain || !is_total(expression, &value, extent) {
            self.book.computed(&value);
        }
        value.taint(&cast);
        value.plain = gives_plain;
        value.extent = extent;
        Ok(value)
    }

    /// One column of `(a, b) = (...)`: what stands at its place.
    fn multiple_assignment(
        &mut self,
        assign: &pg::MultiAssignRef,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        self.seen.mark(assign);
        let place = usize::try_from(assign.colno)
            .ok()
            .and_then(|number| number.checked_sub(1));
        match assign.source.as_deref().map(|node| &node.node) {
            Some(Some(NodeEnum::RowExpr(row))) => {
                self.seen.mark(row.as_ref());
                let parts = self.row(&row.args, scope)?;
                let part = parts.row.iter().zip(place);
                let part = part.filter_map(|(fields, place)| fields.get(place)).next();
                Ok(part.map_or(parts.clone().derived(), |field| field.value.clone()))
            }
            Some(Some(NodeEnum::SubLink(link))) => {
                self.seen.mark(link.as_ref());
                let Some(Some(NodeEnum::SelectStmt(select))) =
                    link.subselect.as_deref().map(|node| &node.node)
                else {
                    return Err(Refusal::not_understood("this subquery").at(link.location));
                };
                let rows = self.select(select, scope)?;
                let part = place.and_then(|place| rows.fields.get(place));
                let mut value = match part.filter(|_| rows.open.is_none()) {
                    Some(field) => field.value.clone().derived(),
                    None => rows.everything(),
                };
                value.taint(&rows.control);
                Ok(value)
            }
            _ => Ok(self.optional(assign.source.as_deref(), scope)?.derived()),
        }
    }

    fn case(&mut self, case: &pg::CaseExpr, scope: &Scope<'_>) -> Result<Value, Refusal> {
        self.seen.mark(case);
        let mut control = Value::default();
        let mut value = Value::default();
        let (mut compares, mut plain) = (false, false);
        if let Some(argument) = case.arg.as_deref() {
            compares = true;
            control.taint(&self.expression(argument, scope)?);
        }
        for when in &case.args {
            let Some(NodeEnum::CaseWhen(when)) = &when.node else {
                return Err(Refusal::not_understood("this CASE"));
            };
            self.seen.mark(when.as_ref());
            control.taint(&self.optional(when.expr.as_deref(), scope)?);
            let result = self.optional(when.result.as_deref(), scope)?;
            plain |= result.plain;
            value.taint(&result);
        }
        let otherwise = self.optional(case.defresult.as_deref(), scope)?;
        plain |= otherwise.plain;
        value.taint(&otherwise);
        if compares {
            let operands = [control.clone(), control.clone()];
            control.taint(&self.user_operators(None, "=", &operands)?);
        }
        self.book.used(&control, Use::Filter);
        value.add(&control);
        value.plain = plain;
        Ok(value)
    }

    fn sub_link(&mut self, link: &pg::SubLink, scope: &Scope<'_>) -> Result<Value, Refusal> {
        self.seen.mark(link);
        let mut value = self.optional(link.testexpr.as_deref(), scope)?.derived();
        match link.sub_link_type() {
            SubLinkType::AnySublink
            | SubLinkType::AllSublink
            | SubLinkType::RowcompareSublink
            | SubLinkType::ExistsSublink
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
        let keep = std::mem::replace(&mut self.keep, Keep::Always);
        let rows = self.select(select, scope);
        self.keep = keep;
        let rows = rows?;
        value.taint(&rows.control);
        let plain = matches!(rows.fields.as_slice(), [only] if only.value.plain);
        // Arrays of which an array is made must be of one shape.
        if link.sub_link_type() == SubLinkType::ArraySublink && !plain {
            self.book.computed(&rows.everything());
        }
        value.plain = match link.sub_link_type() {
            SubLinkType::ExprSublink => plain,
            SubLinkType::ExistsSublink => true,
            _ => false,
        };
        if link.sub_link_type() == SubLinkType::ExistsSublink {
            // Nobody asks for them, in a view neither; the server wants the right to read them.
            for field in &rows.fields {
                self.book.used(&field.value, Use::Output);
            }
        } else {
            value.taint(&rows.everything());
        }
        // The one row's one column, if that is a row.
        if let (SubLinkType::ExprSublink, [only], None) =
            (link.sub_link_type(), rows.fields.as_slice(), &rows.open)
            && let Some(fields) = self.row_of(&only.value)
        {
            let mut fields = fields.as_ref().clone();
            for field in &mut fields {
                field.value.described = None;
                field.value.taint(&rows.control);
            }
            value.row = Some(Arc::new(fields));
        }
        if matches!(
            link.sub_link_type(),
            SubLinkType::AnySublink | SubLinkType::AllSublink | SubLinkType::RowcompareSublink
        ) {
            let operands = [value.clone(), value.clone()];
            let compared = if link.oper_name.is_empty() {
                self.user_operators(None, "=", &operands)?
            } else {
                self.operator(&link.oper_name, &operands)?
            };
            value.taint(&compared);
            // `x IN (SELECT ...)` is true, false or null.
            self.book.computed(&value);
        }
        Ok(value)
    }
}

/// A truth value that hangs on these columns.
fn truth(value: Value) -> Value {
    Value {
        plain: true,
        ..value.derived()
    }
}

/// Whether an operator of which an operand is plain never fails, and is null only if an operand is: comparisons, and
/// concatenation that can't grow too long. Looks at no constant's value: templates rest on that (`readings/template.rs`).
fn is_total(expression: &pg::AExpr, value: &Value, extent: Extent) -> bool {
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
                    && extent.is_bounded()
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

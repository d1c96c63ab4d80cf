//! Queries: WITH, FROM, joins, set operations, grouping, ordering. Gives each output column what it is computed from.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{Node, SelectStmt, SetOperation, a_const::Val},
};

use super::{
    Refusal,
    book::Value,
    names::{UNNAMED, column_name},
    predicate::Holds,
    resolver::{Resolver, strings},
    scope::{Field, Item, Scope},
};
use crate::facts::Use;

/// What a query gives.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    pub(super) fields: Vec<Field>,
    /// The columns that decide which rows there are.
    pub(super) control: Value,
    /// Some column's name or number is not known: any may be computed from this.
    pub(super) open: Option<Value>,
}

/// The columns of rows, for those who name them or count them.
#[derive(Debug, Clone, Copy)]
struct Outputs<'r> {
    fields: &'r [Field],
    /// As in [`Rows`].
    open: Option<&'r Value>,
}

impl Outputs<'_> {
    /// All that the rows are computed from.
    fn everything(&self) -> Value {
        let mut value = self.open.cloned().unwrap_or_default().derived();
        for field in self.fields {
            value.taint(&field.value);
        }
        value
    }
}

impl Rows {
    fn outputs(&self) -> Outputs<'_> {
        Outputs {
            fields: &self.fields,
            open: self.open.as_ref(),
        }
    }

    /// All that the rows are computed from.
    pub(super) fn everything(&self) -> Value {
        self.outputs().everything()
    }

    /// What any column may be computed from, where not all are known.
    pub(super) fn unknown(&self) -> Option<Value> {
        self.open.as_ref().map(|_| self.everything())
    }
}

/// Most columns of a result, as the server has it.
///
/// # Source
/// PostgreSQL, `MaxTupleAttributeNumber` in `src/include/access/htup_details.h`.
const TARGETS_MAX: usize = 1664;
impl Resolver<'_> {
    /// A SELECT, VALUES, TABLE or set operation.
    pub(super) fn select(
        &mut self,
        select: &SelectStmt,
        outer: &Scope<'_>,
    ) -> Result<Rows, Refusal> {
        self.nested(|resolver| {
            resolver.seen.mark(select);
            if let Some(into) = &select.into_clause {
                let location = into.rel.as_ref().map_or(-1, |relation| relation.location);
                return Err(
                    Refusal::new("42601", "SELECT ... INTO is not allowed here").at(location)
                );
            }
            let level = resolver.with(select.with_clause.as_ref(), outer)?;
            match select.op() {
                SetOperation::SetopNone if !select.values_lists.is_empty() => {
                    resolver.values(select, &level)
                }
                SetOperation::SetopNone => resolver.plain(select, level),
                SetOperation::SetopUnion
                | SetOperation::SetopIntersect
                | SetOperation::SetopExcept => resolver.set_operation(select, &level),
                SetOperation::Undefined => Err(Refusal::not_understood("this set operation")),
            }
        })
    }

    fn values(&mut self, select: &SelectStmt, level: &Scope<'_>) -> Result<Rows, Refusal> {
        let mut fields: Vec<Field> = Vec::new();
        let mut open: Option<Value> = None;
        for row in &select.values_lists {
            let Some(NodeEnum::List(row)) = &row.node else {
                return Err(Refusal::not_understood("this VALUES"));
            };
            let mut one = Rows::default();
            for node in &row.items {
                if !self.star(node, level, &mut one)? {
                    let value = self.expression(node, level)?;
                    self.output_used(&value);
                    one.fields.push(Field {
                        name: UNNAMED.into(),
                        value,
                    });
                }
            }
            if let Some(more) = &one.open {
                open.get_or_insert_default().add(more);
            }
            for (index, field) in one.fields.into_iter().enumerate() {
                match fields.get_mut(index) {
                    Some(known) => known.value.add(&field.value),
                    None => fields.push(Field {
                        name: format!("column{}", index.saturating_add(1)).into(),
                        value: field.value,
                    }),
                }
            }
        }
        for field in &mut fields {
            field.value.described = None;
        }
        let scope = Scope {
            items: vec![Item {
                open: open.clone(),
                ..Item::new(None, fields.clone())
            }],
            ..Scope::below(level)
        };
        let outputs = Outputs {
            fields: &fields,
            open: open.as_ref(),
        };
        let mut control = self.order(select, outputs, &scope)?;
        control.add(&self.limits(select, level)?);
        Ok(Rows {
            fields,
            control,
            open,
        })
    }

    fn set_operation(&mut self, select: &SelectStmt, level: &Scope<'_>) -> Result<Rows, Refusal> {
        let (Some(left), Some(right)) = (select.larg.as_deref(), select.rarg.as_deref()) else {
            return Err(Refusal::not_understood("this set operation"));
        };
        let mut left = self.select(left, level)?;
        let mut right = self.select(right, level)?;
        let mut open = None;
        if left.open.is_some() || right.open.is_some() {
            // Which column meets which is not known: each may be computed from all.
            let mut everything = left.everything();
            everything.taint(&right.everything());
            if select.op() != SetOperation::SetopUnion || !select.all {
                self.book.used(&everything, Use::Group);
                left.control.taint(&everything);
            }
            for field in left.fields.iter_mut().chain(&mut right.fields) {
                field.value = everything.clone();
            }
            let columns = left.fields.len().min(right.fields.len());
            left.fields.truncate(columns);
            right.fields.truncate(columns);
            open = Some(everything);
        }
        if left.fields.len() != right.fields.len() {
            return Err(Refusal::new(
                "42601",
                "each set operation query must have the same number of columns",
            ));
        }
        let mut control = left.control;
        control.add(&right.control);
        let compared = !select.all || select.op() != SetOperation::SetopUnion;
        let mut fields = Vec::with_capacity(left.fields.len());
        for (mut field, other) in left.fields.into_iter().zip(right.fields) {
            if compared {
                self.book.used(&field.value, Use::Group);
                self.book.used(&other.value, Use::Group);
            }
            if select.op() == SetOperation::SetopExcept {
                field.value.taint(&other.value);
            } else {
                field.value.add(&other.value);
            }
            field.value.described = None;
            if select.op() != SetOperation::SetopUnion {
                control.taint(&field.value);
            }
            fields.push(field);
        }
        let scope = Scope {
            items: vec![Item {
                open: open.clone(),
                ..Item::new(None, fields.clone())
            }],
            ..Scope::below(level)
        };
        let outputs = Outputs {
            fields: &fields,
            open: open.as_ref(),
        };
        control.add(&self.order(select, outputs, &scope)?);
        control.add(&self.limits(select, level)?);
        Ok(Rows {
            fields,
            control,
            open,
        })
    }

    fn plain(&mut self, select: &SelectStmt, mut level: Scope<'_>) -> Result<Rows, Refusal> {
        let where_held = std::mem::replace(&mut self.where_held, false);
        let mut control = Value::default();
        level.items = {
            let outer = Scope {
                parent: level.parent,
                ctes: level.ctes.clone(),
                ..Scope::default()
            };
            let (items, joined) = self.from(&select.from_clause, &outer)?;
            control.add(&joined);
            items
        };
        control.add(&self.predicate(select.where_clause.as_deref(), &level, Holds::Always)?);
        for node in &select.window_clause {
            let Some(NodeEnum::WindowDef(window)) = &node.node else {
                return Err(Refusal::not_understood("this WINDOW"));
            };
            let value = self.window(window, &level)?;
            level.windows.push((window.name.as_str().into(), value));
        }
        self.where_held = true;
        let mut rows = self.targets(&select.target_list, &level)?;
        self.where_held = false;
        if select.group_distinct {
            self.since(14, "GROUP BY DISTINCT")?;
        }
        for node in &select.group_clause {
            let value = self.group(node, rows.outputs(), &level)?;
            self.book.used(&value, Use::Group);
            control.taint(&value);
        }
        if let Some(having) = select.having_clause.as_deref() {
            let value = self.expression(having, &level)?;
            self.book.used(&value, Use::Filter);
            self.book.filtered(&value);
            control.taint(&value);
        }
        for node in &select.distinct_clause {
            // `SELECT DISTINCT` without ON is one empty node.
            if node.node.is_some() {
                let value = self.positioned(node, rows.outputs(), &level, Prefer::Output)?;
                self.book.used(&value, Use::Group);
                control.taint(&value);
            } else {
                for field in &rows.fields {
                    self.book.used(&field.value, Use::Group);
                    control.taint(&field.value);
                }
            }
        }
        control.add(&self.order(select, rows.outputs(), &level)?);
        control.add(&self.limits(select, &level)?);
        self.locking(&select.locking_clause, &level)?;
        self.where_held = where_held;
        rows.control = control.derived();
        Ok(rows)
    }

    /// Notes output, except at the top of a view, where a column counts when it is referred to.
    fn output_used(&mut self, value: &Value) {
        if self.views.len() == self.outputs_from {
            self.book.used(value, Use::Output);
        }
    }

    /// A target list.
    pub(super) fn targets(&mut self, targets: &[Node], scope: &Scope<'_>) -> Result<Rows, Refusal> {
        let mut rows = Rows::default();
        for node in targets {
            let Some(NodeEnum::ResTarget(target)) = &node.node else {
                return Err(Refusal::not_understood("this target"));
            };
            self.seen.mark(target.as_ref());
            if rows.fields.len() >= TARGETS_MAX {
                return Err(Refusal::new(
                    "54011",
                    format!("target lists can have at most {TARGETS_MAX} entries"),
                ));
            }
            let Some(value) = target.val.as_deref() else {
                return Err(Refusal::not_understood("this target"));
            };
            if self.star(value, scope, &mut rows)? {
                continue;
            }
            let name: Arc<str> = match (&target.name, column_name(value)) {
                (name, _) if !name.is_empty() => name.as_str().into(),
                (_, Some(name)) => name.into(),
                (_, None) => {
                    rows.open.get_or_insert_default();
                    UNNAMED.into()
                }
            };
            let value = self.expression(value, scope)?;
            self.output_used(&value);
            rows.fields.push(Field { name, value });
        }
        Ok(rows)
    }

    /// Expands `*`, `item.*` and `(item).*`; false when the target is none of them.
    fn star(&mut self, node: &Node, scope: &Scope<'_>, rows: &mut Rows) -> Result<bool, Refusal> {
        let is_star = |nodes: &[Node]| {
            matches!(
                nodes.last().map(|node| &node.node),
                Some(Some(NodeEnum::AStar(_)))
            )
        };
        let names = match &node.node {
            Some(NodeEnum::ColumnRef(column)) if is_star(&column.fields) => {
                self.seen.mark(column);
                let (_, names) = column.fields.split_last().unwrap_or((node, &[]));
                strings(names)?
            }
            Some(NodeEnum::AIndirection(indirection)) if is_star(&indirection.indirection) => {
                let whole = whole_row_name(indirection, scope)?;
                let Some(name) = whole else {
                    self.spread(indirection, scope, rows)?;
                    return Ok(true);
                };
                self.seen.mark(indirection.as_ref());
                if let Some(Some(NodeEnum::ColumnRef(column))) =
                    indirection.arg.as_deref().map(|node| &node.node)
                {
                    self.seen.mark(column);
                }
                vec![name]
            }
            _ => return Ok(false),
        };
        let items: Vec<&Item> = match self.star_item(&names, scope)? {
            Some(item) => vec![item],
            None => scope.items.iter().filter(|item| item.bare).collect(),
        };
        if items.is_empty() {
            return Err(Refusal::new(
                "42601",
                "SELECT * with no tables specified is not valid",
            ));
        }
        for item in items {
            self.work(item.fields.len())?;
            if let Some(open) = &item.open {
                self.output_used(open);
                rows.open.get_or_insert_default().add(open);
            }
            for field in item.fields.iter() {
                self.output_used(&field.value);
                rows.fields.push(field.clone());
            }
        }
        Ok(true)
    }

    /// `(value).*`: the fields of a row.
    fn spread(
        &mut self,
        indirection: &pg_query::protobuf::AIndirection,
        scope: &Scope<'_>,
        rows: &mut Rows,
    ) -> Result<(), Refusal> {
        let value = self.selected(indirection, scope)?;
        match self.row_of(&value) {
            Some(fields) => {
                self.work(fields.len())?;
                for field in fields.iter() {
                    self.output_used(&field.value);
                    rows.fields.push(Field {
                        name: field.name.clone(),
                        value: Value {
                            described: None,
                            ..field.value.clone()
                        },
                    });
                }
            }
            None => {
                let value = value.derived();
                self.output_used(&value);
                rows.open.get_or_insert_default().add(&value);
            }
        }
        Ok(())
    }

    fn group(
        &mut self,
        node: &Node,
        outputs: Outputs<'_>,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        match &node.node {
            Some(NodeEnum::GroupingSet(set)) => {
                self.seen.mark(set);
                let mut value = Value::default();
                for node in &set.content {
                    value.add(&self.nested(|resolver| resolver.group(node, outputs, scope))?);
                }
                Ok(value)
            }
            Some(NodeEnum::RowExpr(row)) if !row.args.is_empty() => {
                self.seen.mark(row.as_ref());
                let mut value = Value::default();
                for node in &row.args {
                    value.add(&self.positioned(node, outputs, scope, Prefer::Input)?);
                }
                Ok(value)
            }
            _ => self.positioned(node, outputs, scope, Prefer::Input),
        }
    }

    /// What rows are ordered by: with a limit, and where one row is picked, it decides which there are.
    fn order(
        &mut self,
        select: &SelectStmt,
        outputs: Outputs<'_>,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        let mut sorted = Value::default();
        for node in &select.sort_clause {
            let Some(NodeEnum::SortBy(sort)) = &node.node else {
                return Err(Refusal::not_understood("this ORDER BY"));
            };
            self.seen.mark(sort.as_ref());
            let Some(key) = sort.node.as_deref() else {
                return Err(Refusal::not_understood("this ORDER BY"));
            };
            let value = self.positioned(key, outputs, scope, Prefer::Output)?;
            self.operator(&sort.use_op, &[value.clone(), value.clone()])?;
            self.book.used(&value, Use::Sort);
            sorted.taint(&value);
        }
        Ok(sorted)
    }

    /// A key of GROUP BY, DISTINCT ON or ORDER BY: a position, an output name or an expression.
    fn positioned(
        &mut self,
        node: &Node,
        outputs: Outputs<'_>,
        scope: &Scope<'_>,
        prefer: Prefer,
    ) -> Result<Value, Refusal> {
        match &node.node {
            Some(NodeEnum::AConst(constant)) => {
                let Some(Val::Ival(position)) = &constant.val else {
                    return Ok(Value::default());
                };
                if outputs.open.is_some() {
                    // Where columns start and end is not known.
                    return Ok(outputs.everything());
                }
                let index = usize::try_from(position.ival)
                    .ok()
                    .and_then(|position| position.checked_sub(1));
                let field = index.and_then(|index| outputs.fields.get(index));
                let missing = || {
                    Refusal::new(
                        "42P10",
                        format!("position {} is not in select list", position.ival),
                    )
                    .at(constant.location)
                };
                field.map(|field| field.value.clone()).ok_or_else(missing)
            }
            Some(NodeEnum::ColumnRef(column)) => {
                let names = strings(&column.fields).unwrap_or_default();
                let [name] = names.as_slice() else {
                    return self.expression(node, scope);
                };
                let named: Vec<&Field> = outputs
                    .fields
                    .iter()
                    .filter(|field| *field.name == **name)
                    .collect();
                // GROUP BY prefers a column of this level's FROM; ORDER BY the output. Where both exist, both are noted.
                let input = scope
                    .items
                    .iter()
                    .any(|item| item.bare && item.fields.iter().any(|field| *field.name == **name));
                if named.is_empty() || (prefer == Prefer::Input && input) {
                    return self.expression(node, scope);
                }
                self.seen.mark(column);
                let mut value = Value::default();
                for field in named {
                    value.add(&field.value);
                }
                Ok(value)
            }
            _ => self.expression(node, scope),
        }
    }

    fn limits(&mut self, select: &SelectStmt, level: &Scope<'_>) -> Result<Value, Refusal> {
        let mut control = Value::default();
        let count = select.limit_count.as_deref();
        for node in count.into_iter().chain(select.limit_offset.as_deref()) {
            // Columns of this level are not allowed there, those of outer levels are.
            let value = self.expression(node, level)?;
            self.book.used(&value, Use::Filter);
            control.taint(&value);
        }
        Ok(control)
    }

    fn locking(&mut self, clauses: &[Node], level: &Scope<'_>) -> Result<(), Refusal> {
        for node in clauses {
            let Some(NodeEnum::LockingClause(clause)) = &node.node else {
                return Err(Refusal::not_understood("this locking clause"));
            };
            self.seen.mark(clause);
            let mut named = Vec::new();
            for node in &clause.locked_rels {
                let Some(NodeEnum::RangeVar(relation)) = &node.node else {
                    return Err(Refusal::not_understood("this locking clause"));
                };
                self.seen.mark(relation);
                named.push(relation.relname.as_str());
            }
            for item in &level.items {
                if named.is_empty()
                    || item
                        .name
                        .as_deref()
                        .is_some_and(|name| named.contains(&name))
                {
                    // What a view or a subquery reads is locked too.
                    self.book.lock(item.entries.clone());
                }
            }
        }
        Ok(())
    }
}

/// The item whose whole row `(name).*` expands; `None` for any other value.
fn whole_row_name<'n>(
    indirection: &'n pg_query::protobuf::AIndirection,
    scope: &Scope<'_>,
) -> Result<Option<&'n str>, Refusal> {
    let (Some(Some(NodeEnum::ColumnRef(column))), [_]) = (
        indirection.arg.as_deref().map(|node| &node.node),
        indirection.indirection.as_slice(),
    ) else {
        return Ok(None);
    };
    let names = strings(&column.fields)?;
    let [only] = names.as_slice() else {
        return Ok(None);
    };
    let whole = matches!(scope.bare(only)?, super::scope::Meaning::Row(_));
    Ok(whole.then_some(*only))
}

/// Where a bare name in GROUP BY and ORDER BY is looked up first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Prefer {
    Input,
    Output,
}

/// Gives columns the names of an alias list.
///
/// # Errors
/// 42P10 when the list is longer than the columns.
pub(super) fn rename(mut fields: Vec<Field>, names: &[&str]) -> Result<Vec<Field>, Refusal> {
    if names.len() > fields.len() {
        return Err(Refusal::new(
            "42P10",
            format!("{} column names for {} columns", names.len(), fields.len()),
        ));
    }
    for (field, name) in fields.iter_mut().zip(names) {
        field.name = (*name).into();
    }
    Ok(fields)
}

//! FROM: relations, subqueries, functions and joins become range items.

mod function;

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, JoinType, Node},
};

use super::{
    Refusal,
    book::{Descend, Value},
    nodes::{
        expressions, parts, planned, queries, schema_commands, server_commands, session_commands,
    },
    query::rename,
    resolver::{Resolver, strings},
    scope::{Field, Item, Scope},
};
use crate::facts::Use;

impl Resolver<'_> {
    /// The items of a FROM list, and the columns that ON conditions are about.
    pub(super) fn from(
        &mut self,
        list: &[Node],
        outer: &Scope<'_>,
    ) -> Result<(Vec<Item>, Value), Refusal> {
        let mut items = Vec::new();
        let mut control = Value::default();
        for node in list {
            let new = self.range_item(node, outer, &items, &mut control)?;
            items.extend(new);
        }
        Ok((items, control.derived()))
    }

    /// One item of FROM; `left` are the items that LATERAL sees.
    pub(super) fn range_item(
        &mut self,
        node: &Node,
        outer: &Scope<'_>,
        left: &[Item],
        control: &mut Value,
    ) -> Result<Vec<Item>, Refusal> {
        let mark = self.book.mark();
        self.nested(|resolver| match &node.node {
            Some(NodeEnum::RangeVar(name)) => {
                let item = resolver.range_variable(name, outer)?;
                control.taint(&item.control);
                let entries = mark..resolver.book.mark();
                Ok(vec![Item { entries, ..item }])
            }
            Some(NodeEnum::RangeSubselect(subselect)) => {
                let item = resolver.subselect(subselect, outer, left)?;
                control.taint(&item.control);
                let entries = mark..resolver.book.mark();
                Ok(vec![Item { entries, ..item }])
            }
            Some(NodeEnum::RangeFunction(function)) => {
                let item = resolver.range_function(function, outer, left)?;
                Ok(computed(item, control))
            }
            Some(NodeEnum::RangeTableFunc(function)) => {
                let item = resolver.xml_table(function, outer, left)?;
                Ok(computed(item, control))
            }
            Some(NodeEnum::RangeTableSample(sample)) => {
                resolver.sample(sample, outer, left, control)
            }
            Some(NodeEnum::JoinExpr(join)) => resolver.join(join, outer, left, control),
            Some(NodeEnum::JsonTable(table)) => {
                let item = resolver.json_table(table, outer, left)?;
                Ok(computed(item, control))
            }
            Some(
                queries!()
                | session_commands!()
                | schema_commands!()
                | server_commands!()
                | expressions!()
                | parts!()
                | planned!(),
            )
            | None => Err(Refusal::not_understood("this item of FROM")),
        })
    }

    fn range_variable(&mut self, name: &pg::RangeVar, outer: &Scope<'_>) -> Result<Item, Refusal> {
        self.seen.mark(name);
        let mut item = match outer
            .cte(&name.relname)
            .filter(|_| name.schemaname.is_empty())
        {
            Some(cte) => {
                let Some(fields) = &cte.fields else {
                    return Err(Refusal::not_understood(
                        "a forward reference to a common table expression",
                    )
                    .at(name.location));
                };
                Item {
                    fields: fields.clone(),
                    open: cte.open.clone(),
                    control: cte.control.clone(),
                    ..Item::new(Some(cte.name.clone()), Vec::new())
                }
            }
            None => {
                let relation = self.relation(name)?;
                let descend = if name.inh {
                    Descend::All
                } else {
                    Descend::Only
                };
                let keep = self.keep;
                self.relation_item(&relation, descend, keep)?
            }
        };
        alias(&mut item, name.alias.as_ref())?;
        Ok(item)
    }

    fn subselect(
        &mut self,
        subselect: &pg::RangeSubselect,
        outer: &Scope<'_>,
        left: &[Item],
    ) -> Result<Item, Refusal> {
        self.seen.mark(subselect);
        if subselect.alias.is_none() {
            self.since(16, "a subquery in FROM without an alias")?;
        }
        let mut scope = Scope::below(outer);
        if subselect.lateral {
            scope.items = left.to_vec();
        }
        let Some(Some(NodeEnum::SelectStmt(select))) =
            subselect.subquery.as_deref().map(|node| &node.node)
        else {
            return Err(Refusal::not_understood("this subquery"));
        };
        let rows = self.select(select, &scope)?;
        let open = rows.unknown();
        let mut item = Item::new(None, rows.fields);
        item.open = open;
        item.control = rows.control;
        alias(&mut item, subselect.alias.as_ref())?;
        Ok(item)
    }

    fn sample(
        &mut self,
        sample: &pg::RangeTableSample,
        outer: &Scope<'_>,
        left: &[Item],
        control: &mut Value,
    ) -> Result<Vec<Item>, Refusal> {
        self.seen.mark(sample);
        let Some(relation) = sample.relation.as_deref() else {
            return Err(Refusal::not_understood("this TABLESAMPLE"));
        };
        let items = self.range_item(relation, outer, left, control)?;
        let names = strings(&sample.method)?;
        if !matches!(names.last(), Some(&("system" | "bernoulli"))) {
            self.book.opaque(
                names.last().copied().unwrap_or_default(),
                "a sampling method that is not the server's own",
            );
        }
        let scope = Scope::lateral(outer, left);
        for node in sample.args.iter().chain(sample.repeatable.as_deref()) {
            let value = self.expression(node, &scope)?;
            self.book.used(&value, Use::Filter);
        }
        Ok(items)
    }

    fn join(
        &mut self,
        join: &pg::JoinExpr,
        outer: &Scope<'_>,
        left: &[Item],
        control: &mut Value,
    ) -> Result<Vec<Item>, Refusal> {
        self.seen.mark(join);
        if join.join_using_alias.is_some() {
            self.since(14, "an alias for JOIN ... USING")?;
        }
        let (Some(larg), Some(rarg)) = (join.larg.as_deref(), join.rarg.as_deref()) else {
            return Err(Refusal::not_understood("this join"));
        };
        let mut before = self.range_item(larg, outer, left, control)?;
        let visible: Vec<Item> = left.iter().chain(&before).cloned().collect();
        let mut after = self.range_item(rarg, outer, &visible, control)?;
        let columns = |items: &[Item]| -> Vec<Field> {
            items
                .iter()
                .filter(|item| item.bare)
                .flat_map(|item| item.fields.iter().cloned())
                .collect()
        };
        let (left_fields, right_fields) = (columns(&before), columns(&after));
        let merged: Vec<&str> = if join.is_natural {
            if before.iter().chain(&after).any(|item| item.open.is_some()) {
                // Which columns they share is not known: any may decide.
                self.book
                    .opaque("join", "a natural join over columns that are not known");
                for item in before.iter().chain(&after) {
                    let row = item.whole_row();
                    self.book.used(&row, Use::Join);
                    control.taint(&row);
                }
            }
            left_fields
                .iter()
                .map(|field| &*field.name)
                .filter(|name| right_fields.iter().any(|field| &*field.name == *name))
                .collect()
        } else {
            strings(&join.using_clause)?
        };
        let mut fields = self.merged(&merged, &left_fields, &right_fields, control)?;
        let using = Item::new(
            join.join_using_alias
                .as_ref()
                .map(|alias| alias.aliasname.as_str().into()),
            fields.clone(),
        );
        fields.extend(
            left_fields
                .iter()
                .chain(&right_fields)
                .filter(|field| !merged.contains(&&*field.name))
                .cloned(),
        );
        let mut open = before
            .iter()
            .chain(&after)
            .filter(|item| item.bare)
            .filter_map(|item| item.open.clone());
        let open = open.next().map(|first| {
            open.fold(first, |mut all, value| {
                all.taint(&value);
                all
            })
        });
        if let Some(quals) = join.quals.as_deref() {
            let scope = Scope {
                items: before.iter().chain(&after).cloned().collect(),
                ..Scope::below(outer)
            };
            let value = self.expression(quals, &scope)?;
            self.book.used(&value, Use::Join);
            control.taint(&value);
        }
        if !matches!(
            join.jointype(),
            JoinType::JoinInner | JoinType::JoinLeft | JoinType::JoinRight | JoinType::JoinFull
        ) {
            return Err(Refusal::not_understood("this join"));
        }
        let mut item = Item {
            open,
            ..Item::new(None, fields)
        };
        let mut items = Vec::new();
        if join.alias.is_some() {
            alias(&mut item, join.alias.as_ref())?;
        } else {
            for old in before.iter_mut().chain(&mut after) {
                old.bare = false;
            }
            items.extend(before);
            items.extend(after);
        }
        if using.name.is_some() {
            items.push(Item {
                bare: false,
                ..using
            });
        }
        items.push(item);
        Ok(items)
    }

    fn merged(
        &mut self,
        names: &[&str],
        left: &[Field],
        right: &[Field],
        control: &mut Value,
    ) -> Result<Vec<Field>, Refusal> {
        let only = |fields: &[Field], name: &str| -> Result<Value, Refusal> {
            let mut found = fields.iter().filter(|field| &*field.name == name);
            match (found.next(), found.next()) {
                (Some(field), None) => Ok(field.value.clone()),
                (Some(_), Some(_)) => Err(Refusal::new(
                    "42702",
                    format!("common column name \"{name}\" appears more than once"),
                )),
                (None, _) => Err(Refusal::unknown(
                    "42703",
                    format!("column \"{name}\" specified in USING clause does not exist"),
                )),
            }
        };
        let mut fields = Vec::new();
        for name in names {
            let mut value = only(left, name)?;
            value.add(&only(right, name)?);
            value.described = None;
            self.user_operators(None, "=", &[value.clone(), value.clone()])?;
            self.book.used(&value, Use::Join);
            control.taint(&value);
            fields.push(Field {
                name: (*name).into(),
                value,
            });
        }
        Ok(fields)
    }
}

/// Applies `AS name (columns)`. An item with an alias is no longer known by its schema.
pub(super) fn alias(item: &mut Item, alias: Option<&pg::Alias>) -> Result<(), Refusal> {
    let Some(alias) = alias else { return Ok(()) };
    item.name = Some(alias.aliasname.as_str().into());
    item.schema = None;
    let names = strings(&alias.colnames)?;
    if !names.is_empty() && item.open.is_none() {
        item.fields = Arc::new(rename(item.fields.as_ref().clone(), &names)?);
    }
    Ok(())
}

/// An item that is computed: how many rows it gives hangs on what its columns hang on.
fn computed(item: Item, control: &mut Value) -> Vec<Item> {
    control.taint(&item.whole_row());
    vec![item]
}

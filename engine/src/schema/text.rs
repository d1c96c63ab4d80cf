//! Parts of a statement as texts that the analysis reads with pg_catalog alone in the path: users' relations, functions,
//! types and operators get the schema that they have now, as the server's own deparsed texts have it.

use std::{collections::BTreeSet, ops::Range};

use pg_query::{
    NodeEnum,
    protobuf::{LimitOption, Node, ResTarget, SelectStmt, SetOperation},
};
use serde_json::{Map, Value};

use super::{Problem, draft::Draft};
use crate::sql;

/// A text with its names qualified, and what it is made of.
#[derive(Debug, Default)]
pub(super) struct Qualified {
    pub(super) text: String,
    /// It calls a function of users, or uses an operator of theirs.
    pub(super) calls_users: bool,
    /// A `*` was left as it is.
    pub(super) starred: bool,
    /// The last names of its column references.
    pub(super) columns: BTreeSet<String>,
}

/// An expression on its own.
pub(super) fn expression(draft: &Draft, node: &Node) -> Result<Qualified, Problem> {
    let target = ResTarget {
        val: Some(Box::new(node.clone())),
        ..ResTarget::default()
    };
    let select = SelectStmt {
        target_list: vec![Node {
            node: Some(NodeEnum::ResTarget(Box::new(target))),
        }],
        // The library ends the process over a number that PostgreSQL does not have.
        limit_option: LimitOption::Default.into(),
        op: SetOperation::SetopNone.into(),
        ..SelectStmt::default()
    };
    let mut qualified = query(draft, &NodeEnum::SelectStmt(Box::new(select)))?;
    let expression = qualified
        .text
        .strip_prefix("SELECT ")
        .map(ToOwned::to_owned);
    qualified.text = expression.ok_or_else(|| Problem::not_understood("this expression"))?;
    Ok(qualified)
}

/// A query.
pub(super) fn query(draft: &Draft, node: &NodeEnum) -> Result<Qualified, Problem> {
    let text = node
        .deparse(pg_query::DeparseOptions::default())
        .map_err(|_| Problem::not_understood("this expression"))?;
    let tree = sql::parse(&text).map_err(|refusal| Problem::new(refusal.message))?;
    let tree = serde_json::to_value(&tree).map_err(|_| Problem::not_understood("this text"))?;
    let mut walk = Walk {
        draft,
        text: &text,
        ctes: BTreeSet::new(),
        edits: Vec::new(),
        found: Qualified::default(),
    };
    walk.collect_ctes(&tree);
    walk.visit(&tree)?;
    let mut edits = walk.edits;
    let mut found = walk.found;
    edits.sort_by_key(|(range, _)| range.start);
    let mut end = 0;
    for (range, with) in edits {
        found
            .text
            .push_str(text.get(end..range.start).unwrap_or_default());
        found.text.push_str(&with);
        end = range.end;
    }
    found.text.push_str(text.get(end..).unwrap_or_default());
    Ok(found)
}

/// A name as SQL writes it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Walks a tree as JSON: it knows structs by their fields, so it has no holes of its own.
struct Walk<'a> {
    draft: &'a Draft,
    text: &'a str,
    /// Names of common table expressions, wherever in the text.
    ctes: BTreeSet<String>,
    edits: Vec<(Range<usize>, String)>,
    found: Qualified,
}

impl Walk<'_> {
    fn collect_ctes(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(name)) = fields.get("ctename") {
                    self.ctes.insert(name.clone());
                }
                fields.values().for_each(|value| self.collect_ctes(value));
            }
            Value::Array(values) => values.iter().for_each(|value| self.collect_ctes(value)),
            _ => {}
        }
    }

    fn visit(&mut self, value: &Value) -> Result<(), Problem> {
        match value {
            Value::Array(values) => values.iter().try_for_each(|value| self.visit(value)),
            Value::Object(fields) => {
                let has = |name: &str| fields.contains_key(name);
                if has("relpersistence") && has("relname") {
                    self.relation(fields)?;
                } else if has("funcname") && has("agg_star") {
                    self.function(fields);
                } else if has("typmods") && has("array_bounds") {
                    self.type_name(fields);
                } else if has("lexpr") && has("rexpr") {
                    self.operator(fields);
                } else if has("target_list") && has("from_clause") {
                    self.stars(fields);
                } else if let Some(Value::Object(column)) = fields.get("ColumnRef") {
                    self.found
                        .columns
                        .extend(strings(column.get("fields")).pop());
                }
                fields.values().try_for_each(|value| self.visit(value))
            }
            _ => Ok(()),
        }
    }

    fn insert(&mut self, fields: &Map<String, Value>, schema: &str) {
        if let Some(at) = location(fields) {
            self.edits.push((at..at, format!("{}.", quoted(schema))));
        }
    }

    fn relation(&mut self, fields: &Map<String, Value>) -> Result<(), Problem> {
        let (schema, name) = (text(fields, "schemaname"), text(fields, "relname"));
        if !schema.is_empty() {
            return Ok(());
        }
        let table = self.draft.find("", name);
        if self.ctes.contains(name) {
            return match table {
                // Which of them is meant depends on where it stands.
                Some(table) => Err(Problem::new(format!(
                    "`{name}` is a common table expression here and a relation too"
                ))
                .help(format!(
                    "write `{}.{name}` for the relation, or give the other one another name",
                    table.schema
                ))),
                None => Ok(()),
            };
        }
        if let Some(table) = table {
            let schema = table.schema.clone();
            self.insert(fields, &schema);
        }
        Ok(())
    }

    fn function(&mut self, fields: &Map<String, Value>) {
        let names = strings(fields.get("funcname"));
        match names.as_slice() {
            [name] => {
                if let Some(schema) = self.draft.function_schema(name).cloned() {
                    self.found.calls_users = true;
                    self.insert(fields, &schema);
                }
            }
            [.., schema, _] => self.found.calls_users |= schema != "pg_catalog",
            [] => {}
        }
    }

    fn type_name(&mut self, fields: &Map<String, Value>) {
        let names = strings(fields.get("names"));
        let [name] = names.as_slice() else { return };
        if let Some(schema) = super::types::users_schema(self.draft, name) {
            self.insert(fields, &schema);
        }
    }

    fn operator(&mut self, fields: &Map<String, Value>) {
        let names = strings(fields.get("name"));
        match names.as_slice() {
            [name] => {
                let Some(schema) = self.draft.operator_schema(name).cloned() else {
                    return;
                };
                self.found.calls_users = true;
                // The location is the operator's; of LIKE, IN and their kind it is a word.
                if let Some(at) = location(fields)
                    && self
                        .text
                        .get(at..)
                        .is_some_and(|rest| rest.starts_with(name.as_str()))
                {
                    let with = format!("OPERATOR({}.{name})", quoted(&schema));
                    self.edits.push((at..at.saturating_add(name.len()), with));
                }
            }
            [.., schema, _] => self.found.calls_users |= schema != "pg_catalog",
            [] => {}
        }
    }

    /// Spells out the stars of a select over one relation; others stay.
    fn stars(&mut self, fields: &Map<String, Value>) {
        let empty = Vec::new();
        let list = |name: &str| fields.get(name).and_then(Value::as_array).unwrap_or(&empty);
        let lone = match list("from_clause").as_slice() {
            [item] => node(item, "RangeVar"),
            _ => None,
        };
        for target in list("target_list") {
            let column = node(target, "ResTarget")
                .and_then(|target| target.get("val"))
                .and_then(|value| node(value, "ColumnRef"));
            let Some(column) = column else { continue };
            let star = column
                .get("fields")
                .and_then(Value::as_array)
                .and_then(|fields| fields.last())
                .is_some_and(|last| node(last, "AStar").is_some());
            if !star {
                continue;
            }
            match lone.and_then(|relation| self.columns_of(relation)) {
                Some(columns) => {
                    let at = location(column).unwrap_or(0);
                    let rest = self.text.get(at..).unwrap_or_default();
                    let end = rest
                        .find('*')
                        .map_or(at, |star| at.saturating_add(star).saturating_add(1));
                    self.edits.push((at..end, columns));
                }
                None => self.found.starred = true,
            }
        }
    }

    fn columns_of(&self, relation: &Map<String, Value>) -> Option<String> {
        let (schema, name) = (text(relation, "schemaname"), text(relation, "relname"));
        let alias = relation.get("alias").and_then(Value::as_object);
        let renamed = alias
            .and_then(|alias| alias.get("colnames"))
            .and_then(Value::as_array)
            .is_some_and(|names| !names.is_empty());
        if renamed || name.contains('*') || (schema.is_empty() && self.ctes.contains(name)) {
            return None;
        }
        let columns = &self.draft.find(schema, name)?.columns;
        let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }
}

/// The node of this sort that a `Node` holds.
fn node<'v>(value: &'v Value, sort: &str) -> Option<&'v Map<String, Value>> {
    value.get("node")?.get(sort)?.as_object()
}

fn text<'v>(fields: &'v Map<String, Value>, name: &str) -> &'v str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn location(fields: &Map<String, Value>) -> Option<usize> {
    usize::try_from(fields.get("location")?.as_i64()?).ok()
}

/// The strings of a name list.
fn strings(list: Option<&Value>) -> Vec<String> {
    let string = |value: &Value| Some(node(value, "String")?.get("sval")?.as_str()?.to_owned());
    list.and_then(Value::as_array)
        .map(|list| list.iter().filter_map(string).collect())
        .unwrap_or_default()
}

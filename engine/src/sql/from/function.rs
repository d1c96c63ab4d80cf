//! Functions in FROM, ROWS FROM and XMLTABLE: what columns they give.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, Node},
};

use super::{
    super::{
        Refusal,
        book::Value,
        call::Columns,
        names::column_name,
        predicate,
        resolver::{Resolver, strings},
        scope::{Field, Item, Scope},
    },
    alias,
};
use crate::catalog::TypeKind;

impl Resolver<'_> {
    pub(super) fn range_function(
        &mut self,
        function: &pg::RangeFunction,
        outer: &Scope<'_>,
        left: &[Item],
    ) -> Result<Item, Refusal> {
        self.seen.mark(function);
        let scope = Scope::lateral(outer, left);
        let mut fields = Vec::new();
        let mut open: Option<Value> = None;
        let mut named = None;
        for node in &function.functions {
            let Some(NodeEnum::List(pair)) = &node.node else {
                return Err(Refusal::not_understood("this function in FROM"));
            };
            let [call, definitions @ ..] = pair.items.as_slice() else {
                return Err(Refusal::not_understood("this function in FROM"));
            };
            if let Some(unnest) = self.is_unnest_of_several(call) {
                named.get_or_insert_with(|| "unnest".into());
                fields.extend(self.unnest_each(unnest, &scope, &mut open)?);
                continue;
            }
            let (value, of_users) = match &call.node {
                Some(NodeEnum::FuncCall(function)) => {
                    self.nested(|resolver| resolver.call_rows(function, &scope))?
                }
                _ => (self.expression(call, &scope)?, Columns::Unlisted),
            };
            let value = value.derived();
            let name: Arc<str> = column_name(call).unwrap_or_default().into();
            named.get_or_insert_with(|| name.clone());
            let inner: Vec<&Node> = definitions.iter().flat_map(list_items).collect();
            let definitions = if inner.is_empty() {
                function.coldeflist.iter().collect()
            } else {
                inner
            };
            if !definitions.is_empty() {
                fields.extend(self.column_definitions(&definitions, &value)?);
                continue;
            }
            let is_users = !matches!(of_users, Columns::Unlisted);
            let columns = match of_users {
                Columns::Unlisted => self.function_columns(call, &value),
                Columns::Known(fields) => Some(fields),
                Columns::Unknown => None,
            };
            match columns {
                Some(columns) if columns.is_empty() => {
                    // A function with one column: it takes the alias's name where there is one.
                    let single = function
                        .alias
                        .as_ref()
                        .filter(|_| function.functions.len() == 1)
                        .map(|alias| alias.aliasname.as_str().into());
                    fields.push(Field {
                        name: single.unwrap_or(name),
                        value,
                    });
                }
                Some(columns) => fields.extend(columns),
                None if is_users => open.get_or_insert_default().add(&value),
                None => match self.record_fields(call, &scope, &value)? {
                    Some(columns) => fields.extend(columns),
                    None => open.get_or_insert_default().add(&value),
                },
            }
        }
        if function.ordinality {
            fields.push(Field {
                name: "ordinality".into(),
                value: Value::default(),
            });
        }
        let mut item = Item::new(named, fields);
        item.open = open;
        if item.open.is_some() {
            // Where columns start and end is not known: names of an alias list are columns, computed from all of it.
            let value = item.whole_row();
            item.open = Some(value.clone());
            let names = function
                .alias
                .as_ref()
                .map(|alias| strings(&alias.colnames))
                .transpose()?
                .unwrap_or_default();
            item.fields = Arc::new(
                names
                    .iter()
                    .map(|name| Field {
                        name: (*name).into(),
                        value: value.clone(),
                    })
                    .collect(),
            );
        }
        alias(&mut item, function.alias.as_ref())?;
        Ok(item)
    }

    /// The columns that a function in FROM gives: none means one of its own name; `None`: not known.
    fn function_columns(&mut self, call: &Node, value: &Value) -> Option<Vec<Field>> {
        let call = match &call.node {
            Some(NodeEnum::FuncCall(call)) => call,
            // CURRENT_DATE, COALESCE and the like: one column.
            Some(_) => return Some(Vec::new()),
            None => return None,
        };
        let names = strings(&call.funcname).ok()?;
        let name = *names.last()?;
        let composite = matches!(
            name,
            "json_populate_record"
                | "jsonb_populate_record"
                | "json_populate_recordset"
                | "jsonb_populate_recordset"
                | "json_to_record"
        );
        if composite {
            return None;
        }
        if name == "unnest" {
            return self.element_fields(call.args.first()?, value);
        }
        let schema = match names.as_slice() {
            [schema, _] => *schema,
            _ => "pg_catalog",
        };
        let mut columns: Option<&[&str]> = None;
        for overload in self.overloads(schema, name, Some(call.args.len())) {
            // Rows of a type that the arguments give.
            let spreads = matches!(overload.result, "record" | "anyelement" | "anycompatible");
            if spreads && overload.columns.is_empty() {
                return None;
            }
            if columns.is_some_and(|known| known != overload.columns.as_slice()) {
                return None;
            }
            columns = Some(&overload.columns);
        }
        Some(
            columns?
                .iter()
                .map(|name| Field {
                    name: (*name).into(),
                    value: value.clone(),
                })
                .collect(),
        )
    }

    /// The columns of a function whose rows are like its first argument: `json_populate_record(NULL::address, document)`.
    fn record_fields(
        &mut self,
        call: &Node,
        scope: &Scope<'_>,
        value: &Value,
    ) -> Result<Option<Vec<Field>>, Refusal> {
        let Some(NodeEnum::FuncCall(call)) = &call.node else {
            return Ok(None);
        };
        let names = strings(&call.funcname)?;
        let like_first = matches!(
            names.as_slice(),
            [name] | ["pg_catalog", name] if matches!(*name, "json_populate_record"
                | "jsonb_populate_record" | "json_populate_recordset" | "jsonb_populate_recordset")
        );
        let users = names
            .last()
            .is_some_and(|name| !self.catalog.function_schemas(name).is_empty());
        let Some(first) = call.args.first().filter(|_| like_first && !users) else {
            return Ok(None);
        };
        let like = self.expression(first, scope)?;
        let fields = self.row_of(&like);
        let field = |field: &Field| Field {
            name: field.name.clone(),
            value: value.clone(),
        };
        Ok(fields.map(|fields| fields.iter().map(field).collect()))
    }

    /// The columns that an array's elements give: none means one of the function's own name, as of plain values; rows
    /// spread; of a tsvector there are three. `None`: not known.
    fn element_fields(&mut self, array: &Node, value: &Value) -> Option<Vec<Field>> {
        let each = |fields: Arc<Vec<Field>>| {
            let field = |field: &Field| Field {
                name: field.name.clone(),
                value: value.clone(),
            };
            fields.iter().map(field).collect()
        };
        match array.node.as_ref()? {
            NodeEnum::ParamRef(_) | NodeEnum::AConst(_) => Some(Vec::new()),
            NodeEnum::TypeCast(cast) => {
                let name = cast.type_name.as_ref()?;
                if name.array_bounds.is_empty() && self.is_tsvector(name) {
                    let of_tsvector = |name: &str| Field {
                        name: name.into(),
                        value: value.clone(),
                    };
                    return Some(["lexeme", "positions", "weights"].map(of_tsvector).into());
                }
                let element = pg::TypeName {
                    array_bounds: Vec::new(),
                    ..name.clone()
                };
                match self.composite_named(&element) {
                    None => Some(Vec::new()),
                    Some(oid) => match self.catalog.type_by_oid(oid)?.kind {
                        TypeKind::Composite => self.fields_of_type(oid, value).map(each),
                        TypeKind::Enum | TypeKind::Base | TypeKind::Range => Some(Vec::new()),
                        TypeKind::Domain
                        | TypeKind::Array
                        | TypeKind::Pseudo
                        | TypeKind::Multirange => None,
                    },
                }
            }
            NodeEnum::AArrayExpr(elements) => {
                // One element of a row's type makes them all such.
                let typed = elements.elements.iter().find_map(|element| {
                    let Some(NodeEnum::TypeCast(cast)) = &element.node else {
                        return None;
                    };
                    self.composite_named(cast.type_name.as_ref()?)
                        .map(|_| element)
                });
                if let Some(element) = typed {
                    return self.element_fields(element, value);
                }
                let rows = elements
                    .elements
                    .iter()
                    .any(|element| !predicate::is_constant(element));
                let plain = value
                    .sources
                    .iter()
                    .all(|origin| self.is_builtin(origin.column.type_oid));
                (!rows || plain).then(Vec::new)
            }
            NodeEnum::ColumnRef(_) => {
                let plain = value
                    .sources
                    .iter()
                    .all(|origin| self.is_builtin(origin.column.type_oid));
                plain.then(Vec::new)
            }
            NodeEnum::FuncCall(call) => {
                let names = strings(&call.funcname).ok()?;
                let ([name] | ["pg_catalog", name]) = names.as_slice() else {
                    return None;
                };
                let users = !self.catalog.function_schemas(name).is_empty();
                let mut results = self
                    .overloads("pg_catalog", name, Some(call.args.len()))
                    .map(|overload| overload.result)
                    .peekable();
                let plain = results.peek().is_some()
                    && results.all(|result| result.ends_with("[]") && !result.starts_with("any"));
                (plain && !users).then(Vec::new)
            }
            _ => None,
        }
    }

    /// `unnest(a, b)` in FROM is two functions side by side.
    fn unnest_each(
        &mut self,
        call: &pg::FuncCall,
        scope: &Scope<'_>,
        open: &mut Option<Value>,
    ) -> Result<Vec<Field>, Refusal> {
        self.seen.mark(call);
        let mut fields = Vec::new();
        for array in &call.args {
            let value = self.expression(array, scope)?.derived();
            self.book.computed(&value);
            match self.element_fields(array, &value) {
                Some(columns) if columns.is_empty() => fields.push(Field {
                    name: "unnest".into(),
                    value,
                }),
                Some(columns) => fields.extend(columns),
                None => open.get_or_insert_default().add(&value),
            }
        }
        Ok(fields)
    }

    /// Whether a function in FROM is `unnest` of several arrays.
    fn is_unnest_of_several<'n>(&self, call: &'n Node) -> Option<&'n pg::FuncCall> {
        let Some(NodeEnum::FuncCall(call)) = &call.node else {
            return None;
        };
        let names = strings(&call.funcname).ok()?;
        let own = self.catalog.function_schemas("unnest").is_empty();
        (names == ["unnest"] && call.args.len() > 1 && own).then_some(call)
    }

    fn is_tsvector(&self, name: &pg::TypeName) -> bool {
        let names = strings(&name.names).unwrap_or_default();
        match names.as_slice() {
            ["tsvector"] => self.composite_named(name).is_none(),
            ["pg_catalog", "tsvector"] => true,
            _ => false,
        }
    }

    /// A type of the server's own that is no tsvector.
    fn is_builtin(&self, type_oid: u32) -> bool {
        type_oid < 16_384 && type_oid != 3614
    }

    fn column_definitions(
        &mut self,
        definitions: &[&Node],
        value: &Value,
    ) -> Result<Vec<Field>, Refusal> {
        let mut fields = Vec::new();
        for node in definitions {
            let Some(NodeEnum::ColumnDef(definition)) = &node.node else {
                return Err(Refusal::not_understood("this column definition"));
            };
            self.seen.mark(definition.as_ref());
            if let Some(name) = &definition.type_name {
                self.type_name(name)?;
            }
            if let Some(collation) = &definition.coll_clause {
                self.seen.mark(collation.as_ref());
            }
            fields.push(Field {
                name: definition.colname.as_str().into(),
                value: value.clone(),
            });
        }
        Ok(fields)
    }

    /// XMLTABLE.
    pub(super) fn xml_table(
        &mut self,
        function: &pg::RangeTableFunc,
        outer: &Scope<'_>,
        left: &[Item],
    ) -> Result<Item, Refusal> {
        self.seen.mark(function);
        let scope = Scope::lateral(outer, left);
        let mut value = self
            .optional(function.docexpr.as_deref(), &scope)?
            .derived();
        value.taint(&self.optional(function.rowexpr.as_deref(), &scope)?);
        for node in &function.namespaces {
            let Some(NodeEnum::ResTarget(target)) = &node.node else {
                return Err(Refusal::not_understood("this XMLTABLE"));
            };
            self.seen.mark(target.as_ref());
            value.taint(&self.optional(target.val.as_deref(), &scope)?);
        }
        self.book.computed(&value);
        let mut fields = Vec::new();
        for node in &function.columns {
            let Some(NodeEnum::RangeTableFuncCol(column)) = &node.node else {
                return Err(Refusal::not_understood("this XMLTABLE"));
            };
            self.seen.mark(column.as_ref());
            if let Some(name) = &column.type_name {
                self.type_name(name)?;
            }
            let mut own = value.clone();
            own.taint(&self.optional(column.colexpr.as_deref(), &scope)?);
            own.taint(&self.optional(column.coldefexpr.as_deref(), &scope)?);
            self.book.computed(&own);
            fields.push(Field {
                name: column.colname.as_str().into(),
                value: own,
            });
        }
        let mut item = Item::new(Some("xmltable".into()), fields);
        alias(&mut item, function.alias.as_ref())?;
        Ok(item)
    }
}

fn list_items(node: &Node) -> &[Node] {
    match &node.node {
        Some(NodeEnum::List(list)) => &list.items,
        _ => &[],
    }
}

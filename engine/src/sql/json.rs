//! SQL/JSON: constructors, aggregates, queries of documents and JSON_TABLE. What comes out of a document is computed from all
//! of it, whatever the path says.

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, JsonExprOp, JsonTableColumnType, Node},
};

use super::{
    Refusal,
    book::Value,
    from::alias,
    resolver::Resolver,
    routine::Towards,
    scope::{Field, Item, Scope},
};
use crate::facts::Use;

/// The server's version that has constructors, aggregates and `IS JSON`.
const CONSTRUCTORS_SINCE: u32 = 16;
/// The server's version that has the query functions and JSON_TABLE.
const QUERIES_SINCE: u32 = 17;

impl Resolver<'_> {
    /// `JSON_OBJECT(key: value, ...)`.
    pub(super) fn json_object(
        &mut self,
        object: &pg::JsonObjectConstructor,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        self.since(CONSTRUCTORS_SINCE, "JSON_OBJECT")?;
        self.seen.mark(object);
        let value = self.json_parts(&object.exprs, object.output.as_ref(), scope)?;
        // A key that is null or that comes twice fails.
        self.book.computed(&value);
        Ok(value)
    }

    /// `JSON_ARRAY(value, ...)`.
    pub(super) fn json_array(
        &mut self,
        array: &pg::JsonArrayConstructor,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        self.since(CONSTRUCTORS_SINCE, "JSON_ARRAY")?;
        self.seen.mark(array);
        let value = self.json_parts(&array.exprs, array.output.as_ref(), scope)?;
        self.book.computed(&value);
        Ok(value)
    }

    /// `JSON_ARRAY(SELECT ...)`.
    pub(super) fn json_array_query(
        &mut self,
        array: &pg::JsonArrayQueryConstructor,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        self.since(CONSTRUCTORS_SINCE, "JSON_ARRAY")?;
        self.seen.mark(array);
        let given = self.json_output(array.output.as_ref())?;
        let Some(Some(NodeEnum::SelectStmt(select))) =
            array.query.as_deref().map(|node| &node.node)
        else {
            return Err(Refusal::not_understood("this JSON_ARRAY"));
        };
        let rows = self.select(select, scope)?;
        let mut value = rows.everything();
        value.taint(&given);
        for field in &rows.fields {
            value.taint(&self.user_casts(&field.value, Towards::Document)?);
        }
        value.taint(&rows.control);
        self.book.computed(&value);
        Ok(value)
    }

    /// `JSON_OBJECTAGG(key: value)`.
    pub(super) fn json_object_aggregate(
        &mut self,
        aggregate: &pg::JsonObjectAgg,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        self.since(CONSTRUCTORS_SINCE, "JSON_OBJECTAGG")?;
        self.seen.mark(aggregate);
        let mut value = match aggregate.arg.as_deref() {
            Some(pair) => self.json_pair(pair, scope)?,
            None => Value::default(),
        };
        self.json_aggregate(aggregate.constructor.as_deref(), &mut value, scope)?;
        Ok(value)
    }

    /// `JSON_ARRAYAGG(value)`.
    pub(super) fn json_array_aggregate(
        &mut self,
        aggregate: &pg::JsonArrayAgg,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        self.since(CONSTRUCTORS_SINCE, "JSON_ARRAYAGG")?;
        self.seen.mark(aggregate);
        let mut value = self.json_value(aggregate.arg.as_deref(), scope)?;
        self.json_aggregate(aggregate.constructor.as_deref(), &mut value, scope)?;
        Ok(value)
    }

    fn json_aggregate(
        &mut self,
        constructor: Option<&pg::JsonAggConstructor>,
        value: &mut Value,
        scope: &Scope<'_>,
    ) -> Result<(), Refusal> {
        let Some(constructor) = constructor else {
            return Err(Refusal::not_understood("this JSON aggregate"));
        };
        self.seen.mark(constructor);
        value.taint(&self.json_output(constructor.output.as_ref())?);
        for sort in &constructor.agg_order {
            let sorted = self.sort_key(sort, scope)?;
            self.book.used(&sorted, Use::Sort);
            value.taint(&sorted);
        }
        if let Some(filter) = constructor.agg_filter.as_deref() {
            let filter = self.expression(filter, scope)?;
            self.book.used(&filter, Use::Filter);
            value.taint(&filter);
        }
        if let Some(window) = constructor.over.as_deref() {
            value.taint(&self.window(window, scope)?);
        }
        self.book.computed(value);
        Ok(())
    }

    /// `JSON_EXISTS`, `JSON_VALUE`, `JSON_QUERY`.
    pub(super) fn json_function(
        &mut self,
        function: &pg::JsonFuncExpr,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        let name = match function.op() {
            JsonExprOp::JsonExistsOp => "JSON_EXISTS",
            JsonExprOp::JsonQueryOp => "JSON_QUERY",
            JsonExprOp::JsonValueOp => "JSON_VALUE",
            JsonExprOp::JsonTableOp | JsonExprOp::Undefined => {
                return Err(Refusal::not_understood("this SQL/JSON function"));
            }
        };
        self.since(QUERIES_SINCE, name)?;
        self.seen.mark(function);
        let mut value = self.json_value(function.context_item.as_deref(), scope)?;
        value.taint(&self.optional(function.pathspec.as_deref(), scope)?);
        value.taint(&self.json_passing(&function.passing, scope)?);
        value.taint(&self.json_output(function.output.as_ref())?);
        for behaviour in [function.on_empty.as_deref(), function.on_error.as_deref()] {
            value.taint(&self.json_behaviour(behaviour, scope)?);
        }
        self.book.computed(&value);
        Ok(value)
    }

    /// `JSON(text)`.
    pub(super) fn json_parse(
        &mut self,
        parse: &pg::JsonParseExpr,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        self.since(QUERIES_SINCE, "JSON()")?;
        self.seen.mark(parse);
        let given = self.json_output(parse.output.as_ref())?;
        let mut value = self.json_value(parse.expr.as_deref(), scope)?;
        value.taint(&given);
        self.book.computed(&value);
        Ok(value)
    }

    /// `JSON_SCALAR(value)`.
    pub(super) fn json_scalar(
        &mut self,
        scalar: &pg::JsonScalarExpr,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        self.since(QUERIES_SINCE, "JSON_SCALAR")?;
        self.seen.mark(scalar);
        let given = self.json_output(scalar.output.as_ref())?;
        let value = self.optional(scalar.expr.as_deref(), scope)?;
        let mut value = self.part_of_document(value)?;
        value.taint(&given);
        self.book.computed(&value);
        Ok(value)
    }

    /// `JSON_SERIALIZE(document)`.
    pub(super) fn json_serialize(
        &mut self,
        serialize: &pg::JsonSerializeExpr,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        self.since(QUERIES_SINCE, "JSON_SERIALIZE")?;
        self.seen.mark(serialize);
        let given = self.json_output(serialize.output.as_ref())?;
        let mut value = self.json_value(serialize.expr.as_deref(), scope)?;
        value.taint(&given);
        self.book.computed(&value);
        Ok(value)
    }

    /// A value that a document is made of.
    fn part_of_document(&mut self, part: Value) -> Result<Value, Refusal> {
        let given = self.user_casts(&part, Towards::Document)?;
        let mut part = part.derived();
        part.taint(&given);
        Ok(part)
    }

    /// A value with its FORMAT.
    pub(super) fn json_value(
        &mut self,
        value: Option<&pg::JsonValueExpr>,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        let Some(value) = value else {
            return Ok(Value::default());
        };
        self.seen.mark(value);
        let part = self.optional(value.raw_expr.as_deref(), scope)?;
        self.part_of_document(part)
    }

    /// JSON_TABLE: each of its columns is computed from the whole document.
    pub(super) fn json_table(
        &mut self,
        table: &pg::JsonTable,
        outer: &Scope<'_>,
        left: &[Item],
    ) -> Result<Item, Refusal> {
        self.since(QUERIES_SINCE, "JSON_TABLE")?;
        self.seen.mark(table);
        let scope = Scope::lateral(outer, left);
        let mut value = self.json_value(table.context_item.as_deref(), &scope)?;
        if let Some(path) = table.pathspec.as_deref() {
            value.taint(&self.optional(path.string.as_deref(), &scope)?);
        }
        value.taint(&self.json_passing(&table.passing, &scope)?);
        value.taint(&self.json_behaviour(table.on_error.as_deref(), &scope)?);
        self.book.computed(&value);
        let mut fields = Vec::new();
        self.json_columns(&table.columns, &value, &scope, &mut fields)?;
        let mut item = Item::new(Some("json_table".into()), fields);
        alias(&mut item, table.alias.as_ref())?;
        Ok(item)
    }

    /// The columns of a path: its own first, then those of the paths nested in it, as the server numbers them.
    fn json_columns(
        &mut self,
        columns: &[Node],
        value: &Value,
        scope: &Scope<'_>,
        fields: &mut Vec<Field>,
    ) -> Result<(), Refusal> {
        let mut nested = Vec::new();
        for node in columns {
            let Some(NodeEnum::JsonTableColumn(column)) = &node.node else {
                return Err(Refusal::not_understood("this JSON_TABLE"));
            };
            self.seen.mark(column.as_ref());
            if let Some(name) = &column.type_name {
                self.type_name(name)?;
            }
            let mut own = value.clone();
            if let Some(path) = column.pathspec.as_deref() {
                own.taint(&self.optional(path.string.as_deref(), scope)?);
            }
            for behaviour in [column.on_empty.as_deref(), column.on_error.as_deref()] {
                own.taint(&self.json_behaviour(behaviour, scope)?);
            }
            if column.coltype() == JsonTableColumnType::JtcNested {
                nested.push(column);
            } else {
                self.book.computed(&own);
                fields.push(Field {
                    name: column.name.as_str().into(),
                    value: own,
                });
            }
        }
        for column in nested {
            self.nested(|resolver| resolver.json_columns(&column.columns, value, scope, fields))?;
        }
        Ok(())
    }

    fn json_parts(
        &mut self,
        parts: &[Node],
        output: Option<&pg::JsonOutput>,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        let mut value = self.json_output(output)?;
        for node in parts {
            let part = match &node.node {
                Some(NodeEnum::JsonKeyValue(pair)) => self.json_pair(pair, scope)?,
                Some(NodeEnum::JsonValueExpr(part)) => self.json_value(Some(part), scope)?,
                _ => return Err(Refusal::not_understood("this JSON constructor")),
            };
            value.taint(&part);
        }
        Ok(value)
    }

    fn json_pair(&mut self, pair: &pg::JsonKeyValue, scope: &Scope<'_>) -> Result<Value, Refusal> {
        self.seen.mark(pair);
        let key = self.optional(pair.key.as_deref(), scope)?;
        let mut value = self.part_of_document(key)?;
        value.taint(&self.json_value(pair.value.as_deref(), scope)?);
        Ok(value)
    }

    fn json_passing(&mut self, passing: &[Node], scope: &Scope<'_>) -> Result<Value, Refusal> {
        let mut value = Value::default();
        for node in passing {
            let Some(NodeEnum::JsonArgument(argument)) = &node.node else {
                return Err(Refusal::not_understood("this PASSING"));
            };
            self.seen.mark(argument.as_ref());
            value.taint(&self.json_value(argument.val.as_deref(), scope)?);
        }
        Ok(value)
    }

    fn json_behaviour(
        &mut self,
        behaviour: Option<&pg::JsonBehavior>,
        scope: &Scope<'_>,
    ) -> Result<Value, Refusal> {
        let Some(behaviour) = behaviour else {
            return Ok(Value::default());
        };
        self.seen.mark(behaviour);
        Ok(self.optional(behaviour.expr.as_deref(), scope)?.derived())
    }

    /// The type that is asked for: what a cast of a user to it from a document gives.
    fn json_output(&mut self, output: Option<&pg::JsonOutput>) -> Result<Value, Refusal> {
        let Some(name) = output.and_then(|output| output.type_name.as_ref()) else {
            return Ok(Value::default());
        };
        self.type_name(name)?;
        let document = Value {
            plain: true,
            ..Value::default()
        };
        self.written_cast(&document, name)
    }
}

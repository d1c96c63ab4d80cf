//! Bodies in PL/pgSQL: from the catalog's text to the tree that PostgreSQL's own compiler makes of it, and the fixed point
//! over its variables. Order is not followed: a variable is everything that is ever assigned to it, and every condition
//! of a body colours all that it assigns and gives.

use std::{collections::BTreeMap, rc::Rc, sync::Arc};

use serde_json::Value as Json;

use super::{
    super::{
        Refusal,
        book::Value,
        functions::is_scalar,
        resolver::Resolver,
        scope::{Cte, Field},
    },
    TRIES_MAX,
    program::{Aliases, Program},
    reading::Datum,
    variables::{Variable, of_arguments},
};
use crate::{
    catalog::{Argument, ArgumentMode, Body, Function, TypeKind},
    schema::server_type,
};

/// What a trigger's function knows, as arguments: the binding writes no readable tree of a function that RETURNS trigger.
const TRIGGER_ARGUMENTS: &str = "new record, old record, tg_name text, tg_when text, tg_level text, tg_op text, tg_relid text, \
    tg_relname text, tg_table_name text, tg_table_schema text, tg_nargs text, tg_argv text";
/// What an event trigger's function knows; a DO block, which knows nothing, can't mean anything else by these names.
const EVENT_TRIGGER_ARGUMENTS: &str = "tg_event text, tg_tag text";

/// What a body does besides what the book has.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// What each column of its result is computed from.
    pub(super) given: Vec<Value>,
    /// What it assigns to fields of NEW.
    pub(super) new: BTreeMap<Arc<str>, Value>,
}

/// The names that a body starts with.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Arguments, or a trigger's rows.
    pub(super) variables: BTreeMap<Arc<str>, Variable>,
    /// Second names of them.
    pub(super) aliases: Aliases,
    /// What qualifies them: the function's own name.
    pub(super) labels: Vec<Arc<str>>,
    /// A trigger's tables of old and new rows.
    pub(super) tables: Vec<Cte>,
    /// Arguments that are the result.
    pub(super) outputs: Vec<Arc<str>>,
}

/// How a body is called: the words around it in a CREATE statement.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::sql) struct Header {
    arguments: String,
    result: &'static str,
}

impl Resolver<'_> {
    pub(super) fn plpgsql_body(
        &mut self,
        function: &Arc<Function>,
        arguments: &[Value],
    ) -> Result<Vec<Value>, Refusal> {
        let Body::Text(text) = &function.body else {
            return Err(Refusal::not_understood("this body"));
        };
        let outputs: Vec<Arc<str>> = function
            .arguments
            .iter()
            .filter(|argument| {
                matches!(
                    argument.mode,
                    ArgumentMode::Out | ArgumentMode::InOut | ArgumentMode::Table
                )
            })
            .map(|argument| argument.name.clone().unwrap_or_default())
            .collect();
        // An argument's number is another name for it: what is assigned to one is in the other.
        let aliases = Aliases::of_arguments(function);
        let mut variables = of_arguments(function, arguments);
        variables.retain(|name, _| !aliases.names(name));
        let names = Names {
            variables,
            aliases,
            labels: vec![function.name.clone()],
            tables: Vec::new(),
            outputs,
        };
        let outcome = self.block(text, &self.header(function), names)?;
        Ok(outcome.given)
    }

    /// The body of a trigger's function.
    pub(super) fn trigger_body(
        &mut self,
        function: &Function,
        variables: BTreeMap<Arc<str>, Variable>,
        tables: Vec<Cte>,
    ) -> Result<Outcome, Refusal> {
        let Body::Text(text) = &function.body else {
            return Err(Refusal::not_understood("this body"));
        };
        let header = Header {
            arguments: TRIGGER_ARGUMENTS.into(),
            result: "text",
        };
        let names = Names {
            variables,
            aliases: Aliases::default(),
            labels: vec![function.name.clone()],
            tables,
            outputs: Vec::new(),
        };
        self.block(text, &header, names)
    }

    /// The body of a DO or of an event trigger's function.
    pub(super) fn block_alone(&mut self, text: &str) -> Result<(), Refusal> {
        let header = Header {
            arguments: EVENT_TRIGGER_ARGUMENTS.into(),
            result: "void",
        };
        self.block(text, &header, Names::default())?;
        Ok(())
    }

    fn block(&mut self, text: &str, header: &Header, names: Names) -> Result<Outcome, Refusal> {
        if text.contains("#variable_conflict") {
            return Err(Refusal::not_understood("#variable_conflict"));
        }
        let tree = self.compiled(text, header)?;
        self.declared_checks(text)?;
        let function = tree.get(0).and_then(|one| one.get("PLpgSQL_function"));
        let Some((datums, action)) = function.and_then(|function| {
            Some((function.get("datums")?.as_array()?, function.get("action")?))
        }) else {
            return Err(Refusal::not_understood("this body"));
        };
        let datums: Vec<Datum> = datums.iter().map(Datum::read).collect();
        let is_plain = |name: &str| {
            let own = server_type(name).is_some_and(is_scalar);
            own && self.catalog.types_named(name).is_empty()
        };
        let mut program = Program::new(datums, names, text, action, is_plain);
        let mark = self.book.mark();
        let (opaque, writes) = (self.book.opaque.clone(), self.book.writes.clone());
        for _ in 0..TRIES_MAX {
            program.start();
            program.run(self, action)?;
            if !program.has_grown() {
                return Ok(program.outcome());
            }
            self.book.rewind(mark);
            self.book.opaque.clone_from(&opaque);
            self.book.writes.clone_from(&writes);
        }
        Err(Refusal::not_understood("what flows round its variables"))
    }

    /// The tree of a body: made once, however often it is read.
    fn compiled(&mut self, text: &str, header: &Header) -> Result<Rc<Json>, Refusal> {
        let key = (header.clone(), text.to_owned());
        if let Some(tree) = self.texts.compiled.get(&key) {
            return Ok(tree.clone());
        }
        self.work(text.len())?;
        let tree = Rc::new(compile(text, header)?);
        self.texts.compiled.insert(key, tree.clone());
        Ok(tree)
    }

    /// The arguments as far as the compiler needs them: names, which are rows, which the body assigns.
    fn header(&self, function: &Function) -> Header {
        let argument = |argument: &Argument| {
            let mode = match argument.mode {
                ArgumentMode::In | ArgumentMode::Variadic => "IN",
                ArgumentMode::Out | ArgumentMode::Table => "OUT",
                ArgumentMode::InOut => "INOUT",
            };
            let name = argument
                .name
                .as_deref()
                .map(|name| format!("\"{}\"", name.replace('"', "\"\"")))
                .unwrap_or_default();
            let is_row = argument.type_oid == 2249
                || self
                    .catalog
                    .type_by_oid(argument.type_oid)
                    .is_some_and(|one| one.kind == TypeKind::Composite);
            let type_name = match argument.type_oid {
                1790 => "refcursor",
                _ if is_row => "record",
                _ => "text",
            };
            format!("{mode} {name} {type_name}")
        };
        let arguments: Vec<String> = function.arguments.iter().map(argument).collect();
        let outputs: Vec<&String> = function
            .arguments
            .iter()
            .zip(&arguments)
            .filter(|(one, _)| {
                matches!(
                    one.mode,
                    ArgumentMode::Out | ArgumentMode::InOut | ArgumentMode::Table
                )
            })
            .map(|(_, words)| words)
            .collect();
        let result = match (function.returns_set, outputs.as_slice(), function.result) {
            (true, [only], _) if only.ends_with(" record") => "SETOF record",
            (true, [_] | [], _) => "SETOF text",
            (true, _, _) => "SETOF record",
            (false, [], 0 | 2278) => "void",
            (false, [], _) => "text",
            (false, _, _) => "",
        };
        Header {
            arguments: arguments.join(", "),
            result,
        }
    }
}

/// The tree that PL/pgSQL's compiler makes of a body.
fn compile(text: &str, header: &Header) -> Result<Json, Refusal> {
    // The body must start right behind the delimiter: lines are counted from there.
    let delimiter = (0..)
        .map(|number: u32| format!("$body{number}$"))
        .find(|delimiter| !text.contains(delimiter.as_str()))
        .unwrap_or_default();
    let returns = if header.result.is_empty() {
        String::new()
    } else {
        format!("RETURNS {}", header.result)
    };
    let statement = format!(
        "CREATE FUNCTION body({}) {returns} LANGUAGE plpgsql AS {delimiter}{text}{delimiter}",
        header.arguments
    );
    pg_query::parse_plpgsql(&statement).map_err(|error| match error {
        pg_query::Error::Parse(message) => Refusal::new("42601", message),
        _ => Refusal::not_understood("this body"),
    })
}

/// Rows as a record's fields.
pub(super) fn as_variable(fields: &[Field], control: &Value) -> Variable {
    let mut variable = Variable::of(control.clone());
    for field in fields {
        variable.add_field(&field.name, &field.value);
        if let Some(known) = variable.fields.get_mut(&field.name) {
            known.taint(control);
        }
    }
    variable
}

//! Users' functions: which of them a call could mean, and what running one does. Bodies in SQL and PL/pgSQL are read with
//! the call's arguments as values; what can't be read is opaque, never taken for harmless.

mod body;
mod candidates;
mod casts;
mod declared;
mod plpgsql;
mod program;
mod reading;
mod set_off;
mod variables;

use std::{rc::Rc, sync::Arc};

use pg_query::{
    NodeEnum,
    protobuf::{Node, ParseResult},
};
use rustc_hash::FxHashMap;
use serde_json::Value as Json;

use self::plpgsql::Header;
pub(super) use self::{casts::Towards, set_off::Pending};
use super::{
    Refusal,
    book::Value,
    functions::{Bound, Effect},
    query::Rows,
    resolver::{Resolver, effective_path},
    scope::{Field, Scope},
    settings,
};
use crate::catalog::{
    Argument, ArgumentMode, Body, Called, Function, FunctionKind, Language, TypeKind, Volatility,
};

/// Deepest chain of functions that call each other; deeper is opaque.
const CALL_DEPTH_MAX: usize = 16;
/// How often a body is read until nothing more flows round its recursion or its variables; more is opaque.
const TRIES_MAX: usize = 12;

/// What a call is given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arguments<'n> {
    /// The expressions, where there are any: named ones are told by them.
    pub(super) nodes: &'n [Node],
    /// What each is computed from.
    pub(super) values: &'n [Value],
    /// The last one is an array of all that are left.
    pub(super) variadic: bool,
    /// How many more come by `WITHIN GROUP (ORDER BY ...)`.
    pub(super) ordered: usize,
}

impl<'n> Arguments<'n> {
    /// Values that no expression of the statement gives.
    pub(super) fn of_values(values: &'n [Value]) -> Self {
        Self {
            nodes: &[],
            values,
            variadic: false,
            ordered: 0,
        }
    }

    /// Everything that the arguments are computed from.
    pub(super) fn all(&self) -> Value {
        union(self.values)
    }

    /// How many arguments the function has to take.
    pub(super) fn count(&self) -> usize {
        self.values.len().saturating_add(self.ordered)
    }

    fn name(&self, index: usize) -> Option<&str> {
        match self.nodes.get(index).map(|node| &node.node) {
            Some(Some(NodeEnum::NamedArgExpr(argument))) => Some(&argument.name),
            _ => None,
        }
    }
}

/// What a call gives.
#[derive(Debug, Clone, Default)]
pub(super) struct Given {
    /// What all of it is computed from.
    pub(super) value: Value,
    /// Its columns in FROM: none is one of the function's own name; `None`: not known.
    pub(super) fields: Option<Vec<Field>>,
}

/// A function that is being read.
#[derive(Debug)]
pub(super) struct Active {
    oid: u32,
    arguments: Vec<Value>,
    given: Vec<Value>,
    /// A call of itself took what it gives so far.
    was_read: bool,
    /// Something grew that was used before.
    grown: bool,
}

/// Texts inside bodies and the trees that were made of them, for one statement.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// SQL, by its text.
    parsed: FxHashMap<String, Rc<ParseResult>>,
    /// Bodies in PL/pgSQL, by how they are called and their text.
    compiled: FxHashMap<(Header, String), Rc<Json>>,
}

/// What several values are computed from.
fn union(values: &[Value]) -> Value {
    values.iter().fold(Value::default(), |mut all, value| {
        all.taint(value);
        all
    })
}

impl Resolver<'_> {
    /// Runs a user function with a call's arguments.
    pub(super) fn run_with(
        &mut self,
        function: &Arc<Function>,
        arguments: &Arguments<'_>,
    ) -> Result<Given, Refusal> {
        let inputs: Vec<&Argument> = function.inputs().collect();
        let mut values = vec![Value::default(); inputs.len()];
        let mut passed = vec![false; inputs.len()];
        for (index, value) in arguments.values.iter().enumerate() {
            let place = match arguments.name(index) {
                Some(name) => inputs
                    .iter()
                    .position(|input| input.name.as_deref() == Some(name)),
                None => Some(index.min(inputs.len().saturating_sub(1))),
            };
            let place = place.unwrap_or(0);
            let types = inputs.get(place).map(|input| input.type_oid);
            let given = self.user_casts(value, Towards::Assigned(types.as_slice()))?;
            if let (Some(bound), Some(is_passed)) = (values.get_mut(place), passed.get_mut(place)) {
                bound.taint(value);
                bound.taint(&given);
                *is_passed = true;
            }
        }
        for ((input, value), _) in inputs
            .iter()
            .zip(&mut values)
            .zip(&passed)
            .filter(|(_, passed)| !**passed)
        {
            if let Some(default) = &input.default {
                let read =
                    |resolver: &mut Self| resolver.stored_expression(default, &Scope::default());
                let default = self.attempt(&named(function), "a default of an argument", read)?;
                if let Some(default) = default {
                    let towards = Towards::Assigned(std::slice::from_ref(&input.type_oid));
                    value.taint(&default);
                    value.taint(&self.user_casts(&default, towards)?);
                }
            }
        }
        self.run(function, values)
    }

    /// Runs what an operator, a cast, a trigger or an aggregate calls.
    pub(super) fn run_by_oid(
        &mut self,
        oid: u32,
        subject: &str,
        values: &[Value],
    ) -> Result<Value, Refusal> {
        match self.catalog.called(oid) {
            Some(Called::Users(function)) => {
                let function = function.clone();
                Ok(self
                    .run_with(&function, &Arguments::of_values(values))?
                    .value)
            }
            Some(Called::Server(name)) => {
                let name = name.clone();
                self.server_function(&name, values)?;
                Ok(union(values))
            }
            None => {
                self.book
                    .opaque(subject, "calls a function that is not known");
                Ok(union(values))
            }
        }
    }

    /// A function of the server's own that something in the catalog calls.
    fn server_function(&mut self, name: &Arc<str>, values: &[Value]) -> Result<(), Refusal> {
        let schema: Arc<str> = "pg_catalog".into();
        let mut effects: Vec<Effect> = self
            .overloads(&schema, name, None)
            .map(|overload| overload.effect.unwrap_or(Effect::Internal))
            .collect();
        effects.dedup();
        if effects.is_empty() {
            self.book.opaque(name, "a function that is not known");
        }
        for effect in effects {
            // The server's own code calls it here, as it is made for.
            if effect != Effect::Internal {
                self.effect(effect, (&schema, name), &Arguments::of_values(values))?;
            }
        }
        Ok(())
    }

    /// Runs a user function, one value for each argument that a caller passes.
    pub(super) fn run(
        &mut self,
        function: &Arc<Function>,
        values: Vec<Value>,
    ) -> Result<Given, Refusal> {
        let before = self.book.effects();
        let arguments = union(&values);
        if let Some(given) = self.of_extension(function, &arguments)? {
            return Ok(given);
        }
        let is_own = |setting: &Arc<str>| setting.to_lowercase().starts_with(settings::OWN);
        if function.settings.iter().any(is_own) {
            self.book.opaque(
                &named(function),
                "it runs with another principal's settings",
            );
        }
        self.routine_checks(function, &values)?;
        let given = match (&function.body, &function.language) {
            (Body::Aggregate(parts), _) => {
                let mut all = arguments.clone();
                for part in parts {
                    let state = [all.clone(), arguments.clone()];
                    all.taint(&self.run_part(*part, function, &state)?);
                }
                vec![all]
            }
            (Body::Text(_) | Body::Standard(_), Language::Sql | Language::PlPgSql) => {
                self.followed(function, values)?
            }
            (_, Language::Internal | Language::C)
                if function.volatility == Volatility::Immutable =>
            {
                vec![arguments.clone()]
            }
            (_, Language::Internal | Language::C) => {
                self.book.opaque(
                    &named(function),
                    "a compiled function that may do more than compute",
                );
                vec![arguments.clone()]
            }
            (_, language) => {
                let language: Arc<str> = language.clone().into();
                let reason = format!("its body is in {language}, which analysis does not follow");
                self.book.opaque(&named(function), &reason);
                vec![arguments.clone()]
            }
        };
        if self.book.effects() != before || function.kind == FunctionKind::Procedure {
            self.called(&function.schema, &function.name);
        }
        Ok(self.shaped(function, &given, &arguments))
    }

    /// A part of an aggregate: it takes the state and the arguments.
    fn run_part(
        &mut self,
        oid: u32,
        aggregate: &Function,
        state: &[Value],
    ) -> Result<Value, Refusal> {
        match self.catalog.called(oid) {
            Some(Called::Users(function)) => {
                let function = function.clone();
                let values = vec![union(state); function.inputs().count()];
                Ok(self.run(&function, values)?.value)
            }
            _ => self.run_by_oid(oid, &named(aggregate), state),
        }
    }

    /// A function that the list knows as an extension's.
    fn of_extension(
        &mut self,
        function: &Function,
        arguments: &Value,
    ) -> Result<Option<Given>, Refusal> {
        let Some(extension) = &function.extension else {
            return Ok(None);
        };
        let key = format!("{extension}:{}", function.name);
        let count = function.inputs().count();
        let known: Vec<_> = super::functions::overloads(&key, Some(count), self.major()).collect();
        let effects: Vec<Effect> = known
            .iter()
            .filter_map(|overload| overload.effect)
            .collect();
        if effects.is_empty() || effects.len() != known.len() {
            return Ok(None);
        }
        for effect in effects {
            if effect.bound() == Bound::Shows && effect == Effect::Pure {
                continue;
            }
            let arguments = Arguments::of_values(std::slice::from_ref(arguments));
            self.effect(effect, (&function.schema, &function.name), &arguments)?;
        }
        Ok(Some(self.shaped(
            function,
            std::slice::from_ref(arguments),
            arguments,
        )))
    }

    /// Reads a body until nothing more flows: what each column of its result is computed from.
    fn followed(
        &mut self,
        function: &Arc<Function>,
        values: Vec<Value>,
    ) -> Result<Vec<Value>, Refusal> {
        let mut active = self.active.iter_mut().enumerate();
        if let Some((place, active)) = active.find(|(_, one)| one.oid == function.oid) {
            for (known, value) in active.arguments.iter_mut().zip(&values) {
                let before = known.sources.len();
                known.taint(value);
                active.grown |= known.sources.len() != before;
            }
            active.was_read = true;
            self.met_again = self.met_again.min(place);
            return Ok(active.given.clone());
        }
        if self.active.len() >= CALL_DEPTH_MAX {
            let reason = format!("functions call each other more than {CALL_DEPTH_MAX} deep");
            self.book.opaque(&named(function), &reason);
            return Ok(values);
        }
        let Some(path) = own_path(function) else {
            self.book
                .opaque(&named(function), "its search_path depends on who runs it");
            return Ok(values);
        };
        self.expanded.other();
        self.active.push(Active {
            oid: function.oid,
            arguments: values.clone(),
            given: Vec::new(),
            was_read: false,
            grown: false,
        });
        let result = self.restored(|resolver| resolver.in_function(function, path, Self::settled));
        self.active.pop();
        if self.unasked == Some(function.oid)
            && let Err(refusal) = &result
            && self.fails_at_once(function, refusal)
        {
            return Ok(values);
        }
        match self.or_opaque(result, &named(function), "its body")? {
            Some(given) => Ok(given),
            None => Ok(values),
        }
    }

    fn settled(&mut self, function: &Arc<Function>) -> Result<Vec<Value>, Refusal> {
        let mark = self.book.mark();
        let (opaque, writes) = (self.book.opaque.clone(), self.book.writes.clone());
        for _ in 0..TRIES_MAX {
            let arguments = self
                .active
                .last()
                .map(|active| active.arguments.clone())
                .unwrap_or_default();
            let rows = match &function.language {
                Language::PlPgSql => self.plpgsql_body(function, &arguments)?,
                _ => self.sql_body(function, &arguments)?,
            };
            let Some(active) = self.active.last_mut() else {
                return Ok(rows);
            };
            let before = active.given.iter().map(|value| &value.sources);
            let is_new = active.was_read && !before.eq(rows.iter().map(|value| &value.sources));
            active.given = rows;
            if !is_new && !active.grown {
                return Ok(active.given.clone());
            }
            active.grown = false;
            self.book.rewind(mark);
            self.book.opaque.clone_from(&opaque);
            self.book.writes.clone_from(&writes);
        }
        Err(Refusal::not_understood("its recursion"))
    }

    /// Runs `read` with names and limits as they are inside a function.
    pub(super) fn in_function<T>(
        &mut self,
        function: &Arc<Function>,
        path: Option<Vec<Arc<str>>>,
        read: impl FnOnce(&mut Self, &Arc<Function>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let runtime = path.unwrap_or_else(|| self.runtime_path.clone());
        let inner = match &function.body {
            Body::Standard(_) => vec!["pg_catalog".into()],
            _ => runtime.clone(),
        };
        let runtime = std::mem::replace(&mut self.runtime_path, runtime);
        let path = std::mem::replace(&mut self.path, inner);
        let via = self.via.replace(named(function).into());
        let (executed, top, limit) = (self.executed.take(), self.top.take(), self.limit.take());
        let seen = std::mem::take(&mut self.seen);
        self.views.push(function.oid);
        let result = self.nested(|resolver| read(resolver, function));
        self.views.pop();
        self.seen = seen;
        (self.executed, self.top, self.limit) = (executed, top, limit);
        self.via = via;
        self.path = path;
        self.runtime_path = runtime;
        result
    }

    /// Reads something that the catalog stores. Where that is refused, the rest of the statement is read as if it had not
    /// begun: rooms on the way may have left without putting back what they changed.
    pub(super) fn attempt<T>(
        &mut self,
        subject: &str,
        what: &str,
        read: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<Option<T>, Refusal> {
        let result = self.restored(read);
        self.or_opaque(result, subject, what)
    }

    /// What `read` gives; where it is refused, names and limits are as they were.
    fn restored<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let (path, runtime) = (self.path.clone(), self.runtime_path.clone());
        let (via, keep, depth) = (self.via.clone(), self.keep, self.depth);
        let (views, active) = (self.views.len(), self.active.len());
        let casting = self.casting.len();
        let (policies, limit, top) = (self.policies_active.clone(), self.limit, self.top);
        let quiet = self.book.is_quiet();
        let result = read(self);
        if result.is_err() {
            (self.path, self.runtime_path) = (path, runtime);
            (self.via, self.keep, self.depth) = (via, keep, depth);
            self.views.truncate(views);
            self.active.truncate(active);
            self.casting.truncate(casting);
            (self.policies_active, self.limit, self.top) = (policies, limit, top);
            self.book.set_quiet(quiet);
        }
        result
    }

    /// Whether the server finds the same before it runs anything of a function: a type that is missing in its only statement.
    ///
    /// # Source
    /// PostgreSQL, `init_sql_fcache` in `src/backend/executor/functions.c`: a text is analysed before it is run.
    fn fails_at_once(&self, function: &Function, refusal: &Refusal) -> bool {
        let Body::Text(text) = &function.body else {
            return false;
        };
        let tree = self.texts.parsed.get(text.as_ref());
        function.language == Language::Sql
            && refusal.sqlstate == "42704"
            && tree.is_some_and(|tree| tree.stmts.len() == 1)
    }

    /// What is refused inside something that the catalog stores makes the statement opaque, but for the limits.
    fn or_opaque<T>(
        &mut self,
        result: Result<T, Refusal>,
        subject: &str,
        what: &str,
    ) -> Result<Option<T>, Refusal> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(refusal) if refusal.sqlstate == "54001" => Err(refusal),
            Err(refusal) => {
                let reason = format!("{what} can't be followed: {}", refusal.message);
                self.book.opaque(subject, &reason);
                Ok(None)
            }
        }
    }

    /// What a function gives, by the columns of its result.
    fn shaped(&self, function: &Function, columns: &[Value], arguments: &Value) -> Given {
        let mut value = union(columns);
        value.taint(arguments);
        let names = self.result_columns(function);
        let fields = names.map(|names| {
            let fits = names.len() == columns.len();
            let field = |(index, name): (usize, Arc<str>)| {
                let own = columns.get(index).filter(|_| fits).unwrap_or(&value);
                let mut own = own.clone().derived();
                own.taint(arguments);
                Field { name, value: own }
            };
            names.into_iter().enumerate().map(field).collect()
        });
        Given { value, fields }
    }

    /// The names of a result's columns: none is one column of the function's own name; `None`: not known.
    fn result_columns(&self, function: &Function) -> Option<Vec<Arc<str>>> {
        let outputs: Vec<Arc<str>> = function
            .arguments
            .iter()
            .filter(|argument| {
                matches!(
                    argument.mode,
                    ArgumentMode::Out | ArgumentMode::InOut | ArgumentMode::Table
                )
            })
            .enumerate()
            .map(|(index, argument)| match &argument.name {
                Some(name) => name.clone(),
                None => format!("column{}", index.saturating_add(1)).into(),
            })
            .collect();
        if !outputs.is_empty() {
            return Some(outputs);
        }
        if let Some(user_type) = self.catalog.type_by_oid(function.result) {
            return match user_type.kind {
                TypeKind::Composite => {
                    let relation = self.catalog.relation(user_type.relation)?;
                    Some(
                        relation
                            .columns
                            .iter()
                            .map(|one| one.name.clone())
                            .collect(),
                    )
                }
                TypeKind::Domain | TypeKind::Pseudo => None,
                TypeKind::Base
                | TypeKind::Enum
                | TypeKind::Range
                | TypeKind::Multirange
                | TypeKind::Array => Some(Vec::new()),
            };
        }
        is_plain_result(function.result).then(Vec::new)
    }
}

/// Whether a type of the server's own is one column in FROM.
///
/// # Source
/// PostgreSQL, `src/include/catalog/pg_type.dat`: rows of four catalogs, `record`, and what an argument's type decides.
const fn is_plain_result(type_oid: u32) -> bool {
    type_oid < 10_000
        && !matches!(
            type_oid,
            0 | 71 | 75 | 81 | 83 | 2249 | 2276 | 2283 | 5077 | 5079
        )
}

/// `schema.name`.
pub(super) fn named(function: &Function) -> String {
    format!("{}.{}", function.schema, function.name)
}

/// A name as the server reads it: without quotes, or in small letters.
fn folded(word: &str) -> Arc<str> {
    let quoted = word
        .strip_prefix('"')
        .and_then(|word| word.strip_suffix('"'));
    match quoted {
        Some(quoted) => quoted.replace("\"\"", "\"").into(),
        None => word.to_ascii_lowercase().into(),
    }
}

/// The path that a function sets for itself: `Some(None)` for none, `None` where it depends on who runs it.
#[expect(
    clippy::option_option,
    reason = "no path of its own and one that can't be known are different things"
)]
fn own_path(function: &Function) -> Option<Option<Vec<Arc<str>>>> {
    let set = function
        .settings
        .iter()
        .find_map(|setting| setting.strip_prefix("search_path="));
    let Some(set) = set else {
        return Some(None);
    };
    let mut path: Vec<Arc<str>> = Vec::new();
    for word in set.split(',') {
        let word = word.trim();
        let schema = folded(word);
        if *schema == *"$user" {
            return None;
        }
        if !schema.is_empty() {
            path.push(schema);
        }
    }
    Some(Some(effective_path(&path)))
}

/// What rows are computed from, column by column, each with what decides which rows there are.
fn columns_of(rows: &Rows) -> Vec<Value> {
    let column = |field: &Field| {
        let mut value = field.value.clone().derived();
        value.taint(&rows.control);
        value
    };
    rows.fields.iter().map(column).collect()
}

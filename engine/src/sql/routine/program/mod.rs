//! The statements of a PL/pgSQL body, over its variables. Every statement has an arm of its own or is refused.

mod alias;
mod assign;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use serde_json::Value as Json;

pub(super) use self::alias::Aliases;
use super::{
    super::{
        Refusal,
        book::Value,
        query::Rows,
        resolver::Resolver,
        scope::{Cte, Field},
    },
    Towards,
    plpgsql::{Names, Outcome},
    reading::{
        Datum, index, index_of, list, literal_text, opened_in, part, query, returned_name,
        split_assignment, word,
    },
    variables::{Variable, numbered, scope},
};
use crate::facts::Use;

/// A body that is being read.
#[derive(Debug)]
pub(super) struct Program<'p> {
    tables: Vec<Cte>,
    /// Cursors that some OPEN gives a query.
    opened: BTreeSet<usize>,
    /// What some assignment names: a cursor among them may be another's.
    assigned: BTreeSet<usize>,
    /// Names that the caller gave.
    passed: BTreeSet<Arc<str>>,
    datums: Vec<Datum>,
    variables: BTreeMap<Arc<str>, Variable>,
    aliases: Aliases,
    labels: Vec<Arc<str>>,
    outputs: Vec<Arc<str>>,
    lines: Vec<&'p str>,
    /// Every condition of the body.
    control: Value,
    /// Everything that was ever computed: what an error's text may hold.
    everything: Value,
    given: Vec<Value>,
    /// What may stand in any column of the result.
    given_anywhere: Value,
    /// Fields that the body assigns to NEW.
    new: BTreeMap<Arc<str>, Value>,
    grown: bool,
    /// The size of control, everything and given at the start of a try.
    size: usize,
}

impl<'p> Program<'p> {
    /// `is_plain` tells of the name of a type whether it is one of the server's own without parts.
    pub(super) fn new(
        datums: Vec<Datum>,
        names: Names,
        text: &'p str,
        action: &Json,
        is_plain: impl Fn(&str) -> bool,
    ) -> Self {
        let mut variables = names.variables;
        let mut aliases = names.aliases;
        aliases.declared_in(text);
        let passed = variables.keys().cloned().collect();
        let mut opened = BTreeSet::new();
        opened_in(action, &mut opened);
        for datum in &datums {
            let Datum::Variable { name, declared, .. } = datum else {
                continue;
            };
            let plain = declared.as_deref().is_some_and(&is_plain);
            match variables.entry(name.clone()) {
                Entry::Vacant(entry) => {
                    entry.insert(Variable::of(Value {
                        plain,
                        ..Value::default()
                    }));
                }
                // A name of several blocks is of each one's type.
                Entry::Occupied(mut entry) if declared.is_some() => {
                    entry.get_mut().value.plain &= plain;
                }
                Entry::Occupied(_) => {}
            }
        }
        Self {
            datums,
            variables,
            aliases,
            labels: names.labels,
            outputs: names.outputs,
            tables: names.tables,
            opened,
            assigned: BTreeSet::new(),
            passed,
            lines: text.split('\n').collect(),
            control: Value::default(),
            everything: Value::default(),
            given: Vec::new(),
            given_anywhere: Value::default(),
            new: BTreeMap::new(),
            grown: false,
            size: 0,
        }
    }

    /// Begins a try.
    pub(super) fn start(&mut self) {
        self.grown = false;
        self.size = self.size();
    }

    /// Whether the try found more than it started with.
    pub(super) fn has_grown(&self) -> bool {
        self.grown || self.size != self.size()
    }

    fn size(&self) -> usize {
        let given: usize = self.given.iter().map(|value| value.sources.len()).sum();
        given
            .saturating_add(self.control.sources.len())
            .saturating_add(self.everything.sources.len())
            .saturating_add(self.given_anywhere.sources.len())
    }

    pub(super) fn outcome(mut self) -> Outcome {
        for (index, name) in std::mem::take(&mut self.outputs).iter().enumerate() {
            let value = self.variables.get(name).map(|one| one.value.clone());
            self.give(index, &value.unwrap_or_default());
        }
        if self.given.is_empty() {
            self.given.push(Value::default());
        }
        for value in &mut self.given {
            value.taint(&self.given_anywhere);
            value.taint(&self.control);
        }
        for value in self.new.values_mut() {
            value.taint(&self.control);
        }
        Outcome {
            given: self.given,
            new: self.new,
        }
    }

    /// The whole body once: defaults of variables, then every statement.
    pub(super) fn run(
        &mut self,
        resolver: &mut Resolver<'_>,
        action: &Json,
    ) -> Result<(), Refusal> {
        for index in 0..self.datums.len() {
            if let Some(Datum::Variable {
                default: Some(default),
                ..
            }) = self.datums.get(index)
            {
                let text = format!("SELECT {default}");
                let rows = self.text(resolver, &text)?;
                self.assign(index, &rows);
            }
        }
        self.statement(resolver, action)
    }

    fn statements(
        &mut self,
        resolver: &mut Resolver<'_>,
        json: Option<&Json>,
    ) -> Result<(), Refusal> {
        for one in json.into_iter().flat_map(list) {
            resolver.nested(|resolver| self.statement(resolver, one))?;
        }
        Ok(())
    }

    fn statement(&mut self, resolver: &mut Resolver<'_>, json: &Json) -> Result<(), Refusal> {
        let Some((kind, statement)) = json.as_object().and_then(|object| object.iter().next())
        else {
            return Err(Refusal::not_understood("this statement"));
        };
        let label = word(statement, "label");
        let is_loop = statement.get("body").is_some();
        if is_loop && !label.is_empty() && !self.labels.iter().any(|known| **known == *label) {
            self.labels.push(label.into());
            self.grown = true;
        }
        match kind.as_str() {
            "PLpgSQL_stmt_block" => self.block(resolver, statement),
            "PLpgSQL_stmt_assign" => self.assignment(resolver, statement),
            "PLpgSQL_stmt_if" => {
                self.condition(resolver, statement, "cond")?;
                self.statements(resolver, statement.get("then_body"))?;
                for one in part(statement, "elsif_list") {
                    let one = one.get("PLpgSQL_if_elsif").unwrap_or(one);
                    self.condition(resolver, one, "cond")?;
                    self.statements(resolver, one.get("stmts"))?;
                }
                self.statements(resolver, statement.get("else_body"))
            }
            "PLpgSQL_stmt_case" => self.case(resolver, statement),
            "PLpgSQL_stmt_loop" => self.statements(resolver, statement.get("body")),
            "PLpgSQL_stmt_while" => {
                self.condition(resolver, statement, "cond")?;
                self.statements(resolver, statement.get("body"))
            }
            "PLpgSQL_stmt_fori" => self.counted(resolver, statement),
            "PLpgSQL_stmt_fors" | "PLpgSQL_stmt_dynfors" => {
                let rows = self.rows_of(resolver, statement)?;
                self.loop_over(resolver, statement, &rows)
            }
            "PLpgSQL_stmt_forc" => {
                let rows = self.opened(resolver, statement)?;
                self.loop_over(resolver, statement, &rows)
            }
            "PLpgSQL_stmt_foreach_a" => {
                let rows = self.expression(resolver, statement, "expr")?;
                self.assign(index(statement, "varno"), &rows);
                self.statements(resolver, statement.get("body"))
            }
            "PLpgSQL_stmt_exit" => {
                if statement.get("cond").is_some() {
                    self.condition(resolver, statement, "cond")?;
                }
                Ok(())
            }
            "PLpgSQL_stmt_return" | "PLpgSQL_stmt_return_next" => {
                self.returned(resolver, statement)
            }
            "PLpgSQL_stmt_return_query" => {
                let rows = self.rows_of(resolver, statement)?;
                self.give_rows(&rows);
                Ok(())
            }
            "PLpgSQL_stmt_raise" => self.raise(resolver, statement),
            "PLpgSQL_stmt_assert" => {
                self.condition(resolver, statement, "cond")?;
                if statement.get("message").is_some() {
                    let rows = self.expression(resolver, statement, "message")?;
                    self.told(resolver, &rows);
                }
                Ok(())
            }
            "PLpgSQL_stmt_execsql" => {
                let rows = self.expression(resolver, statement, "sqlstmt")?;
                self.into(statement, &rows);
                Ok(())
            }
            "PLpgSQL_stmt_dynexecute" => {
                let rows = self.rows_of(resolver, statement)?;
                self.into(statement, &rows);
                Ok(())
            }
            "PLpgSQL_stmt_perform" => self.expression(resolver, statement, "expr").map(drop),
            "PLpgSQL_stmt_call" => self.call(resolver, statement),
            "PLpgSQL_stmt_getdiag" => {
                for one in part(statement, "diag_items") {
                    let one = one.get("PLpgSQL_diag_item").unwrap_or(one);
                    let everything = self.everything_as_rows();
                    self.assign(index(one, "target"), &everything);
                }
                Ok(())
            }
            "PLpgSQL_stmt_open" => self.open(resolver, statement),
            "PLpgSQL_stmt_fetch" => self.fetch(resolver, statement),
            "PLpgSQL_stmt_close" => Ok(()),
            "PLpgSQL_stmt_commit" | "PLpgSQL_stmt_rollback" => {
                resolver.ends_transaction();
                Ok(())
            }
            other => Err(Refusal::not_understood(other)),
        }
    }

    fn block(&mut self, resolver: &mut Resolver<'_>, block: &Json) -> Result<(), Refusal> {
        self.statements(resolver, block.get("body"))?;
        let handlers = block
            .get("exceptions")
            .map(|block| block.get("PLpgSQL_exception_block").unwrap_or(block));
        for handler in handlers
            .into_iter()
            .flat_map(|block| part(block, "exc_list"))
        {
            let handler = handler.get("PLpgSQL_exception").unwrap_or(handler);
            // Whether there was an error, and what its text says, depends on everything.
            let everything = self.everything.clone();
            self.control.taint(&everything);
            for name in ["sqlerrm", "sqlstate"] {
                if let Some(variable) = self.variables.get_mut(name) {
                    self.grown |= variable.add(&everything);
                }
            }
            self.statements(resolver, handler.get("action"))?;
        }
        Ok(())
    }

    /// `target := expression`, in one text.
    fn assignment(&mut self, resolver: &mut Resolver<'_>, statement: &Json) -> Result<(), Refusal> {
        let Some((text, _)) = query(statement, "expr") else {
            return Err(Refusal::not_understood("this assignment"));
        };
        let Some((target, value)) = split_assignment(text) else {
            return Err(Refusal::not_understood("this assignment"));
        };
        let rows = self.text(resolver, &format!("SELECT {value}"))?;
        if target.contains('[') {
            // Its subscripts are expressions too.
            let places = self.text(resolver, &format!("SELECT {target}"))?;
            let places = self.noted(&places);
            self.control.taint(&places);
        }
        self.assigned.insert(index(statement, "varno"));
        self.assign(index(statement, "varno"), &rows);
        Ok(())
    }

    fn case(&mut self, resolver: &mut Resolver<'_>, statement: &Json) -> Result<(), Refusal> {
        if statement.get("t_expr").is_some() {
            let rows = self.expression(resolver, statement, "t_expr")?;
            self.assign(index(statement, "t_varno"), &rows);
        }
        for one in part(statement, "case_when_list") {
            let one = one.get("PLpgSQL_case_when").unwrap_or(one);
            self.condition(resolver, one, "expr")?;
            self.statements(resolver, one.get("stmts"))?;
        }
        self.statements(resolver, statement.get("else_stmts"))
    }

    fn counted(&mut self, resolver: &mut Resolver<'_>, statement: &Json) -> Result<(), Refusal> {
        for bound in ["lower", "upper", "step"] {
            if statement.get(bound).is_some() {
                let rows = self.condition(resolver, statement, bound)?;
                let name = statement
                    .get("var")
                    .and_then(|one| one.get("PLpgSQL_var"))
                    .map_or("", |variable| word(variable, "refname"));
                self.assign_name(name, &rows);
            }
        }
        self.statements(resolver, statement.get("body"))
    }

    fn loop_over(
        &mut self,
        resolver: &mut Resolver<'_>,
        statement: &Json,
        rows: &Rows,
    ) -> Result<(), Refusal> {
        // How often the loop runs depends on what decides which rows there are.
        self.control.taint(&rows.control);
        self.assign_target(statement.get("var"), rows);
        self.statements(resolver, statement.get("body"))
    }

    fn returned(&mut self, resolver: &mut Resolver<'_>, statement: &Json) -> Result<(), Refusal> {
        if statement.get("expr").is_some() {
            let rows = self.expression(resolver, statement, "expr")?;
            self.give_rows(&rows);
            self.replaces_new(&Self::as_one(&rows));
            return Ok(());
        }
        // The end of a body without RETURN has no line; with OUT arguments those are the result.
        if !self.outputs.is_empty() || statement.get("lineno").is_none() {
            return Ok(());
        }
        // The compiler does not tell which variable is returned: the line does, or else it may be any.
        let named = index_of(statement, "lineno")
            .and_then(|line| self.lines.get(line.checked_sub(1)?))
            .and_then(|line| returned_name(line));
        let mut meant = named
            .map(|name| self.aliases.meant(&name, &self.variables))
            .unwrap_or_default();
        if meant.is_empty() {
            meant = self.variables.keys().cloned().collect();
        }
        let mut value = Value::default();
        for variable in meant.iter().filter_map(|name| self.variables.get(name)) {
            value.taint(&variable.value);
        }
        self.given_anywhere.taint(&value);
        if !meant.iter().all(|name| matches!(&**name, "new" | "old")) {
            self.replaces_new(&value);
        }
        Ok(())
    }

    /// A row that a trigger gives in the place of NEW.
    fn replaces_new(&mut self, value: &Value) {
        if self.passed.contains("new") && !value.sources.is_empty() {
            self.new.entry("*".into()).or_default().taint(value);
        }
    }

    /// Texts of RAISE go to the client as they are.
    fn raise(&mut self, resolver: &mut Resolver<'_>, statement: &Json) -> Result<(), Refusal> {
        for one in part(statement, "params") {
            let rows = self.expression_of(resolver, one)?;
            self.told(resolver, &rows);
        }
        for one in part(statement, "options") {
            let one = one.get("PLpgSQL_raise_option").unwrap_or(one);
            let rows = self.expression(resolver, one, "expr")?;
            self.told(resolver, &rows);
        }
        resolver.book.touched();
        Ok(())
    }

    fn told(&mut self, resolver: &mut Resolver<'_>, rows: &Rows) {
        let value = self.noted(rows);
        resolver.book.computed(&value);
    }

    fn call(&mut self, resolver: &mut Resolver<'_>, statement: &Json) -> Result<(), Refusal> {
        let rows = self.expression(resolver, statement, "expr")?;
        // OUT arguments come back into variables that the call names: any of them may.
        let names: Vec<Arc<str>> = self.named_variables().keys().cloned().collect();
        if !rows.fields.is_empty() {
            let text = query(statement, "expr")
                .map_or("", |(text, _)| text)
                .to_lowercase();
            for name in names {
                if text.contains(&*name.to_lowercase()) {
                    let everything = Self::as_one(&rows);
                    for name in self.aliases.meant(&name, &self.variables) {
                        self.assign_value(&name, &everything);
                    }
                }
            }
        }
        Ok(())
    }

    fn open(&mut self, resolver: &mut Resolver<'_>, statement: &Json) -> Result<(), Refusal> {
        let rows = if statement.get("query").is_some() || statement.get("dynquery").is_some() {
            self.rows_of(resolver, statement)?
        } else {
            self.opened(resolver, statement)?
        };
        self.assign(index(statement, "curvar"), &rows);
        Ok(())
    }

    /// The rows of a cursor that is declared with its query.
    fn opened(&mut self, resolver: &mut Resolver<'_>, statement: &Json) -> Result<Rows, Refusal> {
        let cursor = index(statement, "curvar");
        let Some(Datum::Variable {
            query: Some(text),
            arguments,
            ..
        }) = self.datums.get(cursor)
        else {
            return Err(Refusal::not_understood("a cursor without a query"));
        };
        let (text, arguments) = (text.clone(), *arguments);
        if statement.get("argquery").is_some() {
            let rows = self.expression(resolver, statement, "argquery")?;
            if let Some(arguments) = arguments {
                self.assign(arguments, &rows);
            }
        }
        self.text(resolver, &text)
    }

    fn fetch(&mut self, resolver: &mut Resolver<'_>, statement: &Json) -> Result<(), Refusal> {
        let cursor = index(statement, "curvar");
        let name = match self.datums.get(cursor) {
            Some(Datum::Variable { name, query, .. }) => {
                if query.is_none() && !self.is_opened(cursor) {
                    resolver
                        .book
                        .opaque(name, "reads a cursor that the body did not open");
                }
                name.clone()
            }
            _ => return Err(Refusal::not_understood("this cursor")),
        };
        let cursor = self.variables.get(&name).cloned().unwrap_or_default();
        let mut rows = self.everything_as_rows();
        rows.fields.clear();
        rows.control = cursor.value.clone();
        for (name, value) in &cursor.fields {
            rows.fields.push(Field {
                name: name.clone(),
                value: value.clone(),
            });
        }
        // Fields come in the order of names here, so every variable takes all of them.
        let all = Rows {
            fields: Vec::new(),
            control: cursor.value,
            open: None,
        };
        match statement.get("target") {
            Some(target) if target.get("PLpgSQL_rec").is_some() => {
                self.assign_target(Some(target), &rows);
            }
            Some(target) => self.assign_target(Some(target), &all),
            None => {}
        }
        Ok(())
    }

    /// Whether some OPEN of the body gives the cursor a query.
    fn is_opened(&self, cursor: usize) -> bool {
        let is_own = match self.datums.get(cursor) {
            Some(Datum::Variable { name, default, .. }) => {
                default.is_none() && !self.passed.contains(name)
            }
            _ => false,
        };
        is_own && self.opened.contains(&cursor) && !self.assigned.contains(&cursor)
    }

    /// The rows of a query that is written in the body, or of one that it puts together.
    fn rows_of(&mut self, resolver: &mut Resolver<'_>, statement: &Json) -> Result<Rows, Refusal> {
        let is_dynamic = statement.get("dynquery").is_some()
            || statement.get("params").is_some()
            || query(statement, "query").is_some_and(|(_, mode)| mode == 2);
        let key = if statement.get("dynquery").is_some() {
            "dynquery"
        } else {
            "query"
        };
        if !is_dynamic {
            return self.expression(resolver, statement, key);
        }
        let mut parameters = BTreeMap::new();
        for (number, one) in part(statement, "params").enumerate() {
            let rows = self.expression_of(resolver, one)?;
            parameters.insert(numbered(number), Variable::of(self.noted(&rows)));
        }
        let Some((text, _)) = query(statement, key) else {
            return Err(Refusal::not_understood("this EXECUTE"));
        };
        let Some(literal) = literal_text(text) else {
            self.expression(resolver, statement, key)?;
            let subject = resolver.via.clone().unwrap_or_else(|| "do".into());
            resolver
                .book
                .opaque(&subject, "runs SQL that it puts together (EXECUTE)");
            return Ok(self.everything_as_rows());
        };
        let mut rows = resolver.statements(&literal, &scope(&parameters, &[], &[]))?;
        for field in &mut rows.fields {
            let given = resolver.user_casts(&field.value, Towards::Assigned(&[0]))?;
            field.value.taint_with(&given);
        }
        self.noted(&rows);
        Ok(rows)
    }

    fn into(&mut self, statement: &Json, rows: &Rows) {
        if let Some(found) = self.variables.get_mut("found") {
            self.grown |= found.add(&rows.control);
        }
        self.assign_target(statement.get("target"), rows);
    }

    /// A condition: it decides what happens, and so colours everything.
    fn condition(
        &mut self,
        resolver: &mut Resolver<'_>,
        statement: &Json,
        key: &str,
    ) -> Result<Rows, Refusal> {
        let rows = self.expression(resolver, statement, key)?;
        let value = self.noted(&rows);
        resolver.book.used(&value, Use::Filter);
        self.control.taint(&value);
        Ok(rows)
    }

    fn expression(
        &mut self,
        resolver: &mut Resolver<'_>,
        statement: &Json,
        key: &str,
    ) -> Result<Rows, Refusal> {
        match statement.get(key) {
            Some(one) => self.expression_of(resolver, one),
            None => Err(Refusal::not_understood("this statement")),
        }
    }

    fn expression_of(&mut self, resolver: &mut Resolver<'_>, json: &Json) -> Result<Rows, Refusal> {
        let inner = json.get("PLpgSQL_expr").unwrap_or(json);
        let text = word(inner, "query");
        match inner.get("parseMode").and_then(Json::as_u64) {
            None | Some(0) => self.text(resolver, text),
            Some(2) => self.text(resolver, &format!("SELECT {text}")),
            Some(_) => Err(Refusal::not_understood("this expression")),
        }
    }

    fn text(&mut self, resolver: &mut Resolver<'_>, text: &str) -> Result<Rows, Refusal> {
        let variables = self.named_variables();
        let mut rows = resolver.statements(text, &scope(&variables, &self.labels, &self.tables))?;
        // What becomes of it is made to be of a variable's type, or a condition.
        for field in &mut rows.fields {
            let given = resolver.user_casts(&field.value, Towards::Assigned(&[0]))?;
            field.value.taint_with(&given);
        }
        self.noted(&rows);
        Ok(rows)
    }

    /// The variables by every name that they have.
    fn named_variables(&self) -> Cow<'_, BTreeMap<Arc<str>, Variable>> {
        if self.aliases.is_empty() {
            Cow::Borrowed(&self.variables)
        } else {
            Cow::Owned(self.aliases.applied(&self.variables))
        }
    }

    /// Everything in rows, noted as computed.
    fn noted(&mut self, rows: &Rows) -> Value {
        let value = Self::as_one(rows);
        self.everything.taint(&value);
        value
    }

    fn as_one(rows: &Rows) -> Value {
        let mut value = rows.control.clone().derived();
        for field in &rows.fields {
            value.taint(&field.value);
        }
        value
    }

    fn everything_as_rows(&self) -> Rows {
        Rows {
            fields: Vec::new(),
            control: self.everything.clone(),
            open: None,
        }
    }
}

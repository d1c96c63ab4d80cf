//! Bodies in SQL: every statement is read, the last one gives the result. A statement that a body may not hold, or that
//! analysis reads at the top only, is refused, which makes the call opaque.

use std::{rc::Rc, sync::Arc};

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, Node, ParseResult},
};

use super::{
    super::{
        Refusal,
        book::Value,
        call::Columns,
        query::Rows,
        resolver::Resolver,
        scope::{Field, Scope},
    },
    Towards, columns_of,
    variables::{of_arguments, scope, with_names_for_parameters},
};
use crate::{
    catalog::{Body, Function},
    facts::{Object, Operation, SessionEffect, Use},
};

/// The type of a row of no type in particular.
const RECORD: u32 = 2249;

impl Resolver<'_> {
    /// A body in SQL: what each column of its result is computed from.
    pub(super) fn sql_body(
        &mut self,
        function: &Arc<Function>,
        arguments: &[Value],
    ) -> Result<Vec<Value>, Refusal> {
        let scope = scope(
            &of_arguments(function, arguments),
            std::slice::from_ref(&function.name),
            &[],
        );
        let mut rows = match &function.body {
            Body::Text(text) => self.statements(text, &scope)?,
            Body::Standard(text) => self.standard_body(text, &scope)?,
            Body::Aggregate(_) | Body::Compiled => {
                return Err(Refusal::not_understood("this body"));
            }
        };
        let outputs = function
            .arguments
            .iter()
            .filter(|argument| argument.mode.is_output())
            .map(|argument| argument.type_oid);
        let types: Vec<u32> = match function.result {
            // Several OUT arguments: a row of them.
            RECORD => outputs.collect(),
            result => outputs.chain([result]).collect(),
        };
        let types = if types.is_empty() { vec![0] } else { types };
        for field in &mut rows.fields {
            let given = self.user_casts(&field.value, Towards::Assigned(&types))?;
            field.value.taint_with(&given);
        }
        Ok(columns_of(&rows))
    }

    /// The statements of a text, with pg_catalog's and the path's names and those of `scope`.
    pub(super) fn statements(&mut self, text: &str, scope: &Scope<'_>) -> Result<Rows, Refusal> {
        let tree = self.parsed(text)?;
        let outer = std::mem::take(&mut self.seen);
        let mut rows = Ok(Rows::default());
        for statement in &tree.stmts {
            let Some(node) = statement.stmt.as_ref().and_then(|node| node.node.as_ref()) else {
                continue;
            };
            rows = self.body_statement(node, scope);
            if rows.is_err() {
                break;
            }
        }
        let missing = self.seen.missing(tree.as_ref());
        self.seen = outer;
        match (rows, missing) {
            (Ok(_), Some(missing)) => Err(Refusal::not_understood(missing)),
            (rows, _) => rows,
        }
    }

    /// The tree of a text inside a body, with its parameters as names: made once, however often it is read.
    fn parsed(&mut self, text: &str) -> Result<Rc<ParseResult>, Refusal> {
        if let Some(tree) = self.texts.parsed.get(text) {
            return Ok(tree.clone());
        }
        self.work(text.len())?;
        let Some(named) = with_names_for_parameters(text) else {
            return Err(Refusal::not_understood("this text"));
        };
        let tree = Rc::new(super::super::authority::parse(&named)?);
        self.texts.parsed.insert(text.to_owned(), tree.clone());
        Ok(tree)
    }

    /// `RETURN ...` or `BEGIN ATOMIC ... END` in the CREATE statement as the server deparses it.
    fn standard_body(&mut self, text: &str, scope: &Scope<'_>) -> Result<Rows, Refusal> {
        self.work(text.len())?;
        let Some(text) = with_names_for_parameters(text) else {
            return Err(Refusal::not_understood("this body"));
        };
        let tree = super::super::authority::parse(&text)?;
        let created = tree
            .stmts
            .first()
            .and_then(|statement| statement.stmt.as_ref()?.node.as_ref());
        let Some(NodeEnum::CreateFunctionStmt(created)) = created else {
            return Err(Refusal::not_understood("this body"));
        };
        let Some(body) = created.sql_body.as_deref() else {
            return Err(Refusal::not_understood("this body"));
        };
        let outer = std::mem::take(&mut self.seen);
        let rows = self.standard_part(body, scope);
        let missing = self.seen.missing(body);
        self.seen = outer;
        match (rows, missing) {
            (Ok(_), Some(missing)) => Err(Refusal::not_understood(missing)),
            (rows, _) => rows,
        }
    }

    fn standard_part(&mut self, node: &Node, scope: &Scope<'_>) -> Result<Rows, Refusal> {
        match &node.node {
            Some(NodeEnum::List(list)) => {
                let mut rows = Rows::default();
                for node in &list.items {
                    rows = self.nested(|resolver| resolver.standard_part(node, scope))?;
                }
                Ok(rows)
            }
            Some(NodeEnum::ReturnStmt(returned)) => {
                self.seen.mark_bounded(returned.as_ref());
                let value = self.optional(returned.returnval.as_deref(), scope)?;
                self.book.used(&value, Use::Output);
                let mut rows = Rows::default();
                rows.fields.push(Field {
                    name: "return".into(),
                    value,
                });
                Ok(rows)
            }
            Some(node) => self.body_statement(node, scope),
            None => Ok(Rows::default()),
        }
    }

    /// One statement of a body.
    pub(super) fn body_statement(
        &mut self,
        node: &NodeEnum,
        scope: &Scope<'_>,
    ) -> Result<Rows, Refusal> {
        let rows = match node {
            NodeEnum::SelectStmt(select) if select.into_clause.is_none() => {
                self.select(select, scope)?
            }
            NodeEnum::InsertStmt(insert) => self.insert(insert, scope)?,
            NodeEnum::UpdateStmt(update) => self.update(update, scope)?,
            NodeEnum::DeleteStmt(delete) => self.delete(delete, scope)?,
            NodeEnum::MergeStmt(merge) => self.merge(merge, scope)?,
            NodeEnum::CallStmt(call) => self.procedure(call, scope)?,
            NodeEnum::TransactionStmt(transaction) => {
                self.seen.mark_all(transaction);
                self.ends_transaction();
                Rows::default()
            }
            NodeEnum::PrepareStmt(_)
            | NodeEnum::ExecuteStmt(_)
            | NodeEnum::DeallocateStmt(_)
            | NodeEnum::DeclareCursorStmt(_)
            | NodeEnum::FetchStmt(_)
            | NodeEnum::ClosePortalStmt(_)
            | NodeEnum::DiscardStmt(_) => {
                return Err(Refusal::not_understood("a name of the session's in a body"));
            }
            other => {
                // What CREATE TABLE AS or EXPLAIN asks for is used here, as at the top of a statement.
                let outer = std::mem::replace(&mut self.outputs_from, self.views.len());
                let reading = self.statement(other);
                self.outputs_from = outer;
                let reading = reading?;
                self.sets_session(reading.session_effect);
                Rows::default()
            }
        };
        if rows.open.is_some() {
            return Err(Refusal::not_understood(
                "a result whose columns are not known",
            ));
        }
        for field in &rows.fields {
            self.book.used(&field.value, Use::Output);
        }
        Ok(rows)
    }

    /// COMMIT and ROLLBACK inside a procedure.
    pub(super) fn ends_transaction(&mut self) {
        let subject = self.via.clone().unwrap_or_else(|| "do".into());
        self.book
            .opaque(&subject, "ends transactions of its own while it runs");
    }

    /// Joins what a statement inside does to the session with what is known.
    pub(in crate::sql) fn sets_session(&mut self, effect: SessionEffect) {
        self.session_effect = match (self.session_effect, effect) {
            (SessionEffect::Catalog, _) | (_, SessionEffect::Catalog) => SessionEffect::Catalog,
            (SessionEffect::Statements, _) | (_, SessionEffect::Statements) => {
                SessionEffect::Statements
            }
            (SessionEffect::None, SessionEffect::None) => SessionEffect::None,
        };
    }

    /// CALL: the procedure's body, and its OUT arguments as one row.
    pub(in crate::sql) fn procedure(
        &mut self,
        call: &pg::CallStmt,
        scope: &Scope<'_>,
    ) -> Result<Rows, Refusal> {
        self.seen.mark(call);
        let Some(call) = call.funccall.as_deref() else {
            return Err(Refusal::not_understood("this CALL"));
        };
        let (_, fields) = self.call_rows(call, scope)?;
        match fields {
            Columns::Known(fields) => Ok(Rows {
                fields,
                ..Rows::default()
            }),
            Columns::Unlisted | Columns::Unknown => Ok(Rows::default()),
        }
    }

    /// DO: a body of its own.
    pub(in crate::sql) fn do_block(&mut self, block: &pg::DoStmt) -> Result<(), Refusal> {
        self.seen.mark_all(block);
        let object = Object::Other {
            sort: "block".into(),
            schema: None,
            name: "do".into(),
        };
        self.book.plain(object, Operation::Call);
        let mut text = None;
        let mut language = "plpgsql";
        for option in &block.args {
            let Some(NodeEnum::DefElem(option)) = &option.node else {
                continue;
            };
            let Some(Some(NodeEnum::String(word))) = option.arg.as_deref().map(|node| &node.node)
            else {
                continue;
            };
            match option.defname.as_str() {
                "as" => text = Some(word.sval.as_str()),
                "language" => language = &word.sval,
                _ => {}
            }
        }
        let Some(text) = text else {
            return Err(Refusal::new("42601", "no inline code specified"));
        };
        if !language.eq_ignore_ascii_case("plpgsql") {
            let reason = format!("its body is in {language}, which analysis does not follow");
            self.book.opaque("do", &reason);
            return Ok(());
        }
        let (top, limit) = (self.top.take(), self.limit.take());
        // The witness does not read the block: what it names is no name of the statement's.
        let named = std::mem::take(&mut self.named);
        let result = self.attempt("do", "its body", |resolver| {
            resolver.nested(|resolver| resolver.block_alone(text))
        });
        self.named = named;
        (self.top, self.limit) = (top, limit);
        result?;
        Ok(())
    }
}

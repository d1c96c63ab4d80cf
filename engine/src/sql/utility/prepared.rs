//! PREPARE and EXECUTE, DECLARE and FETCH: what a name stands for is read again wherever it is used. A name that the
//! session does not have is refused, never guessed.

use std::{collections::BTreeMap, sync::Arc};

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, DiscardMode, FetchDirection, Node},
};

use super::{
    super::{
        Refusal,
        authority::{parse, tokens},
        book::Value,
        resolver::{Resolver, effective_path},
        routine::Towards,
        scope::Scope,
        session_names::{Binding, Hold, Named},
    },
    Reading,
};
use crate::{
    facts::{Kind, SessionEffect},
    reason::Stating,
};

/// `CURSOR_OPT_HOLD`.
///
/// # Source
/// PostgreSQL, `src/include/nodes/parsenodes.h`.
const CURSOR_OPT_HOLD: i32 = 0x0020;

/// What the parameters of a statement behind a name are.
#[derive(Debug)]
pub(in crate::sql) struct Executed {
    /// The types that Parse or PREPARE declared; 0 for one that the server finds out.
    pub(in crate::sql) types: Vec<u32>,
    /// How often each stands in its text.
    pub(in crate::sql) uses: BTreeMap<u16, usize>,
    /// What each is.
    pub(in crate::sql) arguments: Arguments,
    /// What each is computed from.
    pub(in crate::sql) values: Vec<Value>,
}

/// What the parameters of a statement behind a name stand for.
#[derive(Debug)]
pub(in crate::sql) enum Arguments {
    /// They wait for EXECUTE.
    Awaited,
    /// What EXECUTE gives.
    Given(Vec<Node>),
    /// A cursor's are those of its opening, which are gone.
    Gone,
}

impl Resolver<'_> {
    /// PREPARE: what it would do is known now, and decided now; that it may run later is decided then again.
    pub(super) fn prepare(&mut self, prepare: &pg::PrepareStmt) -> Result<Reading, Refusal> {
        self.seen.mark(prepare);
        for node in &prepare.argtypes {
            if let Some(NodeEnum::TypeName(name)) = &node.node {
                self.type_name(name)?;
            }
        }
        let inner = prepare.query.as_deref().and_then(|node| node.node.as_ref());
        let Some(inner) = inner.filter(|inner| is_plain(inner)) else {
            return Err(Refusal::not_understood("PREPARE of this statement"));
        };
        let types = self.argument_types(&prepare.argtypes);
        let outer = self.executed.replace(Executed {
            types,
            uses: self.parameters.uses.clone(),
            arguments: Arguments::Awaited,
            values: Vec::new(),
        });
        let reading = self.statement_within(inner);
        self.executed = outer;
        self.binding = Some(Binding::Prepare(
            prepare.name.as_str().into(),
            self.own_text(None),
        ));
        Ok(quiet(reading?))
    }

    /// EXECUTE: the statement of that name with these arguments.
    pub(in crate::sql) fn execute(
        &mut self,
        execute: &pg::ExecuteStmt,
    ) -> Result<Reading, Refusal> {
        self.seen.mark(execute);
        self.rests_on.insert(execute.name.as_str().into());
        let Some(named) = self.names.prepared.get(execute.name.as_str()).cloned() else {
            return Err(Refusal::new(
                "26000",
                format!("prepared statement \"{}\" does not exist", execute.name),
            )
            .hint("prepare it over this connection first"));
        };
        let mut values = Vec::with_capacity(execute.params.len());
        for node in &execute.params {
            let mut value = self.expression(node, &Scope::default())?;
            // PREPARE may have declared any type.
            let given = self.user_casts(&value, Towards::Assigned(&[0]))?;
            value.taint_with(&given);
            values.push(value);
        }
        self.behind(&named, Arguments::Given(execute.params.clone()), values)
    }

    /// DECLARE: nothing is read yet. What FETCH would read is known and decided now, and at each FETCH again.
    pub(super) fn declare(&mut self, declare: &pg::DeclareCursorStmt) -> Result<Reading, Refusal> {
        self.seen.mark(declare);
        let inner = declare.query.as_deref().and_then(|node| node.node.as_ref());
        let Some(inner) = inner.filter(|inner| is_plain(inner)) else {
            return Err(Refusal::not_understood("a cursor over this statement"));
        };
        let reading = self.statement_within(inner)?;
        let hold = if declare.options & CURSOR_OPT_HOLD == 0 {
            Hold::Transaction
        } else {
            Hold::Session
        };
        let path: Arc<[Arc<str>]> = self.path.clone().into();
        self.binding = Some(Binding::Declare {
            name: declare.portalname.as_str().into(),
            cursor: self.own_text(Some(path)),
            hold,
        });
        Ok(quiet(reading))
    }

    /// FETCH and MOVE: rows of the query that the cursor was declared for.
    pub(super) fn fetch(&mut self, fetch: &pg::FetchStmt) -> Result<Reading, Refusal> {
        self.seen.mark(fetch);
        self.rests_on.insert(fetch.portalname.as_str().into());
        let Some(named) = self.names.cursors.get(fetch.portalname.as_str()).cloned() else {
            return Err(Refusal::new(
                "34000",
                format!("cursor \"{}\" does not exist", fetch.portalname),
            )
            .hint("declare it over this connection; a cursor that a function opened is not followed: run its query"));
        };
        let mut reading = self.behind(&named, Arguments::Gone, Vec::new())?;
        let rows = match fetch.direction() {
            FetchDirection::FetchForward | FetchDirection::FetchBackward => {
                // ALL is the highest number.
                u64::try_from(fetch.how_many)
                    .ok()
                    .filter(|_| fetch.how_many != i64::MAX)
            }
            FetchDirection::FetchAbsolute | FetchDirection::FetchRelative => Some(1),
            FetchDirection::Undefined => None,
        };
        self.limit = match (self.limit, rows) {
            (Some(limit), Some(rows)) => Some(limit.min(rows)),
            (limit, rows) => limit.or(rows),
        };
        if fetch.ismove {
            reading.outputs = Some(Vec::new());
        }
        Ok(reading)
    }

    /// CLOSE.
    pub(super) fn close(&mut self, close: &pg::ClosePortalStmt) -> Reading {
        self.seen.mark(close);
        self.binding = Some(if close.portalname.is_empty() {
            Binding::CloseAll
        } else {
            Binding::Close(close.portalname.as_str().into())
        });
        Reading::effect(Kind::Release, SessionEffect::Statements)
    }

    /// DEALLOCATE.
    pub(super) fn deallocate(&mut self, deallocate: &pg::DeallocateStmt) -> Reading {
        self.seen.mark(deallocate);
        self.binding = Some(if deallocate.isall || deallocate.name.is_empty() {
            Binding::DeallocateAll
        } else {
            Binding::Deallocate(deallocate.name.as_str().into())
        });
        Reading::effect(Kind::Release, SessionEffect::Statements)
    }

    /// DISCARD: sequences and plans are nobody's names.
    pub(super) fn discarded(&mut self, target: DiscardMode) -> SessionEffect {
        match target {
            DiscardMode::DiscardAll => {
                self.binding = Some(Binding::Everything);
                self.states = Some(Stating::Back);
                SessionEffect::Statements
            }
            // Temporary tables are gone.
            DiscardMode::DiscardTemp => SessionEffect::Catalog,
            DiscardMode::DiscardPlans | DiscardMode::DiscardSequences | DiscardMode::Undefined => {
                SessionEffect::None
            }
        }
    }

    /// Reads the statement behind a name as if it stood here.
    fn behind(
        &mut self,
        named: &Named,
        arguments: Arguments,
        values: Vec<Value>,
    ) -> Result<Reading, Refusal> {
        let no_position = |mut refusal: Refusal| {
            refusal.position = None;
            refusal
        };
        self.work(named.text.len())?;
        let tree = parse(&named.text).map_err(no_position)?;
        let Some(tokens) = tokens(&named.text) else {
            return Err(Refusal::not_understood("the statement of this name"));
        };
        let [statement] = tree.stmts.as_slice() else {
            return Err(Refusal::not_understood("the statement of this name"));
        };
        let Some(outer) = statement.stmt.as_ref().and_then(|node| node.node.as_ref()) else {
            return Err(Refusal::not_understood("the statement of this name"));
        };
        let mut types = named.parameter_types.to_vec();
        let inner = match outer {
            NodeEnum::PrepareStmt(prepare) => {
                types = self.argument_types(&prepare.argtypes);
                prepare.query.as_deref().and_then(|node| node.node.as_ref())
            }
            NodeEnum::DeclareCursorStmt(declare) => {
                declare.query.as_deref().and_then(|node| node.node.as_ref())
            }
            _ => Some(outer),
        };
        let Some(inner) = inner.filter(|inner| is_plain(inner)) else {
            return Err(Refusal::not_understood(
                "a name for a statement that is no query",
            ));
        };
        let executed = Executed {
            types,
            uses: super::super::parameters(&named.text, &tokens),
            arguments,
            values,
        };
        let path = match &named.search_path {
            Some(path) => effective_path(path),
            None => self.path.clone(),
        };
        let path = std::mem::replace(&mut self.path, path);
        let seen = std::mem::take(&mut self.seen);
        let before = self.executed.replace(executed);
        let named = std::mem::take(&mut self.named);
        let reading = self.statement_within(inner).map_err(no_position);
        let missing = self.seen.missing(inner);
        self.named = named;
        self.executed = before;
        self.seen = seen;
        self.path = path;
        match (reading, missing) {
            (Ok(_), Some(missing)) => Err(Refusal::not_understood(&format!(
                "{missing} in the statement of this name"
            ))),
            (reading, _) => reading,
        }
    }

    /// A statement inside another: its WHERE and its LIMIT are those that count.
    pub(in crate::sql) fn statement_within(
        &mut self,
        inner: &NodeEnum,
    ) -> Result<Reading, Refusal> {
        self.top = super::super::top_predicate(inner).map(std::ptr::from_ref);
        self.limit = super::super::literal_limit(inner);
        let reading = self.nested(|resolver| resolver.statement(inner));
        self.top = None;
        reading
    }

    /// The types of PREPARE's list, as far as equality of texts needs them: 1 for a type of no account.
    fn argument_types(&self, types: &[Node]) -> Vec<u32> {
        let oid = |node: &Node| match &node.node {
            Some(NodeEnum::TypeName(name)) => self.comparable_type(name).unwrap_or(1),
            _ => 1,
        };
        types.iter().map(oid).collect()
    }

    /// The text of the statement that is being read; filled in where it is known.
    fn own_text(&self, search_path: Option<Arc<[Arc<str>]>>) -> Named {
        Named {
            text: self.text.into(),
            parameter_types: Arc::from([]),
            search_path,
        }
    }
}

/// What a statement would do that only gets a name: it gives no rows yet.
fn quiet(reading: Reading) -> Reading {
    Reading {
        kind: reading.kind,
        outputs: Some(Vec::new()),
        session_effect: SessionEffect::Statements,
    }
}

/// What can stand behind a name and be run by it in SQL.
fn is_plain(node: &NodeEnum) -> bool {
    match node {
        NodeEnum::SelectStmt(select) => select.into_clause.is_none(),
        NodeEnum::InsertStmt(_)
        | NodeEnum::UpdateStmt(_)
        | NodeEnum::DeleteStmt(_)
        | NodeEnum::MergeStmt(_) => true,
        _ => false,
    }
}

//! Every statement that is no query: transaction control, settings, EXPLAIN, schema changes. A statement without an
//! arm of its own is refused.

mod copy;
mod explain;
mod maintain;
mod prepared;
mod stating;

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, Node, TransactionStmtKind, VariableSetKind, a_const::Val},
};

pub(super) use self::prepared::{Arguments, Executed};
use super::{
    Refusal,
    nodes::{expressions, parts, planned, ranges, schema_commands, server_commands},
    query::Rows,
    resolver::Resolver,
    scope::Scope,
    settings,
};
use crate::{
    facts::{Kind, Object, Operation, OutputColumn, SessionEffect},
    reason::{self, Stating},
};

/// What a statement is, once read.
pub(super) struct Reading {
    pub(super) kind: Kind,
    pub(super) outputs: Option<Vec<OutputColumn>>,
    pub(super) session_effect: SessionEffect,
}

impl Reading {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            outputs: None,
            session_effect: SessionEffect::None,
        }
    }

    fn effect(kind: Kind, session_effect: SessionEffect) -> Self {
        Self {
            kind,
            outputs: None,
            session_effect,
        }
    }
}

/// The kind of a transaction command; `None` for those of two phases, and for what is none.
pub(super) const fn transaction_kind(command: TransactionStmtKind) -> Option<Kind> {
    match command {
        TransactionStmtKind::TransStmtBegin | TransactionStmtKind::TransStmtStart => {
            Some(Kind::Begin)
        }
        TransactionStmtKind::TransStmtCommit => Some(Kind::Commit),
        TransactionStmtKind::TransStmtRollback => Some(Kind::Rollback),
        TransactionStmtKind::TransStmtSavepoint
        | TransactionStmtKind::TransStmtRelease
        | TransactionStmtKind::TransStmtRollbackTo => Some(Kind::Savepoint),
        TransactionStmtKind::TransStmtPrepare
        | TransactionStmtKind::TransStmtCommitPrepared
        | TransactionStmtKind::TransStmtRollbackPrepared
        | TransactionStmtKind::Undefined => None,
    }
}

impl Resolver<'_> {
    /// Reads one statement.
    pub(super) fn statement(&mut self, node: &NodeEnum) -> Result<Reading, Refusal> {
        let top = Scope::default();
        let rows = |kind, rows: Rows, returns: bool| Reading {
            kind,
            outputs: if returns { outputs(rows) } else { None },
            session_effect: SessionEffect::None,
        };
        match node {
            NodeEnum::SelectStmt(select) if select.into_clause.is_some() => {
                self.select_into(select)
            }
            NodeEnum::SelectStmt(select) => {
                let found = self.select(select, &top)?;
                if found.open.is_some() {
                    self.book.opaque("result", "the result's columns depend on a function or row that analysis does not describe");
                }
                Ok(rows(Kind::Select, found, true))
            }
            NodeEnum::InsertStmt(insert) => Ok(rows(
                Kind::Insert,
                self.insert(insert, &top)?,
                insert.returning_clause.is_some(),
            )),
            NodeEnum::UpdateStmt(update) => Ok(rows(
                Kind::Update,
                self.update(update, &top)?,
                update.returning_clause.is_some(),
            )),
            NodeEnum::DeleteStmt(delete) => Ok(rows(
                Kind::Delete,
                self.delete(delete, &top)?,
                delete.returning_clause.is_some(),
            )),
            NodeEnum::MergeStmt(merge) => Ok(rows(
                Kind::Merge,
                self.merge(merge, &top)?,
                merge.returning_clause.is_some(),
            )),
            NodeEnum::TruncateStmt(truncate) => {
                self.truncate(truncate)?;
                Ok(Reading::new(Kind::Truncate))
            }
            NodeEnum::CopyStmt(copy) => self.copy(copy),
            NodeEnum::ExplainStmt(explain) => self.explain(explain),
            NodeEnum::TransactionStmt(transaction) => self.transaction(transaction),
            NodeEnum::VariableSetStmt(set) => self.set(set),
            NodeEnum::VariableShowStmt(show) => {
                self.seen.mark_all(show);
                let name = show.name.to_lowercase();
                self.book
                    .plain(Object::Setting(name.into()), Operation::Read);
                Ok(Reading::new(Kind::Show))
            }
            NodeEnum::DiscardStmt(discard) => {
                self.seen.mark_all(discard);
                self.book
                    .plain(Object::Setting("all".into()), Operation::Session);
                let effect = self.discarded(discard.target());
                Ok(Reading::effect(Kind::Set, effect))
            }
            NodeEnum::ConstraintsSetStmt(constraints) => {
                self.seen.mark_all(constraints);
                self.book
                    .plain(Object::Setting("constraints".into()), Operation::Session);
                Ok(Reading::new(Kind::Set))
            }
            NodeEnum::ClosePortalStmt(close) => Ok(self.close(close)),
            NodeEnum::DeallocateStmt(deallocate) => Ok(self.deallocate(deallocate)),
            NodeEnum::UnlistenStmt(unlisten) => {
                self.seen.mark_all(unlisten);
                Ok(Reading::new(Kind::Release))
            }
            NodeEnum::ListenStmt(listen) => {
                self.seen.mark_all(listen);
                self.book.plain(
                    Object::Channel(listen.conditionname.as_str().into()),
                    Operation::Listen,
                );
                Ok(Reading::new(Kind::Listen))
            }
            NodeEnum::NotifyStmt(notify) => {
                self.seen.mark_all(notify);
                self.book.plain(
                    Object::Channel(notify.conditionname.as_str().into()),
                    Operation::Listen,
                );
                Ok(Reading::new(Kind::Listen))
            }
            NodeEnum::LockStmt(lock) => {
                self.seen.mark(lock);
                for node in &lock.relations {
                    self.lock_relation(node)?;
                }
                Ok(Reading::new(Kind::Lock))
            }
            NodeEnum::VacuumStmt(vacuum) => self.vacuum(vacuum),
            NodeEnum::PrepareStmt(prepare) => self.prepare(prepare),
            NodeEnum::ExecuteStmt(execute) => self.execute(execute),
            NodeEnum::DeclareCursorStmt(declare) => self.declare(declare),
            NodeEnum::FetchStmt(fetch) => self.fetch(fetch),
            NodeEnum::DoStmt(block) => {
                self.do_block(block)?;
                Ok(Reading::new(Kind::Call))
            }
            NodeEnum::CallStmt(call) => {
                let found = self.procedure(call, &top)?;
                let returns = !found.fields.is_empty();
                Ok(rows(Kind::Call, found, returns))
            }
            NodeEnum::ReindexStmt(reindex) => self.reindex(reindex),
            NodeEnum::ClusterStmt(cluster) => self.cluster(cluster),
            NodeEnum::CheckPointStmt(_) => {
                self.database_maintained();
                Ok(Reading::new(Kind::Maintain))
            }
            NodeEnum::LoadStmt(load) => {
                self.seen.mark_all(load);
                Ok(self.load(load))
            }
            schema_commands!() | server_commands!() => self.definition(node),
            expressions!() | ranges!() | parts!() | planned!() => {
                Err(Refusal::not_understood("this kind of statement"))
            }
        }
    }

    fn transaction(&mut self, transaction: &pg::TransactionStmt) -> Result<Reading, Refusal> {
        self.seen.mark_all(transaction);
        let Some(kind) = transaction_kind(transaction.kind()) else {
            return if transaction.kind() == TransactionStmtKind::Undefined {
                Err(Refusal::not_understood("this statement"))
            } else {
                Ok(self.two_phase(transaction))
            };
        };
        self.book.plain(Object::Nothing, Operation::Transaction);
        Ok(Reading::new(kind))
    }

    /// Inside a function the path is not moved: what follows in its body was read by the path that it is called with.
    pub(super) fn refuse_inside(&self, setting: &str) -> Result<(), Refusal> {
        // The path may name the role: `$user`.
        let moves_path = matches!(
            setting,
            "search_path" | "all" | "role" | "session_authorization"
        );
        if self.views.is_empty() || !moves_path {
            return Ok(());
        }
        Err(Refusal::new(
            "42501",
            "setting \"search_path\" can't be changed inside a function",
        ))
    }

    fn set(&mut self, set: &pg::VariableSetStmt) -> Result<Reading, Refusal> {
        self.seen.mark_all(set);
        let name = set.name.to_lowercase();
        let value = set.args.first().and_then(setting_text);
        let sets = matches!(
            set.kind(),
            VariableSetKind::VarSetValue | VariableSetKind::VarSetCurrent
        );
        if name == reason::SETTING {
            return self.state_reason(set);
        }
        // A reset gives back what the connection started with, which the gateway chose.
        if sets {
            refuse_setting(&name, value.as_deref())?;
        } else {
            refuse_own(&name)?;
        }
        // RESET ALL and DISCARD ALL give back what the connection started with, which the gateway chose.
        let name: Arc<str> = if set.kind() == VariableSetKind::VarResetAll {
            self.states = Some(Stating::Back);
            "all".into()
        } else {
            name.into()
        };
        self.refuse_inside(&name)?;
        self.book.plain(Object::Setting(name), Operation::Session);
        Ok(Reading::new(Kind::Set))
    }

    /// Options in parentheses: constants only.
    pub(super) fn options(&mut self, options: &[Node], scope: &Scope<'_>) -> Result<(), Refusal> {
        for node in options {
            let Some(NodeEnum::DefElem(option)) = &node.node else {
                return Err(Refusal::not_understood("this option"));
            };
            self.seen.mark(option.as_ref());
            match option.arg.as_deref().map(|node| &node.node) {
                None
                | Some(
                    None
                    | Some(
                        NodeEnum::String(_)
                        | NodeEnum::Integer(_)
                        | NodeEnum::Float(_)
                        | NodeEnum::Boolean(_),
                    ),
                ) => {}
                Some(Some(NodeEnum::List(_) | NodeEnum::AStar(_))) => {}
                Some(Some(NodeEnum::TypeName(name))) => self.seen.mark(name),
                Some(Some(_)) => {
                    self.optional(option.arg.as_deref(), scope)?;
                }
            }
        }
        Ok(())
    }
}

/// Refuses what no client may set: what is the gateway's own, and how texts are read. The role is for a rule to allow. No `value`
/// is one that can't be told.
///
/// # Errors
/// 42501.
pub(super) fn refuse_setting(name: &str, value: Option<&str>) -> Result<(), Refusal> {
    refuse_own(name)?;
    let value = value.map(str::to_lowercase).unwrap_or_default();
    let utf8 = matches!(value.as_str(), "utf8" | "utf-8" | "unicode");
    if matches!(name, "client_encoding" | "names") && !utf8 {
        return Err(
            Refusal::new("42501", "client_encoding is held at UTF8").hint("send and read UTF-8")
        );
    }
    let on = matches!(value.as_str(), "on" | "true" | "yes" | "1");
    if name == "standard_conforming_strings" && !on {
        return Err(
            Refusal::new("42501", "standard_conforming_strings is held at on")
                .hint("write escapes as E'...'"),
        );
    }
    Ok(())
}

/// Settings that say who the principal is: what row-level security reads must not be a client's word.
pub(super) fn refuse_own(name: &str) -> Result<(), Refusal> {
    if name.starts_with(settings::OWN) {
        return Err(Refusal::new(
            "42501",
            "settings named provost.* are the gateway's own: they tell the server who the principal is, so nobody else may change them",
        )
        .hint("read them with current_setting, and name a setting of your own otherwise"));
    }
    Ok(())
}

/// A text constant.
fn constant_text(node: &Node) -> Option<&str> {
    match &node.node {
        Some(NodeEnum::AConst(constant)) => match &constant.val {
            Some(Val::Sval(text)) => Some(&text.sval),
            _ => None,
        },
        _ => None,
    }
}

fn setting_text(node: &Node) -> Option<String> {
    match &node.node {
        Some(NodeEnum::AConst(constant)) => match &constant.val {
            Some(Val::Sval(text)) => Some(text.sval.clone()),
            Some(Val::Ival(number)) => Some(number.ival.to_string()),
            Some(Val::Boolval(value)) => Some(value.boolval.to_string()),
            _ => None,
        },
        Some(NodeEnum::String(text)) => Some(text.sval.clone()),
        _ => None,
    }
}

/// The result's columns as facts; `None` when they are not all known.
pub(super) fn outputs(rows: Rows) -> Option<Vec<OutputColumn>> {
    if rows.open.is_some() {
        return None;
    }
    let output = |field: super::scope::Field| OutputColumn {
        lineage: field.value.lineage(),
        origin: field.value.described,
        name: field.name,
    };
    Some(rows.fields.into_iter().map(output).collect())
}

//! EXPLAIN: of what it explains, all the facts. Without ANALYZE the server plans only, which runs functions that it takes
//! for constant; so nothing is left out.

use pg_query::{NodeEnum, protobuf as pg};

use super::{
    super::{Refusal, resolver::Resolver, scope::Scope},
    Reading,
};
use crate::facts::{Kind, SessionEffect};

impl Resolver<'_> {
    pub(super) fn explain(&mut self, explain: &pg::ExplainStmt) -> Result<Reading, Refusal> {
        self.seen.mark(explain);
        self.options(&explain.options, &Scope::default())?;
        let Some(Some(inner)) = explain.query.as_deref().map(|node| &node.node) else {
            return Err(Refusal::not_understood("this EXPLAIN"));
        };
        let explainable = matches!(
            inner,
            NodeEnum::SelectStmt(_)
                | NodeEnum::InsertStmt(_)
                | NodeEnum::UpdateStmt(_)
                | NodeEnum::DeleteStmt(_)
                | NodeEnum::MergeStmt(_)
                | NodeEnum::ExecuteStmt(_)
                | NodeEnum::DeclareCursorStmt(_)
                | NodeEnum::CreateTableAsStmt(_)
                | NodeEnum::RefreshMatViewStmt(_)
        );
        if !explainable {
            return Err(Refusal::not_understood("EXPLAIN of this statement"));
        }
        let mark = self.book.mark();
        let inner = self.nested(|resolver| resolver.statement(inner))?;
        self.plan_told(mark);
        // A cursor that is explained is not declared.
        self.binding = None;
        let session_effect = match inner.session_effect {
            SessionEffect::Catalog => SessionEffect::Catalog,
            SessionEffect::None | SessionEffect::Statements => SessionEffect::None,
        };
        Ok(Reading {
            kind: Kind::Explain,
            outputs: None,
            session_effect,
        })
    }
}

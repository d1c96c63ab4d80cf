//! What becomes of a text that analysis can't read, where the policy allows its sender everything, `opaque` included: it goes to
//! the server as it is, whose own words the client then gets.
//!
//! Must never let such a text through for somebody whom a mask binds, nor where a rule denies or holds any operation.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
};

use provost_engine::{
    facts::{Facts, Kind},
    sql::{self, Refusal, Statement},
};
use provost_evidence::record::Phase;

use super::{
    SessionJudge, Step, analysis::Analysed, decide::is_allowed, notes::Noted, obstacle,
    obstacle::Ground, view,
};
use crate::{
    judge::{Permitted, Refused, Stop, Touch},
    record,
};

impl SessionJudge {
    /// The statements of a refused text as ones that may do anything, where each of them is allowed to.
    pub(super) fn despite(&self, step: &Step<'_>, refusal: &Refusal) -> Option<Analysed> {
        // Limits hold for everybody, and what the server just failed to tell is no matter of understanding.
        if matches!(refusal.sqlstate, "54000" | "53400" | "57014") {
            return None;
        }
        let reason = record::reason_of_refusal(&self.bench.key, step.text, refusal);
        self.unbounded(step, &reason)
    }

    /// The same for a text that was read, on ground that can't be relied on.
    pub(super) fn despite_ground(
        &self,
        step: &Step<'_>,
        statements: &[Statement],
    ) -> Option<Analysed> {
        let mut ground = self.ground();
        let reason = statements.iter().find_map(|statement| {
            if self.may_be_outdated(step, statement) {
                return Some("it was prepared before the schema changed".into());
            }
            let found = obstacle::find(&statement.facts, ground).map(|reason| reason.message);
            ground = self.ground_after(step, statement, ground);
            found
        })?;
        self.unbounded(step, &reason)
    }

    fn unbounded(&self, step: &Step<'_>, reason: &str) -> Option<Analysed> {
        if self.policy.is_mask_bound(&self.view) {
            return None;
        }
        let version = self.loaded().catalog.version();
        // The engine is pure: a panic leaves nothing of it behind.
        let read = || sql::unbounded(step.text, reason, version);
        let mut statements = catch_unwind(AssertUnwindSafe(read)).ok().flatten()?;
        // A Parse takes one: the server says so itself.
        if step.phase != Phase::Simple && statements.len() != 1 {
            statements = vec![as_one(statements, step.text.len())?];
        }
        let (decisions, _) = self.decide_all(step, &statements);
        decisions
            .iter()
            .all(is_allowed)
            .then(|| Rc::new(Noted::new(Arc::from(statements))))
    }

    /// Decides a FunctionCall: of a function that is called by its number, with values that only it can read, nobody can say what
    /// it does.
    pub(super) async fn judge_call(&mut self, function: u32) -> Result<Permitted, Stop> {
        let loaded = self.loaded();
        let name = loaded.catalog.function_by_oid(function).map_or_else(
            || function.to_string(),
            |found| format!("{}.{}", found.schema, found.name),
        );
        let text = format!("FunctionCall {name}");
        let step = Step::bare(Phase::Simple, text.as_bytes());
        let reason = "a FunctionCall names a function by number and can't be analysed";
        let statements: Option<Vec<Statement>> = self
            .unbounded(&step, reason)
            .map(|found| found.iter().cloned().map(as_call).collect());
        let Some(statements) = statements else {
            let refused = no_calls();
            self.refuse_unread(&step, &refused.message, refused.sqlstate)
                .await?;
            return Err(Stop::Refused(refused));
        };
        let statements = Noted::new(Arc::from(statements));
        let mut permitted = self.judge(&step, &statements).await?;
        match (permitted.pop(), permitted.is_empty()) {
            (Some(one), true) => Ok(one),
            _ => Err(Stop::Refused(no_calls())),
        }
    }

    /// The ground of what follows a statement in its text.
    pub(super) fn ground_after(
        &self,
        step: &Step<'_>,
        statement: &Statement,
        ground: Ground,
    ) -> Ground {
        // A Parse changes nothing yet: its Bind is judged again.
        let loses = step.phase != Phase::Prepare
            && match view::touch(&statement.facts) {
                Touch::Nothing => false,
                Touch::Moves => true,
                Touch::Returns => self.sight.is_special(),
            };
        Ground {
            lost: ground.lost || loses,
            ..ground
        }
    }
}

/// A text of several statements where it is asked for as one, by the text's length.
fn as_one(statements: Vec<Statement>, length: usize) -> Option<Statement> {
    let literals = statements.iter().flat_map(|one| one.literals.clone());
    let literals = literals.collect();
    let first = statements.into_iter().next()?;
    Some(Statement {
        facts: Facts {
            kind: Kind::Other,
            ..first.facts
        },
        span: 0..length,
        literals,
        binding: None,
        states: None,
        ..first
    })
}

fn as_call(statement: Statement) -> Statement {
    Statement {
        facts: Facts {
            kind: Kind::Call,
            ..statement.facts
        },
        ..statement
    }
}

fn no_calls() -> Refused {
    Refused {
        sqlstate: "42501",
        message: "function calls outside SQL are not allowed".to_owned(),
        detail: Some(
            "the FunctionCall message names a function by number and can't be analysed".to_owned(),
        ),
        hint: Some("call the function in a SELECT".to_owned()),
        position: None,
    }
}

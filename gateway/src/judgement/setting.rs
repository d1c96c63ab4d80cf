//! Decides one setting asked for at start-up, before a session has a judge of its own.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use provost_engine::{
    facts::Kind,
    principal::{Circumstances, Session},
    verdict::Verdict,
};

use super::{
    Bench,
    analysis::{Asking, Question},
    now,
};
use crate::catalog::Keeper;

/// Decides `text`, which is one `SET`. The error is why it is refused, in one line.
pub(crate) fn judge(
    bench: &Bench,
    keeper: &Keeper,
    session: &Session,
    text: &str,
) -> Result<(), String> {
    let asking = Asking {
        text: text.as_bytes(),
        types: &[],
        search_path: &Arc::from([]),
        target: &session.target,
        catalog: &keeper.current().catalog,
        witness: bench.witness,
        names: None,
    };
    let statements = Question::from(asking)
        .ask()
        .map_err(|refusal| refusal.message)?;
    let [statement] = statements.as_ref() else {
        return Err("it is not one setting".to_owned());
    };
    if statement.facts.kind != Kind::Set {
        return Err("it is not a setting".to_owned());
    }
    let policy = bench.policy.current();
    // The engine is pure: a panic leaves nothing of it behind.
    let decision = catch_unwind(AssertUnwindSafe(|| {
        let view = policy.view(&Arc::new(session.clone()), now());
        policy.decide(&view, &statement.facts, &Circumstances::default())
    }))
    .map_err(|_| "internal error in evaluation".to_owned())?;
    match decision.verdict {
        Verdict::Allow => Ok(()),
        // Never: none is stated yet.
        Verdict::BreakGlass => Err("it needs a stated reason".to_owned()),
        Verdict::Hold => Err("it needs an approval, which a start-up can't wait for".to_owned()),
        Verdict::Deny => Err(decision.reasons.first().map_or_else(
            || "no rule allows it".to_owned(),
            |reason| reason.message.to_string(),
        )),
    }
}

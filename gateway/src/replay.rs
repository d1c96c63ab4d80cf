//! Recorded statements decided again: by another policy, with the session, the time and the values that they were decided with.
//!
//! Pure. Must never decide with less than was recorded: what is lacking is said, and nothing is decided.

use std::sync::Arc;

use jiff::Timestamp;
use provost_engine::{
    catalog::Catalog,
    graph::Policy,
    principal::{Circumstances, Dear, Session},
    sql::{self, Context, NO_NAMES, Refusal, Witness},
    verdict::Decision,
};
use provost_evidence::replay::Input;

use crate::judgement::{
    estimate_as_fact,
    values::{self, Values},
};

/// Why a statement can't be decided again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotReplayable {
    /// Its values were not kept.
    #[error("its values were too many bytes to be kept")]
    Values,
    /// What was recorded can't be read.
    #[error("what was recorded of it can't be read")]
    Malformed,
    /// The catalog does not have what it names, or the text is not one statement in it.
    #[error("it can't be analysed by this catalog: {}", .0.message)]
    Refused(Box<Refusal>),
    /// A rule asks for what is not recorded.
    #[error("a rule asks whether its shape is new, which is not recorded")]
    Novel,
    /// A rule asks how many rows the planner expects, and none did when it was decided.
    #[error("a rule asks how many rows the planner expects, and when it was decided none did")]
    Estimate,
}

/// Decides a statement by `policy` as a gateway with `catalog` would have. What gateways refuse before and behind policy is left out.
/// It takes stack as analysis does.
///
/// # Errors
/// [`NotReplayable`].
pub fn decide_again(
    policy: &Policy,
    catalog: &Catalog,
    input: &Input,
) -> Result<Decision, NotReplayable> {
    if input.lacks_parameters {
        return Err(NotReplayable::Values);
    }
    let session: Session =
        serde_json::from_value(input.session.clone()).map_err(|_| NotReplayable::Malformed)?;
    let at = Timestamp::from_microsecond(input.decided_at.0);
    let at = at.map_err(|_| NotReplayable::Malformed)?;
    let path: Vec<Arc<str>> = input
        .search_path
        .iter()
        .map(|name| name.as_str().into())
        .collect();
    let context = Context {
        catalog,
        search_path: &path,
        parameter_types: &input.parameter_types,
        witness: Witness::Deny,
        names: &NO_NAMES,
    };
    let statements = sql::analyse(input.text.as_bytes(), &context)
        .map_err(|refusal| NotReplayable::Refused(Box::new(refusal)))?;
    let [statement] = statements.as_slice() else {
        return Err(NotReplayable::Malformed);
    };
    let raw = input.parameters();
    if raw.is_none() && input.parameters.is_some() {
        return Err(NotReplayable::Malformed);
    }
    let bound = raw.as_deref().map_or(Values::None, Values::Bound);
    let known = values::known(&statement.facts, &input.parameter_types, bound);
    let texts: Option<Vec<Option<&str>>> = known
        .as_ref()
        .map(|known| known.iter().map(Option::as_deref).collect());
    let circumstances = Circumstances {
        in_transaction: input.in_transaction,
        estimated_rows: estimate_as_fact(input.estimated_rows.as_ref()),
        novel: Dear::NotAsked,
        parameters: texts.as_deref(),
        values_follow: false,
        stated_reason: input.stated_reason.as_deref(),
    };
    let view = policy.view(&Arc::new(session), at);
    let decision = policy.decide(&view, &statement.facts, &circumstances);
    if decision.needs.novel {
        return Err(NotReplayable::Novel);
    }
    if decision.needs.estimated_rows {
        return Err(NotReplayable::Estimate);
    }
    Ok(decision)
}

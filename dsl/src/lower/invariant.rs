//! Invariants: what must hold of all rules together. Never changes a decision.

use std::sync::Arc;

use provost_engine::graph::rule::{Claim, Invariant};

use super::{
    Check, operations,
    rule::{Parts, Written, controls},
    subjects,
};
use crate::ast::{Always, Clause, ClauseKind, Name, Span, Verb};

/// Lowers an invariant; `None` if it has a mistake (which was reported).
pub(super) fn lower(
    name: &Name,
    clauses: &[Clause],
    check: &mut Check<'_, '_>,
) -> Option<Invariant> {
    let before = check.errors();
    let parts = Parts::gather(clauses, "invariant", check);
    let unread = clauses
        .iter()
        .any(|clause| clause.kind == ClauseKind::Error);
    controls(&parts.controls, check);
    let subjects = parts
        .subjects
        .map(|(audience, except)| subjects::lower(audience, except, check));
    if subjects.is_none() && !unread {
        subjects::missing("invariant", name, check);
    }
    if parts.effect.is_none() && !unread {
        check.error_with_help(
            &name.span,
            format!("invariant `{}` claims nothing", name.value),
            "no claim",
            "add `always mask CLASSES` or `never allow OPERATIONS`",
        );
    }
    if let Some(span) = parts.observe_span {
        check.error_with_help(
            span,
            "an invariant is not enforced",
            "not in an invariant",
            "leave it out",
        );
    }
    let claim = parts
        .effect
        .and_then(|(written, span)| lower_claim(&written, span, &parts, check));
    if unread || check.errors() > before {
        return None;
    }
    Some(Invariant {
        name: Arc::from(&*name.value),
        subjects: subjects?,
        claim: claim?,
    })
}

fn lower_claim(
    written: &Written<'_>,
    span: &Span,
    parts: &Parts<'_>,
    check: &mut Check<'_, '_>,
) -> Option<Claim> {
    parts.refuse_misplaced(written, check);
    match written {
        Written::Access(Verb::NeverAllow, names, on) => {
            let operations = operations::lower(names, check);
            Some(Claim::NeverAllow(parts.scope(
                "never allow",
                operations,
                on,
                check,
            )))
        }
        Written::Mask(Always::Claim, classes) => {
            if let Some((condition, _)) = parts.condition {
                check.error_with_help(
                    condition.span(),
                    "`always mask` has no condition",
                    "always means always",
                    "leave it out, or claim less: `for` fewer groups",
                );
            }
            let mut names: Vec<Arc<str>> = Vec::new();
            for class in *classes {
                check.symbols.class(class, check.file, check.diagnostics)?;
                names.push(Arc::from(&*class.value));
            }
            names.sort_unstable();
            names.dedup();
            Some(Claim::AlwaysMask(names))
        }
        Written::Access(Verb::Allow | Verb::Deny | Verb::BreakGlass | Verb::Hold, ..)
        | Written::Mask(Always::Effect, _)
        | Written::Limit(..)
        | Written::Record(..) => {
            check.error_with_help(
                span,
                "an invariant does nothing of its own",
                "an effect of rules",
                "it claims `always mask CLASSES` or `never allow OPERATIONS`",
            );
            None
        }
    }
}

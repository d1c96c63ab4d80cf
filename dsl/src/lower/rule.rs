//! One rule: exactly one effect, exactly one `for`, and only the clauses that its effect can have.

use std::{collections::BTreeSet, sync::Arc};

use provost_engine::{
    facts::Operation,
    graph::{
        condition::Condition,
        rule::{Effect, Hold, Mode, Operations, Rule, Scope},
    },
    verdict::HeldTransaction,
};

use super::{
    Check,
    condition::{self, Place},
    contradiction, limit, mask, operations, subjects,
};
use crate::{
    ast::{
        self, Always, ApprovalItem, Audience, Clause, ClauseKind, Control, LimitItem, Name,
        Pattern, Span, Verb, With,
    },
    vocabulary,
};

/// Lowers a rule; `None` if it has a mistake (which was reported).
pub(super) fn lower(name: &Name, clauses: &[Clause], check: &mut Check<'_, '_>) -> Option<Rule> {
    let before = check.errors();
    let parts = Parts::gather(clauses, "rule", check);
    // A clause that could not be read may have been the effect or the `for`: say nothing of what else is missing.
    let unread = clauses
        .iter()
        .any(|clause| clause.kind == ClauseKind::Error);
    let controls = controls(&parts.controls, check);
    let subjects = parts
        .subjects
        .map(|(audience, except)| subjects::lower(audience, except, check));
    if subjects.is_none() && !unread {
        subjects::missing("rule", name, check);
    }
    if parts.effect.is_none() && !unread {
        let effects: Vec<&str> = vocabulary::EFFECTS.iter().map(|one| one.name).collect();
        check.error_with_help(
            &name.span,
            format!("rule `{}` does nothing", name.value),
            "no effect",
            format!("add one of {}", crate::diagnostic::quoted(&effects)),
        );
    }
    let effect = parts
        .effect
        .as_ref()
        .and_then(|(effect, span)| parts.lower_effect(effect, span, unread, check));
    if unread || check.errors() > before {
        return None;
    }
    Some(Rule {
        name: Arc::from(&*name.value),
        effect: effect?,
        subjects: subjects?,
        because: parts.because.map(|text| Arc::from(&*text.value)),
        controls,
        mode: if parts.observe {
            Mode::Observe
        } else {
            Mode::Enforce
        },
    })
}

/// Control ids, sorted, each once.
pub(super) fn controls(written: &[&Control], check: &mut Check<'_, '_>) -> Vec<Arc<str>> {
    let mut controls: BTreeSet<Arc<str>> = BTreeSet::new();
    for control in written {
        if let Some(id) = check.control(control)
            && !controls.insert(id)
        {
            check.warn(
                &control.id.span,
                format!("`{}` is listed already", control.id.value),
                "says nothing new",
                Some("leave it out"),
            );
        }
    }
    controls.into_iter().collect()
}

/// The effect as written.
#[derive(Clone, Copy)]
pub(super) enum Written<'a> {
    Access(Verb, &'a [Name], &'a [Pattern]),
    Mask(Always, &'a [Name]),
    Limit(&'a [LimitItem], &'a [Pattern]),
    Record(&'a Name, &'a [Pattern]),
}

impl Written<'_> {
    /// The word that it begins with.
    fn word(&self) -> &'static str {
        match self {
            Self::Access(Verb::Allow, ..) => "allow",
            Self::Access(Verb::Deny, ..) => "deny",
            Self::Access(Verb::BreakGlass, ..) => "break-glass",
            Self::Access(Verb::Hold, ..) => "hold",
            Self::Access(Verb::NeverAllow, ..) => "never allow",
            Self::Mask(Always::Effect, _) => "mask",
            Self::Mask(Always::Claim, _) => "always mask",
            Self::Limit(..) => "limit",
            Self::Record(..) => "record",
        }
    }

    fn is_claim(&self) -> bool {
        matches!(
            self,
            Self::Access(Verb::NeverAllow, ..) | Self::Mask(Always::Claim, _)
        )
    }
}

/// `probing` as written: the way, its number and span of time, and where it stands.
type Probing<'a> = (&'a Name, Option<&'a (Name, Name)>, &'a Span);

/// The clauses of a rule or an invariant, each at most once (`satisfies` adds up).
#[derive(Default)]
pub(super) struct Parts<'a> {
    pub(super) effect: Option<(Written<'a>, &'a Span)>,
    pub(super) subjects: Option<(&'a Audience, &'a [Name])>,
    pub(super) condition: Option<(&'a ast::Condition, &'a Span)>,
    pub(super) until: Option<(&'a [ApprovalItem], Option<&'a Name>, &'a Span)>,
    pub(super) with: Option<(&'a [With], &'a Span)>,
    pub(super) probing: Option<Probing<'a>>,
    pub(super) because: Option<&'a Name>,
    pub(super) controls: Vec<&'a Control>,
    pub(super) observe: bool,
    pub(super) observe_span: Option<&'a Span>,
}

impl<'a> Parts<'a> {
    pub(super) fn gather(clauses: &'a [Clause], within: &str, check: &mut Check<'_, '_>) -> Self {
        let mut parts = Self::default();
        for Clause { kind, span } in clauses {
            if let Some(what) = parts.add(kind, span) {
                check.error_with_help(
                    span,
                    format!("a second {what} in one {within}"),
                    "one too many",
                    format!("write a second {within} for it"),
                );
            }
        }
        parts
    }

    /// Adds a clause; what it is if there was one already.
    fn add(&mut self, kind: &'a ClauseKind, span: &'a Span) -> Option<&'static str> {
        let mut effect = |written| self.effect.replace((written, span)).map(|_| "effect");
        match kind {
            ClauseKind::Access {
                verb,
                operations,
                on,
            } => effect(Written::Access(*verb, operations, on)),
            ClauseKind::Mask { always, classes } => effect(Written::Mask(*always, classes)),
            ClauseKind::Limit { limits, on } => effect(Written::Limit(limits, on)),
            ClauseKind::Record { level, on } => effect(Written::Record(level, on)),
            ClauseKind::For { audience, except } => {
                self.subjects.replace((audience, except)).map(|_| "`for`")
            }
            ClauseKind::When(condition) => {
                self.condition.replace((condition, span)).map(|_| "`when`")
            }
            ClauseKind::Until { approvals, keep } => self
                .until
                .replace((approvals, keep.as_ref(), span))
                .map(|_| "`until`"),
            ClauseKind::With(with) => self.with.replace((with, span)).map(|_| "`with`"),
            ClauseKind::Probing { way, budget } => self
                .probing
                .replace((way, budget.as_ref(), span))
                .map(|_| "`probing`"),
            ClauseKind::Because(text) => self.because.replace(text).map(|_| "`because`"),
            ClauseKind::Satisfies(controls) => {
                self.controls.extend(controls);
                None
            }
            ClauseKind::Observe => {
                self.observe_span = Some(span);
                std::mem::replace(&mut self.observe, true).then_some("`observe`")
            }
            ClauseKind::Error => None,
        }
    }

    /// Refuses the clauses that do not go with the effect.
    pub(super) fn refuse_misplaced(&self, effect: &Written<'_>, check: &mut Check<'_, '_>) {
        let word = effect.word();
        let mut misplaced = |span: Option<&Span>, clause: &str, belongs: &str| {
            if let Some(span) = span {
                check.error_with_help(
                    span,
                    format!("`{clause}` does not go with `{word}`"),
                    "not in this rule",
                    belongs,
                );
            }
        };
        if !matches!(effect, Written::Mask(Always::Effect, _)) {
            let help = "only `mask` rules transform values";
            misplaced(self.with.map(|(_, span)| span), "with", help);
            misplaced(self.probing.map(|(_, _, span)| span), "probing", help);
        }
        if !matches!(effect, Written::Access(Verb::Hold, ..)) {
            let help = "only `hold` rules wait for approval";
            misplaced(self.until.map(|(_, _, span)| span), "until", help);
        }
    }

    /// The operations, objects and condition of an effect over accesses.
    pub(super) fn scope(
        &self,
        verb: &str,
        operations: Operations,
        on: &[Pattern],
        check: &mut Check<'_, '_>,
    ) -> Scope {
        let before = check.errors();
        let scope = Scope {
            operations,
            objects: operations::objects(operations, on, verb, check),
            condition: self.condition.map_or(Condition::Always, |(written, _)| {
                condition::lower(written, Place::Access, check)
            }),
        };
        if let Some((written, _)) = self.condition
            && check.errors() == before
            && !operations.is_empty()
            && !contradiction::is_possible_with(&scope.condition, operations)
        {
            check.warn(
                written.span(),
                "the condition never holds for these operations",
                "never matches",
                Some("ask for an operation that the rule is about"),
            );
        }
        scope
    }

    fn lower_effect(
        &self,
        effect: &Written<'_>,
        span: &Span,
        unread: bool,
        check: &mut Check<'_, '_>,
    ) -> Option<Effect> {
        if effect.is_claim() {
            check.error_with_help(
                span,
                format!("`{}` is what an invariant claims", effect.word()),
                "not in a rule",
                "write `invariant NAME` in place of `rule NAME`, or leave the first word out",
            );
            return None;
        }
        self.refuse_misplaced(effect, check);
        match effect {
            Written::Access(verb, names, on) => {
                let operations = operations::lower(names, check);
                let scope = self.scope(effect.word(), operations, on, check);
                Some(match verb {
                    Verb::Allow => Effect::Allow(scope),
                    Verb::BreakGlass => {
                        self.check_glass(span, unread, check);
                        Effect::BreakGlass(scope)
                    }
                    Verb::Hold => Effect::Hold(scope, self.hold(span, unread, check)),
                    Verb::Deny | Verb::NeverAllow => Effect::Deny(scope),
                })
            }
            Written::Limit(limits, on) => {
                let limits = limit::limits(limits, check);
                let scope = self.scope("limit", every_operation(on), on, check);
                Some(Effect::Limit(scope, limits))
            }
            Written::Record(level, on) => {
                let recording = limit::recording(level, check);
                let scope = self.scope("record", every_operation(on), on, check);
                Some(Effect::Record(scope, recording?))
            }
            Written::Mask(_, classes) => {
                let condition = self.condition.map_or(Condition::Always, |(written, _)| {
                    condition::lower(written, Place::Mask, check)
                });
                let written = mask::Written {
                    classes,
                    with: self.with.map_or(&[][..], |(with, _)| with),
                    probing: self.probing.map(|(way, budget, _)| (way, budget)),
                    condition,
                };
                Some(Effect::Mask(mask::lower(written, check)))
            }
        }
    }

    /// Whoever may break glass is named, and is told what for.
    fn check_glass(&self, span: &Span, unread: bool, check: &mut Check<'_, '_>) {
        if matches!(self.subjects, Some((Audience::Anyone, _))) {
            check.error_with_help(
                span,
                "a `break-glass` rule for anyone",
                "who is on call?",
                "name the group that may: `for oncall`",
            );
        }
        if self.because.is_none() && !unread {
            check.error_with_help(
                span,
                "a `break-glass` rule that does not say what for",
                "no `because`",
                "add `because \"what it is for\"`: it is recorded with the reason that the session states",
            );
        }
    }

    fn hold(&self, span: &Span, unread: bool, check: &mut Check<'_, '_>) -> Hold {
        match self.until {
            Some((approvals, keep, _)) => limit::hold(approvals, keep, check),
            None => {
                if !unread {
                    check.error_with_help(
                        span,
                        "a hold that nobody can end",
                        "who approves?",
                        "add `until 1 of GROUP approve within 15 min`",
                    );
                }
                Hold {
                    approvals: Vec::new(),
                    transaction: HeldTransaction::Fail,
                }
            }
        }
    }
}

/// Limits and recordings are about every access to what they name; where that is columns, about uses of them.
fn every_operation(on: &[Pattern]) -> Operations {
    let columns = !on.is_empty()
        && on.iter().all(|pattern| match &pattern.of {
            ast::PatternOf::Class(_) => true,
            ast::PatternOf::Names(parts) => parts.len() == 3,
        });
    if columns {
        Operations::of(vocabulary::COLUMN_OPERATIONS)
    } else {
        Operations::of(&Operation::ALL)
    }
}

//! What modules say of a statement, in words.

use std::sync::Arc;

use super::{Answer, ModuleLimits, ModuleVerdict, Questions, must_be_named};
use crate::{
    facts::Access,
    graph::{
        Policy, SessionView, access, built_in,
        condition::{Context, Unknown},
        explain::{Fate, RuleExplanation, describe},
    },
    verdict::{RuleId, Verdict},
};

/// What became of each module, in words.
pub(in crate::graph) fn explain(
    policy: &Policy,
    view: &SessionView,
    context: Context<'_>,
) -> Vec<RuleExplanation> {
    let implied = access::implied(context.facts);
    let mut questions = Questions::of(policy, view, context, implied.as_ref());
    let accesses: Vec<&Access> = questions.accesses().collect();
    let fate = |answer: &Answer| match answer {
        Ok(verdicts) => {
            let said: Vec<String> = verdicts
                .iter()
                .flat_map(|verdict| words(verdict, &accesses))
                .collect();
            if said.is_empty() {
                Fate::OtherAccesses("it says nothing of this statement".to_owned())
            } else {
                Fate::Applied(said)
            }
        }
        Err(error) => Fate::Unknown(error.to_string()),
    };
    (policy.set.rules.len()..)
        .zip(policy.modules.iter().enumerate())
        .filter_map(|(speaker, (index, module))| {
            let fate = if built_in::is_always_allowed(context.facts) {
                Fate::OtherAccesses("modules are not asked of what is always allowed".to_owned())
            } else {
                match questions.ask(index, &**module) {
                    Ok(answer) => fate(&answer),
                    Err(missing) => Fate::Unknown(Unknown::NotAsked(missing).to_string()),
                }
            };
            Some(RuleExplanation {
                rule: RuleId(u32::try_from(speaker).ok()?),
                name: Arc::clone(module.name()),
                effect: "module",
                fate,
            })
        })
        .collect()
}

/// What a verdict does, a line for each thing.
fn words(verdict: &ModuleVerdict, accesses: &[&Access]) -> Vec<String> {
    let rule = match &verdict.rule {
        Some(rule) => format!("{rule}: "),
        None => String::new(),
    };
    let mut said = Vec::new();
    match verdict.verdict {
        None | Some(Verdict::BreakGlass) => {}
        Some(Verdict::Deny) => {
            let because = verdict.because.as_deref().unwrap_or("the module denies it");
            said.push(format!("{rule}denies: {because}"));
        }
        Some(covers @ (Verdict::Allow | Verdict::Hold)) => {
            let is_covered = |place: usize, access: &Access| match &verdict.accesses {
                Some(places) => places.contains(&place),
                None => !must_be_named(access.operation),
            };
            let covered = accesses
                .iter()
                .enumerate()
                .filter(|(place, access)| is_covered(*place, access));
            for (_, access) in covered {
                said.push(format!("{rule}{}s {}", covers.name(), describe(access)));
            }
        }
    }
    let others = [
        (
            !verdict.masks.is_empty() || !verdict.output_masks.is_empty(),
            "masks",
        ),
        (verdict.limits != ModuleLimits::default(), "limits"),
        (verdict.recording.is_some(), "records"),
    ];
    for (_, word) in others.into_iter().filter(|(does, _)| *does) {
        said.push(format!("{rule}{word}"));
    }
    said
}

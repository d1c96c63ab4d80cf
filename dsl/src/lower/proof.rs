//! Invariants against the rules of the set: proved, or refused with a way round them. Never takes what was not proved
//! for proved: it says so.

use std::sync::Arc;

use provost_engine::graph::{
    prove::{Counterexample, Proof, prove},
    rule::RuleSet,
};

use crate::{
    ast::Span,
    compile::Proved,
    diagnostic::{Diagnostic, File, quoted},
};

/// Where an invariant is declared.
#[derive(Debug)]
pub(crate) struct Place {
    pub(super) name: Arc<str>,
    pub(super) file: File,
    pub(super) span: Span,
}

/// Whether the rules decide alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deciding {
    /// Nothing but the rules.
    Rules,
    /// Modules of another language too, which proofs do not look into.
    WithModules,
}

/// Proves every invariant of a set that has no mistakes; returns what became of each.
pub(crate) fn check(
    set: &RuleSet,
    places: &[Place],
    deciding: Deciding,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Proved> {
    let mut proved = Vec::new();
    for Place { name, file, span } in places {
        let Some(invariant) = set.invariants.iter().find(|one| one.name == *name) else {
            continue;
        };
        let proof = match deciding {
            Deciding::Rules => prove(set, invariant),
            Deciding::WithModules => Proof::Unknown(
                "Rego modules take part in every decision, and a proof can't look into them"
                    .to_owned(),
            ),
        };
        let outcome = |doubt| Proved {
            name: Arc::clone(name),
            path: file.name().to_owned(),
            line: file.line(span.start),
            doubt,
        };
        match proof {
            Proof::Holds => proved.push(outcome(None)),
            Proof::Violated(counterexample) => diagnostics.push(
                file.error(
                    span,
                    format!("the rules break the invariant `{name}`"),
                    "there is a way round it",
                )
                .with_help(in_words(&counterexample)),
            ),
            Proof::Unknown(why) => {
                proved.push(outcome(Some(why.clone())));
                diagnostics.push(
                    file.warning(
                        span,
                        format!("the invariant `{name}` can't be proved"),
                        "may hold or not",
                    )
                    .with_help(why),
                );
            }
        }
    }
    proved
}

/// Who can do what, by which rules, and a statement that does it.
fn in_words(found: &Counterexample) -> String {
    let Counterexample {
        groups,
        on_behalf_of,
        access,
        conditions,
        rules,
        statement,
    } = found;
    let mut words = format!("somebody {}", of_groups(groups));
    if let Some(groups) = on_behalf_of {
        words.push_str(&format!(", on behalf of somebody {},", of_groups(groups)));
    }
    words.push_str(&format!(" can `{access}`"));
    if !conditions.is_empty() {
        words.push_str(&format!(" when {}", conditions.join(" and ")));
    }
    words.push_str(&match &rules[..] {
        [] => ", and no rule masks it".to_owned(),
        rules => {
            let names: Vec<&str> = rules.iter().map(|name| &**name).collect();
            format!(", by {}", quoted(&names))
        }
    });
    if statement != access {
        words.push_str(&format!(": `{statement}`"));
    }
    words
}

fn of_groups(groups: &[Arc<str>]) -> String {
    match groups {
        [] => "in none of the groups".to_owned(),
        [group] => format!("in the group \"{group}\""),
        groups => {
            let names: Vec<String> = groups.iter().map(|group| format!("\"{group}\"")).collect();
            format!("in the groups {}", names.join(", "))
        }
    }
}

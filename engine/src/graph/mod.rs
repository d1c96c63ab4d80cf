//! Rules compiled for deciding; facts to decision. Pure: never reads a clock, a file or a socket, and never lets an
//! access through that no allow rule covers.
//!
//! | part | holds |
//! |---|---|
//! | [`rule`] | rules as plain data: what the policy language lowers to |
//! | [`glob`] | patterns over names |
//! | `index` | bit sets, and tables from names to sets of matching entries |
//! | `compile` | rules to tables |
//! | `access` | which rules cover and refuse a statement's accesses |
//! | `masking` | masks on the result, probing, and what a mask-bound principal is never allowed |
//! | `built_in` | catalogs that carry values, statements that are always allowed |
//!
//! A rule's pattern is an *entry*. Each dimension (operation, schema, name) classifies an access into the set of
//! entries that match on it; ANDing them with the session's live entries leaves the ones that apply, and conditions
//! run last, on those only. What is constant for a session (its groups) is applied once, in [`Policy::view`].

mod access;
mod built_in;
mod compile;
mod findings;
pub mod glob;
mod index;
mod masking;
#[cfg(test)]
mod oracle;
pub mod rule;

use std::{collections::HashMap, sync::Arc};

use thiserror::Error;

pub use self::compile::{ENTRIES_MAX, compile};
use self::{
    findings::Findings,
    index::{Bits, NameTable},
    rule::{Condition, Mask},
};
use crate::{
    facts::{Column, Facts},
    principal::Session,
    verdict::{BundleDigest, Decision},
};

/// Why a rule set can't be compiled. The policy language checks all of it before, with better words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// A mask names a class that is not in the set.
    #[error("rule `{rule}` names the class `{class}`, which is not in the set")]
    UnknownClass {
        /// The rule.
        rule: Arc<str>,
        /// The class.
        class: Arc<str>,
    },
    /// Two rules have one name.
    #[error("two rules are called `{rule}`")]
    DuplicateRule {
        /// Their name.
        rule: Arc<str>,
    },
    /// More patterns than a policy may have.
    #[error("the rules have {count} patterns; at most {ENTRIES_MAX} are supported")]
    TooManyEntries {
        /// How many.
        count: usize,
    },
}

/// A compiled policy set. Shared between sessions; never changes.
#[derive(Debug)]
pub struct Policy {
    /// Names the text it came from.
    digest: BundleDigest,
    /// Every rule, sorted by name.
    rules: Vec<CompiledRule>,
    /// The issuer's group names that the policy mentions, numbered.
    groups: HashMap<Arc<str>, usize>,
    /// One for each pattern of an allow or deny rule.
    entries: Vec<Entry>,
    /// Entries of allow rules.
    allows: Bits,
    /// Entries of deny rules.
    denies: Bits,
    /// Entries by operation, indexed by the operation's number.
    operations: Vec<Bits>,
    /// Entries by schema, for relations and functions.
    schemas: NameTable,
    /// Entries by relation or function name.
    names: NameTable,
    /// Entries by the name of a setting, a channel or another object.
    singles: NameTable,
    /// Entries without `on`.
    unscoped: Bits,
    /// The classes.
    classes: Classes,
    /// Mask rules.
    masks: Vec<CompiledMask>,
}

/// What every rule has.
#[derive(Debug)]
struct CompiledRule {
    name: Arc<str>,
    because: Option<Arc<str>>,
    controls: Vec<Arc<str>>,
    subjects: CompiledSubjects,
}

/// Subjects over numbered groups.
#[derive(Debug)]
struct CompiledSubjects {
    /// Which side doubt falls on.
    leaning: Leaning,
    /// `None`: anyone.
    audience: Option<Bits>,
    /// One set for each group of the policy.
    except: Vec<Bits>,
}

/// Which side doubt about a principal and the person behind it falls on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaning {
    /// The rule grants: match narrowly, except widely.
    Grants,
    /// The rule restricts: match widely, except narrowly.
    Restricts,
}

impl CompiledSubjects {
    /// Whether the rule is about an actor with these groups and, if there is one, the person behind it with those.
    fn apply_to(&self, actor: &Bits, person: Option<&Bits>) -> bool {
        let meet = |left: &Bits, right: &Bits| Bits::common([left, right]).next().is_some();
        let (meant, excepted) = match self.leaning {
            Leaning::Grants => (
                self.audience
                    .as_ref()
                    .is_none_or(|groups| meet(groups, actor)),
                self.except.iter().any(|group| {
                    meet(group, actor) || person.is_some_and(|person| meet(group, person))
                }),
            ),
            Leaning::Restricts => (
                self.audience.as_ref().is_none_or(|groups| {
                    meet(groups, actor) || person.is_some_and(|person| meet(groups, person))
                }),
                self.except.iter().any(|group| {
                    meet(group, actor) && person.is_none_or(|person| meet(group, person))
                }),
            ),
        };
        meant && !excepted
    }
}

/// One pattern of an allow or deny rule.
#[derive(Debug)]
struct Entry {
    /// Index into the rules.
    rule: usize,
    /// Runs last.
    condition: Condition,
}

/// A mask rule.
#[derive(Debug)]
struct CompiledMask {
    /// Index into the rules.
    rule: usize,
    /// The classes it masks, by index.
    classes: Bits,
    /// Its transforms.
    mask: Mask,
}

/// Classes of columns, compiled: one entry for each column pattern.
#[derive(Debug)]
struct Classes {
    names: Vec<Arc<str>>,
    /// The class of each pattern.
    class_of: Vec<usize>,
    /// The patterns that spell out something of the schema's or the relation's name.
    names_relation: Bits,
    schemas: NameTable,
    relations: NameTable,
    columns: NameTable,
    /// The classes that some mask rule masks.
    masked: Bits,
}

/// What of a policy can apply to one session: made once for a session and a policy.
#[derive(Debug, Clone)]
pub struct SessionView {
    /// The policy it was made by.
    digest: BundleDigest,
    /// Entries whose rule is about this principal.
    live: Bits,
    /// Mask rules that bind this principal, by index.
    masks: Vec<usize>,
}

impl Policy {
    /// Names the policy set: equal digests mean equal decisions.
    #[must_use]
    pub fn digest(&self) -> &BundleDigest {
        &self.digest
    }

    /// How many rules it has.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// Applies what is constant for a session. Make it again when the policy changes.
    #[must_use]
    pub fn view(&self, session: &Session) -> SessionView {
        let principal = &session.principal;
        let actor = self.group_bits(&principal.groups);
        let person = principal
            .on_behalf_of
            .as_ref()
            .map(|person| self.group_bits(&person.groups));
        let applies: Vec<bool> = self
            .rules
            .iter()
            .map(|rule| rule.subjects.apply_to(&actor, person.as_ref()))
            .collect();
        let applies = |rule: usize| applies.get(rule).copied().unwrap_or(false);

        let mut live = Bits::empty(self.entries.len());
        for (index, entry) in self.entries.iter().enumerate() {
            if applies(entry.rule) {
                live.insert(index);
            }
        }
        let masks = self
            .masks
            .iter()
            .enumerate()
            .filter(|(_, mask)| applies(mask.rule))
            .map(|(index, _)| index)
            .collect();
        SessionView {
            digest: self.digest.clone(),
            live,
            masks,
        }
    }

    /// Decides a statement. An error in evaluation is a deny.
    ///
    /// A view made by another policy is refused: whoever swaps policies must make its views again.
    #[must_use]
    pub fn decide(&self, view: &SessionView, facts: &Facts) -> Decision {
        let mut findings = Findings::default();
        if view.digest == self.digest {
            access::judge(self, view, facts, &mut findings);
            masking::judge(self, view, facts, &mut findings);
        } else {
            findings.refuse(
                None,
                "the session's view was made by another policy set",
                None,
            );
        }
        findings.into_decision(self, view)
    }

    /// Whether any mask can apply to this principal (ruling 1).
    #[must_use]
    pub fn is_mask_bound(&self, view: &SessionView) -> bool {
        // A stale view must not switch enforcement off.
        view.digest != self.digest || !view.masks.is_empty()
    }

    /// Whether a column is a member of any class that a mask rule masks, for whomever.
    #[must_use]
    pub fn is_classed(&self, column: &Column) -> bool {
        Bits::common([&self.classes.of(column), &self.classes.masked])
            .next()
            .is_some()
    }

    fn group_bits(&self, groups: &[Arc<str>]) -> Bits {
        let mut bits = Bits::empty(self.groups.len());
        for number in groups.iter().filter_map(|name| self.groups.get(name)) {
            bits.insert(*number);
        }
        bits
    }
}

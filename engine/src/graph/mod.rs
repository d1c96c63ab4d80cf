//! Rules compiled for deciding; facts to decision. Pure: never reads a clock, a file or a socket, and never lets an
//! access through that no allow rule covers.
//!
//! | part | holds |
//! |---|---|
//! | [`rule`] | rules as plain data: what the policy language lowers to |
//! | [`module`], [`input`] | policies of another language: what they are given, how their verdicts join |
//! | [`condition`], [`window`] | what rules ask of session, time, statement and access; three-valued answers |
//! | [`prove`] | invariants: proved for every principal and statement, or a counterexample |
//! | [`explain`], `wording` | why a decision is what it is, in words |
//! | [`name`], [`glob`] | patterns over names |
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
pub mod condition;
pub mod explain;
mod findings;
pub mod glob;
mod index;
pub mod input;
mod masking;
pub mod module;
pub mod name;
#[cfg(test)]
mod oracle;
pub mod prove;
pub mod rule;
pub mod window;
mod wording;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use jiff::Timestamp;
use thiserror::Error;

pub use self::compile::{ENTRIES_MAX, compile};
use self::{
    condition::{Condition, Context, Truth},
    findings::Findings,
    index::{Bits, NameTable},
    name::NamePattern,
    rule::{Mask, Mode, Rule, RuleSet},
};
use crate::{
    facts::{Column, Facts},
    principal::{Circumstances, Session},
    verdict::{BundleDigest, Decision, Observed, RuleId, Verdict},
};

/// Why a rule set can't be compiled. The policy language checks all of it before, with better words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// A mask's condition asks for the statement.
    #[error(
        "the mask `{rule}` depends on the statement; it may depend on the session and the time only"
    )]
    MaskOfStatement {
        /// The rule.
        rule: Arc<str>,
    },
    /// A rule names a class that is not in the set.
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
    /// What it was compiled from, rules and classes sorted by name.
    set: RuleSet,
    /// Every rule, sorted by name.
    rules: Vec<CompiledRule>,
    /// The issuer's group names that the policy mentions, numbered.
    groups: HashMap<Arc<str>, usize>,
    /// One for each pattern of a rule over accesses.
    entries: Vec<Entry>,
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
    /// Modules, sorted by name.
    modules: Vec<Arc<dyn module::Module>>,
}

/// What every rule has.
#[derive(Debug)]
struct CompiledRule {
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

/// One pattern of a rule over accesses.
#[derive(Debug)]
struct Entry {
    /// Index into the rules.
    rule: usize,
    /// Runs last.
    condition: Condition,
    /// The columns it is about.
    column: EntryColumn,
}

/// The columns that an entry is about.
#[derive(Debug)]
enum EntryColumn {
    /// Any, and none.
    Any,
    /// Columns of such a name.
    Named(NamePattern),
    /// Members of the class of that index.
    Member(usize),
    /// None at all.
    Nothing,
}

/// A mask rule, or a module's mask.
#[derive(Debug)]
struct CompiledMask {
    /// Index into the rules, and behind them into the modules.
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

/// What of a policy can apply to one session, from one instant until another.
#[derive(Debug, Clone)]
pub struct SessionView {
    /// The policy it was made by.
    digest: BundleDigest,
    /// The session.
    session: Arc<Session>,
    /// When it was made.
    now: Timestamp,
    /// Until when it holds: a time window opens or closes then.
    until: Timestamp,
    /// Entries whose rule is about this principal.
    live: Bits,
    /// Mask rules that bind this principal, by index.
    masks: Vec<BoundMask>,
    /// What the modules say of the session.
    modules: module::SessionAnswers,
    /// Whether any live rule only observes.
    observes: bool,
}

impl SessionView {
    /// The view holds for decisions before this instant; at it, make it again.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.until
    }
}

/// A mask that binds a session.
#[derive(Debug, Clone)]
struct BoundMask {
    /// Index into the masks.
    mask: usize,
    /// Whether it could be said that it binds; one that can't be evaluated refuses what it would mask.
    truth: Truth,
}

/// A rule or module as decisions name it.
struct Voice<'a> {
    name: &'a Arc<str>,
    controls: &'a [Arc<str>],
    mode: Mode,
}

/// Which rules are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lens {
    /// Those that are enforced.
    Enforced,
    /// Those that only observe, too.
    Everything,
}

impl Lens {
    fn shows(self, rule: &Rule) -> bool {
        self.shows_mode(rule.mode)
    }

    fn shows_mode(self, mode: Mode) -> bool {
        self == Self::Everything || mode == Mode::Enforce
    }
}

impl Policy {
    /// Names the policy set: equal digests mean equal decisions.
    #[must_use]
    pub fn digest(&self) -> &BundleDigest {
        &self.set.digest
    }

    /// How many rules it has.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// What it was compiled from, rules and classes sorted by name: a [`RuleId`] is a place among these rules.
    #[must_use]
    pub fn set(&self) -> &RuleSet {
        &self.set
    }

    /// The names of rules.
    #[must_use]
    pub fn names(&self, rules: &[RuleId]) -> Vec<Arc<str>> {
        rules
            .iter()
            .filter_map(|&id| self.voice(usize::try_from(id.0).ok()?))
            .map(|voice| Arc::clone(voice.name))
            .collect()
    }

    /// The controls that rules satisfy, sorted, each once.
    #[must_use]
    pub fn controls(&self, rules: &[RuleId]) -> Vec<Arc<str>> {
        let controls: BTreeSet<&Arc<str>> = rules
            .iter()
            .filter_map(|&id| self.voice(usize::try_from(id.0).ok()?))
            .flat_map(|voice| voice.controls)
            .collect();
        controls.into_iter().cloned().collect()
    }

    fn rule(&self, id: RuleId) -> Option<&Rule> {
        self.set.rules.get(usize::try_from(id.0).ok()?)
    }

    /// Who speaks: the rule of that index, or behind the rules the module.
    fn voice(&self, index: usize) -> Option<Voice<'_>> {
        if let Some(rule) = self.set.rules.get(index) {
            return Some(Voice {
                name: &rule.name,
                controls: &rule.controls,
                mode: rule.mode,
            });
        }
        let module = self.modules.get(index.checked_sub(self.set.rules.len())?)?;
        Some(Voice {
            name: module.name(),
            controls: module.controls(),
            mode: Mode::Enforce,
        })
    }

    /// Applies what is constant for a session, as of `now`. Make it again when the policy changes, and at
    /// [`SessionView::until`].
    #[must_use]
    pub fn view(&self, session: &Arc<Session>, now: Timestamp) -> SessionView {
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
        let masks: Vec<BoundMask> = self
            .masks
            .iter()
            .enumerate()
            .filter(|(_, mask)| applies(mask.rule))
            .map(|(index, mask)| BoundMask {
                mask: index,
                truth: mask.mask.condition.evaluate_for_session(session, now),
            })
            .filter(|bound| bound.truth != Truth::False)
            .collect();
        let observes = (0..self.rules.len())
            .filter(|&rule| applies(rule))
            .any(|rule| {
                self.set
                    .rules
                    .get(rule)
                    .is_some_and(|rule| rule.mode == Mode::Observe)
            });
        SessionView {
            digest: self.set.digest.clone(),
            session: Arc::clone(session),
            now,
            until: self.next_change(now).min(self.next_change_for_modules(now)),
            live,
            masks,
            modules: self.ask_for_session(session, now),
            observes: observes || self.set.mode == Mode::Observe,
        }
    }

    /// The first instant after `now` at which a time window may open or close.
    fn next_change(&self, now: Timestamp) -> Timestamp {
        self.set
            .rules
            .iter()
            .flat_map(|rule| rule.condition().tests())
            .filter_map(|test| match test {
                condition::Test::Time(window) => Some(window.next_change(now)),
                _ => None,
            })
            .min()
            .unwrap_or(Timestamp::MAX)
    }

    /// Decides a statement. An error in evaluation is a deny.
    ///
    /// A view made by another policy is refused: whoever swaps policies must make its views again.
    #[must_use]
    pub fn decide(
        &self,
        view: &SessionView,
        facts: &Facts,
        circumstances: &Circumstances<'_>,
    ) -> Decision {
        if !view.observes {
            return self.decide_with(Lens::Enforced, view, facts, circumstances);
        }
        let everything = self.decide_with(Lens::Everything, view, facts, circumstances);
        let mut decision = match self.set.mode {
            Mode::Enforce => self.decide_with(Lens::Enforced, view, facts, circumstances),
            Mode::Observe => Decision {
                verdict: Verdict::Allow,
                ..Decision::deny(Vec::new(), false)
            },
        };
        let spoke = self.set.mode == Mode::Observe
            || everything
                .rules
                .iter()
                .filter_map(|&id| self.rule(id))
                .any(|rule| rule.mode == Mode::Observe);
        if spoke && decision.needs.is_empty() {
            // What an observing rule would have needed to know is fetched too: it is observed as it would be enforced.
            decision.needs = match self.set.mode {
                Mode::Enforce => decision.needs,
                Mode::Observe => everything.needs,
            };
            decision.observed = Some(Box::new(Observed {
                verdict: everything.verdict,
                rules: everything.rules,
                reasons: everything.reasons,
            }));
        }
        decision
    }

    fn decide_with(
        &self,
        lens: Lens,
        view: &SessionView,
        facts: &Facts,
        circumstances: &Circumstances<'_>,
    ) -> Decision {
        let mut findings = Findings::default();
        if view.digest == self.set.digest {
            let context = Context {
                session: &view.session,
                now: view.now,
                facts,
                circumstances,
            };
            module::judge(self, view, context, &mut findings);
            access::judge(self, view, lens, context, &mut findings);
            masking::judge(self, view, lens, facts, &mut findings);
        } else {
            findings.refuse(
                None,
                "the session's view was made by another policy set",
                None,
            );
        }
        findings.into_decision(self.binds(view, lens))
    }

    /// Whether any mask can apply to this principal (ruling 1).
    #[must_use]
    pub fn is_mask_bound(&self, view: &SessionView) -> bool {
        // A stale view must not switch enforcement off.
        view.digest != self.set.digest
            || (self.set.mode == Mode::Enforce && self.binds(view, Lens::Enforced))
    }

    fn binds(&self, view: &SessionView, lens: Lens) -> bool {
        view.digest != self.set.digest
            || view.modules.binds()
            || view
                .masks
                .iter()
                .filter_map(|bound| self.masks.get(bound.mask))
                .filter_map(|mask| self.set.rules.get(mask.rule))
                .any(|rule| lens.shows(rule))
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

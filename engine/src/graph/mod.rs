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
//! | [`drawing`] | the graph as plain data, for people |
//! | [`name`], [`glob`] | patterns over names |
//! | `entry` | a rule's pattern as a box over typed dimensions, masks over flags and classes, and a guard |
//! | `axes`, `names`, `automaton` | what an access has in each dimension, to classes |
//! | `space` | the graph: which boxes a point is in |
//! | `classes` | which classes a column is a member of |
//! | `index` | bit sets over groups and classes |
//! | `compile` | rules to a policy |
//! | `residual` | what of a policy can apply to one session |
//! | `cover` | the quick way over a statement that rules cover without a doubt |
//! | `access` | which rules cover and refuse a statement's accesses |
//! | `masking` | masks on the result, probing, and what a mask-bound principal is never allowed |
//! | `built_in` | catalogs that carry values, statements that are always allowed |
//!
//! A rule's pattern is an *entry*: a box over dimensions of which an access has one value each (operation, schema, name,
//! kind, limit, column, use), times what must and must not be (flags, classes), times a guard for what can't be indexed.
//! What is constant for a session is applied once, in [`Policy::view`], and leaves the entries that are live. Deciding
//! walks the graph to the cell of the access, ANDs the cell's words with the live ones, and asks the guards of those that
//! are left, on those only. Every entry whose rule determines a decision must be found, since the decision names it; so
//! nothing that could be named is ever dropped as subsumed.

mod access;
mod automaton;
mod axes;
mod built_in;
mod classes;
mod compile;
pub mod condition;
mod cover;
pub mod drawing;
mod entry;
pub mod explain;
mod findings;
pub mod glob;
mod index;
pub mod input;
mod masking;
pub mod module;
pub mod name;
mod names;
pub mod prove;
mod residual;
pub mod rule;
mod space;
pub mod window;
mod wording;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use jiff::Timestamp;
use thiserror::Error;

pub use self::{
    access::STATE_A_REASON,
    built_in::{CATALOG_VALUES, catalog_values},
    compile::{ENTRIES_MAX, compile},
    space::Extent,
};
use self::{
    axes::Axes,
    classes::Classes,
    condition::{Context, Truth},
    entry::{Entry, Further},
    findings::Findings,
    index::Bits,
    residual::{Questions, Residual},
    rule::{Mask, Mode, Rule, RuleSet},
    space::Space,
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
    /// The issuer's group names that the policy mentions, numbered.
    groups: HashMap<Arc<str>, usize>,
    /// One for each pattern of a rule over accesses; those that look at columns last.
    entries: Vec<Entry>,
    /// The number of the first entry that looks at columns.
    column_entries_from: usize,
    /// What entries test last.
    furthers: Vec<Further>,
    /// What decides whether entries are live for a session.
    questions: Questions,
    /// Accesses and columns to classes of each dimension.
    axes: Axes,
    /// Which entries an access, and a use of a column, is in.
    graph: Graph,
    /// The classes.
    classes: Classes,
    /// Mask rules.
    masks: Vec<CompiledMask>,
    /// Modules, sorted by name.
    modules: Vec<Arc<dyn module::Module>>,
}

/// The entries' boxes.
#[derive(Debug)]
struct Graph {
    /// Of entries that do not look at columns: an access is asked once.
    accesses: Space,
    /// Of entries that do: each use of a column is asked.
    columns: Space,
    /// The same entries without what they ask of columns: where none is left, the columns need not be asked.
    column_accesses: Space,
}

/// Subjects over numbered groups.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct CompiledSubjects {
    /// Which side doubt falls on.
    leaning: Leaning,
    /// `None`: anyone.
    audience: Option<Bits>,
    /// One set for each group of the policy.
    except: Vec<Bits>,
}

/// Which side doubt about a principal and the person behind it falls on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// A mask rule.
#[derive(Debug)]
struct CompiledMask {
    /// Index into the rules, and behind them into the modules.
    rule: usize,
    /// The classes it masks, by index.
    classes: Bits,
    /// Its transforms.
    mask: Mask,
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
    /// The entries and masks that can apply.
    residual: Arc<Residual>,
    /// What the modules say of the session.
    modules: module::SessionAnswers,
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
        self.set.rules.len()
    }

    /// What it was compiled from, rules and classes sorted by name: a [`RuleId`] is a place among these rules.
    #[must_use]
    pub fn set(&self) -> &RuleSet {
        &self.set
    }

    /// How large its graph is.
    #[must_use]
    pub fn extent(&self) -> Extent {
        let graph = &self.graph;
        [&graph.accesses, &graph.columns, &graph.column_accesses]
            .iter()
            .fold(self.classes.extent(), |extent, space| {
                extent.and(space.extent())
            })
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
        if !view.residual.observes {
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
        if !decision.needs.is_empty() {
            return decision;
        }
        if !everything.needs.is_empty() {
            // An observing rule is observed as it would be enforced: what it needs to know is fetched too. Not for what is
            // refused anyway: asking costs, and the planner is not asked about statements that may not run.
            if decision.verdict != Verdict::Deny {
                decision.needs = everything.needs;
            }
            return decision;
        }
        let spoke = self.set.mode == Mode::Observe
            || everything
                .rules
                .iter()
                .filter_map(|&id| self.rule(id))
                .any(|rule| rule.mode == Mode::Observe);
        if spoke {
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
        if view.digest != self.set.digest {
            let mut findings = Findings::default();
            let message = "the session's view was made by another policy set";
            findings.refuse(None, message, None);
            return findings.into_decision(self.binds(view, lens));
        }
        let context = Context {
            session: &view.session,
            now: view.now,
            facts,
            circumstances,
        };
        let quick = if self.modules.is_empty() {
            cover::cover(self, view, lens, context)
        } else {
            None
        };
        let mut findings = quick.unwrap_or_else(|| {
            let mut findings = Findings::default();
            module::judge(self, view, context, &mut findings);
            access::judge(self, view, lens, context, &mut findings);
            findings
        });
        masking::judge(self, view, lens, facts, &mut findings);
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
                .residual
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
}

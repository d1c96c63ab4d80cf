//! Why a decision is what it is: for every rule whether it applied and, if not, what failed; and the least change after
//! which the statement would be let through. Rests on the rules' meaning, not on the path that deciding took.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;

use super::{
    Policy,
    access::STATE_A_REASON,
    condition::{Ask, Condition, Context, Truth},
    module,
    rule::{Audience, Effect, Group, ObjectPattern, Rule, Scope, Subjects},
    wording::{group_text, list},
};
use crate::{
    facts::{Access, Column, Facts, Object, Operation},
    principal::{Circumstances, Session},
    verdict::{Decision, RuleId, Verdict},
};

/// Why a decision is what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The decision itself.
    pub decision: Decision,
    /// Every rule of the set, sorted by name; behind them every module.
    pub rules: Vec<RuleExplanation>,
    /// For a deny: what to change so that the statement is let through, held or masked as it may be; the least that was
    /// found. For a hold: what would let it run at once. `None` where nothing that was tried helps.
    pub change: Option<Change>,
}

/// What became of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleExplanation {
    /// Which rule.
    pub rule: RuleId,
    /// Its name.
    pub name: Arc<str>,
    /// Its effect, as it is written: `allow`; `module` of a module.
    pub effect: &'static str,
    /// Whether it applied.
    pub fate: Fate,
}

/// Whether a rule applied to a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It applied, to these accesses (or masked columns), in words.
    Applied(Vec<String>),
    /// It is about other people, in words.
    OtherPeople(String),
    /// It is about other operations, objects or columns, in words.
    OtherAccesses(String),
    /// Its condition did not hold: the tests that failed, in words, for the access that came nearest.
    Condition {
        /// The access.
        access: String,
        /// Every test that would have to come out the other way.
        failed: Vec<String>,
    },
    /// It could not be said whether its condition holds.
    Unknown(String),
}

impl Fate {
    /// How near it came to applying.
    fn rank(&self) -> u8 {
        match self {
            Self::OtherPeople(_) => 0,
            Self::OtherAccesses(_) => 1,
            Self::Condition { .. } => 2,
            Self::Unknown(_) => 3,
            Self::Applied(_) => 4,
        }
    }
}

/// A change that turns a deny, or a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What to do, in words, each by itself necessary.
    pub steps: Vec<String>,
    /// What the verdict is then: no deny.
    pub verdict: Verdict,
}

/// How many single changes are combined in twos; more are only tried alone.
const PAIRED_MAX: usize = 24;

impl Policy {
    /// Explains a decision.
    #[must_use]
    pub fn explain(
        &self,
        session: &Arc<Session>,
        now: Timestamp,
        facts: &Facts,
        circumstances: &Circumstances<'_>,
    ) -> Explanation {
        let view = self.view(session, now);
        let decision = self.decide(&view, facts, circumstances);
        let question = Asked {
            policy: self,
            context: Context {
                session,
                now,
                facts,
                circumstances,
            },
        };
        let rules = self
            .set()
            .rules
            .iter()
            .zip(0_u32..)
            .map(|(rule, id)| RuleExplanation {
                rule: RuleId(id),
                name: Arc::clone(&rule.name),
                effect: rule.effect.name(),
                fate: question.fate(rule),
            })
            .chain(module::explain(self, &view, question.context))
            .collect();
        let change = match decision.verdict {
            Verdict::Deny => question.stated_reason().or_else(|| question.least_change()),
            Verdict::Hold => question.stated_reason(),
            Verdict::Allow | Verdict::BreakGlass => None,
        };
        Explanation {
            decision,
            rules,
            change,
        }
    }
}

impl Effect {
    /// The word in the policy language.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Allow(_) => "allow",
            Self::Deny(_) => "deny",
            Self::BreakGlass(_) => "break-glass",
            Self::Hold(..) => "hold",
            Self::Mask(_) => "mask",
            Self::Limit(..) => "limit",
            Self::Record(..) => "record",
        }
    }
}

/// One statement before one policy.
struct Asked<'a> {
    policy: &'a Policy,
    context: Context<'a>,
}

impl Asked<'_> {
    fn fate(&self, rule: &Rule) -> Fate {
        if let Some(why) = not_about(rule, self.context.session) {
            return Fate::OtherPeople(why);
        }
        match &rule.effect {
            Effect::Allow(scope)
            | Effect::Deny(scope)
            | Effect::BreakGlass(scope)
            | Effect::Hold(scope, _)
            | Effect::Limit(scope, _)
            | Effect::Record(scope, _) => self.fate_of_scope(scope),
            Effect::Mask(mask) => {
                let session = self.context.session;
                match mask
                    .condition
                    .evaluate_for_session(session, self.context.now)
                {
                    Truth::False => Fate::Condition {
                        access: "the session".to_owned(),
                        failed: {
                            let access = nothing();
                            let ask = Ask {
                                access: &access,
                                column: None,
                            };
                            self.failed(&mask.condition, ask)
                        },
                    },
                    Truth::Unknown(why) => Fate::Unknown(why.to_string()),
                    Truth::True => self.fate_of_mask(&mask.classes),
                }
            }
        }
    }

    fn fate_of_mask(&self, classes: &[Arc<str>]) -> Fate {
        let masked: BTreeSet<String> = columns(self.context.facts)
            .filter(|column| classes.iter().any(|class| self.is_member(column, class)))
            .map(path)
            .collect();
        if masked.is_empty() {
            Fate::OtherAccesses(format!("no column of class {} is used", list(classes)))
        } else {
            Fate::Applied(masked.into_iter().collect())
        }
    }

    fn fate_of_scope(&self, scope: &Scope) -> Fate {
        let mut best: Option<Fate> = None;
        let mut applied = Vec::new();
        for access in &self.context.facts.accesses {
            let uses: Vec<_> = access.columns.iter().map(Some).collect();
            let asks = if uses.is_empty() { vec![None] } else { uses };
            for column in asks {
                match self.fate_of_ask(scope, Ask { access, column }) {
                    Fate::Applied(words) => applied.extend(words),
                    fate if best.as_ref().is_none_or(|best| best.rank() < fate.rank()) => {
                        best = Some(fate);
                    }
                    _ => {}
                }
            }
        }
        applied.dedup();
        match best {
            _ if !applied.is_empty() => Fate::Applied(applied),
            Some(fate) => fate,
            None => Fate::OtherAccesses("the statement does nothing".to_owned()),
        }
    }

    fn fate_of_ask(&self, scope: &Scope, ask: Ask<'_>) -> Fate {
        let access = ask.access;
        let matches_object = scope
            .objects
            .as_ref()
            .is_none_or(|objects| objects.iter().any(|object| self.matches(object, ask)));
        if !scope.operations.contains(access.operation) || !matches_object {
            return Fate::OtherAccesses(format!("it is about {scope}"));
        }
        match self.truth(&scope.condition, ask) {
            Truth::True => Fate::Applied(vec![describe(access)]),
            Truth::Unknown(why) => Fate::Unknown(why.to_string()),
            Truth::False => Fate::Condition {
                access: describe(access),
                failed: self.failed(&scope.condition, ask),
            },
        }
    }

    fn matches(&self, pattern: &ObjectPattern, ask: Ask<'_>) -> bool {
        match (pattern, &ask.access.object) {
            (
                ObjectPattern::Qualified { schema, name },
                Object::Relation {
                    schema: in_schema,
                    name: called,
                    oid: _,
                }
                | Object::Function {
                    schema: in_schema,
                    name: called,
                }
                | Object::Other {
                    schema: Some(in_schema),
                    name: called,
                    ..
                },
            ) => schema.matches(in_schema) && name.matches(called),
            (ObjectPattern::Column(pattern), _) => ask.column.is_some_and(|used| {
                let column = &used.column;
                pattern.schema.matches(&column.schema)
                    && pattern.relation.matches(&column.relation)
                    && pattern.column.matches(&column.name)
            }),
            (ObjectPattern::Class(class), _) => ask
                .column
                .is_some_and(|used| self.is_member(&used.column, class)),
            (
                ObjectPattern::Single(pattern),
                Object::Setting(name)
                | Object::Channel(name)
                | Object::Other {
                    schema: None, name, ..
                },
            ) => pattern.matches(name),
            (ObjectPattern::Qualified { .. } | ObjectPattern::Single(_), _) => false,
        }
    }

    fn truth(&self, condition: &Condition, ask: Ask<'_>) -> Truth {
        condition.evaluate(self.context, ask, &|class| {
            ask.column
                .is_some_and(|used| self.is_member(&used.column, class))
        })
    }

    /// Membership by the patterns themselves.
    fn is_member(&self, column: &Column, class: &str) -> bool {
        let same = |pattern: &super::name::NamePattern, name: &str| {
            pattern.to_lowercase().matches(&name.to_lowercase())
        };
        self.policy
            .set()
            .classes
            .iter()
            .filter(|declared| *declared.name == *class)
            .flat_map(|declared| &declared.columns)
            .any(|pattern| {
                same(&pattern.schema, &column.schema)
                    && same(&pattern.relation, &column.relation)
                    && same(&pattern.column, &column.name)
            })
    }

    /// The parts of a condition that does not hold which would have to come out the other way.
    fn failed(&self, condition: &Condition, ask: Ask<'_>) -> Vec<String> {
        match condition {
            Condition::Always => Vec::new(),
            Condition::Test(test) => vec![test.to_string()],
            Condition::Not(_) => vec![condition.to_string()],
            Condition::All(parts) => parts
                .iter()
                .filter(|part| self.truth(part, ask) == Truth::False)
                .flat_map(|part| self.failed(part, ask))
                .collect(),
            Condition::Any(parts) => parts
                .iter()
                .flat_map(|part| self.failed(part, ask))
                .collect(),
        }
    }

    /// Tries whether a stated reason breaks glass, where none is stated.
    fn stated_reason(&self) -> Option<Change> {
        let Context {
            session,
            now,
            facts,
            circumstances,
        } = self.context;
        if circumstances.stated_reason.is_some() {
            return None;
        }
        let stated = Circumstances {
            stated_reason: Some("explained"),
            ..circumstances.clone()
        };
        let view = self.policy.view(&Arc::new(session.clone()), now);
        let decision = self.policy.decide(&view, facts, &stated);
        (decision.verdict == Verdict::BreakGlass).then(|| Change {
            steps: vec![STATE_A_REASON.to_owned()],
            verdict: decision.verdict,
        })
    }

    /// Tries single changes, then two at once, in order of how little they ask.
    fn least_change(&self) -> Option<Change> {
        let attempts = self.attempts();
        for attempt in &attempts {
            if let Some(verdict) = self.verdict_after(&[attempt]) {
                return Some(Change {
                    steps: vec![attempt.words()],
                    verdict,
                });
            }
        }
        let few = attempts.iter().take(PAIRED_MAX).collect::<Vec<_>>();
        for (index, first) in few.iter().enumerate() {
            for second in few.iter().skip(index + 1) {
                if let Some(verdict) = self.verdict_after(&[first, second]) {
                    return Some(Change {
                        steps: vec![first.words(), second.words()],
                        verdict,
                    });
                }
            }
        }
        None
    }

    fn attempts(&self) -> Vec<Attempt> {
        let facts = self.context.facts;
        let mut attempts = vec![Attempt::Filter, Attempt::Bound];
        let used: BTreeSet<(String, Arc<str>)> = columns(facts)
            .map(|column| (path(column), Arc::clone(&column.name)))
            .collect();
        let one = used
            .iter()
            .map(|(path, _)| Attempt::LeaveOut(BTreeSet::from([path.clone()])));
        attempts.extend(one);
        if used.len() > 1 {
            let classed: BTreeSet<String> = columns(facts)
                .filter(|column| self.policy.is_classed(column))
                .map(path)
                .collect();
            if classed.len() > 1 {
                attempts.push(Attempt::LeaveOut(classed));
            }
        }
        let groups: BTreeSet<&Group> = self
            .policy
            .set()
            .rules
            .iter()
            .flat_map(|rule| {
                let meant = match &rule.subjects.audience {
                    Audience::Anyone => &[][..],
                    Audience::Groups(groups) => groups,
                };
                meant.iter().chain(&rule.subjects.except)
            })
            .collect();
        attempts.extend(groups.into_iter().cloned().map(Attempt::Join));
        attempts
    }

    /// The verdict after changes, unless it is still a deny.
    fn verdict_after(&self, attempts: &[&Attempt]) -> Option<Verdict> {
        let mut facts = self.context.facts.clone();
        let mut session = self.context.session.clone();
        for attempt in attempts {
            attempt.apply(&mut facts, &mut session);
        }
        let view = self.policy.view(&Arc::new(session), self.context.now);
        let decision = self
            .policy
            .decide(&view, &facts, self.context.circumstances);
        match decision.verdict {
            Verdict::Deny => None,
            Verdict::Allow | Verdict::BreakGlass | Verdict::Hold => Some(decision.verdict),
        }
    }
}

/// A change that may turn a deny.
enum Attempt {
    /// Add a predicate.
    Filter,
    /// Add a predicate on a unique key.
    Bound,
    /// Leave out columns.
    LeaveOut(BTreeSet<String>),
    /// Be in a group.
    Join(Group),
}

impl Attempt {
    fn words(&self) -> String {
        match self {
            Self::Filter => "add a WHERE clause".to_owned(),
            Self::Bound => "add a WHERE clause with = or IN on a unique key".to_owned(),
            Self::LeaveOut(columns) if columns.len() == 1 => {
                format!("leave out column {}", list(columns))
            }
            Self::LeaveOut(columns) => format!("leave out columns {}", list(columns)),
            Self::Join(group) => format!("ask somebody in {}", group_text(group)),
        }
    }

    fn apply(&self, facts: &mut Facts, session: &mut Session) {
        match self {
            Self::Filter | Self::Bound => {
                // Rows are limited where there are any to limit.
                let limited = facts.accesses.iter_mut().filter(|access| {
                    matches!(
                        access.operation,
                        Operation::Read | Operation::Update | Operation::Delete
                    )
                });
                for access in limited {
                    access.filtered = true;
                    access.bounded |= matches!(self, Self::Bound);
                }
            }
            Self::LeaveOut(paths) => {
                let kept = |column: &Column| !paths.contains(&path(column));
                for access in &mut facts.accesses {
                    access.columns.retain(|used| kept(&used.column));
                }
                // An access that is left without columns may still be needed for its rows.
                facts.writes.retain(|write| {
                    kept(&write.column)
                        && write
                            .lineage
                            .sources
                            .iter()
                            .all(|source| kept(&source.column))
                });
                for output in facts.outputs.iter_mut().flatten() {
                    output.lineage.sources.retain(|source| kept(&source.column));
                }
                facts.lookups.retain(|column| kept(column));
            }
            Self::Join(group) => {
                let names: Vec<Arc<str>> = group.first().cloned().into_iter().collect();
                session.principal.groups.extend(names.iter().cloned());
                if let Some(person) = &mut session.principal.on_behalf_of {
                    person.groups.extend(names);
                }
            }
        }
    }
}

/// Why a rule is not about the session's principal; `None` if it is.
fn not_about(rule: &Rule, session: &Session) -> Option<String> {
    let principal = &session.principal;
    let actor = &principal.groups;
    let person = principal.on_behalf_of.as_ref().map(|person| &person.groups);
    let is_in = |groups: &[Arc<str>], group: &Group| group.iter().any(|name| groups.contains(name));
    let grants = matches!(
        rule.effect,
        Effect::Allow(_) | Effect::BreakGlass(_) | Effect::Hold(..)
    );
    let Subjects { audience, except } = &rule.subjects;
    let meant = match audience {
        Audience::Anyone => true,
        Audience::Groups(groups) => groups.iter().any(|group| {
            is_in(actor, group) || (!grants && person.is_some_and(|person| is_in(person, group)))
        }),
    };
    let excepted = except.iter().find(|group| {
        let (actor, person) = (
            is_in(actor, group),
            person.map(|person| is_in(person, group)),
        );
        match person {
            None => actor,
            Some(person) if grants => actor || person,
            Some(person) => actor && person,
        }
    });
    match excepted {
        _ if !meant => Some(format!("it is {}", rule.subjects)),
        Some(group) => Some(format!("it excepts {}", group_text(group))),
        None => None,
    }
}

/// Every column that the facts name.
fn columns(facts: &Facts) -> impl Iterator<Item = &Column> {
    let used = facts.accesses.iter().flat_map(|access| &access.columns);
    let shown = facts
        .outputs
        .iter()
        .flatten()
        .flat_map(|output| &output.lineage.sources);
    let copied = facts.writes.iter().flat_map(|write| &write.lineage.sources);
    used.map(|used| &*used.column)
        .chain(shown.chain(copied).map(|source| &*source.column))
        .chain(facts.writes.iter().map(|write| &*write.column))
}

fn path(column: &Column) -> String {
    format!("{}.{}.{}", column.schema, column.relation, column.name)
}

/// `update on public.orders`.
pub(super) fn describe(access: &Access) -> String {
    let operation = access.operation.name();
    match &access.object {
        Object::Relation { schema, name, .. }
        | Object::Function { schema, name }
        | Object::Other {
            schema: Some(schema),
            name,
            ..
        } => {
            format!("{operation} on {schema}.{name}")
        }
        Object::Setting(name) | Object::Channel(name) | Object::Other { name, .. } => {
            format!("{operation} on {name}")
        }
        Object::Nothing => operation.to_owned(),
    }
}

/// What conditions of the session are asked of.
fn nothing() -> Access {
    Access {
        object: Object::Nothing,
        operation: Operation::Read,
        columns: BTreeSet::new(),
        via: None,
        filtered: false,
        bounded: false,
        equalities: BTreeSet::new(),
    }
}

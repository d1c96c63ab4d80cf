//! What the policy language lowers to: rules as plain data, names resolved, nothing left of the text.
//!
//! [`crate::graph::compile()`] turns a [`RuleSet`] into a [`crate::graph::Policy`]. Order carries no meaning anywhere.

use std::{collections::BTreeMap, sync::Arc};

use super::{condition::Condition, name::NamePattern};
use crate::{
    facts::Operation,
    verdict::{Approval, BundleDigest, HeldTransaction, Limits, Recording, Transform},
};

/// A policy set, ready to be compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSet {
    /// Names the text it came from.
    pub digest: BundleDigest,
    /// Whether the whole set only observes (ruling 26): it decides and records, and never enforces.
    pub mode: Mode,
    /// Classes of columns, each name once.
    pub classes: Vec<Class>,
    /// Rules, each name once.
    pub rules: Vec<Rule>,
    /// What the author says must hold of the rules, each name once. They change no decision.
    pub invariants: Vec<Invariant>,
}

/// Whether a rule (or a whole set) is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// It decides.
    #[default]
    Enforce,
    /// What it would have decided is recorded, and nothing else comes of it.
    Observe,
}

/// A named class of columns, classes of classes spelled out. Ignores case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Its name.
    pub name: Arc<str>,
    /// A column that any of these matches is a member.
    pub columns: Vec<ColumnPattern>,
}

/// A pattern over columns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ColumnPattern {
    /// The schema.
    pub schema: NamePattern,
    /// The relation.
    pub relation: NamePattern,
    /// The column.
    pub column: NamePattern,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: Arc<str>,
    /// What it does.
    pub effect: Effect,
    /// Whom it is about.
    pub subjects: Subjects,
    /// `because`: the author's words to the client.
    pub because: Option<Arc<str>>,
    /// `satisfies`: control ids such as `nist-800-53:AC-3(11)`.
    pub controls: Vec<Arc<str>>,
    /// Whether it is enforced.
    pub mode: Mode,
}

impl Rule {
    /// Its condition.
    #[must_use]
    pub fn condition(&self) -> &Condition {
        match &self.effect {
            Effect::Allow(scope)
            | Effect::Deny(scope)
            | Effect::BreakGlass(scope)
            | Effect::Hold(scope, _)
            | Effect::Limit(scope, _)
            | Effect::Record(scope, _) => &scope.condition,
            Effect::Mask(mask) => &mask.condition,
        }
    }
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Covers accesses.
    Allow(Scope),
    /// Refuses accesses.
    Deny(Scope),
    /// Covers accesses once people have approved.
    Hold(Scope, Hold),
    /// Covers accesses that nothing else allows, once the session states why; those that are held wait no more.
    BreakGlass(Scope),
    /// Masks columns.
    Mask(Mask),
    /// Limits statements with such an access.
    Limit(Scope, Limits),
    /// Records statements with such an access more fully.
    Record(Scope, Recording),
}

impl Effect {
    /// The accesses it is about; masks are about columns.
    pub(super) const fn scope(&self) -> Option<&Scope> {
        match self {
            Self::Allow(scope)
            | Self::Deny(scope)
            | Self::BreakGlass(scope)
            | Self::Hold(scope, _)
            | Self::Limit(scope, _)
            | Self::Record(scope, _) => Some(scope),
            Self::Mask(_) => None,
        }
    }
}

/// Who must approve a held statement, and how it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Every one of these must be had. Empty: no rule can be satisfied, so the statement is refused.
    pub approvals: Vec<Approval>,
    /// What becomes of an open transaction (ruling 17).
    pub transaction: HeldTransaction,
}

/// The accesses that a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The operations.
    pub operations: Operations,
    /// The objects: any of these; `None` (no `on`) means every object and also none in particular.
    pub objects: Option<Vec<ObjectPattern>>,
    /// A further condition on the access.
    pub condition: Condition,
}

/// What must hold of a set of rules, for every principal, session and statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invariant {
    /// Its name.
    pub name: Arc<str>,
    /// Whom it is about.
    pub subjects: Subjects,
    /// What it claims.
    pub claim: Claim,
}

/// What an invariant claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// `always mask`: every column of these classes is masked for these principals.
    AlwaysMask(Vec<Arc<str>>),
    /// `never allow`: no such access is allowed without approval.
    NeverAllow(Scope),
}

/// A set of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Operations(u32);

impl Operations {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// The set of `operations`.
    #[must_use]
    pub fn of(operations: &[Operation]) -> Self {
        operations
            .iter()
            .fold(Self::NONE, |set, &operation| set.with(operation))
    }

    /// The set and `operation`.
    #[must_use]
    pub const fn with(self, operation: Operation) -> Self {
        Self(self.0 | (1 << operation as u32))
    }

    /// The union.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `operation` is in the set.
    #[must_use]
    pub const fn contains(self, operation: Operation) -> bool {
        self.0 & (1 << operation as u32) != 0
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// A pattern over objects. Exact bytes: unquoted names were folded before.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ObjectPattern {
    /// `schema.name`: relations and functions, whatever their columns.
    Qualified {
        /// The schema.
        schema: NamePattern,
        /// The relation or function.
        name: NamePattern,
    },
    /// `schema.relation.column`: uses of columns. An access that names no column is not matched.
    Column(ColumnPattern),
    /// `class NAME`: uses of columns that are members. An access that names no column is not matched.
    Class(Arc<str>),
    /// `name`: settings, notification channels, and objects that are neither relation nor function.
    Single(NamePattern),
}

/// Whom a rule is about.
///
/// Doubt goes against the principal. An allow or hold rule needs the actor itself in one of the groups, and its exception
/// takes effect if the actor *or* the person behind it is in one. Any other rule matches if the actor or the
/// person is in a group, and its exception takes effect only if both are in one and the same group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subjects {
    /// Who is meant.
    pub audience: Audience,
    /// `except`: groups of the policy, each a list of names as the issuer gives them.
    pub except: Vec<Group>,
}

/// Who is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// Everybody.
    Anyone,
    /// Members of any of these.
    Groups(Vec<Group>),
}

/// A group of the policy: the issuer's group names that belong to it, exact bytes.
pub type Group = Vec<Arc<str>>;

/// A mask on classes of columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// The classes' names.
    pub classes: Vec<Arc<str>>,
    /// Transforms for columns by lower-case name.
    pub transforms: BTreeMap<Arc<str>, Transform>,
    /// The transform for the others.
    pub otherwise: Transform,
    /// What happens when a masked column decides which rows there are, or how they come.
    pub probing: Probing,
    /// For which sessions and at which times. Must not ask for the statement or its accesses
    /// ([`Condition::is_of_session`]): a mask that came and went with the statement could be got round.
    pub condition: Condition,
}

impl Mask {
    /// The transform for a column of that lower-case name.
    #[must_use]
    pub fn transform(&self, column: &str) -> &Transform {
        self.transforms.get(column).unwrap_or(&self.otherwise)
    }
}

/// What happens when a masked column is used without being shown: in a predicate, a join, a grouping, an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Probing {
    /// The statement is refused.
    Deny,
    /// One value at a time may be looked for, within a budget (ruling 2).
    Lookup {
        /// How many such statements a principal may run in an hour.
        per_hour: u32,
    },
    /// It is let through.
    Allow,
}

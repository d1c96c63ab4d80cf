//! What the policy language lowers to: rules as plain data, names resolved, nothing left of the text.
//!
//! [`crate::graph::compile()`] turns a [`RuleSet`] into a [`crate::graph::Policy`]. Order carries no meaning anywhere.

use std::{collections::BTreeMap, sync::Arc};

use super::glob::Glob;
use crate::{
    facts::Operation,
    verdict::{BundleDigest, Transform},
};

/// A policy set, ready to be compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSet {
    /// Names the text it came from.
    pub digest: BundleDigest,
    /// Classes of columns, each name once.
    pub classes: Vec<Class>,
    /// Rules, each name once.
    pub rules: Vec<Rule>,
}

/// A named class of columns. Ignores case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Its name.
    pub name: Arc<str>,
    /// A column that any of these matches is a member.
    pub columns: Vec<ColumnPattern>,
}

/// A pattern over columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnPattern {
    /// The schema.
    pub schema: Glob,
    /// The relation.
    pub relation: Glob,
    /// The column.
    pub column: Glob,
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
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Covers accesses.
    Allow(Scope),
    /// Refuses accesses.
    Deny(Scope),
    /// Masks columns.
    Mask(Mask),
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectPattern {
    /// `schema.name`: relations and functions.
    Qualified {
        /// The schema.
        schema: Glob,
        /// The relation or function.
        name: Glob,
    },
    /// `name`: settings, notification channels, and objects that are neither relation nor function.
    Single(Glob),
}

/// A condition on one access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Holds.
    Always,
    /// A predicate that is not constantly true limits the access's rows.
    Filtered,
    /// Equality or IN with constants on a unique key of the access's relation limits them.
    Bounded,
    /// Does not hold.
    Not(Box<Condition>),
    /// All hold.
    All(Vec<Condition>),
    /// At least one holds.
    Any(Vec<Condition>),
}

impl Condition {
    /// Whether it holds for an access with these attributes.
    #[must_use]
    pub fn holds(&self, filtered: bool, bounded: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Filtered => filtered,
            Self::Bounded => bounded,
            Self::Not(inner) => !inner.holds(filtered, bounded),
            Self::All(inner) => inner.iter().all(|part| part.holds(filtered, bounded)),
            Self::Any(inner) => inner.iter().any(|part| part.holds(filtered, bounded)),
        }
    }
}

/// Whom a rule is about.
///
/// Doubt goes against the principal. An allow rule needs the actor itself in one of the groups, and its exception
/// takes effect if the actor *or* the person behind it is in one. A deny or mask rule matches if the actor or the
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
    /// It is let through.
    Allow,
}

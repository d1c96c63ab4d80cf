//! Conditions: what a rule asks of the session, the time, the statement and each access, and what it is answered.
//!
//! Three-valued (Kleene): an answer that can't be had is [`Truth::Unknown`], never false. Whoever uses one must refuse.

mod evaluate;

use std::{collections::BTreeSet, ops::Not, sync::Arc};

use super::{name::NamePattern, rule::Group, rule::Operations, window::Window};
use crate::{
    facts::{Access, ColumnUse, Facts, Kind, Use},
    principal::{Authentication, Circumstances, PrincipalKind, Session},
};
use ipnet::IpNet;

/// A condition. It is asked of each access, once for each use of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Holds.
    Always,
    /// One test.
    Test(Test),
    /// Does not hold.
    Not(Box<Condition>),
    /// All hold.
    All(Vec<Condition>),
    /// At least one holds.
    Any(Vec<Condition>),
}

/// One test of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// A yes-or-no attribute.
    Flag(Flag),
    /// `attribute < value`
    Number {
        /// What is compared.
        attribute: NumberAttribute,
        /// How.
        comparison: Comparison,
        /// With what.
        value: i64,
    },
    /// A text attribute. One that there is none of (no person behind the actor, no column) passes no test.
    Text {
        /// What is compared.
        attribute: TextAttribute,
        /// How, and with what.
        test: TextTest,
    },
    /// The principal's kind is one of these.
    PrincipalKind(BTreeSet<PrincipalKind>),
    /// How the session authenticated is one of these.
    Authentication(BTreeSet<Authentication>),
    /// The statement's kind is one of these.
    Kind(BTreeSet<Kind>),
    /// The access's operation is one of these.
    Operation(Operations),
    /// How the column is used is one of these. An access that names no column passes none.
    Use(BTreeSet<Use>),
    /// Somebody is in a group of the policy.
    Member {
        /// Who.
        who: Who,
        /// The group.
        group: Group,
    },
    /// The access's column is a member of a class.
    Class(Arc<str>),
    /// The statement touches such a relation, or calls such a function.
    Mentions {
        /// Relations or functions.
        what: Mentioned,
        /// The schema.
        schema: NamePattern,
        /// The name.
        name: NamePattern,
    },
    /// The client's address is in one of these networks. Over a Unix socket it is in none.
    Network(Vec<IpNet>),
    /// A claim that is a list has this text in it.
    ClaimHas {
        /// The claim.
        claim: ClaimPath,
        /// The text.
        value: Arc<str>,
    },
    /// There is one.
    Present(Presence),
    /// The time is in the window.
    Time(Window),
    /// `bounded by column = value`: an equality of that column with that value, ANDed at top level, limits the access.
    BoundedBy {
        /// The column of the access's relation, lower-case.
        column: Arc<str>,
        /// What it must equal.
        value: TextOperand,
    },
}

/// Yes-or-no attributes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flag {
    /// A predicate that is not constantly true limits the access's rows.
    Filtered,
    /// Equality or IN with constants on a unique key of the access's relation limits them.
    Bounded,
    /// Something of the statement could not be bounded.
    Opaque,
    /// The session is in a transaction block.
    InTransaction,
    /// This principal has not run a statement of this shape before. A dear fact.
    Novel,
    /// The client's connection is encrypted.
    Tls,
    /// A claim that is a yes-or-no.
    Claim(ClaimPath),
}

/// Numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NumberAttribute {
    /// The statement's literal top-level LIMIT, in rows; without one it is larger than any number.
    Limit,
    /// How many parameters the statement's text has.
    Parameters,
    /// How many rows the server's planner expects. A dear fact.
    EstimatedRows,
    /// A claim that is a whole number.
    Claim(ClaimPath),
}

/// Texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TextAttribute {
    /// The actor's id.
    PrincipalId,
    /// The id of the person behind it.
    PersonId,
    /// The issuer's URL.
    Issuer,
    /// A claim that is a text.
    Claim(ClaimPath),
    /// The target's configured name.
    Target,
    /// The database.
    Database,
    /// The database role.
    Role,
    /// The client's `application_name`; attacker-chosen.
    Application,
    /// The schema of the access's object.
    Schema,
    /// The name of the access's object.
    Relation,
    /// The column's name.
    Column,
}

/// Where a claim is in the token: the names on the way to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClaimPath(pub Vec<Arc<str>>);

impl std::fmt::Display for ClaimPath {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0.join("."))
    }
}

/// How numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// Whether `left` compares so with `right`. `None` on the left is larger than any number.
    #[must_use]
    pub fn holds(self, left: Option<i64>, right: i64) -> bool {
        let order = left.map_or(std::cmp::Ordering::Greater, |left| left.cmp(&right));
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// How texts are compared: by exact bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextTest {
    /// Equal.
    Equals(TextOperand),
    /// One of these.
    In(BTreeSet<Arc<str>>),
    /// A glob or a regular expression matches the whole text.
    Matches(NamePattern),
}

/// What a text is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TextOperand {
    /// A text of the policy.
    Literal(Arc<str>),
    /// Another attribute.
    Attribute(TextAttribute),
}

/// Who a group is asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    /// The actor.
    Actor,
    /// The person behind it; nobody is in no group.
    Person,
}

/// What a statement may mention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mentioned {
    /// Relations.
    Tables,
    /// Functions that are not known to be pure.
    Functions,
}

/// What may be there or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Presence {
    /// The claim is in the token (and not null).
    Claim(ClaimPath),
    /// The token names a person behind the actor.
    OnBehalfOf,
    /// The client has an address: it did not come over a Unix socket.
    ClientAddress,
    /// The statement has a literal top-level LIMIT.
    Limit,
}

/// Facts that cost something to have; fetched only when a decision hangs on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DearFact {
    /// Comes with the Bind, at which the statement is decided again.
    Values,
    /// Asks this gateway's history.
    Novel,
    /// Asks the server's planner (ruling 7).
    EstimatedRows,
}

impl DearFact {
    /// The name in the policy language, where it has one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Values => "values of parameters",
            Self::Novel => "novel",
            Self::EstimatedRows => "estimated_rows",
        }
    }
}

/// What a condition comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It can't be said. Never treated as either of the others.
    Unknown(Unknown),
}

/// Why a condition can't be answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unknown {
    /// The token has no such claim.
    #[error("the token has no claim `{0}`")]
    ClaimMissing(ClaimPath),
    /// The claim is not of the sort that the condition compares it as.
    #[error("the claim `{claim}` is not {expected}")]
    ClaimType {
        /// The claim.
        claim: ClaimPath,
        /// What it should be, with an article: `a text`.
        expected: &'static str,
    },
    /// A dear fact that nobody has asked for yet. Asking settles it.
    #[error("`{}` was not asked for", .0.name())]
    NotAsked(DearFact),
    /// A dear fact that was asked for and not to be had.
    #[error("`{}` could not be had: {reason}", fact.name())]
    Failed {
        /// The fact.
        fact: DearFact,
        /// Why.
        reason: Arc<str>,
    },
    /// The value of a parameter is not known where the statement is decided.
    #[error("the value of parameter ${0} is not known")]
    Parameter(u16),
}

impl Not for Truth {
    type Output = Self;

    /// The opposite; what is unknown stays so.
    fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Unknown(why) => Self::Unknown(why),
        }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// One question: may this be done to that, with this column used so?
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The access.
    pub access: &'a Access,
    /// The column and its use; `None` where the access names none.
    pub column: Option<&'a ColumnUse>,
}

/// Everything that a condition can ask.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The session.
    pub session: &'a Session,
    /// Now.
    pub now: jiff::Timestamp,
    /// The statement.
    pub facts: &'a Facts,
    /// What surrounds it.
    pub circumstances: &'a Circumstances<'a>,
}

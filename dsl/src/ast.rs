//! The syntax tree of one file: what was written, with spans, nothing resolved and nothing folded.

use std::ops::Range;

/// Bytes of the file.
pub(crate) type Span = Range<usize>;

/// Something with the bytes it is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

impl<T> At<T> {
    pub(crate) fn new(start: usize, value: T, end: usize) -> Self {
        Self {
            value,
            span: start..end,
        }
    }
}

/// A word, number or text as written, texts without their quotes.
pub(crate) type Name = At<String>;

/// A declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// `controls nist = nist-800-53`
    Controls { alias: Name, framework: Name },
    /// `group agents = "ai-agents", bots`
    Group {
        name: Name,
        members: Vec<GroupMember>,
    },
    /// `class pii = public.customers.ssn, cards`
    Class { name: Name, patterns: Vec<Pattern> },
    /// `rule name ...`
    Rule { name: Name, clauses: Vec<Clause> },
    /// `invariant name ...`
    Invariant { name: Name, clauses: Vec<Clause> },
    /// `test "name" { ... }`
    Test { name: Name, steps: Vec<Step> },
    /// `exclude baseline`
    Exclude(Name),
    /// `observe everything`
    Observe(Name),
    /// Could not be read, which was reported; what it would have declared.
    Unread(Option<Name>),
}

/// Who belongs to a group, or to whom a test's principal belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GroupMember {
    /// The issuer's name of a group.
    Issued(Name),
    /// Another group of the policy.
    Declared(Name),
}

/// `a.b.{c, d}`, `class pii`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(crate) of: PatternOf,
    pub(crate) span: Span,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PatternOf {
    /// The parts between the dots, each with its alternatives.
    Names(Vec<Vec<PatternName>>),
    /// `class pii`
    Class(Name),
}

/// One name of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PatternName {
    /// As written, without quotes or slashes.
    pub(crate) text: String,
    pub(crate) quoting: Quoting,
    pub(crate) span: Span,
}

/// How a name was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quoting {
    /// Stars stand for any run of characters; case is folded.
    Plain,
    /// In quotes: a star is a star and case counts.
    Quoted,
    /// In slashes: a regular expression over the whole name.
    Regex,
}

/// A part of a rule or an invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clause {
    pub(crate) kind: ClauseKind,
    pub(crate) span: Span,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClauseKind {
    /// `allow read on public.*`, and alike
    Access {
        verb: Verb,
        operations: Vec<Name>,
        on: Vec<Pattern>,
    },
    /// `mask pii`; `always mask pii` of an invariant
    Mask { always: Always, classes: Vec<Name> },
    /// `limit rows 10 per statement`
    Limit {
        limits: Vec<LimitItem>,
        on: Vec<Pattern>,
    },
    /// `record results`
    Record { level: Name, on: Vec<Pattern> },
    /// `for agents except dbas`
    For {
        audience: Audience,
        except: Vec<Name>,
    },
    /// `when not bounded`
    When(Condition),
    /// `until 2 of dbas approve within 15 min`
    Until {
        approvals: Vec<ApprovalItem>,
        /// `keep transaction`
        keep: Option<Name>,
    },
    /// `with email: keep domain`
    With(Vec<With>),
    /// `probing lookup 20 per hour`
    Probing {
        way: Name,
        budget: Option<(Name, Name)>,
    },
    /// `because "text"`
    Because(Name),
    /// `satisfies nist.AC-3`
    Satisfies(Vec<Control>),
    /// `observe`
    Observe,
    /// Could not be read; it was reported.
    Error,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Allow,
    Deny,
    BreakGlass,
    Hold,
    /// `never allow`, of an invariant.
    NeverAllow,
}

/// Whether a mask is an effect or what an invariant claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Always {
    Effect,
    Claim,
}

/// `rows 10_000 per statement`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LimitItem {
    /// `rows`, `affected rows`
    pub(crate) what: Name,
    pub(crate) amount: Name,
    pub(crate) unit: Option<Name>,
    pub(crate) per: Option<Name>,
    pub(crate) span: Span,
}

/// `2 of dbas approve within 15 min`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApprovalItem {
    pub(crate) count: Name,
    pub(crate) group: Name,
    pub(crate) amount: Name,
    pub(crate) unit: Name,
    pub(crate) span: Span,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Audience {
    Anyone,
    Groups(Vec<Name>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    Ask(Ask),
    Not(Box<Condition>, Span),
    And(Box<Condition>, Box<Condition>, Span),
    Or(Box<Condition>, Box<Condition>, Span),
}

impl Condition {
    pub(crate) fn span(&self) -> &Span {
        match self {
            Self::Ask(ask) => &ask.span,
            Self::Not(_, span) | Self::And(_, _, span) | Self::Or(_, _, span) => span,
        }
    }
}

/// `estimated_rows > 1_000`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) attribute: Path,
    pub(crate) test: Test,
    pub(crate) span: Span,
}

/// `principal.claims.tenant`, `agents`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) names: Vec<PatternName>,
    pub(crate) span: Span,
}

impl Path {
    /// As written.
    pub(crate) fn text(&self) -> String {
        let names: Vec<&str> = self.names.iter().map(|name| &*name.text).collect();
        names.join(".")
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Test {
    /// Nothing behind the attribute: a flag.
    Holds,
    /// `> 1_000`
    Compare {
        comparison: Name,
        value: Value,
        zone: Option<Name>,
    },
    /// `in ("a", "b")`, `not in ...`
    In { negated: Negated, among: Among },
    /// `like "glob*"`
    Like { negated: Negated, glob: Name },
    /// `matches /regex/`
    Matches { negated: Negated, regex: Name },
    /// `has public.orders`
    Has { negated: Negated, what: Pattern },
    /// `is present`
    Present { negated: Negated },
    /// `by tenant_id = principal.claims.tenant`
    By { column: PatternName, value: Value },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Negated {
    No,
    Yes,
}

/// What stands behind `in`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Among {
    pub(crate) items: Vec<AmongItem>,
    /// `09:00 to 17:00`
    pub(crate) hours: Option<(Name, Name)>,
    pub(crate) zone: Option<Name>,
    pub(crate) span: Span,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AmongItem {
    Value(Value),
    /// `mon to fri`
    Range(Name, Name),
}

/// Something to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) kind: ValueKind,
    pub(crate) span: Span,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ValueKind {
    Number(String),
    Decimal(String),
    Text(String),
    Regex(String),
    Address(String),
    Clock(String),
    /// A word (`agent`, `true`) or an attribute.
    Path(Path),
    /// `("a", "b")`: a claim of a test.
    List(Vec<Value>),
}

/// `email: keep domain`, `otherwise redact`, `redact`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct With {
    pub(crate) of: WithOf,
    pub(crate) transform: Transform,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WithOf {
    Column(PatternName),
    Otherwise(Span),
    /// No column named: all of them.
    All,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transform {
    /// `keep domain`
    pub(crate) words: Name,
    pub(crate) argument: Option<Argument>,
    pub(crate) span: Span,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Argument {
    Number(Name),
    Text(Name),
    Word(Name),
}

/// `nist.AC-3(11)`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Control {
    pub(crate) alias: Name,
    /// Everything after the first dot.
    pub(crate) id: Name,
}

/// A line of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) kind: StepKind,
    pub(crate) span: Span,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StepKind {
    /// `schema "shop.sql"`
    Schema(Name),
    /// `as agent "devin@corp" in agents on behalf of "ana@corp" in analysts with claim tenant = "acme"`
    As {
        kind: Option<Name>,
        id: Name,
        groups: Vec<GroupMember>,
        person: Option<(Name, Vec<GroupMember>)>,
        claims: Vec<(Path, Value)>,
    },
    /// `session target = "shop"`
    Session(Vec<(Name, Value)>),
    /// `at "2026-03-01T09:00:00Z"`
    At(Name),
    /// `given estimated_rows = 5_000`
    Given(Vec<(Name, Value)>),
    /// `run "SELECT 1"`
    Run(Name),
    /// `expect deny by bulk-write`
    Expect(Vec<Expected>),
    /// Could not be read; it was reported.
    Error,
}

/// One item of an `expect`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) kind: ExpectedKind,
    pub(crate) span: Span,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ExpectedKind {
    /// `hold by bulk-write`
    Verdict {
        verdict: Verb,
        by: Option<Name>,
    },
    /// `by other-rule`
    By(Name),
    /// `mask s with last 4 by mask-pii`
    Mask {
        output: PatternName,
        transform: Option<Transform>,
        by: Option<Name>,
    },
    /// `no mask s`
    NoMask(PatternName),
    /// `controls nist.AC-3`, and what follows it
    Control(Control),
    Limit(LimitItem),
    Record(Name),
    Because(Name),
    /// `unmasked`, `error`
    Word(Name),
}

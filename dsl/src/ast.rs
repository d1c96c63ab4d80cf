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

/// A word or text as written.
pub(crate) type Name = At<String>;

/// A declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// `controls nist = nist-800-53`
    Controls { alias: Name, framework: Name },
    /// `group agents = "ai-agents"`
    Group { name: Name, members: Vec<Name> },
    /// `class pii = public.customers.ssn`
    Class { name: Name, patterns: Vec<Pattern> },
    /// `rule name ...`
    Rule { name: Name, clauses: Vec<Clause> },
    /// `exclude baseline`
    Exclude(Name),
    /// Something this version does not have; it was reported.
    Absent,
}

/// `a.b.{c, d}`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// The parts between the dots, each with its alternatives.
    pub(crate) parts: Vec<Vec<PatternName>>,
    pub(crate) span: Span,
}

/// One name of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PatternName {
    /// As written, without quotes.
    pub(crate) text: String,
    pub(crate) quoting: Quoting,
    pub(crate) span: Span,
}

/// Whether a name was written in quotes: then a star is a star and case counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quoting {
    Plain,
    Quoted,
}

/// A part of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clause {
    pub(crate) kind: ClauseKind,
    pub(crate) span: Span,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClauseKind {
    Allow {
        operations: Vec<Name>,
        on: Vec<Pattern>,
    },
    Deny {
        operations: Vec<Name>,
        on: Vec<Pattern>,
    },
    Mask {
        classes: Vec<Name>,
    },
    For {
        audience: Audience,
        except: Vec<Name>,
    },
    When(Condition),
    With(Vec<With>),
    Probing(Name),
    Because(Name),
    Satisfies(Vec<Control>),
    /// Could not be parsed, or is not in this version; it was reported.
    Error,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Audience {
    Anyone,
    Groups(Vec<Name>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    Attribute(Name),
    /// A comparison, or `bounded by`: not in this version.
    Absent(Name),
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
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
}

/// `nist.AC-3(11)`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Control {
    pub(crate) alias: Name,
    /// Everything after the first dot.
    pub(crate) id: Name,
}

//! A task that all contenders can do: rules allow or deny a group to read or write a table, or every table of a schema.
//! Far less than the policy language says: no names in part, no conditions, no obligations, no columns, no reasons.

use std::{collections::BTreeSet, sync::Arc};

use provost_engine::{
    facts::{Kind, Operation},
    graph::{
        Policy,
        condition::Condition,
        glob::Glob,
        rule::{Audience, Effect, Mode, ObjectPattern, Operations, Rule, RuleSet, Scope, Subjects},
    },
    verdict::BundleDigest,
};

use crate::{
    Prepared,
    policies::{Case, Numbers, session, statement},
};

const GROUPS: usize = 40;
const TABLES: usize = 20;
const REQUESTS: usize = 256;

/// What a rule says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    Allow,
    Deny,
}

/// What is done to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Read,
    Write,
}

impl Action {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct ToyRule {
    pub(crate) says: Says,
    pub(crate) group: usize,
    pub(crate) action: Action,
    pub(crate) schema: usize,
    /// `None`: every table of the schema.
    pub(crate) table: Option<usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) groups: Vec<usize>,
    pub(crate) action: Action,
    pub(crate) schema: usize,
    pub(crate) table: usize,
}

/// Rules and requests.
#[derive(Debug)]
pub(crate) struct Toy {
    pub(crate) rules: Vec<ToyRule>,
    pub(crate) requests: Vec<Request>,
}

impl Toy {
    pub(crate) fn new(size: usize) -> Self {
        let numbers = &mut Numbers::new(size as u64);
        let schemas = (size / 25).max(2);
        let rules: Vec<ToyRule> = (0..size)
            .map(|number| ToyRule {
                says: if number % 10 == 9 {
                    Says::Deny
                } else {
                    Says::Allow
                },
                group: numbers.below(GROUPS),
                action: if numbers.below(3) == 0 {
                    Action::Write
                } else {
                    Action::Read
                },
                schema: numbers.below(schemas),
                table: (numbers.below(4) != 0).then(|| numbers.below(TABLES)),
            })
            .collect();
        let requests = (0..REQUESTS)
            .map(|number| request(numbers, &rules, schemas, number))
            .collect();
        Self { rules, requests }
    }

    /// What the rules say, read one by one.
    pub(crate) fn answer(&self, number: usize) -> bool {
        let request = self.requests.get(number).expect("one of the requests");
        let speaks = |says: Says| {
            self.rules.iter().any(|rule| {
                rule.says == says
                    && request.groups.contains(&rule.group)
                    && rule.action == request.action
                    && rule.schema == request.schema
                    && rule.table.is_none_or(|table| table == request.table)
            })
        };
        speaks(Says::Allow) && !speaks(Says::Deny)
    }

    pub(crate) fn rule_set(&self) -> RuleSet {
        RuleSet {
            digest: BundleDigest(Arc::from("toy")),
            mode: Mode::Enforce,
            classes: Vec::new(),
            rules: (0..).zip(&self.rules).map(lowered).collect(),
            invariants: Vec::new(),
        }
    }

    /// The requests as statements of sessions.
    pub(crate) fn cases(&self, policy: &Policy) -> Vec<Prepared> {
        self.requests
            .iter()
            .map(|request| {
                let (kind, operation) = match request.action {
                    Action::Read => (Kind::Select, Operation::Read),
                    Action::Write => (Kind::Update, Operation::Update),
                };
                let groups = request.groups.iter().map(|group| format!("g{group}"));
                let case = Case {
                    session: Arc::new(session(groups.collect())),
                    facts: statement(
                        kind,
                        operation,
                        &format!("s{}", request.schema),
                        &format!("t{}", request.table),
                        &[],
                    ),
                };
                Prepared::new(policy, case)
            })
            .collect()
    }
}

/// Nine of ten are what some rule allows, as in life: what is denied costs words that no rival has.
fn request(numbers: &mut Numbers, rules: &[ToyRule], schemas: usize, number: usize) -> Request {
    let mut groups: BTreeSet<usize> = (0..2).map(|_| numbers.below(GROUPS)).collect();
    let allowing: Vec<&ToyRule> = rules
        .iter()
        .filter(|rule| rule.says == Says::Allow)
        .collect();
    let meant = allowing.get(numbers.below(allowing.len()));
    match meant {
        Some(rule) if !number.is_multiple_of(10) => {
            groups.insert(rule.group);
            Request {
                groups: groups.into_iter().collect(),
                action: rule.action,
                schema: rule.schema,
                table: rule.table.unwrap_or_else(|| numbers.below(TABLES)),
            }
        }
        _ => Request {
            groups: groups.into_iter().collect(),
            action: if numbers.below(2) == 0 {
                Action::Read
            } else {
                Action::Write
            },
            schema: numbers.below(schemas),
            table: numbers.below(TABLES),
        },
    }
}

fn lowered((number, rule): (usize, &ToyRule)) -> Rule {
    let scope = Scope {
        operations: match rule.action {
            Action::Read => Operations::of(&[Operation::Read]),
            Action::Write => {
                Operations::of(&[Operation::Insert, Operation::Update, Operation::Delete])
            }
        },
        objects: Some(vec![ObjectPattern::Qualified {
            schema: Glob::exactly(&format!("s{}", rule.schema)).into(),
            name: match rule.table {
                Some(table) => Glob::exactly(&format!("t{table}")).into(),
                None => Glob::any().into(),
            },
        }]),
        condition: Condition::Always,
    };
    Rule {
        name: Arc::from(format!("rule-{number}")),
        effect: match rule.says {
            Says::Allow => Effect::Allow(scope),
            Says::Deny => Effect::Deny(scope),
        },
        subjects: Subjects {
            audience: Audience::Groups(vec![vec![Arc::from(format!("g{}", rule.group))]]),
            except: Vec::new(),
        },
        because: None,
        controls: Vec::new(),
        mode: Mode::Enforce,
    }
}

//! Proves invariants of a set of rules, or finds a principal, an access and rules that break one.
//!
//! A proof covers every principal, session and statement: names by all the ways in which they can match the set's
//! patterns, everything else by formulas over groups and attributes. Guards (claims, estimates, times, expressions) are
//! opaque: they hold or not whatever else does, and an answer that rests on one is [`Proof::Unknown`], never proved.

mod formula;
mod names;
mod place;
mod variables;

use std::{collections::BTreeSet, sync::Arc};

use self::{
    formula::{Exhausted, Formula, satisfy},
    names::{Case, TooMany, Way, ways},
    place::{At, places},
    variables::{USES, Variables},
};
use super::{
    condition::{Condition, Test, TextAttribute, TextOperand, TextTest},
    name::NamePattern,
    rule::{Claim, ColumnPattern, Effect, Invariant, Mode, ObjectPattern, Rule, RuleSet, Scope},
};
use crate::facts::{Operation, Use};

/// How many points (operation, object, column, use) a proof looks at; more leave it unknown.
const POINTS_MAX: usize = 400_000;

/// What became of a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// It holds, for every principal and statement.
    Holds,
    /// It does not: here is a way round it.
    Violated(Counterexample),
    /// It can't be said; what it rests on, in words.
    Unknown(String),
}

/// A way round an invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counterexample {
    /// The issuer's groups of the actor.
    pub groups: Vec<Arc<str>>,
    /// Those of the person behind it, if there must be one.
    pub on_behalf_of: Option<Vec<Arc<str>>>,
    /// What is done to what: `delete on public.orders`.
    pub access: String,
    /// What else must hold, in the policy language's words.
    pub conditions: Vec<String>,
    /// The rules that let it through; empty where none masks.
    pub rules: Vec<Arc<str>>,
    /// A statement that does it.
    pub statement: String,
}

/// Proves an invariant of a set's enforced rules.
#[must_use]
pub fn prove(set: &RuleSet, invariant: &Invariant) -> Proof {
    if set.mode == Mode::Observe {
        return Proof::Unknown("the whole set only observes, so nothing is enforced".to_owned());
    }
    let enforced: Vec<&Rule> = set
        .rules
        .iter()
        .filter(|rule| rule.mode == Mode::Enforce)
        .collect();
    let proof = Names::gather(set, &enforced, invariant)
        .map_err(|TooMany| "names match the patterns in too many ways to look at all".to_owned())
        .and_then(|names| Prover::new(&enforced, invariant).prove(&names));
    match proof {
        Ok(None) => opaque_way(&enforced, invariant).map_or(Proof::Holds, Proof::Unknown),
        Ok(Some(counterexample)) => Proof::Violated(counterexample),
        Err(why) => Proof::Unknown(why),
    }
}

/// Why what is never allowed by itself may happen within a statement that nobody can see into.
fn opaque_way(enforced: &[&Rule], invariant: &Invariant) -> Option<String> {
    if matches!(invariant.claim, Claim::AlwaysMask(_)) {
        // Whomever a mask binds runs nothing opaque.
        return None;
    }
    enforced.iter().find_map(|rule| match &rule.effect {
        Effect::Allow(scope) | Effect::BreakGlass(scope)
            if scope.operations.contains(Operation::Opaque) =>
        {
            Some(format!(
                "rule `{}` allows `opaque`, and what such a statement does is not known",
                rule.name
            ))
        }
        _ => None,
    })
}

/// One dimension of names: the patterns on it, and every way to match them.
struct Dimension {
    patterns: Vec<(NamePattern, Case)>,
    ways: Vec<Way>,
}

impl Dimension {
    fn new(mut patterns: Vec<(NamePattern, Case)>) -> Result<Self, TooMany> {
        patterns.sort_by_key(|(pattern, case)| (pattern.to_string(), *case));
        patterns.dedup();
        let ways = ways(&patterns)?;
        Ok(Self { patterns, ways })
    }

    /// Whether a name that matches so matches the pattern; `None` where that can't be told.
    fn matches(&self, way: &Way, pattern: &NamePattern, case: Case) -> Option<bool> {
        let matches = |pattern: &NamePattern, case: Case| match case {
            Case::Counts => pattern.matches(&way.name),
            Case::Ignored => pattern.matches(&way.lower),
        };
        let is_spelled_out = || {
            self.patterns
                .iter()
                .any(|(other, case)| other.as_exact().is_some() && matches(other, *case))
        };
        match pattern {
            NamePattern::Regex(_) if !is_spelled_out() => None,
            NamePattern::Glob(_) | NamePattern::Regex(_) => Some(matches(pattern, case)),
        }
    }
}

/// The set's names.
struct Names {
    /// The classes that anything asks for, in lower case: made once, since a regular expression is compiled anew.
    classes: Vec<(Arc<str>, Vec<ColumnPattern>)>,
    schemas: Dimension,
    names: Dimension,
    columns: Dimension,
    singles: Dimension,
}

struct Prover<'a> {
    rules: &'a [&'a Rule],
    invariant: &'a Invariant,
    variables: Variables,
}

/// The operations that an invariant speaks of.
fn claimed_operations(invariant: &Invariant) -> Vec<Operation> {
    match &invariant.claim {
        Claim::AlwaysMask(_) => vec![Operation::Read],
        Claim::NeverAllow(scope) => Operation::ALL
            .into_iter()
            .filter(|operation| scope.operations.contains(*operation))
            .collect(),
    }
}

/// Whether a scope decides any of these: names that others speak of make no difference.
fn concerns(scope: &Scope, operations: &[Operation]) -> bool {
    operations
        .iter()
        .any(|operation| scope.operations.contains(*operation))
}

fn scope_of(rule: &Rule) -> Option<&Scope> {
    match &rule.effect {
        Effect::Allow(scope)
        | Effect::Deny(scope)
        | Effect::BreakGlass(scope)
        | Effect::Hold(scope, _)
        | Effect::Limit(scope, _)
        | Effect::Record(scope, _) => Some(scope),
        Effect::Mask(_) => None,
    }
}

impl Names {
    /// Every name that the set and the invariant speak of.
    fn gather(set: &RuleSet, rules: &[&Rule], invariant: &Invariant) -> Result<Self, TooMany> {
        let claimed = match &invariant.claim {
            Claim::NeverAllow(scope) => Some(scope),
            Claim::AlwaysMask(_) => None,
        };
        let operations = claimed_operations(invariant);
        let deciding = |rule: &&&Rule| {
            matches!(
                rule.effect,
                Effect::Allow(_) | Effect::BreakGlass(_) | Effect::Deny(_) | Effect::Hold(..)
            )
        };
        let scopes: Vec<&Scope> = rules
            .iter()
            .filter(deciding)
            .filter_map(|rule| scope_of(rule))
            .filter(|scope| concerns(scope, &operations))
            .chain(claimed)
            .collect();
        let (mut schemas, mut names, mut columns, mut singles) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for object in scopes
            .iter()
            .filter_map(|scope| scope.objects.as_ref())
            .flatten()
        {
            match object {
                ObjectPattern::Qualified { schema, name } => {
                    schemas.push((schema.clone(), Case::Counts));
                    names.push((name.clone(), Case::Counts));
                }
                ObjectPattern::Column(ColumnPattern {
                    schema,
                    relation,
                    column,
                }) => {
                    schemas.push((schema.clone(), Case::Counts));
                    names.push((relation.clone(), Case::Counts));
                    columns.push((column.clone(), Case::Counts));
                }
                ObjectPattern::Class(_) => {}
                ObjectPattern::Single(name) => singles.push((name.clone(), Case::Counts)),
            }
        }
        let asked = asked_classes(&scopes, invariant, rules);
        let classes: Vec<(Arc<str>, Vec<ColumnPattern>)> = set
            .classes
            .iter()
            .filter(|class| asked.contains(&class.name))
            .map(|class| {
                let columns = class.columns.iter().map(|pattern| ColumnPattern {
                    schema: pattern.schema.to_lowercase(),
                    relation: pattern.relation.to_lowercase(),
                    column: pattern.column.to_lowercase(),
                });
                (Arc::clone(&class.name), columns.collect())
            })
            .collect();
        for pattern in classes.iter().flat_map(|(_, columns)| columns) {
            schemas.push((pattern.schema.clone(), Case::Ignored));
            names.push((pattern.relation.clone(), Case::Ignored));
            columns.push((pattern.column.clone(), Case::Ignored));
        }
        for (attribute, pattern) in scopes
            .iter()
            .flat_map(|scope| scope.condition.tests())
            .flat_map(name_patterns)
        {
            let patterns = match attribute {
                TextAttribute::Schema => &mut schemas,
                TextAttribute::Column => &mut columns,
                _ => {
                    singles.push((pattern.clone(), Case::Counts));
                    &mut names
                }
            };
            patterns.push((pattern, Case::Counts));
        }
        Ok(Self {
            classes,
            schemas: Dimension::new(schemas)?,
            names: Dimension::new(names)?,
            columns: Dimension::new(columns)?,
            singles: Dimension::new(singles)?,
        })
    }
}

impl<'a> Prover<'a> {
    fn new(rules: &'a [&'a Rule], invariant: &'a Invariant) -> Self {
        let conditions = rules.iter().map(|rule| rule.condition());
        let claimed = match &invariant.claim {
            Claim::NeverAllow(scope) => Some(&scope.condition),
            Claim::AlwaysMask(_) => None,
        };
        Self {
            variables: Variables::new(conditions.chain(claimed)),
            rules,
            invariant,
        }
    }

    fn prove(&mut self, names: &Names) -> Result<Option<Counterexample>, String> {
        let operations = claimed_operations(self.invariant);
        let uses = self.uses();
        let mut left = POINTS_MAX;
        let mut unknown: Option<String> = None;
        for operation in operations {
            for place in places(names, uses) {
                left = left
                    .checked_sub(1)
                    .ok_or("there are too many accesses to look at each")?;
                let at = At {
                    prover: names,
                    operation,
                    place,
                };
                match self.at(&at) {
                    Ok(None) => {}
                    Ok(Some(counterexample)) => return Ok(Some(counterexample)),
                    Err(why) => unknown = unknown.or(Some(why)),
                }
            }
        }
        unknown.map_or(Ok(None), Err)
    }

    /// The uses of columns that make a difference: none where nothing asks for columns, one where nothing asks for uses.
    fn uses(&self) -> &'static [Use] {
        let claimed = match &self.invariant.claim {
            Claim::AlwaysMask(_) => None,
            Claim::NeverAllow(scope) => Some(&scope.condition),
        };
        let asks_uses = self
            .rules
            .iter()
            .map(|rule| rule.condition())
            .chain(claimed)
            .flat_map(Condition::tests)
            .any(|test| matches!(test, Test::Use(_)));
        if !self.asks_columns() {
            &[]
        } else if asks_uses {
            &USES
        } else {
            &[Use::Output]
        }
    }

    /// Whether anything asks for columns or their uses.
    fn asks_columns(&self) -> bool {
        let by_scope = |scope: &Scope| {
            let objects = scope.objects.iter().flatten();
            let by_object = objects
                .filter(|object| {
                    matches!(object, ObjectPattern::Column(_) | ObjectPattern::Class(_))
                })
                .count()
                > 0;
            by_object
                || scope.condition.tests().any(|test| {
                    matches!(test, Test::Use(_) | Test::Class(_))
                        || matches!(
                            test,
                            Test::Text {
                                attribute: TextAttribute::Column,
                                ..
                            }
                        )
                })
        };
        match &self.invariant.claim {
            Claim::AlwaysMask(_) => true,
            Claim::NeverAllow(scope) => {
                let operations = claimed_operations(self.invariant);
                by_scope(scope)
                    || self
                        .rules
                        .iter()
                        .filter_map(|rule| scope_of(rule))
                        .filter(|scope| concerns(scope, &operations))
                        .any(by_scope)
            }
        }
    }

    /// A way round the invariant at a point.
    fn at(&mut self, at: &At<'_>) -> Result<Option<Counterexample>, String> {
        let (formula, rules) = match &self.invariant.claim {
            Claim::NeverAllow(scope) => self.unapproved(scope, at),
            Claim::AlwaysMask(classes) => self.unmasked(classes, at),
        };
        if formula == Formula::Known(false) {
            return Ok(None);
        }
        let claimed = self.variables.claimed_for(&self.invariant.subjects);
        let formula = Formula::all([claimed, formula, self.variables.laws()]);
        let found = satisfy(&formula, |variable| self.variables.count(variable))
            .map_err(|Exhausted| "the search for a counterexample did not end".to_owned())?;
        let Some(values) = found else {
            return Ok(None);
        };
        let (conditions, guards) = self.variables.words(&values);
        if !guards.is_empty() {
            return Err(format!("it rests on {}", guards.join(" and ")));
        }
        let (groups, on_behalf_of) = self.variables.groups(&values);
        Ok(Some(Counterexample {
            groups,
            on_behalf_of,
            access: at.words(),
            conditions,
            rules,
            statement: at.statement(),
        }))
    }

    /// That an access in the region is allowed and not held, or let through by a stated reason, and not denied; with the rules that may
    /// let it through. A stated reason is nobody's approval.
    fn unapproved(&mut self, region: &Scope, at: &At<'_>) -> (Formula, Vec<Arc<str>>) {
        let inside = self.covers(region, at);
        let (mut allowed, mut stated, mut rules) = (Vec::new(), Vec::new(), Vec::new());
        let (mut held, mut denied) = (Vec::new(), Vec::new());
        for rule in self.rules {
            let Some(scope) = scope_of(rule) else {
                continue;
            };
            let covers = self.covers(scope, at);
            if covers == Formula::Known(false) {
                continue;
            }
            let applies = Formula::all([self.variables.about(rule), covers]);
            match &rule.effect {
                Effect::Allow(_) => {
                    allowed.push(applies);
                    rules.push(Arc::clone(&rule.name));
                }
                Effect::BreakGlass(_) => {
                    stated.push(applies);
                    rules.push(Arc::clone(&rule.name));
                }
                Effect::Deny(_) => denied.push(applies),
                Effect::Hold(..) => held.push(applies),
                Effect::Mask(_) | Effect::Limit(..) | Effect::Record(..) => {}
            }
        }
        let unheld = Formula::all([Formula::any(allowed), Formula::any(held).not()]);
        stated.push(unheld);
        let formula = Formula::all([inside, Formula::any(stated), Formula::any(denied).not()]);
        (formula, rules)
    }

    /// That a column of the classes is at the point and no mask applies to it.
    fn unmasked(&mut self, classes: &[Arc<str>], at: &At<'_>) -> (Formula, Vec<Arc<str>>) {
        let member: Vec<Formula> = classes
            .iter()
            .map(|class| at.is_member(class, &mut self.variables))
            .collect();
        let mut masked = Vec::new();
        for rule in self.rules {
            let Effect::Mask(mask) = &rule.effect else {
                continue;
            };
            let of_class: Vec<Formula> = mask
                .classes
                .iter()
                .map(|class| at.is_member(class, &mut self.variables))
                .collect();
            let condition = self.variables.condition(&mask.condition, at);
            let about = self.variables.about(rule);
            masked.push(Formula::all([Formula::any(of_class), condition, about]));
        }
        let formula = Formula::all([Formula::any(member), Formula::any(masked).not()]);
        (formula, Vec::new())
    }

    fn covers(&mut self, scope: &Scope, at: &At<'_>) -> Formula {
        if !scope.operations.contains(at.operation) {
            return Formula::Known(false);
        }
        let on = match &scope.objects {
            None => Formula::Known(true),
            Some(objects) => {
                let parts: Vec<Formula> = objects
                    .iter()
                    .map(|object| at.is_on(object, &mut self.variables))
                    .collect();
                Formula::any(parts)
            }
        };
        if on == Formula::Known(false) {
            return on;
        }
        Formula::all([on, self.variables.condition(&scope.condition, at)])
    }
}

/// The classes that scopes, masks and the invariant ask for.
fn asked_classes(scopes: &[&Scope], invariant: &Invariant, rules: &[&Rule]) -> BTreeSet<Arc<str>> {
    let by_objects = scopes
        .iter()
        .filter_map(|scope| scope.objects.as_ref())
        .flatten()
        .filter_map(|object| match object {
            ObjectPattern::Class(class) => Some(Arc::clone(class)),
            _ => None,
        });
    let by_tests = scopes
        .iter()
        .flat_map(|scope| scope.condition.tests())
        .filter_map(|test| match test {
            Test::Class(class) => Some(Arc::clone(class)),
            _ => None,
        });
    let mut asked: BTreeSet<Arc<str>> = by_objects.chain(by_tests).collect();
    if let Claim::AlwaysMask(classes) = &invariant.claim {
        asked.extend(classes.iter().cloned());
        for rule in rules {
            if let Effect::Mask(mask) = &rule.effect {
                asked.extend(mask.classes.iter().cloned());
            }
        }
    }
    asked
}

/// The patterns by which a test asks for the access's names.
fn name_patterns(test: &Test) -> Vec<(TextAttribute, NamePattern)> {
    let Test::Text { attribute, test } = test else {
        return Vec::new();
    };
    let exactly = |text: &Arc<str>| NamePattern::from(super::glob::Glob::exactly(text));
    let patterns = match (attribute, test) {
        (TextAttribute::Schema | TextAttribute::Relation | TextAttribute::Column, test) => {
            match test {
                TextTest::Equals(TextOperand::Literal(text)) => vec![exactly(text)],
                TextTest::In(texts) => texts.iter().map(exactly).collect(),
                TextTest::Matches(pattern) => vec![pattern.clone()],
                TextTest::Equals(TextOperand::Attribute(_)) => Vec::new(),
            }
        }
        _ => Vec::new(),
    };
    patterns
        .into_iter()
        .map(|pattern| (attribute.clone(), pattern))
        .collect()
}

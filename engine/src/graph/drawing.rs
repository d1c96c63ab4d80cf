//! The graph as plain data, for people: what it asks, where each answer leads, and which rules are left at the end. For
//! drawings only; deciding walks the compiled form, which keeps small sets of rules together where a drawing parts them.

use std::sync::Arc;

use super::{
    Policy,
    axes::Axes,
    compile::{boxes, numbers},
    condition::{Condition, Test},
    entry::Entry,
    rule::{Effect, Mask},
    space::{self, Dimension, Part, Reach},
};
use crate::verdict::RuleId;

/// How many of the answers that lead one way are spelled out; the others are counted.
const ANSWERS_MAX: usize = 8;

/// The part of the graph to draw. Empty is all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Focus {
    /// Only rules about a principal that is in these groups, by the issuer's names, and in no other.
    pub groups: Option<Vec<Arc<str>>>,
    /// Only rules about this relation: its schema's and its own exact name.
    pub relation: Option<(Arc<str>, Arc<str>)>,
}

/// The graph, drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawing {
    /// What is asked and what is left. The first is where every access begins.
    pub nodes: Vec<DrawnNode>,
    /// Which answer leads where.
    pub edges: Vec<DrawnEdge>,
    /// Mask rules that may mask columns within the focus: they are about results, not accesses, and no part of the graph.
    pub masks: Vec<RuleId>,
}

/// A node or a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DrawnNode {
    /// Asks for one thing, in words: `operation`.
    Question(&'static str),
    /// The rules that may apply. None: nothing allows it, and it is denied.
    Leaf(Vec<DrawnRule>),
}

/// A rule in a leaf.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DrawnRule {
    /// Which rule.
    pub rule: RuleId,
    /// What is still asked before it applies, in words; `None` if nothing is.
    pub when: Option<String>,
    /// Questions that the leaf did not part by, since the graph would have grown too large.
    pub open: Vec<&'static str>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrawnEdge {
    /// The node's number.
    pub from: usize,
    /// Where it leads.
    pub to: usize,
    /// The answers, in words: `read, insert`.
    pub label: String,
}

impl Policy {
    /// Draws the graph, or the part of it that is in focus. Takes about as long as compiling does.
    #[must_use]
    pub fn drawing(&self, focus: &Focus) -> Drawing {
        let numbers = numbers(&self.set.classes);
        let (axes, mut boxes) = boxes(&self.set.rules, &self.questions, &numbers);
        let is_about = |rule: u32| self.is_about(rule, focus);
        let relation = focus.relation.as_ref();
        let at = relation.map(|(schema, name)| axes.relation(schema, name));
        let shown: Vec<u32> = (0..)
            .zip(self.entries.iter().zip(&boxes))
            .filter(|(_, (entry, reach))| {
                is_about(entry.rule) && at.is_none_or(|at| reach.holds(&at))
            })
            .map(|(number, _)| number)
            .collect();
        if let Some(at) = at {
            // What the focus answers need not be asked.
            let answered = at.iter().map(|(dimension, _)| *dimension);
            answered.for_each(|dimension| boxes.iter_mut().for_each(|reach| reach.lift(dimension)));
        }
        let mut drawing = self.draw(&axes, &boxes, &shown);
        drawing.masks = self.masks_in(focus);
        drawing
    }

    fn draw(&self, axes: &Axes, boxes: &[Reach], shown: &[u32]) -> Drawing {
        let parts = space::build_open(boxes, shown).outline();
        let mut nodes: Vec<DrawnNode> = Vec::with_capacity(parts.len());
        // Leaves that are alike are one.
        let mut number_of = Vec::with_capacity(parts.len());
        for part in &parts {
            let node = match part {
                Part::Cell { boxes, open } => DrawnNode::Leaf(self.leaf(boxes, open)),
                Part::Node { dimension, .. } => DrawnNode::Question(dimension.words()),
            };
            let known = match node {
                DrawnNode::Leaf(_) => nodes.iter().position(|known| *known == node),
                DrawnNode::Question(_) => None,
            };
            number_of.push(known.unwrap_or(nodes.len()));
            if known.is_none() {
                nodes.push(node);
            }
        }
        let number_of = |part: usize| number_of.get(part).copied().unwrap_or_default();
        let mut edges = Vec::new();
        for (place, part) in parts.iter().enumerate() {
            let Part::Node {
                dimension,
                branches,
                otherwise,
            } = part
            else {
                continue;
            };
            let edge = |to: usize, label: String| DrawnEdge {
                from: number_of(place),
                to: number_of(to),
                label,
            };
            edges.extend(
                branches
                    .iter()
                    .map(|(classes, to)| edge(*to, shortened(&axes.words(*dimension, classes)))),
            );
            edges.push(edge(*otherwise, "otherwise".to_owned()));
        }
        Drawing {
            nodes,
            edges,
            masks: Vec::new(),
        }
    }

    /// The rules of some entries, each with what is still asked; several patterns of a rule that ask alike are one.
    fn leaf(&self, boxes: &[u32], open: &[Dimension]) -> Vec<DrawnRule> {
        let open: Vec<&'static str> = open.iter().map(|dimension| dimension.words()).collect();
        let mut rules: Vec<DrawnRule> = boxes
            .iter()
            .filter_map(|&number| {
                let entry = self.entries.get(number as usize)?;
                let when = self.remaining(number as usize, entry);
                Some(DrawnRule {
                    rule: RuleId(entry.rule),
                    when: (when != Condition::All(Vec::new())).then(|| when.to_string()),
                    open: open.clone(),
                })
            })
            .collect();
        rules.sort();
        rules.dedup();
        rules
    }

    /// What the graph itself does not ask of an entry.
    fn remaining(&self, number: usize, entry: &Entry) -> Condition {
        let mut parts = Vec::new();
        let questions = &self.questions;
        let session = questions
            .condition_of
            .get(number)
            .and_then(|&condition| questions.conditions.get(condition as usize));
        if let Some(Condition::All(of_session)) = session {
            parts.extend(of_session.iter().cloned());
        }
        let test = |test: Test, is_wanted: bool| match is_wanted {
            true => Condition::Test(test),
            false => Condition::Not(Box::new(Condition::Test(test))),
        };
        for (flag, is_wanted) in entry.flags() {
            parts.push(test(Test::Flag(flag), is_wanted));
        }
        let further = entry.further.checked_sub(1);
        if let Some(further) = further.and_then(|place| self.furthers.get(place as usize)) {
            for &(class, is_wanted) in &further.classes {
                let name = self.classes.names.get(class as usize).cloned();
                parts.push(test(Test::Class(name.unwrap_or_default()), is_wanted));
            }
            parts.extend(further.guard.clone());
        }
        Condition::All(parts)
    }

    fn is_about(&self, rule: u32, focus: &Focus) -> bool {
        let Some(groups) = &focus.groups else {
            return true;
        };
        let questions = &self.questions;
        let subjects = questions
            .subject_of
            .get(rule as usize)
            .and_then(|&subject| questions.subjects.get(subject as usize));
        subjects.is_some_and(|subjects| subjects.apply_to(&self.group_bits(groups), None))
    }

    fn masks_in(&self, focus: &Focus) -> Vec<RuleId> {
        let names_relation = |mask: &Mask| {
            let Some((schema, relation)) = &focus.relation else {
                return true;
            };
            let (schema, relation) = (schema.to_lowercase(), relation.to_lowercase());
            self.set
                .classes
                .iter()
                .filter(|class| mask.classes.contains(&class.name))
                .flat_map(|class| &class.columns)
                .any(|pattern| {
                    pattern.schema.to_lowercase().matches(&schema)
                        && pattern.relation.to_lowercase().matches(&relation)
                })
        };
        (0..)
            .zip(&self.set.rules)
            .filter(|(number, rule)| match &rule.effect {
                Effect::Mask(mask) => self.is_about(*number, focus) && names_relation(mask),
                _ => false,
            })
            .map(|(number, _)| RuleId(number))
            .collect()
    }
}

impl Dimension {
    /// What it asks for.
    const fn words(self) -> &'static str {
        match self {
            Self::Operation => "operation",
            Self::Sort => "sort of object",
            Self::Schema => "schema",
            Self::Name => "name",
            Self::Kind => "kind of statement",
            Self::Limit => "LIMIT",
            Self::Parameters => "number of parameters",
            Self::Column => "column",
            Self::Use => "use of the column",
        }
    }
}

/// The first answers, and how many more there are.
fn shortened(answers: &[String]) -> String {
    let shown = answers.get(..ANSWERS_MAX).unwrap_or(answers).join(", ");
    match answers.len().saturating_sub(ANSWERS_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use expect_test::{Expect, expect};

    use super::{
        super::{
            compile,
            condition::{Comparison, Flag, NumberAttribute},
            glob::Glob,
            rule::{
                Audience, Class, ColumnPattern, Mode, ObjectPattern, Operations, Probing, Rule,
                RuleSet, Scope, Subjects,
            },
        },
        *,
    };
    use crate::{
        facts::Operation,
        verdict::{BundleDigest, Transform},
    };

    fn policy() -> Policy {
        let on = |schema: &str, name: &str| {
            vec![ObjectPattern::Qualified {
                schema: Glob::with_stars(schema).into(),
                name: Glob::with_stars(name).into(),
            }]
        };
        let scope = |operations: &[Operation], objects, condition| Scope {
            operations: Operations::of(operations),
            objects: Some(objects),
            condition,
        };
        let pii = || Arc::from("pii");
        let filtered = Condition::Test(Test::Flag(Flag::Filtered));
        let many = Condition::Test(Test::Number {
            attribute: NumberAttribute::Limit,
            comparison: Comparison::Greater,
            value: 100,
        });
        let read = &[Operation::Read];
        let effects = [
            (
                "agents",
                Effect::Allow(scope(read, on("public", "*"), Condition::Always)),
            ),
            (
                "dbas",
                Effect::Allow(scope(
                    &[Operation::Read, Operation::Update],
                    on("hr", "sal*"),
                    filtered,
                )),
            ),
            (
                "agents",
                Effect::Deny(scope(read, on("public", "orders"), many)),
            ),
            (
                "agents",
                Effect::Deny(scope(
                    read,
                    vec![ObjectPattern::Class(pii())],
                    Condition::Always,
                )),
            ),
            (
                "agents",
                Effect::Mask(Mask {
                    classes: vec![pii()],
                    transforms: Default::default(),
                    otherwise: Transform::Redact,
                    probing: Probing::Deny,
                    condition: Condition::Always,
                }),
            ),
        ];
        let rules = (0..)
            .zip(effects)
            .map(|(number, (group, effect)): (usize, _)| Rule {
                name: Arc::from(format!("rule-{number}")),
                effect,
                subjects: Subjects {
                    audience: Audience::Groups(vec![vec![Arc::from(group)]]),
                    except: Vec::new(),
                },
                because: None,
                controls: Vec::new(),
                mode: Mode::Enforce,
            });

        compile(RuleSet {
            digest: BundleDigest(Arc::from("test")),
            mode: Mode::Enforce,
            classes: vec![Class {
                name: pii(),
                columns: vec![ColumnPattern {
                    schema: Glob::exactly("public").into(),
                    relation: Glob::exactly("customers").into(),
                    column: Glob::with_stars("ssn").into(),
                }],
            }],
            rules: rules.collect(),
            invariants: Vec::new(),
        })
        .expect("it compiles")
    }

    #[track_caller]
    fn check(groups: Option<&str>, relation: Option<(&str, &str)>, expected: Expect) {
        let policy = policy();
        let drawing = policy.drawing(&Focus {
            groups: groups.map(|group| vec![Arc::from(group)]),
            relation: relation.map(|(schema, name)| (Arc::from(schema), Arc::from(name))),
        });
        let mut text = String::new();
        for (number, node) in drawing.nodes.iter().enumerate() {
            match node {
                DrawnNode::Question(question) => writeln!(text, "{number}: {question}?"),
                DrawnNode::Leaf(rules) => {
                    let rules: Vec<String> = rules
                        .iter()
                        .map(|rule| {
                            let name = policy.names(&[rule.rule]).join("");
                            let when = rule.when.as_deref().unwrap_or("always");
                            format!("{name} ({when}){}", rule.open.join(" "))
                        })
                        .collect();
                    writeln!(text, "{number}: {}", rules.join("; "))
                }
            }
            .expect("a String takes all");
            for edge in drawing.edges.iter().filter(|edge| edge.from == number) {
                writeln!(text, "    {} -> {}", edge.label, edge.to).expect("a String takes all");
            }
        }
        writeln!(text, "masks: {}", policy.names(&drawing.masks).join(", "))
            .expect("a String takes all");
        expected.assert_eq(&text);
    }

    #[test]
    fn all_of_it() {
        check(
            None,
            None,
            expect![[r#"
            0: sort of object?
                object of a schema -> 2
                otherwise -> 1
            1: 
            2: operation?
                read -> 3
                update -> 4
                otherwise -> 1
            3: LIMIT?
                above 100 -> 6
                otherwise -> 5
            4: schema?
                hr -> 7
                otherwise -> 1
            5: name?
                like sal* -> 9
                otherwise -> 8
            6: schema?
                hr -> 11
                public -> 12
                otherwise -> 10
            7: name?
                like sal* -> 13
                otherwise -> 1
            8: schema?
                public -> 15
                otherwise -> 14
            9: schema?
                hr -> 16
                public -> 15
                otherwise -> 14
            10: use of the column?
                any -> 17
                otherwise -> 1
            11: name?
                like sal* -> 16
                otherwise -> 14
            12: name?
                orders -> 18
                otherwise -> 15
            13: rule-1 (filtered)
            14: use of the column?
                any -> 17
                otherwise -> 1
            15: use of the column?
                any -> 20
                otherwise -> 19
            16: use of the column?
                any -> 21
                otherwise -> 13
            17: rule-3 (access.class = pii)
            18: use of the column?
                any -> 23
                otherwise -> 22
            19: rule-0 (always)
            20: rule-0 (always); rule-3 (access.class = pii)
            21: rule-1 (filtered); rule-3 (access.class = pii)
            22: rule-0 (always); rule-2 (always)
            23: rule-0 (always); rule-2 (always); rule-3 (access.class = pii)
            masks: rule-4
        "#]],
        );
    }

    #[test]
    fn one_group() {
        check(
            Some("dbas"),
            None,
            expect![[r#"
            0: sort of object?
                object of a schema -> 2
                otherwise -> 1
            1: 
            2: schema?
                hr -> 3
                otherwise -> 1
            3: name?
                like sal* -> 4
                otherwise -> 1
            4: operation?
                read, update -> 5
                otherwise -> 1
            5: rule-1 (filtered)
            masks: 
        "#]],
        );
    }

    #[test]
    fn a_relation() {
        check(
            None,
            Some(("Public", "CUSTOMERS")),
            expect![[r#"
            0: operation?
                read -> 2
                otherwise -> 1
            1: 
            2: use of the column?
                any -> 3
                otherwise -> 1
            3: rule-3 (access.class = pii)
            masks: rule-4
        "#]],
        );
    }

    #[test]
    fn a_relation_for_a_group() {
        check(
            Some("agents"),
            Some(("public", "orders")),
            expect![[r#"
            0: operation?
                read -> 2
                otherwise -> 1
            1: 
            2: LIMIT?
                above 100 -> 4
                otherwise -> 3
            3: use of the column?
                any -> 6
                otherwise -> 5
            4: use of the column?
                any -> 8
                otherwise -> 7
            5: rule-0 (always)
            6: rule-0 (always); rule-3 (access.class = pii)
            7: rule-0 (always); rule-2 (always)
            8: rule-0 (always); rule-2 (always); rule-3 (access.class = pii)
            masks: 
        "#]],
        );
    }

    #[test]
    fn a_relation_that_no_rule_names() {
        check(
            Some("agents"),
            Some(("hr", "salaries")),
            expect![[r#"
            0: operation?
                read -> 2
                otherwise -> 1
            1: 
            2: use of the column?
                any -> 3
                otherwise -> 1
            3: rule-3 (access.class = pii)
            masks: 
        "#]],
        );
    }
}

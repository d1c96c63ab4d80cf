//! A policy's decision graph as a picture: DOT for other tools, SVG to look at.

mod dot;
mod svg;

use std::sync::Arc;

use provost_engine::{
    graph::{
        Policy,
        drawing::{DrawnNode, DrawnRule, Focus},
    },
    verdict::RuleId,
};

pub use self::svg::{BOXES_MAX, TooLarge};

/// The part of a graph that somebody wants to see, in a person's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted<'a> {
    /// Only what is about members of this group and of no other, as the issuer names it.
    pub group: Option<&'a str>,
    /// A relation: `orders` (in the schema `public`) or `shop.orders`.
    pub relation: Option<&'a str>,
}

/// Boxes with arrows between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    boxes: Vec<PictureBox>,
    arrows: Vec<PictureArrow>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct PictureBox {
    lines: Vec<String>,
    look: Look,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct PictureArrow {
    from: usize,
    to: usize,
    label: String,
}

/// What a box holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Something that is asked.
    Question,
    /// Rules that may apply.
    Rules,
    /// Nothing applies: denied.
    Nothing,
    /// Rules beside the graph: masks.
    Beside,
}

impl Look {
    /// The class in a stylesheet.
    const fn name(self) -> &'static str {
        match self {
            Self::Question => "question",
            Self::Rules => "rules",
            Self::Nothing => "nothing",
            Self::Beside => "beside",
        }
    }
}

impl Picture {
    /// What is wanted of `policy`.
    #[must_use]
    pub fn new(policy: &Policy, wanted: &Wanted<'_>) -> Self {
        let focus = Focus {
            groups: wanted.group.map(|name| vec![Arc::from(name)]),
            relation: wanted.relation.map(|written| {
                let (schema, name) = written.split_once('.').unwrap_or(("public", written));
                (Arc::from(schema), Arc::from(name))
            }),
        };
        let drawing = policy.drawing(&focus);
        let mut boxes: Vec<PictureBox> = drawing
            .nodes
            .iter()
            .map(|node| match node {
                DrawnNode::Question(what) => PictureBox {
                    lines: vec![format!("{what}?")],
                    look: Look::Question,
                },
                DrawnNode::Leaf(rules) if rules.is_empty() => PictureBox {
                    lines: vec!["denied: no rule allows it".to_owned()],
                    look: Look::Nothing,
                },
                DrawnNode::Leaf(rules) => PictureBox {
                    lines: rules
                        .iter()
                        .flat_map(|rule| rule_lines(policy, rule))
                        .collect(),
                    look: Look::Rules,
                },
            })
            .collect();
        if !drawing.masks.is_empty() {
            let mut lines = vec!["results of what is allowed:".to_owned()];
            lines.extend(drawing.masks.iter().map(|rule| title(policy, *rule)));
            boxes.push(PictureBox {
                lines,
                look: Look::Beside,
            });
        }
        let arrows = drawing
            .edges
            .into_iter()
            .map(|edge| PictureArrow {
                from: edge.from,
                to: edge.to,
                label: edge.label,
            })
            .collect();
        Self { boxes, arrows }
    }

    /// As DOT, the language of Graphviz: a directed graph, left to right.
    #[must_use]
    pub fn dot(&self) -> String {
        dot::dot(self)
    }

    /// As SVG that stands alone, left to right, light and dark.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub fn svg(&self) -> Result<String, TooLarge> {
        svg::svg(self)
    }
}

fn title(policy: &Policy, rule: RuleId) -> String {
    let name = policy.names(&[rule]).join("");
    let effect = usize::try_from(rule.0)
        .ok()
        .and_then(|index| policy.set().rules.get(index))
        .map_or("module", |rule| rule.effect.name());
    format!("{effect} by {name}")
}

fn rule_lines(policy: &Policy, rule: &DrawnRule) -> Vec<String> {
    let mut lines = vec![title(policy, rule.rule)];
    lines.extend(rule.when.as_ref().map(|when| format!("  when {when}")));
    if !rule.open.is_empty() {
        lines.push(format!("  by {}", rule.open.join(", ")));
    }
    lines
}

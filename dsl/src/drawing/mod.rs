//! A policy's decision graph as a picture: DOT for other tools, SVG to look at.

mod dot;
mod svg;

use std::sync::Arc;

use provost_engine::{
    graph::{
        Policy,
        drawing::{DrawnNode, DrawnRule, Focus},
        rule::Effect,
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
    /// Nothing allows it: denied.
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
        let modules = modules(policy);
        let denied = if modules.is_empty() {
            "denied: no rule allows it"
        } else {
            "denied, unless a module allows it"
        };
        let mut boxes: Vec<PictureBox> = drawing
            .nodes
            .iter()
            .map(|node| match node {
                DrawnNode::Question(what) => PictureBox {
                    lines: vec![format!("{what}?")],
                    look: Look::Question,
                },
                DrawnNode::Leaf(rules) => leaf(policy, rules, denied),
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
        if !modules.is_empty() {
            let mut lines = vec!["modules, asked of every statement:".to_owned()];
            lines.extend(modules);
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

fn leaf(policy: &Policy, rules: &[DrawnRule], denied: &str) -> PictureBox {
    let mut lines: Vec<String> = rules
        .iter()
        .flat_map(|rule| rule_lines(policy, rule))
        .collect();
    let covers = |rule: &DrawnRule| {
        matches!(
            effect(policy, rule.rule),
            Some(Effect::Allow(_) | Effect::BreakGlass(_) | Effect::Hold(..))
        )
    };
    if rules.iter().any(covers) {
        return PictureBox {
            lines,
            look: Look::Rules,
        };
    }
    lines.push(denied.to_owned());
    PictureBox {
        lines,
        look: Look::Nothing,
    }
}

/// The names of Rego modules: their ids follow the rules'.
fn modules(policy: &Policy) -> Vec<String> {
    let first = u32::try_from(policy.rule_count()).unwrap_or(u32::MAX);
    (first..)
        .map_while(|id| policy.names(&[RuleId(id)]).first().map(ToString::to_string))
        .collect()
}

fn effect(policy: &Policy, rule: RuleId) -> Option<&Effect> {
    let index = usize::try_from(rule.0).ok()?;
    Some(&policy.set().rules.get(index)?.effect)
}

fn title(policy: &Policy, rule: RuleId) -> String {
    let name = policy.names(&[rule]).join("");
    let effect = effect(policy, rule).map_or("module", Effect::name);
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

#[cfg(test)]
mod tests;

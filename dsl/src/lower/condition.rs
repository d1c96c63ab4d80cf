//! Conditions: attributes looked up, values checked against what the attribute is. Never guesses a type: an attribute
//! compared with the wrong sort of value is an error that says which sort it wants.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use provost_engine::graph::condition::{ClaimPath, Condition};

use super::{Check, asked::Asked, contradiction};
use crate::{
    ast::{self, Ask, Path, Span},
    vocabulary::{self, Attribute, known_names, nearest_claim, nearest_name},
};

/// What a condition belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A rule over accesses.
    Access,
    /// A mask, which may ask for the session and the time only.
    Mask,
}

/// Lowers a condition; [`Condition::Always`] in place of what has a mistake.
pub(super) fn lower(
    condition: &ast::Condition,
    place: Place,
    check: &mut Check<'_, '_>,
) -> Condition {
    let before = check.errors();
    let lowered = match condition {
        ast::Condition::Ask(ask) => return lower_ask(ask, place, check),
        ast::Condition::Not(inner, _) => Condition::Not(Box::new(lower(inner, place, check))),
        ast::Condition::And(..) => {
            let mut parts = Vec::new();
            gather_and(condition, &mut parts);
            Condition::All(parts.iter().map(|part| lower(part, place, check)).collect())
        }
        ast::Condition::Or(..) => {
            let mut parts = Vec::new();
            gather_or(condition, &mut parts);
            Condition::Any(parts.iter().map(|part| lower(part, place, check)).collect())
        }
    };
    if check.errors() == before {
        check_possible(&lowered, condition.span(), check);
    }
    lowered
}

fn gather_and<'c>(condition: &'c ast::Condition, parts: &mut Vec<&'c ast::Condition>) {
    match condition {
        ast::Condition::And(left, right, _) => {
            gather_and(left, parts);
            gather_and(right, parts);
        }
        other => parts.push(other),
    }
}

fn gather_or<'c>(condition: &'c ast::Condition, parts: &mut Vec<&'c ast::Condition>) {
    match condition {
        ast::Condition::Or(left, right, _) => {
            gather_or(left, parts);
            gather_or(right, parts);
        }
        other => parts.push(other),
    }
}

/// Refuses what can never be true, and warns of what always is.
fn check_possible(condition: &Condition, span: &Span, check: &mut Check<'_, '_>) {
    let written = check.written(span);
    if !contradiction::is_possible(condition) {
        check.error_with_help(
            span,
            format!("`{written}` can never be true"),
            "never true",
            "nothing satisfies all of it at once; did you mean `or`, or other values?",
        );
    } else if !contradiction::is_possible(&Condition::Not(Box::new(condition.clone()))) {
        check.warn(
            span,
            format!("`{written}` is always true"),
            "says nothing",
            Some("leave it out, or ask for something that can be otherwise"),
        );
    }
}

fn lower_ask(ask: &Ask, place: Place, check: &mut Check<'_, '_>) -> Condition {
    let before = check.errors();
    let Some(lowered) = attribute_of(&ask.attribute, check).and_then(|(attribute, claim)| {
        Asked {
            attribute,
            claim,
            ask,
        }
        .lower(check)
    }) else {
        return Condition::Always;
    };
    if check.errors() > before {
        return Condition::Always;
    }
    if place == Place::Mask && !lowered.is_of_session() {
        let written = check.written(&ask.span);
        check.error_with_help(
            &ask.span,
            format!("a mask can't ask for `{written}`"),
            "depends on the statement",
            "a mask that came and went with the statement could be got round: ask for `principal`, `session` or `time`",
        );
        return Condition::Always;
    }
    check_possible(&lowered, &ask.span, check);
    lowered
}

/// The attribute that a path names, and the claim's path where it is one.
pub(super) fn attribute_of(
    path: &Path,
    check: &mut Check<'_, '_>,
) -> Option<(&'static Attribute, Option<ClaimPath>)> {
    let names: Vec<&str> = path.names.iter().map(|name| &*name.text).collect();
    if let Some((attribute, claims)) = vocabulary::find(&names) {
        let claim: Vec<Arc<str>> = names
            .iter()
            .skip(names.len().saturating_sub(claims))
            .map(|name| Arc::from(*name))
            .collect();
        return Some((attribute, (!claim.is_empty()).then_some(ClaimPath(claim))));
    }
    let written = path.text();
    let error = check.file.error(
        &path.span,
        format!("unknown attribute `{written}`"),
        "no such attribute",
    );
    let kinds = ["principal.kind", "statement.kind"];
    let diagnostic = if written == "kind" {
        error.with_help(format!("say whose: {}", crate::diagnostic::quoted(&kinds)))
    } else if let Some(meant) = nearest_claim(&written) {
        error.with_help(format!("did you mean `{meant}`?"))
    } else if let Some(meant) = nearest_name(&written) {
        error.with_help(format!("did you mean `{meant}`?"))
    } else if check.symbols.is_group(&written) {
        error.with_help(format!(
            "`{written}` is a group: write `principal in {written}`"
        ))
    } else if let Some(of) = names.first().filter(|first| is_owner(first)) {
        let alike = known_names()
            .filter(|name| {
                name.strip_prefix(*of)
                    .is_some_and(|rest| rest.starts_with('.'))
            })
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ");
        error.with_help(format!("of `{of}` there are {alike}"))
    } else {
        error.with_help(
            "conditions ask for `principal`, `session`, `statement`, `access` and `time`; `filtered`, `bounded` and others may stand alone",
        )
    };
    check.diagnostics.push(diagnostic);
    None
}

fn is_owner(name: &str) -> bool {
    matches!(
        name,
        "principal" | "session" | "statement" | "access" | "time"
    )
}
/// At least one of them.
pub(super) fn any(mut parts: Vec<Condition>) -> Condition {
    match (parts.len(), parts.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            parts.extend(last);
            Condition::Any(parts)
        }
    }
}

/// A whole number as the engine compares them.
pub(super) fn whole(digits: &str, span: &Span, check: &mut Check<'_, '_>) -> Option<i64> {
    let number = digits.parse::<i64>().ok();
    if number.is_none() {
        check.error(
            span,
            format!("`{digits}` is too large a number"),
            "more than 63 bits",
        );
    }
    number
}

/// A network or a single address.
pub(super) fn network(written: &str, span: &Span, check: &mut Check<'_, '_>) -> Option<IpNet> {
    let network = written
        .parse::<IpNet>()
        .or_else(|_| written.parse::<IpAddr>().map(IpNet::from));
    let Ok(network) = network else {
        check.error_with_help(
            span,
            format!("`{written}` is no address and no network"),
            "not valid",
            "write `10.0.0.0/8`, `192.168.1.7` or `fd00::/8`",
        );
        return None;
    };
    if network.trunc() != network {
        check.error_with_help(
            span,
            format!("`{written}` has bits set beyond its length"),
            "no network begins there",
            format!(
                "did you mean `{}` or `{}`?",
                network.trunc(),
                network.addr()
            ),
        );
        return None;
    }
    Some(network)
}

//! Claims to a principal, by the configured rules. Only ever called on claims whose signature is verified.
//!
//! It must never guess: a claim of another shape than expected refuses the token, because a group that is not seen may be
//! the one that a deny rule names.

use std::{collections::BTreeMap, sync::Arc};

use provost_engine::principal::{Delegator, Principal, PrincipalKind};
use serde_json::{Map, Value};

use super::{
    error::Error,
    settings::{Delegation, IssuerSettings, KindRule},
};

/// Longest id of a principal or delegator, in bytes; a longer one refuses the token.
const ID_BYTES_MAX: usize = 256;
/// Longest group name, in bytes; a longer one refuses the token.
const GROUP_BYTES_MAX: usize = 256;
/// Groups a token may name; more refuse it, since a cut list could lose the group a rule denies.
const GROUPS_MAX: usize = 512;
/// Other claims a principal carries for conditions; a token with more is refused.
const CLAIMS_MAX: usize = 128;
/// Claims that are about the token, not about the principal.
const TOKEN_CLAIMS: [&str; 6] = ["iss", "aud", "exp", "nbf", "iat", "jti"];
/// Where issuers say that a claim did not fit into the token and must be fetched elsewhere (OpenID Connect Core, 5.6.2).
const DISTRIBUTED_CLAIMS: &str = "_claim_names";

type Claims = Map<String, Value>;

/// Reads the principal.
///
/// # Errors
/// [`Error::MissingClaim`] and [`Error::InvalidClaim`].
pub(super) fn principal(claims: &Claims, settings: &IssuerSettings) -> Result<Principal, Error> {
    let rules = &settings.claims;
    if is_distributed(claims, &rules.groups) {
        return Err(invalid(&rules.groups, "did not fit into the token"));
    }
    let reader = Reader { settings };
    let (actor, prefix, on_behalf_of) = match &rules.delegation {
        Delegation::None => (claims, "", None),
        Delegation::Actor => match claims.get("act") {
            None => (claims, "", None),
            Some(Value::Object(actor)) => (actor, "act.", Some(reader.delegator(claims, "")?)),
            Some(_) => return Err(invalid("act", "is not an object")),
        },
        Delegation::Claim(name) => match claims.get(name) {
            None => (claims, "", None),
            Some(person) => (claims, "", Some(reader.person(name, person)?)),
        },
    };
    let groups = reader.groups(actor, prefix)?;
    Ok(Principal {
        id: reader.id(actor, prefix)?,
        kind: kind(actor, prefix, &groups, &rules.kind)?,
        groups,
        on_behalf_of,
        issuer: Arc::from(settings.url.as_str()),
        claims: others(claims, settings)?,
    })
}

struct Reader<'a> {
    settings: &'a IssuerSettings,
}

impl Reader<'_> {
    fn id(&self, claims: &Claims, prefix: &str) -> Result<Arc<str>, Error> {
        let claim = &self.settings.claims.principal;
        let name = format!("{prefix}{claim}");
        match claims.get(claim) {
            None => Err(Error::MissingClaim { claim: name }),
            Some(value) => id(&name, value),
        }
    }

    fn groups(&self, claims: &Claims, prefix: &str) -> Result<Vec<Arc<str>>, Error> {
        let claim = &self.settings.claims.groups;
        let name = format!("{prefix}{claim}");
        match claims.get(claim) {
            None => Ok(Vec::new()),
            Some(Value::Array(groups)) if groups.len() > GROUPS_MAX => {
                Err(invalid(&name, "names too many groups"))
            }
            Some(Value::Array(groups)) => groups.iter().map(|value| group(&name, value)).collect(),
            Some(value) => Ok(vec![group(&name, value)?]),
        }
    }

    fn delegator(&self, claims: &Claims, prefix: &str) -> Result<Delegator, Error> {
        Ok(Delegator {
            id: self.id(claims, prefix)?,
            groups: self.groups(claims, prefix)?,
        })
    }

    /// The person that a delegation claim names: an id, or an object with id and groups.
    fn person(&self, claim: &str, value: &Value) -> Result<Delegator, Error> {
        match value {
            Value::Object(person) => self.delegator(person, &format!("{claim}.")),
            value => Ok(Delegator {
                id: id(claim, value)?,
                groups: Vec::new(),
            }),
        }
    }
}

fn id(claim: &str, value: &Value) -> Result<Arc<str>, Error> {
    let text = value
        .as_str()
        .ok_or_else(|| invalid(claim, "is not text"))?;
    if text.is_empty() || text.len() > ID_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(invalid(
            claim,
            "is empty, too long or has control characters",
        ));
    }
    Ok(Arc::from(text))
}

fn group(claim: &str, value: &Value) -> Result<Arc<str>, Error> {
    let text = value
        .as_str()
        .ok_or_else(|| invalid(claim, "is not a list of texts"))?;
    if text.len() > GROUP_BYTES_MAX {
        return Err(invalid(claim, "has a group name that is too long"));
    }
    Ok(Arc::from(text))
}

fn kind(
    claims: &Claims,
    prefix: &str,
    groups: &[Arc<str>],
    rule: &KindRule,
) -> Result<PrincipalKind, Error> {
    if let Some(claim) = &rule.claim
        && let Some(value) = claims.get(claim)
    {
        return match value.as_str() {
            Some("human") => Ok(PrincipalKind::Human),
            Some("agent") => Ok(PrincipalKind::Agent),
            Some("service") => Ok(PrincipalKind::Service),
            _ => Err(invalid(
                &format!("{prefix}{claim}"),
                "is not `human`, `agent` or `service`",
            )),
        };
    }
    let is_in = |names: &[String]| {
        groups
            .iter()
            .any(|group| names.iter().any(|name| **name == **group))
    };
    if is_in(&rule.agent_groups) {
        return Ok(PrincipalKind::Agent);
    }
    if is_in(&rule.service_groups) {
        return Ok(PrincipalKind::Service);
    }
    Ok(PrincipalKind::Human)
}

/// Every claim that is not about the token itself and not the groups, which are in the principal already.
fn others(claims: &Claims, settings: &IssuerSettings) -> Result<BTreeMap<String, Value>, Error> {
    if claims.len() > CLAIMS_MAX {
        return Err(invalid("(all)", "list is too long"));
    }
    Ok(claims
        .iter()
        .filter(|(name, _)| {
            !TOKEN_CLAIMS.contains(&name.as_str()) && **name != settings.claims.groups
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect())
}

fn is_distributed(claims: &Claims, groups: &str) -> bool {
    claims
        .get(DISTRIBUTED_CLAIMS)
        .and_then(Value::as_object)
        .is_some_and(|names| names.contains_key(groups))
}

fn invalid(claim: &str, what: &'static str) -> Error {
    Error::InvalidClaim {
        claim: claim.to_owned(),
        what,
    }
}

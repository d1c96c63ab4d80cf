//! Who asks: the bearer token of a request, the very token that opens a session.
//!
//! It must never let a request through without a token that the issuer verified just now, nor show a token.

use std::{marker::PhantomData, sync::Arc, time::SystemTime};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use provost_engine::principal::Principal;

use super::{
    Problem, Room,
    role::{Onlooker, Rank, Role},
};
use crate::{
    identity,
    record::console::{Peer, Way},
};

/// Who asks, verified.
pub(super) struct Caller(pub(super) Principal);

impl FromRequestParts<Arc<Room>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, room: &Arc<Room>) -> Result<Self, Problem> {
        let token = bearer(&parts.headers).ok_or_else(|| {
            unauthorized(format!(
                "send one header `Authorization: Bearer` with an access token of `{}`",
                room.issuer.url()
            ))
        })?;
        // The listener puts it beside each request.
        let Some(peer) = parts.extensions.get::<Peer>().copied() else {
            return Err(Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the console does not know where the request is from: this is a defect",
            ));
        };
        verified(room, peer, token).await.map(Self)
    }
}

/// Who asks, verified, who has at least this role.
pub(super) struct Ranked<R> {
    pub(super) principal: Principal,
    role: Role,
    rank: PhantomData<R>,
}

impl<R> Ranked<R> {
    pub(super) fn onlooker(&self) -> Onlooker<'_> {
        Onlooker {
            id: &self.principal.id,
            role: self.role,
        }
    }
}

impl<R: Rank> FromRequestParts<Arc<Room>> for Ranked<R> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, room: &Arc<Room>) -> Result<Self, Problem> {
        let Caller(principal) = Caller::from_request_parts(parts, room).await?;
        let ranked = Self {
            role: room.roles.of(&principal),
            principal,
            rank: PhantomData,
        };
        ranked.onlooker().must_be(R::ROLE)?;
        Ok(ranked)
    }
}

async fn verified(room: &Room, peer: Peer, token: &str) -> Result<Principal, Problem> {
    match room.issuer.verify(token, SystemTime::now()).await {
        Ok(verified) => Ok(verified.principal),
        Err(refused) => {
            let principal = refused.principal.as_deref();
            let id = principal.map(|principal| &*principal.id);
            tracing::info!(principal = id, error = %refused.error, "a token was refused at the console");
            let detail = match &refused.error {
                identity::Error::Malformed { what, issuer } => {
                    format!(
                        "the bearer token is not valid ({what}): send an access token of `{issuer}`"
                    )
                }
                error => error.client_message(),
            };
            room.door
                .refused((peer, Way::Bearer), principal, &detail)
                .await;
            Err(unauthorized(detail))
        }
    }
}

fn unauthorized(detail: String) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail)
}

/// The token of the one `Authorization` header (RFC 6750, 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let value = all.next()?;
    if all.next().is_some() {
        return None;
    }
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bearer_token_is_taken() {
        let cases: &[(&[&str], Option<&str>)] = &[
            (&["Bearer a.b.c"], Some("a.b.c")),
            (&["bearer  a.b.c "], Some("a.b.c")),
            (&["Bearer"], None),
            (&["Bearer "], None),
            (&["Basic YTpi"], None),
            (&["a.b.c"], None),
            (&["Bearer a.b.c", "Bearer a.b.c"], None),
            (&[], None),
        ];
        for (values, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in *values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(bearer(&headers), *expected, "{values:?}");
        }
    }
}

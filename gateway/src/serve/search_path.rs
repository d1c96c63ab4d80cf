//! Learns what a session is at its start: what its search path comes to, which schemas on it could still appear, and that it wears its
//! badge. One round trip.
//!
//! The server looks a path's schemas up at every statement, analysis once: a schema that is on the path and comes into
//! being later changes what names mean (security.md, class 10). The judge looks again then.

use crate::{
    badge::Badge,
    catalog::Keeper,
    judgement::SearchPath,
    look::{PATH_QUESTION, PathAnswer},
    upstream::{self, Server, one_text},
};

/// Learns it from the session's own server connection.
///
/// # Errors
/// [`upstream::Error`]; [`upstream::Error::Unworn`] where the session is in another role, or says something else of its principal, than it was started with.
pub(super) async fn learn(
    server: &mut Server,
    keeper: &Keeper,
    badge: &Badge,
) -> Result<(SearchPath, Badge), upstream::Error> {
    let json = one_text(server, PATH_QUESTION).await?.unwrap_or_default();
    server.check()?;
    let answer = PathAnswer::from_json(&json).ok_or(upstream::Error::Protocol {
        what: "a search path that can't be read",
    })?;
    let badge = badge
        .clone()
        .worn(&answer)
        .map_err(|name| upstream::Error::Unworn { name })?;
    let catalog = keeper.current().catalog;
    Ok((answer.search_path(|name| catalog.has_schema(name)), badge))
}

//! Learns what a session's search path comes to at its start, and which schemas on it could still appear.
//!
//! The server looks a path's schemas up at every statement, analysis once: a schema that is on the path and comes into
//! being later changes what names mean (security.md, class 10). The judge looks again then.

use crate::{
    catalog::Keeper,
    judgement::SearchPath,
    look::{PATH_QUESTION, PathAnswer},
    upstream::{self, Server, one_text},
};

/// Learns it from the session's own server connection.
pub(super) async fn learn(
    server: &mut Server,
    keeper: &Keeper,
) -> Result<SearchPath, upstream::Error> {
    let json = one_text(server, PATH_QUESTION).await?.unwrap_or_default();
    let answer = PathAnswer::from_json(&json).ok_or(upstream::Error::Protocol {
        what: "a search path that can't be read",
    })?;
    let catalog = keeper.current().catalog;
    Ok(answer.search_path(|name| catalog.has_schema(name)))
}

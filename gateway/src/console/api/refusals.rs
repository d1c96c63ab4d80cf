//! Answers that everything which rests on the evidence has in common, as the document tells them.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses, ToSchema as _,
    openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder},
};

use crate::console::{Problem, problem::MEDIA_TYPE};

/// Nobody who may look at it, or not now.
pub(super) struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        BTreeMap::from([
            problem(401, "No token, or one that is not accepted."),
            problem(429, "You look at the evidence already."),
            problem(503, "It takes too long, or the evidence can't be read."),
        ])
    }
}

/// The same, where a query says what is wanted.
pub(super) struct QueryRefusals;

impl IntoResponses for QueryRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut responses = Refusals::responses();
        responses.extend([problem(400, "The query can't be read.")]);
        responses
    }
}

fn problem(status: u16, description: &str) -> (String, RefOr<Response>) {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(Problem::name())))
        .build();
    let response = ResponseBuilder::new()
        .description(description)
        .content(MEDIA_TYPE, content)
        .build();
    (status.to_string(), response.into())
}

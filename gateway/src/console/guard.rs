//! What holds for each request and each answer: a bounded time, no pages of others, strict headers.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio::time::timeout;

use super::{Problem, Room, slack};

/// The longest body, in bytes; a longer one is refused with 413. A reason has at most 2,000, written as escapes six times that.
pub(super) const BODY_BYTES_MAX: usize = 16 * 1024;

/// What every answer says. Answers are for nobody's cache and nobody's frame, and load nothing.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];
/// What answers say beside it where people reach us by HTTPS: not to come otherwise for a year.
const ONLY_TLS: &str = "max-age=31536000";

/// Goes around every route.
pub(super) async fn guard(State(room): State<Arc<Room>>, request: Request, next: Next) -> Response {
    let body_bytes_max = match request.uri().path() {
        slack::PATH => slack::BODY_BYTES_MAX,
        _ => BODY_BYTES_MAX,
    };
    let objection = objection(request.headers(), &room.origin, body_bytes_max);
    let mut response = if let Some(problem) = objection {
        problem.into_response()
    } else {
        match timeout(room.request_time, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "the request took too long: send it again, all at once",
            )
            .into_response(),
        }
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    if room.origin.starts_with("https://") {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static(ONLY_TLS),
        );
    }
    response
}

/// What is wrong with a request whatever it asks for.
fn objection(headers: &HeaderMap, own: &str, body_bytes_max: usize) -> Option<Problem> {
    // A browser says which page asks; programs say nothing of the kind.
    let mut origins = headers.get_all(header::ORIGIN).iter();
    if origins.any(|origin| origin.as_bytes() != own.as_bytes()) {
        return Some(Problem::new(
            StatusCode::FORBIDDEN,
            format!("pages of other origins may not ask here: this is `{own}`"),
        ));
    }
    // A body whose length is told is refused before it comes; one that comes in pieces, once it is longer.
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length
        .is_some_and(|length| length > body_bytes_max as u64)
        .then(|| Problem::larger_than(body_bytes_max))
}

//! Refusals, in the form of RFC 9457 (problem details).

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::guard::BODY_BYTES_MAX;
use crate::approvals::{DryRunRefused, VoteRefused};

/// The media type of a problem.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was refused (RFC 9457; its `type` is `about:blank`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The status, in words.
    pub title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What is wrong, and what to do. It may quote the request.
    pub detail: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
        }
    }

    /// The body is longer than a body may be.
    pub(super) fn too_large() -> Self {
        Self::larger_than(BODY_BYTES_MAX)
    }

    /// The body is longer than it may be here.
    pub(super) fn larger_than(bytes_max: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body has more than {bytes_max} bytes"),
        )
    }

    /// There is no such thing, or it is not for the caller's eyes: both look alike.
    pub(super) fn unknown() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "there is no such approval, it ended more than an hour ago, or it is not for you to see",
        )
    }
}

impl From<VoteRefused> for Problem {
    fn from(refused: VoteRefused) -> Self {
        let status = match &refused {
            VoteRefused::Unknown => return Self::unknown(),
            VoteRefused::Over(_) | VoteRefused::Before(_) => StatusCode::CONFLICT,
            VoteRefused::Objection(_) | VoteRefused::NoPerson => StatusCode::FORBIDDEN,
            VoteRefused::Reason => StatusCode::UNPROCESSABLE_ENTITY,
            VoteRefused::Failed(error) => {
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    "a vote could not be kept"
                );
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Self::new(status, refused.to_string())
    }
}

impl From<DryRunRefused> for Problem {
    fn from(refused: DryRunRefused) -> Self {
        let status = match refused {
            DryRunRefused::Person(refused) => return refused.into(),
            DryRunRefused::Elsewhere(_) | DryRunRefused::NobodyWaits => StatusCode::CONFLICT,
            DryRunRefused::Late => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, refused.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let media_type = (header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        // Three plain members: they always have a form in JSON.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, [media_type], body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"provost\""),
            );
        }
        response
    }
}

//! Refusals of whole texts and sessions, in words.

use provost_engine::sql::{Refusal, Statement};

use super::{OUTPUTS_MAX, STATEMENTS_MAX};
use crate::judge::Fatal;

/// What a session whose token expired is told (ruling 18).
pub(crate) fn expired() -> Fatal {
    Fatal {
        sqlstate: "28000",
        message: "the token of this session expired: get a fresh token and connect again"
            .to_owned(),
    }
}

pub(super) fn limit(message: String, hint: &str) -> Refusal {
    Refusal {
        sqlstate: "54000",
        message,
        detail: None,
        hint: Some(hint.to_owned()),
        position: None,
        unknown_name: false,
        lacking: Box::default(),
    }
}

pub(super) fn too_many() -> Refusal {
    limit(
        format!("the query string holds more than {STATEMENTS_MAX} statements"),
        "send fewer statements in one string",
    )
}

pub(super) fn is_too_wide(statement: &Statement) -> bool {
    statement
        .facts
        .outputs
        .as_ref()
        .is_some_and(|outputs| outputs.len() > OUTPUTS_MAX)
}

/// In PostgreSQL's own words.
pub(super) fn too_wide() -> Refusal {
    Refusal {
        sqlstate: "54011",
        message: format!("target lists can have at most {OUTPUTS_MAX} entries"),
        detail: None,
        hint: None,
        position: None,
        unknown_name: false,
        lacking: Box::default(),
    }
}

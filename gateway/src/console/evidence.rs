//! Asking the evidence for a page: several questions in one look, values bound, errors as pages say them.
//!
//! It must never put what somebody wrote into the text of a query.

use std::time::SystemTime;

use axum::http::StatusCode;
use provost_evidence::{
    Value,
    archive::{Sight, Unseen},
    record::Micros,
    report::table::Table,
};

use super::{frame::Span, session::Session};
use crate::{
    console::{Problem, Room, form, role::Role},
    record::micros,
};

/// The values of a question.
pub(super) type Values = Vec<(&'static str, Value)>;

/// What is asked: a text of ours, and the values that it names.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) sql: String,
    pub(super) values: Values,
}

impl Question {
    pub(super) fn new(sql: impl Into<String>, values: Values) -> Self {
        Self {
            sql: sql.into(),
            values,
        }
    }
}

/// Asks; the answers in the questions' order.
pub(super) async fn ask<const N: usize>(
    room: &Room,
    session: &Session,
    questions: [Question; N],
) -> Result<[Table; N], Problem> {
    look(room, session, move |sight| async move {
        let mut answers = [const { None }; N];
        for (answer, question) in answers.iter_mut().zip(&questions) {
            let asked = sight.tables.ask_with(&question.sql, &question.values);
            *answer = Some(Table::of(&asked.await?)?);
        }
        Ok(answers.map(Option::unwrap_or_default))
    })
    .await
}

/// Lets somebody look.
pub(super) async fn look<T, F>(
    room: &Room,
    session: &Session,
    work: impl FnOnce(Sight) -> F + Send + 'static,
) -> Result<T, Problem>
where
    F: Future<Output = Result<T, provost_evidence::Error>> + Send + 'static,
    T: Send + 'static,
{
    let archive = &room.sources.furnishing.archive;
    let looked = archive.look(&session.principal.id, work).await;
    looked.map_err(|unseen| {
        let status = match &unseen {
            Unseen::Busy => StatusCode::TOO_MANY_REQUESTS,
            Unseen::Late => StatusCode::SERVICE_UNAVAILABLE,
            Unseen::Failed(error) => {
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    "the console could not read the evidence"
                );
                return Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the evidence can't be read: the gateway's log says why",
                );
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Problem::new(status, unseen.to_string())
    })
}

/// ` AND ...` that leaves somebody without a role their own rows, and its value.
pub(super) fn own(session: &Session) -> (&'static str, Values) {
    if session.role >= Role::Viewer {
        return ("", Vec::new());
    }
    let me = Value::Text(session.principal.id.to_string());
    (
        " AND (principal = $me OR on_behalf_of = $me)",
        vec![("me", me)],
    )
}

/// Now, in microseconds.
pub(super) fn now() -> i64 {
    micros(SystemTime::now()).0
}

/// The value `from` of a span that ends now.
pub(super) fn from(span: Span) -> (&'static str, Value) {
    ("from", Value::Time(Micros(span.before(now()))))
}

/// The span of a query that has nothing else.
pub(super) fn span_of(query: Option<&str>) -> Result<Span, Problem> {
    let [name] = form::values(query.unwrap_or_default().as_bytes(), ["span"])?;
    span(&name)
}

/// The span of this name.
pub(super) fn span(name: &str) -> Result<Span, Problem> {
    Span::parse(name).ok_or_else(|| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "`span` is hour, day, week, month or all",
        )
    })
}

/// Rows of statements that no later row ends.
pub(super) const COUNTED: &str = "(SELECT * FROM statements WHERE outcome <> 'open' UNION ALL \
    SELECT * FROM statements AS opened WHERE outcome = 'open' AND NOT EXISTS (\
    SELECT 1 FROM statements AS ending WHERE ending.gateway = opened.gateway AND ending.ends_log_index = opened.log_index)) AS counted";

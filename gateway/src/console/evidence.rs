//! Asking the evidence: several questions in one look, values bound, errors as pages and the API say them.
//!
//! It must never put what somebody wrote into the text of a query.

use std::time::SystemTime;

use axum::http::StatusCode;
use provost_evidence::{
    Answer, Format, Value,
    archive::{Sight, Unseen},
    record::Micros,
    report::table::Table,
};
use serde::de::DeserializeOwned;

use super::{
    Problem, Room,
    role::{Onlooker, Role},
    span::Span,
};
use crate::record::micros;

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
    onlooker: Onlooker<'_>,
    questions: [Question; N],
) -> Result<[Table; N], Problem> {
    answers(room, onlooker, questions, Table::of).await
}

/// Asks; the answers as lines of JSON, an object for each row, in the questions' order.
pub(super) async fn lines<const N: usize>(
    room: &Room,
    onlooker: Onlooker<'_>,
    questions: [Question; N],
) -> Result<[String; N], Problem> {
    let lines = |answer: &Answer| answer.render(Format::JsonLines);
    answers(room, onlooker, questions, lines).await
}

/// What lines of JSON say. NULL has no member.
pub(super) fn rows<T: DeserializeOwned>(lines: &str) -> Result<Vec<T>, Problem> {
    let rows = lines.lines().map(serde_json::from_str);
    rows.collect::<Result<_, _>>().map_err(|error| {
        tracing::error!(%error, "rows of evidence are not as the API has them: this is a defect");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the evidence is not as it was expected: tell the gateway's operator",
        )
    })
}

async fn answers<T, const N: usize>(
    room: &Room,
    onlooker: Onlooker<'_>,
    questions: [Question; N],
    form: impl Fn(&Answer) -> Result<T, provost_evidence::Error> + Send + Sync + 'static,
) -> Result<[T; N], Problem>
where
    T: Default + Send + 'static,
{
    look(room, onlooker, move |sight| async move {
        let mut answers = [const { None }; N];
        for (answer, question) in answers.iter_mut().zip(&questions) {
            let asked = sight.tables.ask_with(&question.sql, &question.values);
            *answer = Some(form(&asked.await?)?);
        }
        Ok(answers.map(Option::unwrap_or_default))
    })
    .await
}

/// Lets somebody look.
pub(super) async fn look<T, F>(
    room: &Room,
    onlooker: Onlooker<'_>,
    work: impl FnOnce(Sight) -> F + Send + 'static,
) -> Result<T, Problem>
where
    F: Future<Output = Result<T, provost_evidence::Error>> + Send + 'static,
    T: Send + 'static,
{
    let archive = &room.sources.furnishing.archive;
    let looked = archive.look(onlooker.id, work).await;
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
pub(super) fn own(onlooker: Onlooker<'_>) -> (&'static str, Values) {
    if onlooker.role >= Role::Viewer {
        return ("", Vec::new());
    }
    let me = Value::Text(onlooker.id.to_owned());
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

/// Rows of statements that no later row ends.
pub(super) const COUNTED: &str = "(SELECT * FROM statements WHERE outcome <> 'open' UNION ALL \
    SELECT * FROM statements AS opened WHERE outcome = 'open' AND NOT EXISTS (\
    SELECT 1 FROM statements AS ending WHERE ending.gateway = opened.gateway AND ending.ends_log_index = opened.log_index)) AS counted";

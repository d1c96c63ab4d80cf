//! How far back somebody looks. Pure; it must never take a name that it does not know for a span.

use axum::http::StatusCode;
use utoipa::ToSchema;

use super::{Problem, form};

/// How far back somebody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ToSchema)]
#[schema(rename_all = "kebab-case")]
pub(super) enum Span {
    Hour,
    #[default]
    Day,
    Week,
    Month,
    All,
}

impl Span {
    pub(super) const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::All];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::All => "all",
        }
    }

    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Hour => "the last hour",
            Self::Day => "the last day",
            Self::Week => "the last 7 days",
            Self::Month => "the last 30 days",
            Self::All => "all there is",
        }
    }

    /// The span of this name; the default for none, `None` for another.
    pub(super) fn parse(name: &str) -> Option<Self> {
        if name.is_empty() {
            return Some(Self::default());
        }
        Self::ALL.into_iter().find(|span| span.name() == name)
    }

    /// Where it begins if it ends then, in microseconds.
    pub(super) fn before(self, end: i64) -> i64 {
        let hours: i64 = match self {
            Self::Hour => 1,
            Self::Day => 24,
            Self::Week => 7 * 24,
            Self::Month => 30 * 24,
            Self::All => return 0,
        };
        end.saturating_sub(hours * 3_600_000_000).max(0)
    }

    /// The span that a query of this one name asks for.
    ///
    /// # Errors
    /// 400 for another name, and for a value that is no span.
    pub(super) fn of(query: Option<&str>) -> Result<Self, Problem> {
        let [name] = form::values(query.unwrap_or_default().as_bytes(), ["span"])?;
        Self::named(&name)
    }

    /// The span of this name; the default for none.
    ///
    /// # Errors
    /// 400 for another.
    pub(super) fn named(name: &str) -> Result<Self, Problem> {
        Self::parse(name).ok_or_else(|| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "`span` is hour, day, week, month or all",
            )
        })
    }
}

//! The SQL files below `policies/controls/sql`, which run unchanged in DataFusion and DuckDB over tables that are named as the datasets.
//! It must never put anything but a period into them.

use crate::record::Micros;

/// How a file says "from the first record on"; a report has its period's begin instead.
const BEGIN: &str = "TIMESTAMPTZ '1970-01-01 00:00:00+00'";
/// How a file says "to the last record".
const END: &str = "TIMESTAMPTZ '2200-01-01 00:00:00+00'";
/// The last microsecond before `END`.
const MICROS_MAX: i64 = 7_258_118_400_000_000;

/// From a time on, up to and without another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    begins: Micros,
    ends: Micros,
}

impl Period {
    /// All that there is.
    pub const ALL: Self = Self {
        begins: Micros(0),
        ends: Micros(MICROS_MAX),
    };

    /// From `begins` up to and without `ends`; `None` when it would be empty, before 1970 or after 2199.
    #[must_use]
    pub fn new(begins: Micros, ends: Micros) -> Option<Self> {
        let is_fit = Self::ALL.begins <= begins && begins < ends && ends <= Self::ALL.ends;
        is_fit.then_some(Self { begins, ends })
    }

    /// Its first instant, RFC 3339.
    #[must_use]
    pub fn begin(&self) -> String {
        rfc3339(self.begins)
    }

    /// The instant after its last, RFC 3339.
    #[must_use]
    pub fn end(&self) -> String {
        rfc3339(self.ends)
    }
}

/// A time of a period in RFC 3339, in microseconds only where they are not zero.
fn rfc3339(time: Micros) -> String {
    // A period is within 1970 and 2200: each of its instants can be told.
    jiff::Timestamp::from_microsecond(time.0).map_or_else(|_| String::new(), |at| at.to_string())
}

/// A SQL file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// The file's name without its ending.
    pub name: &'static str,
    /// Its text, over all times.
    pub sql: &'static str,
}

impl Query {
    /// Its text over a period: what a report runs and shows.
    #[must_use]
    pub fn within(&self, period: Period) -> String {
        let at = |time: Micros| format!("TIMESTAMPTZ '{}'", rfc3339(time));
        self.sql
            .replace(BEGIN, &at(period.begins))
            .replace(END, &at(period.ends))
    }

    /// What the comment at its top says, a line each.
    pub fn says(&self) -> impl Iterator<Item = &'static str> {
        self.sql.lines().map_while(|line| line.strip_prefix("-- "))
    }
}

/// Declares the files of a folder.
macro_rules! files {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        &[$(Query {
            name: $name,
            sql: include_str!(concat!("../../../policies/controls/sql/", $folder, "/", $name, ".sql")),
        }),+]
    };
}

/// Measures: one row with `evidence` and `exceptions`, two integers.
pub const MEASURES: &[Query] = files!("measures":
    "agent-activity", "approvals", "decision-basis", "decisions", "encrypted-sessions", "ended-sessions", "glass", "holds", "identities", "ledger", "limits",
    "logins", "maskings", "observed-rules", "outages", "parameters", "policy-changes", "privileged-refusals", "privileged-use", "probes",
    "record-content", "record-detail", "recorded-results", "refused-logins", "refusals", "schema-changes", "security-events", "starts",
    "times",
);

/// Tables that a report shows, in its order.
pub const TABLES: &[Query] = files!("tables":
    "days", "exceptions", "refusals", "who-saw-what", "clear-reads", "privileged-use", "holds", "approvals", "votes", "outages", "changes", "principals",
    "rules", "controls",
);

/// What there is in a period, by gateway.
pub const POPULATION: Query = Query {
    name: "population",
    sql: include_str!("../../../policies/controls/sql/tables/population.sql"),
};

/// The rows that a sample is drawn from.
pub const FRAME: Query = Query {
    name: "frame",
    sql: include_str!("../../../policies/controls/sql/tables/frame.sql"),
};

/// Statements with their session, for OCSF.
pub const EVENTS: Query = Query {
    name: "events",
    sql: include_str!("../../../policies/controls/sql/tables/events.sql"),
};

/// The measure of that name.
#[must_use]
pub fn measure(name: &str) -> Option<&'static Query> {
    MEASURES.iter().find(|query| query.name == name)
}

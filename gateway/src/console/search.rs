//! Searching what was decided: what a query asks for, as a question to the evidence; and one statement with what was masked in it.
//!
//! It must never put what somebody searches for into the text of a question.

use axum::http::StatusCode;
use provost_evidence::{Value, record::Micros};

use super::{
    Problem,
    evidence::{self, COUNTED, Question, Values},
    form,
    role::Onlooker,
    span::Span,
};

/// Statements of a page.
pub(super) const ROWS: usize = 50;
/// The last page; who looks further narrows the search.
pub(super) const PAGE_MAX: usize = 199;
/// The latest end of a period, in microseconds since 1970: the beginning of 2100.
const UNTIL_MAX: i64 = 4_102_444_800_000_000;
/// The longest word that is searched for, in characters.
const WORD_CHARS_MAX: usize = 1_000;

/// What is searched for, each with what it says in SQL.
pub(super) const WORDS: [(&str, &str, &str); 8] = [
    (
        "principal",
        "Principal",
        "(principal = $principal OR on_behalf_of = $principal)",
    ),
    ("table", "Table", "array_has(relations, $table)"),
    (
        "class",
        "Class",
        "statement_id IN (SELECT statement_id FROM maskings WHERE class = $class)",
    ),
    ("verdict", "Verdict", "verdict = $verdict"),
    ("rule", "Rule", "array_has(rules, $rule)"),
    ("control", "Control", "array_has(controls, $control)"),
    ("text", "Text", "strpos(lower(sql), lower($text)) > 0"),
    ("outcome", "Outcome", "outcome = $outcome"),
];
/// A search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Search {
    pub(super) words: [String; 8],
    pub(super) span: Span,
    /// The end of its period, so that its pages stay what they are.
    pub(super) until: Option<i64>,
    pub(super) page: usize,
}

impl Search {
    pub(super) fn parse(query: &str) -> Result<Self, Problem> {
        let wrong = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, detail);
        let [w0, w1, w2, w3, w4, w5, w6, w7, span, until, page] = form::values(
            query.as_bytes(),
            [
                "principal",
                "table",
                "class",
                "verdict",
                "rule",
                "control",
                "text",
                "outcome",
                "span",
                "until",
                "page",
            ],
        )?;
        let words = [w0, w1, w2, w3, w4, w5, w6, w7].map(|word| word.trim().to_owned());
        let is_long = |word: &String| word.chars().count() > WORD_CHARS_MAX;
        if words.iter().any(is_long) {
            return Err(wrong("a word of a search has at most 1,000 characters"));
        }
        let until = match until.as_str() {
            "" => None,
            text => {
                let until = text.parse().ok();
                let until = until.filter(|until| (0..=UNTIL_MAX).contains(until));
                Some(
                    until
                        .ok_or_else(|| wrong("`until` is microseconds since 1970, before 2100"))?,
                )
            }
        };
        let page = match page.as_str() {
            "" => 0,
            text => text
                .parse()
                .ok()
                .filter(|page| *page <= PAGE_MAX)
                .ok_or_else(|| wrong("`page` is 0 to 199: narrow the search"))?,
        };
        Ok(Self {
            words,
            span: Span::named(&span)?,
            until,
            page,
        })
    }

    pub(super) fn given(
        &self,
    ) -> impl Iterator<Item = (&'static (&'static str, &'static str, &'static str), &String)> {
        WORDS
            .iter()
            .zip(&self.words)
            .filter(|(_, word)| !word.is_empty())
    }

    /// The question; one row more than a page has, which tells whether there is another page.
    /// `columns` is text of ours.
    pub(super) fn question(
        &self,
        columns: &str,
        (own, mut values): (&str, Values),
        until: i64,
    ) -> Question {
        let mut sql = format!(
            "SELECT {columns} FROM {COUNTED} WHERE decided_at >= $from AND decided_at <= $until{own}"
        );
        for ((name, _, clause), word) in self.given() {
            sql.push_str(" AND ");
            sql.push_str(clause);
            values.push((name, Value::Text(word.clone())));
        }
        let skipped = self.page * ROWS;
        sql.push_str(&format!(
            " ORDER BY decided_at DESC, statement_id LIMIT {} OFFSET {skipped}",
            ROWS + 1
        ));
        values.push(("from", Value::Time(Micros(self.span.before(until)))));
        values.push(("until", Value::Time(Micros(until))));
        Question::new(sql, values)
    }
}

/// What asks for a statement and its masked columns, of those that are for the onlooker's eyes. `columns` and `masked` are texts of ours.
pub(super) fn one(
    onlooker: Onlooker<'_>,
    id: String,
    (columns, masked): (&str, &str),
) -> [Question; 2] {
    let (own, mut values) = evidence::own(onlooker);
    values.push(("id", Value::Text(id)));
    let theirs = if own.is_empty() {
        ""
    } else {
        " AND statement_id IN (SELECT statement_id FROM statements WHERE principal = $me OR on_behalf_of = $me)"
    };
    let statement = format!(
        "SELECT {columns} FROM statements WHERE statement_id = $id{own} ORDER BY log_index LIMIT 2"
    );
    let masked = format!(
        "SELECT {masked} FROM maskings WHERE statement_id = $id{theirs} ORDER BY output_index LIMIT 1000"
    );
    [
        Question::new(statement, values.clone()),
        Question::new(masked, values),
    ]
}

pub(super) fn unknown() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "there is no such statement, or it is not for you to see",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_values_and_never_sql() {
        let search =
            Search::parse("text=%27+OR+1%3D1&table=public.orders&span=week&page=2").unwrap();
        let question = search.question(
            "sql",
            (
                " AND (principal = $me OR on_behalf_of = $me)",
                vec![("me", Value::Text("ana".to_owned()))],
            ),
            1_000_000_000_000_000,
        );
        assert!(!question.sql.contains("OR 1=1"), "{}", question.sql);
        assert!(question.sql.contains("$me") && question.sql.ends_with("LIMIT 51 OFFSET 100"));
        let names: Vec<&str> = question.values.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["me", "table", "text", "from", "until"]);
    }

    #[test]
    fn searches_are_read_strictly() {
        for wrong in [
            "x=1",
            "span=year",
            "page=-1",
            "page=200",
            "until=x",
            "until=-1",
            "until=4102444800000001",
            "text=a&text=b",
        ] {
            assert!(Search::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Search::parse(&format!("text={}", "a".repeat(1_001))).is_err());
        assert_eq!(Search::parse("").unwrap(), Search::default());
    }
}

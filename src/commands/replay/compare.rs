//! A recorded result and what came of the statement now. Pure. Must never call alike what was not compared.

use provost_evidence::replay::{Answer, Row, StatementMoment};
use provost_gateway::upstream::sandbox::Ran;

use super::told::plain;

/// Times as long, or as short, that are pointed out.
const RATIO_NOTABLE: f64 = 10.0;
/// Bytes of a value that are shown.
const VALUE_BYTES_MAX: usize = 80;

/// How rows compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The same.
    Same,
    /// The same rows, in another order.
    OtherOrder,
    /// Something differs; in words.
    Differs(String),
    /// It could not be compared; in words.
    NotCompared(String),
}

impl Outcome {
    /// The word for it in JSON.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::OtherOrder => "other-order",
            Self::Differs(_) => "differs",
            Self::NotCompared(_) => "not-compared",
        }
    }
}

/// Compares what is recorded of a statement that ran with what came of it now; `answer` is its recorded result, where it has one.
pub(super) fn compare(statement: &StatementMoment, answer: Option<&Answer>, now: &Ran) -> Outcome {
    let sqlstate = now.failure.as_ref().map(|(sqlstate, _)| sqlstate.as_str());
    if now.wants_data {
        return Outcome::NotCompared("what its client sent is not recorded".to_owned());
    }
    let then = match statement.outcome.as_str() {
        "failed" => Some(statement.sqlstate.as_deref().unwrap_or("unknown")),
        _ => None,
    };
    if then != sqlstate {
        let words = |sqlstate: Option<&str>| sqlstate.map_or("no error".to_owned(), plain);
        let message = now.failure.as_ref().map(|(_, message)| plain(message));
        let message = message.map_or_else(String::new, |message| format!(" ({message})"));
        return Outcome::Differs(format!(
            "error differs: {} recorded, {} now{message}",
            words(then),
            words(sqlstate)
        ));
    }
    match answer {
        // An error's rows before it depend on when it came.
        _ if then.is_some() => Outcome::Same,
        Some(answer) => rows(statement, answer, now),
        None => match statement.rows {
            Some(rows) if rows != now.affected => counts(rows, now.affected),
            _ if now.rows_count > 0 => {
                Outcome::NotCompared("its result is not recorded".to_owned())
            }
            _ => Outcome::Same,
        },
    }
}

fn counts(then: u64, now: u64) -> Outcome {
    Outcome::Differs(format!("rows differ: {then} recorded, {now} now"))
}

fn rows(statement: &StatementMoment, answer: &Answer, now: &Ran) -> Outcome {
    let then_count = u64::try_from(answer.rows.len()).unwrap_or(u64::MAX);
    if then_count != now.rows_count {
        return counts(then_count, now.rows_count);
    }
    if now.is_too_large {
        return Outcome::NotCompared("its result is too large to be compared".to_owned());
    }
    if answer.is_copy && !statement.masked.is_empty() {
        return match then_count {
            0 => Outcome::Same,
            _ => Outcome::NotCompared("a masked COPY: only its rows were counted".to_owned()),
        };
    }
    if !answer.is_copy && answer.described.is_none() && then_count > 0 {
        return Outcome::NotCompared("its columns' formats are not recorded".to_owned());
    }
    let is_masked = |place: usize| {
        let mut masked = statement.masked.iter();
        masked.any(|column| usize::try_from(column.output_index) == Ok(place))
    };
    let then: Vec<_> = answer
        .rows
        .iter()
        .map(|row| shown(row, &is_masked))
        .collect();
    let today: Vec<_> = now.rows.iter().map(|row| shown(row, &is_masked)).collect();
    let Some((number, (before, after))) = then
        .iter()
        .zip(&today)
        .enumerate()
        .find(|(_, (before, after))| before != after)
    else {
        return Outcome::Same;
    };
    if sorted(&then) == sorted(&today) {
        return Outcome::OtherOrder;
    }
    Outcome::Differs(format!(
        "rows differ: {then_count} recorded, {} now; first in row {}: {}",
        now.rows_count,
        number + 1,
        cell(answer, (before, after))
    ))
}

fn sorted<'a>(rows: &[Vec<Cell<'a>>]) -> Vec<Vec<Cell<'a>>> {
    let mut rows = rows.to_vec();
    rows.sort_unstable();
    rows
}

/// A column's number and its value.
type Cell<'a> = (usize, Option<&'a [u8]>);

/// A row's values that no mask changed.
fn shown<'a>(row: &'a Row, is_masked: &impl Fn(usize) -> bool) -> Vec<Cell<'a>> {
    row.iter()
        .enumerate()
        .filter(|(place, _)| !is_masked(*place))
        .map(|(place, value)| (place, value.as_deref()))
        .collect()
}

/// The first value of two rows that differs, in words.
fn cell(answer: &Answer, (before, after): (&[Cell<'_>], &[Cell<'_>])) -> String {
    let pair = before.iter().zip(after).find(|(one, other)| one != other);
    let Some(((place, then), (_, now))) = pair else {
        return format!("{} columns recorded, {} now", before.len(), after.len());
    };
    let described = answer.described.as_ref().and_then(|all| all.get(*place));
    let name = described.map_or_else(
        || format!("column {}", place + 1),
        |column| format!("column {}", plain(&column.name)),
    );
    format!("{name} was {}, is {}", value(*then), value(*now))
}

/// A value as it is shown: text with what a terminal could obey escaped, other bytes in hex.
fn value(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else {
        return "NULL".to_owned();
    };
    let start = bytes.get(..VALUE_BYTES_MAX).unwrap_or(bytes);
    let more = if start.len() < bytes.len() {
        " ..."
    } else {
        ""
    };
    match std::str::from_utf8(start) {
        Ok(text) if !text.contains('\0') => format!("'{}'{more}", plain(text)),
        _ => {
            let hex: String = start.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("\\x{hex}{more}")
        }
    }
}

/// Both times in words, and whether one is so much longer that it is pointed out.
pub(super) fn timing(then_us: Option<u64>, now: std::time::Duration) -> (String, bool) {
    let now_ms = now.as_secs_f64() * 1e3;
    let Some(then_us) = then_us else {
        return (format!("{now_ms:.3} ms now"), false);
    };
    let then_ms = then_us as f64 / 1e3;
    let ratio = now_ms.max(0.001) / then_ms.max(0.001);
    let words = format!("{then_ms:.3} ms recorded, {now_ms:.3} ms now");
    if ratio > RATIO_NOTABLE {
        (format!("{words}: {ratio:.0} times as long"), true)
    } else if ratio < RATIO_NOTABLE.recip() {
        (format!("{words}: {:.0} times as fast", ratio.recip()), true)
    } else {
        (words, false)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use provost_evidence::{replay::MaskedColumn, results::Described};

    use super::*;

    fn rows_of(rows: &[&[&str]]) -> Vec<Row> {
        let row = |row: &&[&str]| {
            let value = |value: &&str| Some(value.as_bytes().to_vec());
            row.iter().map(value).collect()
        };
        rows.iter().map(row).collect()
    }

    fn answer(rows: &[&[&str]]) -> Answer {
        let column = |name: &str| Described {
            name: name.to_owned(),
            type_oid: 25,
            format: 0,
        };
        Answer {
            described: Some(vec![column("id"), column("ssn")]),
            rows: rows_of(rows),
            is_copy: false,
        }
    }

    fn now(rows: &[&[&str]]) -> Ran {
        Ran {
            rows: rows_of(rows),
            rows_count: rows.len() as u64,
            ..Ran::default()
        }
    }

    fn completed() -> StatementMoment {
        StatementMoment {
            outcome: "completed".to_owned(),
            ..StatementMoment::default()
        }
    }

    #[test]
    fn rows_are_compared_by_value_whatever_their_order_and_masked_ones_left_out() {
        let plain = completed();
        let masked = StatementMoment {
            masked: vec![MaskedColumn {
                gateway: String::new(),
                statement_log_index: 0,
                output_index: 1,
                output_column: "ssn".to_owned(),
                class: "pii".to_owned(),
                transform: "last 4".to_owned(),
                rule: "mask".to_owned(),
                values_masked: None,
            }],
            ..completed()
        };
        let check = |statement: &StatementMoment, then: &[&[&str]], today: &[&[&str]], expected| {
            let outcome = compare(statement, Some(&answer(then)), &now(today));
            assert_eq!(outcome, expected);
        };
        let differs = |words: &str| Outcome::Differs(words.to_owned());
        let two: &[&[&str]] = &[&["1", "a"], &["2", "b"]];
        check(&plain, two, two, Outcome::Same);
        check(
            &plain,
            two,
            &[&["2", "b"], &["1", "a"]],
            Outcome::OtherOrder,
        );
        let other: &[&[&str]] = &[&["1", "a"], &["2", "\u{1b}"]];
        let words =
            "rows differ: 2 recorded, 2 now; first in row 2: column ssn was 'b', is '\\u{1b}'";
        check(&plain, two, other, differs(words));
        check(&masked, two, other, Outcome::Same);
        let twice: &[&[&str]] = &[&["1", "a"], &["1", "a"]];
        assert_eq!(
            compare(&plain, Some(&answer(twice)), &now(two)).name(),
            "differs"
        );
        check(&plain, two, &[], differs("rows differ: 2 recorded, 0 now"));
    }

    #[test]
    fn an_error_is_the_same_by_its_sqlstate() {
        let failed = |sqlstate: &str| StatementMoment {
            outcome: "failed".to_owned(),
            sqlstate: Some(sqlstate.to_owned()),
            ..StatementMoment::default()
        };
        let today = Ran {
            failure: Some(("22012".to_owned(), "division".to_owned())),
            ..Ran::default()
        };
        assert_eq!(compare(&failed("22012"), None, &today), Outcome::Same);
        let words = "error differs: no error recorded, 22012 now (division)";
        let differs = |words: &str| Outcome::Differs(words.to_owned());
        assert_eq!(compare(&completed(), None, &today), differs(words));
        let words = "error differs: 22012 recorded, no error now";
        assert_eq!(
            compare(&failed("22012"), None, &Ran::default()),
            differs(words)
        );
    }

    #[test]
    fn what_was_not_compared_is_not_the_same() {
        let mut undescribed = answer(&[&["1"]]);
        undescribed.described = None;
        let outcome = compare(&completed(), Some(&undescribed), &now(&[&["1"]]));
        assert_eq!(outcome.name(), "not-compared");
        let outcome = compare(&completed(), None, &now(&[&["1"]]));
        assert_eq!(outcome.name(), "not-compared");
        let wants = Ran {
            wants_data: true,
            ..Ran::default()
        };
        assert_eq!(compare(&completed(), None, &wants).name(), "not-compared");
    }

    #[test]
    fn a_time_is_pointed_out_beyond_ten_times() {
        let check = |then, now, expected| {
            assert_eq!(timing(then, Duration::from_micros(now)).1, expected);
        };
        check(Some(1_000), 9_900, false);
        check(Some(1_000), 10_100, true);
        check(Some(11_000), 1_000, true);
        check(None, 1_000, false);
    }
}

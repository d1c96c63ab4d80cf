//! `limit` and `until`: amounts, units, and what may be asked of whom.

use std::{collections::BTreeMap, sync::Arc};

use provost_engine::{
    graph::rule::Hold,
    verdict::{Approval, HeldTransaction, Limits, Recording},
};

use super::{
    Check,
    value::{SIZES, TIMES},
};
use crate::{
    ast::{ApprovalItem, LimitItem, Name, Span},
    vocabulary::{LIMITS, RECORDINGS},
};

/// One limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Limited {
    Rows,
    RowsPerHour,
    Bytes,
    BytesPerHour,
    AffectedRows,
    Time,
}

/// Lowers a list of limits.
pub(super) fn limits(items: &[LimitItem], check: &mut Check<'_, '_>) -> Limits {
    let mut limits = Limits::default();
    for item in items {
        let Some((what, amount)) = one(item, check) else {
            continue;
        };
        let slot = match what {
            Limited::Rows => &mut limits.rows,
            Limited::RowsPerHour => &mut limits.rows_per_hour,
            Limited::Bytes => &mut limits.bytes,
            Limited::BytesPerHour => &mut limits.bytes_per_hour,
            Limited::AffectedRows => &mut limits.affected_rows,
            Limited::Time => &mut limits.time_ms,
        };
        if slot.replace(amount).is_some() {
            let message = format!("two limits on `{}`", item.what.value);
            check.error_with_help(
                &item.span,
                message,
                "limited again",
                "leave one out: the smaller one would hold",
            );
        }
    }
    limits
}

/// Lowers one limit, in the smallest unit.
pub(super) fn one(item: &LimitItem, check: &mut Check<'_, '_>) -> Option<(Limited, u64)> {
    let LimitItem {
        what,
        amount,
        unit,
        per,
        span,
    } = item;
    let per_hour = match per.as_ref().map(|per| (per, &*per.value)) {
        None | Some((_, "statement")) => false,
        Some((_, "hour")) => true,
        Some((per, other)) => {
            check.unknown(
                "span of time",
                &per.span,
                other,
                ["statement", "hour"].into_iter(),
            );
            return None;
        }
    };
    let limited = match (&*what.value, per_hour) {
        ("rows", false) => Limited::Rows,
        ("rows", true) => Limited::RowsPerHour,
        ("bytes", false) => Limited::Bytes,
        ("bytes", true) => Limited::BytesPerHour,
        ("affected rows", false) => Limited::AffectedRows,
        ("time", false) => Limited::Time,
        (known @ ("affected rows" | "time"), true) => {
            check.error_with_help(
                span,
                format!("`{known}` can't be limited per hour"),
                "of one statement only",
                "limits per hour are `rows 100_000 per hour` and `bytes 1 GB per hour`",
            );
            return None;
        }
        (other, _) => {
            let known = LIMITS.iter().map(|limit| limit.name);
            check.unknown("limit", &what.span, other, known);
            return None;
        }
    };
    let measured = match limited {
        Limited::Rows | Limited::RowsPerHour | Limited::AffectedRows => {
            if let Some(unit) = unit {
                check.error_with_help(
                    &unit.span,
                    "rows have no unit",
                    "not expected here",
                    "write `rows 10_000 per statement`",
                );
                return None;
            }
            check.amount(amount, "rows")
        }
        Limited::Bytes | Limited::BytesPerHour => match unit {
            Some(unit) => check.measure(amount, unit, "size", SIZES),
            None => {
                check.error_with_help(
                    span,
                    "a size needs a unit",
                    "bytes, or more?",
                    "write `bytes 5 MB`: units are `B`, `kB`, `MB`, `GB`",
                );
                None
            }
        },
        Limited::Time => match unit {
            Some(unit) => check.measure(amount, unit, "time", TIMES),
            None => {
                check.error_with_help(
                    span,
                    "a time needs a unit",
                    "seconds, or minutes?",
                    "write `time 30 s`: units are `ms`, `s`, `min`, `h`",
                );
                None
            }
        },
    };
    Some((limited, measured?))
}

/// Lowers `until`.
pub(super) fn hold(
    approvals: &[ApprovalItem],
    keep: Option<&Name>,
    check: &mut Check<'_, '_>,
) -> Hold {
    let mut found: BTreeMap<Arc<str>, (Approval, &Span)> = BTreeMap::new();
    for item in approvals {
        let count = approvers(&item.count, check);
        let members = check.group(&item.group).map(|group| group.names.clone());
        let within_ms = check.measure(&item.amount, &item.unit, "time", TIMES);
        let (Some(count), Some(members), Some(within_ms)) = (count, members, within_ms) else {
            continue;
        };
        let group: Arc<str> = Arc::from(&*item.group.value);
        let approval = Approval {
            group: Arc::clone(&group),
            members,
            count,
            within_ms,
        };
        if found.insert(group, (approval, &item.span)).is_some() {
            check.error_with_help(
                &item.span,
                format!("two approvals by `{}`", item.group.value),
                "asked again",
                "ask each group once",
            );
        }
    }
    if let Some(keep) = keep.filter(|keep| keep.value != "transaction") {
        check.unknown(
            "thing to keep",
            &keep.span,
            &keep.value,
            ["transaction"].into_iter(),
        );
    }
    Hold {
        approvals: found.into_values().map(|(approval, _)| approval).collect(),
        transaction: match keep {
            Some(_) => HeldTransaction::Keep,
            None => HeldTransaction::Fail,
        },
    }
}

/// How many people must approve.
fn approvers(number: &Name, check: &mut Check<'_, '_>) -> Option<u16> {
    /// More people than that never approve one statement in time.
    const PROBABLE_MAX: u16 = 20;
    match number.value.parse::<u16>() {
        Ok(count) if count > 0 => {
            if count > PROBABLE_MAX {
                check.warn(
                    &number.span,
                    format!("{count} people must approve"),
                    "that many?",
                    Some("a held statement waits for all of them, or runs out of time"),
                );
            }
            Some(count)
        }
        Ok(_) | Err(_) => {
            check.error_with_help(
                &number.span,
                format!("`{}` is no number of people", number.value),
                "between 1 and 65535",
                "write `until 2 of dbas approve within 15 min`",
            );
            None
        }
    }
}

/// Lowers a level of recording.
pub(super) fn recording(level: &Name, check: &mut Check<'_, '_>) -> Option<Recording> {
    let levels = [Recording::Statement, Recording::Digest, Recording::Results];
    let found = levels.into_iter().find(|one| one.name() == level.value);
    if found.is_none() {
        let known = RECORDINGS.iter().map(|entry| entry.name);
        check.unknown("level of recording", &level.span, &level.value, known);
    }
    found
}

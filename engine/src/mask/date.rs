//! Masks of dates, times and timestamps: `truncate date`, and constants.
//!
//! Never guesses what a text means: only the form that `DateStyle = ISO` gives is read, any other becomes NULL. So do the
//! infinities, and moments that the type could not hold truncated.
//!
//! Moments with a zone are truncated in UTC and given in UTC, in both formats: the session's zone is the client's choice,
//! and a choice of zones would tell hours and minutes that the unit hides.

use super::{
    Format,
    calendar::{self, Date},
};
use crate::transform::{DateUnit, Transform};

/// A type of dates and times. Its numbers are days for dates, microseconds for all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DateKind {
    /// Days since 1 January 2000.
    Date,
    /// Microseconds since then.
    Timestamp,
    /// Microseconds since then in UTC.
    TimestampWithZone,
    /// Microseconds since midnight; 24:00:00 is one.
    Time,
    /// Microseconds since midnight in UTC.
    TimeWithZone,
}

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
/// 24 November 4714 BC, the first day of all types.
///
/// # Source
/// PostgreSQL, `src/include/datatype/timestamp.h`.
const FIRST_DAY: i64 = -2_451_545;
/// The day after 31 December 5874897.
const DATE_END: i64 = 2_145_031_949;
/// The moment after 31 December 294276.
const TIMESTAMP_END: i64 = 9_223_371_331_200_000_000;
/// The widest zone, in seconds.
const ZONE_SECONDS_MAX: i64 = 16 * 3_600 - 1;

/// Appends the masked form of a value; `None` where it is to be NULL.
pub(super) fn append(
    transform: &Transform,
    kind: DateKind,
    value: &[u8],
    format: Format,
    out: &mut Vec<u8>,
) -> Option<()> {
    let masked = match transform {
        Transform::TruncateDate(unit) => {
            if !kind.hides(*unit) {
                return None;
            }
            let moment = match format {
                Format::Text => kind.parse(value)?,
                Format::Binary => kind.decode(value)?,
            };
            kind.truncate(moment, *unit)
        }
        Transform::Constant(constant) => kind.parse(constant.as_bytes())?,
        Transform::Redact
        | Transform::Null
        | Transform::Last(_)
        | Transform::First(_)
        | Transform::KeepDomain
        | Transform::Hash
        | Transform::Tokenize
        | Transform::RoundTo(_) => return None,
    };
    if !kind.holds(masked) {
        return None;
    }
    match format {
        Format::Text => {
            kind.write(masked, out);
            Some(())
        }
        Format::Binary => kind.encode(masked, out),
    }
}

impl DateKind {
    /// Whether truncating to the unit means something for the type and hides something of its values.
    pub(super) const fn hides(self, unit: DateUnit) -> bool {
        match (self, unit) {
            (Self::Timestamp | Self::TimestampWithZone, _)
            | (Self::Time | Self::TimeWithZone, DateUnit::Hour)
            | (Self::Date, DateUnit::Year | DateUnit::Quarter | DateUnit::Month | DateUnit::Week) => {
                true
            }
            (Self::Date, DateUnit::Day | DateUnit::Hour)
            | (
                Self::Time | Self::TimeWithZone,
                DateUnit::Year
                | DateUnit::Quarter
                | DateUnit::Month
                | DateUnit::Week
                | DateUnit::Day,
            ) => false,
        }
    }

    fn truncate(self, moment: i64, unit: DateUnit) -> i64 {
        match (self, unit) {
            (Self::Date, _) => calendar::truncate(moment, unit),
            (_, DateUnit::Hour) => moment - moment.rem_euclid(HOUR),
            (
                _,
                DateUnit::Year
                | DateUnit::Quarter
                | DateUnit::Month
                | DateUnit::Week
                | DateUnit::Day,
            ) => calendar::truncate(moment.div_euclid(DAY), unit).saturating_mul(DAY),
        }
    }

    /// Whether a finite value of the type is that.
    fn holds(self, moment: i64) -> bool {
        match self {
            Self::Date => (FIRST_DAY..DATE_END).contains(&moment),
            Self::Timestamp | Self::TimestampWithZone => {
                (FIRST_DAY * DAY..TIMESTAMP_END).contains(&moment)
            }
            Self::Time => (0..=DAY).contains(&moment),
            Self::TimeWithZone => (0..DAY).contains(&moment),
        }
    }

    /// Reads the binary format.
    fn decode(self, value: &[u8]) -> Option<i64> {
        let moment = match self {
            Self::Date => i64::from(i32::from_be_bytes(value.try_into().ok()?)),
            Self::Timestamp | Self::TimestampWithZone | Self::Time => {
                i64::from_be_bytes(value.try_into().ok()?)
            }
            Self::TimeWithZone => {
                let (time, zone) = value.split_first_chunk::<8>()?;
                // The zone counts seconds west of UTC.
                let west = i64::from(i32::from_be_bytes(zone.try_into().ok()?));
                let time = i64::from_be_bytes(*time);
                if !(0..=DAY).contains(&time) || west.abs() > ZONE_SECONDS_MAX {
                    return None;
                }
                (time + west * SECOND).rem_euclid(DAY)
            }
        };
        self.holds(moment).then_some(moment)
    }

    /// Appends the binary format.
    fn encode(self, moment: i64, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Date => out.extend_from_slice(&i32::try_from(moment).ok()?.to_be_bytes()),
            Self::Timestamp | Self::TimestampWithZone | Self::Time => {
                out.extend_from_slice(&moment.to_be_bytes());
            }
            Self::TimeWithZone => {
                out.extend_from_slice(&moment.to_be_bytes());
                out.extend_from_slice(&0_i32.to_be_bytes());
            }
        }
        Some(())
    }

    /// Reads the text format under `DateStyle = ISO`.
    pub(super) fn parse(self, text: &[u8]) -> Option<i64> {
        let mut reader = Reader(text);
        let moment = match self {
            Self::Date => {
                let date = reader.date()?;
                reader.era(date)?
            }
            Self::Timestamp => {
                let date = reader.date()?;
                reader.expect(b" ")?;
                let time = reader.time().filter(|time| *time < DAY)?;
                reader.era(date)?.checked_mul(DAY)?.checked_add(time)?
            }
            Self::TimestampWithZone => {
                let date = reader.date()?;
                reader.expect(b" ")?;
                let time = reader.time().filter(|time| *time < DAY)?;
                let east = reader.zone()?;
                let time = time - east * SECOND;
                reader.era(date)?.checked_mul(DAY)?.checked_add(time)?
            }
            Self::Time => reader.time()?,
            Self::TimeWithZone => {
                let time = reader.time()?;
                (time - reader.zone()? * SECOND).rem_euclid(DAY)
            }
        };
        (reader.0.is_empty() && self.holds(moment)).then_some(moment)
    }

    /// Appends the text format under `DateStyle = ISO`.
    fn write(self, moment: i64, out: &mut Vec<u8>) {
        let (days, time) = match self {
            Self::Date => (Some(moment), None),
            Self::Timestamp | Self::TimestampWithZone => {
                (Some(moment.div_euclid(DAY)), Some(moment.rem_euclid(DAY)))
            }
            Self::Time | Self::TimeWithZone => (None, Some(moment)),
        };
        let date = days.map(Date::from_days);
        if let Some(Date { year, month, day }) = date {
            let year = if year > 0 { year } else { 1 - year };
            out.extend_from_slice(format!("{year:04}-{month:02}-{day:02}").as_bytes());
        }
        if date.is_some() && time.is_some() {
            out.push(b' ');
        }
        if let Some(time) = time {
            let seconds = time / SECOND;
            let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
            let seconds = seconds % 60;
            out.extend_from_slice(format!("{hours:02}:{minutes:02}:{seconds:02}").as_bytes());
            let fraction = format!("{:06}", time % SECOND);
            match fraction.trim_end_matches('0') {
                "" => {}
                fraction => out.extend_from_slice(format!(".{fraction}").as_bytes()),
            }
        }
        if matches!(self, Self::TimestampWithZone | Self::TimeWithZone) {
            out.extend_from_slice(b"+00");
        }
        if date.is_some_and(|date| date.year <= 0) {
            out.extend_from_slice(b" BC");
        }
    }
}

/// What is left of a text.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn expect(&mut self, bytes: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(bytes)?;
        Some(())
    }

    /// A number of `fewest` to `most` digits.
    fn number(&mut self, fewest: usize, most: usize) -> Option<i64> {
        let digits = self
            .0
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if !(fewest..=most).contains(&digits) {
            return None;
        }
        let (number, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        std::str::from_utf8(number).ok()?.parse().ok()
    }

    /// A number of two digits, below `end`.
    fn two_digits(&mut self, end: i64) -> Option<i64> {
        self.number(2, 2).filter(|number| *number < end)
    }

    /// A date whose era is still to come.
    fn date(&mut self) -> Option<Date> {
        let year = self.number(4, 7).filter(|year| *year > 0)?;
        self.expect(b"-")?;
        let month = self.two_digits(13)?;
        self.expect(b"-")?;
        let day = self.two_digits(32)?;
        Some(Date { year, month, day })
    }

    /// The days of a date, with the ` BC` that may end the text.
    fn era(&mut self, date: Date) -> Option<i64> {
        let year = match self.expect(b" BC") {
            Some(()) => 1 - date.year,
            None => date.year,
        };
        let date = Date { year, ..date };
        date.exists().then(|| date.to_days())
    }

    /// A time of day, up to 24:00:00, in microseconds.
    fn time(&mut self) -> Option<i64> {
        let hours = self.two_digits(25)?;
        self.expect(b":")?;
        let minutes = self.two_digits(60)?;
        self.expect(b":")?;
        let seconds = self.two_digits(60)?;
        let mut fraction = 0;
        if self.expect(b".").is_some() {
            let before = self.0.len();
            let number = self.number(1, 6)?;
            let digits = u32::try_from(before - self.0.len()).ok()?;
            fraction = number * 10_i64.pow(6_u32.checked_sub(digits)?);
        }
        let time = hours * HOUR + (minutes * 60 + seconds) * SECOND + fraction;
        (time <= DAY).then_some(time)
    }

    /// An offset from UTC, in seconds east of it.
    fn zone(&mut self) -> Option<i64> {
        let sign = match self.0.split_first()? {
            (b'+', _) => 1,
            (b'-', _) => -1,
            _ => return None,
        };
        self.0 = self.0.get(1..)?;
        let mut seconds = self.two_digits(24)? * 3_600;
        for unit in [60, 1] {
            if self.expect(b":").is_none() {
                break;
            }
            seconds += self.two_digits(60)? * unit;
        }
        (seconds <= ZONE_SECONDS_MAX).then_some(sign * seconds)
    }
}

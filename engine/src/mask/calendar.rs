//! Days and dates of the Gregorian calendar, extended to all years as PostgreSQL does.
//!
//! Never wraps around: every number here is far inside 64 bits.

use crate::transform::DateUnit;

/// A calendar date. Year 0 is 1 BC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: i64,
    /// From 1.
    pub(super) month: i64,
    /// From 1.
    pub(super) day: i64,
}

/// From 1 March of year 0 to 1 January 2000.
const EPOCH_DAYS: i64 = 730_425;
/// The days of 400 years.
const ERA_DAYS: i64 = 146_097;

impl Date {
    /// The date that many days after 1 January 2000.
    ///
    /// Years are counted from March, so that a leap day ends its year, in eras of 400 years, after which the calendar
    /// repeats.
    pub(super) const fn from_days(days: i64) -> Self {
        let days = days + EPOCH_DAYS;
        let era = days.div_euclid(ERA_DAYS);
        let day_of_era = days.rem_euclid(ERA_DAYS);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - days_before(year_of_era);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = (month_from_march + 2) % 12 + 1;
        let year = era * 400 + year_of_era + (month <= 2) as i64;
        Self { year, month, day }
    }

    /// Days after 1 January 2000.
    pub(super) const fn to_days(self) -> i64 {
        let year = self.year - (self.month <= 2) as i64;
        let month_from_march = (self.month + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + self.day - 1;
        year.div_euclid(400) * ERA_DAYS + days_before(year.rem_euclid(400)) + day_of_year
            - EPOCH_DAYS
    }

    /// Whether there is such a day.
    pub(super) fn exists(self) -> bool {
        (1..=12).contains(&self.month)
            && (1..=31).contains(&self.day)
            && Self::from_days(self.to_days()) == self
    }
}

/// The days of an era before the year of that number in it.
const fn days_before(year_of_era: i64) -> i64 {
    year_of_era * 365 + year_of_era / 4 - year_of_era / 100
}

/// The first day of the unit in which a day lies; days count from 1 January 2000.
pub(super) fn truncate(days: i64, unit: DateUnit) -> i64 {
    let date = Date::from_days(days);
    let month = match unit {
        DateUnit::Year => 1,
        DateUnit::Quarter => date.month - (date.month - 1) % 3,
        DateUnit::Month => date.month,
        // Day -5, 27 December 1999, was a Monday.
        DateUnit::Week => return days - (days + 5).rem_euclid(7),
        DateUnit::Day | DateUnit::Hour => return days,
    };
    Date {
        month,
        day: 1,
        ..date
    }
    .to_days()
}

#[cfg(test)]
mod tests {
    use jiff::{ToSpan as _, civil};

    use super::*;

    /// Against another calendar, for every day of the years 9999 BC to 9999.
    #[test]
    fn agrees_with_another_calendar() {
        let epoch = civil::date(2000, 1, 1);
        let first = epoch.until(civil::Date::MIN).expect("days").get_days();
        let mut other = civil::Date::MIN;
        let mut days = i64::from(first);
        loop {
            let date = Date {
                year: other.year().into(),
                month: other.month().into(),
                day: other.day().into(),
            };
            assert_eq!(Date::from_days(days), date);
            assert_eq!(date.to_days(), days);
            if days % 97 == 0 {
                assert!(date.exists());
                let monday = truncate(days, DateUnit::Week);
                let weekday = i64::from(other.weekday().to_monday_zero_offset());
                assert_eq!(days - monday, weekday, "{other}");
            }
            let Ok(next) = other.checked_add(1.day()) else {
                break;
            };
            (other, days) = (next, days + 1);
        }
    }

    #[test]
    fn days_that_do_not_exist() {
        for (year, month, day) in [
            (2023, 2, 29),
            (1900, 2, 29),
            (2024, 4, 31),
            (2024, 0, 1),
            (2024, 13, 1),
            (2024, 1, 0),
            (2024, 1, 32),
        ] {
            assert!(!Date { year, month, day }.exists(), "{year}-{month}-{day}");
        }
        for year in [2024, 2000, 0, -4] {
            let (month, day) = (2, 29);
            assert!(Date { year, month, day }.exists(), "{year}");
        }
    }

    #[test]
    fn truncations_nest() {
        for days in -5_000..5_000 {
            for coarse in DateUnit::ALL {
                for fine in DateUnit::ALL {
                    if coarse.join(*fine) == Some(*coarse) {
                        assert_eq!(
                            truncate(truncate(days, *fine), *coarse),
                            truncate(days, *coarse),
                            "{days}: {fine} then {coarse}"
                        );
                    }
                }
            }
        }
    }
}

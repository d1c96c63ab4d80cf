//! The UTC date of a time, for partition names. Must never depend on a clock, a locale or a time zone.

use crate::record::Micros;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Days since 1970-01-01.
pub(crate) fn day(time: Micros) -> i64 {
    time.0.div_euclid(MICROS_PER_DAY)
}

/// `YYYY-MM-DD`, proleptic Gregorian.
pub(crate) fn of(time: Micros) -> String {
    // Days since 0000-03-01: a year then ends with its leap day, and months have the pattern 31,30,31,30,31 twice.
    let days = day(time) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_the_calendar_s() {
        let cases = [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_709_164_800, "2024-02-29"),
            (1_795_132_799, "2026-11-19"),
            (4_107_542_400, "2100-03-01"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(of(Micros(seconds * 1_000_000)), expected, "{seconds}");
        }
        of(Micros(i64::MAX));
        of(Micros(i64::MIN));
    }
}

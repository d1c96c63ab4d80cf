//! Numbers, durations and sizes as they are written.

use super::Check;
use crate::ast::Name;

/// Units of time, with their milliseconds.
pub(crate) const TIMES: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1000),
    ("min", 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("d", 24 * 60 * 60 * 1000),
];
/// Units of size, with their bytes.
pub(crate) const SIZES: &[(&str, u64)] = &[
    ("B", 1),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];
/// How else people write units.
const OTHER_UNITS: &[(&str, &str)] = &[
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("m", "min"),
    ("mins", "min"),
    ("minute", "min"),
    ("minutes", "min"),
    ("hour", "h"),
    ("hours", "h"),
    ("hr", "h"),
    ("day", "d"),
    ("days", "d"),
    ("millisecond", "ms"),
    ("milliseconds", "ms"),
    ("byte", "B"),
    ("bytes", "B"),
    ("kb", "kB"),
    ("KB", "kB"),
    ("KiB", "kB"),
    ("mb", "MB"),
    ("MiB", "MB"),
    ("gb", "GB"),
    ("GiB", "GB"),
];

impl Check<'_, '_> {
    /// A whole number above zero.
    pub(super) fn amount(&mut self, number: &Name, of: &str) -> Option<u64> {
        match number.value.parse::<u64>() {
            Ok(amount) if amount > 0 && i64::try_from(amount).is_ok() => Some(amount),
            _ => {
                let message = format!("`{}` is no number of {of}", number.value);
                self.error_with_help(
                    &number.span,
                    message,
                    "not a whole number above zero",
                    "write a whole number above zero; `_` may part its digits: `10_000`",
                );
                None
            }
        }
    }

    /// A whole number above zero in a unit, in the smallest unit.
    pub(super) fn measure(
        &mut self,
        number: &Name,
        unit: &Name,
        of: &str,
        units: &[(&'static str, u64)],
    ) -> Option<u64> {
        let known = units.iter().find(|(name, _)| *name == unit.value);
        let Some((name, factor)) = known else {
            let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
            let error = self.file.error(
                &unit.span,
                format!("unknown unit of {of} `{}`", unit.value),
                "no such unit",
            );
            let meant = OTHER_UNITS
                .iter()
                .find(|(other, meant)| *other == unit.value && names.contains(meant));
            self.diagnostics.push(match meant {
                Some((_, meant)) => error.with_help(format!("write `{meant}`")),
                None => error.with_nearest(&unit.value, names.iter().copied()),
            });
            return None;
        };
        let amount = self.amount(number, name)?;
        let measure = amount
            .checked_mul(*factor)
            .filter(|measure| i64::try_from(*measure).is_ok());
        if measure.is_none() {
            self.error(
                &number.span,
                format!("`{} {name}` is too much to count", number.value),
                "too large",
            );
        }
        measure
    }
}

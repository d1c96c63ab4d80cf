//! What `round to` rounds to: an exact positive decimal.
//!
//! Never a float, and never zero.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What `round to` rounds to: a positive decimal with at most nine decimals, at most 10^18.
///
/// Rounding goes towards zero, and that is what makes the order hold: the result of `round to 20` can be computed from
/// the result of `round to 10`, so it tells nothing more. Rounding to the nearest has no such order: 9 and 14 are both 10
/// by tens, but by twenties 9 is 0 and 14 is 20.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Granularity {
    /// In billionths.
    pub(super) billionths: u128,
}

/// Why a text is no [`Granularity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GranularityError {
    /// Not digits with at most one point between them.
    #[error("not a decimal number: write it like `1000` or `0.25`")]
    Format,
    /// Zero.
    #[error("rounding to zero means nothing: write a number above zero")]
    Zero,
    /// More than nine decimals.
    #[error("more than nine decimals")]
    Decimals,
    /// Above 10^18.
    #[error("larger than 10^18")]
    Size,
}

impl Granularity {
    /// The largest number of decimals.
    pub const DECIMALS_MAX: u32 = 9;
    /// How many billionths make one.
    pub(crate) const ONE: u128 = 1_000_000_000;
    pub(super) const MAX: u128 = 1_000_000_000_000_000_000 * Self::ONE;

    /// In billionths: above zero, at most 10^27.
    pub(crate) const fn billionths(self) -> u128 {
        self.billionths
    }

    /// The number of decimals it is written with.
    pub(crate) fn decimals(self) -> u32 {
        let mut decimals = Self::DECIMALS_MAX;
        let mut rest = self.billionths;
        while decimals > 0 && rest.is_multiple_of(10) {
            rest /= 10;
            decimals -= 1;
        }
        decimals
    }

    /// The finest granularity whose results can be computed from those of either: the least common multiple. `None` where
    /// it is above the largest.
    ///
    /// Taking the coarser of two multiples and nothing else would not be associative: 4 and 6 have no order, yet 12 is
    /// above both.
    #[must_use]
    pub fn join(self, other: Self) -> Option<Self> {
        let (mut divisor, mut rest) = (self.billionths, other.billionths);
        while rest != 0 {
            (divisor, rest) = (rest, divisor % rest);
        }
        let billionths = (self.billionths / divisor).checked_mul(other.billionths)?;
        (billionths <= Self::MAX).then_some(Self { billionths })
    }
}

/// As written in the language: digits, `_` between digits as in other numbers, at most one point.
impl FromStr for Granularity {
    type Err = GranularityError;

    fn from_str(text: &str) -> Result<Self, GranularityError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |part: &str| {
            part.starts_with(|letter: char| letter.is_ascii_digit())
                && part.ends_with(|letter: char| letter.is_ascii_digit())
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || byte == b'_')
        };
        if !is_number(whole) || !is_number(fraction) {
            return Err(GranularityError::Format);
        }
        let digits = |part: &str| {
            part.bytes()
                .filter(u8::is_ascii_digit)
                .map(|byte| u128::from(byte - b'0'))
                .collect::<Vec<_>>()
        };
        let mut decimals = digits(fraction);
        while decimals.last() == Some(&0) {
            decimals.pop();
        }
        if decimals.len() > Self::DECIMALS_MAX as usize {
            return Err(GranularityError::Decimals);
        }
        decimals.resize(Self::DECIMALS_MAX as usize, 0);
        let mut billionths: u128 = 0;
        for digit in digits(whole).into_iter().chain(decimals) {
            billionths = billionths
                .checked_mul(10)
                .and_then(|so_far| so_far.checked_add(digit))
                .ok_or(GranularityError::Size)?;
        }
        match billionths {
            0 => Err(GranularityError::Zero),
            _ if billionths > Self::MAX => Err(GranularityError::Size),
            _ => Ok(Self { billionths }),
        }
    }
}

impl TryFrom<String> for Granularity {
    type Error = GranularityError;

    fn try_from(text: String) -> Result<Self, GranularityError> {
        text.parse()
    }
}

impl From<Granularity> for String {
    fn from(granularity: Granularity) -> Self {
        granularity.to_string()
    }
}

/// As written in the language, without needless zeros.
impl fmt::Display for Granularity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.billionths / Self::ONE, self.billionths % Self::ONE);
        match self.decimals() {
            0 => write!(formatter, "{whole}"),
            decimals => {
                let fraction = fraction / 10_u128.pow(Self::DECIMALS_MAX - decimals);
                write!(
                    formatter,
                    "{whole}.{fraction:0width$}",
                    width = decimals as usize
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn granularities_that_are_refused() {
        for (text, expected) in [
            ("", GranularityError::Format),
            ("ten", GranularityError::Format),
            ("-1", GranularityError::Format),
            ("1e3", GranularityError::Format),
            ("1.", GranularityError::Format),
            (".5", GranularityError::Format),
            ("1.2.3", GranularityError::Format),
            ("_1", GranularityError::Format),
            ("1__", GranularityError::Format),
            ("0", GranularityError::Zero),
            ("0.000", GranularityError::Zero),
            ("0.0000000001", GranularityError::Decimals),
            ("1000000000000000001", GranularityError::Size),
            (&"9".repeat(60), GranularityError::Size),
        ] {
            assert_eq!(text.parse::<Granularity>(), Err(expected), "`{text}`");
        }
        assert!("1_000_000_000_000_000_000".parse::<Granularity>().is_ok());
    }
}

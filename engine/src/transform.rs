//! The transforms of masks: what each hides, how it is written, and how two of them join.
//!
//! Never weaker joined than alone: [`Transform::join`] gives a transform that hides at least what both hide.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// A mask's transform.
///
/// They form a lattice by how little they tell. [`Transform::Null`] hides even whether there is a value, then comes
/// [`Transform::Redact`], then everything else. Below redact only transforms of one family are comparable: `last N` and
/// `first N` by N (fewer characters are stronger), `round to N` by divisibility (a multiple is stronger), `truncate date`
/// by its units. [`Transform::join`] gives the weakest that hides at least as much as both; where no other does, that is
/// redact.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transform {
    /// A fixed text where the type can carry one, NULL where it can't.
    Redact,
    /// NULL.
    Null,
    /// The last N characters behind a fixed number of `*`, so that the length does not show.
    Last(u16),
    /// The first N characters before a fixed number of `*`, so that the length does not show.
    First(u16),
    /// The part of an e-mail address before `@` becomes `***`.
    KeepDomain,
    /// A constant text.
    Constant(Arc<str>),
    /// A keyed hash: equal values give equal results, so that joins still work.
    Hash,
    /// A keyed token of the same length and kinds of characters: equal values give equal tokens, different ones different.
    Tokenize,
    /// The multiple of N towards zero.
    RoundTo(Granularity),
    /// The start of the year, month, day and so on that the value lies in.
    TruncateDate(DateUnit),
}

impl Transform {
    /// The weakest transform that hides at least what both hide. Commutative, associative, idempotent.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Null, _) | (_, Self::Null) => Self::Null,
            (Self::Last(left), Self::Last(right)) => Self::Last(*left.min(right)),
            (Self::First(left), Self::First(right)) => Self::First(*left.min(right)),
            (Self::RoundTo(left), Self::RoundTo(right)) => {
                left.join(*right).map_or(Self::Redact, Self::RoundTo)
            }
            (Self::TruncateDate(left), Self::TruncateDate(right)) => {
                left.join(*right).map_or(Self::Redact, Self::TruncateDate)
            }
            (left, right) if left == right => left.clone(),
            _ => Self::Redact,
        }
    }
}

/// In the policy language's words.
impl fmt::Display for Transform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redact => formatter.write_str("redact"),
            Self::Null => formatter.write_str("null"),
            Self::Last(count) => write!(formatter, "last {count}"),
            Self::First(count) => write!(formatter, "first {count}"),
            Self::KeepDomain => formatter.write_str("keep domain"),
            Self::Constant(text) => write!(formatter, "constant {text:?}"),
            Self::Hash => formatter.write_str("hash"),
            Self::Tokenize => formatter.write_str("tokenize"),
            Self::RoundTo(granularity) => write!(formatter, "round to {granularity}"),
            Self::TruncateDate(unit) => write!(formatter, "truncate date {unit}"),
        }
    }
}

/// What `round to` rounds to: a positive decimal with at most nine decimals, at most 10^18.
///
/// Rounding goes towards zero, and that is what makes the order hold: the result of `round to 20` can be computed from
/// the result of `round to 10`, so it tells nothing more. Rounding to the nearest has no such order: 9 and 14 are both 10
/// by tens, but by twenties 9 is 0 and 14 is 20.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Granularity {
    /// In billionths.
    billionths: u128,
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
    const ONE: u128 = 1_000_000_000;
    const MAX: u128 = 1_000_000_000_000_000_000 * Self::ONE;

    /// The number of decimals it is written with.
    fn decimals(self) -> u32 {
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

/// What `truncate date` keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DateUnit {
    /// The first of January.
    Year,
    /// The first day of a quarter.
    Quarter,
    /// The first day of a month.
    Month,
    /// The Monday of an ISO week.
    Week,
    /// Midnight.
    Day,
    /// The full hour.
    Hour,
}

impl DateUnit {
    /// All, the coarsest first.
    pub const ALL: &'static [Self] = &[
        Self::Year,
        Self::Quarter,
        Self::Month,
        Self::Week,
        Self::Day,
        Self::Hour,
    ];

    /// The word in the language.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Year => "year",
            Self::Quarter => "quarter",
            Self::Month => "month",
            Self::Week => "week",
            Self::Day => "day",
            Self::Hour => "hour",
        }
    }

    /// The unit of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|unit| unit.name() == name)
    }

    /// The coarser of two; `None` for a week and a month, quarter or year, because weeks straddle those.
    #[must_use]
    pub const fn join(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Week, Self::Year | Self::Quarter | Self::Month)
            | (Self::Year | Self::Quarter | Self::Month, Self::Week) => None,
            (Self::Year, _) | (_, Self::Year) => Some(Self::Year),
            (Self::Quarter, _) | (_, Self::Quarter) => Some(Self::Quarter),
            (Self::Month, _) | (_, Self::Month) => Some(Self::Month),
            (Self::Week, _) | (_, Self::Week) => Some(Self::Week),
            (Self::Day, _) | (_, Self::Day) => Some(Self::Day),
            (Self::Hour, Self::Hour) => Some(Self::Hour),
        }
    }
}

impl fmt::Display for DateUnit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round(text: &str) -> Transform {
        Transform::RoundTo(text.parse().expect("a granularity"))
    }

    /// Small enough for every triple, with chains, forks and diamonds of every family.
    fn some_of_every_kind() -> Vec<Transform> {
        let mut all = vec![
            Transform::Redact,
            Transform::Null,
            Transform::KeepDomain,
            Transform::Hash,
            Transform::Tokenize,
            Transform::Constant("x".into()),
            Transform::Constant("y".into()),
        ];
        all.extend((0..3).map(Transform::Last));
        all.extend((0..3).map(Transform::First));
        all.extend(["0.5", "2", "4", "6", "7", "12", "999999999999999999"].map(round));
        all.extend(DateUnit::ALL.iter().copied().map(Transform::TruncateDate));
        all
    }

    fn transform() -> impl Strategy<Value = Transform> {
        prop_oneof![
            proptest::sample::select(some_of_every_kind()),
            any::<u16>().prop_map(Transform::Last),
            any::<u16>().prop_map(Transform::First),
            (1..=Granularity::MAX)
                .prop_map(|billionths| Transform::RoundTo(Granularity { billionths })),
            (1_u128..50).prop_map(|whole| Transform::RoundTo(Granularity {
                billionths: whole * Granularity::ONE / 4
            })),
        ]
    }

    fn assert_semilattice(a: &Transform, b: &Transform, c: &Transform) {
        assert_eq!(a.join(a), *a, "{a}");
        assert_eq!(a.join(b), b.join(a), "{a}, {b}");
        assert_eq!(a.join(b).join(c), a.join(&b.join(c)), "{a}, {b}, {c}");
        assert_eq!(a.join(&Transform::Null), Transform::Null, "{a}");
        let redacted = match a {
            Transform::Null => Transform::Null,
            _ => Transform::Redact,
        };
        assert_eq!(a.join(&Transform::Redact), redacted, "{a}");
    }

    #[test]
    fn join_is_a_semilattice_over_every_kind() {
        let all = some_of_every_kind();
        for a in &all {
            for b in &all {
                for c in &all {
                    assert_semilattice(a, b, c);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn join_is_a_semilattice(a in transform(), b in transform(), c in transform()) {
            assert_semilattice(&a, &b, &c);
        }

        #[test]
        fn granularities_read_back(transform in transform()) {
            if let Transform::RoundTo(granularity) = transform {
                prop_assert_eq!(granularity.to_string().parse(), Ok(granularity));
            }
            let json = serde_json::to_string(&transform).expect("serializes");
            prop_assert_eq!(serde_json::from_str::<Transform>(&json).expect("reads back"), transform);
        }
    }

    #[test]
    fn joins() {
        let date = Transform::TruncateDate;
        for (left, right, expected) in [
            (Transform::Last(4), Transform::Last(2), Transform::Last(2)),
            (Transform::Last(4), Transform::First(4), Transform::Redact),
            (Transform::KeepDomain, Transform::Last(4), Transform::Redact),
            (
                Transform::Constant("a".into()),
                Transform::Constant("b".into()),
                Transform::Redact,
            ),
            (Transform::Redact, Transform::Last(4), Transform::Redact),
            (Transform::Redact, Transform::Null, Transform::Null),
            (Transform::Hash, Transform::Hash, Transform::Hash),
            (Transform::Hash, Transform::Tokenize, Transform::Redact),
            (round("10"), round("1000"), round("1000")),
            (round("4"), round("6"), round("12")),
            (round("0.5"), round("0.2"), round("1")),
            // No multiple of both up to the largest.
            (
                round("999999999999999999"),
                round("1000000000000000000"),
                Transform::Redact,
            ),
            (round("10"), date(DateUnit::Year), Transform::Redact),
            (
                date(DateUnit::Day),
                date(DateUnit::Quarter),
                date(DateUnit::Quarter),
            ),
            (
                date(DateUnit::Hour),
                date(DateUnit::Week),
                date(DateUnit::Week),
            ),
            (
                date(DateUnit::Week),
                date(DateUnit::Month),
                Transform::Redact,
            ),
        ] {
            assert_eq!(left.join(&right), expected, "{left} and {right}");
        }
    }

    #[test]
    fn display_is_the_language() {
        for (transform, expected) in [
            (Transform::Last(4), "last 4"),
            (Transform::Constant("a\"b".into()), "constant \"a\\\"b\""),
            (Transform::Hash, "hash"),
            (Transform::Tokenize, "tokenize"),
            (round("1_000"), "round to 1000"),
            (round("0.50"), "round to 0.5"),
            (round("12.000000001"), "round to 12.000000001"),
            (
                Transform::TruncateDate(DateUnit::Month),
                "truncate date month",
            ),
        ] {
            assert_eq!(transform.to_string(), expected);
        }
        for unit in DateUnit::ALL {
            assert_eq!(DateUnit::from_name(unit.name()), Some(*unit));
        }
        assert_eq!(DateUnit::from_name("minute"), None);
    }

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

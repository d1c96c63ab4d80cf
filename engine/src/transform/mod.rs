//! The transforms of masks: what each hides, how it is written, and how two of them join.
//!
//! Never weaker joined than alone: [`Transform::join`] gives a transform that hides at least what both hide.

mod describe;
mod granularity;
mod read;

use std::{fmt, sync::Arc};

pub use describe::{Carriers, DESCRIPTIONS, EXAMPLE_SECRET, Example, TransformDescription};
pub use granularity::{Granularity, GranularityError};
pub use read::TransformError;
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
    /// Whether it works with a key.
    #[must_use]
    pub const fn is_keyed(&self) -> bool {
        match self {
            Self::Hash | Self::Tokenize => true,
            Self::Redact
            | Self::Null
            | Self::Last(_)
            | Self::First(_)
            | Self::KeepDomain
            | Self::Constant(_)
            | Self::RoundTo(_)
            | Self::TruncateDate(_) => false,
        }
    }

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
}

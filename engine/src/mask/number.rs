//! Masks of numbers: `round to`, `tokenize` on integers, and constants.
//!
//! Never rounds away from zero: a result fits wherever its value did, and coarser rounding tells nothing more than finer.
//!
//! NaN and the infinities become NULL: each tells that a value is a particular one. So does a float whose rounded form
//! needs more digits than its type holds exactly, as the nearest float would be no multiple, and closer to the value.

use super::{Format, decimal::Decimal, keys::MaskKeys, tokenize};
use crate::transform::{Granularity, Transform};

/// The width of an integer type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IntegerWidth {
    /// `smallint`.
    Two,
    /// `integer`.
    Four,
    /// `bigint`.
    Eight,
}

/// The width of a floating-point type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FloatWidth {
    /// `real`.
    Four,
    /// `double precision`.
    Eight,
}

/// The most digits of a numeric constant: what a declared precision can be.
const CONSTANT_DIGITS_MAX: usize = 1_000;

/// Appends the masked form of an integer; `None` where it is to be NULL.
pub(super) fn append_integer(
    transform: &Transform,
    keys: Option<&MaskKeys>,
    width: IntegerWidth,
    value: &[u8],
    format: Format,
    out: &mut Vec<u8>,
) -> Option<()> {
    let masked = match transform {
        Transform::RoundTo(granularity) => {
            let multiple = integer_granularity(*granularity)?;
            let number = i128::from(width.decode(value, format)?);
            i64::try_from(number - number % multiple).ok()?
        }
        Transform::Tokenize => tokenize::integer(keys?, width.decode(value, format)?)?,
        Transform::Constant(constant) => constant.parse().ok()?,
        Transform::Redact
        | Transform::Null
        | Transform::Last(_)
        | Transform::First(_)
        | Transform::KeepDomain
        | Transform::Hash
        | Transform::TruncateDate(_) => return None,
    };
    width.append(masked, format, out)
}

/// The granularity, if rounding integers to it hides something and gives integers: a whole number from 2.
pub(super) fn integer_granularity(granularity: Granularity) -> Option<i128> {
    let billionths = granularity.billionths();
    let whole = i128::try_from(billionths / Granularity::ONE).ok()?;
    (billionths.is_multiple_of(Granularity::ONE) && whole > 1).then_some(whole)
}

impl IntegerWidth {
    fn decode(self, value: &[u8], format: Format) -> Option<i64> {
        match (format, self) {
            (Format::Text, _) => std::str::from_utf8(value).ok()?.parse().ok(),
            (Format::Binary, Self::Two) => Some(i16::from_be_bytes(value.try_into().ok()?).into()),
            (Format::Binary, Self::Four) => Some(i32::from_be_bytes(value.try_into().ok()?).into()),
            (Format::Binary, Self::Eight) => Some(i64::from_be_bytes(value.try_into().ok()?)),
        }
    }

    /// `None` where the type can't hold the number.
    fn append(self, number: i64, format: Format, out: &mut Vec<u8>) -> Option<()> {
        let bytes = number.to_be_bytes();
        let width = match self {
            Self::Two => i16::try_from(number).ok().map(|_| 2),
            Self::Four => i32::try_from(number).ok().map(|_| 4),
            Self::Eight => Some(8),
        }?;
        match format {
            Format::Text => out.extend_from_slice(number.to_string().as_bytes()),
            Format::Binary => out.extend_from_slice(bytes.get(bytes.len() - width..)?),
        }
        Some(())
    }
}

/// Appends the masked form of a `numeric`; `None` where it is to be NULL.
pub(super) fn append_numeric(
    transform: &Transform,
    value: &[u8],
    format: Format,
    out: &mut Vec<u8>,
) -> Option<()> {
    let masked = match transform {
        Transform::RoundTo(granularity) => match format {
            Format::Text => Decimal::from_text(std::str::from_utf8(value).ok()?)?,
            Format::Binary => Decimal::from_binary(value)?,
        }
        .round_to(*granularity),
        Transform::Constant(constant) => Decimal::from_text(constant)
            .filter(|number| number.written_digits() <= CONSTANT_DIGITS_MAX)?,
        Transform::Redact
        | Transform::Null
        | Transform::Last(_)
        | Transform::First(_)
        | Transform::KeepDomain
        | Transform::Hash
        | Transform::Tokenize
        | Transform::TruncateDate(_) => return None,
    };
    match format {
        Format::Text => masked.append_text(out),
        Format::Binary => masked.append_binary(out)?,
    }
    Some(())
}

/// Appends the masked form of a floating-point number; `None` where it is to be NULL.
pub(super) fn append_float(
    transform: &Transform,
    width: FloatWidth,
    value: &[u8],
    format: Format,
    out: &mut Vec<u8>,
) -> Option<()> {
    match transform {
        Transform::RoundTo(granularity) => {
            let shortest = width.decode(value, format)?;
            let rounded = Decimal::from_text(&shortest)?.round_to(*granularity);
            if rounded.significant_digits() > width.exact_digits() {
                return None;
            }
            let mut text = Vec::new();
            rounded.append_text(&mut text);
            width.append(std::str::from_utf8(&text).ok()?, format, out)
        }
        Transform::Constant(constant) => width.append(constant, format, out),
        Transform::Redact
        | Transform::Null
        | Transform::Last(_)
        | Transform::First(_)
        | Transform::KeepDomain
        | Transform::Hash
        | Transform::Tokenize
        | Transform::TruncateDate(_) => None,
    }
}

impl FloatWidth {
    /// The decimal digits that always survive the way through the type (`FLT_DIG`, `DBL_DIG`).
    const fn exact_digits(self) -> usize {
        match self {
            Self::Four => f32::DIGITS as usize,
            Self::Eight => f64::DIGITS as usize,
        }
    }

    /// The shortest decimal that stands for the number, without an exponent; `None` where it is not finite.
    fn decode(self, value: &[u8], format: Format) -> Option<String> {
        match (format, self) {
            (Format::Text, _) => self.shortest(std::str::from_utf8(value).ok()?),
            (Format::Binary, Self::Four) => {
                let number = f32::from_be_bytes(value.try_into().ok()?);
                number.is_finite().then(|| number.to_string())
            }
            (Format::Binary, Self::Eight) => {
                let number = f64::from_be_bytes(value.try_into().ok()?);
                number.is_finite().then(|| number.to_string())
            }
        }
    }

    fn shortest(self, text: &str) -> Option<String> {
        match self {
            Self::Four => {
                let number: f32 = text.parse().ok()?;
                number.is_finite().then(|| number.to_string())
            }
            Self::Eight => {
                let number: f64 = text.parse().ok()?;
                number.is_finite().then(|| number.to_string())
            }
        }
    }

    /// Appends the float nearest to that number; `None` where it is not finite.
    fn append(self, text: &str, format: Format, out: &mut Vec<u8>) -> Option<()> {
        let shortest = self.shortest(text)?;
        match (format, self) {
            (Format::Text, _) => out.extend_from_slice(shortest.as_bytes()),
            (Format::Binary, Self::Four) => {
                out.extend_from_slice(&shortest.parse::<f32>().ok()?.to_be_bytes());
            }
            (Format::Binary, Self::Eight) => {
                out.extend_from_slice(&shortest.parse::<f64>().ok()?.to_be_bytes());
            }
        }
        Some(())
    }
}

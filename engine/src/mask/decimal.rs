//! Decimals of any length, exactly: PostgreSQL's `numeric` in both formats, and rounding towards zero.
//!
//! Never goes through a float.

use crate::transform::Granularity;

/// A decimal number: `digits` divided by 10 to the `scale`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    /// From 0 to 9, the most significant first, any number of zeros before them.
    digits: Vec<u8>,
    scale: usize,
}

/// The digits of one group of `numeric`'s binary format, which has base 10,000.
const GROUP: usize = 4;
/// The sign word of a positive `numeric`.
///
/// # Source
/// PostgreSQL, `src/backend/utils/adt/numeric.c`.
const POSITIVE: u16 = 0x0000;
/// The sign word of a negative `numeric`. Others mean NaN and the infinities.
const NEGATIVE: u16 = 0x4000;
/// The most decimals a `numeric` shows.
const SCALE_MAX: usize = 16_383;

impl Decimal {
    /// Reads digits with an optional `-` and an optional point between them. NaN and infinities are none.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix('-');
        let negative = unsigned.is_some();
        let unsigned = unsigned.unwrap_or(text);
        let (whole, fraction) = unsigned
            .split_once('.')
            .map_or((unsigned, None), |(whole, fraction)| {
                (whole, Some(fraction))
            });
        if whole.is_empty() || fraction.is_some_and(str::is_empty) {
            return None;
        }
        let fraction = fraction.unwrap_or_default();
        let digits = whole
            .bytes()
            .chain(fraction.bytes())
            .map(|byte| byte.is_ascii_digit().then(|| byte - b'0'))
            .collect::<Option<_>>()?;
        Some(Self {
            negative,
            digits,
            scale: fraction.len(),
        })
    }

    /// Reads `numeric`'s binary format. NaN and infinities are none.
    pub(super) fn from_binary(value: &[u8]) -> Option<Self> {
        let (words, []) = value.as_chunks::<2>() else {
            return None;
        };
        let [count, weight, sign, scale, groups @ ..] = words else {
            return None;
        };
        let negative = match u16::from_be_bytes(*sign) {
            POSITIVE => false,
            NEGATIVE => true,
            _ => return None,
        };
        let is_well_formed = usize::from(u16::from_be_bytes(*count)) == groups.len()
            && usize::from(u16::from_be_bytes(*scale)) <= SCALE_MAX;
        if !is_well_formed {
            return None;
        }
        let mut digits = Vec::with_capacity(groups.len() * GROUP);
        for group in groups {
            let group = u16::from_be_bytes(*group);
            if group > 9_999 {
                return None;
            }
            let places = [group / 1_000, group / 100 % 10, group / 10 % 10, group % 10];
            digits.extend(
                places
                    .into_iter()
                    .filter_map(|digit| u8::try_from(digit).ok()),
            );
        }
        // The first group counts 10,000 to the `weight`: the groups up to that of the ones are the whole part.
        let whole_groups = i32::from(i16::from_be_bytes(*weight)) + 1;
        let fraction_groups = i32::try_from(groups.len()).ok()? - whole_groups;
        let scale = usize::try_from(fraction_groups).unwrap_or(0) * GROUP;
        let zeros = usize::try_from(-fraction_groups).unwrap_or(0) * GROUP;
        digits.resize(digits.len() + zeros, 0);
        Some(Self {
            negative,
            digits,
            scale,
        })
    }

    /// The multiple of `granularity` towards zero, with the granularity's decimals: how many the value had does not show.
    pub(super) fn round_to(mut self, granularity: Granularity) -> Self {
        const SCALE: usize = Granularity::DECIMALS_MAX as usize;
        // What is finer than the finest granularity goes first; that is towards zero too.
        match self.scale.checked_sub(SCALE) {
            Some(finer) => self.drop_last(finer),
            None => self
                .digits
                .resize(self.digits.len() + SCALE - self.scale, 0),
        }
        let modulus = granularity.billionths();
        let mut over = self
            .digits
            .iter()
            .fold(0, |rest, digit| (rest * 10 + u128::from(*digit)) % modulus);
        for digit in self.digits.iter_mut().rev() {
            if over == 0 {
                break;
            }
            let part = u8::try_from(over % 10).unwrap_or(0);
            over /= 10;
            if *digit < part {
                *digit += 10;
                over += 1;
            }
            *digit -= part;
        }
        // Zeros, as the multiple has no more decimals than the granularity.
        self.scale = granularity.decimals() as usize;
        self.drop_last(SCALE - self.scale);
        self.negative &= self.digits.iter().any(|digit| *digit != 0);
        self
    }

    fn drop_last(&mut self, count: usize) {
        self.digits
            .truncate(self.digits.len().saturating_sub(count));
    }

    /// How many digits are needed to write it with an exponent.
    pub(super) fn significant_digits(&self) -> usize {
        let is_zero = |digit: &&u8| **digit == 0;
        let before = self.digits.iter().take_while(is_zero).count();
        let after = self.digits.iter().rev().take_while(is_zero).count();
        self.digits.len().saturating_sub(before + after)
    }

    /// How many digits it is written with.
    pub(super) fn written_digits(&self) -> usize {
        self.digits.len()
    }

    /// Appends it as PostgreSQL writes a `numeric`.
    pub(super) fn append_text(&self, out: &mut Vec<u8>) {
        if self.negative {
            out.push(b'-');
        }
        let whole_digits = self.digits.len().saturating_sub(self.scale);
        let (whole, fraction) = self
            .digits
            .split_at_checked(whole_digits)
            .unwrap_or_default();
        let start = out.len();
        let without_zeros = whole.iter().skip_while(|digit| **digit == 0);
        out.extend(without_zeros.map(|digit| b'0' + digit));
        if out.len() == start {
            out.push(b'0');
        }
        if self.scale > 0 {
            out.push(b'.');
            out.resize(out.len() + self.scale - fraction.len(), b'0');
            out.extend(fraction.iter().map(|digit| b'0' + digit));
        }
    }

    /// Appends `numeric`'s binary format. `None` beyond what that can hold; then `out` is as it was.
    pub(super) fn append_binary(&self, out: &mut Vec<u8>) -> Option<()> {
        let whole_digits = self.digits.len().saturating_sub(self.scale);
        let missing = self.scale.saturating_sub(self.digits.len());
        let whole_groups = whole_digits.div_ceil(GROUP);
        let mut digits = vec![0; whole_groups * GROUP - whole_digits + missing];
        digits.extend_from_slice(&self.digits);
        digits.resize(digits.len().next_multiple_of(GROUP), 0);
        let (groups, _) = digits.as_chunks::<GROUP>();
        let groups: Vec<u16> = groups
            .iter()
            .map(|group| {
                group
                    .iter()
                    .fold(0, |sum, digit| sum * 10 + u16::from(*digit))
            })
            .collect();
        let leading = groups.iter().take_while(|group| **group == 0).count();
        let trailing = groups.iter().rev().take_while(|group| **group == 0).count();
        let groups = groups
            .get(leading..groups.len() - trailing)
            .unwrap_or_default();
        let (weight, sign) = match groups {
            [] => (0, POSITIVE),
            _ => {
                let weight = i64::try_from(whole_groups).ok()? - 1 - i64::try_from(leading).ok()?;
                let sign = if self.negative { NEGATIVE } else { POSITIVE };
                (i16::try_from(weight).ok()?, sign)
            }
        };
        let scale = u16::try_from(self.scale)
            .ok()
            .filter(|scale| usize::from(*scale) <= SCALE_MAX)?;
        out.extend_from_slice(&u16::try_from(groups.len()).ok()?.to_be_bytes());
        out.extend_from_slice(&weight.to_be_bytes());
        for word in [sign, scale].iter().chain(groups) {
            out.extend_from_slice(&word.to_be_bytes());
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(decimal: &Decimal) -> String {
        let mut out = Vec::new();
        decimal.append_text(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    fn binary(decimal: &Decimal) -> Vec<u8> {
        let mut out = Vec::new();
        decimal.append_binary(&mut out).expect("fits");
        out
    }

    fn words(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// As `numeric_send` of PostgreSQL 15 gives them.
    #[test]
    fn binary_format() {
        for (written, expected) in [
            ("0", &[0, 0, 0, 0][..]),
            ("0.00", &[0, 0, 0, 2]),
            ("1", &[1, 0, 0, 0, 1]),
            ("-1", &[1, 0, 0x4000, 0, 1]),
            ("12345.678", &[3, 1, 0, 3, 1, 2345, 6780]),
            ("10000", &[1, 1, 0, 0, 1]),
            ("100000000", &[1, 2, 0, 0, 1]),
            ("0.0001", &[1, 0xffff, 0, 4, 1]),
            ("-0.00000012", &[1, 0xfffe, 0x4000, 8, 12]),
            ("10000.5", &[3, 1, 0, 1, 1, 0, 5000]),
        ] {
            let decimal = Decimal::from_text(written).expect("a number");
            assert_eq!(binary(&decimal), words(expected), "{written}");
            let read = Decimal::from_binary(&words(expected)).expect("a number");
            let rounded =
                |decimal: Decimal| text(&decimal.round_to("0.000000001".parse().expect("fine")));
            assert_eq!(rounded(read), rounded(decimal), "{written}");
        }
    }

    #[test]
    fn what_is_no_number() {
        for written in [
            "",
            "-",
            "NaN",
            "Infinity",
            "-Infinity",
            "1e5",
            "1.",
            ".5",
            "+1",
            " 1",
            "1.2.3",
            "--1",
        ] {
            assert_eq!(Decimal::from_text(written), None, "`{written}`");
        }
        for encoded in [
            &[][..],
            &[0, 0, 0],
            &[0, 0, 0xc000, 0],
            &[0, 0, 0xd000, 0],
            &[0, 0, 0xf000, 0],
            &[1, 0, 0, 0],
            &[0, 0, 0, 0, 1],
            &[1, 0, 0, 0, 10_000],
            &[1, 0, 0, 16_384, 1],
        ] {
            assert_eq!(Decimal::from_binary(&words(encoded)), None, "{encoded:?}");
        }
        assert_eq!(Decimal::from_binary(&[0; 9]), None);
    }

    #[test]
    fn rounds_towards_zero() {
        for (written, granularity, expected) in [
            ("1999.99", "1000", "1000"),
            ("-1999.99", "1000", "-1000"),
            ("999", "1000", "0"),
            ("-0.4", "0.5", "0.0"),
            ("7.74", "0.25", "7.50"),
            ("-7.76", "0.25", "-7.75"),
            ("1000", "1000", "1000"),
            ("0000123", "10", "120"),
            ("0.0000000019", "0.000000001", "0.000000001"),
            (
                "123456789012345678901234567895.5",
                "7",
                "123456789012345678901234567890",
            ),
            ("5", "1000000000000000000", "0"),
            ("100", "12.5", "100.0"),
            ("99.99", "12.5", "87.5"),
        ] {
            let decimal = Decimal::from_text(written).expect("a number");
            let rounded = decimal.round_to(granularity.parse().expect("a granularity"));
            assert_eq!(text(&rounded), expected, "{written} to {granularity}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(value in proptest::collection::vec(any::<u8>(), 0..40), granularity in 1_u64..) {
            let granularity: Granularity = granularity.to_string().parse().unwrap_or("7".parse().expect("a number"));
            let from_text = std::str::from_utf8(&value).ok().and_then(Decimal::from_text);
            for decimal in [Decimal::from_binary(&value), from_text].into_iter().flatten() {
                let rounded = decimal.round_to(granularity);
                prop_assert!(Decimal::from_text(&text(&rounded)).is_some());
                let mut out = Vec::new();
                if rounded.append_binary(&mut out).is_some() {
                    prop_assert!(Decimal::from_binary(&out).is_some());
                }
            }
        }

        /// Against 128-bit arithmetic.
        #[test]
        fn agrees_with_integers(hundredths in any::<i64>(), tens in 1_i64..1_000_000) {
            let written = format!("{}{}.{:02}", if hundredths < 0 { "-" } else { "" }, hundredths.unsigned_abs() / 100, hundredths.unsigned_abs() % 100);
            let granularity = format!("{}.{}", tens / 10, tens % 10);
            let unit = i128::from(tens) * 10;
            let multiple = i128::from(hundredths) / unit * unit;
            let decimal = Decimal::from_text(&written).expect("a number");
            let through_binary = Decimal::from_binary(&binary(&decimal)).expect("a number");
            let granularity: Granularity = granularity.parse().expect("a granularity");
            let rounded = decimal.round_to(granularity);
            prop_assert_eq!(&text(&rounded), &text(&through_binary.round_to(granularity)));
            let (whole, fraction) = (multiple.unsigned_abs() / 100, multiple.unsigned_abs() % 100 / 10);
            let sign = if multiple < 0 { "-" } else { "" };
            let expected = if granularity.decimals() == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") };
            prop_assert_eq!(text(&rounded), expected);
            prop_assert_eq!(&rounded.clone().round_to(granularity), &rounded);
        }
    }
}

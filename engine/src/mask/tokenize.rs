//! `tokenize`: format-preserving encryption of texts and integers with FF1.
//!
//! Never gives a token of a value that has fewer than 1,000,000 possible ones: such a token could be guessed back by
//! trying them all.

use num_bigint::BigUint;

use super::keys::{MaskKeys, Radix};

/// The longest text that gets a token, in characters. The cipher's work grows with the square of it.
pub(super) const CHARACTERS_MAX: usize = 256;
/// The fewest values among which a token is drawn (NIST SP 800-38G revision 1).
const VALUES_MIN: u32 = 1_000_000;
/// How often the cipher is asked again for a token of the right form. Each try succeeds with a chance of at least one in
/// nine, so this is never reached; at the limit there is no token.
const STEPS_MAX: usize = 2_000;

/// Appends the token of a text. Digits become digits, ASCII letters become letters of the same case, ASCII punctuation and
/// spaces stay; each at its place.
///
/// A text whose only changing characters are digits goes through FF1 with radix 10. One with letters is numbered among all
/// texts of its form, and that number goes through FF1 with radix 2, again and again until it is the number of such a text.
///
/// `None` with control or non-ASCII characters, with more than [`CHARACTERS_MAX`], and where fewer than 1,000,000
/// texts have that form; then `out` is as it was.
pub(super) fn append_text(keys: &MaskKeys, text: &str, out: &mut Vec<u8>) -> Option<()> {
    if text.len() > CHARACTERS_MAX {
        return None;
    }
    let characters: Vec<Character> = text.bytes().map(Character::of).collect::<Option<_>>()?;
    let has_letters = characters.iter().any(|character| character.choices > 10);
    if has_letters {
        append_ranked(keys, &characters, out)
    } else {
        append_digits(keys, &characters, out)
    }
}

/// A character of a text: its place in the alphabet that it is drawn from.
#[derive(Debug, Clone, Copy)]
struct Character {
    /// The alphabet's first letter.
    first: u8,
    /// The alphabet's size; 1 for what stays.
    choices: u8,
    /// The character's place in it, from 0.
    place: u8,
}

impl Character {
    const fn of(byte: u8) -> Option<Self> {
        let (first, choices) = match byte {
            b'0'..=b'9' => (b'0', 10),
            b'a'..=b'z' => (b'a', 26),
            b'A'..=b'Z' => (b'A', 26),
            b' '..=b'~' => (byte, 1),
            _ => return None,
        };
        Some(Self {
            first,
            choices,
            place: byte - first,
        })
    }
}

fn append_digits(keys: &MaskKeys, characters: &[Character], out: &mut Vec<u8>) -> Option<()> {
    let digits = characters
        .iter()
        .filter(|character| character.choices > 1)
        .map(|character| u16::from(character.place))
        .collect();
    let mut token = keys.permute(Radix::Decimal, digits)?.into_iter();
    let start = out.len();
    for character in characters {
        let place = match character.choices {
            1 => Some(0),
            _ => token.next().and_then(|digit| u8::try_from(digit).ok()),
        };
        let Some(place) = place else {
            out.truncate(start);
            return None;
        };
        out.push(character.first + place);
    }
    Some(())
}

/// A text with letters, through its number among the texts of its form.
fn append_ranked(keys: &MaskKeys, characters: &[Character], out: &mut Vec<u8>) -> Option<()> {
    let mut rank = BigUint::ZERO;
    let mut count = BigUint::from(1_u8);
    for character in characters {
        rank = rank * character.choices + character.place;
        count *= character.choices;
    }
    if count < BigUint::from(VALUES_MIN) {
        return None;
    }
    let mut rank = walk(keys, &rank, &count)?;
    let start = out.len();
    for character in characters.iter().rev() {
        let place = &rank % character.choices;
        rank /= character.choices;
        let place = u8::try_from(&place).unwrap_or(0);
        out.push(character.first + place);
    }
    out.get_mut(start..)?.reverse();
    Some(())
}

/// A permutation of the numbers below `count`: FF1 over their bits, repeated until the result is below `count` again.
fn walk(keys: &MaskKeys, rank: &BigUint, count: &BigUint) -> Option<BigUint> {
    let width = usize::try_from((count - 1_u8).bits()).ok()?;
    let bits = rank.to_radix_be(2);
    let mut numerals = vec![0; width.checked_sub(bits.len())?];
    numerals.extend(bits.into_iter().map(u16::from));
    for _ in 0..STEPS_MAX {
        numerals = keys.permute(Radix::Binary, numerals)?;
        let bits: Vec<u8> = numerals.iter().map(|&bit| u8::from(bit != 0)).collect();
        let candidate = BigUint::from_radix_be(&bits, 2)?;
        if candidate < *count {
            return Some(candidate);
        }
    }
    None
}

/// The token of an integer: an integer with the same sign and number of digits, that fits an `integer` if and only if the
/// value does. So equal values have equal tokens whether their columns are `integer` or `bigint`.
///
/// `None` for fewer than six digits, and for the one magnitude that has no positive counterpart.
pub(super) fn integer(keys: &MaskKeys, number: i64) -> Option<i64> {
    let magnitude = i64::try_from(number.unsigned_abs()).ok()?;
    let mut numerals: Vec<u16> = magnitude
        .to_string()
        .bytes()
        .map(|digit| u16::from(digit - b'0'))
        .collect();
    for _ in 0..STEPS_MAX {
        numerals = keys.permute(Radix::Decimal, numerals)?;
        let candidate = numerals.iter().try_fold(0_i64, |number, digit| {
            number.checked_mul(10)?.checked_add(i64::from(*digit))
        });
        if let Some(token) = candidate.filter(|token| form(*token) == form(magnitude)) {
            return Some(if number < 0 { -token } else { token });
        }
    }
    None
}

/// What a token of that magnitude must share with it: the number of digits, and whether it fits an `integer`.
fn form(magnitude: i64) -> (Option<u32>, bool) {
    (magnitude.checked_ilog10(), magnitude <= i64::from(i32::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn keys(secret: u8) -> MaskKeys {
        MaskKeys::new("test", &[secret; 32]).expect("keys")
    }

    fn token(keys: &MaskKeys, text: &str) -> Option<String> {
        let mut out = Vec::new();
        let done = append_text(keys, text, &mut out);
        if done.is_none() {
            assert_eq!(out, b"", "nothing is appended without a token");
        }
        done.map(|()| String::from_utf8(out).expect("UTF-8"))
    }

    fn form_of(text: &str) -> Vec<(u8, u8)> {
        text.bytes()
            .map(|byte| {
                let character = Character::of(byte).expect("an ASCII character");
                (character.first, character.choices)
            })
            .collect()
    }

    #[test]
    fn values_without_a_token() {
        let keys = keys(1);
        let longest = "7".repeat(CHARACTERS_MAX);
        assert!(token(&keys, &longest).is_some());
        assert!(token(&keys, &"x".repeat(CHARACTERS_MAX)).is_some());
        for text in [
            "",
            "-",
            "12345",
            "12-34-5",
            "ada",
            "Ada 1",
            "Zoë Lovelace",
            "日本日本日本",
            "123456\n",
            "١٢٣٤٥٦",
            &format!("{longest}7"),
        ] {
            assert_eq!(token(&keys, text), None, "`{text}`");
        }
        for text in ["123456", "1-2-3-4-5-6", "AB-1234", "abcde", "aaa99"] {
            assert!(token(&keys, text).is_some(), "`{text}`");
        }
    }

    /// Exhaustive over a form with a million values: a permutation of it.
    #[test]
    fn tokens_of_one_form_are_a_permutation() {
        let keys = keys(1);
        let mut seen = HashSet::new();
        for number in (0..1_000_000).step_by(97) {
            assert!(seen.insert(token(&keys, &format!("{number:06}"))));
        }
        let mut seen = HashSet::new();
        for number in (100_000..1_000_000).step_by(97) {
            let token = integer(&keys, number).expect("a token");
            assert!((100_000..1_000_000).contains(&token), "{token}");
            assert!(seen.insert(token));
        }
    }

    #[test]
    fn integers_stay_in_the_range_of_their_type() {
        let keys = keys(3);
        for number in [
            1_000_000_000,
            1_999_999_999,
            2_147_483_647,
            -2_147_483_647,
            123_456,
        ] {
            let token = integer(&keys, number).expect("a token");
            assert!(i32::try_from(token).is_ok(), "{number} gives {token}");
        }
        for number in [2_147_483_648, 9_999_999_999, i64::MAX, -i64::MAX] {
            let token = integer(&keys, number).expect("a token");
            assert!(i32::try_from(token).is_err(), "{number} gives {token}");
            assert_eq!(token.signum(), number.signum());
        }
        for number in [0, 1, -1, 99_999, -99_999, i64::MIN] {
            assert_eq!(integer(&keys, number), None, "{number}");
        }
    }

    proptest! {
        #[test]
        fn tokens_keep_the_form(text in "[ -~]{0,12}[a-z0-9]{8,20}[ -~]{0,12}") {
            let (one, other) = (keys(1), keys(2));
            let first = token(&one, &text).expect("a token");
            prop_assert_eq!(form_of(&first), form_of(&text));
            prop_assert_eq!(token(&one, &text), Some(first.clone()));
            prop_assert_ne!(&first, &text);
            prop_assert_ne!(token(&other, &text), Some(first));
        }

        #[test]
        fn different_texts_have_different_tokens(one in "[a-c][0-9]{6}", other in "[a-c][0-9]{6}") {
            let keys = keys(1);
            prop_assert_eq!(token(&keys, &one) == token(&keys, &other), one == other);
        }

        #[test]
        fn any_text_is_safe(text in any::<String>()) {
            if let Some(token) = token(&keys(1), &text) {
                prop_assert_eq!(form_of(&token), form_of(&text));
            }
        }

        #[test]
        fn integers_keep_the_form(number in any::<i64>(), shift in 0_u32..60) {
            let number = number >> shift;
            let (one, other) = (keys(1), keys(2));
            if let Some(token) = integer(&one, number) {
                prop_assert_eq!(token.to_string().len(), number.to_string().len());
                prop_assert_eq!(integer(&one, number), Some(token));
                if number.unsigned_abs() > 1_000_000_000_000 {
                    prop_assert_ne!(integer(&other, number), Some(token));
                }
            } else {
                prop_assert!(number.unsigned_abs() < 100_000 || number == i64::MIN);
            }
        }
    }
}

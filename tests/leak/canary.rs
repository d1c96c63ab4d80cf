//! Canaries: one value for each masked column of each row, and the search for them in whatever disguise SQL, the wire
//! formats or a log could give them.
//!
//! INVARIANT: nothing else that the gateway sends may look like a canary. Words are eight consonants, numbers have ten
//! digits and more, binary needles have eight bytes and more.

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, MatchKind};
use jiff::{ToSpan as _, civil::Date};

use crate::random::Random;

/// Which of two databases that differ in masked values only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// What a masked column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Text,
    Varchar,
    Char,
    Int,
    Bigint,
    Numeric,
    Uuid,
    Date,
    Time,
    Inet,
    Json,
    List,
    Bytes,
    Xml,
    Pair,
    Mail,
}

/// A value as SQL writes it, and what gives it away.
pub(crate) struct Canary {
    pub(crate) literal: String,
    pub(crate) needles: Vec<Needle>,
}

/// Bytes that only this value has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Needle {
    pub(crate) bytes: Vec<u8>,
    pub(crate) told: String,
}

const CONSONANTS: &[u8] = b"bcdfghjklmnpqrstvwxz";
const WORD_LETTERS: usize = 8;
/// How many first letters of a word, or digits of a number, already are a find.
const PART: usize = 7;

fn word(random: &mut Random) -> String {
    (0..WORD_LETTERS)
        .map(|_| char::from(*random.pick(CONSONANTS)))
        .collect()
}

/// Number `number` of a side: the same in each run, so that a reproduction meets the same values.
pub(crate) fn canary(kind: Kind, number: u64, side: Side) -> Canary {
    let salt = match side {
        Side::Left => 1,
        Side::Right => 2,
    };
    let mut random = Random::new(salt, number);
    // Lengths differ between the sides: a length tells of a value too.
    let words: Vec<String> = (0..salt + 1).map(|_| word(&mut random)).collect();
    let joined = words.join("-");
    let spelled = || words.iter().flat_map(|word| text_needles(word)).collect();
    let (literal, needles) = match kind {
        Kind::Text | Kind::Varchar | Kind::Char => (format!("'{joined}'"), spelled()),
        Kind::Mail => (format!("'{joined}@example.org'"), spelled()),
        Kind::List => (
            format!(
                "ARRAY[{}]",
                words
                    .iter()
                    .map(|word| format!("'{word}'"))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
            spelled(),
        ),
        Kind::Bytes => (format!("'{joined}'::bytea"), spelled()),
        Kind::Xml => (format!("'<v>{joined}</v>'::xml"), spelled()),
        Kind::Json | Kind::Pair => {
            let number = bigint(&mut random);
            let mut needles: Vec<Needle> = spelled();
            needles.extend(bigint_needles(number));
            let literal = if kind == Kind::Json {
                format!("'{{\"word\": \"{joined}\", \"number\": {number}}}'::jsonb")
            } else {
                format!("ROW('{joined}', {number})::public.pair")
            };
            (literal, needles)
        }
        Kind::Int => {
            let value = 2_100_000_000 + i32::try_from(random.below(40_000_000)).unwrap();
            (value.to_string(), int_needles(value))
        }
        Kind::Bigint => {
            let value = bigint(&mut random);
            (value.to_string(), bigint_needles(value))
        }
        Kind::Numeric => numeric(&mut random),
        Kind::Uuid => uuid(&mut random),
        Kind::Date => date(&mut random),
        Kind::Time => time(&mut random),
        Kind::Inet => inet(&mut random),
    };
    Canary { literal, needles }
}

fn needle(bytes: impl Into<Vec<u8>>, told: &str, value: &str) -> Needle {
    Needle {
        bytes: bytes.into(),
        told: format!("{told} of {value}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 4648 without padding: what stays the same whatever stands around, at each of the three places in a group.
fn base64_parts(bytes: &[u8]) -> Vec<String> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    (0..3)
        .map(|skipped| {
            let whole = (bytes.len() - skipped) / 3 * 3;
            bytes[skipped..skipped + whole]
                .chunks_exact(3)
                .flat_map(|group| {
                    let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
                    [18, 12, 6, 0].map(|shift| char::from(ALPHABET[(bits >> shift & 63) as usize]))
                })
                .collect()
        })
        .collect()
}

/// The search ignores case, so that upper, lower and capital letters are one needle.
fn text_needles(word: &str) -> Vec<Needle> {
    let part = &word[..PART];
    let backwards: String = part.chars().rev().collect();
    let mut found = vec![
        needle(part, "text", word),
        needle(backwards.clone(), "reverse", word),
        needle(hex(part.as_bytes()), "hex", word),
        needle(hex(part.to_uppercase().as_bytes()), "hex of upper", word),
        needle(hex(backwards.as_bytes()), "hex of reverse", word),
    ];
    for written in [word.to_owned(), word.to_uppercase()] {
        found.extend(
            base64_parts(written.as_bytes())
                .into_iter()
                .map(|part| needle(part, "base64", word)),
        );
    }
    // Letters as numbers: ascii() of each, as a list.
    let codes: Vec<String> = part.bytes().map(|byte| byte.to_string()).collect();
    found.push(needle(codes.join(","), "letter codes", word));
    found
}

fn digit_needles(digits: &str) -> Vec<Needle> {
    let backwards: String = digits.chars().rev().collect();
    vec![
        needle(digits, "digits", digits),
        needle(backwards, "reverse", digits),
        needle(hex(digits.as_bytes()), "hex", digits),
    ]
}

fn grouped(digits: &str) -> String {
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn int_needles(value: i32) -> Vec<Needle> {
    let digits = value.to_string();
    let mut found = digit_needles(&digits);
    found.push(needle(grouped(&digits), "grouped digits", &digits));
    // Four bytes alone could come by chance: with the length before them, as a row carries them.
    let binary = [&4_i32.to_be_bytes()[..], &value.to_be_bytes()].concat();
    found.push(needle(binary, "binary", &digits));
    found
}

fn bigint(random: &mut Random) -> i64 {
    i64::try_from(7_000_000_000_000_000_000 + random.next() % 2_000_000_000_000_000_000).unwrap()
}

fn bigint_needles(value: i64) -> Vec<Needle> {
    let digits = value.to_string();
    let mut found = digit_needles(&digits[..12]);
    found.push(needle(
        grouped(&digits)[..15].to_owned(),
        "grouped digits",
        &digits,
    ));
    found.push(needle(value.to_be_bytes(), "binary", &digits));
    found.push(needle(format!("{value:x}"), "to_hex", &digits));
    found
}

fn numeric(random: &mut Random) -> (String, Vec<Needle>) {
    // Groups of ten thousand, none of which begins or ends with a zero: the binary form has them as they stand here.
    let groups: Vec<u16> = (0..5)
        .map(|_| 1_000 + u16::try_from(random.below(8_999)).unwrap() / 10 * 10 + 1)
        .collect();
    let text: Vec<String> = groups.iter().map(u16::to_string).collect();
    let literal = format!("{}{}{}.{}{}", text[0], text[1], text[2], text[3], text[4]);
    let mut needles = digit_needles(&literal[..12]);
    needles.push(needle(grouped(&literal[..12]), "grouped digits", &literal));
    let binary: Vec<u8> = groups[..4]
        .iter()
        .flat_map(|group| group.to_be_bytes())
        .collect();
    needles.push(needle(binary, "binary", &literal));
    (literal, needles)
}

fn uuid(random: &mut Random) -> (String, Vec<Needle>) {
    let bytes = [random.next().to_be_bytes(), random.next().to_be_bytes()].concat();
    let digits = hex(&bytes);
    let text = format!(
        "{}-{}-{}-{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..]
    );
    let needles = vec![
        needle(&text[..18], "text", &text),
        needle(&text[19..], "text", &text),
        needle(&digits[..16], "digits", &text),
        needle(&bytes[..8], "binary", &text),
        needle(&bytes[8..], "binary", &text),
        needle(hex(&text.as_bytes()[..12]), "hex", &text),
    ];
    (format!("'{text}'"), needles)
}

/// Between the years 4000 and 9000, where no clock is.
fn far_day(random: &mut Random) -> (Date, i64) {
    let days = 730_500 + i64::try_from(random.below(1_800_000)).unwrap();
    let day = Date::constant(2000, 1, 1).checked_add(days.days()).unwrap();
    (day, days)
}

fn date(random: &mut Random) -> (String, Vec<Needle>) {
    let (day, days) = far_day(random);
    let text = day.to_string();
    let (year, month, date) = (day.year(), day.month(), day.day());
    let days = i32::try_from(days).unwrap();
    let needles = vec![
        needle(text.clone(), "text", &text),
        needle(format!("{month:02}/{date:02}/{year}"), "text", &text),
        needle(format!("{date:02}.{month:02}.{year}"), "text", &text),
        needle(format!("{month:02}-{date:02}-{year}"), "text", &text),
        needle(
            [&4_i32.to_be_bytes()[..], &days.to_be_bytes()].concat(),
            "binary",
            &text,
        ),
    ];
    (format!("'{text}'"), needles)
}

fn time(random: &mut Random) -> (String, Vec<Needle>) {
    let (day, days) = far_day(random);
    let micros = i64::try_from(random.below(86_400_000_000)).unwrap() / 10 * 10 + 3;
    let binary = days * 86_400_000_000 + micros;
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    // A time zone changes the hour, never the rest.
    let rest = format!(
        ":{:02}:{:02}.{fraction:06}",
        seconds / 60 % 60,
        seconds % 60
    );
    let text = format!("{day} {:02}{rest}", seconds / 3600);
    let needles = vec![
        needle(rest, "text", &text),
        needle(binary.to_be_bytes(), "binary", &text),
    ];
    (format!("'{text}+00'"), needles)
}

fn inet(random: &mut Random) -> (String, Vec<Needle>) {
    let groups: Vec<u16> = (0..8)
        .map(|_| 0x1000 + u16::try_from(random.below(0xefff)).unwrap())
        .collect();
    let text: Vec<String> = groups.iter().map(|group| format!("{group:04x}")).collect();
    let text = text.join(":");
    let bytes: Vec<u8> = groups
        .iter()
        .flat_map(|group| group.to_be_bytes())
        .collect();
    let needles = vec![
        needle(&text[..19], "text", &text),
        needle(&text[20..], "text", &text),
        needle(&bytes[..8], "binary", &text),
        needle(hex(&bytes[..8]), "hex", &text),
    ];
    (format!("'{text}'"), needles)
}

/// Looks for every canary at once.
pub(crate) struct Search {
    automaton: AhoCorasick,
    needles: Vec<Needle>,
}

impl Search {
    pub(crate) fn new(canaries: impl IntoIterator<Item = Canary>) -> Self {
        let needles: BTreeSet<Needle> = canaries
            .into_iter()
            .flat_map(|canary| canary.needles)
            .collect();
        let needles: Vec<Needle> = needles.into_iter().collect();
        for needle in &needles {
            assert!(
                needle.bytes.len() >= PART,
                "{needle:?} could come by chance"
            );
        }
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostFirst)
            .build(needles.iter().map(|needle| &needle.bytes))
            .unwrap();
        Self { automaton, needles }
    }

    /// What gives a canary away in these bytes, each once.
    pub(crate) fn find(&self, bytes: &[u8]) -> BTreeSet<&str> {
        self.automaton
            .find_iter(bytes)
            .map(|found| self.needles[found.pattern().as_usize()].told.as_str())
            .collect()
    }
}

//! A text without its constants: what two texts have in common that differ in nothing but the values of numbers and strings.
//!
//! Must never call something a constant that the grammar reads as anything else: in doubt it stays in the skeleton, byte for byte, or the
//! text has none.

use std::ops::Range;

/// Longest text that has a skeleton, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 1024;
/// Most constants of a text that has one.
const CONSTANTS_MAX: usize = 64;
/// Most digits of a number that is taken for one: whatever they are, PostgreSQL reads an `integer`.
const DIGITS_MAX: usize = 9;

/// A text's bytes with its constants blanked, and where those are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Skeleton {
    /// As long as the text: what is blanked keeps its length, so that everything else keeps its place.
    pub(super) bytes: Box<[u8]>,
    pub(super) constants: Vec<Constant>,
}

/// A constant's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Constant {
    /// Digits, or what is between a string's quotes.
    pub(super) span: Range<usize>,
    pub(super) kind: Kind,
}

/// What kind of constant it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One to nine digits.
    Number,
    /// A plain string: no prefix, no doubled quote, not empty.
    String,
}

impl Skeleton {
    /// A text's, if it is short, plain and has constants.
    ///
    /// Plain is ASCII without backslashes, comments, and dollars outside of strings: there, quotes are what they look like, to both
    /// readers and whatever the server's settings.
    pub(super) fn of(text: &str) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX || !text.is_ascii() {
            return None;
        }
        let mut reader = Reader {
            text: text.as_bytes(),
            bytes: text.as_bytes().into(),
            constants: Vec::new(),
        };
        let mut at = 0;
        while at < text.len() {
            at = reader.step(at)?;
        }
        (!reader.constants.is_empty()).then_some(Self {
            bytes: reader.bytes,
            constants: reader.constants,
        })
    }
}

struct Reader<'t> {
    text: &'t [u8],
    bytes: Box<[u8]>,
    constants: Vec<Constant>,
}

impl Reader<'_> {
    /// Reads what begins at `at`; where the next thing begins. `None`: the text is not plain.
    fn step(&mut self, at: usize) -> Option<usize> {
        let byte = self.byte(at)?;
        match byte {
            // Not only quotes of dollars: `1$` and `a$` are no plain things either.
            b'\\' | b'$' | b'\0' => None,
            b'-' if self.byte(at + 1) == Some(b'-') => None,
            b'/' if self.byte(at + 1) == Some(b'*') => None,
            b'"' => self.quoted(at, b'"').map(|(end, _)| end),
            b'\'' => {
                let (end, is_plain) = self.quoted(at, b'\'')?;
                // `E'`, `U&'` and their like, and the second half of a string in two halves, are no plain strings.
                let is_prefixed = at
                    .checked_sub(1)
                    .and_then(|before| self.byte(before))
                    .is_some_and(|before| is_word(before) || matches!(before, b'&' | b'"'));
                if is_plain && !is_prefixed {
                    self.take(at + 1..end - 1, Kind::String)?;
                }
                Some(end)
            }
            byte if is_word(byte) || byte == b'.' => {
                let rest = self.text.get(at..)?;
                let length = rest
                    .iter()
                    .position(|byte| !(is_word(*byte) || *byte == b'.'))
                    .unwrap_or(rest.len());
                let word = rest.get(..length)?;
                if length <= DIGITS_MAX && word.iter().all(u8::is_ascii_digit) {
                    self.take(at..at + length, Kind::Number)?;
                }
                Some(at + length)
            }
            _ => Some(at + 1),
        }
    }

    /// The end of what is quoted from `at` on, and whether nothing in it is special. `None`: it has no end, or holds a backslash.
    fn quoted(&self, at: usize, quote: u8) -> Option<(usize, bool)> {
        let mut is_plain = true;
        let mut end = at + 1;
        loop {
            match self.byte(end)? {
                b'\\' | b'\0' => return None,
                byte if byte == quote && self.byte(end + 1) == Some(quote) => {
                    is_plain = false;
                    end += 2;
                }
                byte if byte == quote => return Some((end + 1, is_plain && end > at + 1)),
                _ => end += 1,
            }
        }
    }

    fn take(&mut self, span: Range<usize>, kind: Kind) -> Option<()> {
        if self.constants.len() == CONSTANTS_MAX {
            return None;
        }
        self.bytes.get_mut(span.clone())?.fill(b'0');
        self.constants.push(Constant { span, kind });
        Some(())
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }
}

/// Whether names, keywords and numbers are made of it.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text's constants, or that it has no skeleton.
    fn check(text: &str, expected: Option<&[&str]>) {
        let skeleton = Skeleton::of(text);
        let found = skeleton.as_ref().map(|skeleton| {
            let spans = skeleton.constants.iter().map(|one| one.span.clone());
            spans.map(|span| &text[span]).collect::<Vec<_>>()
        });
        assert_eq!(found.as_deref(), expected, "{text}");
    }

    #[test]
    fn numbers_and_plain_strings_are_constants() {
        check("SELECT a FROM t WHERE b=4711", Some(&["4711"]));
        check("VALUES (1,22 , 'x y',-3)", Some(&["1", "22", "x y", "3"]));
        check(
            "SELECT 'a--b', 'c/*d', 'e$f'",
            Some(&["a--b", "c/*d", "e$f"]),
        );
        check("SELECT \"it's 1\", 2", Some(&["2"]));
        check("SELECT 'say \"5\"'", Some(&["say \"5\""]));
    }

    #[test]
    fn what_may_be_something_else_stays() {
        check("SELECT t1.a2 FROM t1 WHERE x_3 = 5", Some(&["5"]));
        check(
            "SELECT 1.5, .5, 5., 1e5, 0x1f, 1_000, 12ab, 1234567890, 7",
            Some(&["7"]),
        );
        check("SELECT 'it''s 1', '', 8", Some(&["8"]));
        check("SELECT E'a', U&'b', N'c', X'1f', \"q\"'d', 9", Some(&["9"]));
    }

    #[test]
    fn what_is_not_plain_has_no_skeleton() {
        for text in [
            "SELECT a FROM t",
            "",
            "SELECT 1 -- 2",
            "SELECT /* 1 */ 2",
            "SELECT 'a\\'",
            "SELECT $1, 2",
            "SELECT $a$1$a$, 2",
            "SELECT a$1, 2",
            "SELECT 1, 'open",
            "SELECT 1, \"open",
            "SELECT 1, 'ü'",
            "SELECT 1\0",
        ] {
            check(text, None);
        }
        check(&format!("SELECT 1{}", " ".repeat(TEXT_BYTES_MAX)), None);
        check(&"1 ".repeat(CONSTANTS_MAX + 1), None);
    }

    #[test]
    fn one_skeleton_is_one_text_but_for_constants() {
        let of = |text| Skeleton::of(text).map(|skeleton| skeleton.bytes);
        assert_eq!(of("SELECT 'a', 1"), of("SELECT 'b', 2"));
        for (one, other) in [
            ("SELECT 1", "SELECT 10"),
            ("SELECT 1", "SELECT  1"),
            ("SELECT 'a'", "SELECT 'ab'"),
            ("SELECT '0'", "SELECT 000"),
            ("SELECT a, 1", "SELECT b, 1"),
        ] {
            assert_ne!(of(one), of(other), "{one} | {other}");
        }
    }
}

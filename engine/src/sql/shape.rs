//! The fingerprint of a statement's shape, from its tokens: constants, parameters, comments and spacing left out, lists of
//! constants alike whatever their length. Must never tell of a constant: evidence shows it where texts are hidden.

use std::{ops::Range, sync::Arc};

use pg_query::protobuf::Token;

use super::authority::is_literal;

/// What stands for a constant, a parameter or a list of them.
const CONSTANT: &[u8] = b"?";
/// Between two tokens, so that they can't be read as one.
const BETWEEN: u8 = 0;

/// 16 hex digits: the same for texts of one shape. `tokens` are those of the statement alone.
pub(super) fn fingerprint(text: &str, tokens: &[(Range<usize>, Token)]) -> Arc<str> {
    let mut shape = Shape {
        written: Vec::with_capacity(text.len().saturating_add(tokens.len())),
        starts: Vec::with_capacity(tokens.len()),
    };
    for (range, token) in tokens {
        match token {
            Token::SqlComment | Token::CComment => {}
            Token::Param => shape.constant(),
            token if is_literal(*token) => shape.constant(),
            _ => shape.word(text.get(range.clone()).unwrap_or_default()),
        }
    }
    shape.finish()
}

/// The words of a shape so far.
struct Shape {
    written: Vec<u8>,
    /// Where each of the words starts.
    starts: Vec<usize>,
}

impl Shape {
    fn push(&mut self, word: &[u8]) {
        self.starts.push(self.written.len());
        self.written.extend_from_slice(word);
        self.written.push(BETWEEN);
    }

    /// A keyword, name or sign; what is not quoted is folded.
    fn word(&mut self, word: &str) {
        self.push(word.as_bytes());
        if !word.starts_with('"')
            && let Some(start) = self.starts.last()
            && let Some(written) = self.written.get_mut(*start..)
        {
            written.make_ascii_lowercase();
        }
        // `(?), (?)` is `(?)`: rows of VALUES.
        if word == ")" && self.ends_with(&[b"(", CONSTANT, b")", b",", b"(", CONSTANT, b")"]) {
            self.shorten(4);
        }
    }

    fn constant(&mut self) {
        self.push(CONSTANT);
        if self.ends_with(&[CONSTANT, b",", CONSTANT]) {
            self.shorten(2);
        }
    }

    fn ends_with(&self, words: &[&[u8]]) -> bool {
        let mut end = self.written.len();
        words.len() <= self.starts.len()
            && words
                .iter()
                .rev()
                .zip(self.starts.iter().rev())
                .all(|(word, start)| {
                    let found = self.written.get(*start..end.saturating_sub(1));
                    end = *start;
                    found == Some(*word)
                })
    }

    /// Takes the last words back.
    fn shorten(&mut self, words: usize) {
        let kept = self.starts.len().saturating_sub(words);
        if let Some(start) = self.starts.get(kept) {
            self.written.truncate(*start);
        }
        self.starts.truncate(kept);
    }

    fn finish(mut self) -> Arc<str> {
        while self.ends_with(&[b";"]) {
            self.shorten(1);
        }
        let digest = blake3::hash(&self.written);
        let mut digits = [0; 16];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(digest.as_bytes()) {
            let digit = |value: u8| {
                if value < 10 {
                    b'0' + value
                } else {
                    b'a' - 10 + value
                }
            };
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        std::str::from_utf8(&digits).unwrap_or_default().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::authority::tokens;

    fn of(text: &str) -> Arc<str> {
        fingerprint(text, &tokens(text).unwrap())
    }

    #[test]
    fn texts_of_one_shape_agree() {
        for (one, other) in [
            ("SELECT 1", "select  2 -- comment\n;"),
            (
                "SELECT * FROM t WHERE a = 'x'",
                "SELECT * FROM T WHERE a = $1",
            ),
            (
                "SELECT a FROM t WHERE b IN (1, 2, 3)",
                "SELECT a FROM t WHERE b IN (4)",
            ),
            (
                "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
                "INSERT INTO t VALUES ($1, $2)",
            ),
            ("SELECT E'\\n', X'1F', 1.5", "SELECT 'a'"),
        ] {
            assert_eq!(of(one), of(other), "{one} | {other}");
        }
    }

    #[test]
    fn texts_of_other_shapes_differ() {
        for (one, other) in [
            ("SELECT a FROM t", "SELECT b FROM t"),
            ("SELECT a FROM t", "SELECT a FROM \"T\""),
            ("SELECT a, b FROM t", "SELECT a b FROM t"),
            ("SELECT ab FROM t", "SELECT a b FROM t"),
            ("SELECT '?' FROM t", "SELECT \"?\" FROM t"),
            ("SELECT f(1)", "SELECT f(1, a)"),
            ("SELECT 1 FROM t", "SELECT 1 FROM t, (SELECT 1) u"),
        ] {
            assert_ne!(of(one), of(other), "{one} | {other}");
        }
        assert_eq!(of("SELECT 1").len(), 16);
    }
}

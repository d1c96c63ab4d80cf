//! The canonical form of a JSON document: what OPA hashes in place of a structured file's bytes.
//!
//! Members are sorted by the bytes of their names, white space is gone, numbers stay as written, strings are escaped the way
//! Go's encoder does with HTML escaping off. It must never give two documents of different meaning the same form: a name that
//! stands twice in an object is refused.
//!
//! # Source
//! Open Policy Agent, "Signature verification"; package `bundle`, hashing of structured files.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde_json::{Error, Number};

/// How deep values may nest; deeper ones are refused.
const DEPTH_MAX: usize = 64;

/// The canonical form of a document.
///
/// # Errors
/// Where `text` is not JSON, nests too deep, or names a member twice.
pub(super) fn canonical(text: &str) -> Result<String, Error> {
    let mut reader = Reader { rest: text };
    let mut out = String::with_capacity(text.len());
    reader.value(0, &mut out)?;
    reader.skip_space();
    if reader.rest.is_empty() {
        Ok(out)
    } else {
        Err(Error::custom("text after the document"))
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Takes `expected` if it is next.
    fn takes(&mut self, expected: char) -> bool {
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes the longest start whose characters are `wanted`.
    fn run(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self
            .rest
            .find(|character| !wanted(character))
            .unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        run
    }

    fn value(&mut self, depth: usize, out: &mut String) -> Result<(), Error> {
        if depth > DEPTH_MAX {
            return Err(Error::custom("it nests too deep"));
        }
        self.skip_space();
        match self.rest.chars().next() {
            Some('{') => self.object(depth, out),
            Some('[') => self.array(depth, out),
            Some('"') => {
                let text = self.string()?;
                push_string(&text, out)
            }
            Some('-' | '0'..='9') => {
                let number = self.run(|character| {
                    character.is_ascii_digit() || matches!(character, '+' | '-' | '.' | 'e' | 'E')
                });
                // Read for its grammar only: the form keeps the digits as they were written.
                serde_json::from_str::<Number>(number)?;
                out.push_str(number);
                Ok(())
            }
            _ => {
                let word = self.run(|character| character.is_ascii_lowercase());
                if !matches!(word, "true" | "false" | "null") {
                    return Err(Error::custom("a value is missing or wrong"));
                }
                out.push_str(word);
                Ok(())
            }
        }
    }

    fn object(&mut self, depth: usize, out: &mut String) -> Result<(), Error> {
        self.takes('{');
        let mut members: BTreeMap<String, String> = BTreeMap::new();
        self.skip_space();
        if !self.takes('}') {
            loop {
                self.skip_space();
                let name = self.string()?;
                self.skip_space();
                if !self.takes(':') {
                    return Err(Error::custom("`:` is missing"));
                }
                let mut value = String::new();
                self.value(depth + 1, &mut value)?;
                if members.insert(name, value).is_some() {
                    return Err(Error::custom("a name stands twice in an object"));
                }
                self.skip_space();
                if self.takes('}') {
                    break;
                }
                if !self.takes(',') {
                    return Err(Error::custom("`,` or `}` is missing"));
                }
            }
        }
        out.push('{');
        for (position, (name, value)) in members.iter().enumerate() {
            if position > 0 {
                out.push(',');
            }
            push_string(name, out)?;
            out.push(':');
            out.push_str(value);
        }
        out.push('}');
        Ok(())
    }

    fn array(&mut self, depth: usize, out: &mut String) -> Result<(), Error> {
        self.takes('[');
        out.push('[');
        self.skip_space();
        if !self.takes(']') {
            loop {
                self.value(depth + 1, out)?;
                self.skip_space();
                if self.takes(']') {
                    break;
                }
                if !self.takes(',') {
                    return Err(Error::custom("`,` or `]` is missing"));
                }
                out.push(',');
            }
        }
        out.push(']');
        Ok(())
    }

    /// A string with its escapes resolved.
    fn string(&mut self) -> Result<String, Error> {
        let mut escaped = false;
        let mut characters = self.rest.char_indices();
        if !matches!(characters.next(), Some((_, '"'))) {
            return Err(Error::custom("a string is missing"));
        }
        let end = characters.find(|(_, character)| {
            let ends = *character == '"' && !escaped;
            escaped = *character == '\\' && !escaped;
            ends
        });
        let Some((token, rest)) = end.and_then(|(at, _)| self.rest.split_at_checked(at + 1)) else {
            return Err(Error::custom("a string does not end"));
        };
        self.rest = rest;
        serde_json::from_str(token)
    }
}

/// As Go's encoder writes it: like serde's but for the two line separators.
fn push_string(text: &str, out: &mut String) -> Result<(), Error> {
    let written = serde_json::to_string(text)?;
    for character in written.chars() {
        match character {
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            other => out.push(other),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let form = canonical(text).unwrap_or_else(|error| format!("refused: {error}"));
        assert_eq!(form, expected, "{text}");
    }

    #[test]
    fn documents_have_one_form() {
        check(" { } ", "{}");
        check("[ ]", "[]");
        check("[1, 2 ,3]", "[1,2,3]");
        check(
            "{\"b\": {\"z\": null, \"a\": true},\n \"a\" : [false]}",
            r#"{"a":[false],"b":{"a":true,"z":null}}"#,
        );
        // Sorted by bytes, not by letters' cases or lengths.
        check(
            r#"{"aa":1,"a":2,"B":3,"é":4}"#,
            r#"{"B":3,"a":2,"aa":1,"é":4}"#,
        );
        // Numbers as they were written, beyond what a double holds.
        check(
            "[1.0, -0, 1E3, 123.45678911111111111111111111]",
            "[1.0,-0,1E3,123.45678911111111111111111111]",
        );
        // Escapes: only those that Go writes with HTML escaping off.
        check(
            r#""\u0041\u00e9\/<>&\u2028\n\u0001\"\\\ud83d\ude00""#,
            "\"Aé/<>&\\u2028\\n\\u0001\\\"\\\\😀\"",
        );
        check(r#"{"\u0061":1}"#, r#"{"a":1}"#);
    }

    #[test]
    fn what_has_no_form_is_refused() {
        for text in [
            "",
            "{",
            "[",
            "\"",
            "\"\\",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "[1,]",
            "[1 2]",
            "01",
            "1.",
            "+1",
            "nul",
            "True",
            "{} {}",
            "{a:1}",
            "'a'",
            "\"\u{1}\"",
            "\"\\ud800\"",
            "\u{feff}{}",
            "a: 1",
        ] {
            assert!(canonical(text).is_err(), "{text:?}");
        }
        check(
            r#"{"a":1,"\u0061":2}"#,
            "refused: a name stands twice in an object",
        );
        let deep = "[".repeat(100) + &"]".repeat(100);
        check(&deep, "refused: it nests too deep");
    }
}

//! Replication connections: what a start-up asks for, and what of a simple Query is a command and no SQL.
//!
//! Must never take for SQL what a server takes for a command, nor the other way round where it matters: see [`read`].

/// What a start-up message asks for by its parameter `replication`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replication {
    /// The whole cluster's log, and base backups. No database is connected to: no SQL runs.
    Physical,
    /// One database: decoded changes, and SQL beside the commands.
    Logical,
}

impl Replication {
    /// The value that asks a server for it.
    #[must_use]
    pub const fn value(self) -> &'static str {
        match self {
            Self::Physical => "true",
            Self::Logical => "database",
        }
    }

    /// Its name in evidence and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Physical => "physical",
            Self::Logical => "logical",
        }
    }

    /// Reads the parameter's value; `None` inside is a plain connection.
    ///
    /// # Errors
    /// The value is none that a server takes.
    ///
    /// # Source
    /// PostgreSQL 15, `ProcessStartupPacket` in `src/backend/postmaster/postmaster.c` and `parse_bool`: `database` as it is, else a
    /// boolean in any case, of which the beginning is enough where it is clear.
    pub fn from_value(value: &str) -> Result<Option<Self>, InvalidValue> {
        if value == "database" {
            return Ok(Some(Self::Logical));
        }
        let lower = value.to_ascii_lowercase();
        let begins = |word: &str| !lower.is_empty() && word.starts_with(&*lower);
        if begins("true") || begins("yes") || lower == "on" || lower == "1" {
            return Ok(Some(Self::Physical));
        }
        if begins("false") || begins("no") || lower == "off" || lower == "of" || lower == "0" {
            return Ok(None);
        }
        Err(InvalidValue)
    }
}

/// The value of `replication` is none that a server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`replication` is `false`, `true` or `database`")]
pub struct InvalidValue;

/// What the text of a simple Query is to a server that replicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// A command that takes data from the client once the server says so.
    TakesData,
    /// A command that only answers.
    Answers,
    /// `SHOW`: the same in both grammars, but for what only SQL's knows, which fails.
    Show,
    /// SQL, or nothing that a server understands.
    Sql,
}

/// The commands that begin so. No SQL statement begins with one of these words.
const COMMANDS: [(&str, Text); 9] = [
    ("IDENTIFY_SYSTEM", Text::Answers),
    ("BASE_BACKUP", Text::Answers),
    ("START_REPLICATION", Text::TakesData),
    ("CREATE_REPLICATION_SLOT", Text::Answers),
    ("DROP_REPLICATION_SLOT", Text::Answers),
    ("READ_REPLICATION_SLOT", Text::Answers),
    ("ALTER_REPLICATION_SLOT", Text::Answers),
    ("TIMELINE_HISTORY", Text::Answers),
    ("UPLOAD_MANIFEST", Text::TakesData),
];

/// Tells commands from SQL, by the first word.
///
/// A server takes a text for a command exactly where its first word is one of its own in capitals, and then runs nothing else of it:
/// whatever stands behind the one command is a syntax error, another statement too. Here the words count in any case, and those of
/// later majors do: no SQL begins so, and a server that does not know the word says so. `SHOW` is both: in small letters it is SQL.
///
/// # Source
/// PostgreSQL 18, `replication_scanner_is_replication_command` in `src/backend/replication/repl_scanner.l`: white space is skipped,
/// comments are not; 13 and 14 parse the whole text by `repl_gram.y`, where a text that begins with any other identifier is SQL.
#[must_use]
pub fn read(text: &[u8]) -> Text {
    let word = first_word(text);
    if word == b"SHOW" {
        return Text::Show;
    }
    COMMANDS
        .iter()
        .find(|(command, _)| word.eq_ignore_ascii_case(command.as_bytes()))
        .map_or(Text::Sql, |(_, text)| *text)
}

/// The identifier that a text begins with, behind white space; empty where it begins with anything else.
fn first_word(text: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c');
    let begin = text
        .iter()
        .position(|byte| !is_space(byte))
        .unwrap_or(text.len());
    let text = text.get(begin..).unwrap_or_default();
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80;
    if !text.first().is_some_and(|first| is_letter(*first)) {
        return &[];
    }
    let end = text
        .iter()
        .position(|byte| !is_letter(*byte) && !byte.is_ascii_digit() && *byte != b'$')
        .unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{InvalidValue, Replication, Text, read};

    #[test]
    fn the_first_word_tells_a_command() {
        for (text, expected) in [
            ("IDENTIFY_SYSTEM", Text::Answers),
            ("IDENTIFY_SYSTEM;", Text::Answers),
            ("identify_system", Text::Answers),
            (" \t\r\n\x0b\x0cBASE_BACKUP (LABEL 'x')", Text::Answers),
            ("BASE_BACKUP(LABEL 'x')", Text::Answers),
            ("IDENTIFY_SYSTEM; DROP TABLE t", Text::Answers),
            ("START_REPLICATION SLOT s PHYSICAL 0/0", Text::TakesData),
            ("UPLOAD_MANIFEST", Text::TakesData),
            ("SHOW wal_segment_size", Text::Show),
            ("SHOW", Text::Show),
            ("show wal_segment_size", Text::Sql),
            ("Show x", Text::Sql),
            ("SHOWX", Text::Sql),
            ("", Text::Sql),
            (";IDENTIFY_SYSTEM", Text::Sql),
            ("/* x */ IDENTIFY_SYSTEM", Text::Sql),
            ("-- x\nIDENTIFY_SYSTEM", Text::Sql),
            ("\"IDENTIFY_SYSTEM\"", Text::Sql),
            ("'IDENTIFY_SYSTEM'", Text::Sql),
            ("IDENTIFY_SYSTEM1", Text::Sql),
            ("IDENTIFY_SYSTEM$", Text::Sql),
            ("IDENTIFY_SYSTEM\u{e9}", Text::Sql),
            ("\u{feff}IDENTIFY_SYSTEM", Text::Sql),
            ("\u{a0}IDENTIFY_SYSTEM", Text::Sql),
            ("SELECT 1", Text::Sql),
            ("SELECT 1; IDENTIFY_SYSTEM", Text::Sql),
            ("1IDENTIFY_SYSTEM", Text::Sql),
            ("START_ REPLICATION", Text::Sql),
        ] {
            assert_eq!(read(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(read(b"\xff\xfe"), Text::Sql);
    }

    #[test]
    fn the_parameter_is_read_as_a_server_reads_it() {
        for (values, expected) in [
            (&["database"][..], Ok(Some(Replication::Logical))),
            (
                &["true", "t", "TRUE", "tr", "yes", "y", "on", "ON", "1"],
                Ok(Some(Replication::Physical)),
            ),
            (&["false", "f", "no", "n", "off", "of", "0"], Ok(None)),
            (
                &[
                    "", "o", "DATABASE", "databas", "2", "10", "trues", " true", "\u{131}",
                ],
                Err(InvalidValue),
            ),
        ] {
            for value in values {
                assert_eq!(Replication::from_value(value), expected, "{value}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text: Vec<u8>) {
            let _ = read(&text);
        }
    }
}

//! Server text for principals that a mask binds, rebuilt from SQLSTATE and identifiers (ruling 1).
//!
//! Must never pass on MESSAGE, DETAIL, HINT, CONTEXT or a payload: each can carry values. `UPDATE t SET name = NULL` prints
//! whole rows in its DETAIL, and a deferred constraint speaks at COMMIT.

use bytes::{BufMut, BytesMut};

use crate::protocol::{
    backend,
    frame::{self, Error},
};

mod conditions;

/// What DETAIL says instead.
const WITHHELD: &str = "the server's own text is withheld because it can carry masked values";

/// Fields that are kept: severity, SQLSTATE, schema, table, column, data type, constraint, position in the statement.
const KEPT: &[u8] = b"SVCstcdnP";

/// Appends an ErrorResponse (`E`) or NoticeResponse (`N`) rebuilt from `fields`.
pub(crate) fn write_scrubbed(out: &mut BytesMut, kind: u8, fields: &[(u8, &[u8])]) {
    let sqlstate = sqlstate(fields);
    let message = message(&sqlstate, fields);
    let rebuilt = fields
        .iter()
        .filter(|(code, _)| KEPT.contains(code))
        .map(|(code, text)| match code {
            b'C' => (*code, sqlstate.as_bytes()),
            b'S' | b'V' if !is_word(text) => (*code, severity(kind)),
            _ => (*code, *text),
        })
        .chain([(b'M', message.as_bytes()), (b'D', WITHHELD.as_bytes())]);
    backend::write_fields(out, kind, rebuilt);
}

/// Whether a severity is one word, in whatever language: another field may have run into it.
fn is_word(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.chars().all(char::is_alphabetic))
}

/// The severity of a message that has none.
const fn severity(kind: u8) -> &'static [u8] {
    match kind {
        b'N' => b"NOTICE",
        _ => b"ERROR",
    }
}

/// Messages that hold nothing but numbers (`#`) and a name that the client gave itself (`@`).
const OF_NUMBERS: &[&str] = &[
    "bind message supplies # parameters, but prepared statement \"@\" requires #",
    "bind message has # parameter formats but # parameters",
    "bind message has # result formats but query has # columns",
];

/// Whether a text is one of [`OF_NUMBERS`].
fn is_of_numbers(text: &str) -> bool {
    OF_NUMBERS.iter().any(|form| {
        let mut rest = text;
        form.split_inclusive(['#', '@']).all(|part| {
            let (fixed, is_open) = match part.strip_suffix(['#', '@']) {
                Some(fixed) => (fixed, true),
                None => (part, false),
            };
            let Some(after) = rest.strip_prefix(fixed) else {
                return false;
            };
            rest = match (is_open, part.ends_with('#')) {
                (false, _) => after,
                (true, true) => after.trim_start_matches(|c: char| c.is_ascii_digit()),
                (true, false) => after.trim_start_matches(|c| c != '"'),
            };
            // A number has digits.
            !part.ends_with('#') || rest.len() < after.len()
        }) && rest.is_empty()
    })
}

/// PostgreSQL's own words where they hold nothing but identifiers that are kept anyway, since drivers and people read
/// them; else the condition's name.
fn message(sqlstate: &str, fields: &[(u8, &[u8])]) -> String {
    let named =
        |code| std::str::from_utf8(field(fields, code).unwrap_or_default()).unwrap_or_default();
    let (table, column, constraint) = (named(b't'), named(b'c'), named(b'n'));
    match sqlstate {
        "23502" if !table.is_empty() && !column.is_empty() => {
            format!(
                "null value in column \"{column}\" of relation \"{table}\" violates not-null constraint"
            )
        }
        "23503" if !constraint.is_empty() => {
            format!("change on table \"{table}\" violates foreign key constraint \"{constraint}\"")
        }
        "23505" if !constraint.is_empty() => {
            format!("duplicate key value violates unique constraint \"{constraint}\"")
        }
        "23514" if !constraint.is_empty() => {
            format!("row for relation \"{table}\" violates check constraint \"{constraint}\"")
        }
        "25P02" => {
            "current transaction is aborted, commands ignored until end of transaction block"
                .to_owned()
        }
        // The server itself says where in its code it speaks: nothing that SQL raises can say so.
        "08P01" if named(b'R') == "exec_bind_message" && is_of_numbers(named(b'M')) => {
            named(b'M').to_owned()
        }
        "57014" => "canceling statement due to user request or a timeout".to_owned(),
        _ => conditions::condition(sqlstate).to_owned(),
    }
}

/// The SQLSTATE of an error; XX000 where it is none.
pub(crate) fn sqlstate(fields: &[(u8, &[u8])]) -> String {
    field(fields, b'C')
        .filter(|code| {
            let is_code = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
            code.len() == 5 && code.iter().all(is_code)
        })
        .and_then(|code| std::str::from_utf8(code).ok())
        .unwrap_or("XX000")
        .to_owned()
}

/// One field of an error.
pub(crate) fn field<'a>(fields: &[(u8, &'a [u8])], wanted: u8) -> Option<&'a [u8]> {
    fields
        .iter()
        .find(|(code, _)| *code == wanted)
        .map(|(_, text)| *text)
}

/// Appends a NotificationResponse without its payload.
///
/// # Errors
/// [`Error::Format`] when `body` isn't one.
pub(crate) fn write_notification(out: &mut BytesMut, body: &[u8]) -> Result<(), Error> {
    let (process, channel, _) = backend::notification(body)?;
    frame::write(out, b'A', |out| {
        out.put_i32(process);
        out.extend_from_slice(channel);
        out.put_slice(b"\0\0");
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::frame::HEADER_BYTES;

    #[test]
    fn keeps_identifiers_and_drops_text() {
        let fields: Vec<(u8, &[u8])> = "SVCMDHPpqWstcdnFLRZ"
            .bytes()
            .map(|code| match code {
                b'C' => (code, &b"23505"[..]),
                b'S' | b'V' => (code, &b"ERROR"[..]),
                b's' | b't' | b'c' | b'd' | b'n' | b'P' => (code, &b"kept"[..]),
                _ => (code, &b"123-45-6789"[..]),
            })
            .collect();
        for kind in [b'E', b'N'] {
            let mut out = BytesMut::new();
            write_scrubbed(&mut out, kind, &fields);
            assert_eq!(out[0], kind);
            assert!(!out.windows(5).any(|window| window == b"45-67"));
            let rebuilt = backend::error_fields(&out[HEADER_BYTES..]).unwrap();
            assert_eq!(
                field(&rebuilt, b'M'),
                Some(&b"duplicate key value violates unique constraint \"kept\""[..])
            );
            assert_eq!(field(&rebuilt, b'D'), Some(WITHHELD.as_bytes()));
            assert_eq!(field(&rebuilt, b'n'), Some(&b"kept"[..]));
            let codes: Vec<u8> = rebuilt.iter().map(|(code, _)| *code).collect();
            assert_eq!(codes, b"SVCPstcdnMD");
        }
    }

    #[test]
    fn a_severity_is_one_word_or_ours() {
        for (kind, given, expected) in [
            (b'E', "FATAL", "FATAL"),
            (b'E', "FEHLER", "FEHLER"),
            (b'E', "ОШИБКА", "ОШИБКА"),
            (b'N', "WARNING", "WARNING"),
            // A broken server's: what should be fields of their own.
            (b'E', "ERROR 123-45-6789", "ERROR"),
            (b'N', "NOTICE1", "NOTICE"),
        ] {
            let fields = [(b'S', given.as_bytes()), (b'V', given.as_bytes())];
            let mut out = BytesMut::new();
            write_scrubbed(&mut out, kind, &fields);
            let rebuilt = backend::error_fields(&out[HEADER_BYTES..]).unwrap();
            for code in *b"SV" {
                assert_eq!(field(&rebuilt, code), Some(expected.as_bytes()), "{given}");
            }
        }
    }

    #[test]
    fn messages_are_rebuilt_from_identifiers() {
        let check = |code: &str, named: &[(u8, &[u8])], expected: &str| {
            let fields: Vec<(u8, &[u8])> = [(b'M', &b"123-45-6789"[..])]
                .into_iter()
                .chain(named.iter().copied())
                .collect();
            assert_eq!(message(code, &fields), expected);
        };
        check(
            "08P01",
            &[(b'R', b"exec_bind_message")],
            "protocol violation",
        );
        let table: (u8, &[u8]) = (b't', b"orders");
        let constraint: (u8, &[u8]) = (b'n', b"orders_key");
        check(
            "23502",
            &[table, (b'c', b"id")],
            "null value in column \"id\" of relation \"orders\" violates not-null constraint",
        );
        check("23502", &[table], "not null violation");
        check(
            "23503",
            &[table, constraint],
            "change on table \"orders\" violates foreign key constraint \"orders_key\"",
        );
        check("23505", &[], "unique violation");
        check(
            "23514",
            &[table, constraint],
            "row for relation \"orders\" violates check constraint \"orders_key\"",
        );
        check("22P02", &[], "invalid text representation");
        check("22P02", &[constraint], "invalid text representation");
    }

    #[test]
    fn a_message_of_numbers_is_kept_where_the_server_itself_gives_it() {
        let check = |text: &str, routine: &str, is_kept: bool| {
            let fields = [(b'M', text.as_bytes()), (b'R', routine.as_bytes())];
            let expected = if is_kept { text } else { "protocol violation" };
            assert_eq!(message("08P01", &fields), expected, "{routine}");
        };
        let server = "exec_bind_message";
        let wrong = "bind message supplies 1 parameters, but prepared statement \"s\" requires 2";
        check(wrong, server, true);
        check(wrong, "exec_stmt_raise", false);
        check(
            "bind message has 1 result formats but query has 2 columns",
            server,
            true,
        );
        check(
            "bind message has 2 parameter formats but 1 parameters",
            server,
            true,
        );
        for text in [
            "bind message has 1 result formats but query has 2 columns of 123-45-6789",
            "bind message has one result formats but query has 2 columns",
            "bind message has  result formats but query has 2 columns",
            "bind message supplies 1 parameters, but prepared statement \"a\"b\" requires 2",
            "",
        ] {
            check(text, server, false);
        }
    }

    #[test]
    fn a_sqlstate_that_is_none_carries_nothing() {
        let mut out = BytesMut::new();
        write_scrubbed(&mut out, b'E', &[(b'C', b"123-45-6789")]);
        assert!(!out.windows(3).any(|window| window == b"123"));
    }

    #[test]
    fn a_notification_loses_its_payload() {
        let mut out = BytesMut::new();
        write_notification(&mut out, b"\0\0\0\x07channel\0secret\0").unwrap();
        assert_eq!(&out[HEADER_BYTES..], b"\0\0\0\x07channel\0\0");
        assert!(write_notification(&mut out, b"\0\0\0\x07channel\0secret").is_err());
    }
}

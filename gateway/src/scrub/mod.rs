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
            _ => (*code, *text),
        })
        .chain([(b'M', message.as_bytes()), (b'D', WITHHELD.as_bytes())]);
    backend::write_fields(out, kind, rebuilt);
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
    fn messages_are_rebuilt_from_identifiers() {
        let check = |code: &str, named: &[(u8, &[u8])], expected: &str| {
            let fields: Vec<(u8, &[u8])> = [(b'M', &b"123-45-6789"[..])]
                .into_iter()
                .chain(named.iter().copied())
                .collect();
            assert_eq!(message(code, &fields), expected);
        };
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

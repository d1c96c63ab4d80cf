//! Decides the settings that a client asks for at start-up, and gives those that go to the server.
//!
//! Each is decided as `SET name TO 'value'` would be (ruling 6). The gateway's own come first: the encoding and the
//! reading of strings are held, whatever a policy says.

use super::{farewell::fatal, options::Setting};
use crate::{
    catalog::Keeper,
    judge::Fatal,
    judgement::{Bench, Wait, setting},
};
use provost_engine::{
    principal::Session,
    reason::{self, StatedReason},
};

/// The setting that says whether held statements wait.
const WAIT: &str = "provost.wait";

/// What a session starts with.
pub(super) struct Decided {
    /// What is sent to the server.
    pub(super) sent: Vec<(String, String)>,
    /// Whether its held statements wait within the open connection.
    pub(super) wait: Wait,
    /// Why its statements must run, where it says so.
    pub(super) reason: Option<StatedReason>,
}

/// Decides.
pub(super) fn decide(
    bench: &Bench,
    keeper: &Keeper,
    session: &Session,
    settings: &[Setting],
) -> Result<Decided, Fatal> {
    let mut sent = Vec::with_capacity(settings.len());
    let mut wait = Wait::default();
    let mut stated_reason = None;
    for Setting { name, value } in settings {
        match name.as_str() {
            "client_encoding" => check_encoding(value)?,
            "standard_conforming_strings" => check_strings(value)?,
            // A rule may allow it to the session; a connection begins as who the gateway is.
            "role" | "session_authorization" => {
                return Err(refused(name, "set it in the session instead"));
            }
            WAIT => wait = read_wait(value)?,
            reason::SETTING => {
                let stated = StatedReason::new(value);
                stated_reason = Some(stated.map_err(|error| refused(name, &error.to_string()))?);
                setting::judge(bench, keeper, session, &text(name, value))
                    .map_err(|reason| refused(name, &reason))?;
            }
            _ if name.starts_with("provost.") => {
                return Err(refused(
                    name,
                    "settings named provost.* are the gateway's own: they tell the server who the principal is",
                ));
            }
            _ => {
                setting::judge(bench, keeper, session, &text(name, value))
                    .map_err(|reason| refused(name, &reason))?;
                sent.push((name.clone(), value.clone()));
            }
        }
    }
    Ok(Decided {
        sent,
        wait,
        reason: stated_reason,
    })
}

/// In PostgreSQL's words for booleans.
fn read_wait(value: &str) -> Result<Wait, Fatal> {
    match value.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Ok(Wait::On),
        "off" | "false" | "no" | "0" => Ok(Wait::Off),
        _ => Err(refused(WAIT, "it is `on` or `off`")),
    }
}

fn refused(name: &str, reason: &str) -> Fatal {
    fatal(
        "42501",
        format!("start-up setting `{name}` is refused: {reason}"),
    )
}

/// The statement that would set it. The name is one that was checked ([`super::options::add`]); standard strings are on.
fn text(name: &str, value: &str) -> String {
    let name: Vec<String> = name.split('.').map(|word| format!("\"{word}\"")).collect();
    format!("SET {} TO '{}'", name.join("."), value.replace('\'', "''"))
}

/// UTF8 in PostgreSQL's own loose spelling. SQL_ASCII, which clients of the C locale ask for, means `no conversion`: such a
/// client gets UTF8, whose bytes are the same.
fn check_encoding(value: &str) -> Result<(), Fatal> {
    let cleaned: String = value
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|each| each.to_ascii_lowercase())
        .collect();
    if ["utf8", "unicode", "sqlascii"].contains(&cleaned.as_str()) {
        return Ok(());
    }
    let shown: String = value
        .chars()
        .take(40)
        .flat_map(char::escape_debug)
        .collect();
    Err(fatal(
        "22023",
        format!(
            "client_encoding `{shown}` is refused: the gateway reads and forwards UTF8 only; set PGCLIENTENCODING=UTF8"
        ),
    ))
}

fn check_strings(value: &str) -> Result<(), Fatal> {
    let lower = value.to_ascii_lowercase();
    if ["on", "true", "yes", "1"].contains(&lower.as_str()) {
        return Ok(());
    }
    Err(fatal(
        "22023",
        "standard_conforming_strings must stay on: what is analysed must be what the server reads",
    ))
}

#[cfg(test)]
mod tests {
    use super::{check_encoding, check_strings, text};

    #[test]
    fn a_value_stays_inside_its_quotes() {
        for (name, value, expected) in [
            ("datestyle", "ISO, MDY", r#"SET "datestyle" TO 'ISO, MDY'"#),
            (
                "a.b",
                "x'; DROP TABLE t; --",
                r#"SET "a"."b" TO 'x''; DROP TABLE t; --'"#,
            ),
            ("role", r"\'", r#"SET "role" TO '\'''"#),
        ] {
            assert_eq!(text(name, value), expected);
        }
    }

    #[test]
    fn only_utf8_and_standard_strings() {
        for value in ["UTF8", "utf-8", "'utf-8'", "UNICODE", "SQL_ASCII"] {
            assert!(check_encoding(value).is_ok(), "{value}");
        }
        for value in ["LATIN1", "utf16", "", "auto", "GB18030", "SJIS"] {
            assert_eq!(
                check_encoding(value).unwrap_err().sqlstate,
                "22023",
                "{value}"
            );
        }
        assert!(check_strings("on").is_ok() && check_strings("TRUE").is_ok());
        assert!(check_strings("off").is_err() && check_strings("").is_err());
    }
}

//! Refusals on the wire: the unguessable name that stands in a refused frame's place, and the error the client reads.
//!
//! A refusal's error is recognised by its name in the server's message, never by order alone.

use bytes::BytesMut;

use crate::{
    judge::{Fatal, Notice, Refused},
    protocol::backend::{self, Severity},
};

/// SQLSTATE of a notice: successful_completion.
const SUCCESSFUL: &str = "00000";

/// What every stand-in's name begins with. No client may use names that begin so.
pub(crate) const PREFIX: &str = "provost_denied_";

/// A session's secret: nobody can make a statement or portal by a name of it.
#[derive(Clone)]
pub struct Token {
    hex: String,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Token(..)")
    }
}

impl Token {
    /// A fresh token.
    ///
    /// # Errors
    /// When the operating system has no randomness to give; then no session can start.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self::from_bytes(bytes))
    }

    /// The token of these bytes.
    #[must_use]
    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self {
            hex: format!("{:032x}", u128::from_be_bytes(bytes)),
        }
    }

    /// Whether a text names a stand-in of this session, whichever.
    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        text.windows(self.hex.len())
            .any(|window| window == self.hex.as_bytes())
    }

    /// The name of the gateway's own questions, 53 bytes: another one after each that failed, since its statement may be left.
    pub(crate) fn own(&self, failed: u32) -> OwnName {
        OwnName(format!("provost_own_{}_{failed:08x}", self.hex))
    }

    /// The stand-in's name for one refusal: 56 bytes, within PostgreSQL's 63, and no SQL statement.
    pub(crate) fn missing(&self, number: u32) -> Missing {
        Missing(format!("{PREFIX}{}_{number:08x}", self.hex))
    }
}

/// The name of the gateway's own statements and portals in a session: nobody else can guess it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnName(String);

impl OwnName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name that nothing has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing(String);

impl Missing {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a server's error message speaks of this name.
    pub(crate) fn is_in(&self, message: &[u8]) -> bool {
        message
            .windows(self.0.len())
            .any(|window| window == self.0.as_bytes())
    }
}

/// Appends the ERROR of a refusal.
pub(crate) fn write_refused(out: &mut BytesMut, refused: &Refused) {
    let position = refused.position.map(|position| position.to_string());
    let optional = [
        (b'D', refused.detail.as_deref()),
        (b'H', refused.hint.as_deref()),
        (b'P', position.as_deref()),
    ];
    let fields: Vec<(u8, &str)> = std::iter::once((b'M', refused.message.as_str()))
        .chain(
            optional
                .into_iter()
                .filter_map(|(code, text)| Some((code, text?))),
        )
        .collect();
    backend::write_error(out, Severity::Error, refused.sqlstate, &fields);
}

/// Appends a notice of the gateway's own.
pub(crate) fn write_notice(out: &mut BytesMut, notice: &Notice) {
    let optional = [
        (b'D', notice.detail.as_deref()),
        (b'H', notice.hint.as_deref()),
    ];
    let optional = optional
        .into_iter()
        .filter_map(|(code, text)| Some((code, text?)));
    let fixed = [
        (b'S', "NOTICE"),
        (b'V', "NOTICE"),
        (b'C', SUCCESSFUL),
        (b'M', notice.message.as_str()),
    ];
    let fields = fixed.into_iter().chain(optional);
    backend::write_fields(
        out,
        b'N',
        fields.map(|(code, text)| (code, text.as_bytes())),
    );
}

/// Appends the FATAL error that ends a session.
pub(crate) fn write_fatal(out: &mut BytesMut, fatal: &Fatal) {
    backend::write_error(
        out,
        Severity::Fatal,
        fatal.sqlstate,
        &[(b'M', fatal.message.as_str())],
    );
}

/// The refusal of a name that nothing has, in PostgreSQL's own words.
pub(crate) fn unknown(target: crate::protocol::frontend::Target, name: &[u8]) -> Refused {
    use crate::protocol::frontend::Target;
    let shown = String::from_utf8_lossy(name);
    let (sqlstate, message) = match target {
        Target::Statement if name.is_empty() => (
            "26000",
            "unnamed prepared statement does not exist".to_owned(),
        ),
        Target::Statement => (
            "26000",
            format!("prepared statement \"{shown}\" does not exist"),
        ),
        Target::Portal => ("34000", format!("portal \"{shown}\" does not exist")),
    };
    Refused {
        sqlstate,
        message,
        detail: None,
        hint: None,
        position: None,
    }
}

/// The end of a result at a limit.
pub(crate) fn over_limit(max: u64, of: &str) -> Refused {
    Refused {
        sqlstate: "54000",
        message: format!("the result is limited to {max} {of} by policy"),
        detail: Some(format!(
            "the limit is on {of} per statement: what came before it was shown, the rest is not; if the statement changed data, the change was made"
        )),
        hint: Some(
            "ask for less: add a LIMIT or a narrower WHERE, or name fewer columns".to_owned(),
        ),
        position: None,
    }
}

/// The end of a result whose rows can't be recorded.
pub(super) fn unrecorded(error: &provost_evidence::Error) -> Refused {
    let (sqlstate, hint) = match error {
        provost_evidence::Error::LogFull { .. } => (
            "53100",
            "ask for less, or again once evidence could be stored",
        ),
        _ => ("58030", "tell the gateway's operator"),
    };
    tracing::warn!(%error, "a result ends because its rows can't be recorded");
    Refused {
        sqlstate,
        message: "the result can't be recorded, as a rule asks".to_owned(),
        detail: Some(
            "what could be recorded was shown, the rest is not; if the statement changed data, the change was made"
                .to_owned(),
        ),
        hint: Some(hint.to_owned()),
        position: None,
    }
}

/// The end of a result with a row that is too large to be recorded.
pub(super) fn too_large_to_record(bytes_max: usize) -> Refused {
    Refused {
        sqlstate: "54000",
        message: "a row is too large to be recorded, as a rule asks".to_owned(),
        detail: Some(format!(
            "rows of up to {bytes_max} bytes are recorded; the result was stopped"
        )),
        hint: Some("ask for fewer or smaller columns".to_owned()),
        position: None,
    }
}

/// The end of a statement that changed more rows than it may.
pub(crate) fn over_affected(max: u64, rows: Option<u64>) -> Refused {
    let changed = rows.map_or_else(|| "too many to count".to_owned(), |rows| rows.to_string());
    Refused {
        sqlstate: "54000",
        message: format!("the statement may change at most {max} rows by policy"),
        detail: Some(format!(
            "it changed {changed}, and its whole transaction is undone"
        )),
        hint: Some("change fewer rows in one statement: a narrower WHERE".to_owned()),
        position: None,
    }
}

/// The end of a statement that stopped before the server told how many rows it changed: a Sync would commit it.
pub(crate) fn partial_change() -> Refused {
    Refused {
        sqlstate: "42501",
        message:
            "denied by policy: a statement whose changed rows are limited must be executed to its end"
                .to_owned(),
        detail: Some(
            "the Execute asked for a part of the rows that it returns; its whole transaction is undone"
                .to_owned(),
        ),
        hint: Some("execute without a limit on rows".to_owned()),
        position: None,
    }
}

/// The end of a statement whose time was up: the server cancelled it, and undid what it did.
pub(crate) fn over_time(max_ms: u64) -> Refused {
    Refused {
        sqlstate: "57014",
        message: format!("the statement's time is limited to {max_ms} ms by policy"),
        detail: Some("the server was asked to cancel it when its time was up, and did".to_owned()),
        hint: Some("ask for less: a narrower WHERE, fewer joins, a LIMIT".to_owned()),
        position: None,
    }
}

/// The refusal of an Execute of a portal whose result was stopped.
pub(crate) fn cut_portal() -> Refused {
    Refused {
        sqlstate: "55000",
        message: "the result of this portal was stopped, so it gives no more rows".to_owned(),
        detail: None,
        hint: Some("bind the statement again".to_owned()),
        position: None,
    }
}

/// The refusal of a name that can't be kept apart from others.
pub(crate) fn bad_name(name: &[u8]) -> Refused {
    Refused {
        sqlstate: "42622",
        message: format!(
            "the statement or portal name of {} bytes is not accepted",
            name.len()
        ),
        detail: Some(format!(
            "the server tells names apart by their first {} bytes only, and names that begin with {PREFIX} are the gateway's own",
            super::names::NAME_BYTES_MAX
        )),
        hint: Some("use a shorter or another name".to_owned()),
        position: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_the_server_and_is_found_in_its_message() {
        let token = Token::from_bytes([0xff; 16]);
        let (one, other) = (token.missing(1), token.missing(2));
        assert_eq!(one.as_str().len(), 56);
        let message = format!("syntax error at or near \"{}\"", one.as_str());
        assert!(one.is_in(message.as_bytes()));
        assert!(!other.is_in(message.as_bytes()));
        assert!(!one.is_in(b""));
        assert!(!format!("{token:?}").contains("ff"));
    }

    #[test]
    fn tokens_differ() {
        let (one, other) = (Token::random().unwrap(), Token::random().unwrap());
        assert_ne!(one.missing(0), other.missing(0));
    }
}

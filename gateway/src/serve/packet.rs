//! A client's first packets, before any message has a type byte: strict reading, no I/O.
//!
//! It must never let a byte through unread: a packet is understood to its last byte or refused. Clients are told what
//! is wrong in one line.

use std::sync::Arc;

use super::{
    farewell::fatal,
    options::{self, Setting},
};
use crate::{
    judge::Fatal,
    protocol::replication::{InvalidValue, Replication},
};

/// The longest start-up packet, its length included: PostgreSQL's own `MAX_STARTUP_PACKET_LENGTH`. A longer one is
/// refused before it is read.
pub(crate) const PACKET_BYTES_MAX: usize = 10_000;
/// The shortest: a length and a code.
const PACKET_BYTES_MIN: usize = 8;
/// Parameters in one start-up message; more are refused.
const PARAMETERS_MAX: usize = 128;

/// The newest minor version of protocol 3 that is spoken. Between 3.0 and 3.2 only the length of cancel keys differs.
///
/// # Source
/// PostgreSQL 18, `ProcessStartupPacket` in `src/backend/tcop/backend_startup.c`.
const MINOR_MAX: u16 = 2;
/// The longest secret in a CancelRequest; a longer one is refused.
const SECRET_BYTES_MAX: usize = 256;

/// The setting by which a connection for physical replication names its target: such a connection has no database to name it by.
const TARGET: &str = "provost.target";

/// Request codes, which stand where a protocol version would.
const CANCEL: u32 = (1234 << 16) | 5678;
const TLS: u32 = (1234 << 16) | 5679;
const GSSAPI: u32 = (1234 << 16) | 5680;

/// A packet that has no type byte.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    /// SSLRequest.
    Tls,
    /// GSSENCRequest.
    Gssapi,
    /// CancelRequest.
    Cancel {
        /// The process id given in BackendKeyData.
        process_id: i32,
        /// Its secret: what came, of whatever length.
        secret: Box<[u8]>,
    },
    /// StartupMessage.
    Startup(Startup),
}

/// A StartupMessage: who asks for what.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Startup {
    /// `user`: must be the token's principal.
    pub(crate) user: Arc<str>,
    /// `database`: names the target.
    pub(crate) database: Arc<str>,
    /// `application_name`, or nothing.
    pub(crate) application: Arc<str>,
    /// `replication`: what it is to stream, if it is to stream at all.
    pub(crate) replication: Option<Replication>,
    /// The target that a connection without a database names by the setting `provost.target`.
    pub(crate) target: Option<Arc<str>>,
    /// Every other setting asked for, from parameters and `options`, names in lower case, each once.
    pub(crate) settings: Vec<Setting>,
    /// The minor version of protocol 3 that is spoken with the client: what it asked for, or the newest there is.
    pub(crate) minor: u16,
    /// The client asked for a newer minor version, or for these protocol options: it must be told what is spoken.
    pub(crate) negotiate: Option<Vec<String>>,
}

/// The length of the packet whose first four bytes these are; none where it is no packet.
pub(crate) fn length(header: [u8; 4]) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(header))
        .ok()
        .filter(|length| (PACKET_BYTES_MIN..=PACKET_BYTES_MAX).contains(length))
}

/// Reads a packet's bytes after its length.
pub(crate) fn read(body: &[u8]) -> Result<Packet, Fatal> {
    let (code, rest) = body
        .split_first_chunk::<4>()
        .ok_or_else(|| fatal("08P01", "invalid length of startup packet"))?;
    let [a, b, c, d] = *code;
    let (major, minor) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    match (u32::from_be_bytes(*code), rest) {
        (TLS, []) => Ok(Packet::Tls),
        (GSSAPI, []) => Ok(Packet::Gssapi),
        (CANCEL, [a, b, c, d, secret @ ..]) if (1..=SECRET_BYTES_MAX).contains(&secret.len()) => {
            Ok(Packet::Cancel {
                process_id: i32::from_be_bytes([*a, *b, *c, *d]),
                secret: secret.into(),
            })
        }
        (TLS | GSSAPI | CANCEL, _) => Err(fatal("08P01", "invalid length of startup packet")),
        (_, rest) if major == 3 => startup(minor, rest).map(Packet::Startup),
        _ => Err(fatal(
            "0A000",
            format!(
                "unsupported frontend protocol {major}.{minor}: the gateway speaks 3.0 to 3.{MINOR_MAX}"
            ),
        )),
    }
}

fn startup(minor: u16, body: &[u8]) -> Result<Startup, Fatal> {
    let (mut user, mut database, mut command_line, mut replication) = (None, None, None, None);
    let mut settings: Vec<Setting> = Vec::new();
    let mut protocol_options = Vec::new();
    for (name, value) in parameters(body)? {
        match name {
            "user" => once(name, &mut user, value)?,
            "database" => once(name, &mut database, value)?,
            "options" => once(name, &mut command_line, value)?,
            "replication" => once(name, &mut replication, value)?,
            _ if name.starts_with("_pq_.") => protocol_options.push(name.to_owned()),
            _ => options::add(&mut settings, name, value)?,
        }
    }
    if let Some(command_line) = command_line {
        options::read(command_line, &mut settings)?;
    }
    let user = user
        .filter(|user| !user.is_empty())
        .ok_or_else(|| fatal("28000", "no PostgreSQL user name specified in startup packet: connect with the name of your token's principal as the user"))?;
    let replication = replication.map_or(Ok(None), Replication::from_value);
    let replication = replication.map_err(invalid)?;
    let target = match replication {
        Some(Replication::Physical) => take(&mut settings, TARGET),
        Some(Replication::Logical) | None => None,
    };
    let application = settings
        .iter()
        .find(|setting| setting.name == "application_name");
    let is_answered = minor > MINOR_MAX || !protocol_options.is_empty();
    Ok(Startup {
        user: Arc::from(user),
        database: Arc::from(database.filter(|name| !name.is_empty()).unwrap_or(user)),
        application: application.map_or("", |setting| &setting.value).into(),
        replication,
        target,
        settings,
        minor: minor.min(MINOR_MAX),
        negotiate: is_answered.then_some(protocol_options),
    })
}

fn once<'a>(name: &str, slot: &mut Option<&'a str>, value: &'a str) -> Result<(), Fatal> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(fatal(
            "08P01",
            format!("start-up parameter `{name}` is given twice: give it once"),
        )),
    }
}

/// In a server's words.
fn invalid(_: InvalidValue) -> Fatal {
    fatal(
        "22023",
        "invalid value for parameter \"replication\": it is `false`, `true` or `database`",
    )
}

/// Takes a setting out of those that are decided.
fn take(settings: &mut Vec<Setting>, name: &str) -> Option<Arc<str>> {
    let place = settings.iter().position(|setting| setting.name == name)?;
    Some(settings.remove(place).value.into())
}

/// Names and values up to the empty name that ends them, which must be the last byte.
fn parameters(body: &[u8]) -> Result<Vec<(&str, &str)>, Fatal> {
    let layout = || {
        fatal(
            "08P01",
            "invalid startup packet layout: expected terminator as last byte",
        )
    };
    let mut found = Vec::new();
    let mut rest = body;
    loop {
        let (name, after) = text(rest).ok_or_else(layout)?;
        if name.is_empty() {
            return if after.is_empty() {
                Ok(found)
            } else {
                Err(layout())
            };
        }
        let (value, after) = text(after).ok_or_else(layout)?;
        if found.len() == PARAMETERS_MAX {
            return Err(fatal(
                "08P01",
                format!("more than {PARAMETERS_MAX} start-up parameters"),
            ));
        }
        let name = utf8(name, "a start-up parameter's name")?;
        found.push((name, utf8(value, &format!("start-up parameter `{name}`"))?));
        rest = after;
    }
}

/// The bytes before the first NUL, and those behind it.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let (text, rest) = bytes.split_at_checked(end)?;
    Some((text, rest.get(1..)?))
}

fn utf8<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str, Fatal> {
    std::str::from_utf8(bytes).map_err(|_| {
        fatal(
            "22021",
            format!("{what} is not valid UTF-8: send names and values in UTF-8"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{Packet, length, read};

    fn startup(version: u32, parameters: &[u8]) -> Vec<u8> {
        let mut body = version.to_be_bytes().to_vec();
        body.extend_from_slice(parameters);
        body
    }

    /// What a start-up's parameters give: the fields, or the SQLSTATE and message.
    fn check(parameters: &[u8], expected: &str) {
        let found = match read(&startup(3 << 16, parameters)) {
            Ok(Packet::Startup(startup)) => format!(
                "{} {} {} {:?} {:?}",
                startup.user,
                startup.database,
                startup.application,
                startup
                    .settings
                    .iter()
                    .map(|setting| format!("{}={}", setting.name, setting.value))
                    .collect::<Vec<_>>(),
                startup.negotiate
            ),
            Ok(other) => format!("{other:?}"),
            Err(fatal) => format!("{} {}", fatal.sqlstate, fatal.message),
        };
        assert!(found.starts_with(expected), "{found}\nexpected {expected}");
    }

    #[test]
    fn parameters_are_read_strictly() {
        check(b"user\0ann\0\0", "ann ann  [] None");
        check(
            b"user\0ann\0database\0shop\0application_name\0psql\0\0",
            "ann shop psql [\"application_name=psql\"] None",
        );
        check(
            b"user\0ann\0DateStyle\0ISO\0\0",
            "ann ann  [\"datestyle=ISO\"] None",
        );
        check(
            b"user\0ann\0_pq_.zip\0on\0\0",
            "ann ann  [] Some([\"_pq_.zip\"])",
        );
        check(b"user\0ann\0replication\0false\0\0", "ann ann  [] None");
        check(
            b"user\0ann\0options\0-c work_mem=1MB\0\0",
            "ann ann  [\"work_mem=1MB\"] None",
        );
        check(b"\0", "28000 no PostgreSQL user");
        check(b"user\0\0\0", "28000 no PostgreSQL user");
        check(b"", "08P01 invalid startup packet layout");
        check(b"user\0ann\0", "08P01 invalid startup packet layout");
        check(b"user\0ann", "08P01 invalid startup packet layout");
        check(b"user\0ann\0\0extra", "08P01 invalid startup packet layout");
        check(b"user\0ann\0\0\0", "08P01 invalid startup packet layout");
        check(
            b"user\0ann\0user\0bob\0\0",
            "08P01 start-up parameter `user` is given twice",
        );
        check(
            b"user\0ann\0a\x001\0A\x002\0\0",
            "08P01 setting `a` is given twice",
        );
        check(
            b"user\0a\xffn\0\0",
            "22021 start-up parameter `user` is not valid UTF-8",
        );
        check(
            b"us\xffer\0ann\0\0",
            "22021 a start-up parameter's name is not valid UTF-8",
        );
        check(
            b"user\0ann\0application_name\0\xc0\x80\0\0",
            "22021 start-up parameter `application_name`",
        );
        check(
            b"user\0ann\0replication\0o\0\0",
            "22023 invalid value for parameter \"replication\"",
        );
        check(
            b"user\0ann\0replication\0true\0replication\0false\0\0",
            "08P01 start-up parameter `replication` is given twice",
        );
    }

    #[test]
    fn replication_is_asked_for_by_its_own_name_alone() {
        let read = |parameters: &str| {
            let body = format!("user\0ann\0{parameters}\0").replace('|', "\0");
            match read(&startup(3 << 16, body.as_bytes())) {
                Ok(Packet::Startup(startup)) => format!(
                    "{:?} {:?} {}",
                    startup.replication,
                    startup.target,
                    startup.settings.len()
                ),
                Ok(other) => format!("{other:?}"),
                Err(fatal) => format!("{} {}", fatal.sqlstate, fatal.message),
            }
        };
        for (parameters, expected) in [
            ("replication|true|", "Some(Physical) None 0"),
            ("replication|database|", "Some(Logical) None 0"),
            ("replication|off|", "None None 0"),
            (
                "replication|on|options|-c provost.target=shop|",
                "Some(Physical) Some(\"shop\") 0",
            ),
            // Whoever has a database names its target by it: the setting is decided as any other.
            (
                "replication|database|options|-c provost.target=shop|",
                "Some(Logical) None 1",
            ),
            ("options|-c provost.target=shop|", "None None 1"),
            // The gateway would send it on as a parameter of its own start-up.
            (
                "Replication|true|",
                "42704 unrecognized configuration parameter",
            ),
            ("options|-c replication=true|", "42704 unrecognized"),
            ("options|--user=postgres|", "42704 unrecognized"),
            ("DATABASE|other|", "42704 unrecognized"),
            ("User|postgres|", "42704 unrecognized"),
            ("options|-c options=-cx=1|", "42704 unrecognized"),
            ("options|-c _pq_.zip=on|", "42704 unrecognized"),
        ] {
            let found = read(parameters);
            assert!(found.starts_with(expected), "{parameters}: {found}");
        }
    }

    #[test]
    fn too_many_parameters_are_refused() {
        let many: String = (0..200).map(|number| format!("a{number}\0x\0")).collect();
        check(format!("user\0ann\0{many}\0").as_bytes(), "08P01 more than");
    }

    #[test]
    fn other_versions_and_requests() {
        let code = |code: u32, rest: &[u8]| read(&startup(code, rest));
        assert_eq!(code((1234 << 16) | 5679, b""), Ok(Packet::Tls));
        assert_eq!(code((1234 << 16) | 5680, b""), Ok(Packet::Gssapi));
        assert_eq!(
            code((1234 << 16) | 5678, &[0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff]),
            Ok(Packet::Cancel {
                process_id: 7,
                secret: [0xff; 4].into()
            })
        );
        for length in [1, 4, 32, 256] {
            let key = [&[0, 0, 0, 7][..], &vec![9; length]].concat();
            assert_eq!(
                code((1234 << 16) | 5678, &key),
                Ok(Packet::Cancel {
                    process_id: 7,
                    secret: vec![9; length].into()
                })
            );
        }
        for (number, rest) in [
            ((1234 << 16) | 5679, &b"x"[..]),
            ((1234 << 16) | 5678, b""),
            ((1234 << 16) | 5678, b"1234"),
            ((1234 << 16) | 5678, &[7; 4 + 257]),
        ] {
            assert_eq!(code(number, rest).unwrap_err().sqlstate, "08P01");
        }
        for version in [0, 2 << 16, 4 << 16, (1234 << 16) | 5681, u32::MAX] {
            assert_eq!(
                code(version, b"user\0ann\0\0").unwrap_err().sqlstate,
                "0A000",
                "{version}"
            );
        }
    }

    #[test]
    fn minor_versions_are_negotiated_as_postgresql_18_does() {
        let option = b"user\0ann\0_pq_.zip\0on\0\0";
        for (minor, parameters, spoken, answered) in [
            (0, &b"user\0ann\0\0"[..], 0, None),
            (1, b"user\0ann\0\0", 1, None),
            (2, b"user\0ann\0\0", 2, None),
            (3, b"user\0ann\0\0", 2, Some(vec![])),
            (9999, b"user\0ann\0\0", 2, Some(vec![])),
            (0, option, 0, Some(vec!["_pq_.zip".to_owned()])),
            (1, option, 1, Some(vec!["_pq_.zip".to_owned()])),
            (0xffff, option, 2, Some(vec!["_pq_.zip".to_owned()])),
        ] {
            let Ok(Packet::Startup(found)) = read(&startup((3 << 16) | minor, parameters)) else {
                panic!("3.{minor} is a start-up")
            };
            assert_eq!(
                (found.minor, found.negotiate),
                (spoken, answered),
                "3.{minor}"
            );
        }
    }

    #[test]
    fn lengths_are_bounded() {
        for (bytes, expected) in [
            (8_u32, Some(8)),
            (10_000, Some(10_000)),
            (7, None),
            (0, None),
            (10_001, None),
            (u32::MAX, None),
            (0x1603_0100, None),
        ] {
            assert_eq!(length(bytes.to_be_bytes()), expected, "{bytes}");
        }
    }

    #[test]
    fn truncation_at_every_byte_is_an_error() {
        let whole = startup(3 << 16, b"user\0ann\0database\0shop\0options\0-c a=b\0\0");
        for cut in 0..whole.len() {
            assert!(read(&whole[..cut]).is_err(), "cut at {cut}");
        }
    }
}

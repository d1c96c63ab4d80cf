//! Logs in to a server, up to its first ReadyForQuery.
//!
//! Answered: SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (the server proves that it knows the password too), and a cleartext
//! password where the server's certificate was verified. Refused: MD5 and everything else, and a server that lets the
//! gateway in without asking, unless the configuration says by leaving the password out that a Unix socket is trusted.

use bytes::BytesMut;
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::{
    authentication::sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256},
    message::{backend::Message, frontend},
};
use tokio::io::AsyncWriteExt as _;

use super::{
    CancelKey, Error, Server,
    query::{next_message, refusal},
    tls, unreachable,
};
use crate::{
    settings::{Host, Secret, ServerTls, Target},
    stream::Stream,
};

/// The longest start-up message that servers take: PostgreSQL's own `MAX_STARTUP_PACKET_LENGTH`. A longer one is not sent.
pub(super) const STARTUP_BYTES_MAX: usize = 10_000;
/// Names of the server sent while logging in; more is an error.
pub(super) const PARAMETERS_MAX: usize = 256;

/// A server setting that would let what is analysed differ from what runs, or the protocol from what is expected.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("its `{name}` is `{found}`, which must be `{expected}`")]
pub struct Unfit {
    /// The setting.
    pub name: &'static str,
    /// What it must be.
    pub expected: &'static str,
    /// What it is, or nothing.
    pub found: String,
}

/// What every server must say of itself (P3).
const REQUIRED: [(&str, &str); 3] = [
    ("client_encoding", "UTF8"),
    ("standard_conforming_strings", "on"),
    ("integer_datetimes", "on"),
];

/// How far authentication came.
enum Stage {
    /// The server has not asked yet.
    Start,
    /// SCRAM: the first message is sent.
    First(ScramSha256),
    /// SCRAM: the proof is sent; the server owes its own.
    Proof(ScramSha256),
    /// The password was given, or the server proved itself.
    Given,
    /// AuthenticationOk came.
    Done,
}

pub(super) async fn log_in(
    mut stream: Stream,
    target: &Target,
    password: Option<&Secret>,
    settings: &[(String, String)],
) -> Result<Server, Error> {
    let fixed = [
        ("user", target.user.as_ref()),
        ("database", target.database.as_ref()),
        ("client_encoding", "UTF8"),
        ("standard_conforming_strings", "on"),
    ];
    let asked = settings
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let mut out = BytesMut::new();
    frontend::startup_message(fixed.into_iter().chain(asked), &mut out)
        .map_err(|source| Error::Value { source })?;
    if out.len() > STARTUP_BYTES_MAX {
        return Err(Error::TooLong { bytes: out.len() });
    }
    send(&mut stream, &mut out).await?;

    let mut read = BytesMut::new();
    let mut stage = Stage::Start;
    let mut parameters = Vec::new();
    let mut key = None;
    loop {
        match (next_message(&mut stream, &mut read).await?, stage) {
            (Message::ErrorResponse(body), _) => return Err(refusal(&body)),
            (Message::NoticeResponse(_), current) => stage = current,
            (Message::AuthenticationOk, Stage::Given) => stage = Stage::Done,
            (Message::AuthenticationOk, Stage::Start) if is_trusted(target) => stage = Stage::Done,
            (Message::AuthenticationOk, _) => return Err(Error::Unproven),
            (Message::AuthenticationSasl(body), Stage::Start) => {
                let offered: Vec<String> = body
                    .mechanisms()
                    .map(|name| Ok(name.to_owned()))
                    .collect()
                    .map_err(unreachable)?;
                let scram = start_scram(&offered, &stream, given(password)?, &mut out)?;
                send(&mut stream, &mut out).await?;
                stage = Stage::First(scram);
            }
            (Message::AuthenticationSaslContinue(body), Stage::First(mut scram)) => {
                scram
                    .update(body.data())
                    .map_err(|source| Error::Scram { source })?;
                frontend::sasl_response(scram.message(), &mut out)
                    .map_err(|source| Error::Value { source })?;
                send(&mut stream, &mut out).await?;
                stage = Stage::Proof(scram);
            }
            (Message::AuthenticationSaslFinal(body), Stage::Proof(mut scram)) => {
                scram
                    .finish(body.data())
                    .map_err(|source| Error::Scram { source })?;
                stage = Stage::Given;
            }
            (Message::AuthenticationCleartextPassword, Stage::Start) if is_verified(target) => {
                frontend::password_message(given(password)?.reveal(), &mut out)
                    .map_err(|source| Error::Value { source })?;
                send(&mut stream, &mut out).await?;
                stage = Stage::Given;
            }
            (Message::AuthenticationCleartextPassword, _) => {
                return Err(Error::Method {
                    method: "cleartext",
                });
            }
            (Message::AuthenticationMd5Password(_), _) => {
                return Err(Error::Method { method: "md5" });
            }
            (
                Message::AuthenticationGss
                | Message::AuthenticationSspi
                | Message::AuthenticationKerberosV5
                | Message::AuthenticationScmCredential,
                _,
            ) => {
                return Err(Error::Method {
                    method: "GSSAPI, SSPI or Kerberos",
                });
            }
            (Message::ParameterStatus(body), Stage::Done) if parameters.len() < PARAMETERS_MAX => {
                let name = body.name().map_err(unreachable)?.to_owned();
                parameters.push((name, body.value().map_err(unreachable)?.to_owned()));
                stage = Stage::Done;
            }
            (Message::BackendKeyData(body), Stage::Done) => {
                key = Some(CancelKey {
                    process_id: body.process_id(),
                    secret: body.secret_key(),
                });
                stage = Stage::Done;
            }
            (Message::ReadyForQuery(_), Stage::Done) => break,
            _ => {
                return Err(Error::Protocol {
                    what: "an unexpected message during log-in",
                });
            }
        }
    }
    check_parameters(&parameters)?;
    let key = key.ok_or(Error::Protocol {
        what: "no cancel key during log-in",
    })?;
    Ok(Server {
        stream,
        read,
        parameters,
        key,
    })
}

fn given(password: Option<&Secret>) -> Result<&Secret, Error> {
    password.ok_or(Error::Method {
        method: "password (and the configuration has no `password` for this target)",
    })
}

/// Whether the configuration says that the server lets the gateway in by itself.
fn is_trusted(target: &Target) -> bool {
    target.password.is_none() && matches!(target.host, Host::Unix(_))
}

/// Whether the server's certificate was checked against the configured roots and its name.
fn is_verified(target: &Target) -> bool {
    matches!(
        (&target.host, &target.tls),
        (Host::Tcp(_), ServerTls::VerifyFull { .. })
    )
}

/// Chooses the mechanism and writes the first message.
fn start_scram(
    offered: &[String],
    stream: &Stream,
    password: &Secret,
    out: &mut BytesMut,
) -> Result<ScramSha256, Error> {
    let has = |name: &str| offered.iter().any(|offer| offer == name);
    let binding = tls::end_point(stream);
    let (mechanism, binding) = match binding {
        Some(hash) if has(SCRAM_SHA_256_PLUS) => (
            SCRAM_SHA_256_PLUS,
            ChannelBinding::tls_server_end_point(hash),
        ),
        // We could have bound: saying so lets the server see that someone removed its offer (RFC 5802, section 6).
        Some(_) => (SCRAM_SHA_256, ChannelBinding::unrequested()),
        None => (SCRAM_SHA_256, ChannelBinding::unsupported()),
    };
    if !has(mechanism) {
        return Err(Error::Method {
            method: "a SASL mechanism other than SCRAM-SHA-256",
        });
    }
    let scram = ScramSha256::new(password.reveal(), binding);
    frontend::sasl_initial_response(mechanism, scram.message(), out)
        .map_err(|source| Error::Value { source })?;
    Ok(scram)
}

async fn send(stream: &mut Stream, out: &mut BytesMut) -> Result<(), Error> {
    stream.write_all(out).await.map_err(unreachable)?;
    stream.flush().await.map_err(unreachable)?;
    out.clear();
    Ok(())
}

pub(super) fn check_parameters(parameters: &[(String, String)]) -> Result<(), Unfit> {
    for (name, expected) in REQUIRED {
        let found = parameters
            .iter()
            .rev()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value.as_str());
        if found != Some(expected) {
            return Err(Unfit {
                name,
                expected,
                found: found.unwrap_or_default().to_owned(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{REQUIRED, Unfit, check_parameters};

    #[test]
    fn a_server_with_other_strings_or_encoding_is_unfit() {
        let good: Vec<(String, String)> = REQUIRED
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(check_parameters(&good), Ok(()));
        for (index, (name, expected)) in REQUIRED.into_iter().enumerate() {
            let mut bad = good.clone();
            bad[index].1 = "off".to_owned();
            assert_eq!(
                check_parameters(&bad),
                Err(Unfit {
                    name,
                    expected,
                    found: "off".to_owned()
                })
            );
            bad.remove(index);
            assert_eq!(
                check_parameters(&bad),
                Err(Unfit {
                    name,
                    expected,
                    found: String::new()
                })
            );
        }
    }
}

//! A client's first bytes: encryption, cancel requests, the start-up message.
//!
//! It must never carry a byte from before TLS into what comes after (the class of CVE-2021-23214), nor read a byte past
//! the packet it is at.

use std::{future::poll_fn, io, pin::Pin, task::Poll};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::{
    farewell::{self, fatal},
    packet::{self, Packet, Startup},
};
use crate::{judge::Fatal, stream::Stream};

/// What a TLS connection is for, by ALPN: a client that begins with TLS must say so, and one that asks for TLS may.
///
/// # Source
/// PostgreSQL manual, "SSL Session Encryption"; the IANA registry of ALPN protocol ids.
pub(super) const APPLICATION_PROTOCOL: &[u8] = b"postgresql";

/// The first byte of a TLS handshake. No packet begins with it: it would have hundreds of megabytes.
const TLS_HANDSHAKE: u8 = 0x16;

/// What a client wants.
pub(super) enum First {
    /// A session.
    Session(Stream, Startup),
    /// A statement to be cancelled.
    Cancel {
        /// Closed once that is done: whoever waits for it knows that what it sends next is not hit.
        stream: Stream,
        /// Of our BackendKeyData.
        process_id: i32,
        /// Of our BackendKeyData.
        secret: Box<[u8]>,
    },
    /// Nothing: it went away.
    Gone,
    /// Something that is refused.
    Refused(Stream, Fatal),
}

/// What was asked for before; each request may come once.
#[derive(Default)]
struct Asked {
    tls: bool,
    gssapi: bool,
}

/// Reads a client's first packets. `acceptor`: TLS is required; without one it is off.
pub(super) async fn read(stream: TcpStream, acceptor: Option<&TlsAcceptor>) -> First {
    let mut stream = match begin(stream, acceptor).await {
        Ok(Some(stream)) => stream,
        Ok(None) | Err(_) => return First::Gone,
    };
    let mut asked = Asked::default();
    loop {
        let packet = match packet(&mut stream).await {
            Ok(Ok(packet)) => packet,
            Ok(Err(refused)) => return First::Refused(stream, refused),
            Err(error) => {
                if error.kind() == io::ErrorKind::InvalidData {
                    farewell::close(stream, b"").await;
                }
                return First::Gone;
            }
        };
        match packet {
            Packet::Cancel { process_id, secret } => {
                return First::Cancel {
                    stream,
                    process_id,
                    secret,
                };
            }
            Packet::Startup(_) if acceptor.is_some() && !stream.is_encrypted() => {
                return First::Refused(
                    stream,
                    fatal(
                        "28000",
                        "this gateway requires an encrypted connection: connect with sslmode=require",
                    ),
                );
            }
            Packet::Startup(startup) => return First::Session(stream, startup),
            Packet::Tls | Packet::Gssapi if stream.is_encrypted() => {
                return First::Refused(
                    stream,
                    fatal(
                        "08P01",
                        "an encryption request inside an encrypted connection",
                    ),
                );
            }
            Packet::Tls if std::mem::replace(&mut asked.tls, true) => {
                return First::Refused(stream, twice());
            }
            Packet::Gssapi if std::mem::replace(&mut asked.gssapi, true) => {
                return First::Refused(stream, twice());
            }
            Packet::Tls | Packet::Gssapi => {}
        }
        match has_early_bytes(&mut stream).await {
            Ok(false) => {}
            Ok(true) => {
                return First::Refused(
                    stream,
                    fatal(
                        "08P01",
                        "received unencrypted data after an encryption request: a client bug, or an attack on the connection",
                    ),
                );
            }
            Err(_) => return First::Gone,
        }
        stream = match (packet, acceptor, stream) {
            (Packet::Tls, Some(acceptor), Stream::Tcp(stream)) => {
                match encrypt(stream, acceptor).await {
                    Ok(stream) => stream,
                    Err(_) => return First::Gone,
                }
            }
            (_, _, mut stream) => {
                if stream.write_all(b"N").await.is_err() {
                    return First::Gone;
                }
                stream
            }
        };
    }
}

/// The connection, encrypted where the client begins with TLS; nothing where that is refused, which is a close without a word as
/// PostgreSQL's: whoever speaks another protocol understands none.
async fn begin(stream: TcpStream, acceptor: Option<&TlsAcceptor>) -> io::Result<Option<Stream>> {
    let mut first = [0_u8; 1];
    // It is looked at, and stays in the socket.
    let count = stream.peek(&mut first).await?;
    if count == 0 || first != [TLS_HANDSHAKE] {
        return Ok(Some(Stream::Tcp(stream)));
    }
    let Some(acceptor) = acceptor else {
        tracing::info!("a client began with TLS, which is off: the connection is closed");
        farewell::close(Stream::Tcp(stream), b"").await;
        return Ok(None);
    };
    let stream = acceptor.accept(stream).await?;
    let (_, connection) = stream.get_ref();
    let is_meant = connection.alpn_protocol() == Some(APPLICATION_PROTOCOL);
    let stream = Stream::Tls(Box::new(TlsStream::Server(stream)));
    if !is_meant {
        tracing::info!(
            "a client began with TLS and did not ask for `postgresql` by ALPN: the connection is closed"
        );
        farewell::close(stream, b"").await;
        return Ok(None);
    }
    Ok(Some(stream))
}

fn twice() -> Fatal {
    fatal("08P01", "an encryption request came twice")
}

async fn encrypt(mut stream: TcpStream, acceptor: &TlsAcceptor) -> io::Result<Stream> {
    stream.write_all(b"S").await?;
    let stream = acceptor.accept(stream).await?;
    Ok(Stream::Tls(Box::new(TlsStream::Server(stream))))
}

/// Reads exactly one packet: what follows it stays in the socket. Whoever sends something else is told nothing, as by PostgreSQL: they speak
/// another protocol, or take back a connection that they never began (node-postgres says goodbye first).
async fn packet(stream: &mut Stream) -> io::Result<Result<Packet, Fatal>> {
    let mut header = [0_u8; 4];
    stream.read_exact(&mut header).await?;
    let Some(length) = packet::length(header) else {
        tracing::info!("invalid length of startup packet: the connection is closed");
        return Err(io::ErrorKind::InvalidData.into());
    };
    let mut body = vec![0_u8; length.saturating_sub(header.len())];
    stream.read_exact(&mut body).await?;
    Ok(packet::read(&body))
}

/// Whether the client sent something before it was asked to. A byte that is found is lost: whoever asks gives up on `true`.
pub(super) async fn has_early_bytes(stream: &mut Stream) -> io::Result<bool> {
    let mut byte = [0_u8; 1];
    let mut buffer = ReadBuf::new(&mut byte);
    poll_fn(
        |context| match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
            Poll::Pending => Poll::Ready(Ok(false)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
            }
            Poll::Ready(Ok(())) => Poll::Ready(Ok(true)),
        },
    )
    .await
}

//! A connection, whatever carries it: TCP, a Unix socket, TLS over TCP. Bytes only; it knows no message.

use std::{
    io,
    os::fd::AsFd as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsStream;

use crate::settings::Tcp;

/// Sets a connection up: small messages don't wait for each other, and a peer that is gone without a word is found.
///
/// # Errors
/// What the system says; the connection works without all the same.
pub(crate) fn set_up(stream: &TcpStream, tcp: Tcp) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let set = |milliseconds: u64| (milliseconds > 0).then(|| Duration::from_millis(milliseconds));
    let mut keepalive = TcpKeepalive::new();
    if let Some(idle) = set(tcp.keepalives_idle_ms) {
        keepalive = keepalive.with_time(idle);
    }
    if let Some(interval) = set(tcp.keepalives_interval_ms) {
        keepalive = keepalive.with_interval(interval);
    }
    if tcp.keepalives_count > 0 {
        keepalive = keepalive.with_retries(tcp.keepalives_count);
    }
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    if let Some(timeout) = set(tcp.user_timeout_ms) {
        socket.set_tcp_user_timeout(Some(timeout))?;
    }
    Ok(())
}

/// The same connection, known to the runtime of the present thread.
fn tcp_here(stream: &TcpStream) -> io::Result<TcpStream> {
    let same = stream.as_fd().try_clone_to_owned()?;
    TcpStream::from_std(same.into())
}

/// A connection to a client or a server.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS, ours or theirs.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Moves it to the runtime of the present thread, which then wakes whoever waits for it.
    ///
    /// # Errors
    /// What the system says; the connection is to be given up then.
    pub(crate) fn move_here(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => *stream = tcp_here(stream)?,
            Self::Unix(stream) => {
                let same = stream.as_fd().try_clone_to_owned()?;
                *stream = UnixStream::from_std(same.into())?;
            }
            Self::Tls(stream) => {
                let (stream, _) = stream.get_mut();
                *stream = tcp_here(stream)?;
            }
        }
        Ok(())
    }

    /// Whether what is written is encrypted on its way.
    pub(crate) fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }
}

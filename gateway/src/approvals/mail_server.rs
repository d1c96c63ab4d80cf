//! A mail server, talked to: connecting, encryption, log-in, one message.
//!
//! It must never send a message, or a password first of all, over a connection that is not encrypted where encryption is asked for, nor
//! take for the server's word what came before the encryption.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use lettre::{
    Message,
    transport::smtp::{
        self,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, AsyncTokioStream, Certificate, TlsParameters},
        extension::ClientId,
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::settings::{Mail, MailTls};

/// Why no mail can be sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The file of certificate authorities.
    #[error("its `ca` can't be used: {source}")]
    Authorities {
        /// What the library says.
        source: smtp::Error,
    },
    /// TLS can't be set up.
    #[error("TLS can't be set up: {source}")]
    Tls {
        /// What the library says.
        source: smtp::Error,
    },
    /// The password is not text.
    #[error("its `password` is no UTF-8")]
    Password,
}

/// What a message was refused by, or could not be sent by.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// There is no connection.
    #[error("no connection: {0}")]
    Connect(#[source] io::Error),
    /// The server's no, or what was said is no SMTP, or TLS failed.
    #[error("{0}")]
    Smtp(#[source] smtp::Error),
}

/// How the server is talked to.
#[derive(Clone)]
enum Way {
    Plain,
    StartTls(TlsParameters),
    Wrapped(TlsParameters),
}

/// A mail server.
pub(super) struct MailServer {
    host: Arc<str>,
    port: u16,
    way: Way,
    login: Option<Credentials>,
}

impl MailServer {
    /// The server that is configured. Nobody is asked yet whether it is there.
    ///
    /// # Errors
    /// [`MailError`].
    pub(super) fn new(mail: &Mail) -> Result<Self, MailError> {
        let login = mail.login.as_ref().map(|(user, password)| {
            let password = std::str::from_utf8(password.reveal());
            password.map(|password| Credentials::new(user.clone(), password.to_owned()))
        });
        Ok(Self {
            host: Arc::clone(&mail.host),
            port: mail.port,
            way: match mail.tls {
                MailTls::Off => Way::Plain,
                MailTls::StartTls => Way::StartTls(tls(mail)?),
                MailTls::Wrapped => Way::Wrapped(tls(mail)?),
            },
            login: login.transpose().map_err(|_| MailError::Password)?,
        })
    }

    /// Gives it a message, over a connection of its own.
    ///
    /// # Errors
    /// [`SendError`]; the server may have the message all the same, where the connection broke at its end.
    pub(super) async fn take(&self, message: &Message) -> Result<(), SendError> {
        let mut connection = self.connection().await?;
        if let Some(login) = &self.login {
            let answer = connection.auth(DEFAULT_MECHANISMS, login).await;
            answer.map_err(SendError::Smtp)?;
        }
        let bytes = message.formatted();
        let sent = connection.send(message.envelope(), &bytes).await;
        sent.map_err(SendError::Smtp)?;
        // It has it, whatever becomes of the farewell.
        connection.abort().await;
        Ok(())
    }

    async fn connection(&self) -> Result<AsyncSmtpConnection, SendError> {
        let (host, us) = (&*self.host, ClientId::default());
        match &self.way {
            Way::Plain | Way::Wrapped(_) => {
                let tls = match &self.way {
                    Way::Wrapped(tls) => Some(tls.clone()),
                    Way::Plain | Way::StartTls(_) => None,
                };
                let place = (host, self.port);
                AsyncSmtpConnection::connect_tokio1(place, None, &us, tls, None)
                    .await
                    .map_err(SendError::Smtp)
            }
            Way::StartTls(tls) => {
                let stream = TcpStream::connect((host, self.port)).await;
                let stream = Box::new(ByteByByte(stream.map_err(SendError::Connect)?));
                let connection = AsyncSmtpConnection::connect_with_transport(stream, &us).await;
                let mut connection = connection.map_err(SendError::Smtp)?;
                // It fails where the server, or whoever is between, offers no STARTTLS.
                let encrypted = connection.starttls(tls.clone(), &us).await;
                encrypted.map_err(SendError::Smtp)?;
                Ok(connection)
            }
        }
    }
}

fn tls(mail: &Mail) -> Result<TlsParameters, MailError> {
    let mut builder = TlsParameters::builder(mail.host.to_string());
    if let Some(authorities) = &mail.extra_ca {
        let authorities = Certificate::from_pem(authorities)
            .map_err(|source| MailError::Authorities { source })?;
        builder = builder.add_root_certificate(authorities);
    }
    builder.build().map_err(|source| MailError::Tls { source })
}

/// A connection that is read a byte at a time.
///
/// INVARIANT: whoever reads a line of it has read no more. The library keeps what it read beyond the answer to STARTTLS, and would take it
/// for answers that came encrypted: whoever is between could say yes in the server's place. So it stays where TLS meets it, and fails.
///
/// # Source
/// RFC 3207, section 6; "Why TLS is better without STARTTLS" (USENIX Security 2021), response injection.
#[derive(Debug)]
struct ByteByByte(TcpStream);

impl AsyncTokioStream for ByteByByte {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }
}

impl AsyncRead for ByteByByte {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        if buffer.remaining() > 0 {
            ready!(Pin::new(&mut self.0).poll_read(context, &mut one))?;
            buffer.put_slice(one.filled());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ByteByByte {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

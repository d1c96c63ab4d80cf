//! A stock client of the demo's gateway: tokio-postgres over TLS, both protocols. It sees what any client would see.

use std::{
    error::Error as StdError,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_postgres::{
    SimpleQueryMessage,
    config::SslMode,
    tls::{ChannelBinding, TlsConnect},
    types::{FromSql, ToSql, Type},
};

use super::people::Person;

/// What a client saw of one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Rows; SQL NULL is `None`.
    Rows {
        /// Column names.
        columns: Vec<String>,
        /// Values as text.
        rows: Vec<Vec<Option<String>>>,
    },
    /// It is done; rows affected.
    Done {
        /// How many.
        rows: u64,
    },
    /// An ERROR.
    Error {
        /// Five characters.
        sqlstate: String,
        /// MESSAGE.
        message: String,
        /// DETAIL.
        detail: Option<String>,
        /// HINT.
        hint: Option<String>,
    },
}

/// Why there is no answer at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The certificate can't be used.
    #[error("the demo's own certificate can't be used: {0}")]
    Tls(#[source] rustls::Error),
    /// The certificate is no PEM.
    #[error("the demo's own certificate can't be read: {0}")]
    Pem(#[source] rustls_pki_types::pem::Error),
    /// The gateway's port can't be connected to.
    #[error("could not connect to the gateway: {0}")]
    Connect(#[source] io::Error),
    /// The connection broke, or the client library gave up.
    #[error("the connection to the gateway broke: {0}")]
    Broken(#[source] tokio_postgres::Error),
}

/// A connection of one person.
pub(crate) struct Client {
    client: tokio_postgres::Client,
    connection: JoinHandle<()>,
}

impl Client {
    /// Connects over TLS with a token as the password. The inner error is what the gateway answered at login.
    ///
    /// # Errors
    /// [`Error`] where there was no answer.
    pub(crate) async fn connect(
        port: u16,
        certificate: &str,
        person: &Person,
        token: &str,
    ) -> Result<Result<Self, Seen>, Error> {
        let mut config = tokio_postgres::Config::new();
        config
            .user(person.id)
            .password(token)
            .dbname("shop")
            .application_name("provost demo")
            .ssl_mode(SslMode::Require);
        let tls = Connect::trusting(certificate)?;
        let stream = TcpStream::connect(("127.0.0.1", port))
            .await
            .map_err(Error::Connect)?;
        match config.connect_raw(stream, tls).await {
            Ok((client, connection)) => Ok(Ok(Self {
                client,
                connection: tokio::spawn(async move {
                    // How the connection ended shows in the client's next answer.
                    let _ = connection.await;
                }),
            })),
            Err(error) => seen_error(error).map(Err),
        }
    }

    /// Ends the session as clients do, and waits until it is gone.
    pub(crate) async fn close(self) {
        let Self { client, connection } = self;
        drop(client);
        // The task ends when Terminate is sent; that it was cancelled can't be, nobody else holds it.
        let _ = connection.await;
    }

    /// Runs a text by the simple protocol (values travel as text).
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub(crate) async fn simple(&self, sql: &str) -> Result<Seen, Error> {
        match self.client.simple_query(sql).await {
            Ok(messages) => Ok(seen_simple(&messages)),
            Err(error) => seen_error(error),
        }
    }

    /// Runs one statement by the extended protocol (parse, bind, execute; values travel in binary).
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub(crate) async fn extended(&self, sql: &str, parameters: &[i32]) -> Result<Seen, Error> {
        let parameters: Vec<&(dyn ToSql + Sync)> = parameters
            .iter()
            .map(|value| value as &(dyn ToSql + Sync))
            .collect();
        let statement = match self.client.prepare(sql).await {
            Ok(statement) => statement,
            Err(error) => return seen_error(error),
        };
        match self.client.query(&statement, &parameters).await {
            Ok(rows) => Ok(Seen::Rows {
                columns: statement
                    .columns()
                    .iter()
                    .map(|column| column.name().to_owned())
                    .collect(),
                rows: rows
                    .iter()
                    .map(|row| (0..row.len()).map(|index| cell(row, index)).collect())
                    .collect(),
            }),
            Err(error) => seen_error(error),
        }
    }
}

fn cell(row: &tokio_postgres::Row, index: usize) -> Option<String> {
    match row.try_get::<_, Option<Binary>>(index) {
        Ok(value) => value.map(|Binary(text)| text),
        Err(error) => Some(format!("<unreadable: {error}>")),
    }
}

fn seen_simple(messages: &[SimpleQueryMessage]) -> Seen {
    let mut columns = Vec::new();
    let mut rows = Vec::new();
    let mut affected = 0;
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(described) => {
                columns = described
                    .iter()
                    .map(|column| column.name().to_owned())
                    .collect();
            }
            SimpleQueryMessage::Row(row) => rows.push(
                (0..row.len())
                    .map(|index| row.try_get(index).ok().flatten().map(str::to_owned))
                    .collect(),
            ),
            SimpleQueryMessage::CommandComplete(count) => affected = *count,
            _ => {}
        }
    }
    if columns.is_empty() {
        Seen::Done { rows: affected }
    } else {
        Seen::Rows { columns, rows }
    }
}

/// The server's ERROR, or that there was none.
fn seen_error(error: tokio_postgres::Error) -> Result<Seen, Error> {
    match error.as_db_error() {
        Some(answer) => Ok(Seen::Error {
            sqlstate: answer.code().code().to_owned(),
            message: answer.message().to_owned(),
            detail: answer.detail().map(str::to_owned),
            hint: answer.hint().map(str::to_owned),
        }),
        None => Err(Error::Broken(error)),
    }
}

/// A value in binary format as text, for the few types of the demo.
struct Binary(String);

impl<'a> FromSql<'a> for Binary {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        let text = match *kind {
            Type::INT2 => i16::from_sql(kind, raw)?.to_string(),
            Type::INT4 => i32::from_sql(kind, raw)?.to_string(),
            Type::INT8 => i64::from_sql(kind, raw)?.to_string(),
            Type::BOOL => bool::from_sql(kind, raw)?.to_string(),
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => {
                std::str::from_utf8(raw)?.to_owned()
            }
            _ => format!("<{} bytes of {kind}>", raw.len()),
        };
        Ok(Self(text))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// rustls for tokio-postgres, trusting one certificate.
struct Connect {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Connect {
    fn trusting(certificate: &str) -> Result<Self, Error> {
        let certificate =
            CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(Error::Pem)?;
        let mut roots = RootCertStore::empty();
        roots.add(certificate).map_err(Error::Tls)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            config: Arc::new(config),
            name: ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
        })
    }
}

impl TlsConnect<TcpStream> for Connect {
    type Stream = TlsStream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TlsStream>> + Send>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move {
            tokio_rustls::TlsConnector::from(self.config)
                .connect(self.name, stream)
                .await
                .map(|stream| TlsStream(Box::new(stream)))
        })
    }
}

/// The encrypted stream; boxed, because it is large.
struct TlsStream(Box<tokio_rustls::client::TlsStream<TcpStream>>);

impl tokio_postgres::tls::TlsStream for TlsStream {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(context)
    }
}

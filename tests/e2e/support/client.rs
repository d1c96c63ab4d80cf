//! tokio-postgres through the gateway, over TLS, every decrypted byte that arrives kept for the search for canaries.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};

use super::{House, Person, TARGET};

/// Everything the gateway sent on one connection, after TLS.
#[derive(Clone, Default)]
pub(crate) struct Received(Arc<Mutex<Vec<u8>>>);

impl Received {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }

    /// Where the next bytes will stand.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// A connected client.
pub(crate) struct Connected {
    pub(crate) client: tokio_postgres::Client,
    pub(crate) received: Received,
    pub(crate) tls: RecordingTls,
}

impl House {
    pub(crate) async fn connect(&self, person: Person) -> Connected {
        self.try_connect(person.id(), &self.token(person), TARGET)
            .await
            .unwrap_or_else(|error| panic!("{error:?}"))
    }

    pub(crate) async fn try_connect(
        &self,
        user: &str,
        password: &str,
        database: &str,
    ) -> Result<Connected, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config
            .host("localhost")
            .hostaddr("127.0.0.1".parse().unwrap())
            .port(self.port)
            .user(user)
            .password(password)
            .dbname(database)
            .ssl_mode(tokio_postgres::config::SslMode::Require);
        let received = Received::default();
        let tls = RecordingTls::new(self, received.clone());
        let (client, connection) = config.connect(tls.clone()).await?;
        tokio::spawn(connection);
        Ok(Connected {
            client,
            received,
            tls,
        })
    }
}

/// TLS by rustls that trusts the house's certificate only.
#[derive(Clone)]
pub(crate) struct RecordingTls {
    config: Arc<ClientConfig>,
    received: Received,
}

impl RecordingTls {
    pub(crate) fn new(house: &House, received: Received) -> Self {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(house.path("certificate.pem")).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            config: Arc::new(config),
            received,
        }
    }
}

impl<S> MakeTlsConnect<S> for RecordingTls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Recording<S>;
    type TlsConnect = Self;
    type Error = io::Error;

    fn make_tls_connect(&mut self, _domain: &str) -> io::Result<Self> {
        Ok(self.clone())
    }
}

impl<S> TlsConnect<S> for RecordingTls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Recording<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Recording<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let name = ServerName::try_from("localhost").unwrap();
            let stream = tokio_rustls::TlsConnector::from(self.config)
                .connect(name, stream)
                .await?;
            Ok(Recording {
                stream,
                received: self.received,
            })
        })
    }
}

/// A TLS stream that keeps what it reads.
pub(crate) struct Recording<S> {
    stream: tokio_rustls::client::TlsStream<S>,
    received: Received,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Recording<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Recording<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.received
            .0
            .lock()
            .unwrap()
            .extend_from_slice(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Recording<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

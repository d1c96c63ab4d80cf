//! A relay that looks at nothing: what a proxy on tokio costs at least. For `tests/bench/run.sh`.
//!
//! `bench-relay LISTEN SOCKET THREADS [CERTIFICATE KEY]`: as the gateway does, one single-threaded runtime per thread, both sockets of a
//! session on one thread, the server behind a Unix socket. With a certificate it encrypts towards clients, who must ask for it.

use std::{
    env,
    error::Error,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream, UnixStream},
    runtime::Builder,
    sync::mpsc,
    task::{LocalSet, spawn_local},
};
use tokio_rustls::TlsAcceptor;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: LISTEN SOCKET THREADS");
    let listen: SocketAddr = next()?.parse()?;
    let socket: Arc<PathBuf> = Arc::new(next()?.into());
    let threads: usize = next()?.parse()?;
    let acceptor = match (next(), next()) {
        (Ok(certificate), Ok(key)) => Some(acceptor(&certificate, &key)?),
        _ => None,
    };
    let mut queues = Vec::new();
    for _ in 0..threads.max(1) {
        let (sender, receiver) = mpsc::channel(128);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let way = (Arc::clone(&socket), acceptor.clone());
        thread::spawn(move || LocalSet::new().block_on(&runtime, serve(receiver, way)));
        queues.push(sender);
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        for queue in queues.iter().cycle() {
            let (stream, _) = listener.accept().await?;
            queue.send(stream.into_std()?).await?;
        }
        Ok(())
    })
}

fn acceptor(certificate: &str, key: &str) -> Result<TlsAcceptor, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(
    mut connections: mpsc::Receiver<std::net::TcpStream>,
    (socket, acceptor): (Arc<PathBuf>, Option<TlsAcceptor>),
) {
    while let Some(client) = connections.recv().await {
        let (socket, acceptor) = (Arc::clone(&socket), acceptor.clone());
        spawn_local(async move {
            if let Err(error) = relay(client, &socket, acceptor).await {
                eprintln!("{error}");
            }
        });
    }
}

async fn relay(
    client: std::net::TcpStream,
    socket: &Path,
    acceptor: Option<TlsAcceptor>,
) -> io::Result<()> {
    let mut client = TcpStream::from_std(client)?;
    client.set_nodelay(true)?;
    let mut server = UnixStream::connect(socket).await?;
    let Some(acceptor) = acceptor else {
        copy_bidirectional(&mut client, &mut server).await?;
        return Ok(());
    };
    // SSLRequest, whatever it says.
    client.read_exact(&mut [0; 8]).await?;
    client.write_all(b"S").await?;
    let mut client = acceptor.accept(client).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

//! TLS towards the server: verified, with SCRAM bound to the certificate; anything less than configured is refused.

use std::{
    io,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use provost_gateway::settings::{ClientTls, Host, ServerTls, Target};
use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::{
    house::{House, settings_for, start_cluster, target, tokens},
    postgres::Cluster,
    raw::{Raw, TLS_REQUEST, message},
    server_certificate,
};

/// Gives a running server a certificate for `localhost`, and gives back the certificate.
pub(crate) fn enable_tls(cluster: &Cluster) -> String {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
    let sql = server_certificate::taken(&certificate, &key);
    cluster.execute("postgres", &sql).unwrap();
    while cluster.execute("postgres", "SHOW ssl").unwrap() != "on\n" {
        thread::sleep(Duration::from_millis(20));
    }
    certificate
}

fn over_tcp(cluster: &Cluster, host: &str, tls: ServerTls) -> Target {
    Target {
        host: Host::Tcp(host.into()),
        tls,
        ..target(cluster)
    }
}

#[test]
fn the_server_is_verified_and_the_password_bound_to_its_certificate() {
    let cluster = start_cluster();
    let roots = enable_tls(&cluster).into_bytes();
    for tls in [
        ServerTls::VerifyFull {
            roots: roots.clone(),
        },
        ServerTls::Require,
    ] {
        let house = House::start(settings_for(
            ClientTls::Off,
            over_tcp(&cluster, "localhost", tls),
        ));
        let mut raw = Raw::log_in(
            house.address,
            &[("user", "ann"), ("database", "shop")],
            &tokens().good("ann"),
        );
        raw.until(b'Z');
        raw.send(&message(
            b'Q',
            b"SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()\0",
        ));
        assert_eq!(raw.answer(), "t I");
    }

    let refuse = |host: &str, roots: Vec<u8>| {
        let target = over_tcp(&cluster, host, ServerTls::VerifyFull { roots });
        House::try_start(settings_for(ClientTls::Off, target))
            .err()
            .unwrap()
            .to_string()
    };
    for (host, roots) in [("localhost", other_roots()), ("127.0.0.1", roots)] {
        let error = refuse(host, roots);
        assert!(
            error.contains("TLS handshake with the server failed"),
            "{error}"
        );
    }
    assert!(refuse("localhost", b"nothing".to_vec()).contains("no certificate in the PEM text"));
    assert!(refuse("not a name", other_roots()).contains("neither a DNS name nor an address"));
    cluster.stop().unwrap();
}

/// Somebody between the gateway and the server who has a certificate that the gateway takes and passes on what it decrypts, with the server's
/// certificate trusted: the password is bound to the certificate of the gateway's own connection, which is not the server's.
#[test]
fn whoever_stands_between_gets_no_session() {
    let cluster = start_cluster();
    let server = enable_tls(&cluster);
    for (between, expected) in [
        (Between::PassesOn, None),
        (Between::Decrypts, Some("channel binding check failed")),
    ] {
        let port = between.start(cluster.port(), &server);
        let target = Target {
            port,
            ..over_tcp(&cluster, "localhost", ServerTls::Require)
        };
        let started = House::try_start(settings_for(ClientTls::Off, target));
        let error = started.err().map(|error| error.to_string());
        let is_expected = |error: &String| expected.is_some_and(|words| error.contains(words));
        assert_eq!(error.is_some(), expected.is_some(), "{error:?}");
        assert!(error.iter().all(is_expected), "{error:?}");
    }
    cluster.stop().unwrap();
}

/// What stands between does.
#[derive(Clone, Copy)]
enum Between {
    PassesOn,
    Decrypts,
}

impl Between {
    /// Listens, and gives the port. It ends with this process.
    fn start(self, server: u16, certificate: &str) -> u16 {
        let (own, theirs) = (own_side(), their_side(certificate));
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            Runtime::new().unwrap().block_on(async {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
                tell.send(listener.local_addr().unwrap().port()).unwrap();
                loop {
                    let (client, _) = listener.accept().await.unwrap();
                    let (own, theirs) = (own.clone(), theirs.clone());
                    // A side that closes ends it.
                    tokio::spawn(async move {
                        let _ = self.carry(client, server, (own, theirs)).await;
                    });
                }
            });
        });
        told.recv().unwrap()
    }

    async fn carry(
        self,
        mut client: TcpStream,
        server: u16,
        (own, theirs): (TlsAcceptor, TlsConnector),
    ) -> io::Result<()> {
        let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
        if matches!(self, Self::PassesOn) {
            copy_bidirectional(&mut client, &mut server).await?;
            return Ok(());
        }
        let mut request = [0; 8];
        client.read_exact(&mut request).await?;
        assert_eq!(request, TLS_REQUEST);
        server.write_all(&request).await?;
        let mut answer = [0];
        server.read_exact(&mut answer).await?;
        client.write_all(&answer).await?;
        let mut client = own.accept(client).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut server = theirs.connect(name, server).await?;
        copy_bidirectional(&mut client, &mut server).await?;
        Ok(())
    }
}

/// A certificate of one's own.
fn own_side() -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    Arc::new(config).into()
}

/// Trust in the server's.
fn their_side(certificate: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    roots.add(certificate).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config).into()
}

fn other_roots() -> Vec<u8> {
    rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])
        .unwrap()
        .cert
        .pem()
        .into_bytes()
}

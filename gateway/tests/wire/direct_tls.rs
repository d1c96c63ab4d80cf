//! TLS from the first byte on (`sslnegotiation=direct`), and what ALPN has to say in either way to TLS.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    sync::Arc,
    thread,
    time::Duration,
};

use provost_gateway::settings::ClientTls;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};

use crate::{
    house::{House, PATIENCE, certificate, settings, tokens},
    raw::{Raw, TLS_REQUEST, cancel_request, message, password, query, startup},
};

const SHOP: [(&str, &str); 2] = [("user", "ann"), ("database", "shop")];

/// How a client comes to TLS.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// By SSLRequest.
    Asked,
    /// At once.
    Direct,
}

type Encrypted = StreamOwned<ClientConnection, TcpStream>;

/// A gateway with a certificate, and clients that trust it.
struct World {
    house: House,
    roots: Arc<RootCertStore>,
}

impl World {
    fn new() -> Self {
        let tls = certificate();
        let ClientTls::Required {
            certificate_chain, ..
        } = &tls
        else {
            panic!("a certificate");
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(certificate_chain) {
            roots.add(certificate.unwrap()).unwrap();
        }
        Self {
            house: House::start(settings(tls)),
            roots: Arc::new(roots),
        }
    }

    fn client(&self, protocols: &[&str]) -> ClientConnection {
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().into())
            .collect();
        let name = ServerName::try_from("localhost").unwrap();
        ClientConnection::new(Arc::new(config), name).unwrap()
    }

    /// A connection that shook hands, offering these protocols.
    fn connect(&self, way: Way, protocols: &[&str]) -> io::Result<Encrypted> {
        let mut stream = TcpStream::connect(self.house.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        if matches!(way, Way::Asked) {
            stream.write_all(&TLS_REQUEST)?;
            let mut answer = [0];
            stream.read_exact(&mut answer)?;
            assert_eq!(answer, *b"S");
        }
        let mut client = self.client(protocols);
        while client.is_handshaking() {
            client.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(client, stream))
    }
}

/// The next message.
fn next(stream: &mut impl Read) -> (u8, Vec<u8>) {
    let mut header = [0; 5];
    stream.read_exact(&mut header).unwrap();
    let length = u32::from_be_bytes(header[1..].try_into().unwrap()) as usize;
    let mut body = vec![0; length - 4];
    stream.read_exact(&mut body).unwrap();
    (header[0], body)
}

/// Reads on until a message of this type.
fn until(stream: &mut impl Read, kind: u8) -> Vec<u8> {
    loop {
        let (found, body) = next(stream);
        if found == kind {
            return body;
        }
    }
}

/// Logs in; gives the BackendKeyData.
fn log_in(stream: &mut (impl Read + Write)) -> Vec<u8> {
    stream.write_all(&startup(&SHOP)).unwrap();
    assert_eq!(next(stream), (b'R', vec![0, 0, 0, 3]));
    stream.write_all(&password(&tokens().good("ann"))).unwrap();
    let key = until(stream, b'K');
    until(stream, b'Z');
    key
}

/// Logs in and asks something.
fn works(mut stream: Encrypted) {
    log_in(&mut stream);
    stream.write_all(&query("SELECT 'seen'")).unwrap();
    let mut seen = false;
    loop {
        let (kind, body) = next(&mut stream);
        seen |= kind == b'D' && body.ends_with(b"seen");
        if kind == b'Z' {
            break;
        }
    }
    assert!(seen);
    stream.write_all(&message(b'X', b"")).unwrap();
}

#[test]
fn a_session_may_begin_with_tls() {
    let world = World::new();
    for (way, protocols) in [
        (Way::Direct, &["postgresql"][..]),
        (Way::Direct, &["h2", "postgresql"]),
        (Way::Asked, &["postgresql"]),
        (Way::Asked, &["http/1.1", "postgresql"]),
        // Clients before PostgreSQL 17 offer nothing.
        (Way::Asked, &[]),
    ] {
        let stream = world.connect(way, protocols).unwrap();
        let expected = (!protocols.is_empty()).then_some(&b"postgresql"[..]);
        assert_eq!(stream.conn.alpn_protocol(), expected, "{way:?}");
        works(stream);
    }
    let records = world.house.stop();
    assert_eq!(records.matches("\"event\":\"opened\"").count(), 5);
    assert!(!records.contains("\"tls\":false"), "{records}");
}

#[test]
fn other_protocols_are_no_clients() {
    let world = World::new();
    for way in [Way::Asked, Way::Direct] {
        for protocols in [&["http/1.1"][..], &["postgresql2"], &["postgres", "h2"]] {
            let error = world.connect(way, protocols).err().unwrap().to_string();
            assert!(error.contains("NoApplicationProtocol"), "{way:?}: {error}");
        }
    }
    // Without a word about the protocol: a client that was lured here to speak another one.
    let mut silent = world.connect(Way::Direct, &[]).unwrap();
    // It may be closed already.
    let _ = silent.write_all(&startup(&SHOP));
    let mut rest = Vec::new();
    let ended = silent.read_to_end(&mut rest);
    assert!(ended.is_ok() || ended.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    assert!(rest.is_empty(), "{rest:?}");
}

#[test]
fn nothing_is_encrypted_twice_nor_before_it_is_agreed() {
    let world = World::new();
    let mut stream = world.connect(Way::Direct, &["postgresql"]).unwrap();
    stream.write_all(&TLS_REQUEST).unwrap();
    let (kind, body) = next(&mut stream);
    let said = String::from_utf8_lossy(&body).into_owned();
    assert_eq!(kind, b'E', "{said}");
    assert!(said.contains("inside an encrypted connection"), "{said}");

    // A handshake that does not wait for the answer to the request for it.
    let mut hello = Vec::new();
    world.client(&["postgresql"]).write_tls(&mut hello).unwrap();
    assert_eq!(hello[0], 0x16);
    let error = Raw::connect(world.house.address)
        .send(&[&TLS_REQUEST[..], &hello].concat())
        .last_error();
    assert!(error.starts_with("08P01 received unencrypted"), "{error}");
}

/// As libpq does since version 17: by a connection like the session's own, which must end with a goodbye, once the server was asked.
#[test]
fn cancel_requests_come_encrypted_too() {
    let world = World::new();
    for way in [Way::Asked, Way::Direct] {
        let mut session = world.connect(way, &["postgresql"]).unwrap();
        let key = log_in(&mut session);
        session.write_all(&query("SELECT pg_sleep(20)")).unwrap();
        // The statement may not have reached the server yet.
        thread::sleep(Duration::from_millis(500));
        let mut request = world.connect(way, &["postgresql"]).unwrap();
        request.write_all(&cancel_request(&key)).unwrap();
        let mut rest = Vec::new();
        request.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty(), "{rest:?}");
        let error = until(&mut session, b'E');
        let error = String::from_utf8_lossy(&error).into_owned();
        assert!(error.contains("57014"), "{error}");
    }
}

#[test]
fn a_handshake_may_come_in_pieces_or_be_none() {
    let world = World::new();
    let mut stream = TcpStream::connect(world.house.address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut client = world.client(&["postgresql"]);
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    for byte in hello.chunks(1) {
        stream.write_all(byte).unwrap();
    }
    while client.is_handshaking() {
        client.complete_io(&mut stream).unwrap();
    }
    works(StreamOwned::new(client, stream));

    for bytes in [
        &b"\x16"[..],
        b"\x16\x03\x01\x02\x00",
        b"\x16postgresql postgresql",
    ] {
        let mut raw = Raw::connect(world.house.address);
        raw.send(bytes).finish();
        raw.ends();
    }
    // The gateway is well.
    works(world.connect(Way::Direct, &["postgresql"]).unwrap());
}

/// A connection whose records are measured as they come.
struct Measured {
    stream: TcpStream,
    /// The header that is read, and how much of a record's body is still to come.
    header: Vec<u8>,
    rest: usize,
    longest: usize,
}

impl Read for Measured {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(into)?;
        let mut bytes = &into[..count];
        while !bytes.is_empty() {
            if self.rest > 0 {
                let body = self.rest.min(bytes.len());
                self.rest -= body;
                bytes = &bytes[body..];
                continue;
            }
            self.header.push(bytes[0]);
            bytes = &bytes[1..];
            if let [_, _, _, high, low] = self.header[..] {
                self.rest = usize::from(u16::from_be_bytes([high, low]));
                self.longest = self.longest.max(self.rest);
                self.header.clear();
            }
        }
        Ok(count)
    }
}

impl Write for Measured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// libpq waits on the socket for what its TLS library may have already: the rest of a record that it had no room for.
#[test]
fn records_are_no_longer_than_the_servers() {
    let world = World::new();
    let stream = TcpStream::connect(world.house.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = Measured {
        stream,
        header: Vec::new(),
        rest: 0,
        longest: 0,
    };
    let mut client = world.client(&["postgresql"]);
    while client.is_handshaking() {
        client.complete_io(&mut stream).unwrap();
    }
    let mut session = StreamOwned::new(client, stream);
    log_in(&mut session);
    session.sock.longest = 0;
    for statement in [
        "SELECT repeat('x', 300000)",
        "SELECT repeat('x', n) FROM generate_series(1, 2000) AS n",
        "COPY (SELECT repeat('x', n) FROM generate_series(1, 2000) AS n) TO STDOUT",
    ] {
        session.write_all(&query(statement)).unwrap();
        until(&mut session, b'Z');
    }
    // The kind of what is encrypted (1) and the seal (16) are in its length.
    assert_eq!(session.sock.longest, 8_192 + 17);
}

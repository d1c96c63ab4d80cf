//! Servers that can't be had, or that the gateway must not trust.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use provost_gateway::settings::{Asked, ClientTls, Credential, Host, Secret, ServerTls, Source};

use crate::{
    house::{House, cluster, mask_ssn, settings_for, start_cluster, target, tokens},
    postgres::SUPERUSER,
    raw::{Raw, message},
};

#[test]
fn a_gateway_does_not_start_without_its_server() {
    let mut nobody = target(cluster());
    nobody.port = 1;
    let error = House::try_start(settings_for(ClientTls::Off, nobody))
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("target `shop`: the server can't be reached"),
        "{error}"
    );

    let mut wrong = target(cluster());
    wrong.password = Some(Secret::new(&b"wrong"[..]).into());
    let error = House::try_start(settings_for(ClientTls::Off, wrong))
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("28P01"), "{error}");
    assert!(!error.contains("wrong"), "{error}");
}

#[test]
fn a_server_that_goes_away_is_said_and_recorded() {
    let own = start_cluster();
    let house = House::start(settings_for(ClientTls::Off, target(&own)));
    let parameters = [("user", "ann"), ("database", "shop")];
    Raw::log_in(house.address, &parameters, &tokens().good("ann")).until(b'Z');
    own.stop().unwrap();
    let error = Raw::log_in(house.address, &parameters, &tokens().good("ann")).last_error();
    assert!(
        error.starts_with("08006 target `shop` can't be reached"),
        "{error}"
    );
    let records = house.stop();
    assert!(records.contains("\"sqlstate\":\"08006\""), "{records}");
}

/// What a password's file or command gives: it changes while the gateway runs.
#[derive(Debug, Clone, Default)]
struct Vault(Arc<Mutex<String>>);

impl Source for Vault {
    fn password(&self) -> Asked<'_> {
        let password = self.0.lock().unwrap().clone();
        Box::pin(async { Ok(Secret::new(password.into_bytes())) })
    }
}

#[test]
fn a_changed_password_is_asked_for_when_the_old_one_is_refused() {
    let own = start_cluster();
    let vault = Vault::default();
    own.password().clone_into(&mut vault.0.lock().unwrap());
    let mut target = target(&own);
    target.password = Some(Credential::asked(Arc::new(vault.clone()), None, None));
    let house = House::start(settings_for(ClientTls::Off, target));
    let parameters = [("user", "ann"), ("database", "shop")];
    let log_in = || Raw::log_in(house.address, &parameters, &tokens().good("ann"));
    log_in().until(b'Z');
    let change = format!("ALTER ROLE {SUPERUSER} PASSWORD 'another'");
    own.execute("postgres", &change).unwrap();
    let error = log_in().last_error();
    assert!(
        error.starts_with("08004 target `shop` refused the gateway's own log-in"),
        "{error}"
    );
    "another".clone_into(&mut vault.0.lock().unwrap());
    // The same wrong password is asked for once a second at most.
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let mut raw = log_in();
        if raw.message().0 == b'R' {
            raw.until(b'Z');
            break;
        }
        assert!(Instant::now() < deadline, "the new password was never used");
        thread::sleep(Duration::from_millis(100));
    }
    house.stop();
    own.stop().unwrap();
}

/// A server that answers the start-up message with `answer`; what the gateway says of it.
fn impostor(answer: Vec<u8>, password: Option<&str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut target = target(cluster());
    target.host = Host::Tcp("127.0.0.1".into());
    target.port = listener.local_addr().unwrap().port();
    target.password = password.map(|password| Secret::new(password.as_bytes()).into());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 1024];
        let _ = stream.read(&mut bytes).unwrap();
        stream.write_all(&answer).unwrap();
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        said
    });
    let error = House::try_start(settings_for(ClientTls::Off, target))
        .err()
        .unwrap()
        .to_string();
    let said = server.join().unwrap();
    assert!(
        !said.windows(6).any(|window| window == b"secret"),
        "the password was given away"
    );
    error
}

#[test]
fn the_credential_is_not_given_to_whoever_asks() {
    let ask = |code: u32, rest: &[u8]| message(b'R', &[&code.to_be_bytes(), rest].concat());
    for (answer, password, expected) in [
        (ask(3, b""), Some("secret"), "cleartext authentication"),
        (ask(5, b"salt"), Some("secret"), "md5 authentication"),
        (ask(7, b""), Some("secret"), "GSSAPI"),
        (
            ask(0, b""),
            Some("secret"),
            "did not ask for the configured password",
        ),
        (ask(0, b""), None, "did not ask for the configured password"),
        (
            ask(10, b"SCRAM-SHA-1\0\0"),
            Some("secret"),
            "a SASL mechanism other than SCRAM-SHA-256",
        ),
        (ask(10, b"SCRAM-SHA-256\0\0"), None, "no `password`"),
        (ask(12, b"v=x"), Some("secret"), "unexpected message"),
        (
            [ask(10, b"SCRAM-SHA-256\0\0"), ask(0, b"")].concat(),
            Some("secret"),
            "did not ask for the configured password",
        ),
        (
            [
                ask(10, b"SCRAM-SHA-256\0\0"),
                ask(11, b"r=other,s=c2FsdA==,i=4096"),
            ]
            .concat(),
            Some("secret"),
            "SCRAM authentication",
        ),
        (message(b'Z', b"I"), Some("secret"), "unexpected message"),
        (
            vec![b'R', 0xff, 0xff, 0xff, 0xff],
            Some("secret"),
            "the server",
        ),
    ] {
        let error = impostor(answer, password);
        assert!(error.contains(expected), "{error}\nexpected {expected}");
    }
}

#[test]
fn a_server_without_tls_is_refused_where_tls_is_configured() {
    let mut target = target(cluster());
    target.host = Host::Tcp("127.0.0.1".into());
    target.tls = ServerTls::Require;
    let error = House::try_start(settings_for(ClientTls::Off, target))
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("does not offer TLS"), "{error}");
}

/// What the proxy looks for in what the server sends.
const CUT: &[u8] = b"cut here";

/// A way to the server that closes both sides in the middle of the frame that first carries [`CUT`]. Its port.
fn cutting_proxy(server_port: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut server = TcpStream::connect(("127.0.0.1", server_port)).unwrap();
            let mut from_client = client.try_clone().unwrap();
            let mut to_server = server.try_clone().unwrap();
            thread::spawn(move || {
                let _ = std::io::copy(&mut from_client, &mut to_server);
                let _ = to_server.shutdown(Shutdown::Both);
            });
            thread::spawn(move || {
                let mut bytes = [0; 64 * 1024];
                loop {
                    let count = server.read(&mut bytes).unwrap_or(0);
                    let part = &bytes[..count];
                    let cut = part.windows(CUT.len()).position(|window| window == CUT);
                    let end = cut.map_or(count, |start| start + CUT.len() / 2);
                    if client.write_all(&part[..end]).is_err() || cut.is_some() || count == 0 {
                        let _ = client.shutdown(Shutdown::Both);
                        let _ = server.shutdown(Shutdown::Both);
                        return;
                    }
                }
            });
        }
    });
    port
}

#[test]
fn a_session_ends_when_its_server_goes_in_the_middle_of_a_frame() {
    let mut proxied = target(cluster());
    proxied.host = Host::Tcp("127.0.0.1".into());
    proxied.port = cutting_proxy(cluster().port());
    let house = House::start(settings_for(ClientTls::Off, proxied));
    house.policy.swap(mask_ssn("masked"));
    for sql in [
        // Read whole because of its mask, passed on in parts, and a frame that is no row.
        "SELECT ssn, 'cut ' || 'here' FROM customers WHERE id = 1",
        "SELECT 'cut ' || 'here' FROM customers WHERE id = 1",
        "SELECT 1 AS \"cut here\"",
    ] {
        let mut raw = Raw::log_in(
            house.address,
            &[("user", "ann"), ("database", "shop")],
            &tokens().good("ann"),
        );
        raw.until(b'Z');
        raw.send(&message(b'Q', format!("{sql}\0").as_bytes()));
        raw.ends();
    }
    let records = house.stop();
    assert!(
        records.contains("the server closed the connection"),
        "{records}"
    );
}

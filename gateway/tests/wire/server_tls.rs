//! TLS towards the server: verified, with SCRAM bound to the certificate; anything less than configured is refused.

use std::{fmt::Write as _, thread, time::Duration};

use provost_gateway::settings::{ClientTls, Host, ServerTls, Target};

use crate::{
    house::{House, settings_for, start_cluster, target, tokens},
    postgres::Cluster,
    raw::{Raw, message},
};

/// Gives a running server a certificate for `localhost`, and gives back the certificate.
pub(crate) fn enable_tls(cluster: &Cluster) -> String {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
    let hex = |text: &str| {
        text.bytes().fold(String::new(), |mut digits, byte| {
            write!(digits, "{byte:02x}").unwrap();
            digits
        })
    };
    // The server writes the files itself, so that they are its own whoever runs this test.
    let sql = format!(
        r"SELECT lo_from_bytea(1, '\x{}'), lo_from_bytea(2, '\x{}');
          SELECT lo_export(1, 'server.crt'), lo_export(2, 'server.key');
          COPY (SELECT 1) TO PROGRAM 'cat > /dev/null; chmod 600 server.key';
          ALTER SYSTEM SET ssl = on;
          SELECT pg_reload_conf();",
        hex(&certificate),
        hex(&key)
    );
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

fn other_roots() -> Vec<u8> {
    rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])
        .unwrap()
        .cert
        .pem()
        .into_bytes()
}

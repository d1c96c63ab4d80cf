//! Certificates read anew on SIGHUP: who comes later sees the later one, by stock psql with `sslmode=verify-full`; what can't be used leaves
//! what is in use.

use std::{fs, path::Path, process::Output};

use tokio_postgres::Client;

use crate::{
    postgres::{Cluster, Listen, Options},
    server_certificate,
    support::{House, Person, free_port, succeeded, text},
};

/// Which server process the session has, and whether the way to it is encrypted.
const WHERE: &str = "SELECT pid, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

/// A certificate for `localhost` and its key, PEM.
fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]);
    let made = made.unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn write_pair(house: &House, (certificate, key): &(String, String)) {
    fs::write(house.path("certificate.pem"), certificate).unwrap();
    fs::write(house.path("key.pem"), key).unwrap();
}

/// A new psql that trusts only this root, whether it gets in.
fn psql(house: &House, root: &Path, database: &str) -> Output {
    let way = format!("--dbname=sslrootcert={} dbname={database}", root.display());
    house.psql(Person::Dba, &["--tuples-only", &way], WHERE)
}

#[track_caller]
fn is_refused(output: &Output, why: &str) {
    assert!(!output.status.success(), "{}", text(&output.stdout));
    let said = text(&output.stderr);
    assert!(said.contains(why), "{said}, and not `{why}`");
}

async fn server_process(client: &Client) -> i32 {
    client.query_one(WHERE, &[]).await.unwrap().get(0)
}

/// The status with which the console answers a caller who trusts only this root; `None` where its certificate is not trusted.
async fn console(house: &House, port: u16, root: &Path) -> Option<u16> {
    let pem = fs::read(root).unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_built_in_root_certs(false)
        .add_root_certificate(reqwest::Certificate::from_pem(&pem).unwrap())
        .build()
        .unwrap();
    let request = client.get(format!("https://127.0.0.1:{port}/api/v1/approvals"));
    let request = request.bearer_auth(house.token(Person::Dba));
    let answer = request.send().await.ok()?;
    Some(answer.status().as_u16())
}

#[tokio::test]
async fn clients_that_come_later_see_the_later_certificate() {
    let mut house = House::without_gateway();
    let port = free_port();
    house.write_config(|config| format!("{config}\n[console]\nlisten = \"127.0.0.1:{port}\"\n"));
    house.start_gateway();
    let (old, new) = (house.path("old.pem"), house.path("new.pem"));
    fs::copy(house.path("certificate.pem"), &old).unwrap();
    let next = pair();
    fs::write(&new, &next.0).unwrap();
    let session = house.connect(Person::Dba).await.client;
    let process = server_process(&session).await;
    succeeded(psql(&house, &old, "shop"));
    is_refused(&psql(&house, &new, "shop"), "certificate verify failed");
    assert_eq!(console(&house, port, &old).await, Some(200));

    // The certificate without its key, a broken one, none at all: the old one stays.
    let refusals: [(&str, &dyn Fn()); 3] = [
        ("keys may not be consistent", &|| {
            fs::write(house.path("certificate.pem"), &next.0).unwrap();
        }),
        ("the PEM text can't be read", &|| {
            fs::write(house.path("certificate.pem"), &next.0[..100]).unwrap();
        }),
        ("could not read", &|| {
            fs::remove_file(house.path("certificate.pem")).unwrap();
        }),
    ];
    for (why, spoil) in refusals {
        spoil();
        house.signal_gateway("HUP");
        house.wait_for_log(&["the certificate was refused", why], 1);
        succeeded(psql(&house, &old, "shop"));
    }
    assert_eq!(console(&house, port, &old).await, Some(200));

    write_pair(&house, &next);
    house.signal_gateway("HUP");
    house.wait_for_log(&["are shown another certificate"], 1);
    succeeded(psql(&house, &new, "shop"));
    is_refused(&psql(&house, &old, "shop"), "certificate verify failed");
    assert_eq!(console(&house, port, &new).await, Some(200));
    assert_eq!(console(&house, port, &old).await, None);
    // Who was there has not noticed.
    assert_eq!(server_process(&session).await, process);

    // The same once more is no change.
    house.signal_gateway("HUP");
    house.wait_for_log(&["is shown already"], 1);
    fs::write(house.path("key.pem"), "nothing").unwrap();
    house.signal_gateway("HUP");
    house.wait_for_log(&["the certificate was refused", "PEM"], 2);
    drop(session);
    house.stop_gateway();
    let rows = house.query(
        "SELECT what, before, after FROM changes WHERE what LIKE 'certificate-%' ORDER BY log_index",
    );
    let told: Vec<&str> = rows
        .iter()
        .map(|row| row["what"].as_str().unwrap())
        .collect();
    let refused = "certificate-refused";
    assert_eq!(
        told,
        [refused, refused, refused, "certificate-loaded", refused]
    );
    // Each names the certificate that is in use, and the change both.
    let openssl = |path: &Path| {
        let mut command = std::process::Command::new("openssl");
        command.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]);
        let said = succeeded(command.arg(path).output().unwrap());
        let (_, digits) = said.trim().split_once('=').unwrap();
        digits.replace(':', "").to_lowercase()
    };
    assert_eq!(rows[3]["before"], openssl(&old));
    assert_eq!(rows[3]["after"], openssl(&new));
    assert_eq!(rows[4]["before"], openssl(&new));
    assert!(!house.gateway_log().contains("PRIVATE KEY"));
}

/// Gives a running server this certificate, and waits until it shows it.
fn give(server: &Cluster, (certificate, key): &(String, String), root: &Path) {
    let sql = server_certificate::taken(certificate, key);
    server.execute("postgres", &sql).unwrap();
    fs::write(root, certificate).unwrap();
    let mut psql = std::process::Command::new(server.program("psql"));
    psql.args(["--no-psqlrc", "--command=SELECT 1"])
        .env("PGHOST", "localhost")
        .env("PGPORT", server.port().to_string())
        .env("PGUSER", "postgres")
        .env("PGDATABASE", "postgres")
        .env("PGPASSWORD", server.password())
        .env("PGSSLMODE", "verify-full")
        .env("PGSSLROOTCERT", root);
    // The postmaster reads it when it comes to it.
    while !psql.output().unwrap().status.success() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Its sessions log in by SCRAM bound to the certificate of their own connection: with another one's the server refuses them.
#[tokio::test]
async fn a_targets_roots_are_read_anew_too() {
    let server = Cluster::start(&Options {
        listen: Listen::Loopback,
        settings: &[],
    })
    .unwrap();
    let mut house = House::without_gateway();
    let roots = house.path("roots.pem");
    give(&server, &pair(), &roots);
    fs::write(house.path("vault-password"), server.password()).unwrap();
    let target = format!(
        "\n[[target]]\nname = \"vault\"\nhost = \"localhost\"\nport = {}\ndatabase = \"postgres\"\nuser = \"postgres\"\n\
         password = \"file:{}\"\ntls = \"verify-full\"\ntls_roots = \"{}\"\n",
        server.port(),
        house.path("vault-password").display(),
        roots.display()
    );
    house.write_config(|config| config + &target);
    house.start_gateway();
    let trusted = house.path("certificate.pem");
    let get_in = || succeeded(psql(&house, &trusted, "vault"));
    assert!(get_in().ends_with("| t\n\n"), "{}", get_in());
    let token = house.token(Person::Dba);
    let session = house.try_connect(Person::Dba.id(), &token, "vault").await;
    let session = session.unwrap().client;
    let process = server_process(&session).await;

    // Roots that the server's certificate does not lead to, while a connection that was made ahead waits for the next psql.
    house.wait_until("a connection made ahead", |_| {
        let idle = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'psql' AND state = 'idle'";
        server.execute("postgres", idle).unwrap() != "0\n"
    });
    fs::write(&roots, pair().0).unwrap();
    house.signal_gateway("HUP");
    house.wait_for_log(&["must lead to other roots", "vault"], 1);
    is_refused(&psql(&house, &trusted, "vault"), "target `vault`");
    house.wait_for_log(&["no session", "TLS handshake with the server failed"], 1);

    // Another certificate of the server's, and what leads to it.
    give(&server, &pair(), &roots);
    is_refused(&psql(&house, &trusted, "vault"), "target `vault`");
    house.wait_for_log(&["no session", "TLS handshake with the server failed"], 2);
    house.signal_gateway("HUP");
    house.wait_for_log(&["must lead to other roots", "vault"], 2);
    assert!(get_in().ends_with("| t\n\n"));
    fs::write(&roots, "nothing").unwrap();
    house.signal_gateway("HUP");
    house.wait_for_log(&["a target's roots were refused", "no certificate"], 1);
    get_in();
    assert_eq!(server_process(&session).await, process);
    drop(session);
    house.stop_gateway();
    let rows = house.query(
        "SELECT what FROM changes WHERE what LIKE 'roots-%' AND before = 'vault' ORDER BY log_index",
    );
    let told: Vec<_> = rows.iter().map(|row| &row["what"]).collect();
    assert_eq!(told, ["roots-loaded", "roots-loaded", "roots-refused"]);
}

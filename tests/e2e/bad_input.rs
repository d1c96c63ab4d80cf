//! Bad input: each a clear line that says what to do, the right SQLSTATE where a client sees it, and a record in evidence
//! where a principal is known.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _};

use crate::support::{
    House, Person, TARGET, canary,
    issuer::TokenRequest,
    raw::{PROTOCOL_3, Raw, packet, sqlstate},
    succeeded, text,
};

/// psql's words about a login that must fail.
#[track_caller]
fn refused_login(house: &House, user: &str, password: &str, database: &str) -> String {
    let output = house.psql_with(
        user,
        password,
        database,
        &["--set=VERBOSITY=verbose"],
        "SELECT 1;",
    );
    assert!(
        !output.status.success(),
        "the login succeeded: {}",
        text(&output.stdout)
    );
    text(&output.stderr)
}

/// The SQLSTATE of a login that must fail, by the protocol itself (psql does not print it for logins).
fn login_sqlstate(house: &House, parameters: &[(&str, &str)], password: &str) -> Option<String> {
    let mut raw = Raw::tls(house);
    raw.send_startup(parameters);
    let first = raw.read();
    if first.tag == b'E' {
        return sqlstate(&[first]);
    }
    raw.send(b'p', format!("{password}\0").as_bytes());
    sqlstate(&raw.read_until_closed())
}

/// One line, told to the operator, that names what is wrong; exit code 1 and no panic.
#[track_caller]
fn refused_start(house: &House, words: &[&str]) {
    let output = house.provost(&["serve", "--config", house.config_path().to_str().unwrap()]);
    let error = text(&output.stderr);
    assert!(!output.status.success(), "it started: {error}");
    assert!(!error.contains("panicked"), "{error}");
    for word in words {
        assert!(error.contains(word), "`{word}` is not in: {error}");
    }
}

#[test]
fn bad_tokens_are_refused_and_recorded() {
    let mut house = House::new();
    let good = TokenRequest::for_person(Person::Agent);
    let cases: Vec<(&str, String, &str)> = vec![
        ("no token at all", "secret".to_owned(), "token"),
        (
            "expired",
            house.issuer.token(&TokenRequest {
                expires_in: -60,
                ..good.clone()
            }),
            "expired",
        ),
        (
            "not yet valid",
            house.issuer.token(&TokenRequest {
                not_before_in: 600,
                ..good.clone()
            }),
            "not valid yet",
        ),
        (
            "wrong audience",
            house.issuer.token(&TokenRequest {
                audience: "other".to_owned(),
                ..good.clone()
            }),
            "audience",
        ),
        (
            "wrong issuer",
            house.issuer.token(&TokenRequest {
                issuer: Some("http://127.0.0.1:1".to_owned()),
                ..good.clone()
            }),
            "issuer",
        ),
        (
            "unknown key",
            house.issuer.token(&TokenRequest {
                key_id: "other".to_owned(),
                ..good.clone()
            }),
            "key",
        ),
        ("forged", house.issuer.forged_token(&good), "signature"),
        ("unsigned", house.issuer.unsigned_token(&good), "token"),
    ];
    for (name, token, word) in &cases {
        let words = refused_login(&house, Person::Agent.id(), token, TARGET);
        assert!(
            words.to_lowercase().contains(word),
            "{name}: `{word}` is not in: {words}"
        );
        assert!(
            !words.contains(token.as_str()),
            "{name}: the token came back: {words}"
        );
        let state = login_sqlstate(
            &house,
            &[("user", Person::Agent.id()), ("database", TARGET)],
            token,
        );
        assert!(
            matches!(state.as_deref(), Some("28P01" | "28000")),
            "{name}: {state:?}"
        );
    }
    // A good token under another name.
    let words = refused_login(&house, "somebody-else", &house.token(Person::Agent), TARGET);
    assert!(words.contains(Person::Agent.id()), "{words}");
    assert!(
        !house.gateway_log().contains(&cases[1].1),
        "a token is in the gateway's log"
    );
    house.stop_gateway();
    let refused = house.count("SELECT count(*) FROM sessions WHERE event = 'refused'");
    assert!(
        refused >= cases.len() as u64,
        "{refused} of {} refused logins are in evidence",
        cases.len()
    );
}

#[test]
fn an_unknown_target_is_named() {
    let mut house = House::new();
    let words = refused_login(
        &house,
        Person::Agent.id(),
        &house.token(Person::Agent),
        "nowhere",
    );
    assert!(words.contains("nowhere"), "{words}");
    let state = login_sqlstate(
        &house,
        &[("user", Person::Agent.id()), ("database", "nowhere")],
        &house.token(Person::Agent),
    );
    assert_eq!(state.as_deref(), Some("3D000"));
    house.stop_gateway();
    let rows = house.query(
        "SELECT principal, sqlstate FROM sessions WHERE event = 'refused' AND sqlstate = '3D000'",
    );
    assert!(
        rows.iter()
            .any(|row| row["principal"] == Person::Agent.id()),
        "{rows:?}"
    );
}

#[test]
fn an_expired_token_ends_its_session() {
    let house = House::new();
    let token = house.issuer.token(&TokenRequest {
        expires_in: 2,
        ..TokenRequest::for_person(Person::Agent)
    });
    let mut raw = Raw::tls(&house);
    raw.send_startup(&[("user", Person::Agent.id()), ("database", TARGET)]);
    raw.read();
    raw.send(b'p', format!("{token}\0").as_bytes());
    raw.read_until_ready();
    std::thread::sleep(std::time::Duration::from_secs(5));
    let _ = raw.try_write(&crate::support::raw::message(b'Q', b"SELECT 1\0"));
    assert_eq!(sqlstate(&raw.read_until_closed()).as_deref(), Some("28000"));
}

#[test]
fn a_server_that_is_gone_is_said_to_be() {
    let house = House::new();
    assert_eq!(
        succeeded(house.psql(Person::Agent, &["-qAt"], "SELECT 1;")),
        "1\n"
    );
    house
        .cluster
        .execute("postgres", "ALTER ROLE postgres PASSWORD 'changed'")
        .unwrap_or_default();
    let state = login_sqlstate(
        &house,
        &[("user", Person::Agent.id()), ("database", TARGET)],
        &house.token(Person::Agent),
    );
    assert_eq!(
        state.as_deref(),
        Some("08004"),
        "the server refuses the gateway's own password"
    );
    let words = refused_login(
        &house,
        Person::Agent.id(),
        &house.token(Person::Agent),
        TARGET,
    );
    assert!(
        !words.contains("changed") && !words.contains(house.cluster.password()),
        "{words}"
    );
}

#[test]
fn plain_connections_are_refused_where_tls_is_required() {
    let house = House::new();
    let mut raw = Raw::plain(&house);
    raw.send_startup(&[("user", Person::Agent.id()), ("database", TARGET)]);
    let messages = raw.read_until_closed();
    assert_eq!(
        sqlstate(&messages).as_deref(),
        Some("28000"),
        "{messages:?}"
    );
}

#[test]
fn start_up_values_that_are_no_text_are_refused() {
    let house = House::new();
    for body in [
        &b"user\0\xff\xfe\0database\0shop\0\0"[..],
        b"user\0x\0application_name\0\xc3\x28\0database\0shop\0\0",
    ] {
        let mut raw = Raw::tls(&house);
        raw.write(&packet(PROTOCOL_3, body));
        let first = raw.read();
        let state = if first.tag == b'E' {
            sqlstate(&[first])
        } else {
            raw.send(b'p', format!("{}\0", house.token(Person::Agent)).as_bytes());
            sqlstate(&raw.read_until_closed())
        };
        assert_eq!(state.as_deref(), Some("22021"));
    }
    // Another encoding than UTF8 is refused with a clear line.
    let token = house.token(Person::Agent);
    let state = login_sqlstate(
        &house,
        &[
            ("user", Person::Agent.id()),
            ("database", TARGET),
            ("client_encoding", "LATIN1"),
        ],
        &token,
    );
    assert!(
        matches!(state.as_deref(), Some("0A000" | "22023" | "42501")),
        "{state:?}"
    );
    // The gateway lives.
    assert_eq!(
        succeeded(house.psql(Person::Agent, &["-qAt"], "SELECT 1;")),
        "1\n"
    );
}

#[test]
fn start_up_packets_that_lie_are_refused() {
    let house = House::new();
    for bytes in [
        &b"\0\0\0\x04"[..],
        b"\0\0\0\x08\0\x03\0",
        b"\xff\xff\xff\xff\0\x03\0\0",
        b"\0\0\0\x09\0\x03\0\0x",
        b"\0\0\0\x08\0\x02\0\0",
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut raw = Raw::plain(&house);
        raw.write(bytes);
        if let Raw::Plain(stream) = &raw {
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
        raw.read_until_closed();
    }
    assert_eq!(
        succeeded(house.psql(Person::Agent, &["-qAt"], "SELECT 1;")),
        "1\n"
    );
}

#[test]
fn a_server_that_was_never_there_stops_the_start() {
    let house = House::without_gateway();
    house.write_config(|config| {
        config.replace(
            house.cluster.socket_folder().to_str().unwrap(),
            "/nonexistent",
        )
    });
    refused_start(&house, &["shop", "`host`"]);
}

#[test]
fn a_policy_that_does_not_compile_stops_the_start_with_3() {
    let house = House::without_gateway();
    fs::write(
        house.path("policies/broken.pol"),
        "rule x\n  alow read on public.* for agents\n",
    )
    .unwrap();
    refused_start(&house, &["broken.pol", "alow"]);
    let config = house.config_path();
    let output = house.provost(&["serve", "--config", config.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let output = house.provost(&["policy", "check", house.path("policies").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    // A group that is not defined, a control that does not exist: each with the nearest known one.
    fs::write(
        house.path("policies/broken.pol"),
        "rule x\n  allow read on public.* for agent\n  satisfies nist.AC-33\n",
    )
    .unwrap();
    let output = house.provost(&["policy", "check", house.path("policies").to_str().unwrap()]);
    let words = text(&output.stderr) + &text(&output.stdout);
    assert!(
        words.contains("agents") && words.contains("AC-3"),
        "{words}"
    );
}

#[test]
fn a_policy_that_cannot_be_read_stops_the_start() {
    let house = House::without_gateway();
    house.write_config(|config| config.replace("/policies\"", "/no-policies\""));
    refused_start(&house, &["no-policies"]);
    fs::write(house.path("policies/broken.pol"), b"rule \xff\xfe\n").unwrap();
    house.write_config(|config| config);
    refused_start(&house, &["broken.pol"]);
}

#[test]
fn an_evidence_folder_that_cannot_be_written_stops_the_start() {
    let house = House::without_gateway();
    // Root may write anywhere, so a file stands where the folder should be.
    fs::write(house.path("occupied"), "").unwrap();
    house.write_config(|config| config.replace("/log\"", "/occupied/log\""));
    refused_start(&house, &["occupied"]);
    let sealed = house.path("sealed");
    fs::create_dir(&sealed).unwrap();
    fs::set_permissions(&sealed, fs::Permissions::from_mode(0o500)).unwrap();
}

#[test]
fn a_port_that_is_taken_stops_the_start() {
    let house = House::without_gateway();
    let taken = TcpListener::bind(("127.0.0.1", house.port)).unwrap();
    refused_start(&house, &[&house.port.to_string()]);
    drop(taken);
}

#[test]
fn an_issuer_that_is_not_there_stops_the_start() {
    let house = House::without_gateway();
    house.write_config(|config| config.replace(&house.issuer.url(), "http://127.0.0.1:9"));
    refused_start(&house, &["http://127.0.0.1:9"]);
}

#[test]
fn unknown_keys_of_the_configuration_come_with_a_suggestion() {
    let house = House::without_gateway();
    house.write_config(|config| config.replace("listen =", "lisen ="));
    refused_start(&house, &["lisen", "listen"]);
    let config = house.config_path();
    let output = house.provost(&["config", "check", config.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    house.write_config(|config| config);
    succeeded(house.provost(&["config", "check", "--resolve", config.to_str().unwrap()]));
}

#[test]
fn secrets_are_never_shown() {
    let mut house = House::new();
    house.psql(Person::Agent, &[], "SELECT 1;");
    let checked = house.provost(&[
        "config",
        "check",
        "--resolve",
        "--json",
        house.config_path().to_str().unwrap(),
    ]);
    let password = house.cluster.password().to_owned();
    house.stop_gateway();
    for bytes in [
        checked.stdout,
        checked.stderr,
        house.gateway_log().into_bytes(),
    ] {
        assert!(!text(&bytes).contains(&password), "{}", text(&bytes));
        assert!(
            !text(&bytes).contains("0123456789abcdef0123456789abcdef"),
            "{}",
            text(&bytes)
        );
    }
    canary::assert_none("the gateway's log", house.gateway_log().as_bytes());
}

#[test]
fn usage_errors_have_their_own_exit_code() {
    let house = House::without_gateway();
    assert_eq!(
        house.provost(&["serve", "--confg", "x"]).status.code(),
        Some(64)
    );
    assert_eq!(house.provost(&["nonsense"]).status.code(), Some(64));
    assert_eq!(house.provost(&["--help"]).status.code(), Some(0));
    let help = text(&house.provost(&["serve", "--help"]).stdout);
    assert!(
        help.contains("provost serve --config") && !help.contains('\u{1b}'),
        "{help}"
    );
}

//! What a client may send before it is in, and what it gets for everything else.

use provost_gateway::settings::ClientTls;

use crate::{
    house::{self, House, certificate, settings, tokens},
    raw::{GSSAPI_REQUEST, Raw, TLS_REQUEST, message, password, startup, startup_of},
};

/// Sends `bytes` to a gateway; the error it gives must begin so.
fn check(house: &House, bytes: &[u8], expected: &str) {
    let error = Raw::connect(house.address).send(bytes).last_error();
    assert!(error.starts_with(expected), "{error}\nexpected {expected}");
}

#[test]
fn nothing_is_carried_over_from_before_tls() {
    let house = House::start(settings(certificate()));
    // The class of CVE-2021-23214: a start-up message smuggled in before the handshake.
    let mut bytes = TLS_REQUEST.to_vec();
    bytes.extend(startup(&[("user", "ann"), ("database", "shop")]));
    check(
        &house,
        &bytes,
        "08P01 received unencrypted data after an encryption request",
    );
    let mut bytes = GSSAPI_REQUEST.to_vec();
    bytes.push(0);
    check(&house, &bytes, "08P01 received unencrypted data");
    check(
        &house,
        &startup(&[("user", "ann")]),
        "28000 this gateway requires an encrypted connection: connect with sslmode=require",
    );

    let mut raw = Raw::connect(house.address);
    assert_eq!(raw.send(&GSSAPI_REQUEST).byte(), b'N');
    assert!(
        raw.send(&GSSAPI_REQUEST)
            .last_error()
            .starts_with("08P01 an encryption request came twice")
    );
    let mut raw = Raw::connect(house.address);
    assert_eq!(raw.send(&GSSAPI_REQUEST).byte(), b'N');
    assert_eq!(raw.send(&TLS_REQUEST).byte(), b'S');
    // A second, in the clear, is no handshake: the connection closes.
    raw.send(&TLS_REQUEST);
}

#[test]
fn a_start_up_is_read_strictly() {
    let house = House::start(settings(ClientTls::Off));
    let mut raw = Raw::connect(house.address);
    assert_eq!(raw.send(&TLS_REQUEST).byte(), b'N');
    assert!(raw.send(&TLS_REQUEST).last_error().starts_with("08P01"));

    // Whoever speaks another protocol is told nothing, as by PostgreSQL.
    for length in [0, 10_001, u32::MAX] {
        Raw::connect(house.address)
            .send(&length.to_be_bytes())
            .closes();
    }
    check(
        &house,
        &startup_of(2 << 16, b"user\0ann\0\0"),
        "0A000 unsupported frontend protocol 2.0",
    );
    check(
        &house,
        &startup_of(3 << 16, b"user\0a\xffn\0\0"),
        "22021 start-up parameter `user` is not valid UTF-8",
    );
    check(
        &house,
        &startup_of(3 << 16, b"user\0ann\0\0junk"),
        "08P01 invalid startup packet layout",
    );
    check(
        &house,
        &startup_of(3 << 16, b"user\0ann\0user\0bob\0\0"),
        "08P01 start-up parameter `user` is given twice",
    );
    check(
        &house,
        &startup(&[("user", "ann"), ("replication", "perhaps")]),
        "22023 invalid value for parameter \"replication\"",
    );
    check(
        &house,
        &startup(&[("user", "ann"), ("options", "-c replication=true")]),
        "42704 unrecognized configuration parameter \"replication\"",
    );
    check(
        &house,
        &startup(&[("user", "ann"), ("options", "-c user=postgres")]),
        "42704 unrecognized configuration parameter \"user\"",
    );
    check(
        &house,
        &startup(&[("user", "ann"), ("options", "-B 100")]),
        "42501 `-B`",
    );
    check(
        &house,
        &startup(&[("database", "shop")]),
        "28000 no PostgreSQL user",
    );
    // TLS first thing, which is off here.
    Raw::connect(house.address)
        .send(&[0x16, 0x03, 0x01, 0x02, 0x00])
        .closes();
}

#[test]
fn passwords_come_when_asked_for_and_once() {
    let house = House::start(settings(ClientTls::Off));
    let ann = startup(&[("user", "ann"), ("database", "shop")]);
    let mut early = ann.clone();
    early.extend(password("guess"));
    check(
        &house,
        &early,
        "08P01 received a message before it was asked for",
    );

    for (answer, expected) in [
        (
            message(b'Q', b"SELECT 1\0"),
            "08P01 expected a password message, got message type `Q`",
        ),
        (
            vec![b'p', 0x7f, 0xff, 0xff, 0xff],
            "08P01 invalid length of password message",
        ),
        (
            vec![b'p', 0, 0, 0, 0],
            "08P01 invalid length of password message",
        ),
        (message(b'p', b"a\0b\0"), "08P01 invalid password message"),
        (message(b'p', b"abc"), "08P01 invalid password message"),
        (message(b'p', b"\xff\xfe\0"), "28P01"),
        (message(b'p', b"\0"), "28P01"),
        (message(b'p', b"hunter2\0"), "28P01"),
    ] {
        let mut raw = Raw::connect(house.address);
        raw.send(&ann);
        assert_eq!(raw.message(), (b'R', vec![0, 0, 0, 3]));
        let error = raw.send(&answer).last_error();
        assert!(error.starts_with(expected), "{error}\nexpected {expected}");
    }

    // A second password, after the session began, ends it.
    let mut raw = Raw::log_in(
        house.address,
        &[("user", "ann"), ("database", "shop")],
        &tokens().good("ann"),
    );
    raw.until(b'Z');
    let error = raw.send(&password("again")).last_error();
    assert!(error.starts_with("08P01"), "{error}");
    // As does a second start-up message.
    let mut raw = Raw::log_in(
        house.address,
        &[("user", "ann"), ("database", "shop")],
        &tokens().good("ann"),
    );
    raw.until(b'Z');
    let error = raw.send(&ann).last_error();
    assert!(error.starts_with("08P01"), "{error}");
}

/// Start-up parameters, the token, how the error begins.
type Case<'a> = (&'a [(&'a str, &'a str)], String, &'a str);

#[test]
fn a_refused_log_in_says_what_to_do_and_is_recorded() {
    let house = House::start(settings(ClientTls::Off));
    let shop = [("user", "ann"), ("database", "shop")];
    let cases: &[Case<'_>] = &[
        (&shop, tokens().make("ann", house::AUDIENCE, -3000), "28000"),
        (&shop, tokens().make("ann", "another", 600), "28000"),
        (&shop, tokens().good("bob"), "28000 the token is of `bob`"),
        (
            &[("user", "ann"), ("database", "vault")],
            tokens().good("ann"),
            "3D000 database \"vault\" does not exist: this gateway has `shop`",
        ),
        (
            &[
                ("user", "ann"),
                ("database", "shop"),
                ("client_encoding", "LATIN1"),
            ],
            tokens().good("ann"),
            "22023 client_encoding `LATIN1`",
        ),
        (
            &[
                ("user", "ann"),
                ("database", "shop"),
                ("standard_conforming_strings", "off"),
            ],
            tokens().good("ann"),
            "22023 standard_conforming_strings",
        ),
        (
            &[
                ("user", "ann"),
                ("database", "shop"),
                ("provost.principal", "root"),
            ],
            tokens().good("ann"),
            "42501 start-up setting `provost.principal`",
        ),
        (
            &[
                ("user", "ann"),
                ("database", "shop"),
                ("options", "-c role=postgres"),
            ],
            tokens().good("ann"),
            "42501 start-up setting `role`",
        ),
        (
            &[
                ("user", "ann"),
                ("database", "shop"),
                ("session_authorization", "postgres"),
            ],
            tokens().good("ann"),
            "42501 start-up setting `session_authorization`",
        ),
    ];
    for (parameters, token, expected) in cases {
        let error = Raw::log_in(house.address, parameters, token).last_error();
        assert!(error.starts_with(expected), "{error}\nexpected {expected}");
        assert!(
            !error.contains("vault\" does not exist: this gateway") || error.contains("`shop`")
        );
    }
    let records = house.stop();
    assert_eq!(
        records.matches("\"event\":\"refused\"").count(),
        cases.len(),
        "{records}"
    );
    assert!(
        records.contains("\"principal\":\"bob\""),
        "whose token it was is known: {records}"
    );
    assert!(!records.contains("\"event\":\"opened\""));
}

#[test]
fn a_stranger_learns_no_target() {
    let house = House::start(settings(ClientTls::Off));
    for database in ["shop", "vault"] {
        let error = Raw::log_in(
            house.address,
            &[("user", "ann"), ("database", database)],
            "nonsense",
        )
        .last_error();
        assert!(
            error.starts_with("28P01") && !error.contains("shop"),
            "{error}"
        );
    }
}

#[test]
fn protocol_versions_are_negotiated_as_postgresql_18_does() {
    let house = House::start(settings(ClientTls::Off));
    // What is asked for, what is said to it (nothing where that is what is spoken), the length of the cancel key's secret.
    let cases: [(u32, &str, Option<u32>, usize); 8] = [
        (0, "", None, 4),
        (0, "_pq_.zip", Some(0), 4),
        (1, "", None, 4),
        (2, "", None, 32),
        (2, "_pq_.zip", Some(2), 32),
        (3, "", Some(2), 32),
        (9999, "", Some(2), 32),
        (9999, "_pq_.zip", Some(2), 32),
    ];
    for (asked, option, told, secret_bytes) in cases {
        let mut raw = Raw::connect(house.address);
        let mut parameters = b"user\0ann\0database\0shop\0".to_vec();
        let mut unknown = vec![0, 0, 0, 0];
        if !option.is_empty() {
            parameters.extend(format!("{option}\0on\0").as_bytes());
            unknown = [&[0, 0, 0, 1], option.as_bytes(), b"\0"].concat();
        }
        parameters.push(0);
        raw.send(&startup_of((3 << 16) | asked, &parameters));
        if let Some(told) = told {
            let version = ((3_u32 << 16) | told).to_be_bytes();
            let expected = [&version[..], &unknown].concat();
            assert_eq!(raw.message(), (b'v', expected), "3.{asked} {option}");
        }
        assert_eq!(raw.message(), (b'R', vec![0, 0, 0, 3]), "3.{asked}");
        raw.send(&password(&tokens().good("ann")));
        assert_eq!(raw.until(b'K').len(), 4 + secret_bytes, "3.{asked}");
        assert_eq!(raw.until(b'Z'), b"I");
    }
}

#[test]
fn too_many_are_told() {
    let mut settings = settings(ClientTls::Off);
    settings.limits.connections_max = 2;
    settings.limits.connections_per_principal_max = 1;
    let house = House::start(settings);
    let parameters = [("user", "ann"), ("database", "shop")];
    let mut first = Raw::log_in(house.address, &parameters, &tokens().good("ann"));
    first.until(b'Z');
    let mut second = Raw::log_in(house.address, &parameters, &tokens().good("ann"));
    let _waits = Raw::connect(house.address);
    assert!(
        second
            .last_error()
            .starts_with("53300 too many sessions of `ann`")
    );
}

#[test]
fn silence_is_cut() {
    let mut settings = settings(ClientTls::Off);
    settings.limits.startup_timeout_ms = 100;
    let house = House::start(settings);
    let mut raw = Raw::connect(house.address);
    raw.send(&[0, 0]);
    raw.closes();
}

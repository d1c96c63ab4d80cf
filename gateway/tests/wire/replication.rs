//! Replication connections over real sockets: who gets one, what is refused in one, what evidence keeps, and how a stream ends.

use std::{
    thread,
    time::{Duration, Instant},
};

use provost_engine::{
    graph::{
        condition::{Condition, Test, TextAttribute, TextOperand, TextTest},
        rule::{Effect, Scope},
    },
    verdict::{Limits, Recording},
};
use provost_gateway::settings::{ClientTls, RoleOfGroup, Roles, Secret, Target};
use serde_json::Value;

use crate::{
    house::{
        AUDIENCE, House, allow_anything, allow_what_is_understood, anything_and, deny_everything,
        mask_ssn, settings_for, target, tokens,
    },
    postgres::{Cluster, Listen, Options},
    raw::{Raw, ask, bind, execute, message, parse, query, run},
};

const TABLES: &str =
    "CREATE ROLE gate LOGIN PASSWORD 'gate'; CREATE TABLE people (id int PRIMARY KEY, ssn text);
    SELECT pg_create_logical_replication_slot('decoded', 'test_decoding');";
const NO_SQL: &str = "0A000 cannot execute SQL commands in WAL sender for physical replication";
const START: &str = "START_REPLICATION SLOT decoded LOGICAL 0/0";
/// How long something may take to come about.
const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    cluster: Cluster,
    house: Option<House>,
}

impl World {
    /// A server that keeps what logical decoding needs, and a gateway that may replicate.
    fn new() -> Self {
        Self::with(|target| target)
    }

    fn with(change: impl FnOnce(Target) -> Target) -> Self {
        let settings = [
            ("wal_level", "logical"),
            ("max_connections", "30"),
            ("wal_sender_timeout", "0"),
        ];
        let options = Options {
            listen: Listen::Loopback,
            settings: &settings,
        };
        let cluster = Cluster::start(&options).unwrap();
        cluster.execute("postgres", TABLES).unwrap();
        let target = change(Target {
            replication: true,
            ..target(&cluster)
        });
        let house = House::start(settings_for(ClientTls::Off, target));
        house.policy.swap(allow_anything("everything"));
        Self {
            cluster,
            house: Some(house),
        }
    }

    fn house(&self) -> &House {
        self.house.as_ref().unwrap()
    }

    fn log_in(&self, database: &str, replication: &str) -> Raw {
        self.log_in_with(&[
            ("user", "ann"),
            ("database", database),
            ("replication", replication),
        ])
    }

    fn log_in_with(&self, parameters: &[(&str, &str)]) -> Raw {
        Raw::log_in(self.house().address, parameters, &tokens().good("ann"))
    }

    fn session(&self, database: &str, replication: &str) -> Raw {
        let mut raw = self.log_in(database, replication);
        raw.until(b'Z');
        raw
    }

    /// A stream that is under way.
    fn stream(&self) -> Raw {
        let mut raw = self.session("shop", "database");
        raw.send(&query(START)).until(b'W');
        raw
    }

    fn write(&self, id: u32) {
        let sql = format!("INSERT INTO people VALUES ({id}, 'value {id}')");
        self.cluster.execute("postgres", &sql).unwrap();
    }

    fn wait_until(&self, sql: &str, expected: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.cluster.execute("postgres", sql).unwrap();
            if found.trim() == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{sql}: {found}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops the gateway, and gives its records.
    fn records(&mut self) -> Vec<Value> {
        let lines = self.house.take().unwrap().stop();
        let lines = lines.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Reads on until data with this text comes.
fn until_data(raw: &mut Raw, text: &str) {
    while !String::from_utf8_lossy(&raw.until(b'd')).contains(text) {}
}

/// A base backup in the words of the server's version.
fn base_backup(raw: &mut Raw) -> &'static str {
    let answer = ask(raw, "SHOW server_version_num");
    let version: u32 = answer.trim_end_matches(" I").parse().unwrap();
    match version {
        150_000.. => "BASE_BACKUP (LABEL 'of a test', CHECKPOINT 'fast', MANIFEST 'yes')",
        _ => "BASE_BACKUP LABEL 'of a test' FAST MANIFEST 'yes'",
    }
}

/// What a standby says of itself: everything up to this position is there.
fn status() -> Vec<u8> {
    let mut body = vec![b'r'];
    body.extend([0; 33]);
    message(b'd', &body)
}

/// The records of an entry for which this holds.
fn found<'a>(records: &'a [Value], entry: &str, is: impl Fn(&Value) -> bool) -> Vec<&'a Value> {
    let of_kind = records.iter().filter(|record| record["entry"] == *entry);
    of_kind.filter(|record| is(record)).collect()
}

/// The decisions on texts that begin so, each with its end.
fn statements<'a>(records: &'a [Value], text: &str) -> Vec<(&'a Value, &'a Value)> {
    let begins = |record: &Value| {
        record["sql"]
            .as_str()
            .is_some_and(|sql| sql.starts_with(text))
    };
    let decisions = found(records, "decision", begins);
    let with_end = |decision: &'a Value| {
        let id = &decision["statement_id"];
        let ends = found(records, "end", |end| end["statement_id"] == *id);
        assert_eq!(ends.len(), 1, "{decision}");
        (decision, ends[0])
    };
    decisions.into_iter().map(with_end).collect()
}

#[test]
fn nobody_gets_one_unless_the_target_says_so() {
    let mut world = World::with(|target| Target {
        replication: false,
        ..target
    });
    for (database, replication, expected) in [
        (
            "shop",
            "database",
            "0A000 replication connections to `shop` are refused: it has no `replication = true`",
        ),
        (
            "shop",
            "true",
            "0A000 replication connections to `shop` are refused",
        ),
        (
            "replication",
            "true",
            "0A000 replication connections are refused: no target",
        ),
        (
            "replication",
            "database",
            "3D000 database \"replication\" does not exist",
        ),
    ] {
        let error = world.log_in(database, replication).last_error();
        assert!(error.starts_with(expected), "{error}");
    }
    // Whoever asks for none gets what there always was.
    assert_eq!(ask(&mut world.session("shop", "off"), "SELECT 1"), "1 I");
    let records = world.records();
    let refused = found(&records, "session", |session| session["event"] == "refused");
    assert_eq!(refused.len(), 4);
    assert!(refused.iter().all(|session| session["principal"] == "ann"));
    let server = world
        .cluster
        .execute("postgres", "SELECT count(*) FROM pg_stat_replication");
    assert_eq!(server.unwrap().trim(), "0");
}

#[test]
fn nobody_gets_one_whom_the_policy_binds() {
    let mut world = World::new();
    let limited = |limits: Limits| anything_and("limit", |scope| Effect::Limit(scope, limits));
    let cases = [
        (deny_everything("no"), "rule everything"),
        (
            allow_what_is_understood("known"),
            "opaque on anything is not allowed by any rule",
        ),
        (mask_ssn("mask"), "masks bind this principal"),
        (
            limited(Limits {
                rows: Some(1_000_000),
                ..Limits::default()
            }),
            "limit rows or bytes",
        ),
        (
            limited(Limits {
                bytes_per_hour: Some(1 << 40),
                ..Limits::default()
            }),
            "limit rows or bytes",
        ),
        (
            anything_and("record", |scope| Effect::Record(scope, Recording::Results)),
            "record results",
        ),
    ];
    for (policy, expected) in cases {
        world.house().policy.swap(policy);
        for (database, replication) in [("shop", "database"), ("replication", "true")] {
            let error = world.log_in(database, replication).last_error();
            assert!(
                error.starts_with("42501 replication is denied by policy: ")
                    && error.contains(expected),
                "{error}, expected {expected}"
            );
            assert!(
                error.contains("it needs rules that allow everything, `opaque` too"),
                "{error}"
            );
        }
    }
    let records = world.records();
    let refused = found(&records, "session", |session| {
        let reason = session["reason"].as_str().unwrap_or_default();
        session["event"] == "refused" && reason.starts_with("replication is denied by policy")
    });
    assert_eq!(refused.len(), 12);
}

#[test]
fn roles_and_several_targets() {
    let world = World::with(|target| Target {
        roles: Roles {
            by_group: vec![RoleOfGroup {
                group: "bots".into(),
                role: "bots".into(),
            }],
            otherwise: None,
        },
        ..target
    });
    world
        .cluster
        .execute("postgres", "CREATE ROLE bots; GRANT bots TO postgres")
        .unwrap();
    let parameters = [
        ("user", "ann"),
        ("database", "shop"),
        ("replication", "database"),
    ];
    let mut raw = Raw::log_in(
        world.house().address,
        &parameters,
        &tokens().in_groups("ann", &["bots"]),
    );
    let error = raw.last_error();
    assert!(
        error.starts_with(
            "42501 replication is refused: sessions of this principal work in the role `bots`"
        ),
        "{error}"
    );
    let mut second = Target {
        name: "second".into(),
        replication: true,
        ..target(&world.cluster)
    };
    let first = Target {
        name: "shop".into(),
        ..second.clone()
    };
    let mut settings = settings_for(ClientTls::Off, first);
    settings.targets.push(second.clone());
    second.name = "third".into();
    second.replication = false;
    settings.targets.push(second);
    let house = House::start(settings);
    house.policy.swap(allow_anything("everything"));
    let log_in = |parameters: &[(&str, &str)]| {
        let all = [&[("user", "ann"), ("replication", "true")], parameters].concat();
        Raw::log_in(house.address, &all, &tokens().good("ann"))
    };
    for (parameters, expected) in [
        (
            &[("database", "replication")][..],
            "3D000 this gateway replicates more than one target: name one of `second`, `shop`",
        ),
        (
            &[("options", "-c provost.target=other")],
            "3D000 database \"other\" does not exist",
        ),
        (
            &[("options", "-c provost.target=third")],
            "0A000 replication connections to `third`",
        ),
    ] {
        let error = log_in(parameters).last_error();
        assert!(error.starts_with(expected), "{error}");
    }
    for parameters in [
        [
            ("database", "replication"),
            ("options", "-c provost.target=second"),
        ],
        [("database", "second"), ("application_name", "standby")],
    ] {
        let mut raw = log_in(&parameters);
        raw.until(b'Z');
        raw.send(&query("IDENTIFY_SYSTEM")).until(b'Z');
    }
    let records = house.stop();
    assert!(records.contains("\"target\":\"second\""), "{records}");
}

#[test]
fn a_role_that_may_not_is_told_to_the_operator() {
    let world = World::with(|target| Target {
        user: "gate".into(),
        password: Some(Secret::new(&b"gate"[..]).into()),
        ..target
    });
    for (database, replication) in [("shop", "database"), ("shop", "true")] {
        let error = world.log_in(database, replication).last_error();
        assert_eq!(
            error,
            "42501 target `shop` lets the gateway start no replication: tell the gateway's operator: ALTER ROLE gate REPLICATION"
        );
    }
    world
        .cluster
        .execute("postgres", "ALTER ROLE gate REPLICATION")
        .unwrap();
    let mut raw = world.session("shop", "true");
    assert!(ask(&mut raw, "IDENTIFY_SYSTEM").ends_with(" I"));
}

/// A stream is of the whole server: another target of it has its say.
#[test]
fn what_binds_on_another_target_of_the_server_binds() {
    let cluster = World::new();
    let both = |name: &str| Target {
        name: name.into(),
        replication: true,
        ..target(&cluster.cluster)
    };
    let mut settings = settings_for(ClientTls::Off, both("shop"));
    settings.targets.push(both("hr"));
    let house = House::start(settings);
    house.policy.swap(allow_anything("everything"));
    let log_in = || {
        let parameters = [
            ("user", "ann"),
            ("database", "shop"),
            ("replication", "true"),
        ];
        Raw::log_in(house.address, &parameters, &tokens().good("ann"))
    };
    let mut raw = log_in();
    raw.until(b'Z');
    assert!(ask(&mut raw, "IDENTIFY_SYSTEM").ends_with(" I"));
    house.policy.swap(anything_and("hr", |scope| {
        Effect::Deny(Scope {
            condition: Condition::Test(Test::Text {
                attribute: TextAttribute::Target,
                test: TextTest::Equals(TextOperand::Literal("hr".into())),
            }),
            ..scope
        })
    }));
    let answer = ask(&mut raw, "IDENTIFY_SYSTEM");
    assert!(
        answer.contains("on target hr of the same server"),
        "{answer}"
    );
    let error = log_in().last_error();
    assert!(error.contains("on target hr of the same server"), "{error}");
}

/// The start-up packet's own words can't be given as settings: the server would go by them.
#[test]
fn a_setting_is_no_way_in() {
    let world = World::with(|target| Target {
        replication: false,
        ..target
    });
    for options in [
        "-c replication=database",
        "-c REPLICATION=true",
        "--replication=true",
        "-c user=postgres",
        "-c database=template1",
    ] {
        let parameters = [("user", "ann"), ("database", "shop"), ("options", options)];
        let startup = crate::raw::startup(&parameters);
        let error = Raw::connect(world.house().address)
            .send(&startup)
            .last_error();
        assert!(
            error.starts_with("42704 unrecognized configuration parameter"),
            "{error}"
        );
    }
    // A command in a session that is none is a syntax error, the server's own.
    let mut raw = world.session("shop", "off");
    for command in ["IDENTIFY_SYSTEM", START, "BASE_BACKUP"] {
        let answer = ask(&mut raw, command);
        assert!(
            answer.starts_with("42601") && answer.ends_with(" I"),
            "{answer}"
        );
    }
}

#[test]
fn a_physical_connection_takes_commands_and_nothing_else() {
    let mut world = World::new();
    let mut raw = world.session("replication", "true");
    let system = ask(&mut raw, "IDENTIFY_SYSTEM");
    assert!(
        system.parse::<u64>().is_err() && system.ends_with(" I"),
        "{system}"
    );
    assert_eq!(ask(&mut raw, "SHOW wal_level"), "logical I");
    for sql in [
        "SELECT 1",
        "",
        "show wal_level",
        "/* x */ IDENTIFY_SYSTEM",
        "DROP TABLE people",
    ] {
        let answer = ask(&mut raw, sql);
        assert!(
            answer.starts_with(NO_SQL) && answer.ends_with(" I"),
            "{sql}: {answer}"
        );
    }
    // What stands behind a command runs no more than at a server.
    let answer = ask(&mut raw, "IDENTIFY_SYSTEM; DROP TABLE people");
    assert!(answer.starts_with("42601 syntax error"), "{answer}");
    let answer = raw
        .send(&[run("SELECT 1"), message(b'S', b"")].concat())
        .answer();
    assert_eq!(
        answer,
        "08P01 extended query protocol not supported in a replication connection I"
    );
    let call = message(b'F', b"\0\0\x04\xd2\0\0\0\0\0\0");
    assert_eq!(
        raw.send(&call).answer(),
        "08P01 fastpath function calls not supported in a replication connection I"
    );
    let answer = ask(&mut raw, "START_REPLICATION SLOT nobody PHYSICAL 0/0");
    assert!(
        answer.contains("does not exist") && answer.ends_with(" I"),
        "{answer}"
    );
    assert_eq!(
        ask(&mut raw, "CREATE_REPLICATION_SLOT kept PHYSICAL"),
        "kept I"
    );
    // A command of version 17, with data: what an older server makes of it is its own business.
    match raw.send(&query("UPLOAD_MANIFEST")).message() {
        (b'G', _) => {
            raw.send(&[message(b'd', b"{}"), message(b'c', b"")].concat());
            let answer = raw.answer();
            assert!(
                answer.contains("manifest") && answer.ends_with(" I"),
                "{answer}"
            );
        }
        (b'E', body) => {
            assert!(String::from_utf8_lossy(&body).contains("cannot execute SQL commands"));
            raw.until(b'Z');
        }
        other => panic!("{other:?}"),
    }
    // Several at once are answered in turn.
    raw.send(
        &[
            query("IDENTIFY_SYSTEM"),
            query("SELECT 1"),
            query("SHOW wal_level"),
        ]
        .concat(),
    );
    assert!(raw.answer().ends_with(" I"));
    assert!(raw.answer().starts_with(NO_SQL));
    assert_eq!(raw.answer(), "logical I");
    let count = world
        .cluster
        .execute("postgres", "SELECT count(*) FROM people")
        .unwrap();
    assert_eq!(count.trim(), "0");
    let records = world.records();
    let opened = found(&records, "session", |session| session["event"] == "opened");
    assert_eq!(opened[0]["reason"], "physical replication");
    assert_eq!(
        (&opened[0]["target"], &opened[0]["database"]),
        (&"shop".into(), &"replication".into())
    );
    let commands = statements(&records, "CREATE_REPLICATION_SLOT kept PHYSICAL");
    let (decision, end) = commands[0];
    assert_eq!(
        (&decision["kind"], &decision["verdict"]),
        (&"replication".into(), &"allow".into())
    );
    assert!(
        decision["reason"]
            .as_str()
            .unwrap()
            .contains("may do anything"),
        "{decision}"
    );
    assert_eq!(
        (&end["outcome"], &end["rows"]),
        (&"completed".into(), &1.into())
    );
    let failed = statements(&records, "START_REPLICATION SLOT nobody");
    assert_eq!(failed[0].1["outcome"], "failed");
    assert_eq!(
        statements(&records, "DROP TABLE people")[0].1["outcome"],
        "denied"
    );
}

#[test]
fn a_base_backup_comes_through_whole() {
    let mut world = World::new();
    let mut raw = world.session("replication", "true");
    let backup = base_backup(&mut raw);
    raw.send(&query(backup));
    let (mut rows, mut bytes, mut tags) = (0_u64, 0, Vec::new());
    loop {
        let (kind, body) = raw.message();
        match kind {
            b'D' => (rows, bytes) = (rows + 1, bytes + body.len() as u64),
            b'd' => bytes += body.len() as u64,
            b'C' => tags.push(String::from_utf8_lossy(&body[..body.len() - 1]).into_owned()),
            b'E' => panic!("{}", String::from_utf8_lossy(&body)),
            b'Z' => break,
            _ => {}
        }
    }
    assert_eq!(tags.last().unwrap(), "BASE_BACKUP");
    assert!(tags.len() >= 3 && bytes > 1 << 20, "{tags:?} {bytes}");
    let records = world.records();
    let (_, end) = statements(&records, "BASE_BACKUP")[0];
    assert_eq!(end["outcome"], "completed");
    assert_eq!(
        (end["rows"].as_u64(), end["bytes"].as_u64()),
        (Some(rows), Some(bytes))
    );
}

#[test]
fn a_stream_goes_both_ways_and_its_end_is_logged() {
    let mut world = World::new();
    let mut raw = world.stream();
    world.write(1);
    until_data(&mut raw, "value 1");
    raw.send(&[status(), message(b'c', b"")].concat());
    raw.until(b'c');
    raw.until(b'Z');
    // Beside it there is SQL, judged as any, by the gateway's own question where the path moved.
    assert_eq!(
        ask(&mut raw, "SELECT set_config('search_path', '', false)"),
        " I"
    );
    assert_eq!(ask(&mut raw, "SELECT count(*) FROM public.people"), "1 I");
    assert_eq!(ask(&mut raw, "SHOW search_path"), " I");
    assert_eq!(ask(&mut raw, "BEGIN"), "T");
    let answer = ask(&mut raw, "SELECT nothing");
    assert!(
        answer.starts_with("42703") && answer.ends_with(" E"),
        "{answer}"
    );
    assert_eq!(ask(&mut raw, "ROLLBACK"), "I");
    let extended = [
        parse("", "SELECT 1"),
        bind("", "", &[], 0),
        execute(""),
        message(b'S', b""),
    ];
    let answer = raw.send(&extended.concat()).answer();
    assert!(
        answer.starts_with("08P01 extended query protocol"),
        "{answer}"
    );
    let records = world.records();
    let opened = found(&records, "session", |session| session["event"] == "opened");
    assert_eq!(opened[0]["reason"], "logical replication");
    let (decision, end) = statements(&records, START)[0];
    assert_eq!(decision["kind"], "replication");
    assert_eq!(end["outcome"], "completed");
    assert!(end["bytes"].as_u64().unwrap() > 20, "{end}");
    assert_eq!(
        statements(&records, "SELECT count(*)")[0].0["kind"],
        "select"
    );
}

/// A principal whom a mask binds from now on gets not one change more that is decoded.
#[test]
fn a_new_policy_is_asked_about_streams_too() {
    let mut world = World::new();
    let mut raw = world.stream();
    world.write(1);
    until_data(&mut raw, "value 1");
    world.house().policy.swap(allow_anything("also everything"));
    thread::sleep(Duration::from_millis(1_500));
    world.write(2);
    until_data(&mut raw, "value 2");
    world.house().policy.swap(mask_ssn("masked"));
    // Nothing moves: it is looked at all the same.
    let error = raw.last_error_of_many();
    assert!(
        error.starts_with("42501 the stream ends: replication is denied by policy: masks bind"),
        "{error}"
    );
    world.wait_until("SELECT count(*) FROM pg_stat_replication", "0");
    let mut next = world.log_in("shop", "database");
    assert!(next.last_error().contains("masks bind"));
    // Without it, the session is as any: masks hold in SQL.
    let records = world.records();
    let streams = statements(&records, START);
    let outcome = |place: usize| {
        (
            &streams[place].0["bundle_digest"],
            &streams[place].1["outcome"],
        )
    };
    assert_eq!(streams.len(), 3);
    assert_eq!(outcome(0), (&"everything".into(), &"completed".into()));
    assert_eq!(outcome(1), (&"also everything".into(), &"cut".into()));
    assert_eq!(outcome(2), (&"masked".into(), &"denied".into()));
    assert_eq!(streams[1].1["sqlstate"], "42501");
    assert!(
        streams
            .iter()
            .take(2)
            .all(|(_, end)| end["bytes"].as_u64() > Some(0))
    );
}

#[test]
fn sql_of_a_session_that_a_mask_binds_meanwhile_is_masked() {
    let world = World::new();
    world.write(1);
    let mut raw = world.session("shop", "database");
    assert_eq!(ask(&mut raw, "SELECT ssn FROM people"), "value 1 I");
    world.house().policy.swap(mask_ssn("masked"));
    assert_eq!(ask(&mut raw, "SELECT ssn FROM people"), "[redacted] I");
    let answer = ask(&mut raw, START);
    assert!(
        answer.starts_with("42501 replication is denied by policy: masks bind"),
        "{answer}"
    );
    let answer = ask(&mut raw, "IDENTIFY_SYSTEM");
    assert!(answer.starts_with("42501"), "{answer}");
}

#[test]
fn a_stream_ends_with_its_token() {
    let mut world = World::new();
    let parameters = [
        ("user", "ann"),
        ("database", "shop"),
        ("replication", "database"),
    ];
    let token = tokens().make("ann", AUDIENCE, 6);
    let mut raw = Raw::log_in(world.house().address, &parameters, &token);
    raw.until(b'Z');
    raw.send(&query(START)).until(b'W');
    let error = raw.last_error_of_many();
    assert!(
        error.starts_with("28000 the token of this session expired"),
        "{error}"
    );
    let records = world.records();
    let (_, end) = statements(&records, START)[0];
    assert_eq!(
        (&end["outcome"], &end["sqlstate"]),
        (&"cut".into(), &"28000".into())
    );
}

#[test]
fn a_limit_of_time_ends_a_stream_and_not_the_session() {
    let mut world = World::new();
    let limits = Limits {
        time_ms: Some(500),
        ..Limits::default()
    };
    let policy = anything_and("time", |scope| Effect::Limit(scope, limits));
    world.house().policy.swap(policy);
    let mut raw = world.stream();
    let answer = raw.answer();
    assert!(
        answer.contains("57014") && answer.ends_with(" I"),
        "{answer}"
    );
    assert!(ask(&mut raw, "IDENTIFY_SYSTEM").ends_with(" I"));
    let records = world.records();
    let (_, end) = statements(&records, START)[0];
    assert_eq!(
        (&end["outcome"], &end["sqlstate"]),
        (&"cut".into(), &"57014".into())
    );
}

#[test]
fn clients_that_go_and_a_gateway_that_stops() {
    let mut world = World::new();
    for how in ["closed", "goodbye", "finished"] {
        let mut raw = world.stream();
        match how {
            "closed" => {}
            "goodbye" => drop(raw.send(&message(b'X', b""))),
            _ => raw.finish(),
        }
        if how == "finished" {
            raw.ends();
        }
        drop(raw);
        world.wait_until("SELECT count(*) FROM pg_stat_replication", "0");
    }
    for goodbye in [false, true] {
        let mut raw = world.session("replication", "true");
        let backup = base_backup(&mut raw);
        raw.send(&query(backup)).until(b'd');
        if goodbye {
            raw.send(&message(b'X', b""));
        }
        drop(raw);
        world.wait_until("SELECT count(*) FROM pg_stat_replication", "0");
    }
    let mut stopped = world.stream();
    let start = Instant::now();
    let records = world.records();
    // It has half a second of grace for what comes to an end, and five for what doesn't.
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
    let error = stopped.last_error_of_many();
    assert!(
        error.starts_with("57P01 terminating connection: the gateway is stopping"),
        "{error}"
    );
    let mut streams = statements(&records, START);
    streams.extend(statements(&records, "BASE_BACKUP"));
    assert_eq!(streams.len(), 6);
    assert!(
        streams.iter().all(|(_, end)| end["outcome"] == "unknown"),
        "{streams:?}"
    );
}

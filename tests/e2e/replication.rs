//! PostgreSQL's own tools and servers replicate through the gateway: base backups, the log, decoded changes, a subscription; and whoever
//! may not is told why.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};

use crate::{
    postgres::{Cluster, Listen, Options},
    support::{House, Person, raw::Raw, succeeded, text},
};

const RULES: &str = "
rule dbas-replicate
  allow any, opaque for dbas
";
const SERVER: &[(&str, &str)] = &[("wal_level", "logical"), ("wal_sender_timeout", "0")];
/// How long something may take to come about.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much the gateway's memory may grow by a backup: its buffers (256 KiB a side), those of TLS, and what the allocator keeps.
const GROWTH_KIB_MAX: u64 = 24 * 1024;

/// A house whose gateway may replicate, for people who may everything.
fn house() -> House {
    let mut house = House::over(SERVER);
    fs::write(house.path("policies/replication.pol"), RULES).unwrap();
    house.write_config(|config| config + "\nreplication = true\n");
    house.start_gateway();
    house
}

/// A tool of PostgreSQL's, as this person, through the gateway.
fn tool(house: &House, person: Person, name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(house.cluster.program(name));
    command.args(arguments);
    house.client_environment(&mut command, person.id(), &house.token(person), "shop");
    command
}

fn run(house: &House, person: Person, name: &str, arguments: &[&str]) -> Output {
    tool(house, person, name, arguments).output().unwrap()
}

/// A tool that streams until it is told to stop.
struct Streaming(Child);

impl Streaming {
    fn start(mut command: Command) -> Self {
        let piped = command.stdout(Stdio::null()).stderr(Stdio::piped());
        Self(piped.spawn().unwrap())
    }

    /// Asks it to stop, and gives what it said.
    fn stop(self, signal: &str) -> Output {
        let mut kill = Command::new("sh");
        let id = self.0.id().to_string();
        kill.args(["-c", "kill -s \"$1\" \"$2\"", "sh", signal, &id]);
        assert!(kill.status().unwrap().success());
        self.0.wait_with_output().unwrap()
    }
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Every file of a backup is there as the server read it: its manifest has their digests.
fn check_manifest(backup: &Path) {
    let manifest = fs::read(backup.join("backup_manifest")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let files = manifest["Files"].as_array().unwrap();
    assert!(files.len() > 500, "{}", files.len());
    for file in files {
        let path = file["Path"].as_str().unwrap();
        let digest = Sha256::digest(fs::read(backup.join(path)).unwrap());
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(file["Checksum"], digest.as_str(), "{path}");
    }
}

#[test]
fn base_backups_and_the_log() {
    let mut house = house();
    let backup = house.path("backup");
    let arguments = [
        "-D",
        shown(&backup),
        "-c",
        "fast",
        "-X",
        "stream",
        "--manifest-checksums=SHA256",
    ];
    succeeded(run(&house, Person::Dba, "pg_basebackup", &arguments));
    check_manifest(&backup);

    let log = house.path("wal");
    fs::create_dir(&log).unwrap();
    let create = ["-D", shown(&log), "-S", "kept", "--create-slot"];
    succeeded(run(&house, Person::Dba, "pg_receivewal", &create));
    let receive = ["-D", shown(&log), "-S", "kept", "--synchronous", "-n"];
    let receiving = Streaming::start(tool(&house, Person::Dba, "pg_receivewal", &receive));
    let switch = "INSERT INTO people (id) SELECT 1000; SELECT pg_switch_wal();";
    let files = || {
        let files = fs::read_dir(&log).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.ends_with(".partial")).count()
    };
    wait_until("a stream", || {
        let sql = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
        house.cluster.execute("shop", sql).unwrap().trim() == "1"
    });
    house.cluster.execute("shop", switch).unwrap();
    wait_until("a segment", || files() >= 1);
    succeeded(receiving.stop("INT"));

    house.stop_gateway();
    let of = |command: &str| {
        format!(
            "SELECT count(*) FROM statements WHERE kind = 'replication' AND verdict = 'allow' AND principal = 'dora@corp' \
             AND outcome = 'completed' AND sql LIKE '{command}%'"
        )
    };
    assert_eq!(
        house.count(&format!("{} AND bytes > 20000000", of("BASE_BACKUP"))),
        1
    );
    // One beside the backup, one by itself: a segment has 16 MiB.
    assert_eq!(house.count(&of("START_REPLICATION")), 2);
    assert_eq!(
        house.count(&format!(
            "{} AND bytes > 16000000",
            of("START_REPLICATION SLOT \"kept\"")
        )),
        1
    );
    assert_eq!(
        house.count(&of("CREATE_REPLICATION_SLOT \"kept\" PHYSICAL")),
        1
    );
    let opened = "SELECT count(*) FROM sessions WHERE event = 'opened' AND reason = 'physical replication' AND target = 'shop'";
    assert!(house.count(opened) >= 3);
    succeeded(house.verify());
}

#[test]
fn decoded_changes() {
    let mut house = house();
    let create = [
        "-S",
        "decoded",
        "--create-slot",
        "-P",
        "test_decoding",
        "-d",
        "shop",
    ];
    succeeded(run(&house, Person::Dba, "pg_recvlogical", &create));
    let file = house.path("changes");
    let start = [
        "-S",
        "decoded",
        "--start",
        "-d",
        "shop",
        "-n",
        "-F",
        "1",
        "-f",
        shown(&file),
    ];
    let insert = "CREATE TABLE decoded (word text); INSERT INTO decoded VALUES ('seen');
        SELECT pg_current_wal_insert_lsn(); INSERT INTO decoded VALUES ('later');";
    let position = house.cluster.execute("shop", insert).unwrap();
    // Up to a position it ends by itself, in the protocol's words.
    let until = [&start[..], &["-E", position.trim()]].concat();
    succeeded(run(&house, Person::Dba, "pg_recvlogical", &until));
    let changes = fs::read_to_string(&file).unwrap();
    assert!(
        changes.contains("'seen'") && !changes.contains("'later'"),
        "{changes}"
    );
    // Told to stop, it just goes.
    let decoding = Streaming::start(tool(&house, Person::Dba, "pg_recvlogical", &start));
    wait_until("a change", || {
        fs::read_to_string(&file).is_ok_and(|changes| changes.contains("'later'"))
    });
    succeeded(decoding.stop("INT"));
    // Whom a mask binds gets none, nor whoever has no rule, and both are told why.
    for (person, why) in [
        (Person::Agent, "masks bind this principal"),
        (Person::Stranger, "replication is denied by policy"),
    ] {
        for (name, arguments) in [
            ("pg_recvlogical", &start[..]),
            ("pg_basebackup", &["-D", shown(&file)]),
        ] {
            let output = run(&house, person, name, arguments);
            let said = text(&output.stderr);
            assert!(
                !output.status.success() && said.contains(why),
                "{name}: {said}"
            );
        }
    }
    // A gateway that stops does not wait for what has no end.
    let decoding = Streaming::start(tool(&house, Person::Dba, "pg_recvlogical", &start));
    wait_until("a stream", || {
        let sql = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
        house.cluster.execute("shop", sql).unwrap().trim() == "1"
    });
    house.stop_gateway();
    let output = decoding.0.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert!(said.contains("the gateway is stopping"), "{said}");

    let completed = "SELECT count(*) FROM statements WHERE sql LIKE 'START_REPLICATION SLOT \"decoded\"%' AND outcome = 'completed' AND bytes > 0";
    let all = "SELECT sql, outcome, bytes, sqlstate FROM statements WHERE kind = 'replication'";
    assert_eq!(house.count(completed), 1, "{:?}", house.query(all));
    let unknown = "SELECT count(*) FROM statements WHERE sql LIKE 'START_REPLICATION SLOT \"decoded\"%' AND outcome = 'unknown'";
    assert_eq!(house.count(unknown), 2, "{:?}", house.query(all));
    let refused = "SELECT count(*) FROM sessions WHERE event = 'refused' AND reason LIKE 'replication is denied by policy%'";
    assert_eq!(house.count(refused), 4);
    assert_eq!(
        house.count("SELECT count(*) FROM sessions WHERE event = 'opened' AND reason = 'logical replication'"),
        4
    );
    succeeded(house.verify());
}

#[test]
fn nothing_replicates_where_the_configuration_does_not_say_so() {
    let mut house = House::over(SERVER);
    fs::write(house.path("policies/replication.pol"), RULES).unwrap();
    house.start_gateway();
    let backup = house.path("backup");
    for (name, arguments) in [
        ("pg_basebackup", &["-D", shown(&backup)][..]),
        (
            "pg_recvlogical",
            &["-S", "s", "--create-slot", "-d", "shop"],
        ),
    ] {
        let output = run(&house, Person::Dba, name, arguments);
        let said = text(&output.stderr);
        assert!(!output.status.success(), "{name}");
        assert!(said.contains("`replication = true`"), "{name}: {said}");
    }
    house.stop_gateway();
    let refused = "SELECT count(*) FROM sessions WHERE event = 'refused' AND sqlstate = '0A000' AND principal = 'dora@corp'";
    assert_eq!(house.count(refused), 2);
}

/// A server that subscribes: SQL and commands in one session, the first copy of a table, then its changes.
#[test]
fn a_subscription() {
    let mut house = house();
    let publisher = "CREATE TABLE published (id int PRIMARY KEY, word text); INSERT INTO published VALUES (1, 'one');
        CREATE PUBLICATION words FOR TABLE published;";
    house.cluster.execute("shop", publisher).unwrap();
    let subscriber = Cluster::start(&Options {
        listen: Listen::SocketOnly,
        settings: &[("wal_retrieve_retry_interval", "200ms")],
    })
    .unwrap_or_else(|error| panic!("{error}"));
    let sql = format!(
        "CREATE TABLE published (id int PRIMARY KEY, word text);
         CREATE SUBSCRIPTION words CONNECTION 'host=127.0.0.1 port={} user={} password={} dbname=shop sslmode=require sslcert=/none sslrootcert=/none' PUBLICATION words;",
        house.port,
        Person::Dba.id(),
        house.token(Person::Dba)
    );
    subscriber
        .execute("postgres", &sql)
        .unwrap_or_else(|error| panic!("{error}\n{}", house.gateway_log()));
    let words = || {
        let sql = "SELECT string_agg(word, ' ' ORDER BY id) FROM published";
        subscriber
            .execute("postgres", sql)
            .unwrap()
            .trim()
            .to_owned()
    };
    wait_until("the first copy", || words() == "one");
    let change =
        "INSERT INTO published VALUES (2, 'two'); UPDATE published SET word = 'uno' WHERE id = 1;";
    house.cluster.execute("shop", change).unwrap();
    wait_until("the changes", || words() == "uno two");
    subscriber
        .execute("postgres", "DROP SUBSCRIPTION words")
        .unwrap();
    subscriber.stop().unwrap();
    house.stop_gateway();
    for text in [
        "START_REPLICATION SLOT \"words\" LOGICAL%publication_names%words%",
        "CREATE_REPLICATION_SLOT \"words\" LOGICAL pgoutput%",
        "DROP_REPLICATION_SLOT words%",
        "COPY public.published%TO STDOUT%",
    ] {
        let sql = format!(
            "SELECT count(*) FROM statements WHERE verdict = 'allow' AND sql LIKE '{text}'"
        );
        assert!(house.count(&sql) >= 1, "{text}");
    }
    succeeded(house.verify());
}

fn only_socket<'a>(settings: &'a [(&'a str, &'a str)]) -> Options<'a> {
    Options {
        listen: Listen::SocketOnly,
        settings,
    }
}

/// A whole server that follows: what a base backup gave it, and then the log.
#[test]
fn a_standby() {
    let house = house();
    let mut standby = Cluster::start(&only_socket(&[])).unwrap_or_else(|error| panic!("{error}"));
    standby.stop_server().unwrap();
    let [data, before] = ["data", "before"].map(|name| standby.socket_folder().join(name));
    fs::rename(&data, &before).unwrap();
    let arguments = ["-D", shown(&data), "-c", "fast", "-X", "stream"];
    succeeded(run(&house, Person::Dba, "pg_basebackup", &arguments));
    fs::write(data.join("standby.signal"), "").unwrap();
    give(&data, &fs::metadata(&before).unwrap());
    let primary = format!(
        "host=127.0.0.1 port={} user={} password={} sslmode=require sslcert=/none sslrootcert=/none",
        house.port,
        Person::Dba.id(),
        house.token(Person::Dba)
    );
    let settings = [("primary_conninfo", &*primary), ("hot_standby", "on")];
    standby
        .start_again(&only_socket(&settings))
        .unwrap_or_else(|error| panic!("{error}"));
    let table = "CREATE TABLE followed (word text); INSERT INTO followed VALUES ('there');";
    house.cluster.execute("shop", table).unwrap();
    wait_until("the standby to follow", || {
        let mut psql = Command::new(standby.program("psql"));
        psql.args([
            "-XAt",
            "-U",
            "postgres",
            "-d",
            "shop",
            "-c",
            "SELECT word FROM followed",
        ])
        .args(["-p", &standby.port().to_string()])
        .arg("-h")
        .arg(standby.socket_folder())
        .env("PGPASSWORD", house.cluster.password());
        text(&psql.output().unwrap().stdout) == "there\n"
    });
    standby.stop().unwrap();
}

/// Gives everything below a path to whom that belongs.
fn give(path: &Path, like: &fs::Metadata) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), like);
        }
    }
    std::os::unix::fs::lchown(path, Some(like.uid()), Some(like.gid())).unwrap();
}

/// A client that does not read holds the server up, and costs the gateway no memory.
#[test]
fn a_slow_reader_of_a_backup_costs_no_memory() {
    let house = house();
    let big =
        "CREATE TABLE big AS SELECT repeat(md5(n::text), 60) FROM generate_series(1, 30000) AS n";
    house.cluster.execute("shop", big).unwrap();
    let mut raw = Raw::tls(&house);
    let user = ("user", Person::Dba.id());
    raw.send_startup(&[user, ("database", "shop"), ("replication", "true")]);
    assert_eq!(raw.read().tag, b'R');
    raw.send(b'p', format!("{}\0", house.token(Person::Dba)).as_bytes());
    raw.read_until_ready();
    let before = house.gateway_memory_kib();
    raw.send(b'Q', b"BASE_BACKUP (CHECKPOINT 'fast')\0");
    house.wait_until("the server to be held up", |house| {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientWrite'";
        house.cluster.execute("shop", sql).unwrap().trim() == "1"
    });
    let mut bytes = 0;
    loop {
        let message = raw.read();
        match message.tag {
            b'd' => bytes += message.body.len(),
            b'Z' => break,
            b'E' => panic!("{message:?}"),
            _ => {}
        }
    }
    assert!(bytes > 60_000_000, "{bytes}");
    if let (Some(before), Some(after)) = (before, house.gateway_memory_kib()) {
        assert!(after - before < GROWTH_KIB_MAX, "{before} to {after} KiB");
    }
}

//! Server connections made ahead: who gets which, what they look like to a client, and that none is left behind.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use provost_gateway::settings::{
    Asked, ClientTls, Credential, Host, RoleOfGroup, Roles, Secret, ServerTls, Settings, Source,
    Target, Warm,
};

use crate::{
    house::{House, settings_for, start_cluster, target, tokens},
    postgres::Cluster,
    raw::{Raw, ask, cancel_request, query},
    server_tls::enable_tls,
};

const SCHEMA: &str =
    "CREATE ROLE gate LOGIN PASSWORD 'gate'; CREATE ROLE agents; GRANT agents TO gate;";
const PID: &str = "SELECT pg_backend_pid()";
/// Longer than any of this takes.
const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    cluster: Cluster,
    house: House,
}

impl World {
    fn new(warm: Warm) -> Self {
        Self::with(warm, |settings| settings)
    }

    fn with(warm: Warm, change: fn(Settings) -> Settings) -> Self {
        let cluster = start_cluster();
        cluster.execute("postgres", SCHEMA).unwrap();
        let settings = settings_for(ClientTls::Off, gate(&cluster, warm));
        Self {
            house: House::start(change(settings)),
            cluster,
        }
    }

    fn log_in(&self, name: &str, groups: &[&str]) -> Raw {
        let parameters = [
            ("user", name),
            ("database", "shop"),
            ("application_name", "made for a test"),
        ];
        Raw::log_in(
            self.house.address,
            &parameters,
            &tokens().in_groups(name, groups),
        )
    }

    fn session(&self, name: &str) -> Raw {
        let mut raw = self.log_in(name, &[]);
        raw.until(b'Z');
        raw
    }

    /// The process ids of the server's sessions of clients, or for them.
    fn pids(&self) -> Vec<String> {
        let pids = self.cluster.execute("postgres", "SELECT pid FROM pg_stat_activity WHERE application_name = 'made for a test' ORDER BY backend_start");
        pids.unwrap().lines().map(str::to_owned).collect()
    }

    /// Waits until there are so many.
    #[track_caller]
    fn settles_at(&self, count: usize) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let pids = self.pids();
            if pids.len() == count {
                return pids;
            }
            assert!(Instant::now() < deadline, "{count} wanted: {pids:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn gate(cluster: &Cluster, warm: Warm) -> Target {
    Target {
        user: "gate".into(),
        password: Some(Secret::new(&b"gate"[..]).into()),
        roles: Roles {
            by_group: vec![RoleOfGroup {
                group: "bots".into(),
                role: "agents".into(),
            }],
            otherwise: None,
        },
        warm,
        ..target(cluster)
    }
}

fn some(connections_max: usize) -> Warm {
    Warm {
        connections_max,
        ..Warm::default()
    }
}

/// The process id of a session's server.
fn pid(raw: &mut Raw) -> String {
    let answer = ask(raw, PID);
    answer.strip_suffix(" I").unwrap().to_owned()
}

/// What a session is greeted with, but for its cancel key.
fn greeting(raw: &mut Raw) -> Vec<(u8, Vec<u8>)> {
    let mut said = Vec::new();
    loop {
        let message = raw.message();
        match message.0 {
            b'K' => {}
            b'Z' => return said,
            _ => said.push(message),
        }
    }
}

#[test]
fn who_comes_again_finds_a_connection_that_nobody_used() {
    let world = World::new(some(8));
    let mut raw = world.log_in("ann", &[]);
    let first_greeting = greeting(&mut raw);
    let used = pid(&mut raw);
    assert_eq!(ask(&mut raw, "SET application_name = 'x'"), "I");
    assert_eq!(
        ask(&mut raw, "SET application_name = 'made for a test'"),
        "I"
    );
    drop(raw);
    let mut seen = vec![used];
    for _ in 0..3 {
        let waiting = world.settles_at(1);
        let mut raw = world.log_in("ann", &[]);
        assert_eq!(greeting(&mut raw), first_greeting);
        let own = pid(&mut raw);
        assert_eq!([&*own], waiting[..], "it was there before");
        assert!(!seen.contains(&own), "nobody had it before");
        seen.push(own);
        // What it is reset to is the client's, not the gateway's.
        for reset in ["RESET ALL", "DISCARD ALL"] {
            assert_eq!(ask(&mut raw, "SET application_name = 'y'"), "I");
            assert_eq!(ask(&mut raw, reset), "I");
            assert_eq!(ask(&mut raw, "SHOW application_name"), "made for a test I");
            assert_eq!(ask(&mut raw, "SHOW provost.principal"), "ann I");
        }
    }
}

#[test]
fn nobody_gets_what_was_made_for_somebody_else() {
    let world = World::new(some(8));
    drop(world.session("ann"));
    let waiting = world.settles_at(1);
    let mut bot = world.log_in("ann", &["bots"]);
    bot.until(b'Z');
    let mut bob = world.session("bob");
    for (raw, expected) in [(&mut bot, "ann agents I"), (&mut bob, "bob gate I")] {
        assert_ne!([&*pid(raw)], waiting[..]);
        let who = "SELECT current_setting('provost.principal') || ' ' || current_user";
        assert_eq!(ask(raw, who), expected);
    }
    // Both at once: one of them gets it.
    let mut both = [world.session("ann"), world.session("ann")];
    let pids = both.each_mut().map(pid);
    assert_ne!(pids[0], pids[1]);
    assert!(pids.contains(&waiting[0]));
}

/// The runtime that made it is another thread's.
#[test]
fn it_moves_to_the_thread_of_its_session() {
    let two = |settings: Settings| Settings {
        threads: NonZeroUsize::new(2),
        ..settings
    };
    let world = World::with(some(8), two);
    drop(world.session("ann"));
    for _ in 0..4 {
        let waiting = world.settles_at(1);
        let mut raw = world.session("ann");
        assert_eq!([&*pid(&mut raw)], waiting[..]);
        assert_eq!(
            ask(&mut raw, "SELECT length(repeat('x', 100000))"),
            "100000 I"
        );
    }
}

#[test]
fn it_moves_with_its_encryption() {
    let cluster = start_cluster();
    cluster.execute("postgres", SCHEMA).unwrap();
    let roots = enable_tls(&cluster).into_bytes();
    let target = Target {
        host: Host::Tcp("localhost".into()),
        tls: ServerTls::VerifyFull { roots },
        ..gate(&cluster, some(8))
    };
    let mut settings = settings_for(ClientTls::Off, target);
    settings.threads = NonZeroUsize::new(2);
    let world = World {
        house: House::start(settings),
        cluster,
    };
    drop(world.session("ann"));
    for _ in 0..4 {
        let waiting = world.settles_at(1);
        let mut raw = world.session("ann");
        assert_eq!([&*pid(&mut raw)], waiting[..]);
        let rows = "SELECT sum(length(repeat('x', 1000))) FROM generate_series(1, 1000)";
        assert_eq!(ask(&mut raw, rows), "1000000 I");
    }
}

#[test]
fn what_the_server_closed_is_replaced_without_a_word() {
    let world = World::new(some(8));
    for _ in 0..2 {
        drop(world.session("ann"));
        let waiting = world.settles_at(1);
        world
            .cluster
            .execute(
                "postgres",
                &format!("SELECT pg_terminate_backend({})", waiting[0]),
            )
            .unwrap();
        world.settles_at(0);
        let mut raw = world.session("ann");
        assert_ne!([&*pid(&mut raw)], waiting[..]);
        drop(raw);
        world.settles_at(1);
    }
}

/// A setting that the server's operator changes is told to the client as the server tells it.
#[test]
fn a_change_that_came_meanwhile_is_in_the_greeting() {
    let world = World::new(some(8));
    drop(world.session("ann"));
    let waiting = world.settles_at(1);
    world
        .cluster
        .execute("postgres", "ALTER SYSTEM SET intervalstyle = 'iso_8601'")
        .unwrap();
    world
        .cluster
        .execute("postgres", "SELECT pg_reload_conf()")
        .unwrap();
    // Whoever starts anew sees it first, so it is in force.
    let deadline = Instant::now() + PATIENCE;
    while world
        .cluster
        .execute("postgres", "SHOW intervalstyle")
        .unwrap()
        .trim()
        != "iso_8601"
    {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(20));
    }
    let mut raw = world.log_in("ann", &[]);
    let told = greeting(&mut raw);
    assert_eq!([&*pid(&mut raw)], waiting[..]);
    assert!(
        told.contains(&(b'S', b"IntervalStyle\0iso_8601\0".to_vec())),
        "{told:?}"
    );
}

#[test]
fn there_are_so_many_and_no_more_and_not_for_ever() {
    let world = World::new(Warm {
        connections_max: 2,
        idle_ms: 2_000,
    });
    let names = ["ann", "bob", "cay", "dan", "eve", "fay"];
    let sessions = names.map(|name| world.session(name));
    let most = world.settles_at(names.len() + 2);
    drop(sessions);
    thread::sleep(Duration::from_millis(100));
    assert!(world.pids().len() <= most.len());
    world.settles_at(0);
    let world = World::new(Warm::OFF);
    drop(world.session("ann"));
    world.settles_at(0);
}

#[test]
fn none_is_left_when_the_gateway_stops() {
    let world = World::new(some(8));
    let open = world.session("ann");
    for name in ["bob", "cay"] {
        drop(world.session(name));
    }
    // One of each of the three waits.
    world.settles_at(1 + 3);
    let World { cluster, house } = world;
    house.stop();
    drop(open);
    let left = cluster.execute(
        "postgres",
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'gate'",
    );
    assert_eq!(left.unwrap().trim(), "0");
}

/// What a password's file or command gives: it changes while the gateway runs.
#[derive(Debug, Clone)]
struct Vault(Arc<Mutex<&'static str>>);

impl Source for Vault {
    fn password(&self) -> Asked<'_> {
        let password = *self.0.lock().unwrap();
        Box::pin(async move { Ok(Secret::new(password.as_bytes())) })
    }
}

#[test]
fn none_outlives_the_password_that_it_was_logged_in_with() {
    let cluster = start_cluster();
    cluster.execute("postgres", SCHEMA).unwrap();
    let vault = Vault(Arc::new(Mutex::new("gate")));
    let target = Target {
        password: Some(Credential::asked(Arc::new(vault.clone()), None, None)),
        ..gate(&cluster, some(8))
    };
    let world = World {
        house: House::start(settings_for(ClientTls::Off, target)),
        cluster,
    };
    drop(world.session("ann"));
    let waiting = world.settles_at(1);
    world
        .cluster
        .execute("postgres", "ALTER ROLE gate PASSWORD 'another'")
        .unwrap();
    *vault.0.lock().unwrap() = "another";
    // Somebody else's log-in finds out.
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let mut raw = world.log_in("bob", &[]);
        if raw.message().0 == b'R' {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    while world.pids().contains(&waiting[0]) {
        assert!(Instant::now() < deadline, "it is still there");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn its_cancel_key_works() {
    let world = World::new(some(8));
    drop(world.session("ann"));
    let waiting = world.settles_at(1);
    let mut raw = world.log_in("ann", &[]);
    let key = raw.until(b'K');
    raw.until(b'Z');
    assert_eq!([&*pid(&mut raw)], waiting[..]);
    raw.send(&query("SELECT pg_sleep(1000)"));
    let sleeps = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE pid = {} AND wait_event = 'PgSleep'",
        waiting[0]
    );
    let deadline = Instant::now() + PATIENCE;
    while world.cluster.execute("postgres", &sleeps).unwrap().trim() != "1" {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(20));
    }
    Raw::connect(world.house.address)
        .send(&cancel_request(&key))
        .closes();
    let answer = raw.answer();
    assert!(answer.starts_with("57014"), "{answer}");
}

#[test]
fn it_gives_way_to_a_session_that_is_there() {
    let world = World::new(some(8));
    drop(world.session("ann"));
    let waiting = world.settles_at(1);
    // The catalog's, the waiting one, and no more.
    world
        .cluster
        .execute("postgres", "ALTER ROLE gate CONNECTION LIMIT 2")
        .unwrap();
    let mut raw = world.session("bob");
    assert_ne!([&*pid(&mut raw)], waiting[..]);
    let error = world.log_in("cay", &[]).last_error();
    assert!(error.starts_with("53300 target `shop`"), "{error}");
}

/// A role that is taken away does not live on in what was made before.
#[test]
fn a_role_that_was_taken_away_is_not_had_from_what_was_made_before() {
    let world = World::new(some(8));
    for (taken, given) in [
        ("REVOKE agents FROM gate", "GRANT agents TO gate"),
        ("ALTER ROLE agents RENAME TO others; CREATE ROLE agents", ""),
    ] {
        let mut raw = world.log_in("ann", &["bots"]);
        raw.until(b'Z');
        drop(raw);
        world.settles_at(1);
        world.cluster.execute("postgres", taken).unwrap();
        let error = world.log_in("ann", &["bots"]).last_error();
        assert!(error.starts_with("0P000"), "{taken}: {error}");
        world.cluster.execute("postgres", given).unwrap();
    }
}

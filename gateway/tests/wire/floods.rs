//! More clients than anybody has room for, clients that say nothing, and how a dead connection is found.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use crate::{
    faults::World,
    house::tokens,
    raw::{Raw, ask, password, startup},
};

/// Clients at once.
const CROWD: usize = 1_000;
const TABLES: &str = "CREATE TABLE people (id int PRIMARY KEY, name text);
    INSERT INTO people SELECT n, 'name ' || n FROM generate_series(1, 9) n;";

/// Each client is the client's end, the gateway's, and the one to the server. Many systems begin with a limit of 1,024.
fn raise_open_files() {
    rlimit::increase_nofile_limit(4 * CROWD as u64).unwrap();
}

/// What became of each of a crowd that logs in at once and asks one thing: the first value, or the SQLSTATE that it was told.
fn crowd(world: &World) -> BTreeMap<String, usize> {
    let token = tokens().good("ann");
    let address = world.house().address;
    let hello = startup(&[("user", "ann"), ("database", "shop")]);
    raise_open_files();
    // Everybody is there before anybody says a word.
    let streams: Vec<Raw> = (0..CROWD).map(|_| Raw::connect(address)).collect();
    let (hello, password) = (&hello, &password(&token));
    thread::scope(|scope| {
        let crowd: Vec<_> = streams
            .into_iter()
            .map(|mut raw| {
                let builder = thread::Builder::new().stack_size(128 * 1024);
                let run = move || {
                    raw.set_patience(Duration::from_secs(180));
                    // Whoever is one too many may be told before it says a word.
                    raw.try_send(hello);
                    if let Err(error) = raw.try_until(b'R') {
                        return sqlstate(&error);
                    }
                    raw.try_send(password);
                    match raw.try_until(b'Z') {
                        Ok(_) => ask(&mut raw, "SELECT name FROM people WHERE id = 5"),
                        Err(error) => sqlstate(&error),
                    }
                };
                builder.spawn_scoped(scope, run).unwrap()
            })
            .collect();
        let mut outcomes = BTreeMap::new();
        for one in crowd {
            *outcomes.entry(one.join().unwrap()).or_default() += 1;
        }
        outcomes
    })
}

/// Of an ErrorResponse's fields.
fn sqlstate(fields: &str) -> String {
    let mut fields = fields.split('\0');
    let code = fields.find_map(|field| field.strip_prefix('C'));
    code.unwrap_or("closed").to_owned()
}

#[test]
fn a_thousand_at_once_are_served_or_told() {
    let world = World::with(TABLES, &[("max_connections", "40")], |settings| {
        settings.limits.connections_max = 10 * CROWD;
        settings.limits.connections_per_principal_max = 10 * CROWD;
        settings.limits.startup_timeout_ms = 170_000;
        settings.limits.connect_timeout_ms = 170_000;
    });
    let outcomes = crowd(&world);
    let served = outcomes.get("name 5 I").copied().unwrap_or_default();
    let full = outcomes.get("53300").copied().unwrap_or_default();
    assert!(served >= 20 && served + full == CROWD, "{outcomes:?}");
    assert_eq!(ask(&mut world.session(), "SELECT 1"), "1 I");
    let ends = world.ends_well();
    assert_eq!(ends["completed"], served + 1);
}

#[test]
fn the_gateways_own_limit_is_told_too() {
    let world = World::with(TABLES, &[("max_connections", "40")], |settings| {
        settings.limits.connections_max = 30;
        settings.limits.connections_per_principal_max = 10;
    });
    let outcomes = crowd(&world);
    assert!(outcomes.contains_key("name 5 I"), "{outcomes:?}");
    let expected = |outcome: &&String| ["name 5 I", "53300"].contains(&outcome.as_str());
    assert!(outcomes.keys().all(|one| expected(&one)), "{outcomes:?}");
    assert_eq!(ask(&mut world.session_again(), "SELECT 1"), "1 I");
    world.ends_well();
}

#[test]
fn whoever_says_nothing_or_little_holds_up_nobody() {
    let world = World::with(TABLES, &[("max_connections", "40")], |settings| {
        settings.limits.startup_timeout_ms = 3_000;
    });
    let hello = startup(&[("user", "ann"), ("database", "shop")]);
    raise_open_files();
    let mut silent: Vec<TcpStream> = (0..500)
        .map(|number| {
            let mut stream = TcpStream::connect(world.house().address).unwrap();
            // A part of a start-up message, or all of it and no password.
            stream
                .write_all(&hello[..number % (hello.len() + 1)])
                .unwrap();
            stream
        })
        .collect();
    assert_eq!(ask(&mut world.session(), "SELECT 1"), "1 I");
    for stream in &mut silent {
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let mut said = Vec::new();
        // A request for the password, then the end.
        let _ = stream.read_to_end(&mut said);
        assert!(said.len() <= 9, "{said:?}");
    }
    world.ends_well();
}

/// The kernel's timer of the connection from `from` to `to` at the side of `from`, and its time in hundredths of seconds.
///
/// # Source
/// Linux's Documentation/networking/proc_net_tcp.rst: timer 2 is the keepalive's.
fn timer(from: SocketAddr, to: SocketAddr) -> Option<(u8, u64)> {
    let shown = |address: SocketAddr| format!("0100007F:{:04X}", address.port());
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let line = table.lines().find(|line| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next() == Some(&shown(from)) && fields.next() == Some(&shown(to))
    })?;
    let (kind, when) = line.split_whitespace().nth(5)?.split_once(':')?;
    Some((kind.parse().ok()?, u64::from_str_radix(when, 16).ok()?))
}

#[test]
#[cfg(target_os = "linux")]
fn silence_of_either_side_is_asked_after() {
    let world = World::with(TABLES, &[("max_connections", "40")], |settings| {
        settings.tcp.keepalives_idle_ms = 7_000;
    });
    let mut raw = world.session();
    assert_eq!(ask(&mut raw, "SELECT 'quiet now'"), "quiet now I");
    thread::sleep(Duration::from_millis(300));
    let port = world.server("SELECT client_port FROM pg_stat_activity WHERE query LIKE '%quiet now%' AND pid <> pg_backend_pid()");
    let here = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let gateway = world.house().address;
    let server = here(world.cluster.port());
    for (from, to) in [
        (gateway, raw.address()),
        (here(port.parse().unwrap()), server),
    ] {
        let (kind, hundredths) = timer(from, to).expect("the connection is there");
        assert_eq!(kind, 2, "a keepalive's timer runs");
        assert!(hundredths <= 700, "{hundredths}");
    }
    drop(raw);
    world.ends_well();
}

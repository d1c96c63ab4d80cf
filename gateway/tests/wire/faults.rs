//! What tests of faults share: a server and a gateway, who is connected to the server, whether the evidence is whole.
//!
//! Each such test asserts the same: nothing hangs (every wait is bounded), nothing panics (a thread of the gateway that does is said
//! when it stops), no connection to the server is left, and each statement that was decided has its end in the log.

use std::{
    collections::BTreeMap,
    process::Command,
    time::{Duration, Instant},
};

use provost_gateway::settings::{ClientTls, Host, Settings};

use crate::{
    house::{House, settings_for, target, tokens},
    postgres::{Cluster, Listen, Options},
    raw::Raw,
};

/// How long anything may take. On a busy machine a second of work takes many.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server, a gateway, and how many connections the server had before any client.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    house: Option<House>,
    backends: usize,
}

impl World {
    pub(crate) fn new(tables: &str) -> Self {
        Self::with(tables, &[("max_connections", "50")], |_| ())
    }

    /// With these settings of the server, and the gateway's settings changed by `change`.
    pub(crate) fn with(
        tables: &str,
        server: &[(&str, &str)],
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let options = Options {
            listen: Listen::Loopback,
            settings: server,
        };
        let cluster = Cluster::start(&options).unwrap();
        cluster.execute("postgres", tables).unwrap();
        let mut target = target(&cluster);
        // By TCP, as most servers are reached.
        target.host = Host::Tcp("127.0.0.1".into());
        let mut settings = settings_for(ClientTls::Off, target);
        change(&mut settings);
        let house = House::start(settings);
        let mut world = Self {
            cluster,
            house: Some(house),
            backends: 0,
        };
        world.backends = world.backends();
        world
    }

    pub(crate) fn house(&self) -> &House {
        self.house.as_ref().unwrap()
    }

    pub(crate) fn session(&self) -> Raw {
        let mut raw = self.log_in();
        raw.until(b'Z');
        raw
    }

    /// A client that gave its token and read nothing.
    pub(crate) fn log_in(&self) -> Raw {
        let shop = [("user", "ann"), ("database", "shop")];
        Raw::log_in(self.house().address, &shop, &tokens().good("ann"))
    }

    /// A session, once the server is there again.
    pub(crate) fn session_again(&self) -> Raw {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut raw = self.log_in();
            match raw.try_until(b'Z') {
                Ok(_) => return raw,
                Err(error) => assert!(Instant::now() < deadline, "no session any more: {error}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What the server says, asked directly.
    pub(crate) fn server(&self, sql: &str) -> String {
        let answer = self.cluster.execute("postgres", sql);
        answer.unwrap().trim().to_owned()
    }

    /// Waits until the server says this.
    #[track_caller]
    pub(crate) fn server_comes_to(&self, sql: &str, expected: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.cluster.execute("postgres", sql);
            let found = found.map_or_else(|error| error.to_string(), |text| text.trim().to_owned());
            if found == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{sql}: {found}, not {expected}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Clients' connections to the server that are not the gateway's own.
    fn backends(&self) -> usize {
        self.server(BACKENDS).parse().unwrap()
    }

    /// The process at the server that runs a statement like this, of the gateway's sessions.
    pub(crate) fn backend_of(&self, words: &str) -> String {
        let sql = format!(
            "SELECT pid FROM pg_stat_activity WHERE query LIKE '%{words}%' AND pid <> pg_backend_pid() AND client_port IS NOT NULL"
        );
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.server(&sql);
            if !found.is_empty() {
                return found;
            }
            assert!(Instant::now() < deadline, "nobody runs {words}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Nothing of the clients is left at the server, the gateway stops as ever, and its evidence is whole. Says how many statements
    /// had which outcome.
    #[track_caller]
    pub(crate) fn ends_well(mut self) -> BTreeMap<String, usize> {
        self.server_comes_to(BACKENDS, &self.backends.to_string());
        let records = self.house.take().unwrap().stop();
        evidence(&records)
    }
}

const BACKENDS: &str = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' \
    AND pid <> pg_backend_pid() AND application_name <> 'provost catalog'";

/// Checks that each statement of the log was decided and ended once, and each session opened and closed; the outcomes.
#[track_caller]
pub(crate) fn evidence(records: &str) -> BTreeMap<String, usize> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for part in records.split("\"statement_id\":\"").skip(1) {
        let (id, _) = part.split_once('"').unwrap();
        *seen.entry(id).or_default() += 1;
    }
    for (id, count) in &seen {
        assert_eq!(*count, 2, "statement {id} is {count} times in the log");
    }
    let count = |word: &str| records.matches(word).count();
    assert_eq!(count("\"event\":\"opened\""), count("\"event\":\"closed\""));
    let mut outcomes = BTreeMap::new();
    for part in records.split("\"outcome\":\"").skip(1) {
        let (outcome, _) = part.split_once('"').unwrap();
        *outcomes.entry(outcome.to_owned()).or_default() += 1;
    }
    assert_eq!(
        outcomes.values().sum::<usize>(),
        seen.len(),
        "each has one end"
    );
    outcomes
}

/// Sends a process a signal.
pub(crate) fn signal(name: &str, process: &str) {
    let mut kill = Command::new("sh");
    kill.args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, process]);
    assert!(kill.status().unwrap().success());
}

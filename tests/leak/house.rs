//! Two private servers whose databases differ in masked values only, a third for what is not compared, and one gateway before
//! all of them under a signed bundle.

use std::{
    fs,
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use ed25519_dalek::{
    SigningKey,
    pkcs8::{EncodePrivateKey as _, spki::der::pem::LineEnding},
};
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;

use crate::{
    canary::{Search, Side},
    postgres::{Cluster, Listen, Options, SUPERUSER},
    support::{
        AUDIENCE, Person, free_port,
        issuer::{Issuer, TokenRequest},
        succeeded,
    },
    tables,
    wire::{Answer, Client},
};

/// How long the gateway may take to listen, and to stop.
const GATEWAY_DEADLINE: Duration = Duration::from_secs(60);
const SCHEMA: &str = include_str!("schema.sql");

/// Time and background work must not tell two servers apart.
const SERVER_SETTINGS: &[(&str, &str)] = &[
    ("autovacuum", "off"),
    ("jit", "off"),
    ("synchronize_seqscans", "off"),
    ("max_parallel_workers_per_gather", "0"),
    ("statement_timeout", "10s"),
    ("fsync", "off"),
    ("full_page_writes", "off"),
];

/// What masks the gateway has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    Masked,
    /// None: the test must notice.
    Open,
}

impl Policy {
    const fn text(self) -> &'static str {
        match self {
            Self::Masked => include_str!("policy.pol"),
            Self::Open => include_str!("open.pol"),
        }
    }
}

/// Which server. What runs on one alone must not move the two that are compared apart: it has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Left,
    Right,
    Lone,
}

impl Place {
    const ALL: [Self; 3] = [Self::Left, Self::Right, Self::Lone];

    /// The target's name at the gateway.
    const fn target(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
            Self::Lone => "lone",
        }
    }

    const fn side(self) -> Side {
        match self {
            Self::Left | Self::Lone => Side::Left,
            Self::Right => Side::Right,
        }
    }
}

struct Server {
    cluster: Cluster,
    direct: tokio_postgres::Client,
    place: Place,
}

pub(crate) struct House {
    /// In the order of [`Place::ALL`].
    servers: [Server; 3],
    /// Objects of the schema have no greater oid, and the same one in every place.
    pub(crate) schema_oid_max: u32,
    runtime: Runtime,
    issuer: Issuer,
    pub(crate) folder: tempfile::TempDir,
    port: u16,
    gateway: Option<Child>,
    /// The canaries of both sides.
    pub(crate) search: Search,
}

impl House {
    pub(crate) fn new(policy: Policy) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let servers = Place::ALL.map(|place| server(&runtime, place));
        let schema_oid_max = schema_oid_max(&servers);
        let canaries = [Side::Left, Side::Right]
            .into_iter()
            .flat_map(tables::canaries);
        let mut house = Self {
            servers,
            schema_oid_max,
            runtime,
            issuer: Issuer::start(),
            folder: memory_folder(),
            port: free_port(),
            gateway: None,
            search: Search::new(canaries),
        };
        house.reset(&Place::ALL);
        house.write_files(policy);
        house.start_gateway();
        house
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn server(&self, place: Place) -> &Server {
        &self.servers[place as usize]
    }

    pub(crate) fn cluster(&self, place: Place) -> &Cluster {
        &self.server(place).cluster
    }

    fn text_path(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Every row as it was at the start.
    pub(crate) fn reset(&self, places: &[Place]) {
        self.fill(places, &tables::every_table().collect::<Vec<_>>());
    }

    /// The same for what these statements can have written.
    pub(crate) fn reset_after(&self, places: &[Place], sql: &str) {
        self.fill(places, &tables::touched(sql));
    }

    /// In all places at once.
    fn fill(&self, places: &[Place], tables: &[&str]) {
        let fills = places.iter().map(|place| async {
            let sql = tables::fill(place.side(), tables);
            self.server(*place).direct.batch_execute(&sql).await
        });
        self.runtime
            .block_on(futures::future::try_join_all(fills))
            .unwrap_or_else(|error| panic!("{error:?}"));
    }

    fn provost(arguments: &[&str]) -> String {
        succeeded(
            Command::new(env!("CARGO_BIN_EXE_provost"))
                .args(arguments)
                .env("NO_COLOR", "1")
                .output()
                .unwrap(),
        )
    }

    /// Policy in a signed bundle, keys, configuration.
    fn write_files(&self, policy: Policy) {
        fs::create_dir(self.path("policies")).unwrap();
        fs::write(self.path("policies/leak.pol"), policy.text()).unwrap();
        let (keys, bundle) = (self.text_path("keys"), self.text_path("bundle.tar.gz"));
        Self::provost(&["bundle", "keygen", "--out", &keys]);
        Self::provost(&[
            "bundle",
            "build",
            &self.text_path("policies"),
            "--out",
            &bundle,
            "--sequence",
            "1",
        ]);
        Self::provost(&[
            "bundle",
            "sign",
            &bundle,
            "--key",
            &self.text_path("keys/bundle-signing.pem"),
        ]);
        let signing_key = SigningKey::from_bytes(&[7; 32])
            .to_pkcs8_pem(LineEnding::LF)
            .unwrap();
        fs::write(self.path("signing.pem"), signing_key.as_bytes()).unwrap();
        fs::write(self.path("secret-key"), "0123456789abcdef0123456789abcdef").unwrap();
        let mut config = include_str!("provost.toml")
            .replace("@PORT@", &self.port.to_string())
            .replace("@FOLDER@", self.folder.path().to_str().unwrap())
            .replace("@ISSUER@", &self.issuer.url())
            .replace("@AUDIENCE@", AUDIENCE);
        for server in &self.servers {
            let name = server.place.target();
            fs::write(
                self.path(&format!("password-{name}")),
                server.cluster.password(),
            )
            .unwrap();
            config += &format!(
                "\n[[target]]\nname = \"{name}\"\nhost = \"{}\"\nport = {}\ndatabase = \"leak\"\nuser = \"{SUPERUSER}\"\npassword = \"file:{}\"\ntls = \"off\"\n",
                server.cluster.socket_folder().display(),
                server.cluster.port(),
                self.text_path(&format!("password-{name}")),
            );
        }
        fs::write(self.path("provost.toml"), config).unwrap();
    }

    fn start_gateway(&mut self) {
        let log = fs::File::create(self.path("gateway.log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_provost"))
            .args(["serve", "--config"])
            .arg(self.path("provost.toml"))
            .env("NO_COLOR", "1")
            .env("RUST_BACKTRACE", "1")
            // All it could ever say is searched.
            .env("PROVOST_LOG", "info,provost=trace,provost_gateway=trace,provost_evidence=trace,provost_engine=trace,provost_dsl=trace")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.gateway = Some(child);
        let deadline = Instant::now() + GATEWAY_DEADLINE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.gateway.as_mut().unwrap().try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "the gateway does not listen: {ended:?}\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the gateway wrote.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("gateway.log")).unwrap_or_default())
            .into_owned()
    }

    /// Asks the gateway to stop, and waits until it sealed its evidence.
    pub(crate) fn stop_gateway(&mut self) {
        let mut child = self.gateway.take().unwrap();
        let id = child.id().to_string();
        assert!(
            Command::new("sh")
                .args(["-c", "kill -TERM \"$1\"", "sh", &id])
                .status()
                .unwrap()
                .success()
        );
        let deadline = Instant::now() + GATEWAY_DEADLINE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(
                    status.success(),
                    "the gateway ended with {status}:\n{}",
                    self.log()
                );
                return;
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the gateway did not stop");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// A session; what the gateway said at its start is searched too.
    #[track_caller]
    pub(crate) fn connect(&self, person: Person, place: Place) -> (Client, Answer) {
        let token = self.issuer.token(&TokenRequest {
            expires_in: 24 * 3_600,
            ..TokenRequest::for_person(person)
        });
        Client::connect(self.port, person.id(), place.target(), &token).unwrap_or_else(|error| {
            panic!(
                "no session for {person:?} on {place:?}: {error}\n{}",
                tail(&self.log())
            )
        })
    }
}

/// A folder in memory where there is one: what is tested is what is written, not whether a disk keeps it.
fn memory_folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// The last lines.
fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

fn server(runtime: &Runtime, place: Place) -> Server {
    let options = Options {
        listen: Listen::SocketOnly,
        settings: SERVER_SETTINGS,
    };
    let cluster = Cluster::start(&options).unwrap_or_else(|error| panic!("{error}"));
    cluster.execute("postgres", "CREATE DATABASE leak").unwrap();
    cluster
        .execute("leak", SCHEMA)
        .unwrap_or_else(|error| panic!("{error}"));
    let mut config = tokio_postgres::Config::new();
    config
        .host_path(cluster.socket_folder())
        .port(cluster.port())
        .user(SUPERUSER)
        .password(cluster.password())
        .dbname("leak");
    let (direct, connection) = runtime.block_on(config.connect(NoTls)).unwrap();
    runtime.spawn(connection);
    Server {
        cluster,
        direct,
        place,
    }
}

/// The greatest oid of a relation or type after the schema was made; every server must have numbered its objects alike.
fn schema_oid_max(servers: &[Server; 3]) -> u32 {
    let numbered = servers.each_ref().map(|server| {
        server
            .cluster
            .execute(
                "leak",
                "SELECT string_agg(oid || ' ' || name, ', ' ORDER BY oid DESC) FROM
                    (SELECT oid, relname AS name FROM pg_class UNION ALL SELECT oid, typname FROM pg_type) AS objects",
            )
            .unwrap()
    });
    let [left, right, lone] = &numbered;
    assert!(left == right && left == lone, "the servers number alike");
    left.split(' ').next().unwrap().parse().unwrap()
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(mut child) = self.gateway.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

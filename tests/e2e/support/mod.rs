//! A house for one test: private PostgreSQL with the shop in it, token issuer, gateway, evidence folder.

pub(crate) mod azure;
pub(crate) mod canary;
pub(crate) mod client;
pub(crate) mod issuer;
pub(crate) mod outage;
pub(crate) mod raw;
pub(crate) mod s3;
pub(crate) mod smtp;

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use ed25519_dalek::{
    SigningKey,
    pkcs8::{EncodePrivateKey as _, spki::der::pem::LineEnding},
};

use crate::postgres::{Cluster, Listen, Options};
use issuer::{Issuer, TokenRequest};
use sha2::{Digest as _, Sha256};

/// How long the gateway may take to listen, and to stop.
const GATEWAY_DEADLINE: Duration = Duration::from_secs(30);
/// What clients ask for as their database.
pub(crate) const TARGET: &str = "shop";
/// What tokens are for.
pub(crate) const AUDIENCE: &str = "provost";

/// The evidence key of every house.
const SIGNING_SEED: [u8; 32] = [7; 32];

const SHOP_SQL: &str = include_str!("../../corpus/shop.sql");
const SHOP_POLICY: &str = include_str!("../../corpus/shop.pol");

/// Who connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Person {
    /// An AI agent: reads and writes the public schema, masked.
    Agent,
    /// A person who reads the public schema, masked.
    Analyst,
    /// Everything, unmasked.
    Dba,
    /// A valid token without any group.
    Stranger,
}

impl Person {
    pub(crate) const ALL: [Self; 4] = [Self::Agent, Self::Analyst, Self::Dba, Self::Stranger];

    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::Agent => "devin@corp",
            Self::Analyst => "ana@corp",
            Self::Dba => "dora@corp",
            Self::Stranger => "stan@corp",
        }
    }

    pub(crate) const fn groups(self) -> &'static [&'static str] {
        match self {
            Self::Agent => &["ai-agents"],
            Self::Analyst => &["analysts"],
            Self::Dba => &["db-admins", "privacy-officers"],
            Self::Stranger => &[],
        }
    }

    pub(crate) fn from_name(name: &str) -> Self {
        match name {
            "agent" => Self::Agent,
            "analyst" => Self::Analyst,
            "dba" => Self::Dba,
            "stranger" => Self::Stranger,
            other => panic!("nobody is called `{other}`"),
        }
    }

    /// Whether masks bind them.
    pub(crate) const fn is_masked(self) -> bool {
        !matches!(self, Self::Dba)
    }
}

/// Everything that one test needs.
pub(crate) struct House {
    pub(crate) cluster: Cluster,
    pub(crate) issuer: Issuer,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) port: u16,
    /// What the gateway finds in its environment, besides our own.
    pub(crate) environment: Vec<(String, String)>,
    /// Where evidence is kept: a folder, or a bucket's URL.
    pub(crate) store: String,
    /// More lines of the configuration's section `[evidence]`.
    pub(crate) evidence_settings: String,
    gateway: Option<Child>,
    /// Gateways beside it.
    others: Vec<Child>,
}

impl House {
    /// PostgreSQL, issuer, configuration; no gateway yet.
    pub(crate) fn without_gateway() -> Self {
        Self::over(&[("log_statement", "all"), ("log_line_prefix", "[%p] ")])
    }

    /// The same over a PostgreSQL with these settings.
    pub(crate) fn over(settings: &[(&str, &str)]) -> Self {
        let options = Options {
            listen: Listen::SocketOnly,
            settings,
        };
        let cluster = Cluster::start(&options).unwrap_or_else(|error| panic!("{error}"));
        cluster.execute("postgres", "CREATE DATABASE shop").unwrap();
        cluster
            .execute("shop", SHOP_SQL)
            .unwrap_or_else(|error| panic!("{error}"));
        let folder = tempfile::tempdir().unwrap();
        let issuer = Issuer::start();
        let mut house = Self {
            cluster,
            issuer,
            folder,
            port: free_port(),
            environment: Vec::new(),
            store: String::new(),
            evidence_settings: String::new(),
            gateway: None,
            others: Vec::new(),
        };
        house.store = house.evidence_path().to_str().unwrap().to_owned();
        house.write_files();
        house
    }

    /// The whole house.
    pub(crate) fn new() -> Self {
        let mut house = Self::without_gateway();
        house.start_gateway();
        house
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.path("provost.toml")
    }

    pub(crate) fn evidence_path(&self) -> PathBuf {
        self.path("evidence")
    }

    fn write_files(&self) {
        let certificate =
            rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])
                .unwrap();
        fs::write(self.path("certificate.pem"), certificate.cert.pem()).unwrap();
        fs::write(
            self.path("key.pem"),
            certificate.signing_key.serialize_pem(),
        )
        .unwrap();
        fs::create_dir(self.path("policies")).unwrap();
        fs::write(self.path("policies/shop.pol"), SHOP_POLICY).unwrap();
        fs::write(self.path("server-password"), self.cluster.password()).unwrap();
        let signing_key = SigningKey::from_bytes(&SIGNING_SEED)
            .to_pkcs8_pem(LineEnding::LF)
            .unwrap();
        fs::write(self.path("signing.pem"), signing_key.as_bytes()).unwrap();
        fs::write(self.path("digest-key"), "0123456789abcdef0123456789abcdef").unwrap();
        self.write_config(|config| config);
    }

    /// Writes the configuration, changed by `change`.
    pub(crate) fn write_config(&self, change: impl FnOnce(String) -> String) {
        fs::write(self.config_path(), change(self.config())).unwrap();
    }

    fn config(&self) -> String {
        include_str!("../provost.toml")
            .replace("@STORE@", &self.store)
            .replace(
                "[[target]]",
                &format!("{}\n\n[[target]]", self.evidence_settings),
            )
            .replace("@PORT@", &self.port.to_string())
            .replace("@FOLDER@", self.folder.path().to_str().unwrap())
            .replace("@ISSUER@", &self.issuer.url())
            .replace("@AUDIENCE@", AUDIENCE)
            .replace("@SOCKET@", self.cluster.socket_folder().to_str().unwrap())
            .replace("@SERVER_PORT@", &self.cluster.port().to_string())
    }

    /// Our binary, with the configuration named to it by argument.
    pub(crate) fn provost(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_provost"))
            .args(arguments)
            .env("NO_COLOR", "1")
            .envs(self.environment.iter().cloned())
            .output()
            .unwrap()
    }

    /// `provost evidence verify` with the public key that belongs to the house.
    pub(crate) fn verify(&self) -> Output {
        self.verify_all(&["gateway-1"])
    }

    /// The same for all gateways of the store.
    pub(crate) fn verify_all(&self, gateways: &[&str]) -> Output {
        let mut arguments = vec!["evidence", "verify", "--store", &self.store];
        let keys: Vec<String> = gateways
            .iter()
            .map(|gateway| {
                let key = self.path(match *gateway {
                    "gateway-1" => "public-key",
                    other => other,
                });
                fs::write(&key, public_key(gateway) + "\n").unwrap();
                key.to_str().unwrap().to_owned()
            })
            .collect();
        for key in &keys {
            arguments.extend(["--public-key", key]);
        }
        self.provost(&arguments)
    }

    /// `provost evidence query`, its rows as JSON objects.
    #[track_caller]
    pub(crate) fn query(&self, sql: &str) -> Vec<serde_json::Map<String, serde_json::Value>> {
        let output = self.provost(&["evidence", "query", "--json", "--store", &self.store, sql]);
        serde_json::from_str(&succeeded(output)).unwrap()
    }

    /// The one number that a query over the evidence gives.
    #[track_caller]
    pub(crate) fn count(&self, sql: &str) -> u64 {
        let rows = self.query(sql);
        rows[0].values().next().unwrap().as_u64().unwrap()
    }

    /// Starts the gateway and waits until it listens.
    pub(crate) fn start_gateway(&mut self) {
        let child = self.serve(&self.config_path());
        self.gateway = Some(self.listening(child));
    }

    /// Starts a second gateway over the same store and policies; from here on clients connect to it, and not to the first.
    pub(crate) fn start_another(&mut self) {
        self.port = free_port();
        let number = self.others.len() + 2;
        let path = self.config_of_another(&format!("gateway-{number}"), &format!("log-{number}"));
        let child = self.serve(&path);
        let child = self.listening(child);
        self.others.push(child);
    }

    /// The configuration of a gateway of this name and with this log, over the same store and policies.
    pub(crate) fn config_of_another(&self, name: &str, log: &str) -> PathBuf {
        let config = self.config().replace("gateway-1", name).replace(
            &format!("{}/log\"", self.folder.path().display()),
            &format!("{}/{log}\"", self.folder.path().display()),
        );
        let path = self.path(&format!("provost-{name}-{log}.toml"));
        fs::write(&path, config).unwrap();
        path
    }

    /// Stops the gateways beside the first, as [`House::stop_gateway`].
    pub(crate) fn stop_others(&mut self) {
        for child in std::mem::take(&mut self.others) {
            self.stop(child);
        }
    }

    fn serve(&self, config: &Path) -> Child {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("gateway.log"))
            .unwrap();
        // An optimised build, where the environment names one.
        let gateway = std::env::var_os("PROVOST_GATEWAY")
            .map_or_else(|| env!("CARGO_BIN_EXE_provost").into(), PathBuf::from);
        Command::new(gateway)
            .args(["serve", "--config"])
            .arg(config)
            .env("NO_COLOR", "1")
            .env("RUST_BACKTRACE", "1")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    fn listening(&self, mut child: Child) -> Child {
        let deadline = Instant::now() + GATEWAY_DEADLINE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = child.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "the gateway ended with {ended:?}:\n{}",
                self.gateway_log()
            );
            if Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the gateway does not listen:\n{}", self.gateway_log());
            }
            thread::sleep(Duration::from_millis(20));
        }
        child
    }

    /// The most memory that the gateway ever held, in KiB, where the system tells (Linux's `VmHWM`).
    pub(crate) fn gateway_memory_kib(&self) -> Option<u64> {
        let id = self.gateway.as_ref().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }

    /// Sends the gateway a signal (`HUP`).
    pub(crate) fn signal_gateway(&self, signal: &str) {
        let child = self.gateway.as_ref().unwrap();
        let mut kill = Command::new("sh");
        kill.args([
            "-c",
            "kill -s \"$1\" \"$2\"",
            "sh",
            signal,
            &child.id().to_string(),
        ]);
        assert!(kill.status().unwrap().success());
    }

    /// Waits until the gateway has said all of `words` in one line, `count` times.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, words: &[&str], count: usize) {
        let said = |log: &str| {
            log.lines()
                .filter(|line| words.iter().all(|word| line.contains(word)))
                .count()
        };
        self.wait_until(&format!("{words:?} {count} times"), |house| {
            said(&house.gateway_log()) >= count
        });
    }

    /// Waits until something of the gateway's is seen from outside.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + GATEWAY_DEADLINE;
        while !is_so(self) {
            assert!(
                Instant::now() < deadline,
                "waited in vain for {what}:\n{}",
                self.gateway_log()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks the gateway to stop (SIGTERM) and waits: it must end by itself, with 0.
    pub(crate) fn stop_gateway(&mut self) {
        if let Some(child) = self.gateway.take() {
            self.stop(child);
        }
    }

    fn stop(&self, mut child: Child) {
        assert!(
            Command::new("sh")
                .args(["-c", "kill -TERM \"$1\"", "sh", &child.id().to_string()])
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
                    self.gateway_log()
                );
                return;
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the gateway did not stop:\n{}", self.gateway_log());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the gateway without a chance to say anything.
    pub(crate) fn kill_gateway(&mut self) {
        if let Some(mut child) = self.gateway.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// What the gateway wrote.
    pub(crate) fn gateway_log(&self) -> String {
        fs::read_to_string(self.path("gateway.log")).unwrap_or_default()
    }

    /// What the server wrote.
    pub(crate) fn server_log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.cluster.log_path()).unwrap()).into_owned()
    }

    /// A good token.
    pub(crate) fn token(&self, person: Person) -> String {
        self.issuer.token(&TokenRequest::for_person(person))
    }

    /// Stock `psql` through the gateway, with SQL on its standard input.
    pub(crate) fn psql(&self, person: Person, arguments: &[&str], sql: &str) -> Output {
        self.psql_with(person.id(), &self.token(person), TARGET, arguments, sql)
    }

    pub(crate) fn psql_with(
        &self,
        user: &str,
        password: &str,
        database: &str,
        arguments: &[&str],
        sql: &str,
    ) -> Output {
        let mut command = Command::new(self.cluster.program("psql"));
        command.args(["--no-psqlrc", "--file=-"]).args(arguments);
        self.client_environment(&mut command, user, password, database);
        run_with_input(command, sql)
    }

    /// What libpq reads from the environment.
    pub(crate) fn client_environment(
        &self,
        command: &mut Command,
        user: &str,
        password: &str,
        database: &str,
    ) {
        command
            .env("PGHOST", "localhost")
            .env("PGHOSTADDR", "127.0.0.1")
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", user)
            .env("PGPASSWORD", password)
            .env("PGDATABASE", database)
            .env("PGSSLMODE", "verify-full")
            .env("PGSSLROOTCERT", self.path("certificate.pem"))
            .env("PGCLIENTENCODING", "UTF8")
            .env("LC_ALL", "C");
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.kill_gateway();
        for other in &mut self.others {
            let _ = other.kill();
            let _ = other.wait();
        }
        if thread::panicking() {
            eprintln!("the gateway wrote:\n{}", self.gateway_log());
        }
    }
}

/// Runs a program with text on its standard input.
pub(crate) fn run_with_input(mut command: Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A program that ends early closes its input: that is its business.
    let writer =
        thread::spawn(move || drop(std::io::Write::write_all(&mut stdin, input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// Standard output of a program that must succeed.
#[track_caller]
pub(crate) fn succeeded(output: Output) -> String {
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    assert!(
        output.status.success(),
        "{}\nstdout: {out}\nstderr: {error}",
        output.status
    );
    out
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A port of 127.0.0.1 that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// The Python that `tests/run.sh` installs the tests' packages for.
pub(crate) fn python() -> PathBuf {
    let target = std::env::var("CARGO_TARGET_DIR")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/target").to_owned());
    let python = Path::new(&target).join("python/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run `sh tests/run.sh` once, it makes it",
        python.display()
    );
    python
}

/// Every file below a folder.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path())
            } else {
                found.push(entry.path())
            }
        }
    }
    found.sort();
    found
}

/// The public half of the evidence key, computed from the specification and not by our own code.
///
/// # Source
/// C2SP signed-note, "Verifier keys".
pub(crate) fn public_key(gateway: &str) -> String {
    let name = format!("provost/{gateway}");
    let key = SigningKey::from_bytes(&SIGNING_SEED).verifying_key();
    let typed = [&[1][..], key.as_bytes()].concat();
    let hash = Sha256::digest([name.as_bytes(), b"\n", &typed].concat());
    let hash: String = hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name}+{hash}+{}", base64(&typed))
}

/// RFC 4648, for whole groups of three bytes (33 of them here).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    assert!(bytes.len().is_multiple_of(3));
    let letters = bytes.chunks_exact(3).flat_map(|group| {
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        [18, 12, 6, 0].map(|shift| char::from(ALPHABET[(bits >> shift & 63) as usize]))
    });
    letters.collect()
}

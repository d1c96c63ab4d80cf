//! One private server whose socket anybody may enter, and one gateway before it whose policy allows everything.

use std::{
    env, fs,
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

use crate::{
    postgres::{Cluster, Listen, Options, SUPERUSER},
    support::{
        AUDIENCE, Person, free_port,
        issuer::{Issuer, TokenRequest},
    },
};

/// How long the gateway may take to listen.
const GATEWAY_DEADLINE: Duration = Duration::from_secs(60);
/// Tokens outlive the longest run.
const TOKEN_SECONDS: i64 = 24 * 3_600;

/// Which way a client takes to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Direct,
    Gateway,
}

impl Way {
    pub(crate) const BOTH: [Self; 2] = [Self::Direct, Self::Gateway];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Gateway => "gateway",
        }
    }
}

/// A server, and the gateway before it.
pub(crate) struct House {
    pub(crate) cluster: Cluster,
    /// The gateway's targets; a client is told of the first.
    databases: Vec<&'static str>,
    issuer: Issuer,
    folder: tempfile::TempDir,
    port: u16,
    gateway: Option<Child>,
}

impl House {
    /// The server, where `make` makes the database; then the gateway.
    pub(crate) fn new(
        settings: &[(&str, &str)],
        database: &'static str,
        make: impl FnOnce(&Cluster),
    ) -> Self {
        Self::with_targets(settings, &[database], make)
    }

    /// The same with several databases.
    pub(crate) fn with_targets(
        settings: &[(&str, &str)],
        databases: &[&'static str],
        make: impl FnOnce(&Cluster),
    ) -> Self {
        let options = Options {
            listen: Listen::Loopback,
            settings,
        };
        let cluster = Cluster::start(&options).unwrap_or_else(|error| panic!("{error}"));
        let rules = cluster.socket_folder().join("data/pg_hba.conf");
        fs::write(
            rules,
            "local all,replication all trust\nhost all,replication all 127.0.0.1/32 trust\n",
        )
        .unwrap();
        // The reload is a signal; one more connection by password is as good as any.
        cluster
            .execute("postgres", "SELECT pg_reload_conf()")
            .unwrap();
        make(&cluster);
        let mut house = Self {
            cluster,
            databases: databases.to_vec(),
            issuer: Issuer::start(),
            folder: tempfile::tempdir().unwrap(),
            port: free_port(),
            gateway: None,
        };
        house.write_files();
        house.start_gateway();
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_files(&self) {
        fs::create_dir(self.path("policies")).unwrap();
        fs::write(
            self.path("policies/everything.pol"),
            include_str!("everything.pol"),
        )
        .unwrap();
        let signing_key = SigningKey::from_bytes(&[7; 32])
            .to_pkcs8_pem(LineEnding::LF)
            .unwrap();
        fs::write(self.path("signing.pem"), signing_key.as_bytes()).unwrap();
        fs::write(self.path("digest-key"), "0123456789abcdef0123456789abcdef").unwrap();
        let (settings, target) = include_str!("provost.toml")
            .split_once("[[target]]")
            .unwrap();
        let targets = self
            .databases
            .iter()
            .map(|database| format!("[[target]]{}\n", target.replace("@DATABASE@", database)));
        let config = format!("{settings}{}", targets.collect::<String>())
            .replace("@PORT@", &self.port.to_string())
            .replace("@FOLDER@", self.folder.path().to_str().unwrap())
            .replace("@ISSUER@", &self.issuer.url())
            .replace("@AUDIENCE@", AUDIENCE)
            .replace("@SOCKET@", self.cluster.socket_folder().to_str().unwrap())
            .replace("@SERVER_PORT@", &self.cluster.port().to_string())
            .replace("@USER@", SUPERUSER);
        fs::write(self.path("provost.toml"), config).unwrap();
    }

    fn start_gateway(&mut self) {
        let log = fs::File::create(self.path("gateway.log")).unwrap();
        let child = Command::new(gateway())
            .args(["serve", "--config"])
            .arg(self.path("provost.toml"))
            .env("NO_COLOR", "1")
            .env("RUST_BACKTRACE", "1")
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
        fs::read_to_string(self.path("gateway.log")).unwrap_or_default()
    }

    /// Whether the gateway still runs.
    pub(crate) fn gateway_lives(&mut self) -> bool {
        let child = self.gateway.as_mut().unwrap();
        child.try_wait().unwrap().is_none()
    }

    /// The port of 127.0.0.1 where a client finds the server by this way.
    pub(crate) fn port(&self, way: Way) -> u16 {
        match way {
            Way::Direct => self.cluster.port(),
            Way::Gateway => self.port,
        }
    }

    /// A good token. The principal is called as the role is: names that a client shows are the same both ways.
    pub(crate) fn token(&self) -> String {
        self.issuer.token(&TokenRequest {
            subject: SUPERUSER.to_owned(),
            expires_in: TOKEN_SECONDS,
            ..TokenRequest::for_person(Person::Dba)
        })
    }

    /// Tells a client of libpq's kind, by its environment, where to go and who it is.
    pub(crate) fn client_environment(&self, command: &mut Command, way: Way) {
        command
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.port(way).to_string())
            .env("PGUSER", SUPERUSER)
            .env("PGPASSWORD", self.token())
            .env("PGDATABASE", self.databases[0])
            .env("PGSSLMODE", "disable")
            .env("LC_ALL", "C");
    }
}

/// The build's own, or the one that the environment names: an optimised one takes a part of the time.
fn gateway() -> PathBuf {
    env::var_os("PROVOST_GATEWAY")
        .map_or_else(|| env!("CARGO_BIN_EXE_provost").into(), PathBuf::from)
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(mut child) = self.gateway.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if thread::panicking() {
            eprintln!("the gateway wrote:\n{}", self.log());
        }
    }
}

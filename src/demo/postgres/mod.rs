//! A private PostgreSQL in a temporary folder, from the machine's own binaries: for the demo and for the end-to-end tests.
//!
//! It blocks: call it before the runtime starts, or on a blocking thread. It must never touch a server that it did not
//! start, never run one as root, and leave nothing behind, even when this process is killed (a watchdog cleans up then).

mod error;
mod find;
mod owner;

use std::{
    fs::{self, File},
    io::{ErrorKind, Read as _, Write as _},
    net::TcpListener,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

pub(crate) use error::Error;
use error::{file_error, run_error};
use owner::Owner;

/// How long a start may take; past it the server is killed and the start fails.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// How long a fast shutdown may take; past it the server is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(20);
/// Pause between two looks at the server's state.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How many ports are tried (another process may take one between our choice and the server's bind).
const START_ATTEMPTS: usize = 3;
/// How much of the server's log goes into an error message, in bytes from its end.
const LOG_TAIL_BYTES: usize = 2_000;
/// The cluster's superuser.
pub(crate) const SUPERUSER: &str = "postgres";

/// Cleans up when this process dies without a word: the pipe closes, `read` fails.
const WATCHDOG: &str = r#"
read -r word && exit 0
kill -INT "$1" 2>/dev/null
tries=0
while kill -0 "$1" 2>/dev/null && [ "$tries" -lt 10 ]; do sleep 1; tries=$((tries + 1)); done
rm -rf -- "$2"
"#;

/// Where the server listens, besides the socket in its own folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listen {
    /// Nowhere else.
    SocketOnly,
    /// A free port of 127.0.0.1.
    #[cfg(test)]
    Loopback,
}

/// What a cluster is started with.
#[derive(Debug, Clone)]
pub(crate) struct Options<'a> {
    /// Where it listens.
    pub(crate) listen: Listen,
    /// Server settings, as `-c name=value`.
    pub(crate) settings: &'a [(&'a str, &'a str)],
}

/// A running private cluster. Dropping it stops it; [`Cluster::stop`] says how that went.
#[derive(Debug)]
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    binaries: PathBuf,
    server: Child,
    watchdog: Child,
    port: u16,
    password: String,
}

impl Cluster {
    /// Makes a cluster in a new temporary folder (UTF-8, locale C, SCRAM passwords only) and starts it.
    ///
    /// # Errors
    /// [`Error`]; nothing is left behind.
    pub(crate) fn start(options: &Options<'_>) -> Result<Self, Error> {
        let binaries = find::binaries()?;
        let folder = tempfile::Builder::new()
            .prefix("provost-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(find::base_folder())
            .map_err(file_error("create a folder in", &find::base_folder()))?;
        let owner = Owner::of_server(folder.path())?;
        let password = random_password()?;

        let password_file = folder.path().join("password");
        write_private(&password_file, password.as_bytes())?;
        owner.give(folder.path())?;
        owner.give(&password_file)?;
        let mut initdb = Command::new(binaries.join("initdb"));
        initdb
            .arg("--pgdata")
            .arg(folder.path().join("data"))
            .arg("--pwfile")
            .arg(&password_file)
            .args([
                "--username",
                SUPERUSER,
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ]);
        owner.drop_to(initdb.current_dir(folder.path()).env("LC_ALL", "C"));
        checked("initdb", initdb.output().map_err(run_error("initdb"))?)?;
        fs::remove_file(&password_file).map_err(file_error("remove", &password_file))?;

        let (server, port) = start_server(&binaries, folder.path(), &owner, options)?;
        let watchdog = start_watchdog(server.id(), folder.path());
        let mut server = Some(server);
        let watchdog = watchdog.inspect_err(|_| kill(&mut server))?;
        let Some(server) = server else {
            return Err(Error::NotReady { log: String::new() });
        };
        Ok(Self {
            folder,
            binaries,
            server,
            watchdog,
            port,
            password,
        })
    }

    /// The folder of the server's Unix socket: what clients take as `host`.
    pub(crate) fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// The port: part of the socket's name, and of 127.0.0.1 with `Listen::Loopback`.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The password of [`SUPERUSER`].
    #[cfg(test)]
    pub(crate) fn password(&self) -> &str {
        &self.password
    }

    /// The server's log.
    #[cfg(test)]
    pub(crate) fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// A program of the same installation (`psql`, `pgbench`), else by its name alone, found by `PATH`.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        let beside = self.binaries.join(name);
        if beside.is_file() {
            beside
        } else {
            PathBuf::from(name)
        }
    }

    /// Runs SQL by `psql` as [`SUPERUSER`], stopping at the first error; returns rows unaligned, tuples only.
    ///
    /// # Errors
    /// [`Error::Run`] where `psql` could not be run, [`Error::Failed`] with its words where the SQL failed.
    pub(crate) fn execute(&self, database: &str, sql: &str) -> Result<String, Error> {
        let mut child = Command::new(self.program("psql"))
            .args([
                "--no-psqlrc",
                "--quiet",
                "--tuples-only",
                "--no-align",
                "--set=ON_ERROR_STOP=1",
            ])
            .arg("--host")
            .arg(self.socket_folder())
            .args([
                "--port",
                &self.port.to_string(),
                "--username",
                SUPERUSER,
                "--dbname",
                database,
                "--file=-",
            ])
            .env("PGPASSWORD", &self.password)
            .env("PGCLIENTENCODING", "UTF8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(run_error("psql"))?;
        // psql reads a statement before it answers, so writing all of it first can only block on an answer of more
        // than a pipe's buffer: a thread writes while we read.
        let stdin = child.stdin.take();
        let output = thread::scope(|scope| {
            scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(sql.as_bytes())));
            child.wait_with_output()
        });
        checked("psql", output.map_err(run_error("psql"))?)
    }

    /// Stops the server (fast shutdown) and removes its folder.
    ///
    /// # Errors
    /// [`Error::Run`] when it could not be waited for, [`Error::File`] when the folder could not be removed.
    pub(crate) fn stop(mut self) -> Result<(), Error> {
        self.clear_away()
    }

    /// Stops the server, as its operator does: fast. Its folder stays.
    ///
    /// # Errors
    /// [`Error::Run`] when it could not be waited for.
    #[cfg(test)]
    pub(crate) fn stop_server(&mut self) -> Result<(), Error> {
        self.end_server()
    }

    /// Starts a server that was stopped again, on its port.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    #[cfg(test)]
    pub(crate) fn start_again(&mut self, options: &Options<'_>) -> Result<(), Error> {
        // The server's own folder is not ours any more: it can't tell who we are.
        let probe =
            tempfile::tempdir().map_err(file_error("make a folder in", Path::new("/tmp")))?;
        let owner = Owner::of_server(probe.path())?;
        let folder = self.folder.path();
        self.server = try_start_server(&self.binaries, folder, owner, options, self.port)?;
        let watchdog = start_watchdog(self.server.id(), folder)?;
        let mut old = std::mem::replace(&mut self.watchdog, watchdog);
        dismiss(&mut old)
    }

    /// Stops the server and removes its folder. Idempotent. The watchdog is dismissed last: what kills this process on the
    /// way leaves the rest to it.
    fn clear_away(&mut self) -> Result<(), Error> {
        self.end_server()?;
        let path = self.folder.path();
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(file_error("remove", path)(error));
            }
            Ok(()) | Err(_) => {}
        }
        dismiss(&mut self.watchdog)
    }

    /// Ends the server and waits for it. Idempotent.
    fn end_server(&mut self) -> Result<(), Error> {
        if self
            .server
            .try_wait()
            .map_err(run_error("postgres"))?
            .is_none()
        {
            // The child is ours and not yet waited for, so its id can't have been given to another process.
            let id = self.server.id().to_string();
            let _ = Command::new("sh")
                .args(["-c", r#"kill -INT "$1""#, "sh", &id])
                .status();
            let deadline = Instant::now() + STOP_DEADLINE;
            while self
                .server
                .try_wait()
                .map_err(run_error("postgres"))?
                .is_none()
            {
                if Instant::now() > deadline {
                    self.server.kill().map_err(run_error("postgres"))?;
                }
                thread::sleep(POLL_INTERVAL);
            }
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Best effort: a drop has nobody to tell.
        let _ = self.clear_away();
    }
}

/// Starts the server and waits until it takes connections.
fn start_server(
    binaries: &Path,
    folder: &Path,
    owner: &Owner,
    options: &Options<'_>,
) -> Result<(Child, u16), Error> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let port = free_port()?;
        match try_start_server(binaries, folder, *owner, options, port) {
            Err(Error::Failed { output, .. })
                if output.contains("could not bind") && attempt < START_ATTEMPTS => {}
            other => return other.map(|server| (server, port)),
        }
    }
}

fn try_start_server(
    binaries: &Path,
    folder: &Path,
    owner: Owner,
    options: &Options<'_>,
    port: u16,
) -> Result<Child, Error> {
    let log_path = folder.join("log");
    let log = File::create(&log_path).map_err(file_error("create", &log_path))?;
    let log_too = log.try_clone().map_err(file_error("open", &log_path))?;
    let mut command = Command::new(binaries.join("postgres"));
    command
        .arg("-D")
        .arg(folder.join("data"))
        .arg("-k")
        .arg(folder)
        .arg("-p")
        .arg(port.to_string());
    let listen_addresses = match options.listen {
        Listen::SocketOnly => "",
        #[cfg(test)]
        Listen::Loopback => "127.0.0.1",
    };
    // The cluster lives no longer than this process: durability would only cost time. Dynamic shared memory in the
    // data folder leaves nothing in /dev/shm.
    let own = [
        ("listen_addresses", listen_addresses),
        ("fsync", "off"),
        ("full_page_writes", "off"),
        ("dynamic_shared_memory_type", "mmap"),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
    ];
    for (name, value) in own.iter().chain(options.settings) {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    command
        .current_dir(folder)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(log_too)
        .stderr(log);
    // A group of its own: Ctrl-C on our terminal must not stop the server before we are done with it.
    command.process_group(0);
    owner.drop_to(&mut command);
    let mut server = command.spawn().map_err(run_error("postgres"))?;

    let deadline = Instant::now() + START_DEADLINE;
    while !is_ready(folder) {
        if let Some(status) = server.try_wait().map_err(run_error("postgres"))? {
            return Err(Error::Failed {
                program: "postgres",
                status,
                output: log_tail(&log_path),
            });
        }
        if Instant::now() > deadline {
            kill(&mut Some(server));
            return Err(Error::NotReady {
                log: log_tail(&log_path),
            });
        }
        thread::sleep(POLL_INTERVAL);
    }
    Ok(server)
}

/// Whether the server says that it takes connections.
///
/// # Source
/// PostgreSQL's `pidfile.h`: line 8 of `postmaster.pid` is the status; `pg_ctl --wait` reads the same.
fn is_ready(folder: &Path) -> bool {
    fs::read_to_string(folder.join("data/postmaster.pid")).is_ok_and(|text| {
        text.lines()
            .nth(7)
            .is_some_and(|status| status.trim_end() == "ready")
    })
}

fn start_watchdog(server: u32, folder: &Path) -> Result<Child, Error> {
    Command::new("sh")
        .args(["-c", WATCHDOG, "sh", &server.to_string()])
        .arg(folder)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(run_error("sh"))
}

/// Tells a watchdog that its server was stopped, and waits for it.
fn dismiss(watchdog: &mut Child) -> Result<(), Error> {
    if let Some(mut stdin) = watchdog.stdin.take() {
        // A watchdog that is gone already can't be told, which is as good.
        let _ = stdin.write_all(b"stopped\n");
    }
    watchdog.wait().map_err(run_error("sh"))?;
    Ok(())
}

/// Kills and reaps a child that has nothing to lose.
fn kill(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A port of 127.0.0.1 that was free a moment ago.
fn free_port() -> Result<u16, Error> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener
        .map(|address| address.port())
        .map_err(file_error("find a free port of", Path::new("127.0.0.1")))
}

/// 32 hex digits.
fn random_password() -> Result<String, Error> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|cause| Error::Randomness { cause })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Writes a file that only its owner may read.
fn write_private(path: &Path, content: &[u8]) -> Result<(), Error> {
    let mut file = File::create_new(path).map_err(file_error("create", path))?;
    file.set_permissions(fs::Permissions::from_mode(0o600))
        .map_err(file_error("close", path))?;
    file.write_all(content).map_err(file_error("write", path))
}

/// The end of the server's log, or nothing.
fn log_tail(path: &Path) -> String {
    let mut bytes = Vec::new();
    let _ = File::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
    tail(&bytes)
}

fn tail(bytes: &[u8]) -> String {
    let start = bytes.len().saturating_sub(LOG_TAIL_BYTES);
    String::from_utf8_lossy(bytes.get(start..).unwrap_or_default())
        .trim()
        .to_owned()
}

/// Standard output of a program that succeeded.
fn checked(program: &'static str, output: Output) -> Result<String, Error> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = if output.stderr.is_empty() {
        &output.stdout
    } else {
        &output.stderr
    };
    Err(Error::Failed {
        program,
        status: output.status,
        output: tail(words),
    })
}

#[cfg(test)]
mod tests {
    use super::{Cluster, Listen, Options};

    #[test]
    fn starts_runs_sql_and_leaves_nothing() {
        let options = Options {
            listen: Listen::Loopback,
            settings: &[("application_name", "own")],
        };
        let mut cluster = Cluster::start(&options).unwrap();
        let folder = cluster.socket_folder().to_owned();
        assert_eq!(
            cluster
                .execute("postgres", "SHOW application_name; SELECT 1 + 1")
                .unwrap(),
            "psql\n2\n"
        );
        assert!(cluster.log_path().is_file());
        let message = cluster
            .execute("postgres", "SELECT 1/0; SELECT 2")
            .unwrap_err()
            .to_string();
        assert!(message.contains("division by zero"), "{message}");
        let port = cluster.port();
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert_eq!(cluster.password().len(), 32);
        cluster.stop_server().unwrap();
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
        cluster.start_again(&options).unwrap();
        assert_eq!(cluster.execute("postgres", "SELECT 3").unwrap(), "3\n");
        cluster.stop().unwrap();
        assert!(!folder.exists());
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}

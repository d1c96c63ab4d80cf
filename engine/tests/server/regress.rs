//! PostgreSQL's regression files, run by a real psql as `pg_regress` runs them. They are got by `tests/regress/fetch.sh`.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    database::DATABASE,
    postgres::{Cluster, Listen, Options},
    tap::Tap,
};

/// Where reports go.
pub(crate) fn reports() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(
        || {
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .parent()
                .unwrap()
                .join("target")
        },
        PathBuf::from,
    );
    let folder = target.join("server-reports");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The folder that `tests/regress/fetch.sh` filled.
pub(crate) fn folder() -> PathBuf {
    let folder = reports().parent().unwrap().join("regress");
    assert!(
        folder.join("parallel_schedule").is_file(),
        "PostgreSQL's regression files are not in `{}`: run `sh tests/regress/fetch.sh`",
        folder.display()
    );
    folder
}

/// A server for the files: whoever reaches its private socket may be anyone, as in `pg_regress`.
pub(crate) fn cluster() -> Cluster {
    let options = Options {
        listen: Listen::SocketOnly,
        settings: &[
            ("max_prepared_transactions", "2"),
            ("log_min_messages", "fatal"),
            ("autovacuum", "off"),
        ],
    };
    let cluster = Cluster::start(&options).unwrap_or_else(|error| panic!("{error}"));
    let rules = cluster.socket_folder().join("data/pg_hba.conf");
    fs::write(rules, "local all all trust\n").unwrap();
    // The reload is a signal; one more connection by password is as good as any.
    cluster
        .execute("postgres", "SELECT pg_reload_conf()")
        .unwrap();
    cluster
}

/// The server's major version.
pub(crate) fn major(cluster: &Cluster) -> u32 {
    let version = cluster
        .execute("postgres", "SHOW server_version_num")
        .unwrap();
    version.trim().parse::<u32>().unwrap() / 10_000
}

/// Keeps the catalog's own tables fit: it is read thousands of times while it grows, and nothing else looks after it.
pub(crate) fn refresh_statistics(cluster: &Cluster) {
    let names = "pg_class, pg_attribute, pg_attrdef, pg_constraint, pg_depend, pg_index, pg_inherits, pg_namespace, pg_proc, \
        pg_rewrite, pg_trigger, pg_type";
    cluster
        .execute(DATABASE, &format!("VACUUM (ANALYZE) {names}"))
        .unwrap();
}

/// The names of the files, in the schedule's order.
pub(crate) fn schedule(folder: &Path) -> Vec<String> {
    let schedule = fs::read_to_string(folder.join("parallel_schedule")).unwrap();
    let tests = schedule
        .lines()
        .filter_map(|line| line.strip_prefix("test:"));
    tests
        .flat_map(str::split_whitespace)
        .map(str::to_owned)
        .collect()
}

/// Where the files lie that the server itself reads and writes.
pub(crate) struct House {
    folder: tempfile::TempDir,
}

impl House {
    /// A copy that another user, the server, may read.
    pub(crate) fn new(source: &Path) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("provost-regress-")
            .tempdir()
            .unwrap();
        for (name, mode) in [("", 0o755), ("data", 0o755), ("results", 0o777)] {
            let path = folder.path().join(name);
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        for entry in fs::read_dir(source.join("data")).unwrap() {
            let entry = entry.unwrap();
            let copy = folder.path().join("data").join(entry.file_name());
            fs::copy(entry.path(), &copy).unwrap();
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).unwrap();
        }
        Self { folder }
    }

    /// Runs one file through the tap. What it prints is not looked at: only what the server got.
    pub(crate) fn run(&self, cluster: &Cluster, tap: &Tap, file: &Path) {
        let psql = cluster.program("psql");
        let libraries = fs::canonicalize(&psql)
            .ok()
            .and_then(|path| Some(path.parent()?.parent()?.join("lib")))
            .unwrap_or_default();
        let status = Command::new(psql)
            .args(["-X", "-a", "-q", "-d", DATABASE])
            .args(["-v", "HIDE_TABLEAM=on", "-v", "HIDE_TOAST_COMPRESSION=on"])
            .args([
                "-U",
                crate::postgres::SUPERUSER,
                "-p",
                &cluster.port().to_string(),
            ])
            .arg("-h")
            .arg(tap.host())
            .env("PGTZ", "PST8PDT")
            .env("PGDATESTYLE", "Postgres, MDY")
            .env("PGOPTIONS", "-c intervalstyle=postgres_verbose")
            .env("PGCLIENTENCODING", "UTF8")
            .env("PG_ABS_SRCDIR", self.folder.path())
            .env("PG_ABS_BUILDDIR", self.folder.path())
            .env("PG_LIBDIR", libraries)
            .env("PG_DLSUFFIX", ".so")
            .current_dir(self.folder.path())
            .stdin(fs::File::open(file).unwrap())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        // 3 would be an error that stops it, 2 a connection that the server cut: both happen in some files.
        assert!(
            status.code().is_some_and(|code| code <= 3),
            "{file:?}: {status}"
        );
    }
}

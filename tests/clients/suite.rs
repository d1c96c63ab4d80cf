//! PostgreSQL's own regression suite: its files, run by `pg_regress` itself. They are got by `tests/regress/fetch.sh`.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    database::DATABASE,
    house::{House, Way},
    postgres::{Cluster, SUPERUSER},
    reports,
};

/// How long the whole suite may take one way. What hangs must not hang the tests: it counts as not run.
const SUITE_DEADLINE: Duration = Duration::from_secs(90 * 60);

/// As `pg_regress` starts a server of its own.
pub(crate) const SERVER_SETTINGS: &[(&str, &str)] = &[("max_prepared_transactions", "2")];

/// Which files of the schedule run.
#[derive(Debug, Clone)]
pub(crate) enum Files {
    All,
    /// These, in the schedule's order, one by one.
    Some(Vec<String>),
}

/// The files in a folder of their own, where the server may read and write.
pub(crate) struct Suite {
    folder: tempfile::TempDir,
}

/// What `pg_regress` said of each file.
pub(crate) type Verdicts = BTreeMap<String, Verdict>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed,
}

impl Suite {
    /// A copy of the files; `cluster` tells where the server's own libraries are.
    pub(crate) fn new(cluster: &Cluster) -> Self {
        let source = target().join("regress");
        assert!(
            source.join("regress.so").is_file(),
            "PostgreSQL's regression files are not in `{}`: run `sh tests/regress/fetch.sh`",
            source.display()
        );
        let folder = tempfile::Builder::new()
            .prefix("provost-regress-")
            .tempdir()
            .unwrap();
        let suite = Self { folder };
        open(suite.folder.path(), 0o755);
        for part in ["sql", "expected", "data"] {
            copy_folder(&source.join(part), &suite.path(part));
        }
        fs::copy(source.join("resultmap"), suite.path("resultmap")).unwrap();
        fs::copy(source.join("parallel_schedule"), suite.path("schedule")).unwrap();
        let libraries = suite.path("lib");
        make_folder(&libraries, 0o755);
        fs::copy(source.join("regress.so"), libraries.join("regress.so")).unwrap();
        // Of the contributed modules: the files on triggers load them.
        for module in ["autoinc.so", "refint.so"] {
            let installed = package_libraries(cluster).join(module);
            fs::copy(&installed, libraries.join(module))
                .unwrap_or_else(|error| panic!("{}: {error}", installed.display()));
        }
        suite
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the files; what they printed and how it differs from what is expected goes to `target/clients-reports`.
    pub(crate) fn run(&self, house: &House, way: Way, files: &Files) -> Verdicts {
        let schedule = self.schedule(files);
        let out = self.path(way.name());
        make_folder(&out, 0o777);
        make_folder(&out.join("results"), 0o777);
        let binaries = binaries(&house.cluster);
        let mut command = Command::new(pg_regress(&house.cluster));
        house.client_environment(&mut command, way);
        command
            .arg(format!("--inputdir={}", self.folder.path().display()))
            .arg(format!("--outputdir={}", out.display()))
            .arg(format!("--bindir={}", binaries.display()))
            .arg(format!("--dlpath={}", self.path("lib").display()))
            .arg(format!("--schedule={}", schedule.display()))
            .arg(format!("--dbname={DATABASE}"))
            .arg("--host=127.0.0.1")
            .arg(format!("--port={}", house.port(way)))
            .arg(format!("--user={SUPERUSER}"))
            .args(["--use-existing", "--max-concurrent-tests=20"])
            .env_remove("LC_ALL")
            .current_dir(&out);
        let (said, end) = run_until(&mut command, &out.join("pg_regress.out"), SUITE_DEADLINE);
        keep(&out, way, &said);
        let verdicts = verdicts(&said);
        assert!(!verdicts.is_empty(), "pg_regress: {end}\n{said}");
        if !end.starts_with("exit status") {
            eprintln!("pg_regress {}: {end}", way.name());
        }
        verdicts
    }

    fn schedule(&self, files: &Files) -> PathBuf {
        let all = self.path("schedule");
        let Files::Some(wanted) = files else {
            return all;
        };
        let text = fs::read_to_string(&all).unwrap();
        let known: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("test:"))
            .flat_map(str::split_whitespace)
            .collect();
        for file in wanted {
            assert!(known.contains(&file.as_str()), "no file is called `{file}`");
        }
        let is_wanted = |name: &&str| wanted.iter().any(|file| file == name);
        let some: String = known
            .into_iter()
            .filter(is_wanted)
            .map(|name| format!("test: {name}\n"))
            .collect();
        let path = self.path("schedule-of-some");
        fs::write(&path, some).unwrap();
        path
    }
}

/// Runs it and says what it printed and how it ended; one that takes too long is ended. What it had not told by then was not run.
pub(crate) fn run_until(
    command: &mut Command,
    printed: &Path,
    deadline: Duration,
) -> (String, String) {
    let out = fs::File::create(printed).unwrap();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(out)
        .spawn()
        .unwrap();
    let start = Instant::now();
    let end = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.to_string();
        }
        if start.elapsed() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            break format!("ended after {} min", deadline.as_secs() / 60);
        }
        thread::sleep(Duration::from_millis(100));
    };
    let said = fs::read(printed).unwrap();
    (String::from_utf8_lossy(&said).into_owned(), end)
}

/// Keeps what was printed.
fn keep(out: &Path, way: Way, said: &str) {
    let folder = reports().join(way.name());
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    copy_folder(&out.join("results"), &folder.join("results"));
    // There is none where nothing differs.
    let _ = fs::copy(
        out.join("regression.diffs"),
        folder.join("regression.diffs"),
    );
    fs::write(folder.join("pg_regress.out"), said).unwrap();
}

/// Reads what `pg_regress` printed: `test boolean ... ok 100 ms` up to PostgreSQL 15, `ok 3 + boolean 100 ms` since.
fn verdicts(said: &str) -> Verdicts {
    said.lines().filter_map(verdict).collect()
}

fn verdict(line: &str) -> Option<(String, Verdict)> {
    if let Some((name, outcome)) = line.split_once(" ... ") {
        let name = name.trim().trim_start_matches("test ").trim();
        let verdict = match outcome.split_whitespace().next()? {
            "ok" => Verdict::Passed,
            "FAILED" | "failed" => Verdict::Failed,
            _ => return None,
        };
        return Some((name.to_owned(), verdict));
    }
    let (verdict, rest) = match (line.strip_prefix("ok "), line.strip_prefix("not ok ")) {
        (Some(rest), _) => (Verdict::Passed, rest),
        (None, Some(rest)) => (Verdict::Failed, rest),
        (None, None) => return None,
    };
    let name = rest.split_whitespace().nth(2)?;
    Some((name.to_owned(), verdict))
}

/// The build's folder.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target"),
        PathBuf::from,
    )
}

fn config(cluster: &Cluster, what: &str) -> PathBuf {
    let output = Command::new(binaries(cluster).join("pg_config"))
        .arg(what)
        .output()
        .unwrap();
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

/// Where the server's own programs lie.
fn binaries(cluster: &Cluster) -> PathBuf {
    let server = fs::canonicalize(cluster.program("postgres")).unwrap();
    server.parent().unwrap().to_owned()
}

fn package_libraries(cluster: &Cluster) -> PathBuf {
    config(cluster, "--pkglibdir")
}

/// Debian's client package has it; elsewhere it comes with the headers.
fn pg_regress(cluster: &Cluster) -> PathBuf {
    let path = package_libraries(cluster).join("pgxs/src/test/regress/pg_regress");
    assert!(path.is_file(), "{} is missing", path.display());
    path
}

fn make_folder(path: &Path, mode: u32) {
    fs::create_dir_all(path).unwrap();
    open(path, mode);
}

fn open(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Copies a folder of files so that another user, the server, may read them.
fn copy_folder(from: &Path, to: &Path) {
    make_folder(to, 0o755);
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let copy = to.join(entry.file_name());
        fs::copy(entry.path(), &copy).unwrap();
        open(&copy, 0o644);
    }
}

#[cfg(test)]
mod tests {
    use super::{Verdict, verdict};

    fn check(line: &str, expected: Option<(&str, Verdict)>) {
        let found = verdict(line);
        let found = found
            .as_ref()
            .map(|(name, verdict)| (name.as_str(), *verdict));
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn both_ways_of_telling_are_read() {
        check(
            "test test_setup                   ... ok          306 ms",
            Some(("test_setup", Verdict::Passed)),
        );
        check(
            "     boolean                      ... FAILED      100 ms",
            Some(("boolean", Verdict::Failed)),
        );
        check(
            "     random                       ... failed (ignored)      100 ms",
            Some(("random", Verdict::Failed)),
        );
        check("parallel group (20 tests):  varchar char name", None);
        check(
            "ok 1         - test_setup                                306 ms",
            Some(("test_setup", Verdict::Passed)),
        );
        check(
            "not ok 12    + boolean                                   306 ms",
            Some(("boolean", Verdict::Failed)),
        );
        check("# 1 of 217 tests failed.", None);
        check("1..217", None);
    }
}

//! Client libraries' own test suites, each test directly and through the gateway. `sh tests/clients/suites.sh` gets them, and runs this.

use std::{
    collections::BTreeMap, env, fs, io::Write as _, path::PathBuf, process::Command, time::Duration,
};

use crate::{
    differences::Differences,
    house::{House, Way},
    reports,
    suite::{Verdict, Verdicts, run_until, target},
};

/// How long one run of a suite may take. What had not been told by then was not run.
const SUITE_DEADLINE: Duration = Duration::from_secs(30 * 60);
/// How long one file of node-postgres may take.
const FILE_DEADLINE: Duration = Duration::from_secs(60);
/// How often what failed through the gateway, and is on no list, is run again: suites have tests that hang on the moment.
const RERUNS: usize = 2;
/// Servers are as the suites' authors run them: some tests are of two-phase commit, some of replication.
const SERVER_SETTINGS: &[(&str, &str)] = &[
    ("max_prepared_transactions", "10"),
    ("wal_level", "logical"),
];

/// A library whose tests are in a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Library {
    Psycopg2,
    Asyncpg,
    /// With the PostgreSQL dialect on psycopg 3, whose own suite is in no package that is to be had.
    SqlAlchemy,
    LibPq,
    NodePg,
}

impl Library {
    const ALL: [Self; 5] = [
        Self::Psycopg2,
        Self::Asyncpg,
        Self::SqlAlchemy,
        Self::LibPq,
        Self::NodePg,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Psycopg2 => "psycopg2",
            Self::Asyncpg => "asyncpg",
            Self::SqlAlchemy => "sqlalchemy",
            Self::LibPq => "lib-pq",
            Self::NodePg => "node-pg",
        }
    }

    /// The databases that its tests name, that of the environment first.
    const fn databases(self) -> &'static [&'static str] {
        match self {
            Self::Psycopg2 => &["psycopg2_test"],
            Self::Asyncpg => &["postgres"],
            Self::SqlAlchemy => &["sqlalchemy"],
            Self::LibPq => &["pqgotest"],
            Self::NodePg => &["node", "template1"],
        }
    }

    /// How many tests pass directly at least: of a suite that fails for want of something, the rest says nothing.
    const fn passed_min(self) -> usize {
        match self {
            Self::Psycopg2 => 700,
            Self::Asyncpg => 250,
            Self::SqlAlchemy => 10_000,
            Self::LibPq => 220,
            Self::NodePg => 70,
        }
    }

    /// Those that are asked for, by the environment (tests/clients/suites.sh writes it).
    pub(crate) fn chosen() -> Vec<Self> {
        let Ok(names) = env::var("PROVOST_SUITES") else {
            return Self::ALL.to_vec();
        };
        let named = |name: &str| {
            let found = Self::ALL.into_iter().find(|one| one.name() == name);
            found.unwrap_or_else(|| panic!("no suite is called `{name}`"))
        };
        names.split(',').map(named).collect()
    }

    /// Runs it both ways; what differs, and is not on the list.
    pub(crate) fn faults(self, list: &Differences) -> Vec<String> {
        let direct = {
            let house = self.house();
            self.prepare(&house, Way::Direct);
            self.run(&house, Way::Direct, &[])
        };
        let (failing, direct): (Verdicts, Verdicts) = direct
            .into_iter()
            .partition(|(_, verdict)| *verdict == Verdict::Failed);
        for test in failing.keys() {
            eprintln!("  {test}: fails directly, so it says nothing");
        }
        let mut house = self.house();
        self.prepare(&house, Way::Gateway);
        let gateway = self.through(&house, &direct, list);
        assert!(
            house.gateway_lives(),
            "the gateway is gone:\n{}",
            house.log()
        );
        fs::write(self.report("gateway.log"), house.log()).unwrap();
        let passed = gateway.values().filter(|it| **it == Verdict::Passed);
        eprintln!(
            "{}: {} passed directly, {} of them through the gateway",
            self.name(),
            direct.len(),
            passed.count()
        );
        let mut faults = list.faults(&direct, &gateway);
        if direct.len() < self.passed_min() {
            faults.push(format!(
                "{}: {} passed directly, and {} are expected to",
                self.name(),
                direct.len(),
                self.passed_min()
            ));
        }
        faults
    }

    /// What became, through the gateway, of what passes directly; what was skipped there counts as failed.
    fn through(self, house: &House, direct: &Verdicts, list: &Differences) -> Verdicts {
        let mut said = self.run(house, Way::Gateway, &[]);
        let mut gateway: Verdicts = direct
            .keys()
            .map(|test| (test.clone(), said.remove(test).unwrap_or(Verdict::Failed)))
            .collect();
        for _ in 0..RERUNS {
            let unlisted: Vec<String> = gateway
                .iter()
                .filter(|(test, verdict)| **verdict == Verdict::Failed && !list.has(test))
                .map(|(test, _)| test.clone())
                .collect();
            if unlisted.is_empty() {
                break;
            }
            let again = self.run(house, Way::Gateway, &unlisted);
            for (test, _) in again
                .into_iter()
                .filter(|(test, verdict)| *verdict == Verdict::Passed && unlisted.contains(test))
            {
                eprintln!("  {test}: failed, and passed when it was run again");
                gateway.insert(test, Verdict::Passed);
            }
        }
        gateway
    }

    fn house(self) -> House {
        House::with_targets(SERVER_SETTINGS, self.databases(), |cluster| {
            for database in self.databases() {
                if !matches!(*database, "postgres" | "template1") {
                    let sql = format!("CREATE DATABASE {database}");
                    cluster.execute("postgres", &sql).unwrap();
                }
            }
        })
    }

    /// Where suites.sh put the library and its tests.
    fn folder(self) -> PathBuf {
        let folder = target().join("clients/suites").join(self.name());
        assert!(
            folder.exists(),
            "{} is missing: run `sh tests/clients/suites.sh`, which makes it",
            folder.display()
        );
        folder
    }

    fn report(self, what: &str) -> PathBuf {
        let folder = reports().join("suites");
        fs::create_dir_all(&folder).unwrap();
        folder.join(format!("{}-{what}", self.name()))
    }

    /// Makes what the suite does not make itself.
    fn prepare(self, house: &House, way: Way) {
        let _ = fs::remove_file(self.report(&format!("{}.txt", way.name())));
        if self == Self::SqlAlchemy {
            let sql = "CREATE SCHEMA test_schema; CREATE SCHEMA test_schema_2; CREATE EXTENSION hstore; CREATE EXTENSION citext";
            house.cluster.execute(self.databases()[0], sql).unwrap();
        }
        if self == Self::NodePg {
            let mut command = Command::new("node");
            command.arg("script/create-test-tables.js");
            let end = self.say(command, house, way, FILE_DEADLINE).1;
            assert_eq!(end, "exit status: 0", "node-postgres has no tables");
        }
    }

    /// Runs it, or `only` some of its tests.
    fn run(self, house: &House, way: Way, only: &[String]) -> Verdicts {
        let bare = |test: &String| test.split_once(' ').unwrap().1.to_owned();
        let only: Vec<String> = only.iter().map(bare).collect();
        let verdicts: BTreeMap<String, Verdict> = match self {
            Self::Psycopg2 | Self::Asyncpg | Self::SqlAlchemy => {
                let said = self.say(self.pytest(&only), house, way, SUITE_DEADLINE).0;
                said.lines().filter_map(pytest_verdict).collect()
            }
            Self::LibPq => {
                let mut command = Command::new("go");
                command.args(["test", "-v", "-count=1", "-p=1"]);
                if !only.is_empty() {
                    let tests: Vec<&str> = only.iter().map(|test| outermost(test)).collect();
                    command.arg(format!("-run=^({})$", tests.join("|")));
                }
                command.arg("./...");
                let said = self.say(command, house, way, SUITE_DEADLINE).0;
                said.lines().filter_map(go_verdict).collect()
            }
            Self::NodePg => {
                let files = match only.is_empty() {
                    true => self.node_files(),
                    false => only,
                };
                let run = |file: String| {
                    let mut command = Command::new("node");
                    command.arg(&file);
                    let end = self.say(command, house, way, FILE_DEADLINE).1;
                    let verdict = match end.as_str() {
                        "exit status: 0" => Verdict::Passed,
                        _ => Verdict::Failed,
                    };
                    (file, verdict)
                };
                files.into_iter().map(run).collect()
            }
        };
        let named = |(test, verdict)| (format!("{} {test}", self.name()), verdict);
        verdicts.into_iter().map(named).collect()
    }

    fn pytest(self, only: &[String]) -> Command {
        let mut command = Command::new(target().join("clients/suites/python/bin/python"));
        command.args(["-m", "pytest", "-rA", "-q", "-p", "no:cacheprovider"]);
        match self {
            Self::SqlAlchemy => command
                .arg(format!(
                    "--dburi=postgresql+psycopg:///{}",
                    self.databases()[0]
                ))
                .args(
                    ["test_dialect", "test_query", "test_types"]
                        .map(|name| format!("test/dialect/postgresql/{name}.py")),
                )
                .arg("test/dialect/test_suite.py"),
            _ => command.arg("tests"),
        };
        if !only.is_empty() {
            let names: Vec<&str> = only.iter().map(|test| function(test)).collect();
            command.args(["-k", &names.join(" or ")]);
        }
        command
    }

    /// What a command of the suite printed, which is kept, and how it ended.
    fn say(
        self,
        mut command: Command,
        house: &House,
        way: Way,
        deadline: Duration,
    ) -> (String, String) {
        house.client_environment(&mut command, way);
        command
            .current_dir(self.working_folder())
            .env("PSYCOPG2_TESTDB", self.databases()[0])
            .env("PSYCOPG2_TEST_REPL_DSN", "")
            .env("PGTESTNOSSL", "1")
            .env("GOPROXY", "off")
            .env("GOFLAGS", "-mod=mod");
        let (said, end) = run_until(&mut command, &self.report("now.txt"), deadline);
        let kept = self.report(&format!("{}.txt", way.name()));
        let mut report = fs::File::options()
            .create(true)
            .append(true)
            .open(kept)
            .unwrap();
        let arguments: Vec<_> = command.get_args().collect();
        writeln!(report, "{arguments:?}\n{said}\n{end}").unwrap();
        (said, end)
    }

    fn working_folder(self) -> PathBuf {
        match self {
            Self::NodePg => self.folder().join("node_modules/pg"),
            _ => self.folder(),
        }
    }

    /// The files of node-postgres that speak with a server.
    fn node_files(self) -> Vec<String> {
        let root = self.working_folder();
        let mut folders = vec![root.join("test/integration")];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
                if path.is_dir() {
                    folders.push(path);
                } else if name.ends_with("-tests.js") {
                    files.push(name.to_owned());
                }
            }
        }
        files.sort_unstable();
        files
    }
}

/// A line of pytest's summary: `PASSED tests/test_a.py::A::test_b`, `FAILED tests/test_a.py::test_c - AssertionError`.
fn pytest_verdict(line: &str) -> Option<(String, Verdict)> {
    let (word, rest) = line.split_once(' ')?;
    let verdict = match word {
        "PASSED" => Verdict::Passed,
        "FAILED" | "ERROR" => Verdict::Failed,
        _ => return None,
    };
    let (test, _) = rest.split_once(" - ").unwrap_or((rest, ""));
    // SQLAlchemy names the server's version with each test.
    let test = match test.split_once("+psycopg_") {
        Some((before, rest)) => {
            let rest = rest.trim_start_matches(|it: char| it.is_ascii_digit() || it == '_');
            format!("{before}{rest}")
        }
        None => test.to_owned(),
    };
    // What psycopg 2 calls `test_suite` is no test.
    (test.contains("::") && !test.ends_with("::test_suite")).then_some((test, verdict))
}

/// The function of a test of pytest's.
fn function(test: &str) -> &str {
    let name = test.rsplit("::").next().unwrap_or(test);
    name.split('[').next().unwrap_or(name)
}

/// A line of `go test -v`: `--- PASS: TestA (0.01s)`; a part of a test is indented, and called `TestA/part`.
fn go_verdict(line: &str) -> Option<(String, Verdict)> {
    let (word, rest) = line.trim_start().strip_prefix("--- ")?.split_once(": ")?;
    let verdict = match word {
        "PASS" => Verdict::Passed,
        "FAIL" => Verdict::Failed,
        _ => return None,
    };
    Some((rest.rsplit_once(" (")?.0.to_owned(), verdict))
}

/// The test that a part belongs to.
fn outermost(test: &str) -> &str {
    test.split('/').next().unwrap_or(test)
}

#[cfg(test)]
mod tests {
    use super::{Verdict, function, go_verdict, outermost, pytest_verdict};

    fn check(
        read: fn(&str) -> Option<(String, Verdict)>,
        line: &str,
        expected: Option<(&str, Verdict)>,
    ) {
        let expected = expected.map(|(name, verdict)| (name.to_owned(), verdict));
        assert_eq!(read(line), expected, "{line}");
    }

    #[test]
    fn lines_of_the_runners_are_read() {
        let (passed, failed) = (Verdict::Passed, Verdict::Failed);
        check(
            pytest_verdict,
            "PASSED tests/test_a.py::A::test_b",
            Some(("tests/test_a.py::A::test_b", passed)),
        );
        check(
            pytest_verdict,
            "FAILED tests/test_a.py::test_c - AssertionError: 1 - 2",
            Some(("tests/test_a.py::test_c", failed)),
        );
        check(
            pytest_verdict,
            "ERROR tests/test_a.py::test_d",
            Some(("tests/test_a.py::test_d", failed)),
        );
        check(
            pytest_verdict,
            "PASSED test/test_e.py::E_postgresql+psycopg_15_18::test_f[x-y]",
            Some(("test/test_e.py::E_postgresql::test_f[x-y]", passed)),
        );
        check(pytest_verdict, "PASSED tests/test_a.py::test_suite", None);
        check(pytest_verdict, "SKIPPED [1] tests/test_a.py:7: why", None);
        check(pytest_verdict, "ERROR: not found", None);
        check(
            go_verdict,
            "--- PASS: TestA (0.01s)",
            Some(("TestA", passed)),
        );
        check(
            go_verdict,
            "    --- FAIL: TestA/a_part (1.00s)",
            Some(("TestA/a_part", failed)),
        );
        check(go_verdict, "--- SKIP: TestB (0.00s)", None);
        check(go_verdict, "ok  \tgithub.com/lib/pq\t6.765s", None);
        assert_eq!(outermost("TestA/a_part"), "TestA");
        assert_eq!(outermost("TestA"), "TestA");
        assert_eq!(function("tests/test_a.py::A::test_b[1-2]"), "test_b");
    }
}

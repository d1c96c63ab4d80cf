//! Programs of stock client libraries: each prints what it was told, directly and through the gateway, and both must be the same.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    house::{House, Way},
    reports, suite,
    support::{python, text},
};

/// The database that the programs work in.
pub(crate) const DATABASE: &str = "clients";
/// Lines of a difference that are told; the rest is in the report.
const TOLD_MAX: usize = 10;

/// A client library with a program of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Psycopg,
    Asyncpg,
    NodePg,
    Jdbc,
    TokioPostgres,
    Sqlx,
}

impl Program {
    /// Those whose libraries every run of the tests has.
    pub(crate) const SLICE: [Self; 2] = [Self::Psycopg, Self::TokioPostgres];
    /// All, for tests/clients/run.sh, which installs what they need.
    pub(crate) const ALL: [Self; 6] = [
        Self::Psycopg,
        Self::Asyncpg,
        Self::NodePg,
        Self::Jdbc,
        Self::TokioPostgres,
        Self::Sqlx,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Psycopg => "psycopg",
            Self::Asyncpg => "asyncpg",
            Self::NodePg => "node-pg",
            Self::Jdbc => "jdbc",
            Self::TokioPostgres => "tokio-postgres",
            Self::Sqlx => "sqlx",
        }
    }

    /// What it prints by one way; the harness compares two of them.
    fn run(self, house: &House, way: Way) -> String {
        let mut command = match self {
            Self::Psycopg => with(python(), &["psycopg_client.py"]),
            Self::Asyncpg => with(installed("python/bin/python"), &["asyncpg_client.py"]),
            Self::NodePg => with("node".into(), &["pg_client.mjs"]),
            Self::Jdbc => {
                let mut java = Command::new("java");
                java.arg("-cp").arg(driver()).arg(source("JdbcClient.java"));
                java
            }
            Self::TokioPostgres => return crate::tokio_client::run(house, way),
            Self::Sqlx => Command::new(installed("sqlx/debug/sqlx-client")),
        };
        if self == Self::NodePg {
            // Modules are looked for beside the program: it is copied to where they are.
            let copy = installed("node").join("pg_client.mjs");
            std::fs::copy(source("pg_client.mjs"), &copy).unwrap();
            command = with_path("node".into(), &copy);
        }
        house.client_environment(&mut command, way);
        let output = command
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", self.name()));
        let mut said = text(&output.stdout);
        said += &format!("{}\n{}", output.status, text(&output.stderr));
        said
    }

    /// Runs it both ways; what differs, or that it says nothing at all.
    pub(crate) fn fault(self, house: &House) -> Option<String> {
        let [direct, gateway] = Way::BOTH.map(|way| {
            let fresh = "DROP SCHEMA public CASCADE; CREATE SCHEMA public";
            house.cluster.execute(DATABASE, fresh).unwrap();
            let said = self.run(house, way);
            let path = reports().join(format!("{}-{}.txt", self.name(), way.name()));
            std::fs::write(path, &said).unwrap();
            said
        });
        let differing = differing(&direct, &gateway);
        let lines = direct.lines().count();
        eprintln!(
            "{}: {} of {lines} lines are the same through the gateway",
            self.name(),
            lines.saturating_sub(differing.len())
        );
        if !direct.lines().any(|line| line == "exit status: 0") {
            return Some(format!("{} fails directly:\n{direct}", self.name()));
        }
        (direct != gateway).then(|| {
            let told: Vec<String> = differing.into_iter().take(TOLD_MAX).collect();
            format!("{} differs:\n{}", self.name(), told.join("\n"))
        })
    }
}

/// The lines that differ, as `- direct` and `+ gateway`.
fn differing(direct: &str, gateway: &str) -> Vec<String> {
    let (mut left, mut right) = (direct.lines(), gateway.lines());
    let mut found = Vec::new();
    loop {
        match (left.next(), right.next()) {
            (None, None) => return found,
            (one, other) if one == other => {}
            (one, other) => found.push(format!(
                "  - {}\n  + {}",
                one.unwrap_or("(nothing)"),
                other.unwrap_or("(nothing)")
            )),
        }
    }
}

fn with(program: PathBuf, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments.iter().map(|name| source(name)));
    command
}

fn with_path(program: PathBuf, path: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg(path);
    command
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients/programs")
        .join(name)
}

/// What tests/clients/run.sh installed.
fn installed(name: &str) -> PathBuf {
    let path = suite::target().join("clients").join(name);
    assert!(
        path.exists(),
        "{} is missing: run `sh tests/clients/run.sh`, which makes it",
        path.display()
    );
    path
}

/// The driver as Debian installs it, or the one that the environment names.
fn driver() -> PathBuf {
    std::env::var_os("PROVOST_JDBC_DRIVER")
        .map_or_else(|| "/usr/share/java/postgresql.jar".into(), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::differing;

    #[test]
    fn a_difference_is_told_by_its_lines() {
        assert!(differing("a\nb", "a\nb").is_empty());
        assert_eq!(differing("a\nb", "a\nc"), ["  - b\n  + c"]);
        assert_eq!(differing("a", "a\nc"), ["  - (nothing)\n  + c"]);
    }
}

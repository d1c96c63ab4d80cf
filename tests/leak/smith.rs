//! Statements from `sqlsmith`, which makes them from the server's own catalog and knows nothing of this test.

use std::{
    io::{BufRead as _, BufReader, ErrorKind},
    process::{Child, ChildStdout, Command, Stdio},
};

use crate::{
    postgres::{Cluster, SUPERUSER},
    random::Random,
    script::{Script, Step},
};

/// A running sqlsmith that prints and does not execute.
pub(crate) struct Smith {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Smith {
    /// `None` where it is not installed: Debian has it, others don't.
    pub(crate) fn start(cluster: &Cluster, seed: u64) -> Option<Self> {
        let target = format!(
            "host={} port={} user={SUPERUSER} password={} dbname=leak",
            cluster.socket_folder().display(),
            cluster.port(),
            cluster.password(),
        );
        let child = Command::new("sqlsmith")
            .args(["--dry-run", "--exclude-catalog"])
            .arg(format!("--seed={}", seed % 2_147_483_647))
            .arg(format!("--target={target}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => panic!("sqlsmith: {error}"),
        };
        let lines = BufReader::new(child.stdout.take().unwrap());
        Some(Self { child, lines })
    }

    /// Its next statement, in a protocol of our choice.
    pub(crate) fn script(&mut self, random: &mut Random) -> Script {
        let mut sql = String::new();
        while !sql.trim_end().ends_with(';') {
            let mut line = Vec::new();
            let read = self.lines.read_until(b'\n', &mut line).unwrap();
            assert!(read > 0, "sqlsmith ended: {:?}", self.child.try_wait());
            sql.push_str(&String::from_utf8_lossy(&line));
        }
        let sql = sql.trim().trim_end_matches(';').to_owned();
        Script {
            name: "sqlsmith",
            steps: vec![Step {
                sql,
                parameters: Vec::new(),
                way: crate::generator::any_way(random),
            }],
            keeps: false,
            repeatable: false,
        }
    }
}

impl Drop for Smith {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

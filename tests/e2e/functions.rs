//! The list of functions that analysis judges by is the server's own: every function of pg_catalog, of information_schema
//! and of contrib is in it, with the same arguments, result, columns and promise.

use std::collections::BTreeSet;

use crate::postgres::{Cluster, Listen, Options};

const LIST: &str = include_str!("../../engine/src/sql/functions/list.txt");
const LIST_QUERY: &str = include_str!("../../engine/src/sql/functions/list.sql");

#[test]
fn every_function_of_the_server_is_in_the_list() {
    let options = Options {
        listen: Listen::SocketOnly,
        settings: &[],
    };
    let cluster = Cluster::start(&options).unwrap_or_else(|error| panic!("{error}"));
    let major: u32 = cluster
        .execute("postgres", "SHOW server_version_num")
        .unwrap()
        .trim()
        .parse::<u32>()
        .unwrap()
        / 10_000;
    // Extensions that need another language or library than the machine has are left out.
    cluster
        .execute(
            "postgres",
            "DO $$ DECLARE extension name; BEGIN
               FOR extension IN SELECT e.name FROM pg_available_extensions e WHERE installed_version IS NULL LOOP
                 BEGIN EXECUTE format('CREATE EXTENSION %I CASCADE', extension); EXCEPTION WHEN others THEN NULL; END;
               END LOOP; END $$",
        )
        .unwrap();
    let server = cluster.execute("postgres", LIST_QUERY).unwrap();
    let known: BTreeSet<&str> = LIST
        .lines()
        .filter_map(|line| line.rsplit_once("\t@"))
        .filter(|(_, majors)| majors.split(',').any(|known| known.parse() == Ok(major)))
        .map(|(line, _)| line)
        .collect();
    let of_extensions_known: BTreeSet<&str> =
        known.iter().filter_map(|line| extension(line)).collect();
    // Extensions from elsewhere are not ours to judge.
    let contrib =
        |line: &&str| extension(line).is_none_or(|name| of_extensions_known.contains(name));
    let missing: Vec<&str> = server
        .lines()
        .filter(|line| !line.is_empty())
        .filter(contrib)
        .filter(|line| !known.contains(line))
        .collect();
    assert_eq!(
        missing,
        Vec::<&str>::new(),
        "the server has more than the list"
    );
    let server: BTreeSet<&str> = server.lines().collect();
    let gone: Vec<&&str> = known
        .iter()
        .filter(|line| extension(line).is_none() && !server.contains(**line))
        .collect();
    assert_eq!(
        gone,
        Vec::<&&str>::new(),
        "the list has more than the server"
    );
    cluster.stop().unwrap();
}

/// The extension that a line is about.
fn extension(line: &str) -> Option<&str> {
    line.split('\t')
        .next()?
        .split_once(':')
        .map(|(name, _)| name)
}

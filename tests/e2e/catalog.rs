//! `provost catalog pull`: what it writes stands in for the server in every command that wants a schema.

use std::{fs, process::Command};

use crate::support::{House, succeeded, text};

/// What stands in rows and nowhere else.
const VALUES: [&str; 2] = ["a row's own value", "another one's"];

#[test]
fn a_pulled_catalog_stands_in_for_the_server() {
    let house = House::without_gateway();
    house
        .cluster
        .execute(
            "shop",
            "CREATE TABLE notes (id int PRIMARY KEY, note text DEFAULT 'a row''s own value'); \
             INSERT INTO notes VALUES (1, DEFAULT), (2, 'another one''s'); \
             ALTER TABLE notes ADD COLUMN late text DEFAULT 'another one''s'; ANALYZE notes; \
             CREATE FUNCTION twice(a int) RETURNS int LANGUAGE sql AS 'SELECT a * 2'",
        )
        .unwrap_or_else(|error| panic!("{error}"));
    let (config, file) = (house.config_path(), house.path("shop.json"));
    let (config, file) = (config.to_str().unwrap(), file.to_str().unwrap());
    let pull = ["catalog", "pull", "--config", config, "--out", file];
    let told = succeeded(house.provost(&pull));
    assert!(told.contains("database shop of PostgreSQL"), "{told}");
    assert!(told.contains("functions; version"), "{told}");
    let written = fs::read_to_string(file).unwrap();
    assert!(written.contains("\"provost_catalog\": 1"), "{written}");
    assert!(written.contains("SELECT a * 2"));
    for value in VALUES {
        assert!(!written.contains(value), "{value}");
    }

    // Nothing is replaced unasked.
    let again = house.provost(&pull);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        text(&again.stderr).contains("--force"),
        "{}",
        text(&again.stderr)
    );
    let forced = succeeded(house.provost(&[&pull[..], &["--force", "--json"]].concat()));
    let forced: serde_json::Value = serde_json::from_str(&forced).unwrap();
    assert_eq!(forced["database"], "shop");
    assert_eq!(fs::read_to_string(file).unwrap(), written);

    let policies = house.path("policies");
    let policies = policies.to_str().unwrap();
    succeeded(house.provost(&["policy", "check", policies, "--schema", file]));
    let who = [
        "explain",
        policies,
        "--schema",
        file,
        "--group",
        "db-admins",
    ];
    let explained = succeeded(house.provost(&[&who[..], &["SELECT note FROM notes"]].concat()));
    assert!(explained.contains("allow"), "{explained}");
    let unknown = house.provost(&[&who[..], &["SELECT gone FROM notes"]].concat());
    assert!(
        text(&unknown.stderr).contains("gone"),
        "{}",
        text(&unknown.stderr)
    );

    fs::write(
        house.path("policies/pulled.pol"),
        "test \"a pulled catalog is a schema\" {\n  schema \"../shop.json\"\n  as \"dora@corp\" in \"db-admins\"\n  \
         run \"SELECT note FROM notes\"\n  expect allow\n}\n",
    )
    .unwrap();
    let tested = house.provost(&["test", policies, "--filter", "pulled"]);
    assert_eq!(
        tested.status.code(),
        Some(0),
        "{}{}",
        text(&tested.stdout),
        text(&tested.stderr)
    );
    fs::write(house.path("shop.json"), written.replacen(": 1", ": 7", 1)).unwrap();
    let newer = house.provost(&["test", policies, "--filter", "pulled"]);
    assert!(
        text(&newer.stdout).contains("catalog format `7`"),
        "{}{}",
        text(&newer.stdout),
        text(&newer.stderr)
    );
}

#[test]
fn a_server_can_be_named_by_url() {
    let house = House::without_gateway();
    let socket = house
        .cluster
        .socket_folder()
        .to_str()
        .unwrap()
        .replace('/', "%2F");
    let url = format!(
        "postgresql://postgres@{socket}:{}/shop",
        house.cluster.port()
    );
    let file = house.path("by-url.json");
    let pull = |url: &str, password: &str| {
        Command::new(env!("CARGO_BIN_EXE_provost"))
            .args(["catalog", "pull", "--url", url, "--out"])
            .arg(&file)
            .env("NO_COLOR", "1")
            .env("PGPASSWORD", password)
            .output()
            .unwrap()
    };
    for (url, password, expected) in [
        (&*url, "wrong", "password authentication failed"),
        (
            "postgresql://postgres:secret@127.0.0.1/shop",
            "",
            "set PGPASSWORD",
        ),
        ("postgresql://postgres@db.corp/shop", "", "--tls-roots"),
        ("shop", "", "postgresql://USER@HOST"),
        ("postgresql://postgres@one,two/shop", "", "exactly one host"),
    ] {
        let refused = pull(url, password);
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{url}: {said}");
        assert!(
            said.contains(expected) && !said.contains("secret"),
            "{url}: {said}"
        );
        assert!(!file.exists());
    }
    succeeded(pull(&url, house.cluster.password()));
    assert!(file.exists());
    fs::remove_file(&file).unwrap();

    // Any role can read it, unless what every role may was taken away: then nothing is read, and it says what is missing.
    let reader = url.replacen("postgres@", "reader@", 1);
    let run = |sql: &str| {
        let answer = house.cluster.execute("shop", sql);
        answer.unwrap_or_else(|error| panic!("{sql}: {error}"))
    };
    run("CREATE ROLE reader LOGIN PASSWORD 'read'");
    run(
        "REVOKE EXECUTE ON FUNCTION pg_catalog.int8(integer) FROM PUBLIC; \
         REVOKE EXECUTE ON FUNCTION pg_catalog.pg_get_expr(pg_node_tree, oid) FROM PUBLIC",
    );
    let refused = pull(&reader, "read");
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    for expected in ["permission denied for function", "GRANT"] {
        assert!(said.contains(expected), "{said}");
    }
    assert!(!file.exists());
    run(
        "GRANT EXECUTE ON FUNCTION pg_catalog.int8(integer), pg_catalog.pg_get_expr(pg_node_tree, oid) TO PUBLIC",
    );
    succeeded(pull(&reader, "read"));
    assert!(file.exists());
}

//! Replay against a sandbox: a recorded session's statements run again in another database of the cluster, and what differs.

use std::{fs, process::Output};

use serde_json::Value;

use crate::support::{
    House, Person,
    raw::{Message, Raw, bind_texts, execute, message, parse, sync},
    s3::S3,
    text,
};

const KEY: &str = "0123456789abcdef0123456789abcdef";
/// A Bind of the unnamed statement: one integer in binary, every result in binary.
const BIND_BINARY: &[u8] = &[0, 0, 0, 1, 0, 1, 0, 1, 0, 0, 0, 4, 0, 0, 0, 2, 0, 1, 0, 1];

/// A house whose agent's session is recorded, and a sandbox that is the database as it was before.
fn house() -> House {
    house_with("", "agents", &[])
}

/// The same with more in both databases, for this group's sessions, over a PostgreSQL with these settings.
fn house_with(more: &str, group: &str, settings: &[(&str, &str)]) -> House {
    let mut house = unstarted(more, group, settings);
    start(&mut house);
    house
}

fn unstarted(more: &str, group: &str, settings: &[(&str, &str)]) -> House {
    let mut house = House::over(settings);
    house.cluster.execute("shop", more).unwrap();
    house
        .cluster
        .execute("postgres", "CREATE DATABASE sandbox TEMPLATE shop")
        .unwrap();
    let keep = format!(
        "rule keep-rows\n  record results for {group}\nrule dbas-are-trusted\n  allow any, opaque for dbas\n"
    );
    fs::write(house.path("policies/more.pol"), keep).unwrap();
    fs::write(house.path("replay-key"), KEY).unwrap();
    let password = house.cluster.password().to_owned();
    house.environment.push(("PGPASSWORD".to_owned(), password));
    house
}

fn start(house: &mut House) {
    house.write_config(|config| {
        format!(
            "{config}\n[replay]\nkey = \"file:{}\"\nkey_id = \"replay-1\"\n",
            house.path("replay-key").display()
        )
    });
    house.start_gateway();
}

/// What the session asks, by simple and extended protocol; gives the answers to all.
fn ask(house: &House) -> Vec<Message> {
    let (mut raw, _) = Raw::logged_in(house, Person::Agent);
    let mut seen = Vec::new();
    for sql in [
        "SELECT id, note FROM orders ORDER BY id",
        "SELECT id, ssn FROM customers ORDER BY id",
        "SELECT id / (id - 1) FROM orders",
        "COPY (SELECT id, note FROM orders ORDER BY id) TO STDOUT",
        "BEGIN",
        "INSERT INTO scratch VALUES (1, 'kept')",
        "COMMIT",
        "SELECT body FROM scratch",
        "DROP TABLE orders",
        // What is denied fails its transaction.
        "BEGIN",
        "DROP TABLE orders",
        "INSERT INTO scratch VALUES (2, 'undone')",
        "COMMIT",
    ] {
        seen.extend(raw.query(sql));
    }
    raw.write(
        &[
            parse("", "SELECT id, total FROM orders WHERE id = $1::integer"),
            message(b'B', BIND_BINARY),
            execute("", 0),
            parse("s", "SELECT note FROM orders WHERE note = $1"),
            bind_texts("p", "s", &["gift"]),
            execute("p", 0),
            sync(),
        ]
        .concat(),
    );
    seen.extend(raw.read_until_ready());
    seen
}

/// Runs the agent's session again: what is said of each statement, by its text.
fn again(house: &House, more: &[&str]) -> (Vec<Value>, Output) {
    let rows = house.query(
        "SELECT session_id FROM sessions WHERE event = 'opened' AND principal = 'devin@corp'",
    );
    again_of(house, rows[0]["session_id"].as_str().unwrap(), more)
}

/// The same of any session.
fn again_of(house: &House, session: &str, more: &[&str]) -> (Vec<Value>, Output) {
    let url = format!(
        "postgresql:///sandbox?host={}&port={}&user=postgres",
        house.cluster.socket_folder().display(),
        house.cluster.port()
    );
    let key = format!("replay-1=file:{}", house.path("replay-key").display());
    let mut arguments = vec![
        "replay",
        session,
        "--store",
        &house.store,
        "--against",
        &url,
        "--key",
        &key,
    ];
    arguments.extend(more);
    let output = house.provost(&arguments);
    let lines = text(&output.stdout);
    let told = lines
        .lines()
        .map_while(|line| serde_json::from_str(line).ok());
    (told.collect(), output)
}

/// What is said of statements that begin so.
fn of<'a>(told: &'a [Value], sql: &str) -> &'a Value {
    let starts = |one: &&Value| one["sql"].as_str().unwrap().starts_with(sql);
    told.iter()
        .find(starts)
        .unwrap_or_else(|| panic!("{sql}: {told:#?}"))
}

fn scratch(house: &House) -> String {
    let count = "SELECT count(*) FROM scratch";
    house
        .cluster
        .execute("sandbox", count)
        .unwrap()
        .trim()
        .to_owned()
}

#[test]
fn recorded_statements_run_again_in_a_sandbox_and_differences_are_told() {
    let mut house = house();
    let seen = ask(&house);
    assert!(seen.iter().any(|one| one.tag == b'd'), "COPY ran");
    house.stop_gateway();

    let (told, output) = again(&house, &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{told:#?} {output:?}");
    assert_eq!(told.len(), 15, "{told:#?}");
    for one in &told {
        let sql = one["sql"].as_str().unwrap();
        let did_not_run = sql.starts_with("DROP") || sql.contains("undone");
        let expected = if did_not_run { "skipped" } else { "same" };
        assert_eq!(one["result"], expected, "{one:#}");
    }
    assert_eq!(of(&told, "SELECT id /")["now"]["sqlstate"], "22012");
    assert_eq!(of(&told, "SELECT id, ssn")["masked_columns"], 1);
    assert_eq!(of(&told, "SELECT body")["now"]["rows"], 1);
    assert!(scratch(&house).ends_with('0'), "rolled back");

    house
        .cluster
        .execute(
            "sandbox",
            "UPDATE orders SET note = E'\\x1b[2J' WHERE id = 3; UPDATE orders SET total = 6 WHERE id = 2; \
             DELETE FROM orders WHERE id = 1; UPDATE customers SET ssn = 'changed'",
        )
        .unwrap();
    let (told, output) = again(&house, &["--json"]);
    assert_eq!(output.status.code(), Some(1), "{told:#?}");
    let differs = |sql: &str, why: &str| {
        let one = of(&told, sql);
        assert_eq!(one["result"], "differs", "{one:#}");
        assert!(one["why"].as_str().unwrap().contains(why), "{one:#}");
    };
    differs("SELECT id, note", "rows differ: 4 recorded, 3 now");
    differs("COPY", "rows differ: 4 recorded, 3 now");
    differs("SELECT id /", "22012 recorded, no error now");
    differs("SELECT id, total", "first in row 1: column total was \\x");
    differs("SELECT note", "rows differ: 1 recorded, 0 now");
    // The mask hid it then, and the comparison leaves it out.
    assert_eq!(of(&told, "SELECT id, ssn")["result"], "same");

    house
        .cluster
        .execute(
            "sandbox",
            "INSERT INTO orders VALUES (1, 1, 99.90, 'first')",
        )
        .unwrap();
    let (_, output) = again(&house, &[]);
    let said = text(&output.stdout);
    assert!(
        said.contains(r"column note was 'gift', is '\u{1b}[2J'"),
        "{said}"
    );
    assert!(!said.contains('\u{1b}'), "{said}");
    assert!(said.contains("all rolled back"), "{said}");

    // Whoever wants it committed says so.
    let (_, output) = again(&house, &["--sandbox"]);
    assert!(
        text(&output.stdout).contains("committed as recorded"),
        "{output:?}"
    );
    assert!(scratch(&house).ends_with('1'), "committed");
}

#[test]
fn results_in_a_bucket_are_compared_with() {
    let mut house = unstarted("", "agents", &[]);
    let s3 = S3::start(&house);
    house.environment.extend(s3.environment());
    house.store = S3::location("evidence");
    start(&mut house);
    ask(&house);
    house.stop_gateway();
    assert!(!house.evidence_path().exists());
    let (told, output) = again(&house, &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{told:#?} {output:?}");
    assert_eq!(told.len(), 15, "{told:#?}");

    // One that somebody changed is compared with nothing.
    let results = house.query(
        "SELECT r.result FROM recordings r JOIN statements s USING (statement_id) WHERE r.event = 'answered' AND s.sql LIKE 'SELECT id, note%'",
    );
    let object = format!("evidence/{}", results[0]["result"].as_str().unwrap());
    s3.put(&object, b"another");
    let (told, output) = again(&house, &["--json"]);
    assert_eq!(output.status.code(), Some(1), "{told:#?}");
    let changed = of(&told, "SELECT id, note");
    assert_eq!(changed["result"], "not-replayable", "{changed:#}");
    assert!(
        changed["why"]
            .as_str()
            .unwrap()
            .contains("missing or changed"),
        "{changed:#}"
    );
    assert_eq!(of(&told, "SELECT id, ssn")["result"], "same");
}

#[test]
fn without_a_key_nothing_is_run() {
    let mut house = house();
    ask(&house);
    house.stop_gateway();
    fs::write(house.path("replay-key"), KEY.to_uppercase()).unwrap();
    let (told, output) = again(&house, &["--json", "--sandbox"]);
    assert_eq!(output.status.code(), Some(1), "{told:#?}");
    let results: Vec<_> = told
        .iter()
        .filter(|one| one["sql"] != "COMMIT")
        .map(|one| one["result"].as_str().unwrap())
        .collect();
    assert!(
        !results.contains(&"same") && !results.contains(&"differs"),
        "{told:#?}"
    );
    assert!(scratch(&house).ends_with('0'), "nothing ran");
}

/// Procedures that end transactions, and something to count.
const ENDS: &str = "
CREATE TABLE marks (n integer);
CREATE PROCEDURE commits(integer) LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.marks VALUES ($1); COMMIT; INSERT INTO public.marks VALUES ($1); COMMIT; END $$;
CREATE PROCEDURE gives_up(integer) LANGUAGE plpgsql AS $$ BEGIN ROLLBACK; INSERT INTO public.marks VALUES ($1); END $$;
";
/// Sessions that end transactions in every way there is, each of which leaves a row in `marks`. `@` is the session's number.
const ESCAPES: [&[&str]; 13] = [
    &["BEGIN", "INSERT INTO marks VALUES (@)", "COMMIT"],
    &[
        "INSERT INTO marks VALUES (@)",
        "COMMIT",
        "ROLLBACK",
        "INSERT INTO marks VALUES (@)",
    ],
    &["ROLLBACK; INSERT INTO marks VALUES (@)"],
    &["BEGIN; INSERT INTO marks VALUES (@); COMMIT; BEGIN; INSERT INTO marks VALUES (@); END"],
    &[
        "BEGIN",
        "INSERT INTO marks VALUES (@)",
        "COMMIT AND CHAIN",
        "INSERT INTO marks VALUES (@)",
        "ROLLBACK AND CHAIN",
        "INSERT INTO marks VALUES (@)",
        "END AND NO CHAIN",
    ],
    &[
        "BEGIN",
        "INSERT INTO marks VALUES (@)",
        "PREPARE TRANSACTION 'kept'",
        "SELECT 1",
        "COMMIT PREPARED 'kept'",
        "INSERT INTO marks VALUES (@)",
    ],
    &["CALL commits(@)"],
    &["CALL gives_up(@)"],
    &[
        "BEGIN",
        "CALL commits(@)",
        "COMMIT",
        "INSERT INTO marks VALUES (@)",
    ],
    &["DO $$ BEGIN INSERT INTO public.marks VALUES (@); COMMIT; END $$"],
    &[
        "DISCARD TEMP",
        "BEGIN",
        "INSERT INTO marks VALUES (@)",
        "DISCARD TEMP",
        "COMMIT",
    ],
    &[
        "DROP TABLE IF EXISTS pg_temp.provost_replay_guard",
        "SET CONSTRAINTS ALL IMMEDIATE",
        "INSERT INTO marks VALUES (@)",
        "COMMIT",
    ],
    &[
        "BEGIN",
        "SAVEPOINT provost_replay_transaction",
        "INSERT INTO marks VALUES (@)",
        "RELEASE provost_replay_transaction",
        "COMMIT",
    ],
];

/// What is in the sandbox that a statement could have left there.
fn left(house: &House) -> String {
    let look = "SELECT (SELECT count(*) FROM marks), (SELECT count(*) FROM orders), (SELECT count(*) FROM pg_prepared_xacts), \
         (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace)";
    house.cluster.execute("sandbox", look).unwrap()
}

#[test]
fn whatever_ends_a_transaction_leaves_nothing_in_a_sandbox() {
    let mut house = house_with(ENDS, "dbas", &[("max_prepared_transactions", "4")]);
    for (number, statements) in ESCAPES.iter().enumerate() {
        let (mut raw, _) = Raw::logged_in(&house, Person::Dba);
        for sql in *statements {
            raw.query(&sql.replace('@', &number.to_string()));
        }
    }
    house.stop_gateway();
    // Each did what it is here for, where it was recorded.
    let missing = format!(
        "SELECT n FROM generate_series(0, {}) n WHERE n NOT IN (SELECT n FROM marks)",
        ESCAPES.len() - 1
    );
    let missing = house.cluster.execute("shop", &missing).unwrap();
    let ran = "SELECT sql, outcome, sqlstate, reason FROM statements WHERE outcome <> 'completed'";
    assert_eq!(missing, "", "{:#?}", house.query(ran));

    let before = left(&house);
    let sessions = house
        .query("SELECT session_id FROM sessions WHERE event = 'opened' ORDER BY at, log_index");
    assert_eq!(sessions.len(), ESCAPES.len());
    for (row, statements) in sessions.iter().zip(ESCAPES) {
        let session = row["session_id"].as_str().unwrap();
        let (told, output) = again_of(&house, session, &["--json"]);
        assert_eq!(left(&house), before, "{statements:?}: {told:#?} {output:?}");
        // It came to the end of the session, or said why it did not.
        let asked = house.count(&format!(
            "SELECT count(*) FROM statements WHERE session_id = '{session}' AND phase <> 'prepare' AND outcome <> 'open'"
        ));
        let has_all = u64::try_from(told.len()).unwrap() == asked;
        assert!(
            has_all || output.status.code() == Some(1) && !output.stderr.is_empty(),
            "{told:#?} {output:?}"
        );
    }
    // With a COMMIT it is there: what was looked at is what would have changed.
    let first = sessions[0]["session_id"].as_str().unwrap();
    let (told, output) = again_of(&house, first, &["--json", "--sandbox"]);
    assert_eq!(output.status.code(), Some(0), "{told:#?} {output:?}");
    assert_ne!(left(&house), before);
}

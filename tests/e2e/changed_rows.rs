//! Limits on the rows that a statement changes: counted before they are committed.

use crate::{
    obligations::{errors, house, statements, values},
    support::{
        House, Person,
        raw::{Raw, bind, execute, message, parse, sqlstate, sync, tags},
    },
};

#[test]
fn rows_that_a_statement_changes_are_limited_before_they_are_committed() {
    let mut house = house(
        "rule careful
           limit affected rows 2 for agents
         rule careful-people
           limit affected rows 2 for dbas",
    );
    let server = |house: &House, sql: &str| {
        house
            .cluster
            .execute("shop", sql)
            .unwrap()
            .trim()
            .to_owned()
    };
    server(
        &house,
        "CREATE TABLE parents (id integer PRIMARY KEY);
         CREATE TABLE children (id integer REFERENCES parents ON DELETE CASCADE);
         INSERT INTO parents VALUES (1), (2); INSERT INTO children VALUES (1), (1), (1)",
    );
    let orders = |house: &House| server(house, "SELECT count(*) FROM orders WHERE total = 0");
    let over = "54000 the statement may change at most 2 rows by policy";
    let (mut raw, _) = Raw::logged_in(&house, Person::Agent);
    let zero = "UPDATE orders SET total = 0 WHERE id <= ";
    let cases = [
        ("2", "CZ", "2", Vec::new()),
        ("3", "EZ", "2", vec![over]),
        ("4 RETURNING id", "TDDDDEZ", "2", vec![over]),
        ("1 RETURNING id", "TDCZ", "2", Vec::new()),
    ];
    for (rest, expected, left, told) in cases {
        let messages = raw.query(&format!("{zero}{rest};"));
        assert_eq!(tags(&messages), expected, "{rest}: {:?}", errors(&messages));
        assert_eq!(errors(&messages), told, "{rest}");
        assert_eq!(messages.last().unwrap().body, b"I", "{rest}");
        assert_eq!(orders(&house), left, "{rest}");
    }
    // By the extended protocol: the Sync that would commit is there at once, and so is a statement behind it.
    raw.write(
        &[
            parse("", &format!("{zero}3")),
            bind("", "", 0),
            execute("", 0),
            parse("", "INSERT INTO scratch VALUES (2, 'behind')"),
            bind("", "", 0),
            execute("", 0),
            sync(),
            parse("", "SELECT 'next'"),
            bind("", "", 0),
            execute("", 0),
            sync(),
        ]
        .concat(),
    );
    let messages = raw.read_until_ready();
    assert_eq!(
        (tags(&messages).as_str(), errors(&messages)),
        ("12EZ", vec![over.to_owned()])
    );
    let messages = raw.read_until_ready();
    assert_eq!(values(&messages), ["next"], "{:?}", errors(&messages));
    assert_eq!(orders(&house), "2");
    assert_eq!(server(&house, "SELECT count(*) FROM scratch"), "0");
    // In parts: nobody knows how many there are before the last part, and a Sync would commit.
    raw.write(
        &[
            parse("", &format!("{zero}3 RETURNING id")),
            bind("", "", 0),
            execute("", 1),
            sync(),
        ]
        .concat(),
    );
    let messages = raw.read_until_ready();
    assert_eq!(tags(&messages), "12DEZ", "{:?}", errors(&messages));
    assert_eq!(orders(&house), "2");
    // Within a transaction all of it is undone.
    raw.query("BEGIN");
    raw.query("UPDATE orders SET total = 0 WHERE id = 3");
    let messages = raw.query(&format!("{zero}4"));
    assert_eq!(
        (errors(&messages), messages.last().unwrap().body.as_slice()),
        (vec![over.to_owned()], &b"E"[..])
    );
    raw.query("COMMIT");
    assert_eq!(orders(&house), "2");
    // A statement prepared under the empty name before is not there any more: what came between took its place.
    raw.write(&[parse("", "SELECT 'mine'"), sync()].concat());
    raw.read_until_ready();
    assert_eq!(
        tags(&raw.query("INSERT INTO scratch VALUES (1, 'x'), (2, 'y')")),
        "CZ"
    );
    raw.write(&[bind("", "", 0), execute("", 0), sync()].concat());
    let messages = raw.read_until_ready();
    assert_eq!(
        sqlstate(&messages).as_deref(),
        Some("26000"),
        "{messages:?}"
    );
    assert_eq!(server(&house, "SELECT count(*) FROM scratch"), "2");
    // COPY counts too.
    for (rows, expected, left) in [
        ("3\tc\n4\td\n", "GCZ", "4"),
        ("5\te\n6\tf\n7\tg\n", "GEZ", "4"),
    ] {
        let (mut dba, _) = Raw::logged_in(&house, Person::Dba);
        dba.send(b'Q', b"COPY scratch FROM STDIN\0");
        dba.write(&[message(b'd', rows.as_bytes()), message(b'c', b"")].concat());
        let messages = dba.read_until_ready();
        assert_eq!(tags(&messages), expected, "{:?}", errors(&messages));
        assert_eq!(server(&house, "SELECT count(*) FROM scratch"), left);
    }
    // What the server's count leaves out, or tells too late, is refused.
    let (mut dba, _) = Raw::logged_in(&house, Person::Dba);
    for (sql, why) in [
        ("DELETE FROM parents WHERE id = 1", "does not count all"),
        (
            "WITH gone AS (DELETE FROM scratch RETURNING id) INSERT INTO scratch SELECT 9, 'z'",
            "does not count all",
        ),
        (
            "WITH gone AS (DELETE FROM scratch RETURNING id) SELECT id FROM gone",
            "does not count all",
        ),
        ("TRUNCATE scratch", "does not count all"),
        ("CALL wipe()", "does not count all"),
        (
            "CREATE TABLE copied AS SELECT id FROM orders",
            "does not count all",
        ),
        ("EXPLAIN ANALYZE DELETE FROM scratch", "does not count all"),
        (
            "DELETE FROM scratch WHERE id = 1; DELETE FROM scratch WHERE id = 2",
            "with others",
        ),
    ] {
        let messages = dba.query(sql);
        assert_eq!(tags(&messages), "EZ", "{sql}");
        assert!(
            errors(&messages).concat().contains(why),
            "{sql}: {:?}",
            errors(&messages)
        );
    }
    assert_eq!(server(&house, "SELECT count(*) FROM scratch"), "4");
    assert_eq!(server(&house, "SELECT count(*) FROM children"), "3");
    assert_eq!(
        tags(&dba.query("SELECT id FROM orders WHERE id = 1; SELECT 1")),
        "TDCTDCZ"
    );

    let cut = statements(&mut house, "outcome = 'cut'");
    let told: Vec<_> = cut
        .iter()
        .map(|row| (row["kind"].as_str().unwrap(), row["rows"].as_u64().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ("update", 3),
            ("update", 4),
            ("update", 3),
            ("update", 1),
            ("update", 4),
            ("copy-from", 3)
        ]
    );
}

#[test]
fn stock_clients_change_rows_within_the_limit() {
    let house = house(
        "rule careful
           limit affected rows 2 for agents",
    );
    let script = "INSERT INTO scratch VALUES (1, 'a'), (2, 'b');
        UPDATE scratch SET body = 'c' WHERE id = 1 RETURNING id;
        BEGIN; DELETE FROM scratch WHERE id = 2; COMMIT;
        INSERT INTO scratch VALUES (3, 'a'), (4, 'b'), (5, 'c');
        SELECT count(*) FROM scratch;";
    let output = house.psql(Person::Agent, &["-At"], script);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        told,
        "INSERT 0 2\n1\nUPDATE 1\nBEGIN\nDELETE 1\nCOMMIT\n1\n"
    );
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains("may change at most 2 rows by policy"),
        "{told}"
    );
}

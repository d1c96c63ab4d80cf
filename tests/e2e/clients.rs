//! Stock clients, unchanged: psql, pgbench, psycopg, tokio-postgres.

use std::{process::Command, time::Duration};

use futures::future::try_join_all;
use tokio_postgres::{SimpleQueryMessage, error::SqlState, types::Type};

use crate::support::{House, Person, canary, python, run_with_input, succeeded, text};

#[test]
fn psql_behaves_as_it_does_without_us() {
    let house = House::new();
    let quiet = [
        "--quiet",
        "--tuples-only",
        "--no-align",
        "--set=ON_ERROR_STOP=1",
    ];

    let script = "SELECT 1 + 1;\nBEGIN;\nINSERT INTO scratch VALUES (1, 'a'), (2, 'b');\nSELECT count(*) FROM scratch;\nROLLBACK;\nSELECT count(*) FROM scratch;";
    assert_eq!(
        succeeded(house.psql(Person::Agent, &quiet, script)),
        "2\n2\n0\n"
    );

    // Tags, prompts' transaction status and multi-line input are psql's own business and must stay it.
    let tags = succeeded(house.psql(
        Person::Agent,
        &[],
        "BEGIN;\nUPDATE orders SET note = 'x' WHERE id = 1;\nCOMMIT;",
    ));
    assert_eq!(tags, "BEGIN\nUPDATE 1\nCOMMIT\n");

    let tables = succeeded(house.psql(
        Person::Dba,
        &["--no-align"],
        "\\d\n\\d orders\n\\dn\n\\l\n\\df leak\n\\dt+",
    ));
    for part in [
        "public|orders|table",
        "customer_id|integer||not null",
        "hr|",
        "orders_pkey",
        "leak",
    ] {
        assert!(tables.contains(part), "`{part}` is not in\n{tables}");
    }
    let tables = succeeded(house.psql(Person::Agent, &["--no-align"], "\\dt\n\\d orders"));
    assert!(tables.contains("customer_id|integer||not null"), "{tables}");

    let error = house.psql(Person::Agent, &[], "SELECT 1 FRM x;");
    assert!(
        text(&error.stderr).contains("syntax error at or near \"x\""),
        "{}",
        text(&error.stderr)
    );
    assert!(
        text(&error.stderr).contains("^"),
        "the position is shown: {}",
        text(&error.stderr)
    );

    let error = house.psql(
        Person::Agent,
        &["--set=VERBOSITY=verbose"],
        "DROP TABLE orders;\nSELECT 'alive';",
    );
    assert!(
        text(&error.stderr).contains("42501"),
        "{}",
        text(&error.stderr)
    );
    assert!(
        text(&error.stderr).contains("schema changes go through migrations"),
        "{}",
        text(&error.stderr)
    );
    assert!(
        text(&error.stdout).contains("alive"),
        "{}",
        text(&error.stdout)
    );
}

#[test]
fn psql_copies_both_ways_for_a_dba() {
    let house = House::new();
    let quiet = [
        "--quiet",
        "--tuples-only",
        "--no-align",
        "--set=ON_ERROR_STOP=1",
    ];
    let rows: String = (0..2_000).map(|id| format!("{id}\tbody {id}\n")).collect();
    let script = format!(
        "COPY scratch FROM STDIN;\n{rows}\\.\nSELECT count(*), max(id) FROM scratch;\nCOPY (SELECT id FROM scratch WHERE id < 3 ORDER BY id) TO STDOUT;"
    );
    assert_eq!(
        succeeded(house.psql(Person::Dba, &quiet, &script)),
        "2000|1999\n0\n1\n2\n"
    );
    // A COPY that the server refuses in the middle leaves the session alive.
    let error = house.psql(
        Person::Dba,
        &[],
        "COPY scratch FROM STDIN;\nnot a number\tx\n\\.\nSELECT 'alive';",
    );
    assert!(
        text(&error.stderr).contains("invalid input syntax"),
        "{}",
        text(&error.stderr)
    );
    assert!(
        text(&error.stdout).contains("alive"),
        "{}",
        text(&error.stdout)
    );
}

#[test]
fn psycopg_works_unchanged() {
    let house = House::new();
    let mut command = Command::new(python());
    command.arg("-");
    house.client_environment(
        &mut command,
        Person::Agent.id(),
        &house.token(Person::Agent),
        crate::support::TARGET,
    );
    let out = succeeded(run_with_input(command, include_str!("psycopg_client.py")));
    assert!(out.ends_with("psycopg: ok\n"), "{out}");
    canary::assert_none("psycopg", out.as_bytes());
}

#[test]
fn pgbench_runs_in_every_protocol() {
    let house = House::new();
    let pgbench = |arguments: &[&str]| {
        let mut command = Command::new(house.cluster.program("pgbench"));
        command.args(arguments);
        house.client_environment(
            &mut command,
            Person::Dba.id(),
            &house.token(Person::Dba),
            crate::support::TARGET,
        );
        command.output().unwrap()
    };
    // Tables, data by COPY, vacuum and primary keys, all through the gateway.
    let made = pgbench(&["--initialize", "--scale=1", "--quiet"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    for protocol in ["simple", "extended", "prepared"] {
        let out = succeeded(pgbench(&[
            "--client=4",
            "--transactions=25",
            "--no-vacuum",
            &format!("--protocol={protocol}"),
        ]));
        assert!(
            out.contains("number of transactions actually processed: 100/100"),
            "{protocol}: {out}"
        );
        assert!(
            out.contains("number of failed transactions: 0"),
            "{protocol}: {out}"
        );
    }
    let balance = house
        .cluster
        .execute(
            "shop",
            "SELECT sum(abalance) = (SELECT sum(delta) FROM pgbench_history) FROM pgbench_accounts",
        )
        .unwrap();
    assert_eq!(balance, "t\n");
}

#[tokio::test]
async fn tokio_postgres_prepares_binds_and_pipelines() {
    let house = House::new();
    let connected = house.connect(Person::Agent).await;
    let client = &connected.client;

    let insert = client
        .prepare_typed(
            "INSERT INTO scratch VALUES ($1, $2)",
            &[Type::INT4, Type::TEXT],
        )
        .await
        .unwrap();
    for id in 0..10_i32 {
        assert_eq!(
            client
                .execute(&insert, &[&id, &format!("body {id}")])
                .await
                .unwrap(),
            1
        );
    }
    // Many at once: the driver sends them all before the first answer.
    let select = client
        .prepare("SELECT body FROM scratch WHERE id = $1")
        .await
        .unwrap();
    let ids: Vec<i32> = (0..10).collect();
    let rows = try_join_all(
        ids.iter()
            .map(|id| async { client.query_one(&select, &[id]).await }),
    )
    .await
    .unwrap();
    for (id, row) in rows.iter().enumerate() {
        assert_eq!(row.get::<_, &str>(0), format!("body {id}"));
    }
    // An error in the middle of a pipeline belongs to its own statement only.
    let (good, bad, after) = tokio::join!(
        client.query_one("SELECT 1", &[]),
        client.query_one("SELECT salary FROM hr.salaries", &[]),
        client.query_one("SELECT 2", &[]),
    );
    assert_eq!(good.unwrap().get::<_, i32>(0), 1);
    assert_eq!(
        bad.unwrap_err().code(),
        Some(&SqlState::INSUFFICIENT_PRIVILEGE)
    );
    assert_eq!(after.unwrap().get::<_, i32>(0), 2);

    // Types in binary format.
    let row = client
        .query_one(
            "SELECT id, total::float8, placed_at IS NOT NULL, note FROM orders WHERE id = 1",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, i32>(0), 1);
    assert!((row.get::<_, f64>(1) - 99.9).abs() < 1e-9);
    assert!(row.get::<_, bool>(2));
    assert_eq!(row.get::<_, Option<&str>>(3), Some("first"));

    // Many simple statements in one string.
    let messages = client
        .simple_query("BEGIN; SELECT 1; SELECT 2; COMMIT")
        .await
        .unwrap();
    let rows = messages
        .iter()
        .filter(|message| matches!(message, SimpleQueryMessage::Row(_)))
        .count();
    assert_eq!(rows, 2);
}

#[tokio::test]
async fn transactions_roll_back_as_they_should() {
    let house = House::new();
    let mut connected = house.connect(Person::Agent).await;
    let transaction = connected.client.transaction().await.unwrap();
    transaction
        .execute("INSERT INTO scratch VALUES (1, 'x')", &[])
        .await
        .unwrap();
    let error = transaction
        .execute("INSERT INTO orders VALUES (1, 1, 1)", &[])
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::UNIQUE_VIOLATION));
    // PostgreSQL's own rule: an aborted transaction takes nothing but its end.
    let error = transaction.execute("SELECT 1", &[]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::IN_FAILED_SQL_TRANSACTION));
    transaction.rollback().await.unwrap();
    assert_eq!(
        connected
            .client
            .query_one("SELECT count(*) FROM scratch", &[])
            .await
            .unwrap()
            .get::<_, i64>(0),
        0
    );

    let transaction = connected.client.transaction().await.unwrap();
    transaction
        .execute("INSERT INTO scratch VALUES (2, 'y')", &[])
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(
        house
            .cluster
            .execute("shop", "SELECT body FROM scratch")
            .unwrap(),
        "y\n"
    );
}

#[tokio::test]
async fn a_running_statement_can_be_cancelled() {
    let house = House::new();
    let connected = house.connect(Person::Dba).await;
    let cancel = connected.client.cancel_token();
    let tls = connected.tls.clone();
    // Asked again until it is heard: before the statement runs there is nothing to cancel.
    let asker = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            cancel.cancel_query(tls.clone()).await.unwrap();
        }
    });
    let error = tokio::time::timeout(
        Duration::from_secs(20),
        connected
            .client
            .query_one("SELECT count(*) FROM generate_series(1, 100000000000)", &[]),
    )
    .await
    .expect("the cancel request did not arrive")
    .unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
    asker.abort();
    assert!(asker.await.unwrap_err().is_cancelled());
    // A request that was still on its way may hit one more statement.
    let _ = connected.client.query_one("SELECT 2", &[]).await;
    assert_eq!(
        connected
            .client
            .query_one("SELECT 1", &[])
            .await
            .unwrap()
            .get::<_, i32>(0),
        1
    );
}

#[tokio::test]
async fn a_statement_can_be_cancelled_before_the_server_has_it() {
    let house = House::new();
    let connected = house.connect(Person::Dba).await;
    let cancel = connected.client.cancel_token();
    let tls = connected.tls.clone();
    // So long that the gateway still reads it when the request comes, which comes once.
    let numbers: Vec<String> = (0..100_000).map(|number| number.to_string()).collect();
    let text = format!(
        "SELECT count(*) FROM generate_series(1, 100000000000) AS number WHERE number NOT IN ({})",
        numbers.join(", ")
    );
    let asker = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        cancel.cancel_query(tls).await.unwrap();
    });
    let error = tokio::time::timeout(
        Duration::from_secs(30),
        connected.client.simple_query(&text),
    )
    .await
    .expect("the cancel request was lost")
    .unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
    asker.await.unwrap();
    // It was for that statement, and for no other.
    for _ in 0..20 {
        connected.client.simple_query("SELECT 1").await.unwrap();
    }
}

#[tokio::test]
async fn sessions_side_by_side_do_not_mix() {
    let house = House::new();
    let mut tasks = Vec::new();
    for number in 0..12_i32 {
        let connected = house.connect(Person::Agent).await;
        tasks.push(tokio::spawn(async move {
            for round in 0..20_i32 {
                let wanted = number * 1_000 + round;
                let row = connected
                    .client
                    .query_one("SELECT $1::int4", &[&wanted])
                    .await
                    .unwrap();
                assert_eq!(row.get::<_, i32>(0), wanted);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn large_results_and_large_values_pass() {
    let house = House::new();
    let connected = house.connect(Person::Dba).await;
    let rows = connected
        .client
        .query(
            "SELECT n, repeat('x', 100) FROM generate_series(1, 50000) AS n",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(rows.len(), 50_000);
    assert_eq!(rows[49_999].get::<_, i32>(0), 50_000);
    let row = connected
        .client
        .query_one("SELECT repeat('y', 8000000)", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, &str>(0).len(), 8_000_000);
    let large = "z".repeat(4_000_000);
    let row = connected
        .client
        .query_one("SELECT length($1::text)", &[&large])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i32>(0), 4_000_000);
}

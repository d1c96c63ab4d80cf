//! Stock clients through the gateway: psql and tokio-postgres.

use std::process::Command;

use provost_gateway::settings::ClientTls;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::house::{House, certificate, settings, tokens};

#[tokio::test]
async fn tokio_postgres_works_unchanged() {
    let house = tokio::task::spawn_blocking(|| House::start(settings(ClientTls::Off)))
        .await
        .unwrap();
    let (client, connection) = tokio_postgres::Config::new()
        .host("127.0.0.1")
        .port(house.address.port())
        .user("ann")
        .dbname("shop")
        .password(tokens().good("ann"))
        .connect(NoTls)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let rows = client
        .query("SELECT id, name FROM customers WHERE id = $1", &[&7_i32])
        .await
        .unwrap();
    assert_eq!(
        (rows[0].get::<_, i32>(0), rows[0].get::<_, String>(1)),
        (7, "name 7".to_owned())
    );
    let messages = client
        .simple_query("SELECT count(*) FROM customers; SELECT 2 AS two")
        .await
        .unwrap();
    let values: Vec<&str> = messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        })
        .collect();
    assert_eq!(values, ["100", "2"]);
    let error = client.simple_query("SELEC 1").await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "42601");
    assert_eq!(
        client.query("SELECT 1", &[]).await.unwrap().len(),
        1,
        "the session lives"
    );
    drop(client);
    connection.await.unwrap().unwrap();
    let records = tokio::task::spawn_blocking(|| house.stop()).await.unwrap();
    assert!(
        records.contains("\"event\":\"opened\"") && records.contains("\"event\":\"closed\""),
        "{records}"
    );
}

#[test]
fn psql_over_tls_works_unchanged() {
    let house = House::start(settings(certificate()));
    let run = |sql: &str| {
        Command::new("psql")
            .args([
                "--no-psqlrc",
                "--tuples-only",
                "--no-align",
                "--command",
                sql,
            ])
            .arg(format!(
                "host=127.0.0.1 port={} dbname=shop user=ann sslmode=require",
                house.address.port()
            ))
            .env("PGPASSWORD", tokens().good("ann"))
            .output()
            .unwrap()
    };
    let output = run("SELECT name FROM customers WHERE id = 3");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "name 3\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let output = run("SELECT nothing FROM nowhere");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("relation \"nowhere\" does not exist"),
        "{output:?}"
    );
}

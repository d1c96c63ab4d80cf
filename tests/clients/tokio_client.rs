//! tokio-postgres as programs use it: the extended protocol in binary, pipelined, with COPY, cancelling and notifications.

use std::{fmt::Debug, fmt::Write as _, pin::pin, time::Duration};

use bytes::Bytes;
use futures::{
    SinkExt as _, StreamExt as _, TryStreamExt as _, channel::mpsc, future::try_join_all,
};
use tokio_postgres::{AsyncMessage, Client, Error, IsolationLevel, NoTls, types::ToSql};

use crate::{
    house::{House, Way},
    postgres::SUPERUSER,
    programs::DATABASE,
};

/// What was seen, a line each.
struct Transcript(String);

impl Transcript {
    fn show(&mut self, name: &str, value: impl Debug) {
        writeln!(self.0, "{name}: {value:?}").unwrap();
    }

    fn error<T>(&mut self, name: &str, outcome: Result<T, Error>) {
        match outcome {
            Ok(_) => self.show(name, "no error"),
            Err(error) => match error.as_db_error() {
                Some(said) => self.show(name, said),
                None => self.show(name, error.to_string()),
            },
        }
    }
}

/// The transcript of one way.
pub(crate) fn run(house: &House, way: Way) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut transcript = Transcript(String::new());
    let outcome = runtime.block_on(parts(house, way, &mut transcript));
    match outcome {
        Ok(()) => transcript.0 + "exit status: 0\n",
        Err(error) => format!("{}{error:?}\n", transcript.0),
    }
}

async fn parts(house: &House, way: Way, said: &mut Transcript) -> Result<(), Error> {
    let mut config = tokio_postgres::Config::new();
    config
        .host("127.0.0.1")
        .port(house.port(way))
        .user(SUPERUSER)
        .password(house.token())
        .dbname(DATABASE)
        .application_name("tokio-postgres");
    let (mut client, mut connection) = config.connect(NoTls).await?;
    let (sender, mut asynchronous) = mpsc::unbounded();
    tokio::spawn(async move {
        let mut messages =
            futures::stream::poll_fn(move |context| connection.poll_message(context));
        while let Some(Ok(message)) = messages.next().await {
            let _ = sender.unbounded_send(message);
        }
    });
    tables(&client, said).await?;
    values(&client, said).await?;
    copies(&client, said).await?;
    transactions(&mut client, said).await?;
    errors(&client, said).await;
    pipelines(&client, said).await?;
    cancels(&client, said).await?;
    client.batch_execute("LISTEN news; NOTIFY news, 'one'; NOTIFY news, 'two'; DO $$ BEGIN RAISE NOTICE 'n'; END $$").await?;
    // The notice and the notifications come by ways of their own.
    let (mut notes, mut notices) = (Vec::new(), Vec::new());
    while notes.len() < 2 || notices.is_empty() {
        match asynchronous.next().await {
            Some(AsyncMessage::Notification(note)) => {
                notes.push(format!("{} {}", note.channel(), note.payload()));
            }
            Some(AsyncMessage::Notice(notice)) if notice.message() == "n" => notices.push(notice),
            Some(_) => {}
            None => break,
        }
    }
    said.show("heard", (notes, notices));
    client
        .batch_execute("DROP TABLE things; DROP TYPE mood")
        .await
}

async fn tables(client: &Client, said: &mut Transcript) -> Result<(), Error> {
    client
        .batch_execute(
            "DROP TABLE IF EXISTS things CASCADE; DROP TYPE IF EXISTS mood; CREATE TYPE mood AS ENUM ('sad', 'glad');
             CREATE TABLE things (id int PRIMARY KEY, name text NOT NULL, how mood)",
        )
        .await?;
    let inserted = client
        .execute(
            "INSERT INTO things SELECT n, 'thing ' || n, 'glad' FROM generate_series(1, $1) n",
            &[&1_000_i32],
        )
        .await?;
    said.show("inserted", inserted);
    let several = client
        .simple_query(
            "SELECT 1 AS a; UPDATE things SET name = 'x' WHERE id = 1; SELECT 2 AS b, NULL AS c",
        )
        .await?;
    said.show("several", several);
    Ok(())
}

async fn values(client: &Client, said: &mut Transcript) -> Result<(), Error> {
    // An enum is looked up in the catalogs by the driver.
    let statement = client
        .prepare("SELECT id, name, how, $1::int4[], $2::text, $3::bytea, $4::float8 FROM things WHERE id <= $5 ORDER BY id")
        .await?;
    said.show("parameters", statement.params());
    let columns: Vec<String> = statement
        .columns()
        .iter()
        .map(|column| {
            format!(
                "{} {} {:?}",
                column.name(),
                column.type_(),
                column.column_id()
            )
        })
        .collect();
    said.show("columns", columns);
    for limit in [1_i32, 3] {
        let parameters: [&(dyn ToSql + Sync); 5] = [
            &vec![1_i32, 2],
            &"é 'x'",
            &vec![0_u8, 255],
            &1.5_f64,
            &limit,
        ];
        let rows = client.query(&statement, &parameters).await?;
        for row in rows {
            let (id, name): (i32, &str) = (row.get(0), row.get(1));
            let (list, text): (Vec<i32>, &str) = (row.get(3), row.get(4));
            let (bytes, float): (Vec<u8>, f64) = (row.get(5), row.get(6));
            said.show("row", (id, name, list, text, bytes, float));
        }
    }
    let mut rows = 0_u64;
    let many = client
        .query_raw("SELECT n FROM generate_series(1, $1) n", [50_000_i32])
        .await?;
    let mut many = pin!(many);
    while let Some(row) = many.try_next().await? {
        rows += u64::try_from(row.get::<_, i32>(0)).unwrap();
    }
    said.show("many", rows);
    Ok(())
}

async fn copies(client: &Client, said: &mut Transcript) -> Result<(), Error> {
    let sink = client.copy_in("COPY things (id, name) FROM STDIN").await?;
    let mut sink = pin!(sink);
    for number in 0..300 {
        let line = format!("{}\tcopied {number}\n", 5_000 + number);
        sink.send(Bytes::from(line)).await?;
    }
    said.show("copied in", sink.finish().await?);
    for format in ["text", "csv", "binary"] {
        let out = client
            .copy_out(&format!(
                "COPY (SELECT * FROM things ORDER BY id) TO STDOUT (FORMAT {format})"
            ))
            .await?;
        let parts: Vec<Bytes> = out.try_collect().await?;
        let hash = blake3::hash(&parts.concat());
        said.show(format, (parts.len(), hash.to_hex().to_string()));
    }
    let sink = client.copy_in("COPY things (id, name) FROM STDIN").await?;
    let mut sink = pin!(sink);
    let sent = sink.send(Bytes::from_static(b"1\tagain\n")).await;
    said.show("sent", sent.is_ok());
    said.error("bad copy", sink.finish().await);
    Ok(())
}

async fn transactions(client: &mut Client, said: &mut Transcript) -> Result<(), Error> {
    let mut transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::Serializable)
        .start()
        .await?;
    let savepoint = transaction.savepoint("s").await?;
    savepoint
        .execute("INSERT INTO things VALUES (9000, 'x', NULL)", &[])
        .await?;
    said.error("fails", savepoint.execute("SELECT 1 / 0", &[]).await);
    said.error("aborted", savepoint.query("SELECT 1", &[]).await);
    savepoint.rollback().await?;
    let portal = transaction
        .bind("SELECT id FROM things ORDER BY id", &[])
        .await?;
    for count in [5, 7] {
        let rows = transaction.query_portal(&portal, count).await?;
        let ids: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
        said.show("portal", ids);
    }
    transaction.commit().await
}

async fn errors(client: &Client, said: &mut Transcript) {
    said.error("syntax", client.query("SELECT 1 FRM things", &[]).await);
    said.error("no table", client.query("SELECT * FROM nowhere", &[]).await);
    said.error(
        "no column",
        client.simple_query("SELECT nam FROM things").await,
    );
    said.error(
        "unique",
        client
            .execute("INSERT INTO things VALUES (1, 'x', NULL)", &[])
            .await,
    );
    said.error(
        "null",
        client
            .execute(
                "INSERT INTO things VALUES (9001, $1, NULL)",
                &[&None::<String>],
            )
            .await,
    );
    said.error(
        "in several",
        client
            .batch_execute("SELECT 1; SELECT 1 / 0; SELECT 2")
            .await,
    );
}

async fn pipelines(client: &Client, said: &mut Transcript) -> Result<(), Error> {
    let queries = (0..100).map(|number| async move {
        let row = client.query_one("SELECT $1::int4 * 2", &[&number]).await?;
        Ok::<i32, Error>(row.get(0))
    });
    said.show("pipelined", try_join_all(queries).await?);
    let (first, second, third) = futures::join!(
        client.query_one("SELECT 1", &[]),
        client.query_one("SELECT 1 / 0", &[]),
        client.query_one("SELECT 3", &[]),
    );
    said.show("first", first?.get::<_, i32>(0));
    said.error("second", second);
    said.show("third", third?.get::<_, i32>(0));
    Ok(())
}

async fn cancels(client: &Client, said: &mut Transcript) -> Result<(), Error> {
    let token = client.cancel_token();
    let (slept, cancelled) = futures::join!(client.query("SELECT pg_sleep(30)", &[]), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        token.cancel_query(NoTls).await
    });
    cancelled?;
    said.error("cancelled", slept);
    said.show(
        "alive",
        client
            .query_one("SELECT 'yes'", &[])
            .await?
            .get::<_, &str>(0),
    );
    Ok(())
}

//! sqlx as programs use it: statements prepared and described, pools, COPY, a listener. Prints what the server says.
//!
//! The connection is told by libpq's environment variables.

use std::fmt::Debug;

use futures_util::TryStreamExt as _;
use sqlx::{
    Column as _, Connection as _, Error, Executor as _, PgConnection, Row as _, Statement as _,
    TypeInfo as _,
    postgres::{PgConnectOptions, PgDatabaseError, PgListener, PgPoolCopyExt as _, PgPoolOptions, PgSslMode},
};

fn show(name: &str, value: impl Debug) {
    println!("{name}: {value:?}");
}

fn error<T>(name: &str, outcome: Result<T, Error>) {
    match outcome {
        Ok(_) => show(name, "no error"),
        Err(Error::Database(said)) => {
            let said = said.downcast_ref::<PgDatabaseError>();
            show(
                name,
                (
                    said.code(),
                    said.message(),
                    said.detail(),
                    said.hint(),
                    said.position(),
                    (said.table(), said.column(), said.constraint(), said.routine()),
                ),
            );
        }
        Err(other) => show(name, other.to_string()),
    }
}

/// The environment says the rest.
fn options() -> PgConnectOptions {
    PgConnectOptions::new()
        .ssl_mode(PgSslMode::Disable)
        .application_name("sqlx")
}

async fn tables(connection: &mut PgConnection) -> Result<(), Error> {
    connection
        .execute("CREATE TABLE things (id int PRIMARY KEY, name text NOT NULL, price float8); SELECT 1")
        .await?;
    let inserted = sqlx::query("INSERT INTO things SELECT n, 'thing ' || n, n * 1.5 FROM generate_series(1, $1) n")
        .bind(1_000_i32)
        .execute(&mut *connection)
        .await?;
    show("inserted", inserted.rows_affected());
    Ok(())
}

async fn values(connection: &mut PgConnection) -> Result<(), Error> {
    let statement = connection
        .prepare("SELECT id, name, price, $1::int4[] AS list, $2::bytea AS bytes FROM things WHERE id <= $3 ORDER BY id")
        .await?;
    let columns: Vec<String> = statement
        .columns()
        .iter()
        .map(|column| format!("{} {}", column.name(), column.type_info().name()))
        .collect();
    show("columns", columns);
    for limit in [1_i32, 3] {
        let rows = statement
            .query()
            .bind(vec![1_i32, 2])
            .bind(vec![0_u8, 255])
            .bind(limit)
            .fetch_all(&mut *connection)
            .await?;
        for row in rows {
            let values: (i32, String, f64, Vec<i32>, Vec<u8>) =
                (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4));
            show("row", values);
        }
    }
    // What offline checking of queries asks the server: the catalogs, and EXPLAIN.
    let described = connection
        .describe("SELECT name, price FROM things WHERE id = $1")
        .await?;
    let nullable: Vec<Option<bool>> = (0..2).map(|place| described.nullable(place)).collect();
    show("described", (described.columns().len(), nullable));
    let mut sum = 0_i64;
    let mut many = sqlx::query("SELECT n FROM generate_series(1, 50000) n").fetch(&mut *connection);
    while let Some(row) = many.try_next().await? {
        sum += i64::from(row.get::<i32, _>(0));
    }
    show("many", sum);
    Ok(())
}

async fn transactions(connection: &mut PgConnection) -> Result<(), Error> {
    let mut outer = connection.begin().await?;
    sqlx::query("INSERT INTO things VALUES (5000, 'outer', 0)")
        .execute(&mut *outer)
        .await?;
    let mut inner = outer.begin().await?;
    error("fails", sqlx::query("SELECT 1 / 0").execute(&mut *inner).await);
    error("aborted", sqlx::query("SELECT 1").execute(&mut *inner).await);
    inner.rollback().await?;
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM things WHERE id = 5000")
        .fetch_one(&mut *outer)
        .await?;
    show("kept", count);
    outer.rollback().await
}

async fn errors(connection: &mut PgConnection) {
    error("syntax", sqlx::query("SELECT 1 FRM things").execute(&mut *connection).await);
    error("no table", sqlx::query("SELECT * FROM nowhere").execute(&mut *connection).await);
    error("no column", connection.execute("SELECT nam FROM things").await);
    error(
        "unique",
        sqlx::query("INSERT INTO things VALUES ($1, 'x', 0)").bind(1_i32).execute(&mut *connection).await,
    );
    error("null", connection.execute("INSERT INTO things VALUES (9000, NULL, 0)").await);
    error("in several", connection.execute("SELECT 1; SELECT 1 / 0; SELECT 2").await);
}

async fn pools() -> Result<(), Error> {
    let pool = PgPoolOptions::new()
        .max_connections(4)
        .connect_with(options())
        .await?;
    let mut found = Vec::new();
    for number in 0..40_i32 {
        let doubled: i32 = sqlx::query_scalar("SELECT $1 * 2")
            .bind(number)
            .fetch_one(&pool)
            .await?;
        found.push(doubled);
    }
    show("pooled", found);
    let mut copy = pool.copy_in_raw("COPY things FROM STDIN").await?;
    for number in 0..300 {
        let line = format!("{}\tcopied {number}\t\\N\n", 6_000 + number);
        copy.send(line.as_bytes()).await?;
    }
    show("copied in", copy.finish().await?);
    let out = pool.copy_out_raw("COPY (SELECT * FROM things ORDER BY id) TO STDOUT").await?;
    let parts: Vec<_> = out.try_collect().await?;
    show("copied out", (parts.len(), parts.concat().len()));
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen("news").await?;
    for number in 0..3 {
        sqlx::query("SELECT pg_notify('news', $1)")
            .bind(format!("number {number}"))
            .execute(&pool)
            .await?;
    }
    for _ in 0..3 {
        let note = listener.recv().await?;
        show("heard", (note.channel(), note.payload()));
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut connection = PgConnection::connect_with(&options()).await?;
    tables(&mut connection).await?;
    values(&mut connection).await?;
    transactions(&mut connection).await?;
    errors(&mut connection).await;
    pools().await?;
    connection.execute("DROP TABLE things").await?;
    connection.close().await
}

"""psycopg 3 as programs use it; everything that the server says is printed, and nothing that differs from run to run.

The connection is told by libpq's environment variables.
"""

import decimal
import hashlib
import threading
import uuid
from datetime import date, datetime, timedelta, timezone

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg.types.range import Range


def show(name, value):
    print(f"{name}: {value!r}")


def error(name, run):
    try:
        run()
    except psycopg.Error as failure:
        said = failure.diag
        show(
            name,
            [
                type(failure).__name__,
                said.severity_nonlocalized,
                said.sqlstate,
                said.message_primary,
                said.message_detail,
                said.message_hint,
                said.statement_position,
                said.context,
                said.schema_name,
                said.table_name,
                said.column_name,
                said.datatype_name,
                said.constraint_name,
                said.source_function,
            ],
        )
    else:
        show(name, "no error")


def simple(connection):
    show("one", connection.execute("SELECT 1 AS a, 'x' AS b, NULL AS c").fetchall())
    cursor = connection.execute("SELECT 1; SELECT 2, 3; VALUES (4)")
    while True:
        show("of several", (cursor.statusmessage, cursor.fetchall()))
        if not cursor.nextset():
            break
    show("empty", connection.execute("").statusmessage)
    cursor = connection.execute("SELECT id, name FROM things WHERE false")
    show("described", [(column.name, column.type_code, column.internal_size) for column in cursor.description])


def tables(connection):
    connection.execute("DROP TABLE IF EXISTS things CASCADE")
    connection.execute(
        "CREATE TABLE things (id int PRIMARY KEY, name text NOT NULL, price numeric(10, 2) CHECK (price >= 0), made timestamptz)"
    )
    cursor = connection.execute(
        "INSERT INTO things SELECT n, 'thing ' || n, n * 1.5, '2026-01-01 UTC'::timestamptz + n * interval '1 hour' FROM generate_series(1, 1000) n"
    )
    show("inserted", (cursor.statusmessage, cursor.rowcount))
    show("returned", connection.execute("UPDATE things SET name = 'other' WHERE id <= 3 RETURNING id, name").fetchall())


def values(connection):
    everything = [
        True,
        42,
        2**40,
        1.5,
        decimal.Decimal("12345.678900"),
        "text with 'quotes' and é",
        b"\x00\x01\xff",
        date(2026, 2, 28),
        datetime(2026, 2, 28, 12, 30, 15, 123456, tzinfo=timezone.utc),
        timedelta(days=3, seconds=7),
        uuid.UUID(int=7),
        [1, 2, None],
        ["a", None, "b,c"],
        Jsonb({"a": [1, 2, {"b": None}]}),
        Range(1, 5),
        None,
    ]
    marks = ", ".join(["%s"] * len(everything))
    for binary in (False, True):
        cursor = connection.cursor(binary=binary)
        row = cursor.execute(f"SELECT {marks}", everything).fetchone()
        show(f"values, binary {binary}", row)
    with connection.cursor(row_factory=dict_row) as cursor:
        show("rows as dicts", cursor.execute("SELECT id, name FROM things WHERE id = %(id)s", {"id": 5}).fetchall())


def prepared(connection):
    for round_number in range(8):
        row = connection.execute("SELECT name FROM things WHERE id = %s", [round_number + 1], prepare=True).fetchone()
        show("prepared", row)
    connection.execute("ALTER TABLE things ADD COLUMN extra int DEFAULT 7")
    for number in (1, 2):
        show("after a change", connection.execute("SELECT * FROM things WHERE id = %s", [number], prepare=True).fetchone()[4])
    connection.execute("PREPARE by_sql (int) AS SELECT name FROM things WHERE id = $1")
    show("prepared by SQL", connection.execute("EXECUTE by_sql(4)").fetchall())
    connection.execute("DEALLOCATE by_sql")
    error("gone", lambda: connection.execute("EXECUTE by_sql(4)"))
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO things (id, name) VALUES (%s, %s)", [(2000 + n, f"many {n}") for n in range(500)])
        show("many", cursor.rowcount)


def copies(connection):
    with connection.cursor() as cursor:
        with cursor.copy("COPY things (id, name, price) FROM STDIN") as copy:
            for number in range(3000, 3200):
                copy.write_row((number, f"copied {number}", None if number % 2 else decimal.Decimal("1.25")))
        show("copied in", (cursor.statusmessage, cursor.rowcount))
        for form in ("text", "csv, header", "binary"):
            digest, size = hashlib.sha256(), 0
            with cursor.copy(f"COPY (SELECT id, name, price FROM things ORDER BY id) TO STDOUT (FORMAT {form})") as copy:
                for block in copy:
                    digest.update(block)
                    size += len(block)
            show(f"copied out, {form}", (size, digest.hexdigest(), cursor.statusmessage))

        def bad():
            with cursor.copy("COPY things (id, name) FROM STDIN") as copy:
                copy.write("1\tdouble\n")

        error("a copy that fails", bad)

        def given_up():
            with cursor.copy("COPY things (id, name) FROM STDIN") as copy:
                copy.write("9001\tnever\n")
                raise RuntimeError("given up")

        try:
            given_up()
        except RuntimeError as failure:
            show("given up", str(failure))
    show("none of it", connection.execute("SELECT count(*) FROM things WHERE id > 9000").fetchone())


def transactions(connection):
    with connection.transaction():
        connection.execute("INSERT INTO things (id, name) VALUES (5000, 'outer')")
        try:
            with connection.transaction():
                connection.execute("INSERT INTO things (id, name) VALUES (5001, 'inner')")
                connection.execute("SELECT 1 / 0")
        except psycopg.errors.DivisionByZero as failure:
            show("inner", failure.diag.message_primary)
        show("status", connection.info.transaction_status.name)
    show("kept", connection.execute("SELECT id FROM things WHERE id IN (5000, 5001)").fetchall())
    connection.autocommit = False
    error("fails", lambda: connection.execute("INSERT INTO things (id, name) VALUES (1, 'again')"))
    show("status", connection.info.transaction_status.name)
    error("aborted", lambda: connection.execute("SELECT 1"))
    connection.rollback()
    connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    show("isolation", connection.execute("SHOW transaction_isolation").fetchone())
    connection.rollback()
    connection.isolation_level = None
    connection.autocommit = True


def errors(connection):
    connection.execute("CREATE TABLE parts (id int REFERENCES things, code text CONSTRAINT codes UNIQUE)")
    connection.execute("INSERT INTO parts VALUES (1, 'a')")
    error("syntax", lambda: connection.execute("SELECT 1 FRM things"))
    error("no table", lambda: connection.execute("SELECT * FROM nowhere"))
    error("no column", lambda: connection.execute("SELECT nam FROM things"))
    error("no function", lambda: connection.execute("SELECT nothing(1)"))
    error("unique", lambda: connection.execute("INSERT INTO parts VALUES (1, 'a')"))
    error("reference", lambda: connection.execute("INSERT INTO parts VALUES (-1, 'b')"))
    error("null", lambda: connection.execute("INSERT INTO things VALUES (6000, NULL)"))
    error("check", lambda: connection.execute("INSERT INTO things VALUES (6000, 'x', -1)"))
    error("parameter", lambda: connection.execute("SELECT %s::int", ["no number"]))
    error("several in one Parse", lambda: connection.execute("CREATE TABLE made (id int); INSERT INTO made VALUES (%s)", [1]))
    error("several that are read", lambda: connection.execute("SELECT 1; SELECT %s", [1]))
    error("in several", lambda: connection.execute("SELECT 1; SELECT 1 / 0; SELECT 2"))
    error("raised", lambda: connection.execute("DO $$ BEGIN RAISE EXCEPTION 'words' USING DETAIL = 'd', HINT = 'h', ERRCODE = 'ZZ001'; END $$"))
    connection.execute("DROP TABLE parts")


def notices(connection):
    heard = []
    connection.add_notice_handler(lambda said: heard.append((said.severity, said.sqlstate, said.message_primary, said.message_hint)))
    connection.execute("DROP TABLE IF EXISTS nowhere")
    connection.execute("DO $$ BEGIN RAISE NOTICE 'n %', 1; RAISE WARNING 'w'; END $$")
    connection.execute("ROLLBACK")
    show("notices", heard)


def cursors(connection):
    with connection.transaction():
        with connection.cursor("named") as cursor:
            cursor.itersize = 7
            cursor.execute("SELECT id FROM things ORDER BY id")
            show("fetched", [row[0] for row in cursor.fetchmany(20)])
            cursor.scroll(50)
            show("after scrolling", cursor.fetchone())
        with connection.cursor("with_scroll", scrollable=True) as cursor:
            cursor.execute("SELECT id FROM things ORDER BY id")
            cursor.scroll(100, mode="absolute")
            show("absolute", cursor.fetchone())
            cursor.scroll(-5)
            show("backwards", cursor.fetchone())
    digest, rows = hashlib.sha256(), 0
    with connection.cursor() as cursor:
        for row in cursor.stream("SELECT n, repeat('x', n % 100) FROM generate_series(1, 50000) n"):
            digest.update(repr(row).encode())
            rows += 1
    show("streamed", (rows, digest.hexdigest()))


def pipelines(connection):
    with connection.pipeline():
        found = [connection.execute("SELECT %s * 2", [number]) for number in range(50)]
    show("pipeline", [cursor.fetchone()[0] for cursor in found])
    # The error must not arrive before all is sent: the lock is given when it is.
    with psycopg.connect(autocommit=True) as other, connection.pipeline() as pipeline:
        other.execute("SELECT pg_advisory_lock(7)")
        first = connection.execute("SELECT 1")
        second = connection.execute("SELECT 1 / length(pg_advisory_xact_lock(7)::text)")
        third = connection.execute("SELECT 3")
        other.execute("SELECT pg_advisory_unlock(7)")
        error("within", pipeline.sync)
        show("first", first.fetchone())
        error("second", second.fetchone)
        error("third", third.fetchone)
    show("alive", connection.execute("SELECT 'yes'").fetchone())
    show("process", connection.execute("SELECT pg_backend_pid()").fetchone() == (connection.info.backend_pid,))


def cancels(connection):
    timer = threading.Timer(0.5, connection.cancel)
    timer.start()
    error("cancelled", lambda: connection.execute("SELECT pg_sleep(30)"))
    timer.join()
    connection.execute("SET statement_timeout = '200ms'")
    error("timed out", lambda: connection.execute("SELECT pg_sleep(30)"))
    connection.execute("RESET statement_timeout")
    show("alive", connection.execute("SELECT 'yes'").fetchone())


def notifies(connection):
    with psycopg.connect(autocommit=True) as other:
        connection.execute("LISTEN news")
        for number in range(3):
            other.execute("SELECT pg_notify('news', %s)", [f"number {number}"])
        heard = [note.payload for note in connection.notifies(timeout=10, stop_after=3)]
        show("heard", heard)
        connection.execute("NOTIFY news, 'my own'")
        own = next(connection.notifies(timeout=10, stop_after=1))
        show("known by its process id", [own.pid == connection.info.backend_pid, own.payload])
        connection.execute("UNLISTEN *")


def parameters(connection):
    info = connection.info
    show("parameters", [info.parameter_status(name) for name in ("client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings", "is_superuser", "session_authorization", "integer_datetimes")])
    connection.execute("SET TimeZone = 'Europe/Berlin'")
    show("zone", info.parameter_status("TimeZone"))
    connection.execute("RESET TimeZone")
    # Python knows no encoding of this name, which older clients ask for.
    raw = connection.pgconn
    raw.exec_(b"SET client_encoding TO 'UNICODE'")
    show("encoding", (raw.parameter_status(b"client_encoding"), raw.exec_(b"SELECT '\xc3\xbc'").get_value(0, 0)))
    raw.exec_(b"RESET client_encoding")
    show("version", info.server_version)
    show("schema", connection.execute("SELECT current_schema(), current_user, current_database()").fetchone())


def main():
    with psycopg.connect(autocommit=True, options="-c statement_timeout=60s", application_name="psycopg") as connection:
        tables(connection)
        for part in (simple, values, prepared, copies, transactions, errors, notices, pipelines, cursors, cancels, notifies, parameters):
            part(connection)
        connection.execute("DROP TABLE things")


main()

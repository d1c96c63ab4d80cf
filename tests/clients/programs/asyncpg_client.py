"""asyncpg as programs use it: binary format throughout, types looked up in the catalogs. Prints what the server says.

The connection is told by libpq's environment variables.
"""

import asyncio
import datetime
import decimal
import hashlib
import io
import uuid

import asyncpg


def show(name, value):
    print(f"{name}: {value!r}")


async def error(name, waited):
    try:
        await waited
    except asyncpg.PostgresError as failure:
        fields = ("severity_en", "sqlstate", "message", "detail", "hint", "position", "context", "schema_name", "table_name", "column_name", "constraint_name")
        show(name, [type(failure).__name__, *(getattr(failure, field, None) for field in fields)])
    except asyncio.TimeoutError:
        show(name, "timed out")
    else:
        show(name, "no error")


async def tables(connection):
    show("drop", await connection.execute("DROP TABLE IF EXISTS things CASCADE; DROP TYPE IF EXISTS mood CASCADE; DROP TYPE IF EXISTS pair CASCADE"))
    show("several", await connection.execute("CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TYPE pair AS (a int, b text); SELECT 1"))
    show("create", await connection.execute("CREATE TABLE things (id int PRIMARY KEY, name text NOT NULL, how mood, pairs pair, tags text[])"))
    rows = [(n, f"thing {n}", "glad" if n % 2 else "sad", (n, str(n)), ["a", None, str(n)]) for n in range(1000)]
    await connection.executemany("INSERT INTO things VALUES ($1, $2, $3, $4, $5)", rows)
    show("count", await connection.fetchval("SELECT count(*) FROM things"))


async def values(connection):
    row = await connection.fetchrow("SELECT * FROM things WHERE id = $1", 7)
    show("row", tuple(row.values()))
    everything = [
        ("bool", True), ("int2", 3), ("int8", 2**40), ("float8", 1.5), ("numeric", decimal.Decimal("123.4500")), ("text", "é 'x'"),
        ("bytea", b"\x00\xff"), ("date", datetime.date(2026, 2, 28)), ("timestamptz", datetime.datetime(2026, 2, 28, 1, 2, 3, 4, tzinfo=datetime.timezone.utc)),
        ("interval", datetime.timedelta(days=2, seconds=5)), ("uuid", uuid.UUID(int=9)), ("int4[]", [1, None, 3]), ("jsonb", '{"a": [1, null]}'),
        ("int4range", asyncpg.Range(1, 9)), ("inet", None), ("mood", "glad"), ("pair", (1, "x")), ("point", asyncpg.Point(1, 2)),
    ]
    for name, value in everything:
        show(name, await connection.fetchval(f"SELECT $1::{name}", value))
    statement = await connection.prepare("SELECT id, name, how FROM things WHERE id < $1 ORDER BY id")
    show("parameters", [kind.name for kind in statement.get_parameters()])
    show("attributes", [(one.name, one.type.name) for one in statement.get_attributes()])
    for limit in (2, 4):
        show("prepared", [tuple(row) for row in await statement.fetch(limit)])
    show("status", statement.get_statusmsg())


async def copies(connection):
    rows = [(5000 + n, f"copied {n}", None, None, None) for n in range(300)]
    show("in", await connection.copy_records_to_table("things", records=rows))
    show("csv in", await connection.copy_to_table("things", source=io.BytesIO(b"7000,csv,sad,,\n"), format="csv"))
    for form in ("text", "csv", "binary"):
        out = io.BytesIO()
        status = await connection.copy_from_query("SELECT id, name, how FROM things ORDER BY id", output=out, format=form)
        show(f"out, {form}", (status, len(out.getvalue()), hashlib.sha256(out.getvalue()).hexdigest()))
    await error("bad copy", connection.copy_to_table("things", source=io.BytesIO(b"7000,again,sad,,\n"), format="csv"))


async def transactions(connection):
    async with connection.transaction(isolation="serializable"):
        await connection.execute("UPDATE things SET name = 'x' WHERE id = 1")
        try:
            async with connection.transaction():
                await connection.execute("UPDATE things SET name = 'y' WHERE id = 1")
                await connection.execute("SELECT 1 / 0")
        except asyncpg.DivisionByZeroError as failure:
            show("inner", str(failure))
        show("seen", await connection.fetchval("SELECT name FROM things WHERE id = 1"))
    async with connection.transaction():
        rows = [record["id"] async for record in connection.cursor("SELECT id FROM things ORDER BY id", prefetch=17)]
        show("cursor", (len(rows), rows[:5], rows[-1]))
        cursor = await connection.cursor("SELECT id FROM things ORDER BY id")
        show("forward", (await cursor.forward(10), await cursor.fetch(3)))


async def errors(connection):
    await error("syntax", connection.fetch("SELECT 1 FRM things"))
    await error("no table", connection.fetch("SELECT * FROM nowhere"))
    await error("unique", connection.execute("INSERT INTO things VALUES (1, 'x')"))
    await error("null", connection.execute("INSERT INTO things VALUES (9000, $1)", None))
    await error("several", connection.fetch("SELECT 1; SELECT 2 WHERE $1"))
    await error("timeout", connection.execute("SELECT pg_sleep(30)", timeout=0.5))
    show("alive", await connection.fetchval("SELECT 'yes'"))
    # What a change of the schema does to a prepared statement.
    statement = await connection.prepare("SELECT * FROM things WHERE id = $1")
    await connection.execute("ALTER TABLE things ADD COLUMN more int")
    await error("outdated", statement.fetch(1))
    show("anew", len(await connection.fetchrow("SELECT * FROM things WHERE id = $1", 1)))


async def notifies(connection):
    heard, done = [], asyncio.Event()

    def hear(_connection, _process, channel, payload):
        heard.append((channel, payload))
        if len(heard) == 3:
            done.set()

    other = await asyncpg.connect(ssl=False)
    await connection.add_listener("news", hear)
    for number in range(3):
        await other.execute("SELECT pg_notify('news', $1)", f"number {number}")
    await asyncio.wait_for(done.wait(), 10)
    show("heard", heard)
    await connection.remove_listener("news", hear)
    await other.close()
    said = []
    connection.add_log_listener(lambda _connection, message: said.append((message.severity_en, message.sqlstate, message.message)))
    await connection.execute("DO $$ BEGIN RAISE NOTICE 'n'; RAISE WARNING 'w'; END $$")
    show("said", said)


async def many(connection):
    digest, rows = hashlib.sha256(), 0
    for record in await connection.fetch("SELECT n, repeat('x', n % 100) AS t FROM generate_series(1, 50000) n"):
        digest.update(repr(tuple(record)).encode())
        rows += 1
    show("many", (rows, digest.hexdigest()))
    async with asyncpg.create_pool(min_size=2, max_size=4, ssl=False) as pool:
        found = await asyncio.gather(*(pool.fetchval("SELECT $1::int * 2", number) for number in range(40)))
    show("pool", found)
    show("settings", [getattr(connection.get_settings(), name) for name in ("client_encoding", "TimeZone", "is_superuser")])


async def main():
    connection = await asyncpg.connect(ssl=False, server_settings={"application_name": "asyncpg"})
    for part in (tables, values, copies, transactions, errors, notifies, many):
        await part(connection)
    await connection.execute("DROP TABLE things; DROP TYPE mood; DROP TYPE pair")
    await connection.close()


asyncio.run(main())

"""psycopg through the gateway, as an agent: prints `psycopg: ok` when everything was as it should be."""

import psycopg

with psycopg.connect() as connection:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, total FROM orders WHERE id = %s", (1,))
        identifier, total = cursor.fetchone()
        assert identifier == 1 and str(total) == "99.90", (identifier, total)

        # Prepared by the driver after a few runs.
        for round in range(10):
            cursor.execute("SELECT %s::int + 1", (round,))
            assert cursor.fetchone() == (round + 1,)

        cursor.execute("SELECT email, ssn, phone FROM customers WHERE id = 1")
        email, ssn, phone = cursor.fetchone()
        assert email.endswith("@example.org") and not email.startswith("canary"), email
        assert ssn.endswith("0001") and not ssn.startswith("901"), ssn
        assert "555" not in (phone or ""), phone

        cursor.executemany("INSERT INTO scratch VALUES (%s, %s)", [(n, f"body {n}") for n in range(100)])
        cursor.execute("SELECT count(*) FROM scratch")
        assert cursor.fetchone() == (100,)
    connection.rollback()

    # In parts, by a cursor that SQL declares.
    with connection.cursor("parts") as cursor:
        cursor.itersize = 2
        cursor.execute("SELECT id, ssn FROM customers ORDER BY id")
        rows = cursor.fetchall()
        assert [row[0] for row in rows] == [1, 2, 3] and rows[0][1].endswith("0001"), rows
        assert not any(row[1].startswith("90") for row in rows), rows
    with connection.cursor("parts", binary=True) as cursor:
        cursor.execute("SELECT ssn FROM customers ORDER BY id")
        assert "901-77" not in cursor.fetchone()[0]
    connection.rollback()

    # Binary results.
    with connection.cursor(binary=True) as cursor:
        cursor.execute("SELECT ssn, id FROM customers WHERE id = 1")
        ssn, identifier = cursor.fetchone()
        assert identifier == 1 and "901-77" not in ssn, ssn

    try:
        connection.execute("SELECT salary FROM hr.salaries")
        raise SystemExit("an agent read salaries")
    except psycopg.errors.InsufficientPrivilege as error:
        assert error.diag.message_detail, "a refusal says which rule and why"
    # The transaction is aborted, exactly as PostgreSQL would have it.
    try:
        connection.execute("SELECT 1")
        raise SystemExit("the transaction was not aborted")
    except psycopg.errors.InFailedSqlTransaction:
        pass
    connection.rollback()

    with connection.pipeline():
        cursors = [connection.execute("SELECT %s::int", (n,)) for n in range(20)]
    assert [cursor.fetchone()[0] for cursor in cursors] == list(range(20))

    with connection.transaction():
        connection.execute("INSERT INTO scratch VALUES (1, 'kept')")
        try:
            with connection.transaction():
                connection.execute("INSERT INTO scratch VALUES (2, 'lost')")
                raise ValueError
        except ValueError:
            pass
    assert connection.execute("SELECT body FROM scratch").fetchall() == [("kept",)]

print("psycopg: ok")

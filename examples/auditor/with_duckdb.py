#!/usr/bin/env python3
"""Runs SQL files over a store of evidence in DuckDB, each row of the answers as a JSON object, a line each.

  python with_duckdb.py evidence ../../policies/controls/sql/measures/refusals.sql

Needs duckdb. The files that a report leaves in its folder `sql` run the same way."""
import datetime, json, pathlib, sys
import duckdb

TYPES = {"t": "VARCHAR", "l": "VARCHAR[]", "i": "BIGINT", "b": "BOOLEAN", "z": "TIMESTAMPTZ"}
COMMON = "gateway:t log_index:i schema_version:i "
COLUMNS = {
    "statements": "statement_id:t session_id:t seq:i phase:t decided_at:z principal:t on_behalf_of:t target:t sql:t sql_digest:t "
    "fingerprint:t kind:t relations:l columns:l verdict:t rules:l reason:t controls:l bundle_digest:t facts_digest:t parameters_digest:t "
    "ended_at:z outcome:t rows:i bytes:i duration_us:i sqlstate:t ends_log_index:i observed_verdict:t observed_rules:l probes:l "
    "result_digest:t approval_id:t",
    "approvals": "at:z event:t approval_id:t actor:t actor_groups:l reason:t requester:t on_behalf_of:t target:t session_id:t statement_id:t sql:t "
    "sql_digest:t parameters_digest:t binding_digest:t bundle_digest:t rules:l controls:l needs:l requested_at:z expires_at:z",
    "maskings": "statement_log_index:i statement_id:t session_id:t decided_at:z principal:t target:t output_index:i output_column:t "
    "source_columns:l class:t transform:t values_masked:i rule:t controls:l key_id:t",
    "sessions": "at:z event:t session_id:t principal:t principal_kind:t on_behalf_of:t groups:l issuer:t client_addr:t application:t tls:b "
    "target:t database:t authentication:t reason:t sqlstate:t role:t",
    "changes": "at:z actor:t what:t before:t after:t digest:t",
    "recordings": "at:z event:t statement_id:t session_id:t result:t result_sha256:t part:i parts:i rows:i bytes:i result_digest:t is_whole:b "
    "input:t input_key_id:t catalog_digest:t not_replayable:t",
}


def open_store(store):
    """A connection with a view for each dataset; one without rows has its columns all the same, and so have those of earlier versions."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")  # days are days of UTC
    for dataset, columns in COLUMNS.items():
        names = [word.split(":") for word in (COMMON + columns).split()]
        empty = ", ".join(f'CAST(NULL AS {TYPES[kind]}) AS "{name}"' for name, kind in names)
        view = f"SELECT {empty} WHERE false"
        if any(pathlib.Path(store, dataset).glob("date=*/*.parquet")):
            files = str(pathlib.Path(store, dataset, "date=*", "*.parquet")).replace("'", "''")
            view += f" UNION ALL BY NAME SELECT * FROM read_parquet('{files}', union_by_name = true, hive_partitioning = false)"
        connection.execute(f"CREATE VIEW {dataset} AS {view}")
    return connection


def plain(value):
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).isoformat()
    return value.isoformat() if isinstance(value, datetime.date) else value


if __name__ == "__main__":
    evidence = open_store(sys.argv[1])
    for file in sys.argv[2:]:
        answer = evidence.execute(pathlib.Path(file).read_text())
        names = [column[0] for column in answer.description]
        for row in answer.fetchall():
            print(json.dumps(dict(zip(names, map(plain, row))), ensure_ascii=False))

-- For DuckDB's own shell: run it in the store's folder (`cd evidence; duckdb -init .../duckdb.sql`), then ask, or `.read` a SQL file of a
-- report. A dataset that has no object yet, as `approvals` before anything was held or `recordings` where no results are, has no view: with_duckdb.py makes an empty one.
SET TimeZone = 'UTC';
CREATE VIEW statements AS SELECT * FROM read_parquet('statements/date=*/*.parquet', union_by_name = true, hive_partitioning = false);
CREATE VIEW maskings AS SELECT * FROM read_parquet('maskings/date=*/*.parquet', union_by_name = true, hive_partitioning = false);
CREATE VIEW sessions AS SELECT * FROM read_parquet('sessions/date=*/*.parquet', union_by_name = true, hive_partitioning = false);
CREATE VIEW changes AS SELECT * FROM read_parquet('changes/date=*/*.parquet', union_by_name = true, hive_partitioning = false);

SELECT verdict, outcome, count(*) AS statement_count FROM statements GROUP BY verdict, outcome ORDER BY verdict, outcome;

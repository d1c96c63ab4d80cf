-- A large database for tests/bench/catalog.sh: 5,000 relations in 20 schemas. 3,600 tables (15 columns on average, a key and
-- another index each, every third with a foreign key, every fifth with a check, every tenth with a trigger), 400 partitions
-- of 20 tables, 500 views, 480 sequences; 300 functions, 40 domains and enums.
SET client_min_messages = warning;
SELECT pg_catalog.set_config('check_function_bodies', 'false', false);
-- One transaction each: locks are bounded.
CREATE PROCEDURE make() LANGUAGE plpgsql AS $make$
DECLARE
  space text;
  columns text;
BEGIN
  FOR s IN 0..19 LOOP
    EXECUTE format('CREATE SCHEMA s%s', s);
    EXECUTE format('CREATE DOMAIN s%s.code AS text CHECK (VALUE <> '''')', s);
    EXECUTE format('CREATE TYPE s%s.state AS ENUM (''open'', ''closed'')', s);
    FOR f IN 1..15 LOOP
      EXECUTE format('CREATE FUNCTION s%s.f%s(a int, b text DEFAULT ''x'') RETURNS trigger LANGUAGE plpgsql AS %L', s, f,
        'BEGIN UPDATE s0.t1 SET c2 = now() WHERE id = a; ' || repeat('PERFORM 1; ', 40) || 'RETURN NEW; END');
    END LOOP;
    EXECUTE format('CREATE FUNCTION s%s.changed() RETURNS trigger LANGUAGE plpgsql AS %L', s, 'BEGIN RETURN NEW; END');
    COMMIT;
  END LOOP;
  FOR i IN 1..3600 LOOP
    space := 's' || i % 20;
    SELECT string_agg(format(', c%s %s', c, (ARRAY['integer NOT NULL', 'timestamptz DEFAULT now()', 'text', 'numeric(10, 2) DEFAULT 0',
      'jsonb', 'text DEFAULT ''none''', 'boolean NOT NULL DEFAULT false', space || '.code', space || '.state'])[1 + c % 9]), '')
      INTO columns FROM generate_series(1, 8 + i % 13) AS c;
    EXECUTE format('CREATE TABLE %I.%I (id %s PRIMARY KEY%s%s%s)', space, 't' || i, CASE WHEN i % 8 = 0 THEN 'bigserial' ELSE 'bigint' END, columns,
      CASE WHEN i % 3 = 0 AND i > 20 THEN format(', FOREIGN KEY (id) REFERENCES %I.%I ON DELETE CASCADE', space, 't' || i - 20) END,
      CASE WHEN i % 5 = 0 THEN ', CHECK (id > 0)' END);
    EXECUTE format('CREATE INDEX ON %I.%I (c2, c3)', space, 't' || i);
    IF i % 10 = 0 THEN
      EXECUTE format('CREATE TRIGGER changed BEFORE UPDATE ON %I.%I FOR EACH ROW EXECUTE FUNCTION %I.changed()', space, 't' || i, space);
    END IF;
    IF i % 50 = 0 THEN COMMIT; END IF;
  END LOOP;
  FOR i IN 1..20 LOOP
    EXECUTE format('CREATE TABLE s1.%I (id bigint, at date, note text, amount numeric, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)', 'p' || i);
    FOR p IN 0..19 LOOP
      EXECUTE format('CREATE TABLE s1.%I PARTITION OF s1.%I FOR VALUES FROM (%L) TO (%L)', 'p' || i || '_' || p, 'p' || i,
        date '2020-01-01' + p * 30, date '2020-01-01' + (p + 1) * 30);
    END LOOP;
    COMMIT;
  END LOOP;
  FOR i IN 1..500 LOOP
    EXECUTE format('CREATE VIEW %I.%I AS SELECT a.id, a.c1, upper(a.c2) AS loud, b.c3, count(*) OVER (PARTITION BY a.c1) AS many,
      CASE WHEN a.c3 > 0 THEN a.c5 ELSE ''-'' END AS shown FROM %I.%I AS a LEFT JOIN %I.%I AS b ON b.id = a.id WHERE a.c1 < now()',
      's' || i % 20, 'v' || i, 's' || i % 20, 't' || i, 's' || i % 20, 't' || i + 20);
    IF i % 50 = 0 THEN COMMIT; END IF;
  END LOOP;
  FOR i IN 1..30 LOOP
    EXECUTE format('CREATE SEQUENCE s2.%I', 'free' || i);
  END LOOP;
END $make$;
CALL make();
DROP PROCEDURE make();
ANALYZE;
SELECT relkind, count(*) FROM pg_catalog.pg_class WHERE oid >= 16384 AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
  AND relnamespace <> 'pg_toast'::regnamespace GROUP BY 1 ORDER BY 1;

-- Writes down what a PostgreSQL brings before anybody creates anything: what `provost test` resolves names of pg_catalog
-- and information_schema on when there is no server. Against an empty database of the version to be taken:
--
--   psql -XAtq -d template1 -f engine/src/schema/postgres.sql > engine/src/schema/postgres15.txt
--
-- One fact a line, its sort first. Types of pg_catalog go by their bare name, others with their schema.
SET search_path = pg_catalog;
SET jit = off;
WITH type_names AS MATERIALIZED (
  SELECT t.oid, t.typname AS bare, CASE n.nspname WHEN 'pg_catalog' THEN '' ELSE n.nspname || '.' END || t.typname AS name
  FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
), functions AS MATERIALIZED (
  -- Left out: what SQL can't call, and what is there for the server's own machinery.
  SELECT p.oid, p.proname, r.bare AS result,
    coalesce((SELECT string_agg(a.bare, ',' ORDER BY x.place) FROM unnest(p.proargtypes) WITH ORDINALITY AS x(type, place)
      JOIN type_names AS a ON a.oid = x.type), '') AS arguments
  FROM pg_proc AS p JOIN type_names AS r ON r.oid = p.prorettype
  WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.oid < 16384 AND p.prokind IN ('f', 'a', 'w')
    AND r.bare NOT IN ('internal', 'cstring', 'trigger', 'event_trigger', 'void', 'record', 'opaque')
    AND r.bare NOT LIKE '%\_handler'
    AND NOT EXISTS (SELECT FROM unnest(p.proargtypes) AS x WHERE x IN ('internal'::regtype, 'cstring'::regtype))
    AND NOT EXISTS (SELECT FROM pg_operator AS o WHERE o.oprcode = p.oid AND o.oprresult = 'bool'::regtype)
    AND NOT EXISTS (SELECT FROM pg_amproc AS a WHERE a.amproc = p.oid)
), operators AS MATERIALIZED (
  SELECT o.oprname AS proname, r.bare AS result, concat_ws(',', l.bare, t.bare) AS arguments
  FROM pg_operator AS o LEFT JOIN type_names AS l ON l.oid = o.oprleft JOIN type_names AS t ON t.oid = o.oprright
    JOIN type_names AS r ON r.oid = o.oprresult
  WHERE o.oid < 16384
), grouped AS (
  SELECT 'function' AS sort, proname, count(DISTINCT result) AS results, min(result) AS result,
    string_agg(DISTINCT arguments || '>' || result, ' ') AS overloads FROM functions GROUP BY proname
  UNION ALL
  SELECT 'operator', proname, count(DISTINCT result), min(result), string_agg(DISTINCT arguments || '>' || result, ' ')
  FROM operators GROUP BY proname
)
SELECT line FROM (
  SELECT 1 AS part, '' AS key, 'version ' || current_setting('server_version_num') AS line
  UNION ALL
  SELECT 2, nspname, 'schema ' || nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)'
  UNION ALL
  SELECT 3, to_char(t.oid::int8, '00000'), concat_ws(' ', 'type', t.oid, n.name,
    CASE WHEN t.typtype = 'b' AND t.typelem <> 0 AND t.typlen = -1 THEN 'a' ELSE t.typtype::text END, coalesce(e.name, '-'))
  FROM pg_type AS t JOIN type_names AS n ON n.oid = t.oid
    LEFT JOIN type_names AS e ON e.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END
    LEFT JOIN pg_class AS c ON c.oid = t.typrelid
  -- The rows of relations are known by the relations; arrays of them are there where a column is one.
  WHERE t.oid < 16384 AND t.typtype <> 'c'
    AND (NOT EXISTS (SELECT FROM pg_type AS row WHERE row.oid = t.typelem AND row.typtype = 'c' AND t.typlen = -1)
      OR EXISTS (SELECT FROM pg_attribute AS a WHERE a.atttypid = t.oid AND a.attnum > 0))
  UNION ALL
  SELECT 4, to_char(c.oid::int8, '00000'), concat_ws(' ', 'relation', c.oid, c.relkind, n.nspname || '.' || c.relname,
    (SELECT string_agg(a.attname || ':' || t.name, ' ' ORDER BY a.attnum) FROM pg_attribute AS a JOIN type_names AS t ON t.oid = a.atttypid
      WHERE a.attrelid = c.oid AND a.attnum > 0))
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.oid < 16384 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND n.nspname <> 'pg_toast'
  UNION ALL
  -- Functions that one argument is enough for: those that `(row).name` may mean.
  SELECT 5, '', 'single ' || string_agg(DISTINCT proname, ' ') FROM pg_proc
  WHERE pronamespace = 'pg_catalog'::regnamespace AND oid < 16384 AND pronargs >= 1 AND pronargs - pronargdefaults <= 1
  UNION ALL
  SELECT 6, sort || ' ' || proname, concat_ws(' ', sort, proname, CASE WHEN results = 1 AND result NOT LIKE 'any%' THEN result ELSE overloads END) FROM grouped
) AS lines ORDER BY part, key COLLATE "C", line COLLATE "C";

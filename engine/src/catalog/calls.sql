rules AS MATERIALIZED (
  -- What the texts of the views in `asked` call by name.
  SELECT r.oid, r.ev_class AS view, r.ev_action FROM asked AS b JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = b.oid
  WHERE r.ev_class >= 16384 AND r.ev_type = '1' AND r.rulename = '_RETURN'
), uses AS MATERIALIZED (
  SELECT DISTINCT r.view, d.refclassid AS class, d.refobjid AS oid
  FROM rules AS r JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
  WHERE d.refobjid >= 16384
), types(view, oid, has_values) AS (
  -- A constant's type is one that the rule depends on.
  (SELECT view, oid, true FROM uses WHERE class = 'pg_catalog.pg_type'::pg_catalog.regclass
   UNION
   SELECT u.view, x.oid, false FROM uses AS u JOIN pg_catalog.pg_proc AS p ON p.oid = u.oid
     CROSS JOIN LATERAL unnest(p.prorettype || COALESCE(p.proallargtypes, p.proargtypes::pg_catalog.oid[])) AS x(oid)
   WHERE u.class = 'pg_catalog.pg_proc'::pg_catalog.regclass AND x.oid >= 16384
   UNION
   -- No dependency tells of the type of an empty array, nor of a function's whole row.
   SELECT r.view, y.oid, false FROM rules AS r CROSS JOIN LATERAL regexp_matches(r.ev_action::pg_catalog.text, ':[a-z_]*typ[a-z]* ([0-9]{5,10})\M', 'g') AS m(found)
     JOIN pg_catalog.pg_type AS y ON y.oid = CASE WHEN m.found[1]::pg_catalog.int8 < 4294967296 THEN m.found[1]::pg_catalog.oid END
   WHERE y.oid >= 16384)
  UNION
  SELECT t.view, x.oid, t.has_values FROM types AS t JOIN pg_catalog.pg_type AS y ON y.oid = t.oid CROSS JOIN LATERAL (VALUES (y.typelem), (y.typbasetype)) AS x(oid)
  WHERE x.oid >= 16384
), calls AS MATERIALIZED (
  SELECT x.view, CASE WHEN c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') THEN 'r' ELSE 'x' END AS sort, x.oid FROM (
      -- A view's own columns are in its text.
      SELECT view, view AS oid FROM rules
      UNION
      SELECT view, oid FROM uses WHERE class = 'pg_catalog.pg_class'::pg_catalog.regclass
      UNION
      SELECT t.view, y.typrelid FROM types AS t JOIN pg_catalog.pg_type AS y ON y.oid = t.oid WHERE y.typrelid <> 0
    ) AS x JOIN pg_catalog.pg_class AS c ON c.oid = x.oid
  UNION ALL
  SELECT DISTINCT view, 't', oid FROM types
  UNION ALL
  SELECT view, CASE class WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN 'f' WHEN 'pg_catalog.pg_operator'::pg_catalog.regclass THEN 'o' ELSE 'x' END, oid
  FROM uses WHERE class NOT IN ('pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass, 'pg_catalog.pg_constraint'::pg_catalog.regclass)
  UNION ALL
  -- Enums have labels, and which operator sorts by itself is written nowhere in the text.
  SELECT t.view, 'x', t.oid FROM types AS t JOIN pg_catalog.pg_type AS y ON y.oid = t.oid WHERE y.typtype = 'e' AND t.has_values
  UNION ALL
  SELECT view, 'x', oid FROM uses WHERE class = 'pg_catalog.pg_operator'::pg_catalog.regclass
), named AS (
  SELECT x.sort, x.oid, 'pg_catalog.pg_class'::pg_catalog.regclass AS class, c.relnamespace AS schema, c.relname AS name, NULL AS tail
    FROM (SELECT DISTINCT sort, oid FROM calls WHERE sort = 'r') AS x JOIN pg_catalog.pg_class AS c ON c.oid = x.oid
  UNION ALL
  SELECT x.sort, x.oid, 'pg_catalog.pg_type'::pg_catalog.regclass, y.typnamespace, y.typname, CASE WHEN y.typelem <> 0 AND y.typlen = -1 THEN '[' END
    FROM (SELECT DISTINCT sort, oid FROM calls WHERE sort = 't') AS x JOIN pg_catalog.pg_type AS y ON y.oid = x.oid
  UNION ALL
  SELECT x.sort, x.oid, 'pg_catalog.pg_proc'::pg_catalog.regclass, p.pronamespace, p.proname, '('
    FROM (SELECT DISTINCT sort, oid FROM calls WHERE sort = 'f') AS x JOIN pg_catalog.pg_proc AS p ON p.oid = x.oid
  UNION ALL
  SELECT x.sort, x.oid, 'pg_catalog.pg_operator'::pg_catalog.regclass, o.oprnamespace, o.oprname, '('
    FROM (SELECT DISTINCT sort, oid FROM calls WHERE sort = 'o') AS x JOIN pg_catalog.pg_operator AS o ON o.oid = x.oid
), names AS MATERIALIZED (
  -- Schema, name and columns behind their length in characters. What deparses a text sees the newest names, whatever the statement's
  -- snapshot: `is_newest` says whether that has the same.
  SELECT n.sort, n.oid, concat(char_length(s.nspname::pg_catalog.text), ':', s.nspname, char_length(n.name::pg_catalog.text), ':', n.name, a.columns) AS called,
    COALESCE(CASE n.tail
        -- An array is called after what is in it.
        WHEN '[' THEN true
        -- Temporary ones go by their schema's own name.
        WHEN '(' THEN starts_with(i.identity, concat(quote_ident(s.nspname), '.', CASE n.sort WHEN 'f' THEN quote_ident(n.name) ELSE n.name END, '('))
        ELSE i.identity = concat(q.schema, '.', quote_ident(n.name)) AND a.are_newest IS NOT FALSE END, false) AS is_newest
  FROM named AS n JOIN pg_catalog.pg_namespace AS s ON s.oid = n.schema
    CROSS JOIN LATERAL (SELECT CASE WHEN s.oid = pg_my_temp_schema() THEN 'pg_temp' ELSE quote_ident(s.nspname) END AS schema) AS q
    CROSS JOIN LATERAL pg_identify_object(n.class, n.oid, 0) AS i
    LEFT JOIN LATERAL (
      SELECT string_agg(concat('|', a.attnum, ':', char_length(a.attname::pg_catalog.text), ':', a.attname), '' ORDER BY a.attnum) AS columns,
        bool_and(c.identity IS NOT DISTINCT FROM concat(q.schema, '.', quote_ident(n.name), '.', quote_ident(a.attname))) AS are_newest
      FROM pg_catalog.pg_attribute AS a CROSS JOIN LATERAL pg_identify_object(n.class, a.attrelid, a.attnum) AS c
      WHERE n.sort = 'r' AND a.attrelid = n.oid AND a.attnum > 0 AND NOT a.attisdropped) AS a ON true
)

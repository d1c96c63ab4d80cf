, rules AS MATERIALIZED (
  SELECT r.oid, r.ev_class AS view FROM below AS b JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = b.oid
  WHERE r.ev_class >= 16384 AND r.ev_type = '1' AND r.rulename = '_RETURN'
), uses AS MATERIALIZED (
  SELECT DISTINCT r.view, d.refclassid AS class, d.refobjid AS oid
  FROM rules AS r JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
  WHERE d.refobjid >= 16384
), types(view, oid) AS (
  (SELECT view, oid FROM uses WHERE class = 'pg_catalog.pg_type'::pg_catalog.regclass
   UNION
   SELECT u.view, x.oid FROM uses AS u JOIN pg_catalog.pg_proc AS p ON p.oid = u.oid
     CROSS JOIN LATERAL unnest(p.prorettype || COALESCE(p.proallargtypes, p.proargtypes::pg_catalog.oid[])) AS x(oid)
   WHERE u.class = 'pg_catalog.pg_proc'::pg_catalog.regclass AND x.oid >= 16384)
  UNION
  SELECT t.view, x.oid FROM types AS t JOIN pg_catalog.pg_type AS y ON y.oid = t.oid CROSS JOIN LATERAL (VALUES (y.typelem), (y.typbasetype)) AS x(oid)
  WHERE x.oid >= 16384
), relations AS (
  -- A view's own columns are in its text.
  SELECT view, view AS oid FROM rules
  UNION
  SELECT view, oid FROM uses WHERE class = 'pg_catalog.pg_class'::pg_catalog.regclass
  UNION
  SELECT t.view, y.typrelid FROM types AS t JOIN pg_catalog.pg_type AS y ON y.oid = t.oid WHERE y.typrelid <> 0
), names AS (
  SELECT r.view, 'r' AS sort, r.oid, c.relnamespace AS schema, c.relname AS name,
    (SELECT string_agg(concat('|', a.attnum, ':', char_length(a.attname::pg_catalog.text), ':', a.attname), '' ORDER BY a.attnum)
      FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
  FROM relations AS r JOIN pg_catalog.pg_class AS c ON c.oid = r.oid
  UNION ALL
  SELECT u.view, 'f', u.oid, p.pronamespace, p.proname, NULL FROM uses AS u JOIN pg_catalog.pg_proc AS p ON p.oid = u.oid
  WHERE u.class = 'pg_catalog.pg_proc'::pg_catalog.regclass
  UNION ALL
  SELECT u.view, 'o', u.oid, o.oprnamespace, o.oprname, NULL FROM uses AS u JOIN pg_catalog.pg_operator AS o ON o.oid = u.oid
  WHERE u.class = 'pg_catalog.pg_operator'::pg_catalog.regclass
  UNION ALL
  SELECT t.view, 't', t.oid, y.typnamespace, y.typname, NULL FROM types AS t JOIN pg_catalog.pg_type AS y ON y.oid = t.oid
)
-- View, what sort of object its text calls by name (relation, function, operator, type), its oid, schema, name and columns behind
-- their length in characters; `x` where the text says something besides that may become another word: an enum's label, a collation.
SELECT COALESCE(string_agg(concat_ws(' ', x.view::pg_catalog.int8, x.sort, x.oid::pg_catalog.int8, char_length(x.called), x.called), E'\n'), '') FROM (
  SELECT n.view, n.sort, n.oid,
    concat(char_length(s.nspname::pg_catalog.text), ':', s.nspname, char_length(n.name::pg_catalog.text), ':', n.name, n.columns) AS called
  FROM names AS n JOIN pg_catalog.pg_namespace AS s ON s.oid = n.schema
  UNION ALL
  SELECT t.view, 'x', t.oid, '' FROM types AS t JOIN pg_catalog.pg_type AS y ON y.oid = t.oid WHERE y.typtype = 'e'
  UNION ALL
  SELECT u.view, 'x', u.oid, '' FROM uses AS u WHERE u.class NOT IN ('pg_catalog.pg_class'::pg_catalog.regclass,
    'pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass,
    'pg_catalog.pg_constraint'::pg_catalog.regclass)) AS x

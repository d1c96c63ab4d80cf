WITH fixed AS MATERIALIZED (
  SELECT pg_catalog.set_config('search_path', 'pg_catalog', true) AS search_path
), spaces AS MATERIALIZED (
  SELECT oid, nspname, oid >= 16384 OR nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AS of_users
  FROM pg_catalog.pg_namespace
  WHERE nspname OPERATOR(pg_catalog.!~) '^pg_(toast|temp)'
), classes AS MATERIALIZED (
  SELECT c.oid, c.relname, c.relkind, s.nspname, s.of_users
  FROM fixed CROSS JOIN pg_catalog.pg_class AS c JOIN spaces AS s ON s.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND c.relpersistence <> 't'
), constrained AS MATERIALIZED (
  SELECT DISTINCT x.relid, x.attnum FROM (
    SELECT conrelid AS relid, pg_catalog.unnest(conkey) AS attnum FROM pg_catalog.pg_constraint
      WHERE contype IN ('p', 'u', 'f', 'x', 'c') AND conrelid <> 0
    UNION ALL
    SELECT i.indrelid, d.refobjsubid::pg_catalog.int2 FROM pg_catalog.pg_index AS i
      JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = i.indexrelid
        AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = i.indrelid AND d.refobjsubid > 0
      WHERE i.indisunique OR i.indisexclusion
    UNION ALL
    SELECT i.indrelid, pg_catalog.unnest(i.indkey) FROM pg_catalog.pg_index AS i WHERE i.indisunique OR i.indisexclusion
  ) AS x
), attributes AS MATERIALIZED (
  SELECT a.attrelid, pg_catalog.json_agg(
    CASE WHEN c.of_users THEN pg_catalog.json_build_object(
      'n', a.attnum, 'a', a.attname, 't', a.atttypid::pg_catalog.int8, 'nn', a.attnotnull,
      'c', k.relid IS NOT NULL OR t.typtype = 'd',
      'd', CASE WHEN d.oid IS NOT NULL THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
      'g', a.attgenerated <> '', 'i', a.attidentity <> '')
    ELSE pg_catalog.json_build_object('n', a.attnum, 'a', a.attname, 't', a.atttypid::pg_catalog.int8) END
    ORDER BY a.attnum) AS columns
  FROM classes AS c
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_attrdef AS d ON c.of_users AND d.adrelid = a.attrelid AND d.adnum = a.attnum
    LEFT JOIN constrained AS k ON k.relid = a.attrelid AND k.attnum = a.attnum
  WHERE c.relkind <> 'S' OR c.of_users
  GROUP BY a.attrelid
), unique_keys AS MATERIALIZED (
  SELECT i.indrelid, pg_catalog.json_agg(i.columns ORDER BY i.indexrelid) AS keys
  FROM (
    SELECT x.indrelid, x.indexrelid, (SELECT pg_catalog.json_agg(k.attnum ORDER BY k.place)
        FROM pg_catalog.unnest(x.indkey) WITH ORDINALITY AS k(attnum, place) WHERE k.place <= x.indnkeyatts) AS columns
    FROM pg_catalog.pg_index AS x JOIN classes AS c ON c.oid = x.indrelid AND c.of_users
    WHERE x.indisunique AND x.indisvalid AND x.indimmediate AND x.indpred IS NULL AND x.indexprs IS NULL
  ) AS i
  GROUP BY i.indrelid
), parents AS MATERIALIZED (
  SELECT inhrelid, pg_catalog.json_agg(inhparent::pg_catalog.int8 ORDER BY inhseqno) AS parents FROM pg_catalog.pg_inherits GROUP BY inhrelid
), triggers AS MATERIALIZED (
  SELECT tgrelid, pg_catalog.json_agg(pg_catalog.json_build_object('n', tgname, 'e', tgtype) ORDER BY tgname) AS triggers
  FROM pg_catalog.pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D' GROUP BY tgrelid
), cascades AS MATERIALIZED (
  SELECT confrelid, pg_catalog.json_agg(pg_catalog.json_build_object('o', conrelid::pg_catalog.int8, 'd', confdeltype, 'u', confupdtype) ORDER BY oid) AS cascades
  FROM pg_catalog.pg_constraint WHERE contype = 'f' AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd')) GROUP BY confrelid
), rules AS MATERIALIZED (
  SELECT ev_class, pg_catalog.json_agg(rulename ORDER BY rulename) AS rules
  FROM pg_catalog.pg_rewrite WHERE NOT (rulename = '_RETURN' AND ev_type = '1') GROUP BY ev_class
)
SELECT pg_catalog.json_build_object(
  'server_version_num', pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
  'database', pg_catalog.current_database(),
  'schemas', (SELECT pg_catalog.json_agg(nspname ORDER BY nspname) FROM spaces),
  'relations', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
      'o', c.oid::pg_catalog.int8, 's', c.nspname, 'r', c.relname, 'k', c.relkind, 'a', COALESCE(a.columns, '[]'::pg_catalog.json),
      'u', COALESCE(u.keys, '[]'::pg_catalog.json), 'p', COALESCE(p.parents, '[]'::pg_catalog.json),
      'v', CASE WHEN c.of_users AND c.relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(c.oid) END,
      'tg', COALESCE(t.triggers, '[]'::pg_catalog.json), 'cs', COALESCE(x.cascades, '[]'::pg_catalog.json), 'rl', COALESCE(r.rules, '[]'::pg_catalog.json))
      ORDER BY c.oid)
    FROM classes AS c
      LEFT JOIN attributes AS a ON a.attrelid = c.oid
      LEFT JOIN unique_keys AS u ON u.indrelid = c.oid
      LEFT JOIN parents AS p ON p.inhrelid = c.oid
      LEFT JOIN triggers AS t ON t.tgrelid = c.oid AND c.of_users
      LEFT JOIN cascades AS x ON x.confrelid = c.oid
      LEFT JOIN rules AS r ON r.ev_class = c.oid AND c.of_users),
  'functions', (SELECT COALESCE(pg_catalog.json_agg(DISTINCT pg_catalog.jsonb_build_array(s.nspname, p.proname)), '[]'::pg_catalog.json)
    FROM pg_catalog.pg_proc AS p JOIN spaces AS s ON s.oid = p.pronamespace WHERE s.of_users OR p.oid >= 16384),
  'operators', (SELECT COALESCE(pg_catalog.json_agg(DISTINCT pg_catalog.jsonb_build_array(s.nspname, o.oprname)), '[]'::pg_catalog.json)
    FROM pg_catalog.pg_operator AS o JOIN spaces AS s ON s.oid = o.oprnamespace WHERE s.of_users OR o.oid >= 16384),
  'types', (SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object('o', t.oid::pg_catalog.int8, 's', s.nspname, 'n', t.typname, 'k',
        CASE WHEN t.typtype = 'b' AND t.typelem <> 0 AND t.typlen = -1 THEN 'a' ELSE t.typtype::pg_catalog.text END,
        'e', (CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END)::pg_catalog.int8, 'r', t.typrelid::pg_catalog.int8,
        'c', t.typtype = 'd' AND (t.typnotnull OR EXISTS (SELECT 1 FROM pg_catalog.pg_constraint AS x WHERE x.contypid = t.oid))) ORDER BY t.oid),
      '[]'::pg_catalog.json)
    FROM pg_catalog.pg_type AS t JOIN spaces AS s ON s.oid = t.typnamespace WHERE s.of_users OR t.oid >= 16384),
  'user_casts', (SELECT pg_catalog.count(*) FROM pg_catalog.pg_cast WHERE oid >= 16384 AND castmethod = 'f')
)::pg_catalog.text
